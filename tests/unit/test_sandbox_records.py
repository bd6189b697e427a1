"""What the sandbox concludes from answers, how long it waits, and what it remembers."""

import msgspec
import pytest

from croupier.sandbox.book import Book, Forgotten, money_of
from croupier.sandbox.calls import Call, Item, Seat
from croupier.sandbox.client import Answer, wait_before_retry
from croupier.sandbox.jackpots import Jackpots, contribution_of
from croupier.sandbox.plan import Attack, Move
from croupier.sandbox.protocols.native import OWED, NativeWire, parse_reply
from croupier.sandbox.purse import MOST_AFLOAT, Purse, Purses
from croupier.sandbox.replies import Balance, Decision, Meaning, Received, Reply
from croupier.sandbox.tally import Tally, violations
from croupier.sandbox.wire import Account, RetryPolicy, Signed
from croupier_signing import SigningKey

SEAT = Seat("ses_1", "p-1", "dice", "dice", "EUR")
SIGNED = Signed("/providers/sandbox/v1/bet", (("Authorization", "signature"),), b"{}")
KEY = SigningKey("sandbox-in-1", b"0123456789abcdef0123456789abcdef")
WIRE = NativeWire(Account("sandbox", "croupier_v1", "http://127.0.0.1:1/providers/sandbox", KEY, (KEY,)))


def decision(
    *, repeat: bool = False, code: str = "ok", status: str = "approved", amount: str = "900"
) -> Decision:
    return Decision(status, code, "r-1-bet", "jrn_1", Balance(amount, "EUR"), repeat)


def reply(status: int, document: object, *, retry_after: str | None = None) -> Reply:
    return parse_reply(Received(status, msgspec.json.encode(document), retry_after, 1))


def answer(*, is_lost: bool = False, **told: bool | str) -> Answer:
    return Answer(reply(200, decision(**told)), SIGNED, is_lost=is_lost)  # type: ignore[arg-type]


def judge(*answers: Answer) -> list[str]:
    decided = [one.reply for one in answers if one.reply and one.meaning is Meaning.DECIDED]
    return violations(WIRE, decided, answers, is_any_lost=any(one.is_lost for one in answers))


def bet(reference: str = "r-1-bet") -> Call:
    return Call(Move.BET, "/bet", b"{}", (Item("bet", reference, 100),), SEAT, "r-1")


@pytest.mark.parametrize(
    ("status", "document", "meaning"),
    [
        (200, decision(), Meaning.DECIDED),
        (200, {"results": [decision(), decision()]}, Meaning.DECIDED),
        (200, {"status": "approved"}, Meaning.REPEAT),
        (200, [], Meaning.REPEAT),
        (400, {"code": "malformed"}, Meaning.REFUSED),
        (401, {"code": "unauthenticated", "reason": "stale"}, Meaning.UNKNOWN),
        (404, {"code": "unknown_session"}, Meaning.REFUSED),
        (408, {}, Meaning.REPEAT),
        (409, {"code": "in_flight"}, Meaning.REPEAT),
        (409, {"code": "reference_conflict"}, Meaning.REFUSED),
        (429, {}, Meaning.REPEAT),
        (500, "no object", Meaning.REPEAT),
        (503, {}, Meaning.REPEAT),
        (302, {}, Meaning.UNKNOWN),
    ],
)
def test_a_status_allows_the_conclusion_that_the_protocol_gives(
    status: int, document: object, meaning: Meaning
) -> None:
    assert reply(status, document).meaning is meaning


def test_a_reply_that_is_not_json_decides_nothing() -> None:
    assert parse_reply(Received(200, b"<html>")).meaning is Meaning.REPEAT


