"""`croupier reconcile resolve` on a real database: who closes a break, and what opens it again (I6, I10)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agreement_commands import Site, open_command_site
from agreement_stage import AgreementStage, now
from lane_desk import read_rows, read_value
from msgspec import structs
from wallet_stage import ask_in_vain

from croupier.ids import BREAK, parse_id, render_id
from croupier.runtime.agreement_work import open_breaks
from croupier.runtime.breaks import Resolved, resolve_break
from croupier.runtime.database import connect_app

REASON = "taken back by their team, ticket 4711"


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_command_site(database_url, tmp_path) as opened:
        yield opened


async def differ(site: Site) -> str:
    """A stake that the wallet moves twice, found; its break's id as the list tells it."""
    await site.stage.misbehave(duplicate=1)
    await site.stage.bet(await site.stage.guest(), 300)
    assert (await site.reconcile()).exit_code == 3
    (one,) = json.loads((await site.run("--json", "reconcile", "breaks")).stdout)["breaks"]
    found: str = one["id"]
    return found


async def audited(site: Site) -> list[tuple[Any, ...]]:
    """Action, subject and reason of every record of a chain that is whole."""
    ended = await site.run("audit", "verify")
    assert ended.exit_code == 0, ended.output
    rows = await read_rows(site.stage.url, "SELECT action, subject, reason FROM audit_record ORDER BY seq")
    return [tuple(row) for row in rows]


async def events(site: Site) -> list[dict[str, Any]]:
    """What was told of breaks."""
    sql = "SELECT payload FROM outbox_event WHERE type = 'break.opened' ORDER BY position"
    return [json.loads(row["payload"])["data"] for row in await read_rows(site.stage.url, sql)]


async def test_a_person_resolves_a_break_and_no_money_moves(site: Site) -> None:
    name = await differ(site)
    posted = await read_value(site.stage.url, "SELECT count(*) FROM posting")
    ended = await site.run("reconcile", "resolve", name, "--reason", f"  {REASON} ")
    assert ended.exit_code == 0, ended.output
    assert f"{name}: resolved" in ended.stdout
    assert "wallet_moved_twice about wtx_" in ended.stdout
    (row,) = await site.stage.breaks()
    assert (row["resolution"], now() - row["resolved_at"] < timedelta(minutes=1)) == (REASON, True)
    assert await audited(site) == [("break.resolved", f"break:{name}", REASON)]
    (details,) = await read_rows(site.stage.url, "SELECT actor, details FROM audit_record")
    assert details["actor"].startswith("cli:")
    assert json.loads(details["details"])["kind"] == "wallet_moved_twice"
    assert await read_value(site.stage.url, "SELECT count(*) FROM posting") == posted
    assert "0 open" in (await site.run("reconcile", "breaks")).stdout


async def test_a_resolved_break_is_told_as_a_document(site: Site) -> None:
    name = await differ(site)
    ended = await site.run("--json", "reconcile", "resolve", name, "--reason", REASON)
    document = json.loads(ended.stdout)
    assert document["schema"] == {"name": "croupier.reconcile.resolve", "version": 1}
    assert (document["id"], document["kind"], document["resolution"]) == (name, "wallet_moved_twice", REASON)


async def test_what_cannot_be_resolved_is_said_and_nothing_is_written(site: Site) -> None:
    name = await differ(site)
    ended = await site.run("reconcile", "resolve", name, "--reason", "   ")
    assert (ended.exit_code, "say why: --reason is empty" in ended.output) == (2, True)
    assert (await site.run("reconcile", "resolve", name)).exit_code == 2
    for malformed in ("brk_1", name.upper(), name.replace("brk_", "wtx_"), name[4:]):
        ended = await site.run("reconcile", "resolve", malformed, "--reason", REASON)
        assert (ended.exit_code, "expected brk_ and 32" in ended.output) == (2, True)
    ended = await site.run("reconcile", "resolve", f"brk_{7:032x}", "--reason", REASON)
    assert (ended.exit_code, f"no break is called brk_{7:032x}" in ended.output) == (1, True)
    assert await audited(site) == []
    assert (await site.stage.breaks())[0]["resolved_at"] is None


async def test_a_break_is_resolved_once(site: Site) -> None:
    name = await differ(site)
    assert (await site.run("reconcile", "resolve", name, "--reason", REASON)).exit_code == 0
    ended = await site.run("reconcile", "resolve", name, "--reason", "me too")
    assert ended.exit_code == 1
    assert f"{name} was resolved at 20" in ended.output
    assert f"already: {REASON}" in ended.output
    assert len(await audited(site)) == 1
    assert (await site.stage.breaks())[0]["resolution"] == REASON


