"""The demo's verdicts on the operator's wallet: what differs is found, said on the screen, and breaks one invariant."""

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from croupier.cli.demo import FOLDERS
from croupier.demo.folder import prepare_folder
from croupier.demo.proofs import HELD, Wallets, judge
from croupier.demo.settings import WALLET_FAULTS, WALLET_LATE_MS, WalletMode
from croupier.demo.summary import is_held
from croupier.demo.wallet_proofs import (
    Agreement,
    MadeCall,
    WalletBook,
    WalletEvidence,
    find_wrong_wallets,
    sum_up,
)
from croupier.demo.wallet_summary import render_wallet, tell_wallet
from croupier.demo.wallet_trouble import WalletOutage
from croupier.money import AssetRegistry
from croupier.sandbox.wallet.faults import FAULTS
from unit.test_demo_summary import INVARIANTS, SOUND, summary_of, told

PLAYER = ("p-1", "EUR")


def call(name: str, **changes: Any) -> MadeCall:
    """A bet of 100 that the wallet approved, or what is changed of it."""
    approved = MadeCall(
        name=f"wtx_{name}",
        player_id="p-1",
        asset="EUR",
        operation="debit",
        kind="bet",
        amount=100,
        booked="after",
        state="approved",
        moved=100,
        target=None,
    )
    return msgspec.structs.replace(approved, **changes)