def test_a_wait_is_jittered_within_its_bounds_and_honours_retry_after_up_to_a_cap() -> None:
    policy = RetryPolicy(first_wait_s=0.1, longest_wait_s=1.0, longest_retry_after_s=3.0)
    waits = [wait_before_retry(policy, retries, None) for retries in (0, 1, 9, 500) for _ in range(200)]
    assert all(0 <= wait <= 1.0 for wait in waits)
    assert max(waits[:200]) <= 0.1
    assert len(set(waits)) > 700
    assert wait_before_retry(policy, 0, reply(503, {}, retry_after="2")) == 2.0
    assert wait_before_retry(policy, 0, reply(503, {}, retry_after="600")) == 3.0
    assert wait_before_retry(policy, 0, reply(503, {}, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")) <= 0.1


def test_copies_that_agree_on_one_original_violate_nothing() -> None:
    assert judge(answer()) == []
    assert judge(answer(repeat=True), answer(), answer(repeat=True)) == []
    assert judge(answer(repeat=True, is_lost=True), answer(repeat=True)) == []


def test_copies_that_differ_or_are_original_twice_or_never_are_violations() -> None:
    assert judge(answer(), answer(repeat=True, amount="901")) == ["the answers to copies of one call differ"]
    assert judge(answer(), answer()) == ["2 answers say that they are the original"]
    assert judge(answer(repeat=True), answer(repeat=True)) == ["0 answers say that they are the original"]
    refused = Answer(reply(409, {"code": "reference_conflict"}), SIGNED)
    assert judge(answer(), refused) == ["one copy was decided, another one refused"]


def test_an_attack_counts_as_refused_only_by_exactly_the_refusal_it_is_owed() -> None:
    tally, owed = Tally(), OWED[Attack.STALE]
    tally.add_attack(Attack.STALE, owed, reply(401, {"code": "unauthenticated", "reason": "stale"}))
    tally.add_attack(Attack.STALE, owed, reply(401, {"code": "unauthenticated", "reason": "mismatch"}))
    tally.add_attack(Attack.STALE, owed, None)
    assert tally.render()["attacks"] == {"planted": {"stale": 3}, "refused": {"stale": 1}}
    assert tally.wrong == [
        "stale: expected 401 unauthenticated stale, got 401 unauthenticated mismatch",
        "stale: expected 401 unauthenticated stale, got no answer",
    ]


def test_totals_add_up_and_leave_latencies_to_their_batch() -> None:
    total, batch = Tally(), Tally()
    batch.add_answers([answer()], is_money=True)
    batch.add_decision("bet", decision())
    total.add(batch)
    total.add(batch)
    assert (total.requests, total.approved["bet"], total.latencies_us) == (2, 2, [])
    assert batch.latencies_us == [1]


def test_the_book_numbers_entries_and_pages_through_them() -> None:
    book = Book()
    for number in range(5):
        book.record(bet(f"r-{number}"), (decision(),))
    assert [entry.seq for entry in book.page(0, most=3)] == [1, 2, 3]
    assert [entry.reference for entry in book.page(3)] == ["r-3", "r-4"]
    assert book.page(5) == []
    assert book.money_of_session("ses_1")["staked"] == "500"
    assert book.money_by_asset()["EUR"]["won"] == "0"


def test_a_reader_is_told_which_entries_were_forgotten() -> None:
    book = Book(most_entries=2)
    for number in range(5):
        book.record(bet(f"r-{number}"), (decision(),))
    with pytest.raises(Forgotten) as told:
        book.page(2)
    assert told.value.oldest == 4
    assert [entry.seq for entry in book.page(3)] == [4, 5]


def test_an_undecided_call_is_kept_until_it_is_acknowledged() -> None:
    book = Book()
    book.keep_unresolved(bet())
    book.keep_unresolved(bet("r-2-bet"))
    assert [call.items[0].reference for call in book.unresolved] == ["r-1-bet", "r-2-bet"]
    book.record(bet(), (decision(),))
    assert book.drop_unresolved("r-2-bet") is True
    assert (book.unresolved, book.drop_unresolved("r-2-bet")) == ((), False)


def test_of_a_declined_bet_win_only_the_bet_is_written_down() -> None:
    items = (Item("bet", "r-1-bet", 100), Item("win", "r-1-win", 0))
    call = Call(Move.BET_WIN, "/bet-win", b"{}", items, SEAT, "r-1")
    book = Book()
    book.record(call, (decision(status="declined", code="insufficient_funds"),) * 2)
    assert [entry.reference for entry in book.page(0)] == ["r-1-bet"]
    book.record(call, (decision(),) * 2)
    assert [entry.reference for entry in book.page(1)] == ["r-1-bet", "r-1-win"]


def test_only_approved_effects_count_as_money() -> None:
    undo = Item("rollback_bet", "r-1-undo", 100, "r-1-bet")
    assert money_of(undo, decision()) == {"rolled_back_bets": 100}
    assert money_of(undo, decision(code="already_rolled_back")) == {}
    assert money_of(undo, decision(status="declined", code="limit_reached")) == {}
    assert money_of(Item("close", "r-1-close", 0), decision()) == {}


def test_a_balance_that_is_not_what_was_played_is_said_once() -> None:
    purse = Purse()
    purse.learn(1_000)
    purse.enter()
    assert purse.leave(-100, 900) is None
    purse.enter()
    assert purse.leave(50, 900) == "the balance should be 950, it is told as 900"
    purse.enter()
    assert purse.leave(0, 900) is None


def test_a_balance_told_while_another_call_is_under_way_is_not_judged_and_the_next_one_is() -> None:
    purse = Purse()
    purse.learn(1_000)
    purse.enter()
    purse.enter()
    assert purse.leave(-100, 1_050) is None
    assert purse.leave(50, 1_050) is None
    purse.enter()
    assert purse.leave(0, 949) == "the balance should be 950, it is told as 949"


def test_after_an_unknown_outcome_nothing_is_sure_until_the_next_question() -> None:
    purse = Purse()
    purse.learn(1_000)
    purse.enter()
    assert purse.leave(None, None) is None
    for told in (1_100, 5):
        purse.enter()
        assert purse.leave(0, told) is None
    purse.learn(700)
    purse.enter()
    assert purse.leave(-100, 700) is not None


def test_what_a_webhook_moves_may_show_in_any_later_balance_and_only_once() -> None:
    purse = Purse()
    purse.learn(1_000)
    purse.await_webhook(40)
    purse.await_webhook(-7)
    for effect, told in ((-100, 900), (0, 940), (10, 943)):
        purse.enter()
        assert purse.leave(effect, told) is None
    purse.enter()
    assert purse.leave(0, 983) == "the balance should be 943, it is told as 983"


def test_no_sum_of_what_is_afloat_excuses_another_balance() -> None:
    purse = Purse()
    purse.learn(1_000)
    for effect in (40, 300):
        purse.await_webhook(effect)
    purse.enter()
    assert purse.leave(0, 1_041) is not None
    purse.enter()
    assert purse.leave(0, 1_381) is None


def test_of_too_much_that_is_afloat_nothing_is_said() -> None:
    purse = Purse()
    purse.learn(1_000)
    for _ in range(MOST_AFLOAT + 1):
        purse.await_webhook(2)
    purse.enter()
    assert purse.leave(0, 1_001) is None


def test_what_a_webhook_told_counts_as_done_unless_its_target_never_stood() -> None:
    book = Book()
    for is_standing in (True, False):
        undo = Item("rollback_bet", f"undo-{is_standing}", 100, "r-1-bet", is_standing)
        book.record_told(Call(Move.ROLLBACK_BET, "/rollback", b"{}", (undo,), SEAT, "r-1"))
    book.record_told(Call(Move.JACKPOT, "/win", b"{}", (Item("jackpot", "j-1", 7),), SEAT, "r-1"))
    entries = book.page(0)
    assert [(entry.status, entry.code, entry.effect) for entry in entries] == [
        ("told", "", "100"), ("told", "", "0"), ("told", "", "7")
    ]  # fmt: skip
    money = book.money_of_session("ses_1")
    assert (money["rolled_back_bets"], money["jackpots"], money["staked"]) == ("100", "7", "0")


def test_a_pot_pays_once_what_was_put_in() -> None:
    jackpots = Jackpots()
    assert not jackpots.holds("EUR")
    for stake in (100, 250, 99):
        jackpots.feed("EUR", contribution_of(stake))
    assert (jackpots.holds("EUR"), jackpots.holds("JPY")) == (True, False)
    assert [jackpots.pay("EUR"), jackpots.pay("EUR")] == [3, 0]


def test_less_than_nothing_is_not_owed_and_a_purse_is_its_owners() -> None:
    purses = Purses()
    purse = purses.of("p-1", "EUR")
    purse.learn(10)
    purse.enter()
    assert purse.leave(-100, 0) is None
    assert purses.of("p-1", "EUR") is purse
    assert purses.of("p-1", "JPY").expected_minor is None
