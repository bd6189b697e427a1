"""The sections "Accounts" and "Entries" of `money.md`: what every event posts, to the last minor unit."""

import json

import pytest

from croupier.errors import Violation
from croupier.money import MAX_MINOR
from croupier.moneypath.facts import Effects, Entry, Facts
from croupier.settlement.closing import SessionBooks, plan_closing_amounts, provider_share
from croupier.wallet.accounts import CASH, CLEARING, PAYABLE, POOL, PROMO, RECEIVABLE, REVENUE, WALLET, Leg
from model.calls import (
    NOW,
    OTHER_SESSION,
    PROVIDER,
    PROVIDER_FUNDED,
    SESSION,
    bet,
    cancel,
    close_round,
    deposit,
    jackpot,
    open_session,
    promo,
    rollback,
    sessionless,
    win,
    withdrawal,
)
from model.calls import (
    POOL as MEGA,
)
from model.desk import open_desk, settle_session

THEIRS = {"jackpot_pool": None, "promo_source": "provider"}


def settled(desk, *actions):
    """The desk after these actions, a closed round and a settled session."""
    for action in actions:
        desk.one(action)
    desk.one(close_round())
    settle_session(desk)
    return desk


def shares(desk):
    return desk.total(PAYABLE), desk.total(REVENUE), desk.clearing()


class TestEntries:
    @pytest.mark.parametrize(
        ("terms", "before", "action", "postings"),
        [
            ({}, [], deposit("d", 70), {CASH: -70, WALLET: 70}),
            ({}, [], withdrawal("o", 70), {CASH: 70, WALLET: -70}),
            ({}, [withdrawal("o", 70)], cancel("o"), {CASH: -70, WALLET: 70}),
            ({}, [], bet("b", 70), {WALLET: -70, CLEARING: 70}),
            ({}, [], bet("b", 70, contribution=3), {WALLET: -70, CLEARING: 67, POOL: 3}),
            (THEIRS, [], bet("b", 70, contribution=3), {WALLET: -70, CLEARING: 67, PAYABLE: 3}),
            ({}, [], bet("b", 0, contribution=3), {CLEARING: -3, POOL: 3}),
            ({}, [], win("w", 70), {CLEARING: -70, WALLET: 70}),
            ({}, [], jackpot("j", 70), {POOL: -70, WALLET: 70}),
            (THEIRS, [], jackpot("j", 70), {PAYABLE: -70, WALLET: 70}),
            ({}, [], sessionless(jackpot("j", 70)), {POOL: -70, WALLET: 70}),
            ({}, [], sessionless(jackpot("j", 70), PROVIDER_FUNDED), {PAYABLE: -70, WALLET: 70}),
            ({}, [], promo("p", 70), {PROMO: -70, WALLET: 70}),
            (THEIRS, [], promo("p", 70), {PAYABLE: -70, WALLET: 70}),
            ({}, [], sessionless(promo("p", 70)), {PROMO: -70, WALLET: 70}),
            ({}, [], sessionless(promo("p", 70), PROVIDER_FUNDED), {PAYABLE: -70, WALLET: 70}),
            ({}, [bet("b", 70)], rollback("b"), {WALLET: 70, CLEARING: -70}),
            ({}, [bet("b", 70, contribution=3)], rollback("b"), {WALLET: 70, CLEARING: -67, POOL: -3}),
            (THEIRS, [bet("b", 70, contribution=3)], rollback("b"), {WALLET: 70, CLEARING: -67, PAYABLE: -3}),
            ({}, [win("w", 70)], rollback("w"), {WALLET: -70, CLEARING: 70}),
            ({}, [jackpot("j", 70)], rollback("j"), {WALLET: -70, POOL: 70}),
            ({}, [promo("p", 70)], rollback("p"), {WALLET: -70, PROMO: 70}),
            ({}, [sessionless(promo("p", 70))], rollback("p"), {WALLET: -70, PROMO: 70}),
        ],
    )
    def test_an_event_posts_what_the_table_says(self, terms, before, action, postings):
        desk = open_desk(**terms)
        for earlier in before:
            desk.one(earlier)
        assert desk.postings(desk.one(action)) == postings

    @pytest.mark.parametrize(
        "action", [bet("z", 0), win("z", 0), jackpot("z", 0), promo("z", 0), deposit("z", 0)]
    )
    def test_nothing_is_posted_for_nothing(self, action):
        desk = open_desk()
        outcome = desk.one(action)
        assert (outcome.status, outcome.journal_id, outcome.balance) == ("approved", None, 1_000)

    def test_a_free_bet_is_rolled_back_without_an_entry(self):
        desk = open_desk()
        desk.one(bet("z", 0))
        outcome = desk.one(rollback("z"))
        assert (outcome.code, outcome.journal_id, desk.round().live_bets) == ("ok", None, 0)

    def test_every_posting_to_clearing_carries_its_session(self):
        desk = settled(open_desk(), bet("b", 70, contribution=3), win("w", 5))
        legs = [one.leg for posted in desk.facts.posted.values() for one in posted]
        assert {leg.session_id for leg in legs if leg.kind == CLEARING} == {SESSION}

    def test_a_contribution_finer_than_the_asset_is_kept_as_text_and_refuses_nothing(self):
        desk = open_desk()
        outcome = desk.one(bet(contribution_text="0.3500001"))
        assert (outcome.status, desk.clearing()) == ("approved", 100)
        (entry,) = desk.facts.applied[-1].entries
        assert json.loads(entry.details) == {"jackpot_contribution": "0.3500001"}

    def test_other_funds_of_a_player_are_other_wallets(self):
        desk = open_desk()
        desk.one(deposit("d", 40, fund="bonus"))
        assert desk.one(withdrawal("o", 50, fund="bonus")).code == "insufficient_funds"
        desk.one(withdrawal("o2", 30, fund="bonus"))
        assert (desk.balance(fund="bonus"), desk.balance()) == (10, 1_000)


