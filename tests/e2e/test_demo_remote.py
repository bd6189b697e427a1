"""`croupier demo --wallet remote`: a wallet misbehaves and goes away, and the books agree with it (I6, I10)."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import msgspec
import pytest
from msgspec import Meta, Struct

from croupier.demo.own_wallet import WALLET_DATABASE
from croupier.demo.settings import WALLET_FAULTS
from croupier.runtime.database import connect_app, with_database
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.supervisor import DATABASE
from e2e.processes import CROUPIER, environment, free_addresses

PLAYERS, ROUNDS = 20, 8
LONGEST_S = 300
FOLDER = ".croupier/demo-remote-wallet"

Minor = Annotated[str, Meta(pattern=r"^(0|-?[1-9][0-9]*)\Z")]
Count = Annotated[int, Meta(ge=0)]


class Unknown(Struct, forbid_unknown_fields=True):
    seen: Count
    settled: Count


class Outage(Struct, forbid_unknown_fields=True):
    seconds_away: float
    breaker_opened_in_s: float
    queued: Count
    drained: Count
    drained_in_s: float
    launches_tried: Count
    launches_refused: Count
    launches_held_back: Count
    debits_refused: Count


class Sides(Struct, forbid_unknown_fields=True):
    wallet: Minor
    books: Minor


class Wallet(Struct, forbid_unknown_fields=True):
    mode: str
    calls: dict[str, Count]
    faults: dict[str, Count]
    unknown: Unknown
    overdue: Count
    asked_when_killed: Count
    outage: Outage
    agreement: dict[str, Sides]
    differences: list[str]
    agrees: bool


class Ledger(Struct):
    balanced: bool
    assets: dict[str, dict[str, Minor]]


class Document(Struct):
    """What scripts may rely on, as far as it is about the operator's wallet."""

    wallet: Wallet
    ledger: Ledger
    crashes: dict[str, Count]
    invariants: dict[str, str]


class DemoRun(Struct, frozen=True):
    """One finished demo: the folder it ran in, what it printed and wrote."""

    folder: Path
    printed: str
    document: Document


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    folder = tmp_path_factory.mktemp("demo")
    command = [str(CROUPIER), "demo", "--once", "--players", str(PLAYERS), "--rounds", str(ROUNDS)]
    ended = subprocess.run(
        [*command, "--wallet", "remote", "--json", "out.json"],
        cwd=folder,
        env=environment(free_addresses(), COLUMNS="120"),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    written = (folder / "out.json").read_bytes()
    return DemoRun(folder, ended.stdout, msgspec.json.decode(written, type=Document))


@pytest.fixture(scope="module")
def server_url(demo_run: DemoRun) -> Iterator[str]:
    """The demo's own server, started again."""
    server = EmbeddedServer(demo_run.folder / FOLDER / ".croupier/postgres")
    asyncio.run(server.start())
    try:
        yield server.url()
    finally:
        asyncio.run(server.stop("immediate"))


def test_every_invariant_held_and_wallet_and_books_agree(demo_run: DemoRun) -> None:
    names = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I10", "I12")
    assert demo_run.document.invariants == dict.fromkeys(names, "held")
    told = demo_run.document.wallet
    assert (told.mode, told.agrees, told.differences) == ("remote", True, [])
    assert told.agreement
    assert all(sides.wallet == sides.books for sides in told.agreement.values())
    assert all(int(sides.wallet) > 0 for sides in told.agreement.values())


def test_the_wallet_was_asked_misbehaved_and_left_nothing_unknown(demo_run: DemoRun) -> None:
    told = demo_run.document.wallet
    assert sum(told.calls.values()) > PLAYERS * ROUNDS / 2
    assert set(told.calls) <= {"approved", "refused", "not_applied", "undone"}
    assert told.faults
    assert set(told.faults) <= set(WALLET_FAULTS)
    assert told.unknown.seen == told.unknown.settled > 0
    assert told.overdue == 0


def test_an_outage_stops_launches_and_debits_and_what_waited_is_delivered(demo_run: DemoRun) -> None:
    outage = demo_run.document.wallet.outage
    assert outage.launches_tried == outage.launches_refused >= outage.launches_held_back > 0
    assert outage.debits_refused > 0
    assert outage.drained == outage.queued > 0


def test_a_worker_was_killed_and_how_many_calls_were_under_way_is_said(demo_run: DemoRun) -> None:
    assert demo_run.document.crashes == {"worker_killed": 1}
    assert "killing worker" in demo_run.printed
    # So few players may all have gone by then, after the outage: it can be none.
    under_way = demo_run.document.wallet.asked_when_killed
    assert f"{under_way} calls were under way when a worker was killed" in demo_run.printed


def test_the_ledger_sums_to_zero_over_what_flowed_through_its_mirrors(demo_run: DemoRun) -> None:
    ledger = demo_run.document.ledger
    assert ledger.balanced
    assert {sum(map(int, kinds.values())) for kinds in ledger.assets.values()} == {0}
    # Nobody deposits here: that money never came by.
    assert not any("operator_cash" in kinds for kinds in ledger.assets.values())


def test_the_summary_for_people_says_the_same(demo_run: DemoRun) -> None:
    told = demo_run.document.wallet
    assert f"{sum(told.calls.values())} movements were asked of it" in demo_run.printed
    assert f"{told.outage.drained} of {told.outage.queued} were delivered in order" in demo_run.printed
    assert "differ" not in demo_run.printed.partition("What the operator's wallet says")[2]
    assert "broken" not in demo_run.printed


async def test_the_two_databases_agree_for_whoever_looks_again(demo_run: DemoRun, server_url: str) -> None:
    ours = await connect_app(with_database(server_url, DATABASE))
    theirs = await asyncpg.connect(with_database(server_url, WALLET_DATABASE))
    try:
        flowed = _texts(await ours.fetch(FLOWED))
        assert flowed == _texts(await theirs.fetch(MOVED))
        assert len(flowed) > PLAYERS / 2
        assert await ours.fetchval("SELECT count(*) FROM wallet_call WHERE settled_at IS NULL") == 0
    finally:
        await ours.close()
        await theirs.close()


def _texts(rows: list[Any]) -> dict[tuple[str, str], str]:
    return {(row["player"], row["asset"]): row["moved"] for row in rows}


FLOWED = """
SELECT owner AS player, asset, balance::text AS moved FROM account
 WHERE kind = 'player_wallet' AND is_mirror AND balance <> 0"""

MOVED = """
SELECT player_id AS player, asset, sum(change)::text AS moved FROM reference_wallet.movement
 WHERE reference LIKE 'wtx\\_%' GROUP BY player_id, asset HAVING sum(change) <> 0"""
