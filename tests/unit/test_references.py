"""The section "References and repeats" of `money.md`: once, the same answer for ever, nothing half done."""

from datetime import timedelta

import pytest
from msgspec import structs

from croupier.errors import IDEMPOTENCY_KEY_REUSED
from croupier.money import MAX_MINOR
from croupier.moneypath.commands import Idempotency, RefuseCredit, SpendNonce
from croupier.play.session import State
from model.calls import (
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    bet,
    call,
    cancel,
    close_round,
    close_session,
    deposit,
    jackpot,
    open_session,
    promo,
    rollback,
    win,
    withdrawal,
)
from model.desk import as_stored, open_desk, settle_session

EVERY_ACTION = [bet(), win(), jackpot(), promo(), close_round(), deposit(), withdrawal(), rollback("b0")]


def told(outcome):
    return outcome.status, outcome.code


@pytest.fixture
def desk():
    desk = open_desk()
    desk.one(bet("b0", 100, round_id="r0"))
    return desk


class TestRepeats:
    @pytest.mark.parametrize("action", EVERY_ACTION)
    def test_the_same_request_again_gets_the_same_answer_and_moves_nothing(self, desk, action):
        first = desk.one(action)
        desk.one(deposit("more", 5))
        books = desk.books()
        again = desk.one(action)
        assert again.is_repeat
        assert not first.is_repeat
        assert as_stored(again) == as_stored(first)
        assert desk.books() == books

    @pytest.mark.parametrize("action", [bet(amount=5_000), withdrawal(amount=5_000)])
    def test_a_decline_stays_a_decline_after_a_top_up(self, desk, action):
        first = desk.one(action)
        assert told(first) == ("declined", "insufficient_funds")
        desk.one(deposit("top-up", 10_000))
        assert as_stored(desk.one(action)) == as_stored(first)
        assert desk.balance() == 10_900

    def test_a_repeat_after_the_session_ended_is_still_a_repeat(self, desk):
        first = desk.one(bet("b1", round_id="r0"))
        desk.one(close_round("c0", "r0"))
        settle_session(desk)
        assert as_stored(desk.one(bet("b1", round_id="r0"))) == as_stored(first)

    def test_a_repeat_of_a_rolled_back_bet_gets_its_first_answer(self, desk):
        first = desk.one(bet())
        desk.one(rollback())
        assert as_stored(desk.one(bet())) == as_stored(first)
        assert desk.balance() == 900

    @pytest.mark.parametrize("action", [bet(), win(), close_round(), deposit(), rollback("b0")])
    def test_times_are_not_part_of_a_fingerprint(self, desk, action):
        desk.one(action)
        later = structs.replace(action, occurred_at=NOW + timedelta(hours=1))
        assert desk.one(later).is_repeat

    def test_free_text_is_not_part_of_a_fingerprint(self, desk):
        desk.one(rollback("b0", reason="timeout"))
        assert desk.one(rollback("b0", reason="player left")).is_repeat
        desk.one(close_round(outcome='{"a": 1}'))
        assert desk.one(close_round(outcome='{"b": 2}')).is_repeat

    def test_a_request_made_again_by_ourselves_is_not_called_a_repeat(self, desk):
        request = call(bet())
        assert desk.put(request) == desk.put(request)
        assert desk.balance() == 800

    def test_a_duplicate_of_a_declined_command_in_the_same_batch_gets_that_decline(self, desk):
        too_much = bet("b1", 5_000)
        first, second = desk.one(too_much), desk.one(too_much)
        assert told(first) == ("declined", "insufficient_funds")
        assert (as_stored(second), second.is_repeat) == (as_stored(first), True)

    def test_a_reference_belongs_to_one_provider_account(self, desk):
        desk.one(open_session(OTHER_SESSION, provider="rival"))
        theirs = desk.one(bet("b0", 7, session_id=OTHER_SESSION), provider="rival")
        assert (told(theirs), theirs.is_repeat) == (("approved", "ok"), False)