async def test_two_who_resolve_at_once_are_one_and_a_refusal(site: Site) -> None:
    break_id = parse_id(BREAK, await differ(site))

    async def resolve(reason: str) -> Resolved:
        connection = await connect_app(site.stage.url)
        try:
            return await resolve_break(connection, break_id, actor="support", reason=reason, now=now())
        finally:
            await connection.close()

    both = await asyncio.gather(*(resolve(one) for one in ("first", "second")), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["BreakStays", "Resolved"]
    assert len(await audited(site)) == 1


async def test_a_difference_that_is_found_again_opens_its_break_again(site: Site) -> None:
    name = await differ(site)
    await site.run("reconcile", "resolve", name, "--reason", REASON)
    starts = (now() - timedelta(hours=4)).isoformat()
    ended = await site.run("reconcile", "wallet", "--from", starts, "--dry-run")
    assert ended.exit_code == 3
    assert (await site.stage.breaks())[0]["resolution"] == REASON, "who only looks opens nothing"
    ended = await site.reconcile()
    assert ended.exit_code == 3
    assert "1 of them had been resolved, and are open again" in ended.stdout
    (row,) = await site.stage.breaks()
    assert (render_id(BREAK, row["id"]), row["resolved_at"], row["resolution"]) == (name, None, None)
    assert f"after it had been resolved at {now():%Y-}" in row["explanation"]
    assert row["explanation"].endswith(f": {REASON}")
    assert [one[0] for one in await audited(site)] == ["break.resolved", "break.reopened"]
    told = await events(site)
    assert [one["break_id"] for one in told] == [name, name]
    assert told[1]["explanation"] == row["explanation"]
    assert (await site.document(3))["breaks_reopened"] == 0, "what is open is no news"
    assert (await site.run("reconcile", "resolve", name, "--reason", "again")).exit_code == 0


async def test_the_hourly_comparison_opens_it_again_too(site: Site) -> None:
    stage = site.stage
    await stage.misbehave(duplicate=1)
    await stage.bet(await stage.guest(), 300)
    (found,) = (await stage.compare()).differences
    assert await open_breaks(stage.parts, [found]) == 0
    (row,) = await stage.breaks()
    await resolve(stage, row["id"])
    await stage.work()
    assert [one["resolved_at"] for one in await stage.breaks()] == [None]


async def test_what_was_resolved_after_it_was_found_stays_resolved(site: Site) -> None:
    stage = site.stage
    await stage.misbehave(duplicate=1)
    await stage.bet(await stage.guest(), 300)
    (found,) = (await stage.compare()).differences
    await open_breaks(stage.parts, [found])
    before = now()
    await resolve(stage, (await stage.breaks())[0]["id"])
    assert await open_breaks(structs.replace(stage.parts, now=lambda: before), [found]) == 0
    assert (await stage.breaks())[0]["resolution"] == REASON


async def resolve(stage: AgreementStage, break_id: Any) -> None:
    connection = await connect_app(stage.url)
    try:
        await resolve_break(connection, break_id, actor="cli:ada", reason=REASON, now=now())
    finally:
        await connection.close()


async def test_a_break_about_a_call_that_is_open_is_closed_once_that_is_settled(site: Site) -> None:
    stage = site.stage
    guest = await stage.guest()
    await stage.misbehave(commit_then_drop={"percent": 100, "operations": ["debit", "status"]})
    await ask_in_vain(lambda: stage.stage.ask(guest.bet("lost", 40)))
    stage.stage.clock.pass_by(minutes=11)
    await stage.stage.settling.sweep()
    wtx = await stage.name_of("lost")
    (row,) = await stage.breaks()
    assert (row["kind"], row["subject"]) == ("wallet_call_unsettled", wtx)
    name = render_id(BREAK, row["id"])
    ended = await site.run("reconcile", "resolve", name, "--reason", REASON)
    assert ended.exit_code == 1
    assert f"`croupier wallet settle {wtx}` first" in ended.output
    ended = await site.run("wallet", "settle", wtx, "--as", "approved", "--reason", REASON)
    assert ended.exit_code == 0, ended.output
    assert f"croupier reconcile resolve {name}" in ended.stdout
    assert (await site.run("reconcile", "resolve", name, "--reason", REASON)).exit_code == 0
