"""`kill -9` of workers and PostgreSQL under load, at random moments: no acknowledgement is lost (I1-I5, FT1, FT3)."""

import contextlib
import os
import random
import secrets
import signal
import socket
from collections import Counter

from crash_books import (
    read_book,
    require_all_final,
    require_balances,
    require_everything_acknowledged,
    require_sound_books,
)
from crash_load import CrashLoad
from crash_site import CrashSite, until

WORKER_KILLS = 13
DATABASE_KILLS = 8
PAUSES = 2
PROGRESS_S = 40.0


async def test_nothing_acknowledged_is_missing_after_workers_and_database_were_killed_twenty_times(
    site: CrashSite,
) -> None:
    seed = int(os.environ.get("CROUPIER_CRASH_SEED", "0")) or secrets.randbits(32)
    print(f"CROUPIER_CRASH_SEED={seed} repeats this schedule")
    source = random.Random(seed)
    await site.serve()
    async with site.sandbox_process(seed=seed), CrashLoad(site, players=8) as load:
        load.start()
        done = await wreak_havoc(site, load, source)
        await load.stop()
        book = await read_book(load.http, site.sandbox)
        connection = await site.connect()
        try:
            await require_sound_books(connection)
            await require_everything_acknowledged(connection, book)
            await require_balances(connection, book, load.deposited)
            await require_all_final(connection)
        finally:
            await connection.close()
    assert done == {"worker": WORKER_KILLS, "database": DATABASE_KILLS, "pause": PAUSES}
    assert len(book) > 500, "there was load"
    faults = [fault for report in load.reports for fault in report["wrong"]]
    assert faults == [], "every repeat equalled its original, every attack got its refusal"


async def test_a_database_that_comes_back_finds_its_workers_although_its_port_was_taken(
    site: CrashSite,
) -> None:
    """Between the crash and the new start any connection of this machine may be given the port."""
    await site.serve()
    async with site.sandbox_process(), CrashLoad(site, players=2) as load:
        load.start()
        await progress(load, 20, "load")
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port, pid = site.database_port(), site.postmaster_pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: takes(thief, port), "the port is free", within_s=5)
            await until(
                lambda: "database_died" in site.log_tail(), "the crash is noticed", within_s=PROGRESS_S
            )
            await until(lambda: is_up_or_refused(site), "a start was tried", within_s=PROGRESS_S)
        await progress(load, 20, "load after the port was given back")
        await load.stop()


def takes(thief: socket.socket, port: int) -> bool:
    with contextlib.suppress(OSError):
        thief.bind(("127.0.0.1", port))
        thief.listen()
        return True
    return False


def is_up_or_refused(site: CrashSite) -> bool:
    return site.postmaster_pid() is not None or "database_does_not_start" in site.log_tail()


async def wreak_havoc(site: CrashSite, load: CrashLoad, source: random.Random) -> Counter[str]:
    """Kill in random order, each time after a random number of further acknowledgements."""
    plan = ["worker"] * WORKER_KILLS + ["database"] * DATABASE_KILLS + ["pause"] * PAUSES
    source.shuffle(plan)
    done: Counter[str] = Counter()
    for what in plan:
        await progress(load, source.randint(5, 30), f"load before a {what} kill; so far {dict(done)}")
        if what == "database":
            await kill_database(site)
        elif what == "worker":
            await kill_worker(site, source)
        else:
            await pause_worker(site, load, source)
        done[what] += 1
    await progress(load, 30, f"load after the last of {dict(done)}")
    return done


async def progress(load: CrashLoad, further: int, what: str) -> None:
    """Wait until so many more decisions were acknowledged."""
    wanted = await load.acknowledged() + further

    async def has_come() -> bool:
        return await load.acknowledged() >= wanted

    await until(has_come, what, within_s=PROGRESS_S)


async def kill_worker(site: CrashSite, source: random.Random) -> None:
    await until(site.worker_pids, "a worker runs", within_s=PROGRESS_S)
    os.kill(source.choice(site.worker_pids()), signal.SIGKILL)


async def kill_database(site: CrashSite) -> None:
    await until(site.postmaster_pid, "the database runs", within_s=PROGRESS_S)
    pid = site.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(
        lambda: site.postmaster_pid() not in (None, pid), "the database is started again", within_s=PROGRESS_S
    )


async def pause_worker(site: CrashSite, load: CrashLoad, source: random.Random) -> None:
    """SIGSTOP, let the others go on, SIGCONT (FT41): it wakes up with whatever it held."""
    await until(lambda: len(site.worker_pids()) > 1, "two workers run", within_s=PROGRESS_S)
    pid = source.choice(site.worker_pids())
    os.kill(pid, signal.SIGSTOP)
    try:
        await progress(load, 5, "load beside a stopped worker")
    finally:
        os.kill(pid, signal.SIGCONT)