class TestConflicts:
    @pytest.mark.parametrize(
        ("first", "second", "field"),
        [
            (bet("x"), win("x", 100), "action"),
            (win("x"), jackpot("x", 40), "action"),
            (bet("x"), rollback("b0", "x"), "action"),
            (bet("x"), bet("x", player_id=OTHER_PLAYER), "player_id"),
            (bet("x"), bet("x", asset="USD"), "asset"),
            (bet("x"), bet("x", 101), "amount"),
            (bet("x"), bet("x", round_id="r2"), "round_id"),
            (bet("x"), bet("x", game_id="roulette"), "game_id"),
            (win("x"), win("x", player_id=OTHER_PLAYER), "player_id"),
            (win("x"), win("x", asset="USD"), "asset"),
            (win("x"), win("x", 41), "amount"),
            (win("x"), win("x", round_id="r2"), "round_id"),
            (win("x"), win("x", game_id="roulette"), "game_id"),
            (rollback("b0", "x"), rollback("b9", "x"), "target_reference"),
            (rollback("b0", "x"), rollback("b0", "x", player_id=OTHER_PLAYER), "player_id"),
            (rollback("b0", "x", round_id="r0"), rollback("b0", "x", round_id="r9"), "round_id"),
            (close_round("x"), close_round("x", "r2"), "round_id"),
            (deposit("x"), deposit("x", 1), "amount"),
            (deposit("x"), deposit("x", player_id=OTHER_PLAYER), "player_id"),
            (deposit("x"), deposit("x", asset="USD"), "asset"),
            (deposit("x", 5), withdrawal("x", 5), "action"),
            (withdrawal("x"), withdrawal("x", 299), "amount"),
        ],
    )
    def test_other_content_under_a_known_reference_is_refused_and_moves_nothing(
        self, desk, first, second, field
    ):
        stored = desk.one(first)
        books = desk.books()
        error = desk.refusal(second)
        assert (error.kind.code, error.field) == ("reference_conflict", field)
        assert desk.books() == books
        assert as_stored(desk.one(first)) == as_stored(stored)

    def test_a_field_that_only_one_of_them_has_is_other_content_too(self, desk):
        desk.one(jackpot("x", round_id="r0"))
        assert desk.refusal(jackpot("x", round_id=None)).kind.code == "reference_conflict"

    def test_a_field_that_only_the_later_one_has_is_other_content_too(self, desk):
        desk.one(jackpot("x", round_id=None))
        assert desk.refusal(jackpot("x", round_id="r0")).kind.code == "reference_conflict"

    @pytest.mark.parametrize(
        ("first", "credit"),
        [
            (win("x"), win("x", 41)),
            (deposit("x"), deposit("x", 2_000)),
            (rollback("b0", "x"), rollback("b9", "x")),
        ],
    )
    def test_a_credit_in_conflict_is_finances_work(self, desk, first, credit):
        desk.one(first)
        desk.refusal(credit)
        (found,) = desk.breaks()
        assert (found.kind, found.owner) == ("refused_credit", "finance")

    def test_a_debit_in_conflict_is_nobodys_loss(self, desk):
        desk.refusal(bet("b0", 99, round_id="r0"))
        assert not desk.breaks()

    def test_the_late_bet_of_a_tombstone_conflicts_with_itself_once_it_is_known(self, desk):
        desk.one(rollback("late"))
        desk.one(bet("late", 10))
        assert desk.refusal(bet("late", 11)).kind.code == "reference_conflict"


class TestAtomicCalls:
    def test_bet_and_win_happen_together(self, desk):
        outcomes = desk.decide(bet(amount=100), win(amount=250))
        assert [told(one) for one in outcomes] == [("approved", "ok")] * 2
        assert [one.balance for one in outcomes] == [800, 1_050]
        assert desk.balance() == 1_050

    def test_a_declined_bet_stops_its_win_and_only_the_decline_is_kept(self, desk):
        stopped, win_too = desk.decide(bet(amount=5_000), win())
        assert told(stopped) == told(win_too) == ("declined", "insufficient_funds")
        assert (stopped.reference, win_too.reference) == ("b1", "w1")
        assert desk.reference("b1").status == "declined"
        assert desk.reference("w1") is None
        assert told(desk.one(win())) == ("approved", "ok")

    def test_a_declined_win_undoes_its_bet(self, desk):
        books = desk.books()
        before = (desk.session(), dict(desk.facts.rounds), len(desk.events()))
        outcomes = desk.decide(bet(), win(amount=MAX_MINOR))
        assert [told(one) for one in outcomes] == [("declined", "limit_reached")] * 2
        assert [one.balance for one in outcomes] == [900, 900]
        assert desk.books() == books
        assert (desk.session(), dict(desk.facts.rounds), len(desk.events())) == before
        assert desk.reference("b1") is None
        assert desk.reference("w1").balance == 900

    def test_a_win_declined_by_its_tombstone_undoes_its_bet_and_tells_the_balance_there_is(self, desk):
        desk.one(rollback("w1"))
        outcomes = desk.decide(bet(), win())
        assert [told(one) for one in outcomes] == [("declined", "tombstoned")] * 2
        assert [one.balance for one in outcomes] == [900, 900]
        assert desk.reference("w1").balance == 900
        assert desk.reference("b1") is None

    def test_a_win_in_conflict_undoes_its_bet(self, desk):
        desk.one(win())
        books = desk.books()
        assert desk.refusal(bet(), win(amount=41)).kind.code == "reference_conflict"
        assert desk.books() == books
        assert desk.reference("b1") is None
        assert [found.kind for found in desk.breaks()] == ["refused_credit"]

    def test_one_reference_for_both_is_a_conflict_and_undone(self, desk):
        assert desk.refusal(bet("x"), win("x")).kind.code == "reference_conflict"
        assert desk.balance() == 900

    def test_a_bet_that_was_done_before_is_repeated_and_its_win_paid(self, desk):
        first = desk.one(bet())
        again, paid = desk.decide(bet(), win())
        assert as_stored(again) == as_stored(first)
        assert (again.is_repeat, paid.is_repeat) == (True, False)
        assert desk.balance() == 840

    def test_a_win_that_was_done_before_is_repeated_and_its_bet_taken(self, desk):
        first = desk.one(win())
        taken, again = desk.decide(bet(), win())
        assert (told(taken), taken.is_repeat) == (("approved", "ok"), False)
        assert as_stored(again) == as_stored(first)
        assert desk.balance() == 840
        assert desk.round().bet_due_at is None

    def test_a_whole_repeat_gets_both_answers(self, desk):
        first = desk.decide(bet(), win())
        again = desk.decide(bet(), win())
        assert all(one.is_repeat for one in again)
        assert [as_stored(one) for one in again] == [as_stored(one) for one in first]

    def test_a_bet_that_stood_before_its_win_was_declined_still_stands(self, desk):
        first = desk.one(bet())
        kept, stopped = desk.decide(bet(), win(amount=MAX_MINOR))
        assert as_stored(kept) == as_stored(first)
        assert told(stopped) == ("declined", "limit_reached")
        assert desk.balance() == 800

    def test_a_repeat_of_a_stopped_call_is_stopped_again(self, desk):
        first = desk.decide(bet(), win(amount=MAX_MINOR))
        desk.one(withdrawal("o1", 900))
        again = desk.decide(bet("b1", 0), win(amount=MAX_MINOR))
        assert [told(one) for one in again] == [told(one) for one in first]
        assert desk.reference("b1") is None


