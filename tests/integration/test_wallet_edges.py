"""Corners of the operator's wallet: who goes first, what is asked before it is sent again, what a dead end does."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from lane_desk import attempt, require_sound_books
from msgspec import structs
from wallet_stage import ask_in_vain, open_wallet_stage

from croupier.errors import UNAUTHENTICATED, WALLET_IS_REMOTE, WALLET_UNANSWERED, WALLET_UNAVAILABLE
from croupier.moneypath.commands import Rules
from croupier.wallet.port import NotApplied, Unknown
from model.calls import call, cancel, deposit, open_session, rollback, withdrawal
from model.town_wallet import Trouble

WaitUntil = Callable[..., Awaitable[None]]


async def test_there_is_no_second_way_for_money_the_cashier_is_the_wallets(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        await stage.guest()
        for action in (deposit("d1", 5), withdrawal("o1", 5), cancel("o1")):
            error = await ask_in_vain(
                lambda action=action: stage.ask(
                    attempt(structs.replace(call(action), provider="operator"), "player-1")
                )
            )
            assert error.kind is WALLET_IS_REMOTE
        assert await stage.fetch("SELECT FROM journal_entry") == []


async def test_a_reference_that_was_not_applied_does_not_overtake_when_it_is_repeated(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        assert (await stage.ask(guest.bet("b0", 10))).is_approved
        stage.wallet.troubles.append(Trouble(is_applied=False, word=NotApplied("unreachable")))
        error = await ask_in_vain(lambda: stage.ask(guest.bet("b1", 10)))
        assert error.kind is WALLET_UNAVAILABLE
        stage.wallet.is_down = True
        assert (await stage.ask(guest.call(guest.win_action("w0", 5, "b0")))).is_approved
        stage.wallet.is_down = False
        hurried = structs.replace(guest.bet("b1", 10), answer_by_s=time.monotonic() + 0.1)
        error = await ask_in_vain(lambda: stage.ask(hurried))
        assert error.kind is WALLET_UNANSWERED
        assert error.reason in ("behind", "timeout")
        await stage.settle()
        assert (await stage.ask(guest.bet("b1", 10))).balance == 985
        assert [order.provider_reference for order in stage.wallet.asked] == ["b0", "b1", "w0", "b1"]
    await require_sound_books(database_url)


async def test_what_a_dead_process_may_have_sent_is_asked_about_before_it_is_sent_again(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b1", 10))
        stage.wallet.is_down = True
        await stage.ask(guest.call(guest.win_action("w1", 5, "b1")))
        stage.wallet.is_down = False
        held = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=held))
        turning = asyncio.create_task(stage.settling.turn())
        await wait_until(lambda: len(stage.wallet.known) == 2)
        turning.cancel()
        assert await stage.states() == {"b1": "approved", "w1": "asked"}
        stage.clock.pass_by(seconds=61)
        await stage.settle()
        assert await stage.states() == {"b1": "approved", "w1": "approved"}
        assert len(stage.wallet.status_asked) == 1
        assert len(stage.wallet.asked) == 2, "it was not sent again"
        assert stage.wallet.balance("player-1") == 995
    await require_sound_books(database_url)


async def test_a_nonce_is_spent_by_what_goes_no_further(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        late = structs.replace(guest.bet("b1", 10), answer_by_s=time.monotonic() - 1)
        assert (await ask_in_vain(lambda: stage.ask(late))).kind is WALLET_UNANSWERED
        await stage.desk.drain(5)
        again = structs.replace(guest.bet("b1", 10), nonce=late.nonce)
        assert (await ask_in_vain(lambda: stage.ask(again))).kind is UNAUTHENTICATED
        assert stage.wallet.asked == []
        stage.wallet.is_down = True
        opening = attempt(call(open_session(guest.session_id)), "player-1")
        assert (await ask_in_vain(lambda: stage.ask(opening))).kind is WALLET_UNAVAILABLE
        stage.wallet.is_down = False
        replayed = structs.replace(
            attempt(call(open_session(guest.session_id)), "player-1"), nonce=opening.nonce
        )
        assert (await ask_in_vain(lambda: stage.ask(replayed))).kind is UNAUTHENTICATED


async def test_a_bet_approved_too_late_in_a_round_with_others_is_looked_after_and_a_rollback_is_not(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b1", 10))
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        second = structs.replace(guest.bet_action("b2", 10), round_id="round-b1")
        await ask_in_vain(lambda: stage.ask(guest.call(second)))
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        await stage.ask(guest.bet("b3", 10))
        await stage.ask(guest.call(guest.win_action("w3", 5, "b3")))
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.call(rollback("w3", "rw3", player_id="player-1"))))
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        late = await stage.fetch("SELECT reference FROM wallet_call WHERE is_late")
        assert [row["reference"] for row in late] == ["b2"]
        stage.clock.pass_by(hours=2)
        await stage.settling.sweep()
        assert await stage.breaks() == ["late_approval"]


async def test_money_that_is_being_taken_back_arrives_before_its_rollback_is_rolled_back(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=50)
        rules = Rules(undoes_rollbacks=True)
        await stage.ask(guest.bet("b1", 50))
        await stage.ask(guest.call(guest.win_action("w1", 100, "b1")))
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(
            lambda: stage.ask(guest.call(rollback("w1", "rw1", player_id="player-1"), rules=rules))
        )
        again = guest.call(rollback("rw1", "rr1", player_id="player-1"), rules=rules)
        hurried = structs.replace(again, answer_by_s=time.monotonic() + 0.1)
        error = await ask_in_vain(lambda: stage.ask(hurried))
        assert error.kind is WALLET_UNANSWERED
        assert error.reason in ("behind", "timeout")
        stage.clock.pass_by(seconds=2)
        await stage.settle()
        assert stage.wallet.balance("player-1") == 0
        outcome = await stage.ask(guest.call(rollback("rw1", "rr1", player_id="player-1"), rules=rules))
        assert (outcome.status, outcome.balance) == ("approved", 100)
        await stage.settle()
        assert stage.wallet.balance("player-1") == 100
    await require_sound_books(database_url)
