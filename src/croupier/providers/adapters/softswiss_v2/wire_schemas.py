"""Which bodies of the Beexar contract have a JSON Schema in `schemas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.adapters.softswiss_v2 import wire
from croupier.providers.wire_schemas import OUTBOUND, Wire

SCHEMAS: Final[Mapping[str, Wire]] = {
    "balance": Wire(wire.BalanceBody),
    "betwin": Wire(wire.BetWinBody),
    "rollback": Wire(wire.RollbackBody),
    "finish": Wire(wire.FinishBody),
    "balance-reply": Wire(wire.BalanceReply, OUTBOUND),
    "betwin-reply": Wire(wire.BetWinReply, OUTBOUND),
    "rollback-reply": Wire(wire.RollbackReply, OUTBOUND),
    "error-reply": Wire(wire.ErrorReply, OUTBOUND),
    "launch": Wire(wire.LaunchBody, OUTBOUND),
    "launch-reply": Wire(wire.LaunchReply),
    "launch-refusal": Wire(wire.LaunchRefusal),
    "games-reply": Wire(wire.GamesReply),
}