class TestOperatorKeys:
    def answered(self, desk, action, fingerprint="same"):
        key = Idempotency(
            bucket=7,
            api_key_id="key-1",
            key="k1",
            fingerprint=fingerprint,
            expires_at=NOW + timedelta(days=1),
            render=lambda outcomes: (200, ",".join(one.code for one in outcomes)),
        )
        return desk.put(call(action, idempotency=key))

    @pytest.mark.parametrize(
        ("action", "body"), [(deposit(), "ok"), (withdrawal(amount=5_000), "insufficient_funds")]
    )
    def test_a_key_gets_its_stored_answer_and_nothing_is_decided_again(self, desk, action, body):
        self.answered(desk, action)
        books = desk.books()
        (again,) = self.answered(desk, structs.replace(action, reference="other"))
        assert (again.answer, again.is_repeat) == ((200, body), True)
        assert desk.books() == books

    def test_a_key_with_other_content_is_refused(self, desk):
        self.answered(desk, deposit())
        assert self.answered(desk, deposit("d2"), "other").kind is IDEMPOTENCY_KEY_REUSED

    def test_an_error_is_not_kept_under_a_key(self, desk):
        assert self.answered(desk, withdrawal(player_id="nobody")).kind.code == "unknown_player"
        (outcome,) = self.answered(desk, deposit())
        assert told(outcome) == ("approved", "ok")
        assert outcome.answer is None


class TestWhatIsNoDecision:
    def test_a_mismatch_stores_nothing_and_the_right_request_passes_later(self, desk):
        desk.refusal(bet(player_id=OTHER_PLAYER))
        assert told(desk.one(bet())) == ("approved", "ok")

    def test_a_spent_nonce_moves_nothing(self, desk):
        books = desk.books()
        assert desk.one(SpendNonce(player_id="")).is_approved
        assert desk.books() == books

    def test_a_credit_that_does_not_fit_its_asset_is_finances_work(self, desk):
        books = desk.books()
        desk.one(
            RefuseCredit(
                player_id=bet().player_id,
                reference="w9",
                code="amount_not_representable",
                detail="finer than EUR",
                amount_text="0.001",
            )
        )
        (found,) = desk.breaks()
        assert (found.kind, found.subject) == ("refused_credit", "w9:amount_not_representable")
        assert "0.001" in found.explanation
        assert desk.books() == books

    def test_a_cancelled_withdrawals_namespace_is_not_the_withdrawals(self, desk):
        desk.one(withdrawal())
        desk.one(cancel())
        assert desk.reference("o1", "operator").action == "withdrawal"

    def test_closing_a_session_uses_up_no_reference(self, desk):
        known = dict(desk.facts.references)
        desk.one(close_session())
        assert desk.facts.references == known
        assert desk.session().state == State.PENDING
