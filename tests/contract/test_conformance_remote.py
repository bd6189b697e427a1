"""The same scenarios where the operator keeps the wallet: every adapter, one gateway, the reference wallet (K6)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from croupier.cli.conformance_site import own_site
from croupier.cli.conformance_targets import own_target
from croupier.conformance.http_wire import HttpWire
from croupier.conformance.run import run_scenarios
from croupier.conformance.scenario import FAILED, PASSED, Result
from croupier.conformance.speakers import find_speakers
from croupier.providers.registry import find_adapters
from croupier.runtime.database import connect_app
from croupier.settlement.audit import LedgerReport, ReplayReport, check_ledger, replay_sessions

SPOKEN: Final = sorted(set(find_adapters()) & set(find_speakers()))


@dataclass
class Played:
    """What became of a run: results by adapter, the books after it, and what each side says that players have."""

    results: dict[str, list[Result]] = field(default_factory=dict)
    ledger: LedgerReport | None = None
    replay: ReplayReport | None = None
    flowed: dict[tuple[str, str], int] = field(default_factory=dict)
    moved: dict[tuple[str, str], int] = field(default_factory=dict)
    open_calls: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One gateway and one wallet, all adapters one after the other."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("CROUPIER_") and name != "CROUPIER_TEST_RUN_FOLDER":
            del os.environ[name]
    try:
        yield asyncio.run(_play(tmp_path_factory.mktemp("conformance-remote")))
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _play(folder: Path) -> Played:
    played = Played()
    async with own_site(folder, SPOKEN, has_remote_wallet=True) as site, site.operator() as operator:
        for adapter in SPOKEN:
            wire = HttpWire(site.url)
            try:
                played.results[adapter] = await run_scenarios(
                    own_target(site, adapter), operator, wire, site.receiver
                )
            finally:
                wire.close()
        connection = await connect_app(site.deployment.supervisor.database_url)
        try:
            played.ledger = await check_ledger(connection)
            played.replay = await replay_sessions(connection)
            rows = await connection.fetch(
                "SELECT owner, asset, balance::text AS balance FROM account WHERE is_mirror AND kind = 'player_wallet'"
            )
            played.flowed = {(row["owner"], row["asset"]): int(row["balance"]) for row in rows}
            played.open_calls = await connection.fetch("SELECT * FROM wallet_call WHERE settled_at IS NULL")
        finally:
            await connection.close()
        assert site.wallet is not None
        for movement in await site.wallet.book():
            if movement["reference"].startswith("wtx_"):
                key = (movement["player_id"], movement["asset"])
                played.moved[key] = played.moved.get(key, 0) + int(movement["change"])
    return played


@pytest.mark.parametrize("adapter", SPOKEN)
def test_every_scenario_holds_where_the_operator_keeps_the_wallet(played: Played, adapter: str) -> None:
    failed = [result for result in played.results[adapter] if result.status == FAILED]
    assert not failed, "\n\n".join(
        f"{one.scenario}: {one.why}\n{one.request}\n{one.answer}" for one in failed
    )
    assert sum(result.status == PASSED for result in played.results[adapter]) > 60


def test_the_books_are_sound_and_every_mirror_shows_what_the_wallet_moved(played: Played) -> None:
    assert played.ledger is not None
    assert played.replay is not None
    assert played.ledger.is_held, played.ledger.invariants()
    assert played.replay.is_held, played.replay.differences
    assert not played.open_calls
    flowed = {key: amount for key, amount in played.flowed.items() if amount}
    assert flowed == {key: amount for key, amount in played.moved.items() if amount}
    assert len(flowed) > 300
