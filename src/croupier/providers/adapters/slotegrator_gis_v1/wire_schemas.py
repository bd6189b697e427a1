"""Which forms and answers of GIS have a JSON Schema in `schemas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.adapters.slotegrator_gis_v1 import wire
from croupier.providers.wire_schemas import OUTBOUND, Wire

SCHEMAS: Final[Mapping[str, Wire]] = {
    "balance": Wire(wire.BalanceForm),
    "bet": Wire(wire.BetForm),
    "win": Wire(wire.WinForm),
    "refund": Wire(wire.RefundForm),
    "rollback": Wire(wire.RollbackForm),
    "balance-reply": Wire(wire.BalanceReply, OUTBOUND),
    "transaction-reply": Wire(wire.TransactionReply, OUTBOUND),
    "rollback-reply": Wire(wire.RollbackReply, OUTBOUND),
    "error-reply": Wire(wire.ErrorReply, OUTBOUND),
    "launch": Wire(wire.LaunchForm, OUTBOUND),
    "launch-reply": Wire(wire.LaunchReply),
    "launch-refusal": Wire(wire.LaunchRefusal),
    "games-reply": Wire(wire.GamesReply),
}
