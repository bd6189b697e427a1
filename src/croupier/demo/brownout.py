"""A provider that cannot open games for a while: it is left alone, the others are not touched, and it comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import asyncpg
from msgspec import Struct, field

from croupier.demo.platform import Platform
from croupier.demo.providers import choose_providers, game_of
from croupier.demo.settings import NATIVE, DemoProvider
from croupier.demo.studio import DemoFailed, Studio
from croupier.providers.breakers.store import load_changes

One = TypeVar("One")
Other = TypeVar("Other")
GAME: Final = "dice"
MOST_TRIES: Final = 60
REFUSED_AFTER: Final = 20
"""How many openings are tried at the provider once its breaker is open."""
BESIDE: Final = 20
"""How many are tried at another provider, one after the other: before, while it fails, and once its breaker is open."""
LONGEST_S: Final = 60.0
ATTEMPTS: Final = 2
"""A call that is let through to see whether the provider is back may be tried twice."""
PAUSE_S: Final = 0.25
HEARD_S: Final = 3.0
"""Until then every process has heard that a breaker is open."""


class Brownout(Struct, frozen=True, kw_only=True):
    """What became of openings: those that reached the sick provider and failed, those that were held back.

    `calls_while_open` reached the provider although its breaker was open; `others_opened` of `others_tried` were opened
    at another provider meanwhile, and took `others_us` each, in microseconds, `others_before_us` before anybody was
    sick and as much was asked for. `changes` is the breaker's history, oldest first.
    """

    provider: str
    failed: int
    held_back: int
    calls_while_open: int
    others_tried: int
    others_opened: int
    others_before_us: tuple[int, ...]
    others_us: tuple[int, ...]
    recovered_in_s: float
    changes: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What should not have been, in words."""
        found = []
        if self.calls_while_open:
            found.append(f"{self.calls_while_open} calls were made while the breaker was open")
        if self.others_opened != self.others_tried:
            found.append(f"{self.others_tried - self.others_opened} games of another provider did not open")
        if not self.held_back:
            found.append("nothing was held back")
        return tuple(found)


class _Lobby:
    """Players who try to open games; every session that came of it is closed at the end."""

    def __init__(self, platform: Platform, run: str) -> None:
        self._platform = platform
        self._run = run
        self._tries = 0
        self.opened: list[str] = []

    async def try_game(self, provider: DemoProvider) -> tuple[int, dict[str, Any]]:
        """Status and body of one opening."""
        self._tries += 1
        body = {
            "player_id": f"brownout-{self._run}-{self._tries}",
            "game_id": game_of(provider, GAME),
            "asset": provider.assets[-1].code,
            "country": "MT",
        }
        status, document = await self._platform.try_session(body)
        if status == 201:
            self.opened.append(document["session_id"])
        return status, document

    async def leave(self) -> None:
        """Close what was opened: nothing was played, so it is cancelled."""
        for session_id in self.opened:
            await self._platform.close_session(session_id)


def choose_sick() -> DemoProvider:
    """Who is to be sick: another one than the native account, if there is any."""
    return next((one for one in choose_providers() if one is not NATIVE), NATIVE)


async def brown_out(platform: Platform, studio: Studio, connection: asyncpg.Connection, run: str) -> Brownout:
    """Let a provider fail its launches until it is left alone, try on, let it recover. Raises DemoFailed."""
    sick, lobby = choose_sick(), _Lobby(platform, run)
    well = NATIVE if sick is not NATIVE else None
    try:
        before = await _both(_open_beside(lobby, well), _open_beside(lobby, well))
        await studio.fail_launches(sick.id, seconds=int(LONGEST_S))
        _, while_failing = await _both(_until_refused(lobby, sick), _open_beside(lobby, well))
        await asyncio.sleep(HEARD_S)
        failed = await studio.count_failed_launches(sick.id)
        refused, while_open = await _both(_open_refused(lobby, sick), _open_beside(lobby, well))
        probed = await _count_probes(connection, sick.id)
        calls = await studio.count_failed_launches(sick.id) - failed
        await studio.mend_launches(sick.id)
        began = time.monotonic()
        await _until_opened(lobby, sick)
        recovered_in_s = round(time.monotonic() - began, 3)
        changes = await load_changes(connection, sick.id, 100)
    finally:
        await lobby.leave()
    return Brownout(
        provider=sick.id,
        failed=failed,
        held_back=_count(refused, 503, "provider_unavailable"),
        calls_while_open=max(0, calls - probed * ATTEMPTS),
        others_tried=len(while_failing.took_us) + len(while_open.took_us),
        others_opened=while_failing.opened + while_open.opened,
        others_before_us=(*before[0].took_us, *before[1].took_us),
        others_us=(*while_failing.took_us, *while_open.took_us),
        recovered_in_s=recovered_in_s,
        changes=tuple(f"{one.from_state} → {one.to_state}: {one.reason}" for one in reversed(changes)),
    )


class _Beside(Struct):
    """Openings at another provider: how many there were, and how long each try took, in microseconds."""

    opened: int = 0
    took_us: list[int] = field(default_factory=list)


async def _open_beside(lobby: _Lobby, well: DemoProvider | None) -> _Beside:
    seen = _Beside()
    if well is None:
        return seen
    for _ in range(BESIDE):
        began = time.perf_counter_ns()
        status, _document = await lobby.try_game(well)
        seen.took_us.append((time.perf_counter_ns() - began) // 1_000)
        seen.opened += status == 201
    return seen


async def _open_refused(lobby: _Lobby, sick: DemoProvider) -> list[tuple[int, dict[str, Any]]]:
    return [await lobby.try_game(sick) for _ in range(REFUSED_AFTER)]


async def _both(first: Coroutine[Any, Any, One], second: Coroutine[Any, Any, Other]) -> tuple[One, Other]:
    """Both at once, and both to their end, so that nothing is opened any more when games are closed."""
    at_work = asyncio.create_task(second)
    try:
        return await first, await at_work
    finally:
        await asyncio.wait([at_work])


async def _until_refused(lobby: _Lobby, sick: DemoProvider) -> None:
    for _ in range(MOST_TRIES):
        status, document = await lobby.try_game(sick)
        if status == 503 and document["code"] == "provider_unavailable":
            return
    raise DemoFailed(f"{sick.id} failed {MOST_TRIES} launches and is called on and on")


async def _until_opened(lobby: _Lobby, sick: DemoProvider) -> None:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        status, document = await lobby.try_game(sick)
        if status == 201 and document["state"] == "launched":
            return
        await asyncio.sleep(PAUSE_S)
    raise DemoFailed(f"{sick.id} is well again and is still not called after {LONGEST_S:.0f} s")


async def _count_probes(connection: asyncpg.Connection, provider: str) -> int:
    """How many calls were let through to see whether the provider is back, at most."""
    changes = await load_changes(connection, provider, 100)
    return sum(one.cause == "probes_began" for one in changes)


def _count(answers: Sequence[tuple[int, dict[str, Any]]], status: int, code: str) -> int:
    return sum(one == status and document.get("code") == code for one, document in answers)
