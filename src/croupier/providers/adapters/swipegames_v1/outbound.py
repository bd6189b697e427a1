"""What we ask Swipe Games for: a game session and the list of games, both signed in canonical JSON."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import msgspec

from croupier.errors import CroupierError
from croupier.providers.adapters.swipegames_v1 import wire
from croupier.providers.adapters.swipegames_v1.manifest import (
    CLIENT_ID,
    EXTERNAL_CLIENT_ID,
    LOCALE,
    MANIFEST,
)
from croupier.providers.contract import (
    GameList,
    LaunchAnswer,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    OfferedGame,
    OutboundRequest,
    ProviderAccount,
    QuestionAnswer,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    TransportFault,
)
from croupier.providers.manifest import Setting
from croupier.providers.strict_json import JsonLimits, decode_strict
from croupier.providers.vocabulary import judge_launch, launched
from croupier_signing import canonicalise, sign_canonical_body, sign_canonical_query

LAUNCH_PATH: Final = "/create-new-game"
GAMES_PATH: Final = "/games"
SIGNATURE: Final = b"x-request-sign"
LAUNCH_S: Final = MANIFEST.deadline_s("launch") or 5.0
GAMES_S: Final = MANIFEST.deadline_s("list_games") or 20.0

_MOBILE: Final = frozenset({"mobile", "tablet"})
_LOCALE: Final = re.compile(r"([A-Za-z]{2,3})(?:-[A-Za-z]{4})?(?:-([A-Za-z]{2}))?(?:-.*)?")
_GAME_LIMITS: Final = JsonLimits(max_keys=200_000)
_LAUNCH_REPLY: Final = msgspec.json.Decoder(wire.LaunchReply)
_LAUNCH_REFUSAL: Final = msgspec.json.Decoder(wire.LaunchRefusal)
_GAMES_REPLY: Final = msgspec.json.Decoder(wire.GamesReply)


def build_launch(order: LaunchOrder, account: ProviderAccount) -> OutboundRequest:
    """Write and sign the request; it is the same for every attempt, because the protocol has no freshness."""
    body = canonicalise(msgspec.to_builtins(_body_of(order, account)))
    headers = (
        (b"content-type", b"application/json"),
        (SIGNATURE, sign_canonical_body(account.outbound_secret, body).encode()),
        (b"x-correlation-id", order.correlation_id.encode()),
    )
    url = account.base_url.rstrip("/") + LAUNCH_PATH
    return OutboundRequest(method="POST", url=url, headers=headers, body=body, deadline_s=LAUNCH_S)


def _body_of(order: LaunchOrder, account: ProviderAccount) -> wire.LaunchBody:
    return wire.LaunchBody(
        c_id=_setting(account, CLIENT_ID),
        ext_c_id=_setting(account, EXTERNAL_CLIENT_ID),
        game_id=order.game_id,
        demo=False,
        platform="mobile" if order.client in _MOBILE else "desktop",
        currency=order.asset,
        locale=_locale(order.locale) or _setting(account, LOCALE),
        session_id=order.session_id,
        user=wire.User(order.player_id, order.country),
        return_url=order.return_url,
    )


def _setting(account: ProviderAccount, setting: Setting) -> str:
    return account.settings.get(setting.name) or setting.default or ""


def _locale(text: str | None) -> str | None:
    """`en-GB` as `en_gb`: language and region in lower case with an underscore; scripts and variants are left out."""
    parts = _LOCALE.fullmatch(text or "")
    if parts is None:
        return None
    return "_".join(part.lower() for part in parts.groups() if part)


def read_launch(answer: Reply | TransportFault) -> LaunchAnswer:
    """Read what came back. Only a body of the API's own shape is a refusal; a bare 404 may be a proxy's."""
    return judge_launch(answer, opened=_read_opened, refused=_read_refused)


def _read_opened(body: bytes) -> LaunchAnswer:
    try:
        url = decode_strict(_LAUNCH_REPLY, body).game_url
    except CroupierError:
        return LaunchUnknown("reply_not_understood")
    return launched(url)


def _read_refused(answer: Reply) -> LaunchAnswer:
    try:
        refusal = decode_strict(_LAUNCH_REFUSAL, answer.body)
    except CroupierError:
        return LaunchUnknown(f"status_{answer.status}")
    return LaunchRefused(refusal.code or f"status_{answer.status}")


def build_games(account: ProviderAccount) -> OutboundRequest:
    """The list of games without their bet lines, which would make it a megabyte."""
    named = ((one.name, _setting(account, one)) for one in (CLIENT_ID, EXTERNAL_CLIENT_ID))
    query = "&".join((*(f"{name}={quote(value, safe='')}" for name, value in named), "excludeBetLines=true"))
    headers = ((SIGNATURE, sign_canonical_query(account.outbound_secret, query.encode()).encode()),)
    url = f"{account.base_url.rstrip('/')}{GAMES_PATH}?{query}"
    return OutboundRequest(method="GET", url=url, headers=headers, body=b"", deadline_s=GAMES_S)


def read_games(answer: Reply | TransportFault) -> QuestionAnswer:
    """The games with their titles and currencies."""
    if isinstance(answer, TransportFault):
        return QuestionUnanswered(answer.reason)
    if answer.status in (400, 404):
        return QuestionRefused(f"status_{answer.status}")
    if answer.status != 200:
        return QuestionUnanswered(f"status_{answer.status}")
    try:
        games = decode_strict(_GAMES_REPLY, answer.body, _GAME_LIMITS)
    except CroupierError:
        return QuestionUnanswered("reply_not_understood")
    return GameList(
        tuple(OfferedGame(id=game.id, title=game.title, assets=game.currencies) for game in games)
    )
