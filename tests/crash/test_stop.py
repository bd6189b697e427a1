"""SIGTERM under load loses no answer; a killed supervisor leaves no worker behind (I3, FT2, FT41)."""

import os
import signal
from typing import Any

from crash_books import require_sound_books
from crash_caller import CALLERS, CrashCaller, Told
from crash_site import DRAIN_S, GONE_S, CrashSite, command_line, until

PURSE = 1_000_000
LOAD_S = 30.0
ENOUGH = 150


async def open_seat(site: CrashSite) -> dict[str, Any]:
    """A player with money and a launched session."""
    async with site.sandbox_process(), site.platform() as platform:
        await platform.deposit("player-1", "EUR", PURSE, "deposit-1")
        return await platform.open_session("player-1", "dice", "EUR", "MT")


async def require_all_kept(site: CrashSite, session: dict[str, Any], acknowledged: list[Told]) -> None:
    """Every acknowledged bet is a repeat of the same answer now, and the wallet tells of no bet that nobody sent."""
    async with CrashCaller(site, session) as again:
        for told in acknowledged:
            repeated = await again.bet(told.reference)
            assert repeated.document == {**told.document, "repeat": True}
        last = await again.bet("after-everything")
        assert last.document["repeat"] is False
    connection = await site.connect()
    try:
        await require_sound_books(connection)
        bets = await connection.fetchval("SELECT count(*) FROM journal_entry WHERE kind = 'bet'")
    finally:
        await connection.close()
    assert last.document["balance"]["amount"] == str(PURSE - bets)
    # A request whose connection ended may have been decided; one of every caller at most.
    assert len(acknowledged) + 1 <= bets <= len(acknowledged) + 1 + CALLERS


async def test_sigterm_under_load_answers_what_was_accepted_and_ends_in_time(site: CrashSite) -> None:
    supervisor = await site.serve()
    session = await open_seat(site)
    async with CrashCaller(site, session) as caller:
        caller.start()
        await until(lambda: len(caller.acknowledged) >= ENOUGH, "load", within_s=LOAD_S)
        supervisor.send_signal(signal.SIGTERM)
        await until(lambda: supervisor.returncode is not None, "the end of the supervisor", within_s=DRAIN_S)
        await caller.finish()
    assert supervisor.returncode == 0, site.log_tail()
    assert {told.status for told in caller.told} <= {200, 503, 0}
    refused = [told for told in caller.told if told.status == 503]
    assert all(told.retry_after is not None and int(told.retry_after) >= 1 for told in refused)
    assert {told.document["status"] for told in caller.acknowledged} == {"approved"}
    assert site.postmaster_pid() is None, "the embedded database ended with it"
    await site.serve()
    await require_all_kept(site, session, caller.acknowledged)


async def test_workers_end_by_themselves_when_their_supervisor_is_killed(site: CrashSite) -> None:
    supervisor = await site.serve()
    session = await open_seat(site)
    workers, postmaster = site.worker_pids(), site.postmaster_pid()
    assert len(workers) == 2
    async with CrashCaller(site, session) as caller:
        caller.start()
        await until(lambda: len(caller.acknowledged) >= ENOUGH, "load", within_s=LOAD_S)
        os.kill(supervisor.pid, signal.SIGKILL)
        await until(
            lambda: not any("croupier" in command_line(pid) for pid in workers),
            "the end of the workers",
            within_s=GONE_S,
        )
        await caller.finish()
    assert {told.status for told in caller.told} <= {200, 503, 0}
    assert site.postmaster_pid() == postmaster, "the database outlives its owner's crash"
    again = await site.serve()
    assert site.postmaster_pid() == postmaster, "the next one takes it over"
    await require_all_kept(site, session, caller.acknowledged)
    again.send_signal(signal.SIGTERM)
    await until(lambda: again.returncode is not None, "the end of the next supervisor", within_s=DRAIN_S)
    assert again.returncode == 0
    assert site.postmaster_pid() is None, "and ends it"
