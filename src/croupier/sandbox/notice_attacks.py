"""Webhooks that must be refused, made from one that was accepted. Pure: the time is an argument."""

from __future__ import annotations

from typing import Final, assert_never

from msgspec.structs import replace

from croupier.sandbox.plan import NoticeAttack
from croupier.sandbox.storm import Delivery
from croupier.sandbox.wire import Signed, Wire

STALE_BY_S: Final = 600
"""Twice the window of Standard Webhooks."""

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"


def forge_webhook(
    kind: NoticeAttack, wire: Wire, accepted: Delivery, timestamp_s: int, *, moment: str
) -> Signed:
    """Make one attack out of an accepted delivery; raises ValueError for a protocol without webhooks.

    All would make a player rich if the one thing that is wrong were right.
    """
    webhooks, notice = wire.webhooks, accepted.notice
    if webhooks is None or notice.seat is None:
        raise ValueError(f"{wire.protocol}: {accepted.webhook_id} gives nothing to forge")
    fresh_id = f"{accepted.webhook_id}_{kind.value}"
    fortune = webhooks.render_fortune(notice.seat, fresh_id, moment)
    match kind:
        case NoticeAttack.FORGED:
            return webhooks.sign(fresh_id, fortune, timestamp_s, key=wire.stranger())
        case NoticeAttack.ALTERED_BODY:
            return replace(webhooks.sign(fresh_id, notice.body, timestamp_s), body=fortune)
        case NoticeAttack.ALTERED_ID:
            return _altered(webhooks.sign(accepted.webhook_id, fortune, timestamp_s), ID, fresh_id)
        case NoticeAttack.ALTERED_TIME:
            old = webhooks.sign(fresh_id, fortune, timestamp_s - STALE_BY_S)
            return _altered(old, TIMESTAMP, str(timestamp_s))
        case NoticeAttack.STALE:
            return webhooks.sign(fresh_id, fortune, timestamp_s - STALE_BY_S)
        case NoticeAttack.REUSED_ID:
            return webhooks.sign(accepted.webhook_id, fortune, timestamp_s)
        case _:
            assert_never(kind)


def _altered(signed: Signed, name: str, value: str) -> Signed:
    headers = tuple((header, value if header == name else text) for header, text in signed.headers)
    return replace(signed, headers=headers)