def row(name: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    """The wallet's record of the same bet."""
    return {
        "reference": f"wtx_{name}",
        "number": number,
        "status": "approved",
        "operation": "debit",
        "player_id": "p-1",
        "asset": "EUR",
        "change": "-100",
        **changes,
    }


def differences(calls: list[MadeCall], *rows: dict[str, Any]) -> list[str]:
    return WalletBook(rows).find_differences(calls)


WIN = call("w", operation="credit", kind="win", booked="before")
UNDONE = call("u", state="undone", moved=None)
UNDOING = call("r", operation="rollback", booked="never", target="wtx_u")


@pytest.mark.parametrize(
    ("operation", "kind", "change"),
    [
        ("debit", "bet", -100),
        ("credit", "win", 100),
        ("rollback", "bet", 100),
        ("rollback", "win", -100),
        ("rollback", "jackpot_win", -100),
    ],
)
def test_a_call_changes_a_balance_in_its_own_direction(operation: str, kind: str, change: int) -> None:
    assert call("c", operation=operation, kind=kind).change == change
    assert call("c", operation=operation, kind=kind, state="refused").change == 0


def test_what_both_sides_say_alike_is_no_difference() -> None:
    calls = [
        call("b"),
        WIN,
        call("n", state="refused", moved=None),
        call("x", state="not_applied", moved=None),
        UNDONE,
        UNDOING,
        call("open", state="unknown", moved=None),
    ]
    rows = [
        row("b"),
        row("w", operation="credit", change="100"),
        row("n", status="refused", change="0"),
        row("u"),
        row("r", operation="rollback", change="100"),
        row("open"),
        {**row("cash"), "reference": "deposit-1", "change": "900"},
    ]
    assert differences(calls, *rows) == []


@pytest.mark.parametrize(
    ("calls", "rows", "why"),
    [
        ([], [row("b")], "wtx_b is in the wallet's book and was never asked"),
        ([call("b")], [], "wtx_b is approved here, and there unheard of"),
        ([call("b")], [row("b", status="refused", change="0")], "wtx_b is approved here, and there refused"),
        ([call("b")], [row("b"), row("b")], "wtx_b changed -100 here, and -200 there"),
        ([call("b", moved=90)], [row("b")], "wtx_b changed -90 here, and -100 there"),
        ([call("b")], [row("b", player_id="p-2")], "wtx_b is another movement there"),
        ([call("b")], [row("b", asset="JPY")], "wtx_b is another movement there"),
        ([call("b")], [row("b", operation="credit")], "wtx_b is another movement there"),
        ([call("b", state="refused")], [row("b")], "wtx_b is refused here, and there approved"),
        ([call("b", state="not_applied")], [row("b")], "wtx_b is not applied here, and approved there"),
        ([UNDONE], [], "wtx_u is undone, and nothing undoes it"),
        (
            [UNDONE, UNDOING],
            [row("u"), row("r", operation="rollback", change="0")],
            "wtx_u is undone, and -100 of it are left there",
        ),
    ],
)
def test_one_difference_is_named(calls: list[MadeCall], rows: list[dict[str, Any]], why: str) -> None:
    assert differences(calls, *rows) == [why]


def test_calls_of_one_player_that_reached_the_wallet_out_of_order_are_named() -> None:
    calls = [call("a"), call("b"), call("c", player_id="p-2"), call("never")]
    assert WalletBook([row("a", 1), row("b", 3), row("c", 2)]).find_disorder(calls) == []
    found = WalletBook([row("a", 5), row("b", 3), row("c", 2)]).find_disorder(calls)
    assert found == ["wtx_b reached the wallet before an earlier call of p-1"]


def test_a_wallet_holds_what_came_by_the_cashier_and_flowed_through_us() -> None:
    assert find_wrong_wallets({PLAYER: 500}, {PLAYER: -20}, {PLAYER: 480}) == []
    assert find_wrong_wallets({PLAYER: 500}, {PLAYER: -20}, {PLAYER: 481}) == ["p-1/EUR"]
    assert find_wrong_wallets({}, {PLAYER: 1}, {}) == ["p-1/EUR"]
    assert find_wrong_wallets({}, {}, {PLAYER: 1}) == ["p-1/EUR"]


def test_sums_are_compared_by_asset_also_where_one_side_has_nothing() -> None:
    totals = {"EUR": {"balance": "480"}, "JPY": {"balance": "7"}}
    summed = sum_up(totals, {PLAYER: 500, ("p-2", "BHD"): 3}, {PLAYER: -20})
    assert summed == {"BHD": Agreement(0, 3), "EUR": Agreement(480, 480), "JPY": Agreement(7, 0)}


async def test_deposits_that_our_books_never_saw_count_as_held() -> None:
    class Stored:
        """A connection to books with one mirror."""

        async def fetch(self, *_: object) -> list[dict[str, str]]:
            return [{"owner": "p-1", "asset": "EUR", "balance": "-20"}]

    wallets = Wallets()
    wallets.add_deposit("p-1", "EUR", 500)
    wallets.add_page([{"player_id": "p-1", "asset": "EUR", "effect": "-20"}])
    assert await wallets.find_wrong(Stored(), elsewhere={PLAYER: 500}) == []
    assert await wallets.find_wrong(Stored(), elsewhere={PLAYER: 499}) == ["p-1/EUR"]
    assert await wallets.find_wrong(Stored()) == ["p-1/EUR"]


OUTAGE = WalletOutage(
    queued=("wtx_a", "wtx_b"),
    launches_tried=9,
    launches_refused=8,
    launches_held_back=6,
    debits_refused=31,
    opened_in_s=1.25,
    away_s=4.5,
    drained_in_s=2.75,
)
EVIDENCE = WalletEvidence(
    calls={"approved": 40, "refused": 2},
    faults={"late": 3, "commit_then_drop": 4},
    unknown_seen=7,
    unknown_settled=7,
    waiting=0,
    overdue=0,
    breaks={},
    differences=(),
    wrong=(),
    agreement={"EUR": Agreement(480, 480)},
    asked_when_killed=5,
    outage=OUTAGE,
    drained=2,
)


def remote(**changes: Any) -> Any:
    """Sound evidence of a demo whose wallet is the operator's."""
    return msgspec.structs.replace(SOUND, wallet=msgspec.structs.replace(EVIDENCE, **changes))


def test_an_honest_wallet_and_its_books_hold_every_invariant_and_one_more() -> None:
    verdicts = judge(remote())
    assert verdicts == dict.fromkeys((*INVARIANTS, "I6"), HELD)
    assert list(verdicts) == sorted(verdicts, key=lambda name: int(name[1:]))
    assert set(summary_of(remote())["claims"]) == set(verdicts)


@pytest.mark.parametrize(
    ("invariant", "changes", "why"),
    [
        ("I6", {"differences": ("wtx_b is another movement there",)}, "wtx_b is another movement there"),
        ("I6", {"wrong": ("p-1/EUR",)}, "the wallet of p-1/EUR differs"),
        (
            "I6",
            {"agreement": {"EUR": Agreement(481, 480)}},
            "481 minor units of EUR in the wallet and 480 in the books",
        ),
        ("I6", {"breaks": {"wallet_contradicts_itself": 2}}, "2 findings about a wallet that is honest"),
        ("I10", {"waiting": 3}, "0 sessions, 3 calls and 0 webhooks are open"),
    ],
)
def test_one_fault_of_the_wallet_breaks_one_invariant(
    invariant: str, changes: dict[str, Any], why: str
) -> None:
    evidence = remote(**changes)
    verdicts = judge(evidence)
    assert why in verdicts[invariant]
    assert {name for name, verdict in verdicts.items() if verdict != HELD} == {invariant}
    assert not is_held(summary_of(evidence))


def test_what_is_with_a_person_is_not_waited_for() -> None:
    assert judge(remote(overdue=1))["I10"] == HELD


def test_the_document_has_the_wallet_only_where_it_is_the_operators() -> None:
    assert "wallet" not in summary_of(SOUND)
    assert "I6" not in summary_of(SOUND)["claims"]
    assert summary_of(remote())["wallet"] == {
        "mode": "remote",
        "calls": {"approved": 40, "refused": 2},
        "faults": {"commit_then_drop": 4, "late": 3},
        "unknown": {"seen": 7, "settled": 7},
        "overdue": 0,
        "asked_when_killed": 5,
        "outage": {
            "seconds_away": 4.5,
            "breaker_opened_in_s": 1.25,
            "queued": 2,
            "drained": 2,
            "drained_in_s": 2.75,
            "launches_tried": 9,
            "launches_refused": 8,
            "launches_held_back": 6,
            "debits_refused": 31,
        },
        "agreement": {"EUR": {"wallet": "480", "books": "480"}},
        "differences": [],
        "agrees": True,
    }


@pytest.mark.parametrize(
    "changes",
    [{"differences": ("x",)}, {"wrong": ("p-1/EUR",)}, {"agreement": {"EUR": Agreement(480, 479)}}],
)
def test_wallet_and_books_do_not_agree_where_anything_differs(changes: dict[str, Any]) -> None:
    document = render_wallet(msgspec.structs.replace(EVIDENCE, **changes))
    assert document["agrees"] is False
    assert len(document["differences"]) == 1


def test_people_read_what_the_wallet_did_and_that_it_agrees() -> None:
    screen = told(summary_of(remote()))
    assert "42 movements were asked of it: 40 approved, 2 refused" in screen
    assert "it misbehaved: 4 commit then drop, 3 late" in screen
    assert "7 outcomes were unknown, 7 of them are settled since; 5 calls were under way" in screen
    assert "away for 4.5 s" in screen
    assert "8 of 9 launches and 31 debits were refused, 2 calls were queued" in screen
    assert "2 of 2 were delivered in order, 2.8 s after it was back" in screen
    assert "4.80" in screen
    assert "agree" in screen
    assert "differ" not in screen.partition("What the operator's wallet says")[2]
    assert "the operator's wallet" not in told(summary_of(SOUND))


def test_people_read_where_the_wallet_differs() -> None:
    evidence = msgspec.structs.replace(EVIDENCE, agreement={"EUR": Agreement(481, 480)}, outage=None)
    screen = io.StringIO()
    tell_wallet(render_wallet(evidence), AssetRegistry(), Console(file=screen, width=120))
    assert "differ" in screen.getvalue()
    assert "481 minor units of EUR" in screen.getvalue()
    assert "away for" not in screen.getvalue()


def test_books_of_one_mode_are_never_those_of_the_other(tmp_path: Path) -> None:
    assert set(FOLDERS) == set(WalletMode)
    assert len({str(folder) for folder in FOLDERS.values()}) == len(FOLDERS)
    assert prepare_folder(tmp_path, {}).wallet.is_remote is False


def test_the_folder_follows_the_wallet_to_another_port(tmp_path: Path) -> None:
    config = prepare_folder(tmp_path, {}, wallet_url="http://127.0.0.1:8703")
    assert (config.wallet.mode, config.wallet.url) == ("remote", "http://127.0.0.1:8703")
    moved = prepare_folder(
        tmp_path, {"CROUPIER_SANDBOX_LISTEN": "127.0.0.1:9902"}, wallet_url="http://127.0.0.1:1"
    )
    assert moved.wallet.url == "http://127.0.0.1:1"
    assert moved.providers[0].base_url == "http://127.0.0.1:9902"
    assert (tmp_path / "croupier.toml").read_text().count("[wallet]") == 1


def test_the_wallet_misbehaves_honestly_and_is_later_than_anybody_waits(tmp_path: Path) -> None:
    assert all(FAULTS[name].is_honest for name in WALLET_FAULTS)
    timeout_s = prepare_folder(tmp_path, {}, wallet_url="http://127.0.0.1:1").wallet.timeout_s
    assert timeout_s * 1_000 < WALLET_LATE_MS
