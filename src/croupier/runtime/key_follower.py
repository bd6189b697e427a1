"""Follows the keys in the database, so that a change is in force on every process within two seconds.

An announcement (NOTIFY) wakes it at once; besides, it looks twice a second, because announcements may be lost. It has
a connection of its own, and makes another when that one is gone or silent. A revocation waits for nothing: keys that
are held already are never read again, and reading new ones happens beside the following.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import structlog

from croupier.governance.keyring import (
    CHANNEL,
    Keyring,
    KeyUse,
    Unusable,
    assemble_keyring,
    insert_key_uses,
    insert_loaded,
    load_key_states,
)
from croupier.governance.keys import KeyFacts
from croupier.runtime.key_uses import KeyUses
from croupier.runtime.provider_keys import KeyReader, read_all
from croupier_signing import Key

_log = structlog.get_logger("croupier.keys")

LOOK_S: Final = 0.5
ANSWER_S: Final = 1.0
"""How long the connection may be silent before another one is made: with a look, less than two seconds."""
TELL_S: Final = 1.0
"""How often a process tells at most what it has seen of the keys."""
READ_AGAIN_S: Final = 5.0
"""How often a secret that could not be read is tried again."""

# InternalClientError is what asyncpg says of a connection that was ended in the middle of an operation.
_LOST: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class KeyFollower:
    """Calls `on_change` with the whole keyring at the start and whenever it is another one, `on_look` every time."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        reader: KeyReader,
        on_change: Callable[[Keyring], None],
        *,
        on_look: Callable[[Keyring], None] = lambda _: None,
        uses: KeyUses | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self._connect = connect
        self._reader = reader
        self._on_change = on_change
        self._on_look = on_look
        self._uses = uses or KeyUses()
        self._look_s = look_s
        self._connection: asyncpg.Connection | None = None
        self._wake = asyncio.Event()
        self._facts: tuple[KeyFacts, ...] = ()
        self._held: dict[str, Key] = {}
        self._unusable: dict[str, Unusable] = {}
        self._is_lost = False
        self._read_after_s = 0.0
        self._tell_after_s = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._untold: tuple[list[str], list[Unusable]] = ([], [])
        self._unsent: list[KeyUse] = []
        self.keyring = Keyring()

    async def start(self) -> Keyring:
        """The first keyring, every secret read; raises what connecting and loading raise."""
        connection = await self._listen()
        self._facts = await load_key_states(connection)
        await self._read(self._missing())
        return self.keyring

    async def run(self) -> None:
        """Follow until cancelled. A database that is away is looked for again and again."""
        try:
            while True:
                await self._pause()
                await self._look_guarded()
        finally:
            if self._reading is not None:
                self._reading.cancel()
            self._hang_up()

    async def finish(self) -> None:
        """Tell what was counted last, at the end of a process that still has its database."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._tell(self._connection or await self._listen())
        except _LOST as error:
            _log.warning("key_uses_not_told", error=repr(error))
        self._hang_up()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._look_s)
        except TimeoutError:
            return
        self._wake.clear()

    async def _look_guarded(self) -> None:
        """Look; on another connection at once when the one there was is lost."""
        is_fresh = self._connection is None
        try:
            await self._look_in_time()
        except _LOST as error:
            if not self._is_lost:
                _log.warning("keys_not_followed", error=repr(error), action="connecting again")
            self._is_lost = is_fresh
            self._hang_up()
            if not is_fresh:
                await self._look_guarded()

    async def _look_in_time(self) -> None:
        connection = self._connection or await self._listen()
        async with asyncio.timeout(ANSWER_S):
            await self._look(connection)
        self._is_lost = False

    async def _look(self, connection: asyncpg.Connection) -> None:
        facts = await load_key_states(connection)
        if facts != self._facts:
            self._facts = facts
            self._publish()
        self._on_look(self.keyring)
        self._begin_to_read()
        if time.monotonic() >= self._tell_after_s or any(self._untold):
            await self._tell(connection)

    async def _listen(self) -> asyncpg.Connection:
        connection = await self._connect()
        self._connection = connection
        connection.add_termination_listener(self._heard)
        await connection.add_listener(CHANNEL, self._heard)
        return connection

    def _heard(self, *_: Any) -> None:
        self._wake.set()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _publish(self) -> None:
        living = {key.key_id for key in self._facts if not key.is_revoked}
        self._held = {key_id: key for key_id, key in self._held.items() if key_id in living}
        self._unusable = {key_id: one for key_id, one in self._unusable.items() if key_id in living}
        self.keyring = assemble_keyring(self._facts, self._held, self._unusable.values())
        self._on_change(self.keyring)

    def _missing(self) -> list[KeyFacts]:
        """Keys not held; one that failed is tried again only after a while."""
        is_due = time.monotonic() >= self._read_after_s
        return [
            key
            for key in self._facts
            if not key.is_revoked
            and key.key_id not in self._held
            and (is_due or key.key_id not in self._unusable)
        ]

    def _begin_to_read(self) -> None:
        if self._reading is not None and not self._reading.done():
            return
        if self._reading is not None:
            self._reading.result()
        if missing := self._missing():
            self._reading = asyncio.create_task(self._read(missing))

    async def _read(self, missing: Sequence[KeyFacts]) -> None:
        held, unusable = await asyncio.to_thread(read_all, self._reader, missing)
        self._read_after_s = time.monotonic() + READ_AGAIN_S
        for one in unusable:
            _log.error("key_unusable", provider=one.provider, key_id=one.key_id, because=one.because)
        self._held |= held
        self._unusable = {k: v for k, v in self._unusable.items() if k not in held}
        self._unusable |= {one.key_id: one for one in unusable}
        self._untold = ([*self._untold[0], *held], [*self._untold[1], *unusable])
        self._publish()
        self._wake.set()

    async def _tell(self, connection: asyncpg.Connection) -> None:
        """Tell what was seen; what could not be told is kept, and told the next time."""
        (loaded, unusable), self._untold = self._untold, ([], [])
        self._unsent += self._uses.take()
        try:
            if loaded or unusable:
                await insert_loaded(connection, loaded, unusable, datetime.now(UTC))
            if self._unsent:
                await insert_key_uses(connection, merge_uses(self._unsent))
        except (*_LOST, asyncio.CancelledError):
            self._untold = ([*loaded, *self._untold[0]], [*unusable, *self._untold[1]])
            raise
        self._unsent = []
        self._tell_after_s = time.monotonic() + TELL_S


def merge_uses(uses: Sequence[KeyUse]) -> list[KeyUse]:
    """One use for each key: counts added, the later of the times."""
    merged: dict[str, KeyUse] = {}
    for use in uses:
        before = merged.get(use.key_id, KeyUse(use.key_id, None, None, 0, 0))
        merged[use.key_id] = KeyUse(
            use.key_id,
            _later(before.last_seen_ok, use.last_seen_ok),
            _later(before.last_seen_refused, use.last_seen_refused),
            before.ok + use.ok,
            before.refused + use.refused,
        )
    return list(merged.values())


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
