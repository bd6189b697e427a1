"""What the demo claims of the operator's wallet: every kind of disagreement is found, and nothing else (I6)."""

from typing import Any

import pytest
from msgspec import structs

from croupier.demo.wallet_proofs import Agreement, MadeCall, WalletBook, WalletEvidence, find_wrong_wallets
from croupier.demo.wallet_summary import render_wallet

BET = MadeCall(
    name="wtx_1",
    player_id="ann",
    asset="EUR",
    operation="debit",
    kind="bet",
    amount=10,
    booked="after",
    state="approved",
    moved=10,
    target=None,
)
WIN = structs.replace(BET, name="wtx_2", operation="credit", kind="win", booked="before", amount=7, moved=7)
UNDONE = structs.replace(BET, name="wtx_3", state="undone")
UNDOING = structs.replace(
    BET, name="wtx_4", operation="rollback", booked="never", target="wtx_3", state="approved"
)
CALLS = [BET, WIN, UNDONE, UNDOING]


def movement(call: MadeCall, number: int, **fields: Any) -> dict[str, Any]:
    """A line of the wallet's book about a call."""
    return {
        "reference": call.name,
        "status": "approved",
        "player_id": call.player_id,
        "asset": call.asset,
        "operation": call.operation,
        "change": str(call.change or -10),
        "number": number,
        **fields,
    }


def book(**changes: Any) -> list[dict[str, Any]]:
    """The book that agrees, but for what is changed of the bet's line."""
    return [movement(BET, 1, **changes), movement(WIN, 2), movement(UNDONE, 3), movement(UNDOING, 4)]


def test_two_sides_that_agree_have_no_difference() -> None:
    assert WalletBook(book()).find_differences(CALLS) == []
    assert WalletBook(book()).find_disorder(CALLS) == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (book(change="-11"), "wtx_1 changed -10 here, and -11 there"),
        (book(status="refused"), "wtx_1 is approved here, and there refused"),
        (book(player_id="bob"), "wtx_1 is another movement there"),
        (book()[1:], "wtx_1 is approved here, and there unheard of"),
        ([*book(), movement(BET, 5)], "wtx_1 changed -10 here, and -20 there"),
        (book()[:3], "wtx_3 is undone, and -10 of it are left there"),
        (
            [*book(), movement(structs.replace(BET, name="wtx_9"), 5)],
            "wtx_9 is in the wallet's book and was never asked",
        ),
    ],
)
def test_a_difference_is_found(lines: list[dict[str, Any]], words: str) -> None:
    assert WalletBook(lines).find_differences(CALLS) == [words]


def test_a_call_that_overtook_another_is_found() -> None:
    lines = [movement(WIN, 1), movement(BET, 2)]
    assert WalletBook(lines).find_disorder([BET, WIN]) == [
        "wtx_2 reached the wallet before an earlier call of ann"
    ]


def test_a_wallet_that_holds_something_else_is_named() -> None:
    ann, bob = ("ann", "EUR"), ("bob", "EUR")
    assert find_wrong_wallets({ann: 100, bob: 50}, {ann: -3}, {ann: 97, bob: 50}) == []
    assert find_wrong_wallets({ann: 100}, {ann: -3}, {ann: 98}) == ["ann/EUR"]
    assert find_wrong_wallets({}, {bob: 5}, {}) == ["bob/EUR"]


def test_the_document_says_whether_they_agree() -> None:
    evidence = WalletEvidence(
        calls={"approved": 2},
        faults={"drop": 1},
        unknown_seen=1,
        unknown_settled=1,
        waiting=0,
        overdue=0,
        breaks={},
        differences=(),
        wrong=(),
        agreement={"EUR": Agreement(97, 97)},
        asked_when_killed=0,
        outage=None,
        drained=0,
    )
    assert render_wallet(evidence)["agrees"] is True
    for change in (
        {"agreement": {"EUR": Agreement(98, 97)}},
        {"differences": ("x",)},
        {"wrong": ("ann/EUR",)},
    ):
        document = render_wallet(structs.replace(evidence, **change))
        assert document["agrees"] is False
        assert document["differences"]
