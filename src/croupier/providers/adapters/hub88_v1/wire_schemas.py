"""Which of Hub88's bodies have a JSON Schema in `schemas/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.adapters.hub88_v1 import wire
from croupier.providers.wire_schemas import OUTBOUND, Wire

SCHEMAS: Final[Mapping[str, Wire]] = {
    "user-info": Wire(wire.UserInfoBody),
    "balance": Wire(wire.BalanceBody),
    "bet": Wire(wire.BetBody),
    "win": Wire(wire.WinBody),
    "rollback": Wire(wire.RollbackBody),
    "reply": Wire(wire.ReplyBody, OUTBOUND),
    "launch": Wire(wire.LaunchBody, OUTBOUND),
    "launch-reply": Wire(wire.LaunchReplyBody),
    "game-list": Wire(wire.GameListBody, OUTBOUND),
    "game-list-reply": Wire(list[wire.GameBody]),
    "error": Wire(wire.ErrorBody),
}