class TestRollbackOfASpentWin:
    def spent(self, left):
        """A desk whose player won 500 and withdrew all but `left`."""
        desk = open_desk()
        desk.one(bet())
        desk.one(win("w", 500))
        desk.one(withdrawal("o", 1_400 - left))
        return desk

    @pytest.mark.parametrize(("left", "owed"), [(0, 500), (1, 499), (499, 1), (500, 0), (501, 0)])
    def test_takes_what_is_left_and_the_rest_is_owed(self, left, owed):
        desk = self.spent(left)
        outcome = desk.one(rollback("w"))
        wanted = {WALLET: owed - 500, RECEIVABLE: -owed, CLEARING: 500}
        assert desk.postings(outcome) == {kind: amount for kind, amount in wanted.items() if amount}
        assert (desk.balance(), desk.receivable(), outcome.balance) == (
            max(left - 500, 0),
            -owed,
            desk.balance(),
        )

    def test_opens_a_finance_work_item(self):
        desk = self.spent(100)
        desk.one(rollback("w"))
        (found,) = desk.breaks("receivable")
        assert (found.owner, found.player_id) == ("finance", bet().player_id)
        assert "400" in found.explanation

    def test_opens_none_when_all_of_it_was_there(self):
        desk = self.spent(500)
        desk.one(rollback("w"))
        assert not desk.breaks()

    @pytest.mark.parametrize(
        "credit", [deposit("d", 999), win("w2", 999), jackpot("j", 999), promo("p", 999)]
    )
    def test_later_credits_do_not_repay_it(self, credit):
        desk = self.spent(100)
        desk.one(rollback("w"))
        desk.one(credit)
        assert (desk.balance(), desk.receivable()) == (999, -400)

    def test_leaves_clearing_as_if_there_had_been_no_win(self):
        desk = self.spent(0)
        desk.one(rollback("w"))
        assert desk.clearing() == 100


