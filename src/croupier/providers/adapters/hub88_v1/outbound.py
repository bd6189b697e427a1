"""What Hub88 is asked: the address of a game, and its list of games."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from croupier.errors import CroupierError
from croupier.providers.adapters.hub88_v1 import wire
from croupier.providers.adapters.hub88_v1.manifest import MANIFEST, OPERATOR_ID
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
from croupier_signing import sign_rsa_body

SIGNATURE: Final = b"x-hub88-signature"
LAUNCH_PATH: Final = "/operator/generic/v2/game/url"
GAMES_PATH: Final = "/operator/generic/v2/game/list"
REFUSALS: Final = {400: "bad_request", 403: "not_enabled", 404: "not_found"}
"""HTTP status with which Hub88 certainly opened nothing → reason. 401 may pass once keys are right, so it is none."""

# Thousands of games, each with dozens of members.
_LIST_LIMITS: Final = JsonLimits(max_keys=1_000_000)
_PLATFORMS: Final = {"mobile": "GPL_MOBILE"}
_ENCODER: Final = msgspec.json.Encoder()
_LAUNCH_REPLY: Final = msgspec.json.Decoder(wire.LaunchReplyBody)
_GAMES: Final = msgspec.json.Decoder(list[wire.GameBody])
_ERROR: Final = msgspec.json.Decoder(wire.ErrorBody)


def build_launch(order: LaunchOrder, account: ProviderAccount) -> OutboundRequest:
    """`POST …/game/url`, signed with our private key. The token is what Hub88 presents in its calls."""
    body = wire.LaunchBody(
        operator_id=_operator_id(account),
        user=order.player_id,
        token=order.token,
        platform=_PLATFORMS.get(order.client or "", "GPL_DESKTOP"),
        game_code=order.game_id,
        currency=order.asset,
        country=order.country,
        lang=_language(order.locale),
        lobby_url=order.return_url,
        ip=order.ip,
    )
    return _request(account, LAUNCH_PATH, _ENCODER.encode(body), "launch", order.correlation_id)


def read_launch(answer: Reply | TransportFault) -> LaunchAnswer:
    """The game's address, a refusal, or unknown."""
    if isinstance(answer, TransportFault):
        return LaunchUnknown(answer.reason)
    if answer.status == 200:
        return _read_opened(answer.body)
    refusal = _refusal(answer)
    return LaunchUnknown(f"status_{answer.status}") if refusal is None else LaunchRefused(refusal)


def build_game_list(account: ProviderAccount) -> OutboundRequest:
    """`POST …/game/list`, signed with our private key."""
    body = _ENCODER.encode(wire.GameListBody(_operator_id(account)))
    return _request(account, GAMES_PATH, body, "game_list")


def read_game_list(answer: Reply | TransportFault) -> QuestionAnswer:
    """Every game that Hub88 does not call disabled."""
    if isinstance(answer, TransportFault):
        return QuestionUnanswered(answer.reason)
    if answer.status != 200:
        refusal = _refusal(answer)
        return QuestionUnanswered(f"status_{answer.status}") if refusal is None else QuestionRefused(refusal)
    try:
        games = decode_strict(_GAMES, answer.body, _LIST_LIMITS)
    except CroupierError:
        return QuestionUnanswered("reply_not_understood")
    offered = [game for game in games if game.enabled is not False]
    return GameList(
        tuple(OfferedGame(id=game.game_code, title=game.name or game.game_code) for game in offered)
    )


def _request(
    account: ProviderAccount, path: str, body: bytes, operation: str, correlation_id: str | None = None
) -> OutboundRequest:
    headers = [
        (b"content-type", b"application/json"),
        (SIGNATURE, sign_rsa_body(account.outbound_private, body).encode()),
    ]
    if correlation_id is not None:
        headers.append((b"x-correlation-id", correlation_id.encode()))
    return OutboundRequest(
        method="POST",
        url=f"{account.base_url.rstrip('/')}{path}",
        headers=tuple(headers),
        body=body,
        deadline_s=MANIFEST.deadline_s(operation) or 5.0,
    )


def _operator_id(account: ProviderAccount) -> int | str:
    """An integer for Hub88; Caleta's text form goes through as it is."""
    text = account.settings[OPERATOR_ID]
    return int(text) if text.isascii() and text.isdigit() else text


def _language(locale: str | None) -> str:
    return re.split("[-_]", locale or "en")[0].lower()


def _read_opened(body: bytes) -> LaunchAnswer:
    try:
        url = decode_strict(_LAUNCH_REPLY, body).url
    except CroupierError:
        return LaunchUnknown("reply_not_understood")
    return launched(url)


def _refusal(answer: Reply) -> str | None:
    """The reason when it is Hub88 that refuses; a bare 404 may be a proxy's."""
    reason = REFUSALS.get(answer.status)
    try:
        decode_strict(_ERROR, answer.body)
    except CroupierError:
        return None
    return reason
