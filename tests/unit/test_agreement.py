"""Agreement with the operator's wallet, case by case: what is a difference, what it is called, and what is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from croupier.moneypath.decide.wallet import CREDIT_REFUSED
from croupier.moneypath.decide.wallet import OTHER_AMOUNT as MONEY_PATHS_OTHER_AMOUNT
from croupier.settlement.agreement import Agreement, Held, Listed, Part, Window, compare, stray_references
from croupier.settlement.agreement.records import (
    KINDS,
    LACKS_ENTRY,
    LACKS_MOVEMENT,
    NOT_EVEN,
    OTHER_AMOUNT,
    OTHER_ASKED,
    OTHER_HOLDER,
    REFUSED_CREDIT,
    TWICE,
    UNASKED_ENTRY,
    UNKNOWN_MOVEMENT,
    UNSETTLED,
)
from model.agreement import DAWN, asked_of, held, listed, unasked, undone_pair

WINDOW = Window(DAWN, DAWN + timedelta(hours=1))
NOW = DAWN + timedelta(hours=2)
SOON = DAWN + timedelta(minutes=5)


def found_in(
    *calls: Held, movements: tuple[Listed, ...] = (), elsewhere: tuple[Held, ...] = (), now: object = NOW
) -> Agreement:
    """What is found in one window with these calls and movements."""
    by_reference: dict[str, list[Listed]] = {}
    for one in sorted(movements, key=lambda one: one.recorded_at):
        by_reference.setdefault(one.reference, []).append(one)
    part = Part(
        window=WINDOW,
        held=calls,
        listed=by_reference,
        recorded=[one for one in movements if WINDOW.holds(one.recorded_at)],
        elsewhere={call.name: call for call in elsewhere},
    )
    assert now in (NOW, SOON)
    return compare(part, NOW if now is NOW else SOON)


def kinds_of(found: Agreement) -> list[str]:
    """The kinds of all differences."""
    return [one.kind for one in found.differences]


def test_what_all_sides_say_alike_is_agreed() -> None:
    bet = held(1)
    win = held(2, operation="credit", booked="before", amount=250, moved=250)
    found = found_in(bet, win, movements=(listed(bet), listed(win)))
    assert (found.agreed, found.calls, found.movements, found.differences) == (2, 2, 2, [])
    sums = found.sums["EUR"]
    assert (sums.theirs, sums.ours, sums.ledger, sums.difference) == (150, 150, 150, 0)


def test_what_was_refused_or_never_applied_moves_nothing_anywhere() -> None:
    refused, gone = held(1, state="refused", moved=None), held(2, state="not_applied", moved=None)
    found = found_in(refused, gone)
    assert (found.agreed, found.differences) == (2, [])


def test_a_movement_that_was_approved_and_is_not_listed_is_lacking() -> None:
    (found,) = found_in(held(1)).differences
    assert (found.kind, found.subject, found.amount, found.gaps) == (
        LACKS_MOVEMENT,
        held(1).name,
        100,
        (("EUR", 100),),
    )
    assert found.provider == "acme"
    assert "bet-1" in found.explanation


def test_a_movement_under_a_reference_that_was_never_asked_is_unknown() -> None:
    stranger = listed(held(1), recorded_at=SOON)
    assert stray_references([], [stranger]) == (stranger.reference,)
    (found,) = found_in(movements=(stranger,)).differences
    assert (found.kind, found.subject, found.provider) == (UNKNOWN_MOVEMENT, stranger.reference, None)
    assert (found.amount, found.gaps) == (100, (("EUR", -100),))


@pytest.mark.parametrize("state", ["refused", "not_applied"])
def test_a_movement_that_they_said_they_did_not_make_is_unknown(state: str) -> None:
    call = held(1, state=state, moved=None)
    assert kinds_of(found_in(call, movements=(listed(call),))) == [UNKNOWN_MOVEMENT]


def test_a_rollback_that_moved_nothing_is_not_listed() -> None:
    call = held(1, operation="rollback", moved=0, reason="already_rolled_back")
    assert found_in(call).agreed == 1
    movement = structs.replace(listed(call), amount=3, change=-3)
    assert kinds_of(found_in(call, movements=(movement,))) == [UNKNOWN_MOVEMENT]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"amount": 99, "change": -99}, OTHER_AMOUNT),
        ({"change": 100, "operation": "credit"}, OTHER_AMOUNT),
        ({"player_id": "player-2"}, OTHER_HOLDER),
        ({"asset": "BTC"}, OTHER_HOLDER),
    ],
)
def test_a_movement_that_is_not_as_it_was_told_has_a_kind_of_its_own(
    change: dict[str, object], kind: str
) -> None:
    call = held(1)
    assert kinds_of(found_in(call, movements=(structs.replace(listed(call), **change),))) == [kind]


def test_another_asset_leaves_a_gap_in_both() -> None:
    call = held(1)
    (found,) = found_in(call, movements=(structs.replace(listed(call), asset="BTC"),)).differences
    assert found.gaps == (("BTC", -100), ("EUR", 100))


def test_two_movements_of_one_reference_are_one_too_many() -> None:
    call = held(1)
    wrong = structs.replace(listed(call), amount=7, change=-7)
    (found,) = found_in(call, movements=(wrong, listed(call))).differences
    assert (found.kind, found.amount, found.gaps) == (TWICE, 7, (("EUR", -7),))


def test_a_second_movement_long_after_the_call_is_one_too_many_too() -> None:
    call = held(1)
    late = listed(call, DAWN + timedelta(minutes=30))
    assert kinds_of(found_in(call, movements=(listed(call), late))) == [TWICE]
    assert kinds_of(found_in(movements=(late,), elsewhere=(call,))) == [TWICE]


def test_a_movement_of_a_call_that_was_settled_in_another_window_is_left_to_that() -> None:
    early = held(1, asked_at=DAWN - timedelta(seconds=9), settled_at=DAWN - timedelta(seconds=1))
    movement = listed(early, DAWN + timedelta(seconds=20))
    assert found_in(movements=(movement,), elsewhere=(early,)) == Agreement()


def test_a_movement_beyond_the_edge_of_the_window_belongs_to_its_call() -> None:
    call = held(1, asked_at=DAWN - timedelta(minutes=40), settled_at=DAWN)
    for at in (call.asked_at - timedelta(seconds=30), DAWN + timedelta(seconds=30)):
        assert found_in(call, movements=(listed(call, at),)).agreed == 1


def test_what_is_listed_and_open_here_is_a_difference_only_past_its_deadline() -> None:
    call = held(1, state="unknown", settled_at=None, moved=None, reason="timeout")
    movement = listed(call, DAWN + timedelta(seconds=1))
    young = found_in(movements=(movement,), elsewhere=(call,), now=SOON)
    assert (young.under_way, young.differences, young.sums) == (1, [], {})
    (found,) = found_in(movements=(movement,), elsewhere=(call,)).differences
    assert (found.kind, found.gaps) == (UNSETTLED, (("EUR", -100),))


def test_an_overdue_credit_that_is_listed_and_booked_leaves_no_gap() -> None:
    call = held(1, operation="credit", booked="before", state="queued", settled_at=None, moved=None)
    (found,) = found_in(movements=(listed(call),), elsewhere=(call,)).differences
    assert (found.kind, found.amount, found.gaps) == (UNSETTLED, 100, ())


def test_an_undone_call_and_its_undoing_are_even_or_neither_is_there() -> None:
    undone, undoing = undone_pair(1)
    back = listed(undoing, undoing.asked_at, change=100)
    assert kinds_of(found_in(undone, undoing, movements=(listed(undone), back))) == []
    nothing = structs.replace(undoing, moved=0, reason="nothing_to_roll_back")
    assert kinds_of(found_in(undone, nothing)) == []
    # Neither is there, whatever they said: no money moved.
    assert kinds_of(found_in(undone, undoing)) == []


def test_an_undone_call_that_is_not_even_is_a_difference_once() -> None:
    undone, undoing = undone_pair(1)
    back = listed(undoing, undoing.asked_at, change=100)
    (lost,) = found_in(undone, undoing, movements=(listed(undone),)).differences
    assert (lost.kind, lost.subject, lost.gaps) == (LACKS_MOVEMENT, undoing.name, (("EUR", -100),))
    (alone,) = found_in(undone, undoing, movements=(back,)).differences
    assert (alone.kind, alone.subject, alone.gaps) == (NOT_EVEN, undone.name, (("EUR", 100),))
    refused = structs.replace(undoing, state="refused", moved=None)
    assert kinds_of(found_in(undone, refused, movements=(listed(undone),))) == [NOT_EVEN]


def test_what_is_approved_and_not_booked_lacks_its_entry_once_nobody_waits_for_it() -> None:
    call = held(1, entry_change=None)
    (found,) = found_in(call, movements=(listed(call),)).differences
    assert (found.kind, found.gaps) == (LACKS_ENTRY, (("EUR", -100),))
    young = found_in(call, movements=(listed(call),), now=SOON)
    assert (young.under_way, young.agreed, young.differences) == (1, 0, [])
    assert (young.sums["EUR"].under_way, young.sums["EUR"].difference) == (-100, 0)


def test_what_is_booked_otherwise_than_they_told_is_a_difference() -> None:
    partly = held(1, operation="rollback", booked="before", moved=40)
    assert kinds_of(found_in(partly, movements=(listed(partly),))) == [OTHER_AMOUNT]
    refused = held(2, operation="credit", booked="before", state="refused", moved=None)
    (owed,) = found_in(refused).differences
    assert (owed.kind, owed.gaps) == (REFUSED_CREDIT, (("EUR", -100),))
    booked = held(3, state="refused", moved=None, entry_change=-100)
    assert kinds_of(found_in(booked)) == [UNASKED_ENTRY]


def test_both_halves_of_one_difference_are_one() -> None:
    call = held(1, entry_change=-90)
    movement = structs.replace(listed(call), amount=80, change=-80)
    (found,) = found_in(call, movements=(movement,)).differences
    assert (found.kind, found.gaps) == (OTHER_AMOUNT, (("EUR", 10),))
    assert "-80" in found.explanation
    assert "-90" in found.explanation


def test_an_entry_without_a_call_is_a_difference() -> None:
    found = compare(Part(window=WINDOW, unasked=[unasked(1, SOON)]), NOW)
    (one,) = found.differences
    assert (one.kind, one.subject, one.gaps) == (UNASKED_ENTRY, "operator:cash-1", (("EUR", -5),))
    assert found.sums["EUR"].difference == -5


@pytest.mark.parametrize("change", [{"player_id": "player-2"}, {"asset": "BTC"}, {"amount": 99}])
def test_what_the_provider_asked_otherwise_is_a_difference(change: dict[str, object]) -> None:
    call = held(1)
    call = structs.replace(call, asked=structs.replace(asked_of(call), **change))
    assert kinds_of(found_in(call, movements=(listed(call),))) == [OTHER_ASKED]


def test_a_call_is_undone_later_than_its_window_and_found_in_its_undoings() -> None:
    undone, undoing = undone_pair(1)
    found = found_in(movements=(listed(undone),), elsewhere=(undone,))
    assert found == Agreement()
    assert kinds_of(found_in(undoing, movements=(listed(undone),), elsewhere=(undone,))) == [LACKS_MOVEMENT]


def test_breaks_of_the_money_path_and_of_a_comparison_have_one_name() -> None:
    assert (OTHER_AMOUNT, REFUSED_CREDIT) == (MONEY_PATHS_OTHER_AMOUNT, CREDIT_REFUSED)
    assert len(set(KINDS)) == len(KINDS)
