"""Which of Evolution's bodies have a JSON Schema in `schemas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.adapters.evolution_v1 import wire
from croupier.providers.wire_schemas import OUTBOUND, Wire

SCHEMAS: Final[Mapping[str, Wire]] = {
    "check": Wire(wire.CheckBody),
    "balance": Wire(wire.BalanceBody),
    "debit-credit-cancel": Wire(wire.MoneyBody),
    "promo-payout": Wire(wire.PromoBody),
    "check-reply": Wire(wire.CheckReplyBody, OUTBOUND),
    "reply": Wire(wire.ReplyBody, OUTBOUND),
    "launch": Wire(wire.LaunchBody, OUTBOUND),
    "launch-reply": Wire(wire.LaunchReplyBody),
    "launch-errors": Wire(wire.LaunchErrorsBody),
}
