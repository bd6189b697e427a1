"""The wallet kit: an honest wallet passes every scenario, and each lie is found by the scenario meant for it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from contract import (
    lies_about_form,
    lies_about_lists,
    lies_about_movements,
    lies_about_outcomes,
    lies_about_requests,
)
from contract.lie_registry import LIES, Told
from contract.wallet_proxy import Call, Lie, LyingWallet, Reply, honest
from croupier.cli.main import app
from croupier.conformance.wallet.books import HOLDING, Means
from croupier.conformance.wallet.run import Run, Target, run_scenarios
from croupier.conformance.wallet.scenario import FAILED, LEFT_OUT, PASSED, REMARK, Result, choose
from croupier.conformance.wallet.scenarios import SCENARIOS
from croupier.conformance.wallet.schema import Schemas
from croupier.conformance.wallet.verdicts import NotReady
from croupier.operator.wallet.contract import read_schemas
from croupier.runtime.database import ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier.sandbox.wallet.service import WalletService
from croupier.sandbox.wallet.settings import WalletSettings
from croupier_signing import SigningKey

KEY: Final = SigningKey("wallet", b"a secret of the kit's own tests")
PLAYERS: Final = 8
FORM: Final = "an answer of the form that the contract gives it"
MODULES: Final = (
    lies_about_form,
    lies_about_lists,
    lies_about_movements,
    lies_about_outcomes,
    lies_about_requests,
)
CASES: Final = [(told, scenario) for told in LIES for scenario in told.scenarios]
TIMED: Final = {"concurrency/players_are_independent", "deadlines/p99"}
NO_LIE: Final = {
    "deadlines/p99": "a slow wallet would make the tests slow; tests/unit/conformance judges its arithmetic",
}


@dataclass
class Command:
    """What the command line said, and what it wrote."""

    status: int
    output: str
    report: str


@dataclass
class Played:
    """What became of every run."""

    directly: Run | None = None
    through_the_proxy: Run | None = None
    with_given_players: Run | None = None
    given_balances: list[str] = field(default_factory=list)
    with_one_player: Run | None = None
    with_credits: Run | None = None
    not_ready: list[str] = field(default_factory=list)
    commands: dict[str, Command] = field(default_factory=dict)
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
            return await _play_all(wallet.address, folder)
    finally:
        await server.stop("immediate")


async def _play_all(url: str, folder: Path) -> Played:
    played = Played(directly=await _try(url, url, ()), through_the_proxy=await _try_through(honest, url, ()))
    for told in LIES:
        run = await _try_through(told.lie, url, told.scenarios)
        played.lied |= {(told.name, one.scenario.id): one for one in run.results}
    await _play_with_other_means(played, url)
    for name, address, options in (
        ("good", url, ("--batch", "--only", "debits", "--only", "batch")),
        ("json", url, ("--json", "--only", "balance", "--only", "statement", "--no-statement")),
    ):
        played.commands[name] = await asyncio.to_thread(_command, folder, address, url, options)
    async with LyingWallet(url, KEY, lies_about_movements.tells_another_amount) as wallet:
        played.commands["bad"] = await asyncio.to_thread(
            _command, folder, wallet.address, url, ("--only", "debits/takes_the_amount")
        )
    return played


async def _play_with_other_means(played: Played, url: str) -> None:
    async with LyingWallet(url, KEY, honest) as wallet:
        for number in range(PLAYERS):
            body = {
                "player_id": f"given-{number}",
                "asset": "EUR",
                "amount": str(HOLDING),
                "reference": f"g-{number}",
            }
            await wallet.tell("/cashier/deposit", body)
        names = tuple(f"given-{number}" for number in range(PLAYERS))
        played.with_given_players = await _try_with(url, Means(asset="EUR", players=names), ())
        for name in names:
            played.given_balances.append(await _balance(wallet, name))
        played.with_one_player = await _try_with(url, Means(asset="EUR", players=names[:1]), ("conflicts",))
        await wallet.tell(
            "/cashier/withdraw", {"player_id": names[0], "asset": "EUR", "amount": "1", "reference": "x"}
        )
    async with LyingWallet(url, KEY, opens_accounts) as wallet:
        played.with_credits = await _try_with(wallet.address, Means(asset="EUR"), ("debits", "rollbacks"))
    strangers = SigningKey("stranger", KEY.secret)
    for key, means in (
        (KEY, Means(asset="EUR", players=names[:1])),
        (KEY, Means(asset="EUR")),
        (KEY, Means(asset="EUR", fund_url=f"{url}/no-such-cashier")),
        (KEY, Means(asset="EUR", fund_url="http://127.0.0.1:1/")),
        (strangers, Means(asset="EUR")),
    ):
        with pytest.raises(NotReady) as refused:
            await _try_with(url, means, ("balance",), key=key)
        played.not_ready.append(str(refused.value))


async def _balance(wallet: LyingWallet, player: str) -> str:
    told = await wallet.tell("/balance", {"player_id": player, "asset": "EUR"})
    return str(told.document["balance"])


async def opens_accounts(wallet: LyingWallet, call: Call) -> Reply:
    """A wallet whose players need no registration: the first credit makes an account."""
    if call.path == "/credit":
        about = {name: call.document[name] for name in ("player_id", "asset")}
        if (await wallet.tell("/balance", about)).document["status"] == "refused":
            opening = {**about, "amount": "1", "reference": f"open-{call.reference[4:]}"}
            await wallet.tell("/cashier/deposit", opening)
            await wallet.shift(call, -1)
    return await wallet.pass_on(call)


def _command(folder: Path, address: str, cashier: str, options: tuple[str, ...]) -> Command:
    """`croupier wallet conformance` as it is typed."""
    secret, report = folder / "wallet.secret", folder / "report.md"
    secret.write_bytes(KEY.secret)
    secret.chmod(0o600)
    typed = ["wallet", "conformance", "--url", address, "--secret", f"file:{secret}", "--report", str(report)]
    done = CliRunner().invoke(app, [*typed, "--fund-url", f"{cashier}/cashier/deposit", *options])
    return Command(done.exit_code, done.output, report.read_text() if report.exists() else "")


async def _try_through(lie: Lie, url: str, only: tuple[str, ...]) -> Run:
    async with LyingWallet(url, KEY, lie) as wallet:
        return await _try(wallet.address, url, only)


async def _try(url: str, cashier: str, only: tuple[str, ...]) -> Run:
    return await _try_with(url, Means(asset="EUR", fund_url=f"{cashier}/cashier/deposit"), only)


async def _try_with(url: str, means: Means, only: tuple[str, ...], *, key: SigningKey = KEY) -> Run:
    target = Target(url=url, key=key, means=means, has_batch=True)
    return await run_scenarios(target, Schemas(read_schemas()), choose(SCENARIOS, only))


def told_of(run: Run | None) -> dict[str, tuple[str, str]]:
    """What did not pass, and why; how long something took on a busy machine is no finding."""
    assert run is not None
    return {
        one.scenario.id: (one.status, f"expected {one.expected}; came {one.came} {one.notes}")
        for one in run.results
        if one.status != PASSED and not (one.status == REMARK and one.scenario.id in TIMED)
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


def test_players_who_are_given_are_enough_and_keep_what_they_had(played: Played) -> None:
    assert told_of(played.with_given_players) == {}
    assert played.given_balances == [str(HOLDING)] * PLAYERS


def test_what_needs_a_second_player_is_left_out_without_one(played: Played) -> None:
    left_out = told_of(played.with_one_player)
    assert {name: status for name, (status, _) in left_out.items()} == {
        "conflicts/other_player": LEFT_OUT,
        "conflicts/two_players_at_once": LEFT_OUT,
    }


def test_a_wallet_that_opens_accounts_needs_no_other_money(played: Played) -> None:
    assert told_of(played.with_credits) == {}


def test_what_every_scenario_would_stumble_over_is_said_once(played: Played) -> None:
    poor, strange, no_cashier, nobody, unsigned = played.not_ready
    assert "9999 minor units" in poor
    assert "--player" in strange
    assert "answered 404" in no_cashier or "answered 401" in no_cashier
    assert "cannot be reached" in nobody
    assert "refuses our signature" in unsigned


def test_the_command_reports_what_held(played: Played) -> None:
    good = played.commands["good"]
    assert good.status == 0, good.output
    assert "batch/in_order" in good.output
    assert "0 failed" in good.output
    assert "**passed**" in good.report


def test_the_command_prints_one_document(played: Played) -> None:
    document = json.loads(played.commands["json"].output)
    assert document["schema"] == {"name": "croupier.wallet.conformance", "version": 1}
    assert document["passed"] is True
    assert {one["status"] for one in document["results"]} == {PASSED, LEFT_OUT}


def test_the_command_shows_what_was_sent_and_what_came_and_hides_the_signature(played: Played) -> None:
    bad = played.commands["bad"]
    assert bad.status == 1
    for text in (bad.output, bad.report):
        assert "POST /debit HTTP/1.1" in text
        assert "HTTP/1.1 200" in text
        assert "wallet-contract.md#answers" in text
        assert 'sig="***"' in text
    assert "--only debits/takes_the_amount" in bad.report


@pytest.mark.parametrize(
    ("told", "scenario"), CASES, ids=lambda one: one.name if isinstance(one, Told) else one
)
def test_the_lie_is_found_by_the_scenario_meant_for_it(played: Played, told: Told, scenario: str) -> None:
    result = played.lied[told.name, scenario]
    assert result.status == told.status
    if told.status == FAILED:
        assert result.expected
        assert result.came


def test_a_form_of_its_own_is_found_by_the_schemas(played: Played) -> None:
    of_form = [told for told in LIES if told.lie.__module__ == lies_about_form.__name__]
    assert len(of_form) > 5
    for told in of_form:
        for scenario in told.scenarios:
            assert played.lied[told.name, scenario].expected == FORM


def test_every_scenario_finds_a_lie() -> None:
    found = {scenario for _, scenario in CASES}
    assert {one.id for one in SCENARIOS} - found == set(NO_LIE)


def test_lies_have_names_of_their_own() -> None:
    assert len({told.name for told in LIES}) == len(LIES) >= 15
    assert {module.__name__ for module in MODULES} >= {told.lie.__module__ for told in LIES}
