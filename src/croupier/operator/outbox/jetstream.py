"""Publishing events to NATS JetStream: at least once, in the order of each player and so of each session.

Nothing of a player is published before everything earlier of that player is stored, whatever fails in between. That
holds for any number of publishers, so the turn that one of them holds only spares the others the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from croupier.ids import EVENT, render_id
from croupier.operator.outbox.deliver import Tools
from croupier.operator.outbox.jetstream_link import JetStreamLink, LinkLost, MessageRefused
from croupier.operator.outbox.post import make_message
from croupier.operator.outbox.queue import (
    DELIVERED,
    FAILED,
    IN_ORDER,
    TURN_BUCKET,
    Made,
    Waiting,
    claim_turn,
    load_head,
    note_failure,
    note_success,
    release_turn,
    settle_attempts,
)
from croupier.operator.outbox.records import AttemptRecord
from croupier.operator.outbox.settings import NATS

_log = structlog.get_logger("croupier.outbox")

PAGE: Final = 512
"""Most events of one turn."""
TURN_S: Final = 10.0
"""After how long a turn begins nothing new."""
LEASE: Final = timedelta(seconds=30)
"""How long the others wait for a publisher that is gone."""
RENEW_BEFORE: Final = timedelta(seconds=15)
"""How long before its end a publisher renews its lease."""
FIRST_REST_S: Final = 0.5
LONGEST_REST_S: Final = 30.0
HELD_S: Final = 60.0
"""How long a player's events rest when the server refuses one of them."""
MOST_HELD: Final = 1000


class JetStreamPublisher:
    """The publisher of this process; it works while it holds the turn."""

    def __init__(self, link: JetStreamLink, tools: Tools) -> None:
        self._link = link
        self._tools = tools
        self._holder = tools.ids.new(TURN_BUCKET)
        self._ours_until: datetime | None = None
        self._held_until_s: dict[str, float] = {}
        self._rest_s = 0.0
        self._rests_until_s = 0.0
        self._lost: LinkLost | None = None

    async def turn(self) -> bool:
        """Publish what is next; whether there was anything. Raises asyncpg's errors and OSError."""
        if self._now_s() < self._rests_until_s or not await self._hold_turn():
            return False
        waiting = await load_head(self._tools.pool, held=self._held_now(), limit=PAGE)
        if not waiting:
            return False
        self._lost = None
        ended: list[tuple[Waiting, Made]] = []
        try:
            await self._link.open()
        except LinkLost as lost:
            self._lost = lost
        else:
            until_s = self._now_s() + TURN_S
            await asyncio.gather(*(self._publish_chain(chain, until_s, ended) for chain in _chains(waiting)))
        await self._settle(ended)
        return self._lost is None

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def _hold_turn(self) -> bool:
        now = self._tools.now()
        if self._ours_until is not None and now < self._ours_until - RENEW_BEFORE:
            return True
        is_ours = await claim_turn(self._tools.pool, NATS, self._holder, now, lease=LEASE)
        self._ours_until = now + LEASE if is_ours else None
        if not is_ours:
            await self._link.close()
        return is_ours

    def _held_now(self) -> list[str]:
        now_s = self._now_s()
        self._held_until_s = {key: end_s for key, end_s in self._held_until_s.items() if end_s > now_s}
        return list(self._held_until_s)

    async def _publish_chain(
        self, chain: list[Waiting], until_s: float, ended: list[tuple[Waiting, Made]]
    ) -> None:
        """One player's events, each after the one before it was stored; the first that is not ends the chain."""
        for one in chain:
            if self._lost is not None or self._now_s() >= until_s:
                return
            began_s, at = self._now_s(), self._tools.now()
            refused: MessageRefused | None = None
            try:
                await self._link.publish(make_message(render_id(EVENT, one.event_id), one.payload), one.type)
            except LinkLost as lost:
                self._lost = lost
                return
            except MessageRefused as error:
                refused = error
            ended.append((one, _made(one, at, self._now_s() - began_s, refused)))
            if refused is not None:
                self._hold_back(one, refused)
                return

    def _hold_back(self, one: Waiting, refused: MessageRefused) -> None:
        event_id = render_id(EVENT, one.event_id)
        _log.error("event_refused_by_nats", event_id=event_id, type=one.type, error=str(refused))
        if len(self._held_until_s) < MOST_HELD:
            self._held_until_s[one.order_key] = self._now_s() + HELD_S

    async def _settle(self, ended: list[tuple[Waiting, Made]]) -> None:
        pool, now = self._tools.pool, self._tools.now()
        if ended:
            await settle_attempts(pool, NATS, [made for _, made in ended])
        for one, made in ended:
            self._tools.observe(AttemptRecord(NATS, one.type, made.result, made.duration_ms / 1000))
        if any(made.result == DELIVERED for _, made in ended):
            self._rest_s = 0.0
            since = await note_success(pool, NATS, now)
            if since is not None:
                _log.info("nats_recovered", failing_since=since.isoformat())
        if self._lost is not None:
            await self._rest(self._lost, now)

    async def _rest(self, lost: LinkLost, now: datetime) -> None:
        """Leave the server alone for a while, longer each time."""
        self._rest_s = min(LONGEST_REST_S, max(FIRST_REST_S, 2 * self._rest_s))
        self._rests_until_s = self._now_s() + self._rest_s * (0.5 + self._tools.chance() / 2)
        await self._link.close()
        _log.warning("nats_away", error=str(lost), rest_s=self._rest_s)
        await note_failure(self._tools.pool, NATS, str(lost), now)

    async def finish(self) -> None:
        """Give turn and connection back."""
        await self._link.close()
        if self._ours_until is not None:
            await release_turn(self._tools.pool, NATS, self._holder)


def _chains(waiting: Iterable[Waiting]) -> list[list[Waiting]]:
    chains: dict[str, list[Waiting]] = {}
    for one in waiting:
        chains.setdefault(one.order_key, []).append(one)
    return list(chains.values())


def _made(one: Waiting, at: datetime, took_s: float, refused: MessageRefused | None) -> Made:
    return Made(
        bucket=one.bucket,
        event_id=one.event_id,
        fence=one.fence,
        result=DELIVERED if refused is None else FAILED,
        duration_ms=round(took_s * 1000),
        at=at,
        error=None if refused is None else str(refused),
        next_at=None if refused is None else IN_ORDER,
    )
