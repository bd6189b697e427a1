"""The demo's verdicts and its summary: a broken book is said, in the document, on the screen and by the exit code."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from croupier.cli import demo as demo_command
from croupier.cli.main import app
from croupier.cli.sandbox_accounts import read_accounts
from croupier.demo.brownout import Brownout
from croupier.demo.door import Door
from croupier.demo.folder import point_at_sandbox, prepare_folder
from croupier.demo.inbox import Replayed, read_replay
from croupier.demo.platform import Platform, PlatformError
from croupier.demo.play import Play
from croupier.demo.proofs import HELD, TOLD, Evidence, Webhooks, find_unaccounted, judge
from croupier.demo.providers import choose_providers, seat_players, write_accounts
from croupier.demo.reading_along import Left, ReadingAlong
from croupier.demo.rollout import Rolled, Share
from croupier.demo.run import write_summary
from croupier.demo.settings import SUCCESSOR, DemoSettings
from croupier.demo.studio import DemoFailed
from croupier.demo.summary import CLAIMS, build_summary, is_held, merge_counts, percentile, tell
from croupier.money import AssetRegistry
from croupier.runtime.config import resolve_keys
from croupier.settlement.audit import CheckResult, LedgerReport, LedgerTotals, ReplayReport
from croupier_signing import PrivateKey

ASSETS = {"EUR": {"operator_cash": "-500", "player_wallet": "480", "operator_revenue": "20"}}
INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I7", "I8", "I10", "I12")


def check(invariant: str, *, broken: bool = False) -> CheckResult:
    offenders = ("posting 7 does not fit",) if broken else ()
    return CheckResult(
        "a_check", invariant, "a claim", "broken" if broken else "held", len(offenders), offenders
    )


def ledger(*broken: str) -> LedgerReport:
    checks = tuple(check(name, broken=name in broken) for name in ("I1", "I2", "I4", "I5"))
    totals = LedgerTotals(ASSETS, entries=1, postings=2, references=1, events=1, digest="d")
    return LedgerReport(datetime(2026, 1, 1, tzinfo=UTC), checks, totals)


def replayed(differences: int = 0) -> ReplayReport:
    return ReplayReport(sessions=2, rounds=3, events=9, count=differences, differences=("x",) * differences)


WEBHOOKS = Webhooks(
    sent=14,
    accepted=10,
    duplicates=4,
    unexpected=0,
    undelivered=0,
    held=8,
    dark_s=3.25,
    planted={"webhook_stale": 3},
    refused={"webhook_stale": 3},
    examples=(),
    open_sessions=2,
    stored=10,
    pending=0,
    results={"applied": 7, "repeat": 2},
    dead={"unknown_type": 1},
    strays=0,
    redriven=1,
    drained_s=0.75,
)
REPLAYED = Replayed(
    deliveries=10,
    already_applied=9,
    failed=1,
    moved={},
    double_effects=0,
    digest_equal=True,
    is_proven=True,
)


def webhooks(**changes: Any) -> dict[str, Any]:
    return {"webhooks": msgspec.structs.replace(WEBHOOKS, **changes)}


def again(**changes: Any) -> dict[str, Any]:
    return {"replay_of_webhooks": msgspec.structs.replace(REPLAYED, **changes)}


BROWNOUT = Brownout(
    provider="softswiss",
    failed=11,
    held_back=20,
    calls_while_open=0,
    others_tried=20,
    others_opened=20,
    others_before_us=tuple(range(1_000, 5_000, 100)),
    others_us=(5_000, *range(1_000, 4_900, 100)),
    recovered_in_s=4.5,
    changes=("closed → open: 10 of 10 calls failed",),
)


def brownout(**changes: Any) -> dict[str, Any]:
    """Evidence with another brownout."""
    return {"brownout": msgspec.structs.replace(BROWNOUT, **changes)}


DOOR = Door(refused={"self_excluded": 1, "jurisdiction_unknown": 2}, kept=3, wrong=())


def door(**changes: Any) -> dict[str, Any]:
    """Evidence with another door."""
    return {"door": msgspec.structs.replace(DOOR, **changes)}


ROLLED = Rolled(
    successor="sandbox_v2",
    steps=(
        Share(share_bps=4_000, tried=20, moved=9),
        Share(share_bps=10_000, tried=20, moved=20),
        Share(share_bps=0, tried=20, moved=0),
    ),
    strayed=0,
)
READING = ReadingAlong(
    left=Left("reader", "EUR", 996),
    provider="softswiss",
    candidate="softswiss_v3",
    compared=200,
    dropped=0,
    found=5,
    planted=5,
    missed=(),
    strays=(),
)


def rolled(**changes: Any) -> dict[str, Any]:
    """Evidence with another rollout."""
    return {"rolled": msgspec.structs.replace(ROLLED, **changes)}


def reading(**changes: Any) -> dict[str, Any]:
    """Evidence with another candidate."""
    return {"reading": msgspec.structs.replace(READING, **changes)}


SOUND = Evidence(
    ledger=ledger(),
    replay=replayed(),
    acknowledged=40,
    unaccounted=(),
    repeat_violations=0,
    unexpected=0,
    planted={"stale": 2, "forged_key": 1},
    refused={"stale": 2, "forged_key": 1},
    nonces_spent=40,
    unresolved=0,
    sessions={"settled": 2},
    examples=(),
    webhooks=WEBHOOKS,
    replay_of_webhooks=REPLAYED,
    brownout=BROWNOUT,
    door=DOOR,
    rolled=ROLLED,
    reading=READING,
)


def report(**changes: Any) -> dict[str, Any]:
    """What the sandbox says about one batch."""
    return {
        "provider": "sandbox",
        "protocol": "croupier_v1",
        "attacks": {"planted": {"stale": 1}, "refused": {"stale": 1}},
        "rounds": 5,
        "requests": 21,
        "approved": {"bet": 5, "win": 2},
        "declined": {"insufficient_funds": 1},
        "flows": {"normal": 5},
        "faults": {"duplicate": 1},
        "retries": {},
        "duplicates": {"sent": 3, "absorbed": 3},
        "latencies_us": [1_000, 2_000, 3_000],
        **changes,
    }


def summary_of(
    evidence: Evidence, reports: Iterable[dict[str, Any]] = (), *, played_s: float = 2.0
) -> dict[str, Any]:
    return build_summary(
        DemoSettings(players=2, rounds=5, seed=9),
        list(reports) or [report(), report(latencies_us=[9_000])],
        evidence,
        played_s=played_s,
        crashes=1,
        console_url="http://127.0.0.1:8701",
    )


def told(summary: dict[str, Any]) -> str:
    screen = io.StringIO()
    tell(summary, AssetRegistry(), Console(file=screen, width=120))
    return screen.getvalue()


def test_sound_evidence_holds_every_invariant_and_each_has_a_claim() -> None:
    assert judge(SOUND) == dict.fromkeys(INVARIANTS, HELD)
    assert tuple(CLAIMS) == INVARIANTS


@pytest.mark.parametrize(
    ("invariant", "changes", "why"),
    [
        ("I1", {"ledger": ledger("I1")}, "posting 7"),
        ("I2", {"ledger": ledger("I2")}, "posting 7"),
        ("I2", {"repeat_violations": 2}, "2 repeats differ"),
        ("I3", {"unaccounted": ("bet-1", "bet-2", "bet-3", "bet-4")}, "bet-1, bet-2, bet-3"),
        ("I2", again(double_effects=1), "1 effects are there twice"),
        ("I4", {"ledger": ledger("I4")}, "posting 7"),
        ("I4", webhooks(stored=9), "10 webhooks were accepted and 2 cannot be accounted for"),
        ("I4", webhooks(results={"applied": 7}), "2 cannot be accounted for"),
        ("I4", webhooks(dead={}), "1 cannot be accounted for"),
        ("I4", webhooks(results={"applied": 7, "repeat": 3}), "1 cannot be accounted for"),
        ("I4", webhooks(strays=2), "2 are dead letters that nobody planted"),
        ("I5", {"ledger": ledger("I5")}, "posting 7"),
        ("I5", {"replay": replayed(3)}, "3 histories"),
        ("I7", {"unexpected": 1}, "1 decisions"),
        ("I7", again(moved={"EUR": "5"}, is_proven=False), "'EUR': '5'"),
        ("I7", again(digest_equal=False), "changes the books"),
        ("I8", {"refused": {"stale": 1, "forged_key": 1}}, "1 attacks"),
        ("I10", {"sessions": {"settled": 1, "active": 1}}, "1 sessions, 0 calls and 0 webhooks"),
        ("I10", {"unresolved": 4}, "0 sessions, 4 calls and 0 webhooks"),
        ("I10", webhooks(undelivered=3), "3 webhooks"),
        ("I10", webhooks(pending=1, results={"applied": 6, "repeat": 2}), "1 webhooks"),
        ("I12", brownout(calls_while_open=2), "2 calls were made while the breaker was open"),
        ("I12", brownout(others_opened=17), "3 games of another provider did not open"),
        ("I12", brownout(held_back=0), "nothing was held back"),
        ("I12", rolled(strayed=2), "2 players went to and fro"),
        (
            "I12",
            rolled(steps=(Share(share_bps=10_000, tried=20, moved=19),)),
            "at on 19 of 20 players went to sandbox_v2",
        ),
        (
            "I12",
            rolled(steps=(Share(share_bps=0, tried=20, moved=1),)),
            "at off 1 of 20 players went to sandbox_v2",
        ),
        ("I12", reading(missed=("betwin x",)), "planted in softswiss_v3 and not found: betwin x"),
        ("I12", reading(strays=("betwin y",)), "found in softswiss_v3 and not planted: betwin y"),
        ("I5", door(kept=1), "2 refusals were not kept"),
        ("I5", door(wrong=("a player was to be refused",)), "a player was to be refused"),
    ],
)
def test_one_fault_breaks_one_invariant_and_says_why(
    invariant: str, changes: dict[str, Any], why: str
) -> None:
    verdicts = judge(msgspec.structs.replace(SOUND, **changes))
    assert verdicts[invariant].startswith("broken: ")
    assert why in verdicts[invariant]
    assert {name for name, verdict in verdicts.items() if verdict != HELD} == {invariant}
    assert not is_held({"invariants": verdicts})


def test_an_attack_refused_more_often_than_planted_hides_no_other() -> None:
    evidence = msgspec.structs.replace(SOUND, refused={"stale": 3, "forged_key": 0})
    assert judge(evidence)["I8"] != HELD


def test_the_document_adds_up_over_all_batches() -> None:
    summary = summary_of(SOUND)
    assert is_held(summary)
    assert (summary["seed"], summary["players"], summary["rounds"]) == (9, 2, 10)
    assert summary["money_calls"] == 42
    assert summary["calls_per_second"] == 21
    # Two attacks of each batch, and those on webhooks, which all are the native account's.
    counts = {"calls": 42, "approved": 14, "declined": 2, "refused": 2 + 3}
    assert summary["by_provider"] == {"sandbox": {"protocol": "croupier_v1", **counts}}
    assert summary["duplicates_absorbed"] == 6
    assert summary["latency_ms"] == {"p50": 3.0, "p99": 9.0}
    assert summary["crashes"] == {"worker_killed": 1}
    assert summary["ledger"] == {"balanced": True, "clearing": {"EUR": "0"}, "assets": ASSETS}
    assert summary["claims"] == CLAIMS


def test_the_document_tells_what_came_by_webhook_and_that_a_replay_moved_nothing() -> None:
    summary = summary_of(SOUND)
    assert summary["webhooks"] == {
        "sent": 14,
        "accepted": 10,
        "duplicates": 4,
        "refused": {"webhook_stale": 3},
        "processed": {"applied": 7, "repeat": 2, "nothing": 0, "refused": 0, "unmatched": 0},
        "dead_letters": {"unknown_type": 1},
        "redriven": 1,
        "held_while_dark": 8,
        "sessions_held_open": 2,
        "seconds_dark": 3.25,
        "drained_in_s": 0.75,
    }
    assert summary["replay"] == {
        "deliveries": 10,
        "already_applied": 9,
        "failed": 1,
        "moved": {"EUR": "0"},
        "double_effects": 0,
        "digest_equal": True,
    }


def test_what_a_sick_provider_cost_the_others_is_measured_and_told() -> None:
    told_breakers = summary_of(SOUND)["breakers"]
    assert told_breakers["others_p99_ms"] == {"before": 4.9, "meanwhile": 5.0}
    assert told_breakers["others_p99_ratio"] == "1.02"
    assert "p99 4.9 ms before, 5.0 ms meanwhile, 1.02 times as long" in told(summary_of(SOUND))
    alone = msgspec.structs.replace(SOUND, **brownout(others_before_us=(), others_us=()))
    assert summary_of(alone)["breakers"]["others_p99_ratio"] is None
    assert "times as long" not in told(summary_of(alone))
    thrice = msgspec.structs.replace(SOUND, **brownout(others_before_us=(3,), others_us=(10,)))
    assert summary_of(thrice)["breakers"]["others_p99_ratio"] == "3.33"


def test_people_read_what_came_by_webhook() -> None:
    screen = told(summary_of(SOUND))
    assert "dark for 3.2 s: 8 facts and 2 sessions waited" in screen
    assert "14 webhooks sent, 10 accepted, 4 duplicates absorbed" in screen
    assert "processed: 7 applied, 2 repeat" in screen
    assert "dead letters: 1 unknown type; 1 redriven" in screen
    assert "replay of all 10 deliveries: 9 were applied already, nothing moved, 0 double effects" in screen
    evidence = msgspec.structs.replace(SOUND, **again(moved={"EUR": "5"}, digest_equal=False))
    assert "1 assets moved" in told(summary_of(evidence))
    assert "ledger digest different" in told(summary_of(evidence))


def test_a_replay_is_read_from_its_proof() -> None:
    document = {
        "state": "failed",
        "done": 7,
        "results": {"applied": 1, "repeat": 3, "nothing": 2, "failed": 1},
        "proof": {
            "held": False,
            "ledger": {"unchanged": False},
            "effects": {"applied": {"money": {"EUR": {"credits": "9", "debits": "4", "net": "5"}}}},
            "doubles": {"count": 2},
        },
    }
    assert read_replay(document) == Replayed(
        deliveries=7,
        already_applied=5,
        failed=1,
        moved={"EUR": "5"},
        double_effects=2,
        digest_equal=False,
        is_proven=False,
    )
    with pytest.raises(DemoFailed, match="ended cancelled after 7 deliveries"):
        read_replay({**document, "state": "cancelled", "proof": None})


async def test_what_a_webhook_told_must_be_decided_and_approved() -> None:
    entry = {"reference": "r-1-close", "status": TOLD, "code": "", "journal_id": None, "balance": None}

    class Stored:
        """A connection to books that hold one decision."""

        def __init__(self, *rows: dict[str, Any]) -> None:
            self._rows = rows

        async def fetch(self, *_: object) -> list[dict[str, Any]]:
            return list(self._rows)

    approved = {"reference": "r-1-close", "status": "approved", "code": "already_rolled_back"}
    assert await find_unaccounted(Stored(approved), "sandbox", [entry]) == []
    for stored in (Stored(), Stored({**approved, "status": "declined"})):
        assert await find_unaccounted(stored, "sandbox", [entry]) == ["r-1-close"]


def test_results_are_told_for_each_provider_account() -> None:
    other = report(provider="hub88", protocol="hub88_v1", requests=3, approved={"bet": 1}, declined={})
    summary = summary_of(SOUND, [report(), other, other])
    assert summary["by_provider"]["hub88"] == {
        "protocol": "hub88_v1",
        "calls": 6,
        "approved": 2,
        "declined": 0,
        "refused": 2,
    }
    assert summary["by_provider"]["sandbox"]["calls"] == 21
    assert summary["by_provider"]["sandbox"]["refused"] == 1 + 3
    line = next(line for line in told(summary).splitlines() if line.startswith("hub88"))
    assert line.split() == ["hub88", "hub88_v1", "6", "2", "0", "2"]


def test_a_broken_ledger_is_not_balanced() -> None:
    assert summary_of(msgspec.structs.replace(SOUND, ledger=ledger("I1")))["ledger"]["balanced"] is False


def test_a_demo_that_took_no_time_divides_by_nothing() -> None:
    assert summary_of(SOUND, played_s=0.0)["calls_per_second"] == 0


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, 0), ([7], 99, 7), (list(range(100)), 50, 50), (list(range(100)), 99, 99), ([1, 2, 3], 100, 3)],
)
def test_percentiles_are_values_that_were_measured(values: list[int], percent: int, expected: int) -> None:
    assert percentile(values, percent) == expected


def test_counters_are_merged_by_name() -> None:
    reports = [{"attacks": {"planted": {"stale": 1}}}, {"attacks": {"planted": {"stale": 2, "unsigned": 1}}}]
    assert merge_counts(reports, "attacks", "planted") == {"stale": 3, "unsigned": 1}
    assert merge_counts([], "attacks", "planted") == {}


def test_people_read_amounts_in_decimals_and_sums() -> None:
    screen = told(summary_of(SOUND))
    assert "2 players, 10 rounds, 42 signed requests" in screen
    assert "4.80" in screen
    assert "broken" not in screen


def test_people_read_what_is_broken_and_an_example() -> None:
    evidence = msgspec.structs.replace(SOUND, unexpected=1, examples=("bet-9: round_closed",))
    screen = told(summary_of(evidence))
    assert "broken: 1 decisions" in screen
    assert "bet-9: round_closed" in screen


def test_the_file_carries_its_schema(tmp_path: Path) -> None:
    write_summary(tmp_path / "out.json", summary_of(SOUND))
    document = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    assert document.pop("schema") == {"name": "croupier.demo", "version": 1}
    assert document == summary_of(SOUND)


@pytest.mark.parametrize(("held", "code"), [(True, 0), (False, 3)])
def test_the_exit_code_says_whether_the_invariants_held(
    monkeypatch: pytest.MonkeyPatch, held: bool, code: int
) -> None:
    async def play(*_: object, **__: object) -> bool:
        return held

    monkeypatch.setattr(demo_command, "_demo", play)
    assert CliRunner().invoke(app, ["demo", "--once"]).exit_code == code


def test_the_provider_is_where_the_sandbox_listens(tmp_path: Path) -> None:
    config = prepare_folder(tmp_path, {})
    assert config.providers[0].base_url == "http://127.0.0.1:8702"
    moved = prepare_folder(tmp_path, {"CROUPIER_SANDBOX_LISTEN": "127.0.0.1:9902"})
    assert moved.providers[0].base_url == "http://127.0.0.1:9902"
    assert moved.self_exclusion.url == "http://127.0.0.1:9902/self-exclusion"
    assert prepare_folder(tmp_path, {}).providers[0].base_url == "http://127.0.0.1:8702"


def test_a_folder_of_an_earlier_version_is_written_anew_and_its_configuration_kept(tmp_path: Path) -> None:
    (tmp_path / "croupier.toml").write_text('environment = "development"\n')
    config = prepare_folder(tmp_path, {})
    assert [entry.id for entry in config.jurisdictions] == ["MT"]
    assert (tmp_path / "croupier.toml.old").read_text() == 'environment = "development"\n'


def test_every_account_has_a_path_of_its_own_and_the_sandbox_its_side_of_the_keys(tmp_path: Path) -> None:
    config = prepare_folder(tmp_path, {"CROUPIER_SANDBOX_LISTEN": "127.0.0.1:9902"})
    chosen = (*choose_providers(), SUCCESSOR)
    assert [(one.id, one.adapter) for one in config.providers] == [(one.id, one.protocol) for one in chosen]
    assert config.successors() == {"sandbox": "sandbox_v2"}
    assert {one.base_url for one in config.providers[1:]} == {
        f"http://127.0.0.1:9902/{one.id}" for one in chosen[1:]
    }
    keys = resolve_keys(config, {}).providers
    path = write_accounts(tmp_path, "http://127.0.0.1:9900")
    for account in read_accounts(path):
        ours, (theirs,) = keys[account.id], account.launch_keys
        assert account.callback_base == f"http://127.0.0.1:9900/providers/{account.id}"
        if isinstance(account.callback_key, PrivateKey) and isinstance(ours.outbound[0], PrivateKey):
            assert account.callback_key.public == ours.inbound[0]
            assert ours.outbound[0].public == theirs
        else:
            assert (account.callback_key, theirs) == (ours.inbound[0], ours.outbound[0])
            assert account.callback_key != theirs


def test_a_folder_of_an_earlier_demo_gets_the_accounts_it_lacks_once(tmp_path: Path) -> None:
    before = prepare_folder(tmp_path, {})
    text = (tmp_path / "croupier.toml").read_text()
    assert prepare_folder(tmp_path, {}) == before
    assert (tmp_path / "croupier.toml").read_text() == text


def test_a_webhook_that_cannot_be_processed_is_parked_while_people_watch(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path, {}).inbox.attempts == 3


def test_players_sit_at_every_account_before_any_gets_a_second_asset() -> None:
    seats = seat_players(choose_providers())
    accounts = len(choose_providers())
    assert len({provider.id for provider, _ in seats[:accounts]}) == accounts
    assert len(set(map(str, seats))) == len(seats) == sum(len(one.assets) for one in choose_providers())


def test_only_the_providers_address_is_moved() -> None:
    text = (
        'id = "sandbox"\nbase_url = "http://127.0.0.1:8702"\nlisten = "127.0.0.1:8702"\n'
        'base_url = "http://127.0.0.1:8702/hub88"\n'
    )
    assert point_at_sandbox(text, "127.0.0.1:1") == text.replace(
        "http://127.0.0.1:8702", "http://127.0.0.1:1"
    )


class BrokenPlatform(Platform):
    """A casino whose deposits do not arrive."""

    def __init__(self, error: Exception) -> None:
        super().__init__("http://127.0.0.1:1", "token")
        self._error = error

    async def deposit(self, player_id: str, asset: str, amount: int, reference: str) -> None:
        raise self._error


async def test_the_first_trouble_of_a_player_ends_the_demo_in_words() -> None:
    platform = BrokenPlatform(PlatformError("a deposit was declined: limit_reached"))
    with pytest.raises(PlatformError, match="a deposit was declined: limit_reached"):
        await Play(DemoSettings(players=3), platform, "run", lambda _: None).run()


async def test_a_fault_of_the_demo_itself_is_not_dressed_up() -> None:
    platform = BrokenPlatform(KeyError("status"))
    with pytest.raises(ExceptionGroup):
        await Play(DemoSettings(players=1), platform, "run", lambda _: None).run()
