"""The operator's wallet in front of real lanes: four answers, two turns, and what becomes of each (K6, I1–I8, I10)."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from lane_desk import attempt, require_sound_books
from msgspec import structs
from wallet_stage import ask_in_vain, open_wallet_stage

from croupier.errors import REFERENCE_CONFLICT, UNKNOWN_PLAYER, WALLET_UNANSWERED, WALLET_UNAVAILABLE
from croupier.moneypath.commands import ReadBalance
from croupier.wallet.port import BREAKER_OPEN, NotApplied, Refused, Unknown
from model.calls import call, close_round, close_session, restrict, rollback
from model.town_wallet import Trouble

WaitUntil = Callable[..., Awaitable[None]]


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


async def test_what_a_dead_process_has_asked_is_found_out_by_its_status(
    database_url: str, wait_until: WaitUntil
) -> None:
    """The intent is committed, the wallet took the money, and whoever asked is gone."""
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=held))
        asking = asyncio.create_task(stage.ask(guest.bet("b1", 250)))
        await wait_until(lambda: stage.wallet.known)
        asking.cancel()
        async with open_wallet_stage(database_url, wallet=stage.wallet, clock=stage.clock) as heir:
            await heir.settle()
            assert await heir.states() == {"b1": "asked"}, "its lease has not ended"
            heir.clock.pass_by(seconds=11)
            await heir.settle()
            assert await heir.states() == {"b1": "approved"}
            again = await heir.ask(guest.bet("b1", 250))
            assert (again.status, again.balance, again.is_repeat) == ("approved", 750, True)
            assert len(stage.wallet.asked) == 1
        held.set()
    await require_sound_books(database_url)


async def test_a_bet_that_the_wallet_never_heard_of_is_given_up_only_once_it_cannot_come_any_more(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=False, word=Unknown("timeout")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        for seconds in (2, 5, 10, 20):
            stage.clock.pass_by(seconds=seconds)
            await stage.settle()
            assert await stage.states() == {"b1": "unknown"}
        stage.clock.pass_by(seconds=90)
        await stage.settle()
        assert await stage.states() == {"b1": "not_applied"}
        assert stage.wallet.balance("player-1") == 1_000
        assert (await stage.ask(guest.bet("b1", 250))).balance == 750
        assert await stage.states() == {"b1": "approved"}
        (resolved,) = await stage.fetch("SELECT resolution FROM unknown_outcome")
        assert resolved["resolution"] == "not_applied"
    await require_sound_books(database_url)


async def test_a_later_bet_waits_for_earlier_money_and_a_credit_lines_up(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=100)
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("timeout")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 100)))
        won = await stage.ask(guest.call(guest.win_action("w1", 300, "b1")))
        assert won.is_approved
        assert await stage.states() == {"b1": "unknown", "w1": "queued"}
        request = structs.replace(guest.bet("b2", 250), answer_by_s=time.monotonic() + 5)
        waiting = asyncio.create_task(stage.ask(request))
        stage.clock.pass_by(seconds=2)
        await stage.settling.turn()
        assert (await waiting).balance == 50
        assert [order.provider_reference for order in stage.wallet.asked] == ["b1", "w1", "b2"]
        assert await stage.states() == {"b1": "approved", "w1": "approved", "b2": "approved"}
    await require_sound_books(database_url)


@pytest.mark.parametrize(("reason", "rests_s"), [(BREAKER_OPEN, 4), ("timeout", 15)])
async def test_after_a_long_outage_what_is_unknown_is_asked_within_seconds(
    database_url: str, reason: str, rests_s: int
) -> None:
    """Pauses stop growing; least of all may they where the breaker spares the wallet and nobody is asked."""
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        stage.wallet.status_troubles.extend(Unknown(reason) for _ in range(20))
        for _ in range(20):
            stage.clock.pass_by(seconds=rests_s)
            await stage.settle()
        assert len(stage.wallet.status_asked) == 20
        stage.clock.pass_by(seconds=rests_s)
        await stage.settle()
        assert await stage.states() == {"b1": "approved"}
    await require_sound_books(database_url)


async def test_what_is_not_settled_by_its_deadline_is_a_persons_and_is_asked_on(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        stage.wallet.status_troubles.extend(Unknown("timeout") for _ in range(3))
        for _ in range(3):
            stage.clock.pass_by(minutes=4)
            await stage.settle()
        assert await stage.breaks() == ["wallet_call_unsettled"]
        assert (await stage.ask(guest.bet("b2", 10))).is_approved, "a person has it: others go on"
        stage.clock.pass_by(minutes=4)
        await stage.settle()
        assert await stage.states() == {"b1": "approved", "b2": "approved"}
        assert await stage.breaks() == ["wallet_call_unsettled"]
    await require_sound_books(database_url)


async def test_a_bet_approved_too_late_is_a_break_unless_its_provider_comes_back(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        for reference in ("b1", "b2", "b3"):
            stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
            await ask_in_vain(lambda reference=reference: stage.ask(guest.bet(reference, 100)))
            stage.clock.pass_by(seconds=2)
            await stage.settle()
        assert await stage.states() == {"b1": "approved", "b2": "approved", "b3": "approved"}
        undone = await stage.ask(guest.call(rollback("b1", "rb1", player_id="player-1")))
        assert (undone.code, undone.balance) == ("ok", 800)
        await stage.ask(guest.call(guest.win_action("w2", 5, "b2")))
        stage.clock.pass_by(hours=2)
        await stage.settling.sweep()
        (found,) = await stage.fetch("SELECT kind, provider_round_id FROM break_item")
        assert tuple(found) == ("late_approval", "round-b3")
        await stage.settling.sweep()
        assert await stage.breaks() == ["late_approval"]
    await require_sound_books(database_url)


async def test_a_bet_that_is_approved_after_its_session_ended_is_late_money(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        assert (await stage.ask(guest.bet("b0", 10))).is_approved
        assert (
            await stage.ask(guest.call(close_round("c0", "round-b0", session_id=guest.session_id)))
        ).is_approved
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=held))
        asking = asyncio.create_task(stage.ask(guest.bet("b1", 250)))
        await wait_until(lambda: len(stage.wallet.known) == 2)
        closing = close_session(guest.session_id)
        await stage.ask(attempt(structs.replace(call(closing), provider="operator"), "player-1"))
        (session,) = await stage.fetch("SELECT state FROM session")
        assert session["state"] == "settled"
        held.set()
        assert (await asking).balance == 740
        (session,) = await stage.fetch("SELECT state, staked::text, share_posted::text FROM session")
        assert tuple(session) == ("settled", "260", "26")
    await require_sound_books(database_url)


@pytest.mark.parametrize("spent", [0, 30, 100])
async def test_a_win_that_is_undone_takes_what_is_left_and_the_rest_is_owed(
    database_url: str, spent: int
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=50)
        await stage.ask(guest.bet("b1", 50))
        await stage.ask(guest.call(guest.win_action("w1", 100, "b1")))
        stage.wallet.deposit("player-1", -spent)
        undone = await stage.ask(guest.call(rollback("w1", "rb1", player_id="player-1")))
        assert (undone.status, undone.balance) == ("approved", 0)
        assert stage.wallet.balance("player-1") == 0
        owed = await stage.fetch("SELECT balance::int AS owed FROM account WHERE kind = 'player_receivable'")
        assert [row["owed"] for row in owed] == ([-spent] if spent else [])
        assert await stage.breaks() == (["receivable"] if spent else [])
    await require_sound_books(database_url)


async def test_a_lost_answer_to_an_undone_win_is_settled_without_its_provider(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=50)
        await stage.ask(guest.bet("b1", 50))
        await stage.ask(guest.call(guest.win_action("w1", 100, "b1")))
        stage.wallet.deposit("player-1", -30)
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        error = await ask_in_vain(lambda: stage.ask(guest.call(rollback("w1", "rb1", player_id="player-1"))))
        assert error.kind is WALLET_UNANSWERED
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        assert await stage.states() == {"b1": "approved", "w1": "approved", "rb1": "approved"}
        again = await stage.ask(guest.call(rollback("w1", "rb1", player_id="player-1")))
        assert (again.status, again.is_repeat) == ("approved", True)
        (owed,) = await stage.fetch(
            "SELECT balance::int AS owed FROM account WHERE kind = 'player_receivable'"
        )
        assert owed["owed"] == -30
    await require_sound_books(database_url)


async def test_a_credit_that_the_wallet_refuses_is_a_persons(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b1", 50))
        stage.wallet.troubles.append(Trouble(is_applied=False, word=Refused(code="limit_reached")))
        won = await stage.ask(guest.call(guest.win_action("w1", 100, "b1")))
        assert won.is_approved
        await stage.settle()
        (found,) = await stage.fetch("SELECT kind, amount, owner FROM break_item")
        assert tuple(found) == ("wallet_refused_credit", "100", "finance")
        assert await stage.states() == {"b1": "approved", "w1": "refused"}


async def test_a_wallet_that_contradicts_itself_is_found_and_its_first_word_stands(
    database_url: str, wait_until: WaitUntil
) -> None:
    """Two processes ask about the same bet, and hear different things."""
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Refused(code="limit_reached"), until=held))
        asking = asyncio.create_task(stage.ask(guest.bet("b1", 250)))
        await wait_until(lambda: stage.wallet.known)
        async with open_wallet_stage(database_url, wallet=stage.wallet, clock=stage.clock) as other:
            other.clock.pass_by(seconds=11)
            await other.settle()
            assert await other.states() == {"b1": "approved"}
        held.set()
        assert (await asking).status == "approved"
        assert await stage.breaks() == ["wallet_contradicts_itself"]
    await require_sound_books(database_url)


async def test_players_do_not_wait_for_each_other_and_one_players_calls_keep_their_order(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url, lanes=2) as stage:
        guests = [await stage.guest(f"player-{number}") for number in range(12)]
        stage.wallet.asked.clear()
        requests = [(guest, f"{guest.player_id}-{number}") for number in range(10) for guest in guests]
        answers = await asyncio.gather(
            *(stage.ask(guest.bet(reference, 10)) for guest, reference in requests)
        )
        for guest in guests:
            mine = [
                answer.balance for (one, _), answer in zip(requests, answers, strict=True) if one is guest
            ]
            assert mine == [1_000 - 10 * (number + 1) for number in range(10)]
            asked = [one.provider_reference for one in stage.wallet.asked if one.player_id == guest.player_id]
            assert asked == [f"{guest.player_id}-{number}" for number in range(10)]
        assert stage.wallet.most_in_flight > 3
    await require_sound_books(database_url)


async def test_a_caller_is_told_unknown_in_time_and_what_comes_later_is_taken_in(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=held))
        request = structs.replace(guest.bet("b1", 250), answer_by_s=time.monotonic() + 0.2)
        error = await ask_in_vain(lambda: stage.ask(request))
        assert (error.kind, error.reason) == (WALLET_UNANSWERED, "timeout")
        held.set()
        await stage.settle()
        (row,) = await stage.fetch("SELECT state, is_late FROM wallet_call")
        assert tuple(row) == ("approved", True)
    await require_sound_books(database_url)


async def test_the_same_reference_for_another_amount_is_refused_while_the_first_is_unknown(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        error = await ask_in_vain(lambda: stage.ask(guest.bet("b1", 251)))
        assert (error.kind, error.field) == (REFERENCE_CONFLICT, "amount")
        await ask_in_vain(lambda: stage.ask(guest.call(guest.win_action("b1", 250, "b1"))))
        assert (await stage.ask(guest.bet("b1", 250))).balance == 750
    await require_sound_books(database_url)


async def test_ten_thousand_credits_queue_and_drain_in_order(database_url: str) -> None:
    async with open_wallet_stage(database_url, lanes=2) as stage:
        guests = [await stage.guest(f"player-{number}") for number in range(100)]
        for guest in guests:
            await stage.ask(guest.bet(f"bet-{guest.player_id}", 1))
        stage.wallet.is_down = True
        stage.wallet.asked.clear()
        for turn in range(100):
            wins = [
                guest.call(
                    guest.win_action(f"{guest.player_id}-{turn:03d}", 1 + turn, f"bet-{guest.player_id}")
                )
                for guest in guests
            ]
            answers = await asyncio.gather(*(stage.ask(one) for one in wins))
            assert all(answer.is_approved for answer in answers)
        assert not stage.wallet.asked
        stage.wallet.is_down = False
        await stage.settle()
        for guest in guests:
            assert stage.wallet.balance(guest.player_id) == 999 + 5050
            asked = [one.provider_reference for one in stage.wallet.asked if one.player_id == guest.player_id]
            assert asked == [f"{guest.player_id}-{turn:03d}" for turn in range(100)]
        assert set((await stage.states()).values()) == {"approved"}
    await require_sound_books(database_url)


async def test_a_reference_that_another_process_is_asking_is_waited_for(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=held))
        asking = asyncio.create_task(stage.ask(guest.bet("b1", 250)))
        await wait_until(lambda: stage.wallet.known)
        async with open_wallet_stage(database_url, wallet=stage.wallet, clock=stage.clock) as other:
            hurried = structs.replace(guest.bet("b1", 250), answer_by_s=time.monotonic() + 0.2)
            error = await ask_in_vain(lambda: other.ask(hurried))
            # Told when it looks no more or, where the machine is busy, when its time is over.
            assert error.kind is WALLET_UNANSWERED
            assert error.reason in ("behind", "timeout")
            patient = structs.replace(guest.bet("b1", 250), answer_by_s=time.monotonic() + 10)
            waiting = asyncio.create_task(other.ask(patient))
            held.set()
            assert ((await waiting).balance, (await asking).balance) == (750, 750)
        assert len(stage.wallet.asked) == 1
        assert stage.wallet.status_asked == []
    await require_sound_books(database_url)


async def test_no_session_begins_unless_the_wallet_says_what_the_player_has(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        error = await ask_in_vain(lambda: stage.guest("stranger", purse=0))
        assert (error.kind, error.field) == (UNKNOWN_PLAYER, "player_id")
        stage.wallet.is_down = True
        error = await ask_in_vain(lambda: stage.guest("player-1"))
        assert error.kind is WALLET_UNAVAILABLE
        assert error.player_message is not None
        assert await stage.fetch("SELECT FROM session") == []


async def test_a_balance_is_asked_of_the_wallet_each_time(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        reading = ReadBalance(session_id=guest.session_id, player_id="player-1", asset="EUR")
        assert (await stage.ask(guest.call(reading))).balance == 1_000
        stage.wallet.deposit("player-1", 5)
        assert (await stage.ask(guest.call(reading))).balance == 1_005
        stage.wallet.is_down = True
        error = await ask_in_vain(lambda: stage.ask(guest.call(reading)))
        assert error.kind is WALLET_UNAVAILABLE


async def test_a_balance_asked_while_money_is_under_way_is_the_expected_one(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        reading = ReadBalance(session_id=guest.session_id, player_id="player-1", asset="EUR")
        stage.wallet.troubles.extend(
            [
                Trouble(is_applied=True, word=Unknown("reset")),
                Trouble(is_applied=False, word=Unknown("reset")),
            ]
        )
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        assert (await stage.ask(guest.call(rollback("b1", "rb1", player_id="player-1")))).is_approved
        assert stage.wallet.balance("player-1") == 750, "the undoing has not arrived"
        assert (await stage.ask(guest.call(reading))).balance == 1_000
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        assert stage.wallet.balance("player-1") == 1_000
        assert (await stage.ask(guest.call(reading))).balance == 1_000


async def test_a_player_who_may_not_stake_is_declined_without_asking(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b0", 10))
        await stage.ask(attempt(structs.replace(call(restrict()), provider="operator"), "player-1"))
        stage.wallet.asked.clear()
        outcome = await stage.ask(guest.bet("b1", 10))
        assert (outcome.status, outcome.code, outcome.balance) == ("declined", "player_restricted", 990)
        assert stage.wallet.asked == []
        won = await stage.ask(guest.call(guest.win_action("w0", 30, "b0")))
        assert (won.status, won.balance) == ("approved", 1_020)
    await require_sound_books(database_url)


async def test_an_atomic_call_that_is_not_taken_is_undone_even_if_nobody_asks_again(
    database_url: str,
) -> None:
    """The first stake is approved, what became of the second nobody knows, and its provider is gone."""
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=500)
        stage.wallet.troubles.extend(
            [Trouble(is_applied=True), Trouble(is_applied=True, word=Unknown("reset"))]
        )
        both = guest.call(guest.bet_action("b1", 200), guest.bet_action("b2", 100))
        await ask_in_vain(lambda: stage.desk.submit(both))
        assert stage.wallet.balance("player-1") == 200
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        assert stage.wallet.balance("player-1") == 200
        assert await stage.states() == {"b1": "approved", "b2": "approved"}
        stage.wallet.troubles.extend(
            [Trouble(is_applied=True), Trouble(is_applied=False, word=Unknown("reset"))]
        )
        both = guest.call(guest.bet_action("b3", 50), guest.bet_action("b4", 50))
        await ask_in_vain(lambda: stage.desk.submit(both))
        assert stage.wallet.balance("player-1") == 150
        for seconds in (2, 100):
            stage.clock.pass_by(seconds=seconds)
            await stage.settle()
        assert stage.wallet.balance("player-1") == 200
        rows = await stage.fetch(
            "SELECT reference, state, booked FROM wallet_call WHERE reference > 'b2' ORDER BY id"
        )
        assert [tuple(row) for row in rows] == [
            ("b3", "undone", "after"),
            ("b4", "not_applied", "after"),
            ("b3", "approved", "never"),
        ]
    await require_sound_books(database_url)


async def test_an_answer_about_a_bet_that_was_undone_meanwhile_changes_nothing(
    database_url: str, wait_until: WaitUntil
) -> None:
    """One process asks, the rollback arrives at another, and then the answer comes."""
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=held))
        asking = asyncio.create_task(stage.ask(guest.bet("b1", 250)))
        await wait_until(lambda: stage.wallet.known)
        async with open_wallet_stage(database_url, wallet=stage.wallet, clock=stage.clock) as other:
            undone = await other.ask(guest.call(rollback("b1", "rb1", player_id="player-1")))
            assert (undone.status, undone.code) == ("approved", "nothing_to_roll_back")
            held.set()
            outcome = await asking
            assert (outcome.status, outcome.code) == ("declined", "tombstoned")
            await other.settle()
        rows = await stage.fetch("SELECT reference, booked, state, moved::int FROM wallet_call ORDER BY id")
        assert [tuple(row) for row in rows] == [
            ("b1", "after", "undone", 250),
            ("b1", "never", "approved", 250),
        ]
        assert stage.wallet.balance("player-1") == 1_000
    await require_sound_books(database_url)


async def test_an_attempt_that_nobody_knows_of_is_not_forgotten_when_the_next_is_not_sent(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.extend(
            [
                Trouble(is_applied=False, word=Unknown("timeout")),
                Trouble(is_applied=False, word=NotApplied("unreachable")),
            ]
        )
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        error = await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        assert error.kind is WALLET_UNANSWERED
        assert len(stage.wallet.asked) == 2
        assert await stage.states() == {"b1": "unknown"}


async def test_a_win_that_is_undone_in_an_outage_is_taken_back_when_it_is_over(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=50)
        await stage.ask(guest.bet("b1", 50))
        await stage.ask(guest.call(guest.win_action("w1", 100, "b1")))
        stage.wallet.troubles.extend(
            [
                Trouble(is_applied=False, word=NotApplied("unreachable")),
                Trouble(is_applied=False, word=Unknown("timeout")),
                Trouble(is_applied=False, word=NotApplied("unreachable")),
            ]
        )
        error = await ask_in_vain(lambda: stage.ask(guest.call(rollback("w1", "rb1", player_id="player-1"))))
        assert error.kind is WALLET_UNAVAILABLE or error.kind is WALLET_UNANSWERED
        seen = [(await stage.states())["rb1"]]
        for seconds in (2, 4, 8):
            stage.clock.pass_by(seconds=seconds)
            await stage.settle()
            seen.append((await stage.states())["rb1"])
        assert seen == ["queued", "unknown", "unknown", "approved"]
        assert stage.wallet.balance("player-1") == 0
        again = await stage.ask(guest.call(rollback("w1", "rb1", player_id="player-1")))
        assert (again.status, again.is_repeat) == ("approved", True)
    await require_sound_books(database_url)


async def test_what_comes_after_a_lost_delivery_waits_for_it(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        for reference in ("b1", "b2"):
            await stage.ask(guest.bet(reference, 100))
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        both = guest.call(
            rollback("b1", "rb1", player_id="player-1"), rollback("b2", "rb2", player_id="player-1")
        )
        answers = await stage.desk.submit(both)
        assert [answer.status for answer in answers] == ["approved", "approved"]
        assert len(stage.wallet.asked) == 3, "the second was not sent"
        await stage.ask(guest.call(guest.win_action("w1", 5, "b1")))
        stage.wallet.status_troubles.append(Unknown("timeout"))
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        assert len(stage.wallet.asked) == 3, "nothing overtakes what is unknown"
        stage.clock.pass_by(seconds=5)
        await stage.settle()
        assert [order.provider_reference for order in stage.wallet.asked[2:]] == ["rb1", "rb2", "w1"]
        assert stage.wallet.balance("player-1") == 1_005
    await require_sound_books(database_url)
