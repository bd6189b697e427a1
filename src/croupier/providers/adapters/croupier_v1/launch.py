"""Opening a session at a studio: `POST {base_url}/v1/launch`, idempotent by session id."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.providers.adapters.croupier_v1 import wire
from croupier.providers.adapters.croupier_v1.manifest import MANIFEST
from croupier.providers.contract import (
    Attempt,
    LaunchAnswer,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    OutboundRequest,
    ProviderAccount,
    Reply,
    TransportFault,
)
from croupier.providers.strict_json import decode_strict
from croupier.providers.vocabulary import Name, judge_launch, launched
from croupier_signing import sign_native

DEADLINE_S: Final = MANIFEST.deadline_s("launch") or 5.0

_REPLY: Final = msgspec.json.Decoder(wire.LaunchReplyBody)
_ENCODER: Final = msgspec.json.Encoder()


class _Problem(Struct, frozen=True):
    code: Name


_PROBLEM: Final = msgspec.json.Decoder(_Problem)


def build_launch(order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
    """Write and sign the request; every attempt has its own time and nonce, the body stays the same."""
    url = f"{account.base_url.rstrip('/')}/v1/launch"
    body = _ENCODER.encode(_body_of(order))
    authorization = sign_native(
        account.outbound_secret,
        method="POST",
        path=urlsplit(url).path.encode(),
        query=b"",
        timestamp_s=attempt.timestamp_s,
        nonce=attempt.nonce,
        body=body,
    )
    headers = (
        (b"content-type", b"application/json"),
        (b"authorization", authorization.encode()),
        (b"x-correlation-id", order.correlation_id.encode()),
    )
    return OutboundRequest(method="POST", url=url, headers=headers, body=body, deadline_s=DEADLINE_S)


def _body_of(order: LaunchOrder) -> wire.LaunchBody:
    return wire.LaunchBody(
        session_id=order.session_id,
        player_id=order.player_id,
        game_id=order.game_id,
        asset=order.asset,
        country=order.country,
        locale=order.locale,
        return_url=order.return_url,
        client=order.client,
        ip=order.ip,
    )


def read_launch(order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
    """Read what came back. Only a problem that names a code is a refusal; a bare 404 may be a proxy's."""
    return judge_launch(answer, opened=lambda body: _read_opened(order, body), refused=_read_refused)


def _read_opened(order: LaunchOrder, body: bytes) -> LaunchAnswer:
    try:
        reply = decode_strict(_REPLY, body)
    except CroupierError:
        return LaunchUnknown("reply_not_understood")
    if reply.session_id != order.session_id:
        return LaunchUnknown("reply_for_another_session")
    return launched(reply.launch_url)


def _read_refused(answer: Reply) -> LaunchAnswer:
    try:
        return LaunchRefused(decode_strict(_PROBLEM, answer.body).code)
    except CroupierError:
        return LaunchUnknown(f"status_{answer.status}")
