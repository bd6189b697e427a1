"""The wallet kit: an honest wallet passes every scenario, and each lie is found by the scenario meant for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from contract import lies_about_lists, lies_about_movements, lies_about_outcomes, lies_about_requests
from contract.lie_registry import LIES, Told
from contract.wallet_proxy import Lie, LyingWallet, honest
from croupier.conformance.wallet.books import Means
from croupier.conformance.wallet.run import Run, Target, run_scenarios
from croupier.conformance.wallet.scenario import FAILED, PASSED, Result, choose
from croupier.conformance.wallet.scenarios import SCENARIOS
from croupier.conformance.wallet.schema import Schemas
from croupier.operator.wallet.contract import read_schemas
from croupier.runtime.database import ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier.sandbox.wallet.service import WalletService
from croupier.sandbox.wallet.settings import WalletSettings
from croupier_signing import SigningKey

KEY: Final = SigningKey("wallet", bytes(range(32)))
MODULES: Final = (lies_about_lists, lies_about_movements, lies_about_outcomes, lies_about_requests)
CASES: Final = [(told, scenario) for told in LIES for scenario in told.scenarios]
NO_LIE: Final = {
    "deadlines/p99": "a slow wallet would make the tests slow; tests/unit/conformance judges its arithmetic",
}


@dataclass
class Played:
    """What became of every run."""

    directly: Run | None = None
    through_the_proxy: Run | None = None
    lied: dict[tuple[str, str], Result] = field(default_factory=dict)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One reference wallet, two honest runs, then every lie with the scenarios that are meant for it."""
    return asyncio.run(_play(tmp_path_factory.mktemp("wallet")))


async def _play(folder: Path) -> Played:
    server = EmbeddedServer(folder / "postgres", settings={"fsync": "off"})
    await server.start()
    try:
        url = await ensure_database(server.url(), "reference_wallet")
        async with WalletService(WalletSettings(database_url=url, key=KEY, port=0)) as wallet:
            return await _play_all(wallet.address)
    finally:
        await server.stop("immediate")


async def _play_all(url: str) -> Played:
    played = Played(directly=await _try(url, url, ()), through_the_proxy=await _try_through(honest, url, ()))
    for told in LIES:
        run = await _try_through(told.lie, url, told.scenarios)
        played.lied |= {(told.name, one.scenario.id): one for one in run.results}
    return played


async def _try_through(lie: Lie, url: str, only: tuple[str, ...]) -> Run:
    async with LyingWallet(url, KEY, lie) as wallet:
        return await _try(wallet.address, url, only)


async def _try(url: str, cashier: str, only: tuple[str, ...]) -> Run:
    means = Means(asset="EUR", fund_url=f"{cashier}/cashier/deposit")
    target = Target(url=url, key=KEY, means=means, has_batch=True)
    return await run_scenarios(target, Schemas(read_schemas()), choose(SCENARIOS, only))


def told_of(run: Run | None) -> dict[str, tuple[str, str]]:
    """What did not pass, and why."""
    assert run is not None
    return {
        one.scenario.id: (one.status, f"expected {one.expected}; came {one.came} {one.notes}")
        for one in run.results
        if one.status != PASSED
    }


def test_the_reference_wallet_keeps_the_contract(played: Played) -> None:
    assert told_of(played.directly) == {}
    assert played.directly is not None
    assert len(played.directly.results) == len(SCENARIOS)


def test_every_player_is_left_with_what_they_had(played: Played) -> None:
    assert played.directly is not None
    assert played.directly.left_behind == []


def test_the_proxy_of_the_lies_is_honest_by_itself(played: Played) -> None:
    assert told_of(played.through_the_proxy) == {}


@pytest.mark.parametrize(
    ("told", "scenario"), CASES, ids=lambda one: one.name if isinstance(one, Told) else one
)
def test_the_lie_is_found_by_the_scenario_meant_for_it(played: Played, told: Told, scenario: str) -> None:
    result = played.lied[told.name, scenario]
    assert result.status == told.status
    if told.status == FAILED:
        assert result.expected
        assert result.came


def test_every_scenario_finds_a_lie() -> None:
    found = {scenario for _, scenario in CASES}
    assert {one.id for one in SCENARIOS} - found == set(NO_LIE)


def test_lies_have_names_of_their_own() -> None:
    assert len({told.name for told in LIES}) == len(LIES) >= 15
    assert {module.__name__ for module in MODULES} >= {told.lie.__module__ for told in LIES}
