"""What we ask GIS for: a game session (`games/init`) and the list of games, signed as callbacks are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec import structs

from croupier.errors import CroupierError
from croupier.providers.adapters.slotegrator_gis_v1 import wire
from croupier.providers.adapters.slotegrator_gis_v1.manifest import MANIFEST, MERCHANT
from croupier.providers.contract import (
    Attempt,
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
from croupier.providers.verification import Headers
from croupier.providers.vocabulary import judge_launch, launched
from croupier_signing import payload_digest, sign_sorted_form

MERCHANT_ID: Final = "X-Merchant-Id"
TIMESTAMP: Final = "X-Timestamp"
NONCE: Final = "X-Nonce"
SIGN: Final = "X-Sign"
LAUNCH_PATH: Final = "/games/init"
GAMES_PATH: Final = "/games"
NONCE_DIGITS: Final = 32
LAUNCH_S: Final = MANIFEST.deadline_s("launch") or 5.0
GAMES_S: Final = MANIFEST.deadline_s("list_games") or 10.0

_LANGUAGE: Final = re.compile(r"([A-Za-z]{2})(?:[-_].*)?")
_DEVICES: Final = {"mobile": "mobile", "tablet": "mobile", "desktop": "desktop"}
_GAME_LIMITS: Final = JsonLimits(max_keys=200_000)
_LAUNCH_REPLY: Final = msgspec.json.Decoder(wire.LaunchReply)
_LAUNCH_REFUSAL: Final = msgspec.json.Decoder(wire.LaunchRefusal)
_GAMES_REPLY: Final = msgspec.json.Decoder(wire.GamesReply)


def merchant_of(account: ProviderAccount) -> str:
    """What the aggregator calls the operator."""
    return account.settings.get(MERCHANT.name) or MERCHANT.default or ""


def build_launch(order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
    """Write and sign the form; every attempt has its own time and nonce, the form stays the same."""
    fields = _fields_of(order)
    headers = (
        (b"content-type", b"application/x-www-form-urlencoded"),
        *_sign(fields, account, attempt),
        (b"x-correlation-id", order.correlation_id.encode()),
    )
    return OutboundRequest(
        method="POST",
        url=account.base_url.rstrip("/") + LAUNCH_PATH,
        headers=headers,
        body=urlencode(fields).encode(),
        deadline_s=LAUNCH_S,
    )


def _fields_of(order: LaunchOrder) -> Mapping[str, str]:
    language = _LANGUAGE.fullmatch(order.locale or "")
    form = wire.LaunchForm(
        game_uuid=order.game_id,
        player_id=order.player_id,
        # The protocol wants a name to show; the player's id is what may leave the house.
        player_name=order.player_id,
        currency=order.asset,
        session_id=order.session_id,
        device=_DEVICES.get(order.client or ""),
        return_url=order.return_url,
        language=None if language is None else language[1].lower(),
    )
    return {name: value for name, value in structs.asdict(form).items() if value is not None}


def _sign(fields: Mapping[str, str], account: ProviderAccount, attempt: Attempt) -> Headers:
    signed = {
        MERCHANT_ID: merchant_of(account),
        TIMESTAMP: str(attempt.timestamp_s),
        # 32 hex digits are asked for; ours are base64url.
        NONCE: payload_digest(attempt.nonce.encode())[:NONCE_DIGITS],
    }
    signature = sign_sorted_form(account.outbound_secret, tuple(fields.items()), signed)
    return tuple(
        (name.lower().encode(), value.encode()) for name, value in {**signed, SIGN: signature}.items()
    )


def read_launch(answer: Reply | TransportFault) -> LaunchAnswer:
    """Read what came back. Only the aggregator's own error is a refusal; a bare 404 may be a proxy's."""
    return judge_launch(answer, opened=_read_opened, refused=_read_refused)


def _read_opened(body: bytes) -> LaunchAnswer:
    try:
        url = decode_strict(_LAUNCH_REPLY, body).url
    except CroupierError:
        return LaunchUnknown("reply_not_understood")
    return launched(url)


def _read_refused(answer: Reply) -> LaunchAnswer:
    try:
        refusal = decode_strict(_LAUNCH_REFUSAL, answer.body)
    except CroupierError:
        return LaunchUnknown(f"status_{answer.status}")
    if refusal.status != answer.status:
        return LaunchUnknown(f"status_{answer.status}")
    return LaunchRefused(refusal.name)


def build_games(account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
    """The games of the merchant; without parameters only the headers are signed."""
    headers = ((b"accept", b"application/json"), *_sign({}, account, attempt))
    url = account.base_url.rstrip("/") + GAMES_PATH
    return OutboundRequest(method="GET", url=url, headers=headers, body=b"", deadline_s=GAMES_S)


def read_games(answer: Reply | TransportFault) -> QuestionAnswer:
    """The games with their names. A list of several pages is no answer: the first alone would look like all of it."""
    if isinstance(answer, TransportFault):
        return QuestionUnanswered(answer.reason)
    if answer.status == 403:
        return QuestionRefused("status_403")
    if answer.status != 200:
        return QuestionUnanswered(f"status_{answer.status}")
    try:
        reply = decode_strict(_GAMES_REPLY, answer.body, _GAME_LIMITS)
    except CroupierError:
        return QuestionUnanswered("reply_not_understood")
    if reply.meta.page_count > 1:
        return QuestionUnanswered("list_has_pages")
    return GameList(tuple(OfferedGame(id=game.uuid, title=game.name) for game in reply.items))
