"""`croupier wallet settle` on a real database, next to a wallet that is not asked (I2, I6, I10)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agreement_commands import Site, open_command_site
from agreement_stage import now
from lane_desk import held_wallet, read_rows, require_sound_books, waiting_for_locks
from msgspec import structs
from wallet_stage import ask_in_vain

from croupier.moneypath.rows import read_wallet_call
from croupier.wallet.port import Refused

REASON = "their books, ticket 4711"


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_command_site(database_url, tmp_path) as opened:
        yield opened


async def lose(site: Site, *, is_applied: bool = True) -> str:
    """A bet that nobody knows anything of, past its deadline; its reference at the wallet, which is gone then."""
    guest = await site.stage.guest()
    fault = "commit_then_drop" if is_applied else "drop"
    await site.stage.misbehave(**{fault: {"percent": 100, "operations": ["debit", "status"]}})
    await ask_in_vain(lambda: site.stage.stage.ask(guest.bet("lost", 40)))
    await site.stage.service.control(is_down=True)
    return await site.stage.name_of("lost")


async def differences(site: Site) -> list[tuple[str, str]]:
    """What a comparison finds once everything until now is over."""
    await site.stage.service.control(is_down=False)
    await site.stage.behave()
    later = structs.replace(site.stage.parts, now=lambda: now() + timedelta(minutes=10))
    return await structs.replace(site.stage, parts=later).found()


async def records(site: Site) -> list[Any]:
    """The audit log, whose chain is whole."""
    ended = await site.run("audit", "verify")
    assert ended.exit_code == 0, ended.output
    return await read_rows(site.stage.url, "SELECT * FROM audit_record ORDER BY seq")


async def test_a_bet_approved_by_hand_is_booked_once_and_all_sides_agree(site: Site) -> None:
    wtx = await lose(site)
    given = ("--wallet-reference", "m-1", "--balance", "9960", "--reason", REASON)
    ended = await site.run("wallet", "settle", wtx, "--as", "approved", *given)
    assert ended.exit_code == 0, ended.output
    assert f"{wtx}: approved" in ended.stdout
    assert "debit of 0.40 EUR for acme lost, player player-1" in ended.stdout
    assert "booked as jrn_" in ended.stdout
    (record,) = await records(site)
    assert (record["action"], record["subject"]) == ("wallet_call.said_by_hand", f"wallet_call:{wtx}")
    assert (record["actor"].partition(":")[0], record["reason"]) == ("cli", REASON)
    details = json.loads(record["details"])
    assert (details["said"], details["amount"], details["balance"], details["wallet_reference"]) == (
        "approved", "40", "9960", "m-1",
    )  # fmt: skip
    (row,) = await read_rows(
        site.stage.url,
        "SELECT w.moved, w.balance, sum(p.amount) AS posted FROM wallet_call w "
        "JOIN money_reference m ON m.provider = w.provider AND m.reference = w.reference "
        "JOIN posting p ON p.entry_id = m.journal_id AND p.kind = 'player_wallet' GROUP BY 1, 2",
    )
    assert tuple(row) == (40, 9960, -40)
    assert await differences(site) == []
    await require_sound_books(site.stage.url)


async def test_what_their_statement_does_not_say_is_found_by_the_comparison(site: Site) -> None:
    wtx = await lose(site, is_applied=False)
    ended = await site.run("wallet", "settle", wtx, "--as", "approved", "--reason", REASON)
    assert ended.exit_code == 0, ended.output
    assert await differences(site) == [("wallet_lacks_movement", wtx)]


async def test_a_refusal_that_their_statement_contradicts_is_found_by_the_comparison(site: Site) -> None:
    wtx = await lose(site)
    ended = await site.run("wallet", "settle", wtx, "--as", "refused", "--reason", REASON)
    assert ended.exit_code == 0, ended.output
    assert "its transaction is declined (player_restricted); nothing is booked" in ended.stdout
    assert await differences(site) == [("wallet_has_unknown_movement", wtx)]


async def test_the_wallets_own_answer_that_comes_first_stands_and_is_told(
    site: Site, wait_until: Any
) -> None:
    """Both wait for the player, and the wallet's answer is the first in the row."""
    wtx = await lose(site)
    stage, url = site.stage.stage, site.stage.url
    (row,) = await read_rows(url, "SELECT wallet_call_of(w) AS call FROM wallet_call w")

    async def count_waiting(least: int) -> bool:
        return await waiting_for_locks(url) >= least

    async with held_wallet(url, "player-1"):
        theirs = asyncio.create_task(
            stage.settling.take_in(
                read_wallet_call(row["call"]), Refused(code="limit_reached", balance=10_000)
            )
        )
        await wait_until(lambda: count_waiting(1))
        ours = asyncio.create_task(
            site.run("wallet", "settle", wtx, "--as", "approved", "--json", "--reason", REASON)
        )
        await wait_until(lambda: count_waiting(2))
    await theirs
    ended = await ours
    assert ended.exit_code == 1
    assert f"{wtx} is refused: the wallet's own answer came first, and stands" in ended.stderr
    document = json.loads(ended.stdout)
    assert (document["said"], document["state"], document["decided"]) == ("approved", "refused", "declined")
    assert [one["kind"] for one in document["open_breaks"]] == ["wallet_contradicts_itself"]
    assert len(await records(site)) == 1
    await require_sound_books(url)


