"""Every scenario of the conformance kit for every adapter, over HTTP against one real gateway (I1, I2, I5, I8)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from contract.lying_wires import ApprovingWire, MuteWire, RefusingWire
from croupier.cli.conformance_site import OwnSite, own_site
from croupier.cli.conformance_targets import own_target
from croupier.conformance.http_wire import HttpWire
from croupier.conformance.operator_client import OperatorClient
from croupier.conformance.run import run_scenarios
from croupier.conformance.scenario import FAILED, OPTED_OUT, PASSED, Result
from croupier.conformance.scenarios import SCENARIOS
from croupier.conformance.speakers import find_speakers
from croupier.providers.registry import find_adapters
from croupier.runtime.database import connect_app
from croupier.settlement.audit import LedgerReport, ReplayReport, check_ledger, replay_sessions

SPOKEN: Final = sorted(set(find_adapters()) & set(find_speakers()))
NAMES: Final = [scenario.name for scenario in SCENARIOS]
NATIVE: Final = "croupier_v1"
NEEDS_NO_ANSWER: Final = {
    "manifest_agrees_with_the_text",
    "launch_reaches_the_provider",
    "games_are_listed",
}


@dataclass
class Played:
    """What became of a run: results by adapter and scenario, and the books after it."""

    results: dict[tuple[str, str], Result] = field(default_factory=dict)
    against_approval: list[Result] = field(default_factory=list)
    against_refusal: list[Result] = field(default_factory=list)
    against_silence: dict[str, list[Result]] = field(default_factory=dict)
    ledger: LedgerReport | None = None
    replay: ReplayReport | None = None


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One gateway, all adapters one after the other, then two runs against gateways that lie."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("CROUPIER_") and name != "CROUPIER_TEST_RUN_FOLDER":
            del os.environ[name]
    try:
        yield asyncio.run(_play(tmp_path_factory.mktemp("conformance")))
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _play(folder: Path) -> Played:
    played = Played()
    async with own_site(folder, SPOKEN) as site, OperatorClient(site.url, site.token) as operator:
        for adapter in SPOKEN:
            for result in await _play_one(site, operator, adapter, HttpWire(site.url)):
                played.results[adapter, result.scenario] = result
        played.against_approval = await _play_one(site, operator, NATIVE, ApprovingWire(site.url))
        played.against_refusal = await _play_one(site, operator, NATIVE, RefusingWire(site.url))
        for adapter in SPOKEN:
            played.against_silence[adapter] = await _play_one(site, operator, adapter, MuteWire(site.url))
        connection = await connect_app(site.deployment.supervisor.database_url)
        try:
            played.ledger = await check_ledger(connection)
            played.replay = await replay_sessions(connection)
        finally:
            await connection.close()
    return played


async def _play_one(site: OwnSite, operator: OperatorClient, adapter: str, wire: HttpWire) -> list[Result]:
    try:
        return await run_scenarios(own_target(site, adapter), operator, wire, site.receiver)
    finally:
        wire.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("adapter", SPOKEN)
def test_the_scenario_holds(played: Played, adapter: str, name: str) -> None:
    result = played.results[adapter, name]
    if result.status == FAILED:
        pytest.fail(f"{result.claim}\n{result.why}\n\n{result.request}\n\n{result.answer}", pytrace=False)
    manifest, traits = find_adapters()[adapter].manifest, find_speakers()[adapter].traits
    reason = next(one for one in SCENARIOS if one.name == name).reason_to_leave_out(manifest, traits)
    assert (result.status, result.why) == ((OPTED_OUT, reason) if reason else (PASSED, ""))


def test_the_books_are_right_afterwards(played: Played) -> None:
    assert played.ledger is not None
    broken = [(check.name, check.offenders) for check in played.ledger.checks if check.offenders]
    assert not broken
    assert played.ledger.is_held


def test_the_histories_agree_with_the_sessions_afterwards(played: Played) -> None:
    assert played.replay is not None
    assert played.replay.sessions > len(SPOKEN)
    assert not played.replay.differences


def test_a_gateway_that_approves_everything_passes_nothing(played: Played) -> None:
    fooled = {result.scenario for result in played.against_approval if result.status == PASSED}
    assert fooled <= NEEDS_NO_ANSWER


def test_a_gateway_that_refuses_everything_passes_nothing(played: Played) -> None:
    fooled = {result.scenario for result in played.against_refusal if result.status == PASSED}
    assert fooled <= NEEDS_NO_ANSWER


@pytest.mark.parametrize("adapter", SPOKEN)
def test_a_gateway_that_never_answers_passes_nothing(played: Played, adapter: str) -> None:
    fooled = {result.scenario for result in played.against_silence[adapter] if result.status == PASSED}
    assert fooled <= NEEDS_NO_ANSWER


def test_failures_hide_signatures(played: Played) -> None:
    failed = [result for result in played.against_refusal if result.status == FAILED and result.request]
    assert failed
    for result in failed:
        assert 'sig="' not in result.request
    assert any("authorization: ***" in result.request for result in failed)