class TestThirtyEightDigits:
    def full(self):
        """A desk whose player holds all that a wallet can, after a bet of 100 and a withdrawal of 100."""
        desk = open_desk(funds=200)
        desk.one(bet("b", 100))
        desk.one(withdrawal("o", 100))
        desk.one(deposit("fill", MAX_MINOR))
        return desk

    @pytest.mark.parametrize(
        "credit", [win("x", 1), jackpot("x", 1), promo("x", 1), deposit("x", 1), rollback("b", "x")]
    )
    def test_a_credit_beyond_them_is_declined_and_finances_work(self, credit):
        desk = self.full()
        outcome = desk.one(credit)
        assert (outcome.status, outcome.code, outcome.balance) == ("declined", "limit_reached", MAX_MINOR)
        assert desk.balance() == MAX_MINOR
        assert [found.kind for found in desk.breaks()] == ["refused_credit"]

    def test_a_cancelled_withdrawal_beyond_them_is_declined(self):
        desk = self.full()
        assert desk.one(cancel("o")).code == "limit_reached"
        assert desk.balance() == MAX_MINOR

    def test_up_to_them_a_credit_is_paid(self):
        desk = open_desk(funds=1)
        assert desk.one(win("w", MAX_MINOR - 1)).status == "approved"
        assert desk.balance() == MAX_MINOR

    def test_a_pool_beyond_them_declines(self):
        desk = open_desk()
        desk.one(bet("b1", contribution=MAX_MINOR))
        assert desk.one(bet("b2", contribution=1)).code == "limit_reached"
        assert desk.total(POOL, MEGA) == MAX_MINOR

    def test_a_pool_beyond_them_below_zero_declines(self):
        desk = open_desk(funds=0)
        desk.one(jackpot("j1", MAX_MINOR))
        desk.one(withdrawal("o", MAX_MINOR))
        assert desk.one(jackpot("j2", 1)).code == "limit_reached"

    def test_a_receivable_beyond_them_declines(self):
        desk = open_desk(funds=0)
        for number in ("1", "2"):
            desk.one(promo("w" + number, MAX_MINOR))
            desk.one(withdrawal("o" + number, MAX_MINOR))
        desk.one(rollback("w1", "rb1"))
        assert desk.one(rollback("w2", "rb2")).code == "limit_reached"
        assert desk.receivable() == -MAX_MINOR

    def test_clearing_beyond_them_declines(self):
        desk = open_desk(funds=0)
        for number in ("1", "2"):
            desk.one(deposit("d" + number, MAX_MINOR))
            desk.one(bet("b" + number, MAX_MINOR))
        assert desk.reference("b2").code == "limit_reached"