async def test_what_was_settled_is_a_document(site: Site) -> None:
    wtx = await lose(site, is_applied=False)
    given = ("--as", "not_applied", "--reason", REASON)
    document = json.loads((await site.run("--json", "wallet", "settle", wtx, *given)).stdout)
    assert document["schema"] == {"name": "croupier.wallet.settle", "version": 1}
    assert (document["wallet_call"], document["said"], document["state"]) == (
        wtx,
        "not_applied",
        "not_applied",
    )
    assert (document["amount"], document["asset"], document["reference"]) == ("40", "EUR", "lost")
    assert (document["decided"], document["journal_id"], document["open_breaks"]) == (None, None, [])
    ended = await site.run("wallet", "settle", wtx, *given)
    assert ended.exit_code == 1
    assert f"{wtx} is settled already: not_applied since " in ended.output


async def test_what_was_typed_wrongly_is_refused_before_anything_is_opened(site: Site) -> None:
    wtx = await lose(site)
    for arguments, complaint in [
        (("wtx_1", "--as", "approved", "--reason", REASON), "expected wtx_ and 32"),
        ((wtx, "--as", "approved", "--reason", " "), "--reason is empty"),
        ((wtx, "--as", "unknown", "--reason", REASON), "'unknown' is not one of"),
        ((wtx, "--reason", REASON), "--as"),
        ((wtx, "--as", "approved"), "--reason"),
        (
            (wtx, "--as", "refused", "--wallet-reference", "m-1", "--reason", REASON),
            "--wallet-reference is of",
        ),
        ((wtx, "--as", "approved", "--wallet-reference", "", "--reason", REASON), "1 to 128"),
        ((wtx, "--as", "not_applied", "--balance", "1", "--reason", REASON), "neither --code nor"),
        ((wtx, "--as", "approved", "--balance", "1" * 39, "--reason", REASON), "at most 38 digits"),
    ]:
        ended = await site.run("wallet", "settle", *arguments)
        assert (ended.exit_code, complaint in ended.output) == (2, True), ended.output
    assert await records(site) == []


async def test_what_cannot_be_settled_is_said(site: Site) -> None:
    wtx = await lose(site)
    ended = await site.run("wallet", "settle", f"wtx_{7:032x}", "--as", "approved", "--reason", REASON)
    assert (ended.exit_code, f"no wallet call is called wtx_{7:032x}" in ended.output) == (1, True)
    ended = await site.run("wallet", "settle", wtx, "--as", "refused", "--code", "no", "--reason", REASON)
    assert (ended.exit_code, "'no' is no code of what is refused" in ended.output) == (1, True)
    assert await records(site) == []
    site.config.write_text('environment = "test"\n')
    ended = await site.run("wallet", "settle", wtx, "--as", "approved", "--reason", REASON)
    assert (ended.exit_code, "the wallet is built in" in ended.output) == (1, True)


async def test_a_young_call_is_left_to_the_background_processes(site: Site) -> None:
    wtx = await lose(site)
    until = now() + timedelta(minutes=5)
    await read_rows(site.stage.url, "UPDATE wallet_call SET deadline = $1 RETURNING id", until)
    ended = await site.run("wallet", "settle", wtx, "--as", "approved", "--reason", REASON)
    assert (ended.exit_code, "or say --before-deadline" in ended.output) == (1, True)
    ended = await site.run(
        "wallet", "settle", wtx, "--as", "approved", "--before-deadline", "--reason", REASON
    )
    assert ended.exit_code == 0, ended.output
