"""What goes wrong with the operator's wallet while players play: faults all along, and a time in which it is away.

It goes as services do: for a while it says that it is unavailable, then it closes every connection.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Final

import aiohttp
import asyncpg
from msgspec import Struct

from croupier.demo.own_wallet import WalletPlatform
from croupier.demo.providers import game_of
from croupier.demo.settings import COUNTRY, NATIVE, WALLET_FAULTS, WALLET_LATE_MS
from croupier.demo.studio import DemoFailed
from croupier.demo.wallet_service import WalletService
from croupier.errors import WALLET_UNANSWERED, WALLET_UNAVAILABLE
from croupier.runtime.database import connect_app
from croupier.runtime.statements import load_statements
from croupier.wallet.port import BREAKER_OPEN

_SQL: Final = load_statements("croupier/demo/wallet_proofs.sql")
HELD_BACK_S: Final = 40.0
"""How long openings of games may reach the wallet once it is unavailable, before its breaker holds them back."""
LAUNCH_EVERY_S: Final = 0.1
LAUNCHES_AFTER: Final = 5
"""How many more are tried then."""
AWAY_S: Final = 2.0
"""How long the wallet stays away after that, at least, so that debits and credits meet it."""
QUEUED_S: Final = 4.0
"""How long it stays away at most for a credit to come that has to wait."""
DRAINED_S: Final = 60.0
RECOVERED_S: Final = 30.0
RECOVERED: Final = 3
"""So many launches in a row say that the wallet is asked again."""
ASKED_S: Final = 5.0
FEWEST_ASKED: Final = 4
"""So many calls under way at once are some of each worker."""
SLOW_MS: Final = 100
GAME: Final = "dice"
UNAVAILABLE: Final = {
    "unavailable": {"percent": 100, "operations": ["debit", "credit", "rollback", "status", "balance"]}
}
POLL_S: Final = 0.05
_REFUSED: Final = re.compile(
    r'^croupier_wallet_commands_total\{action="(?:bet|bet_win|betwin|debit)",[^}]*'
    rf'outcome="(?:{WALLET_UNAVAILABLE.code}|{WALLET_UNANSWERED.code})",[^}}]*\}} ([0-9]+)',
    re.MULTILINE,
)

Tell = Callable[[str], None]


class Launch(StrEnum):
    """What became of an opening while the wallet was away: `held_back` when it was not even asked."""

    REFUSED = "refused"
    HELD_BACK = "held_back"
    OTHER = "other"


class WalletOutage(Struct, frozen=True, kw_only=True):
    """A time in which the wallet was away, in seconds from its beginning.

    `queued` are the calls that waited when it came back, in the order in which they were asked; the breaker had opened
    `opened_in_s` after it went. `launches_held_back` of the refused launches never reached the wallet.
    """

    queued: tuple[str, ...]
    launches_tried: int
    launches_refused: int
    launches_held_back: int
    debits_refused: int
    opened_in_s: float
    away_s: float
    drained_in_s: float


class WalletTrouble:
    """Makes the wallet misbehave. Its connections are its own, because it works while others do."""

    def __init__(
        self,
        wallet: WalletService,
        platform: WalletPlatform,
        *,
        database_url: str,
        metrics_url: str,
        run: str,
        seed: int,
        tell: Tell,
    ) -> None:
        self._wallet = wallet
        self._platform = platform
        self._database_url = database_url
        self._metrics_url = metrics_url
        self._run = run
        self._seed = seed
        self._tell = tell
        self._going: asyncio.Task[WalletOutage] | None = None
        self._launches = 0
        self.asked_when_killed = 0

    async def begin(self) -> None:
        """From now on the wallet misbehaves."""
        await self._wallet.control(faults=WALLET_FAULTS, late_ms=WALLET_LATE_MS, seed=str(self._seed))

    async def calm(self) -> None:
        """From now on it behaves."""
        await self._wallet.control(faults=dict.fromkeys(WALLET_FAULTS, 0), latency_ms=0, is_down=False)

    async def recover(self) -> None:
        """Let it behave, and wait until games open again. Raises DemoFailed when they do not."""
        await self.come_back()
        await self.calm()
        opened = 0

        async def open_one() -> bool:
            nonlocal opened
            opened = opened + 1 if await self._try_launch() is Launch.OTHER else 0
            return opened >= RECOVERED

        await _until(open_one, RECOVERED_S, "the wallet is well and is still not asked")

    def go_away(self) -> None:
        """Let it be away for a while from now on."""
        if self._going is None:
            self._tell("the operator's wallet is unavailable, and then away")
            self._going = asyncio.create_task(self._go_away())

    async def come_back(self) -> WalletOutage | None:
        """Wait until it is back, if it ever was away. Raises DemoFailed."""
        return None if self._going is None else await self._going

    async def until_asked(self) -> None:
        """Wait until the wallet has questions of every worker, as far as anybody asks at all."""
        await self.come_back()
        connection = await connect_app(self._database_url)
        try:
            await self._wallet.control(latency_ms=SLOW_MS)
            deadline = time.monotonic() + ASKED_S
            while time.monotonic() < deadline:
                self.asked_when_killed = await connection.fetchval(_SQL["asked_calls"].sql)
                if self.asked_when_killed >= FEWEST_ASKED:
                    return
                await asyncio.sleep(POLL_S / 10)
        finally:
            await connection.close()

    async def be_quick(self) -> None:
        """Answer without delay again."""
        await self._wallet.control(latency_ms=0)

    async def _go_away(self) -> WalletOutage:
        connection = await connect_app(self._database_url)
        try:
            return await self._be_away(connection)
        finally:
            # Whatever came of it: players wait for their wallet.
            await self.calm()
            await connection.close()

    async def _be_away(self, connection: asyncpg.Connection) -> WalletOutage:
        refused = await self._count_refused()
        began_s = time.monotonic()
        await self._wallet.control(faults=dict.fromkeys(WALLET_FAULTS, 0) | UNAVAILABLE)
        launches = await self._try_until_held_back()
        await self._wallet.control(is_down=True)
        opened_s = time.monotonic()
        launches += [await self._try_launch() for _ in range(LAUNCHES_AFTER)]
        queued = await self._until_queued(connection, opened_s)
        refused = await self._count_refused() - refused
        back_s = time.monotonic()
        # It comes back from a restart, well for now: whether it is tried again must not depend on a chance.
        await self.calm()
        self._tell(f"the operator's wallet is back: {len(queued)} calls to it have waited")
        await _until(lambda: _is_drained(connection, queued), DRAINED_S, "what waited is not delivered")
        drained_s = time.monotonic()
        await self.begin()
        return WalletOutage(
            queued=queued,
            launches_tried=len(launches),
            launches_refused=len(launches) - launches.count(Launch.OTHER),
            launches_held_back=launches.count(Launch.HELD_BACK),
            debits_refused=refused,
            opened_in_s=round(opened_s - began_s, 3),
            away_s=round(back_s - began_s, 3),
            drained_in_s=round(drained_s - back_s, 3),
        )

    async def _try_until_held_back(self) -> list[Launch]:
        """What became of openings of games until the wallet was left alone. Raises DemoFailed when it never is."""
        deadline = time.monotonic() + HELD_BACK_S
        tried = [await self._try_launch()]
        while Launch.HELD_BACK not in tried:
            if time.monotonic() > deadline:
                raise DemoFailed(f"the wallet is unavailable and is asked on and on, {len(tried)} times")
            await asyncio.sleep(LAUNCH_EVERY_S)
            tried.append(await self._try_launch())
        return tried

    async def _try_launch(self) -> Launch:
        self._launches += 1
        body: dict[str, Any] = {
            "player_id": f"outage-{self._run}-{self._launches}",
            "game_id": game_of(NATIVE, GAME),
            "asset": NATIVE.assets[-1].code,
            "country": COUNTRY,
        }
        status, answer = await self._platform.try_session(body)
        if status == 201:
            await self._platform.close_session(answer["session_id"])
        if answer.get("code") != WALLET_UNAVAILABLE.code:
            return Launch.OTHER
        # The wallet's own silence has a reason; that it is not asked at all has none, or the breaker's name.
        is_held_back = answer.get("reason") in (None, BREAKER_OPEN)
        return Launch.HELD_BACK if is_held_back else Launch.REFUSED

    async def _until_queued(self, connection: asyncpg.Connection, opened_s: float) -> tuple[str, ...]:
        while True:
            queued = [row["name"] for row in await connection.fetch(_SQL["queued_calls"].sql)]
            away_s = time.monotonic() - opened_s
            if away_s >= QUEUED_S or (queued and away_s >= AWAY_S):
                return tuple(queued)
            await asyncio.sleep(POLL_S)

    async def _count_refused(self) -> int:
        """How many bets were refused since the start because of the wallet, by all workers' own count."""
        async with aiohttp.ClientSession() as http, http.get(self._metrics_url) as reply:
            return sum(map(int, _REFUSED.findall(await reply.text())))


async def _is_drained(connection: asyncpg.Connection, queued: tuple[str, ...]) -> bool:
    waiting: int = await connection.fetchval(_SQL["open_among"].sql, list(queued))
    return waiting == 0


async def _until(look: Callable[[], Awaitable[bool]], longest_s: float, otherwise: str) -> None:
    """Look until it is so. Raises DemoFailed with `otherwise` after so many seconds."""
    deadline = time.monotonic() + longest_s
    while not await look():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{otherwise} after {longest_s:.0f} s")
        await asyncio.sleep(POLL_S)
