"""Processes with lanes of their own on one wallet: exact totals whoever is first (I1, I2, I7, FT10, FT34, FT41)."""

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from hammer import Answered, Orders
from lane_desk import Seat, balance_of, open_desk, read_value, require_sound_books

HAMMER = Path(__file__).with_name("hammer.py")
DEADLINE_S = 60
Process = asyncio.subprocess.Process
WaitUntil = Callable[..., Awaitable[None]]


@asynccontextmanager
async def hammering(
    url: str, seat: Seat, references: list[str], *, batch: int = 32
) -> AsyncIterator[Process]:
    """A process that has connected and waits for `go`; it is gone at the end of the block."""
    orders = Orders(url, seat.player_id, seat.session_id, references, batch)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HAMMER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def read_line(process: Process, *, until: str = "") -> bytes:
    """The next line; log lines of the lanes come before it."""
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        while line := await process.stdout.readline():
            if line.startswith((b"[{", b"ready")):
                return line
    raise AssertionError(f"the process ended with {await process.wait()}")


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def answers_of(processes: list[Process]) -> list[list[Answered]]:
    """Let them go together; what each of them was answered."""
    for process in processes:
        assert await read_line(process) == b"ready\n"
    for process in processes:
        go(process)
    lines = await asyncio.gather(*(read_line(process) for process in processes))
    return [msgspec.json.decode(line, type=list[Answered]) for line in lines]


async def race(
    url: str, seats: list[Seat], plans: list[list[str]], *, batch: int = 32
) -> list[list[Answered]]:
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(hammering(url, seat, plan, batch=batch))
            for seat, plan in zip(seats, plans, strict=True)
        ]
        return await answers_of(processes)


async def test_the_same_bets_from_four_processes_happen_once_each(database_url: str) -> None:
    names = [f"bet-{number}" for number in range(150)]
    plans = [random.Random(process).sample(names * 2, 300) for process in range(4)]
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1", purse=1_000)
    answers = [one for group in await race(database_url, [seat] * 4, plans) for one in group]
    assert len(answers) == 4 * 300
    assert {one.code for one in answers} == {"ok"}
    originals = [one.reference for one in answers if not one.is_repeat]
    assert Counter(originals) == Counter(names), "each reference has one original answer among all processes"
    effects = {(one.reference, one.journal_id, one.balance) for one in answers}
    assert len(effects) == 150, "every repeat equals its original"
    assert sorted(balance for _, _, balance in effects if balance is not None) == list(range(850, 1_000))
    assert await balance_of(database_url, "player-1") == 850
    assert await read_value(database_url, "SELECT count(*) FROM journal_entry WHERE kind = 'bet'") == 150
    await require_sound_books(database_url)


async def test_the_last_cent_of_a_hot_wallet_is_spent_once(database_url: str) -> None:
    """500 bets of 1 on a balance of 100, half of them in each process, in sessions of their own (FT34).

    One session would not do: the numbers of its events alone would make the processes wait for each other.
    """
    plans = [[f"bet-{process}-{number}" for number in range(250)] for process in range(2)]
    async with open_desk(database_url) as desk:
        one = await desk.seat("player-1", purse=100)
        seats = [one, await desk.another_session(one.player_id)]
    groups = await race(database_url, seats, plans, batch=8)
    answers = [one for group in groups for one in group]
    assert Counter(one.code for one in answers) == {"ok": 100, "insufficient_funds": 400}
    assert not any(one.is_repeat for one in answers)
    assert sorted(one.balance for one in answers if one.code == "ok" and one.balance is not None) == list(
        range(100)
    )
    assert {one.balance for one in answers if one.code != "ok"} == {0}
    assert await balance_of(database_url, "player-1") == 0
    await require_sound_books(database_url)


async def test_a_process_that_was_stopped_under_load_goes_on_without_a_second_effect(
    database_url: str, wait_until: WaitUntil
) -> None:
    """SIGSTOP with the wallet perhaps in hand, SIGCONT once the other process has done all it could (FT41)."""
    names = [f"bet-{number}" for number in range(400)]
    decided = "SELECT count(*) FROM money_reference WHERE status = 'approved' AND reference LIKE 'bet-%'"
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1", purse=1_000)
    async with (
        hammering(database_url, seat, names, batch=4) as stopped,
        hammering(database_url, seat, names[::-1], batch=4) as other,
    ):
        for process in (stopped, other):
            assert await read_line(process) == b"ready\n"
        go(stopped)
        await wait_until(lambda: has_decided(database_url, decided, 20))
        stopped.send_signal(signal.SIGSTOP)
        go(other)
        # When the stopped one holds the wallet, the other gets its errors only after the lock timeout: no need to wait.
        await wait_until(lambda: has_arrived(database_url))
        stopped.send_signal(signal.SIGCONT)
        lines = await asyncio.gather(read_line(stopped), read_line(other))
    answers = [one for line in lines for one in msgspec.json.decode(line, type=list[Answered])]
    assert {one.code for one in answers} == {"ok"}
    assert sorted(one.reference for one in answers if not one.is_repeat) == sorted(names)
    assert await balance_of(database_url, "player-1") == 600
    await require_sound_books(database_url)


async def has_decided(url: str, sql: str, count: int) -> bool:
    return int(await read_value(url, sql)) >= count


async def has_arrived(url: str) -> bool:
    """Whether the other process has either decided bets of its own or waits for the wallet."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    last = "SELECT count(*) FROM money_reference WHERE reference IN ('bet-399', 'bet-398')"
    return bool(await read_value(url, waiting)) or bool(await read_value(url, last))
