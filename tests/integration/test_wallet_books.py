"""The books where the operator keeps the wallet: their mode, their mirrors, and what the ledger check finds (I6)."""

import asyncpg
import pytest
from lane_desk import require_sound_books
from wallet_stage import ask_in_vain, open_wallet_stage

from croupier.runtime.database import connect_app, connect_owner
from croupier.runtime.supervisor import NotReady, require_wallet_mode
from croupier.settlement.audit import check_ledger
from croupier.wallet.port import Unknown
from model.calls import rollback
from model.town_wallet import Trouble


async def test_books_keep_the_mode_that_they_were_begun_in(database_url: str) -> None:
    await require_wallet_mode(database_url, "remote")
    await require_wallet_mode(database_url, "remote")
    with pytest.raises(NotReady, match=r'begun with .* mode = "remote" and the configuration says "builtin"'):
        await require_wallet_mode(database_url, "builtin")


async def played(url: str) -> None:
    """A bet, a win, a rollback of another bet, and one that the wallet refused."""
    async with open_wallet_stage(url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b1", 250))
        await stage.ask(guest.call(guest.win_action("w1", 90, "b1")))
        await stage.ask(guest.bet("b2", 40))
        await stage.ask(guest.call(rollback("b2", "rb2", player_id="player-1")))
        await stage.ask(guest.bet("b3", 9_999))


TAMPERINGS = {
    "a_call_says_more": "UPDATE wallet_call SET moved = moved + 1 WHERE reference = 'b1'",
    "a_call_is_not_approved_after_all": (
        "ALTER TABLE wallet_call DISABLE TRIGGER settled_call_stays_settled; "
        "UPDATE wallet_call SET state = 'refused' WHERE reference = 'b1'"
    ),
    "a_call_is_for_something_else": "UPDATE wallet_call SET reference = 'other' WHERE reference = 'w1'",
    "a_credit_takes": "UPDATE wallet_call SET operation = 'debit' WHERE reference = 'w1'",
    "a_rollback_is_gone": (
        "ALTER TABLE wallet_call DISABLE TRIGGER wallet_call_is_kept; "
        "DELETE FROM wallet_call WHERE reference = 'rb2'"
    ),
    "a_refused_bet_was_approved": (
        "ALTER TABLE wallet_call DISABLE TRIGGER settled_call_stays_settled; "
        "UPDATE wallet_call SET state = 'approved', moved = amount WHERE reference = 'b3'"
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=TAMPERINGS)
async def test_a_mirror_that_follows_no_call_is_found(database_url: str, tampering: str) -> None:
    await played(database_url)
    await require_sound_books(database_url)
    owner = await connect_owner(database_url)
    try:
        await owner.execute(tampering)
    finally:
        await owner.close()
    app = await connect_app(database_url)
    try:
        report = await check_ledger(app)
    finally:
        await app.close()
    assert {check.name for check in report.checks if check.status == "broken"} == {
        "mirrors_follow_wallet_calls"
    }


async def test_an_open_call_that_nobody_was_told_of_is_found(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        async with stage.pool.acquire() as connection:
            report = await check_ledger(connection)
    broken = [check.name for check in report.checks if check.status == "broken"]
    assert broken == ["open_wallet_calls_have_somebody"]


async def test_what_the_wallet_said_stays_said(database_url: str) -> None:
    await played(database_url)
    app = await connect_app(database_url)
    try:
        for statement in (
            "UPDATE wallet_call SET state = 'refused' WHERE reference = 'b1'",
            "UPDATE wallet_call SET state = 'approved' WHERE reference = 'b3'",
            "UPDATE wallet_call SET amount = 1 WHERE reference = 'b1'",
            "DELETE FROM wallet_call WHERE reference = 'b1'",
        ):
            with pytest.raises(asyncpg.PostgresError, match=r"refused|permission denied"):
                await app.execute(statement)
    finally:
        await app.close()


async def test_a_mirror_may_be_below_zero_and_a_wallet_of_ours_not(database_url: str) -> None:
    await played(database_url)
    owner = await connect_owner(database_url)
    try:
        flowed = await owner.fetchval("SELECT balance::int FROM account WHERE kind = 'player_wallet'")
        assert flowed == -160
        with pytest.raises(asyncpg.CheckViolationError, match="wallet_is_never_negative"):
            await owner.execute("UPDATE account SET is_mirror = false WHERE kind = 'player_wallet'")
    finally:
        await owner.close()
