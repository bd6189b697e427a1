"""The operator's wallet in front of real lanes: four answers, two turns, and what becomes of each (K6, I1–I8, I10)."""

import asyncio

from lane_desk import require_sound_books
from wallet_stage import Trouble, ask_in_vain, open_wallet_stage

from croupier.errors import WALLET_UNANSWERED
from croupier.wallet.port import Unknown
from model.calls import rollback


async def test_a_bet_that_the_wallet_approves_is_booked_with_its_balance(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        outcome = await stage.ask(guest.bet("b1", 250))
        assert (outcome.status, outcome.code, outcome.balance) == ("approved", "ok", 750)
        assert stage.wallet.balance("player-1") == 750
        (order,) = stage.wallet.asked
        assert (order.provider_reference, order.amount, order.kind) == ("b1", 250, "bet")
        assert await stage.states() == {"b1": "approved"}
        outcome = await stage.ask(guest.call(guest.win_action("w1", 90, "b1")))
        assert (outcome.status, outcome.balance) == ("approved", 840)
        assert stage.wallet.balance("player-1") == 840
    await require_sound_books(database_url)


async def test_a_bet_that_the_wallet_refuses_is_declined_for_ever(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=100)
        outcome = await stage.ask(guest.bet("b1", 250))
        assert (outcome.status, outcome.code, outcome.balance) == ("declined", "insufficient_funds", 100)
        stage.wallet.deposit("player-1", 10_000)
        again = await stage.ask(guest.bet("b1", 250))
        assert (again.status, again.code, again.is_repeat) == ("declined", "insufficient_funds", True)
        assert len(stage.wallet.asked) == 1
    await require_sound_books(database_url)


async def test_a_lost_answer_is_unknown_and_a_repeat_learns_it(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        error = await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        assert error.kind is WALLET_UNANSWERED
        assert await stage.states() == {"b1": "unknown"}
        outcome = await stage.ask(guest.bet("b1", 250))
        assert (outcome.status, outcome.balance) == ("approved", 750)
        assert len(stage.wallet.asked) == 1
        assert stage.wallet.balance("player-1") == 750
    await require_sound_books(database_url)


async def test_a_rollback_of_a_bet_that_nobody_knows_leaves_nothing_of_it(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        outcome = await stage.ask(guest.call(rollback("b1", "rb1", player_id="player-1")))
        assert (outcome.status, outcome.code) == ("approved", "nothing_to_roll_back")
        await stage.settle()
        assert stage.wallet.balance("player-1") == 1_000
        late = await stage.ask(guest.bet("b1", 250))
        assert (late.status, late.code) == ("declined", "tombstoned")
        assert stage.wallet.balance("player-1") == 1_000
    await require_sound_books(database_url)


async def test_an_outage_stops_debits_and_queues_credits_in_order(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        assert (await stage.ask(guest.bet("b1", 250))).is_approved
        stage.wallet.is_down = True
        error = await ask_in_vain(lambda: stage.ask(guest.bet("b2")))
        assert error.kind.code == "wallet_unavailable"
        won = await stage.ask(guest.call(guest.win_action("w1", 90, "b1")))
        assert (won.status, won.balance) == ("approved", 840)
        undone = await stage.ask(guest.call(rollback("b1", "rb1", player_id="player-1")))
        assert (undone.status, undone.balance) == ("approved", 1_090)
        assert stage.wallet.balance("player-1") == 750
        stage.wallet.is_down = False
        await stage.settle()
        assert stage.wallet.balance("player-1") == 1_090
        assert [order.provider_reference for order in stage.wallet.asked] == ["b1", "w1", "rb1"]
        outcome = await stage.ask(guest.bet("b2"))
        assert (outcome.status, outcome.balance) == ("approved", 990)
    await require_sound_books(database_url)


async def test_several_bets_of_one_call_are_all_taken_or_none(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=500)
        answers = await stage.desk.submit(
            guest.call(guest.bet_action("b1", 400), guest.bet_action("b2", 400))
        )
        assert [answer.status for answer in answers] == ["declined", "declined"]
        assert stage.wallet.balance("player-1") == 500
        outcome = await stage.ask(guest.bet("b1", 400))
        assert (outcome.status, outcome.balance) == ("approved", 100)
        both = await stage.desk.submit(
            guest.call(guest.bet_action("b3", 40), guest.win_action("w3", 70, "b3"))
        )
        assert [answer.status for answer in both] == ["approved", "approved"]
        assert both[-1].balance == 130
        assert stage.wallet.balance("player-1") == 130
    await require_sound_books(database_url)


async def test_simultaneous_repeats_ask_once(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        answers = await asyncio.gather(*(stage.ask(guest.bet("b1", 250)) for _ in range(30)))
        assert {answer.balance for answer in answers} == {750}
        assert len(stage.wallet.asked) == 1
    await require_sound_books(database_url)
