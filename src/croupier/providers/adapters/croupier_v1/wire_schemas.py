"""Which bodies of the native protocol have a JSON Schema in `schemas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.adapters.croupier_v1 import wire
from croupier.providers.wire_schemas import OUTBOUND, Wire

SCHEMAS: Final[Mapping[str, Wire]] = {
    "balance": Wire(wire.BalanceBody),
    "bet": Wire(wire.BetBody),
    "win": Wire(wire.WinBody),
    "bet-win": Wire(wire.BetWinBody),
    "rollback": Wire(wire.RollbackBody),
    "close-round": Wire(wire.CloseRoundBody),
    "reply": Wire(wire.ReplyBody, OUTBOUND),
    "bet-win-reply": Wire(wire.BetWinReplyBody, OUTBOUND),
    "notice": Wire(wire.NoticeBody),
    "round-completed": Wire(wire.RoundCompletedData),
    "round-rolled-back": Wire(wire.RoundRolledBackData),
    "jackpot-won": Wire(wire.JackpotWonData),
    "session-closed": Wire(wire.SessionClosedData),
    "statement-ready": Wire(wire.StatementReadyData),
    "launch": Wire(wire.LaunchBody, OUTBOUND),
    "launch-reply": Wire(wire.LaunchReplyBody),
}
