"""What we ask Beexar for: a game session (`launcher/real`, signed) and the list of games (public, unsigned)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import msgspec

from croupier.errors import CroupierError
from croupier.ids import SESSION, parse_id
from croupier.providers.adapters.softswiss_v2 import wire
from croupier.providers.adapters.softswiss_v2.manifest import MANIFEST
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
from croupier.providers.strict_json import JsonLimits, decode_strict
from croupier.providers.vocabulary import launched
from croupier_signing import sign_raw_hmac

LAUNCH_PATH: Final = "/api/v1/softswiss/launcher/real"
GAMES_PATH: Final = "/api/v1/operator/games"
SIGNATURE: Final = b"x-request-sign"
LAUNCH_S: Final = MANIFEST.deadline_s("launch") or 5.0
GAMES_S: Final = MANIFEST.deadline_s("list_games") or 10.0
CASINO: Final = MANIFEST.settings[0]

# The launcher refuses with these statuses only; another one says nothing about the session.
_REFUSING: Final = frozenset({400, 403})
_LOCALE: Final = re.compile(r"[A-Za-z]{2}(?:[-_][A-Za-z]{2})?|en-soc")
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2})[-_].+")
_CLIENTS: Final = {"mobile": "mobile", "tablet": "mobile", "desktop": "desktop"}
_GAME_LIMITS: Final = JsonLimits(max_keys=200_000)
_LAUNCH_REPLY: Final = msgspec.json.Decoder(wire.LaunchReply)
_LAUNCH_REFUSAL: Final = msgspec.json.Decoder(wire.LaunchRefusal)
_GAMES_REPLY: Final = msgspec.json.Decoder(wire.GamesReply)
_ENCODER: Final = msgspec.json.Encoder()


def build_launch(order: LaunchOrder, account: ProviderAccount) -> OutboundRequest:
    """Write and sign the request; it is the same for every attempt, because the protocol has no freshness."""
    body = _ENCODER.encode(_body_of(order, account))
    headers = (
        (b"content-type", b"application/json"),
        (SIGNATURE, sign_raw_hmac(account.outbound_secret, body).encode()),
        (b"x-correlation-id", order.correlation_id.encode()),
    )
    url = account.base_url.rstrip("/") + LAUNCH_PATH
    return OutboundRequest(method="POST", url=url, headers=headers, body=body, deadline_s=LAUNCH_S)


def _body_of(order: LaunchOrder, account: ProviderAccount) -> wire.LaunchBody:
    return wire.LaunchBody(
        casino_id=_casino(account),
        game=order.game_id,
        account=wire.Account(order.player_id, order.asset, order.country),
        session_id=str(parse_id(SESSION, order.session_id)),
        locale=_locale(order.locale),
        ip=order.ip,
        client_type=_CLIENTS.get(order.client or ""),
        urls=None if order.return_url is None else wire.Urls(order.return_url),
    )


def _casino(account: ProviderAccount) -> str:
    return account.settings.get(CASINO.name) or CASINO.default or ""


def _locale(text: str | None) -> str | None:
    """The locale as far as the launcher's pattern takes it: a longer tag is cut to its language."""
    if text is None or _LOCALE.fullmatch(text) is not None:
        return text
    language = _LANGUAGE.fullmatch(text)
    return None if language is None else language[1]


def read_launch(answer: Reply | TransportFault) -> LaunchAnswer:
    """Read what came back. Only the launcher's own envelope is a refusal; a bare 400 may be a proxy's."""
    if isinstance(answer, TransportFault):
        return LaunchUnknown(answer.reason)
    if answer.status == 200:
        return _read_opened(answer.body)
    if answer.status in _REFUSING:
        return _read_refused(answer)
    return LaunchUnknown(f"status_{answer.status}")


def _read_opened(body: bytes) -> LaunchAnswer:
    try:
        url = decode_strict(_LAUNCH_REPLY, body).launch_url
    except CroupierError:
        return LaunchUnknown("reply_not_understood")
    return launched(url)


def _read_refused(answer: Reply) -> LaunchAnswer:
    try:
        api_code = decode_strict(_LAUNCH_REFUSAL, answer.body).meta.api_code
    except CroupierError:
        return LaunchUnknown(f"status_{answer.status}")
    if api_code.startswith("5"):
        return LaunchUnknown(f"api_code_{api_code}")
    return LaunchRefused(f"api_code_{api_code}")


def build_games(account: ProviderAccount) -> OutboundRequest:
    """The public list of the operator's active games."""
    query = f"operator={quote(_casino(account), safe='')}&active=true&format=json"
    url = f"{account.base_url.rstrip('/')}{GAMES_PATH}?{query}"
    headers = ((b"accept", b"application/json"),)
    return OutboundRequest(method="GET", url=url, headers=headers, body=b"", deadline_s=GAMES_S)


def read_games(answer: Reply | TransportFault) -> QuestionAnswer:
    """The games with their titles and currencies."""
    if isinstance(answer, TransportFault):
        return QuestionUnanswered(answer.reason)
    if answer.status == 404:
        return QuestionRefused("status_404")
    if answer.status != 200:
        return QuestionUnanswered(f"status_{answer.status}")
    try:
        reply = decode_strict(_GAMES_REPLY, answer.body, _GAME_LIMITS)
    except CroupierError:
        return QuestionUnanswered("reply_not_understood")
    return GameList(
        tuple(
            OfferedGame(id=game.identifier, title=game.title, assets=game.currencies) for game in reply.games
        )
    )
