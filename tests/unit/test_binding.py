"""The section "Binding" of `money.md`: what must belong together, and that nothing moves when it does not."""

import pytest

from model.calls import (
    ASSET,
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    bet,
    cancel,
    close_round,
    close_session,
    deposit,
    jackpot,
    open_session,
    promo,
    rollback,
    sessionless,
    win,
    withdrawal,
)
from model.desk import Desk, open_desk

WRONG = [
    ({"player_id": OTHER_PLAYER}, "player_id"),
    ({"asset": "USD"}, "asset"),
    ({"game_id": "roulette"}, "game_id"),
]


@pytest.fixture
def desk():
    desk = open_desk()
    desk.one(bet("b0", 100, round_id="r0"))
    return desk


@pytest.mark.parametrize(("wrong", "field"), WRONG)
@pytest.mark.parametrize("build", [bet, win, jackpot, promo])
def test_player_asset_and_game_must_be_those_of_the_session(desk, build, wrong, field):
    before = desk.books()
    error = desk.refusal(build(**wrong))
    assert (error.kind.code, error.field) == ("session_mismatch", field)
    assert desk.books() == before
    assert desk.reference("b1") is None


@pytest.mark.parametrize("action", [bet(), win(), close_round(), rollback(session_id=bet().session_id)])
def test_the_provider_of_the_path_must_be_that_of_the_session(desk, action):
    before = desk.books()
    error = desk.refusal(action, provider="rival")
    assert (error.kind.code, error.field) == ("session_mismatch", "session_id")
    assert desk.books() == before


def test_a_notice_of_another_provider_is_refused_whoevers_clock_it_has(desk):
    assert desk.refusal(win(), provider="rival", time_source="webhook").kind.code == "session_mismatch"


def test_a_rollback_does_not_reach_another_providers_reference(desk):
    outcome = desk.one(rollback("b0"), provider="rival")
    assert outcome.code == "nothing_to_roll_back"
    assert desk.balance() == 900


@pytest.mark.parametrize("build", [bet, win, close_round])
def test_a_session_nobody_opened_is_unknown(desk, build):
    error = desk.refusal(build(session_id=OTHER_SESSION))
    assert (error.kind.code, error.field) == ("unknown_session", "session_id")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"player_id": OTHER_PLAYER}, "player_id"),
        ({"session_id": OTHER_SESSION}, "session_id"),
        ({"round_id": "r9"}, "round_id"),
        ({"asset": "USD"}, "asset"),
    ],
)
def test_what_a_rollback_says_must_agree_with_its_target(desk, wrong, field):
    desk.one(open_session(OTHER_SESSION))
    error = desk.refusal(rollback("b0", **wrong))
    assert (error.kind.code, error.field) == ("session_mismatch", field)
    assert desk.balance() == 900
    assert [found.kind for found in desk.breaks()] == ["refused_credit"]


def test_a_rollback_that_says_all_the_right_things_is_approved(desk):
    target = bet("b0", round_id="r0")
    said = rollback("b0", session_id=target.session_id, round_id=target.round_id, asset=ASSET)
    assert desk.one(said).code == "ok"


@pytest.mark.parametrize("target", ["rb0", "c0"])
def test_only_bets_and_wins_are_rolled_back(desk, target):
    desk.one(close_round("c0", "r0"))
    desk.one(rollback("unheard-of", "rb0"))
    error = desk.refusal(rollback(target, "rb1"))
    assert (error.kind.code, error.field) == ("malformed", "target_reference")


def test_a_rollback_does_not_undo_itself(desk):
    assert desk.refusal(rollback("rb1", "rb1")).kind.code == "malformed"
    assert desk.reference("rb1") is None


@pytest.mark.parametrize("build", [jackpot, promo])
def test_a_win_outside_sessions_needs_a_player_somebody_knows(desk, build):
    error = desk.refusal(sessionless(build(player_id="nobody")))
    assert error.kind.code == "unknown_player"


@pytest.mark.parametrize("action", [rollback(player_id="nobody"), withdrawal(player_id="nobody")])
def test_a_player_nobody_knows_is_refused(desk, action):
    assert desk.refusal(action).kind.code == "unknown_player"


@pytest.mark.parametrize("wrong", [{"player_id": OTHER_PLAYER}, {"asset": "USD"}])
def test_a_cancellation_must_agree_with_its_withdrawal(desk, wrong):
    desk.one(withdrawal())
    assert desk.refusal(cancel(**wrong)).kind.code == "session_mismatch"
    assert desk.balance() == 600


def test_only_withdrawals_are_cancelled(desk):
    desk.one(deposit("d1"))
    assert desk.refusal(cancel("d1")).kind.code == "malformed"


def test_the_operator_closes_its_own_players_sessions_only(desk):
    error = desk.refusal(close_session(player_id=OTHER_PLAYER))
    assert (error.kind.code, error.field) == ("session_mismatch", "player_id")


class TestRefusedCreditsAreFinancesWork:
    """ "A verified credit that is refused for any reason opens a finance work item"."""

    @pytest.mark.parametrize(
        "credit",
        [
            win(player_id=OTHER_PLAYER),
            win(asset="USD"),
            win(session_id=OTHER_SESSION),
            sessionless(jackpot(player_id="nobody")),
            sessionless(win(player_id="nobody")),
            rollback(player_id="nobody"),
            rollback("rb1", "rb1"),
        ],
    )
    def test_a_provider_credit_that_is_refused(self, desk, credit):
        desk.refusal(credit)
        (found,) = desk.breaks()
        assert (found.kind, found.owner) == ("refused_credit", "finance")
        assert found.subject.startswith(credit.reference)

    @pytest.mark.parametrize(
        "wrong", [{"player_id": "nobody"}, {"player_id": OTHER_PLAYER}, {"asset": "USD"}]
    )
    def test_a_cancellation_that_is_refused(self, desk, wrong):
        desk.one(withdrawal())
        desk.refusal(cancel(**wrong))
        assert [found.kind for found in desk.breaks()] == ["refused_credit"]

    @pytest.mark.parametrize("debit", [bet(player_id=OTHER_PLAYER), withdrawal(player_id="nobody")])
    def test_a_debit_that_is_refused_is_nobodys_loss(self, desk, debit):
        desk.refusal(debit)
        assert not desk.breaks()


def test_a_session_pins_the_terms_it_started_under():
    desk = Desk()
    desk.one(deposit("funds"))
    desk.one(open_session(jackpot_pool=None, promo_source="provider"))
    later = sessionless(jackpot()).contract
    desk.one(jackpot(contract=later))
    desk.one(promo(contract=later))
    assert desk.total("provider_payable") == -525
    assert desk.balance(PLAYER) == 1_525
