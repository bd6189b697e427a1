"""Which bodies of the Swipe Games API have a JSON Schema in `schemas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.adapters.swipegames_v1 import wire
from croupier.providers.wire_schemas import OUTBOUND, Wire

SCHEMAS: Final[Mapping[str, Wire]] = {
    "balance": Wire(wire.BalanceQuery),
    "bet": Wire(wire.BetBody),
    "win": Wire(wire.WinBody),
    "refund": Wire(wire.RefundBody),
    "balance-reply": Wire(wire.BalanceReply, OUTBOUND),
    "money-reply": Wire(wire.MoneyReply, OUTBOUND),
    "error-reply": Wire(wire.ErrorReply, OUTBOUND),
    "launch": Wire(wire.LaunchBody, OUTBOUND),
    "launch-reply": Wire(wire.LaunchReply),
    "launch-refusal": Wire(wire.LaunchRefusal),
    "games-reply": Wire(wire.GamesReply),
}
