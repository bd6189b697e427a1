"""Opening a game at Evolution: `POST {base_url}/ua/v1/{casino_key}/{casino_token}`."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import msgspec

from croupier.errors import CroupierError
from croupier.providers.adapters.evolution_v1 import wire
from croupier.providers.adapters.evolution_v1.manifest import BRAND_ID, CASINO_KEY, MANIFEST
from croupier.providers.contract import (
    Attempt,
    LaunchAnswer,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    OutboundRequest,
    ProviderAccount,
    Reply,
    TransportFault,
)
from croupier.providers.strict_json import decode_strict

REFUSALS: Final = frozenset({"G.1", "G.2", "G.3", "G.9", "G.10", "G.11"})
"""Codes with which Evolution certainly opened nothing; the others ask for another attempt."""

DEADLINE_S: Final = MANIFEST.deadline_s("launch") or 5.0

# One slash: with two it would name another host, without any it would prolong the host's name.
_ENTRY: Final = re.compile(r"/(?:[!#-.0-;=?-\[\]_a-z~][!#-;=?-\[\]_a-z~]*)?")
_ENCODER: Final = msgspec.json.Encoder()
_REPLY: Final = msgspec.json.Decoder(wire.LaunchReplyBody)
_ERRORS: Final = msgspec.json.Decoder(wire.LaunchErrorsBody)


def build_launch(order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
    """Write the request; its address holds the casino's token, so nobody may log it."""
    key = quote(account.settings[CASINO_KEY], safe="")
    token = quote(account.outbound_secret.secret, safe="")
    headers = (
        (b"content-type", b"application/json"),
        (b"x-correlation-id", order.correlation_id.encode()),
    )
    return OutboundRequest(
        method="POST",
        url=f"{account.base_url.rstrip('/')}/ua/v1/{key}/{token}",
        headers=headers,
        body=_ENCODER.encode(_body_of(order, account, attempt)),
        deadline_s=DEADLINE_S,
    )


def _body_of(order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> wire.LaunchBody:
    assert order.token is not None, "the manifest asks for a session token"  # noqa: S101 (narrowing)
    brand = account.settings.get(BRAND_ID)
    player = wire.LaunchPlayer(
        id=order.player_id,
        update=True,
        country=order.country,
        language=re.split("[-_]", order.locale or "en")[0].lower(),
        currency=order.asset,
        session=wire.LaunchSession(order.token, order.ip),
    )
    config = wire.LaunchConfig(
        game=wire.LaunchGame(wire.LaunchTable(order.game_id)),
        channel=wire.LaunchChannel(wrapped=False, mobile=order.client == "mobile"),
        brand=wire.LaunchBrand(brand) if brand else None,
        urls=wire.LaunchUrls(order.return_url) if order.return_url else None,
    )
    return wire.LaunchBody(attempt.nonce, player, config)


def read_launch(answer: Reply | TransportFault) -> LaunchAnswer:
    """The game's address below the account's, a refusal with its code, or unknown."""
    if isinstance(answer, TransportFault):
        return LaunchUnknown(answer.reason)
    if answer.status == 200:
        opened = _read_opened(answer.body)
        if opened is not None:
            return opened
    return _read_refused(answer)


def _read_opened(body: bytes) -> LaunchAnswer | None:
    try:
        entry = decode_strict(_REPLY, body).entry
    except CroupierError:
        return None
    return LaunchUnknown("launch_url_not_usable") if _ENTRY.fullmatch(entry) is None else Launched(entry)


def _read_refused(answer: Reply) -> LaunchAnswer:
    try:
        codes = [error.code for error in decode_strict(_ERRORS, answer.body).errors]
    except CroupierError:
        return LaunchUnknown("reply_not_understood" if answer.status == 200 else f"status_{answer.status}")
    if all(code in REFUSALS for code in codes):
        return LaunchRefused(codes[0])
    return LaunchUnknown("not_opened_yet")
