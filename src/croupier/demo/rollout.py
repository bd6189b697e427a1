"""A rollout from nobody to everybody and back: who is sent to the account that takes over, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.demo.platform import Platform
from croupier.demo.providers import game_of
from croupier.demo.settings import COUNTRY, NATIVE, SUCCESSOR
from croupier.demo.studio import DemoFailed
from croupier.governance.flags.history import Cause
from croupier.governance.flags.known import ROLLOUT
from croupier.governance.flags.rules import Target
from croupier.governance.flags.shares import render_share
from croupier.governance.flags.store import Act, Changed, change_rule, roll_back
from croupier.ids import IdSource

PLAYERS: Final = 20
IN_FORCE_S: Final = 2.0
"""Until then a change is in force on every process."""
NOBODY: Final = 0
SOME: Final = 4_000
EVERYBODY: Final = 10_000

Change = Callable[[Act], Awaitable[Changed]]


class Share(Struct, frozen=True, kw_only=True):
    """One step: the share in basis points, and how many of the same players were opened where."""

    share_bps: int
    tried: int
    moved: int


class Rolled(Struct, frozen=True, kw_only=True):
    """Every step in order; `strayed` were at the successor at a smaller share and not at a larger one."""

    successor: str
    steps: tuple[Share, ...]
    strayed: int

    @property
    def faults(self) -> tuple[str, ...]:
        """What should not have been, in words."""
        wrong = [
            f"at {render_share(one.share_bps)} {one.moved} of {one.tried} players went to {self.successor}"
            for one in self.steps
            if (one.share_bps == NOBODY and one.moved)
            or (one.share_bps == EVERYBODY and one.moved != one.tried)
        ]
        return (*wrong, *((f"{self.strayed} players went to and fro",) if self.strayed else ()))


async def roll_out(platform: Platform, connection: asyncpg.Connection, run: str) -> Rolled:
    """From 0 to 100 % and back by rollbacks, with openings of the same players at each step. Raises DemoFailed."""
    target = Target(flag=ROLLOUT.name, provider=SUCCESSOR.id)

    def to(share_bps: int) -> Change:
        return lambda act: change_rule(connection, target, share_bps, act)

    def back(act: Act) -> Awaitable[Changed]:
        return roll_back(connection, target, act)

    steps, sent = [], []
    for change, cause in (
        (to(SOME), Cause.MANUAL),
        (to(EVERYBODY), Cause.MANUAL),
        *((back, Cause.ROLLBACK),) * 2,
    ):
        done = await change(_act(cause))
        await asyncio.sleep(IN_FORCE_S)
        moved = await _open_all(platform, run)
        sent.append(moved)
        steps.append(Share(share_bps=done.after.share_bps or NOBODY, tried=PLAYERS, moved=len(moved)))
    return Rolled(
        successor=SUCCESSOR.id, steps=tuple(steps), strayed=len((sent[0] - sent[1]) | (sent[0] ^ sent[2]))
    )


def _act(cause: Cause) -> Act:
    return Act(ids=IdSource(), now=datetime.now(UTC), actor="demo", reason="the demo's rollout", cause=cause)


async def _open_all(platform: Platform, run: str) -> set[str]:
    """The players whose sessions were opened at the successor; all of them are closed again."""
    moved = set()
    for number in range(PLAYERS):
        body: dict[str, Any] = {
            "player_id": f"rollout-{run}-{number}",
            "game_id": game_of(NATIVE, "dice"),
            "asset": NATIVE.assets[-1].code,
            "country": COUNTRY,
        }
        status, session = await platform.try_session(body)
        if status != 201:
            raise DemoFailed(f"a game did not open during the rollout: {status} {session.get('detail')}")
        if session["provider"] == SUCCESSOR.id:
            moved.add(body["player_id"])
        await platform.close_session(session["session_id"])
    return moved