class TestSettlement:
    @pytest.mark.parametrize(
        ("staked", "won", "bps", "share"),
        [
            (100, 0, 1_000, 10),
            (99, 0, 1_000, 9),
            (9, 0, 1_000, 0),
            (0, 1, 1_000, -1),
            (0, 9, 1_000, -1),
            (0, 10, 1_000, -1),
            (0, 11, 1_000, -2),
            (100, 100, 1_000, 0),
            (7, 0, 0, 0),
            (7, 0, 10_000, 7),
            (0, 7, 10_000, -7),
            (1, 0, 9_999, 0),
            (0, 1, 1, -1),
        ],
    )
    def test_the_share_is_rounded_toward_minus_infinity(self, staked, won, bps, share):
        desk = settled(open_desk(share_bps=bps), bet("b", staked), win("w", won))
        assert shares(desk) == (share, staked - won - share, 0)

    def test_contributions_are_not_shared(self):
        desk = settled(open_desk(), bet("b", 100, contribution=10))
        assert (shares(desk), desk.total(POOL, MEGA)) == ((9, 81, 0), 10)

    def test_a_provider_funded_contribution_is_owed_on_top_of_the_share(self):
        desk = settled(open_desk(jackpot_pool=None), bet("b", 100, contribution=10))
        assert shares(desk) == (10 + 9, 81, 0)

    def test_jackpots_and_promotions_are_no_part_of_the_result(self):
        desk = settled(open_desk(), bet("b", 100), jackpot("j", 700), promo("p", 70))
        assert shares(desk) == (10, 90, 0)

    @pytest.mark.parametrize(
        ("late", "result"),
        [
            ([win("w9", 55)], 5),
            ([win("w9", 555)], -495),
            ([rollback("b1")], -40),
            ([rollback("w1")], 100),
            ([rollback("b1"), rollback("w1", "rb2")], 0),
            ([win("w9", 1), win("w10", 1), win("w11", 1)], 57),
            ([jackpot("j9", 1_000)], 60),
        ],
    )
    def test_late_money_is_closed_to_the_share_of_the_cumulative_result(self, late, result):
        desk = settled(open_desk(share_bps=777), bet(), win())
        for action in late:
            desk.one(action)
            assert desk.clearing() == 0
        share = result * 777 // 10_000
        assert shares(desk) == (share, result - share, 0)

    def test_a_rollback_after_settlement_leaves_nothing_behind(self):
        desk = settled(open_desk(share_bps=333), bet(contribution=7))
        desk.one(rollback())
        assert desk.books() == open_desk(share_bps=333).books()

    def test_a_closing_posts_the_difference_only(self):
        desk = settled(open_desk(), bet(), win())
        desk.one(win("w9", 10))
        closing = desk.facts.applied[-1].entries[-1]
        assert {leg.kind: leg.amount for leg in closing.legs} == {CLEARING: 10, PAYABLE: -1, REVENUE: -9}

    def test_a_result_of_zero_settles_without_an_entry(self):
        desk = settled(open_desk(), bet("b", 40), win("w", 40))
        assert shares(desk) == (0, 0, 0)
        assert not desk.facts.applied[-1].entries

    def test_sessions_settle_one_by_one(self):
        desk = open_desk()
        desk.one(open_session(OTHER_SESSION))
        desk.one(bet("b1", 100))
        desk.one(win("w2", 100, session_id=OTHER_SESSION))
        desk.one(close_round())
        settle_session(desk)
        assert (desk.clearing(SESSION), desk.clearing(OTHER_SESSION)) == (0, -100)

    def test_one_unit_beside_a_hundred_tokens_of_18_decimals_is_exact(self):
        whole = 10**20
        desk = settled(
            open_desk(funds=whole + 1, share_bps=1),
            bet("b1", whole),
            bet("b2", 1, contribution=1),
            win("w1", whole - 10_001),
            win("w2", 1),
        )
        assert desk.balance() == whole - 10_000
        assert (shares(desk), desk.total(POOL, MEGA)) == ((1, 9_999, 0), 1)

    def test_a_share_of_a_huge_result_is_exact(self):
        assert provider_share(10**20 + 9_999, 1) == 10**16
        assert provider_share(10**20 + 10_000, 1) == 10**16 + 1
        assert provider_share(-(10**20) - 1, 1) == -(10**16) - 1

    def test_nothing_remains_to_be_posted_when_clearing_is_zero(self):
        books = SessionBooks(staked=100, won=40, contributed=0, share_posted=6, revenue_posted=54)
        assert plan_closing_amounts(books, 1_000) is None


class TestAccounts:
    def entry(self, *amounts):
        desk_player = bet().player_id
        legs = tuple(
            Leg(WALLET if place == 0 else CASH, desk_player if place == 0 else "", "EUR", "cash", amount)
            for place, amount in enumerate(amounts)
        )
        return Entry(
            7,
            SESSION,
            "test",
            PROVIDER,
            "x",
            desk_player,
            None,
            None,
            "EUR",
            "",
            None,
            NOW,
            NOW,
            "",
            None,
            legs,
        )

    @pytest.mark.parametrize("amounts", [(), (5,), (5, -4), (5, -5, 1)])
    def test_an_entry_that_does_not_sum_to_zero_is_a_violation(self, amounts):
        with pytest.raises(Violation):
            Facts().apply(Effects(entries=(self.entry(*amounts),)))

    def test_a_wallet_below_zero_is_a_violation(self):
        with pytest.raises(Violation):
            Facts().apply(Effects(entries=(self.entry(-1, 1),)))

    def test_pools_and_receivables_may_be_below_zero(self):
        desk = open_desk()
        desk.one(jackpot("j", 5_000))
        assert desk.total(POOL, MEGA) == -5_000
