"""Settling by hand: a person speaks for the operator's wallet, on the way of its own answers (I2, I6, I10)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from lane_desk import read_rows, require_sound_books
from msgspec import structs
from wallet_stage import Guest, WalletStage, ask_in_vain, open_wallet_stage

from croupier.errors import OVERLOADED, CroupierError
from croupier.governance.audit import verify_chain
from croupier.moneypath.rows import read_wallet_call
from croupier.operator.wallet.away import AwayWallet
from croupier.operator.wallet.by_hand import HandOrder, HandSettled, NotByHand, Said, settle_by_hand
from croupier.operator.wallet.desk import WalletDesk
from croupier.operator.wallet.settling import SettlingParts
from croupier.runtime.database import connect_app
from croupier.wallet.port import Approved, Refused, Unknown
from model.calls import rollback
from model.town_wallet import Trouble

ACTOR, REASON = "cli:ada", "seen in their books, ticket 4711"
PAST_DEADLINE = timedelta(minutes=11)


def parts_of(stage: WalletStage) -> SettlingParts:
    """As a command has them: nobody that asks the wallet."""
    desk = WalletDesk(stage.lanes.decide, AwayWallet(), stage.settling._parts.ids, timeout_s=2.0)
    return structs.replace(stage.settling._parts, desk=desk)


async def id_of(stage: WalletStage, reference: str) -> UUID:
    """The newest call that serves a transaction."""
    rows = await stage.fetch("SELECT id FROM wallet_call WHERE reference = $1 ORDER BY id DESC", reference)
    found: UUID = rows[0]["id"]
    return found


async def say(stage: WalletStage, reference: str, said: Said, **fields: Any) -> HandSettled:
    """Say what became of the call of a transaction."""
    call_id = await id_of(stage, reference)
    order = HandOrder(call_id=call_id, said=said, actor=ACTOR, reason=REASON, **fields)
    return await settle_by_hand(parts_of(stage), order)


async def refusal(stage: WalletStage, reference: str, said: Said = Said.APPROVED, **fields: Any) -> str:
    """Why it may not be said; the call and the audit log are as they were."""
    sql = "SELECT w::text, (SELECT count(*) FROM audit_record) FROM wallet_call w ORDER BY id"
    before = await stage.fetch(sql)
    with pytest.raises(NotByHand) as caught:
        await say(stage, reference, said, **fields)
    assert await stage.fetch(sql) == before
    return str(caught.value)


async def lose(stage: WalletStage, guest: Guest, reference: str, amount: int, *, is_applied: bool) -> None:
    """A bet whose answer is lost, and that nobody has asked about until its deadline was past."""
    stage.wallet.troubles.append(Trouble(is_applied=is_applied, word=Unknown("reset")))
    await ask_in_vain(lambda: stage.ask(guest.bet(reference, amount)))
    stage.clock.pass_by(seconds=PAST_DEADLINE.total_seconds())
    await stage.settling.sweep()
    assert (await stage.states())[reference] == "unknown"


async def wins_of(stage: WalletStage) -> Guest:
    """A player whose win is booked and whose delivery nobody knows anything of, past its deadline."""
    guest = await stage.guest()
    await stage.ask(guest.bet("b1", 250))
    stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
    await stage.ask(guest.call(guest.win_action("w1", 400, "b1")))
    stage.clock.pass_by(seconds=PAST_DEADLINE.total_seconds())
    return guest


async def audited(stage: WalletStage) -> list[tuple[Any, ...]]:
    """Who said what of which call; the chain is whole."""
    connection = await connect_app(stage.url)
    try:
        assert (await verify_chain(connection)).is_whole
    finally:
        await connection.close()
    rows = await stage.fetch("SELECT actor, action, subject, reason FROM audit_record ORDER BY seq")
    return [tuple(row) for row in rows]


async def test_a_bet_that_a_person_says_is_approved_is_booked_as_late(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await lose(stage, guest, "b1", 250, is_applied=True)
        done = await say(stage, "b1", Said.APPROVED, wallet_reference="their-88", balance=750)
        assert (done.status, done.code, done.call.state, done.call.moved) == (
            "approved",
            "ok",
            "approved",
            250,
        )
        assert (done.call.wallet_reference, done.call.is_late, done.call.balance) == ("their-88", True, 750)
        assert done.journal_id is not None
        assert [kind for _, kind in done.breaks] == ["wallet_call_unsettled"]
        (posted,) = await stage.fetch(
            "SELECT p.amount FROM posting p WHERE p.entry_id = $1 AND p.kind = 'player_wallet'",
            done.journal_id,
        )
        assert posted["amount"] == -250
        (unknown,) = await stage.fetch("SELECT resolution FROM unknown_outcome")
        assert unknown["resolution"] == "approved"
        assert await audited(stage) == [
            (ACTOR, "wallet_call.said_by_hand", f"wallet_call:{done.call.name}", REASON)
        ]
        repeated = await stage.ask(guest.bet("b1", 250))
        assert (repeated.is_approved, repeated.is_repeat, repeated.balance) == (True, True, 750)
        assert len(stage.wallet.asked) == 1, "the wallet is not asked any more"
        stage.clock.pass_by(hours=2)
        await stage.settling.sweep()
        assert await stage.breaks() == ["wallet_call_unsettled", "late_approval"]
    await require_sound_books(database_url)


async def test_a_bet_that_a_person_says_is_refused_is_declined_for_ever(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await lose(stage, guest, "b1", 250, is_applied=False)
        done = await say(stage, "b1", Said.REFUSED, code="insufficient_funds", balance=40)
        (record,) = await stage.fetch("SELECT details FROM audit_record")
        details = json.loads(record["details"])
        assert (details["said"], details["code"], details["balance"], details["amount"]) == (
            "refused", "insufficient_funds", "40", None,
        )  # fmt: skip
        assert (done.status, done.code, done.journal_id) == ("declined", "insufficient_funds", None)
        repeated = await stage.ask(guest.bet("b1", 250))
        assert (repeated.is_approved, repeated.code) == (False, "insufficient_funds")
    await require_sound_books(database_url)


async def test_a_bet_that_a_person_says_is_not_applied_may_be_asked_again(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await lose(stage, guest, "b1", 250, is_applied=False)
        done = await say(stage, "b1", Said.NOT_APPLIED)
        assert (done.call.state, done.call.reason, done.status) == ("not_applied", "said_by_hand", None)
        assert (await stage.ask(guest.bet("b1", 250))).is_approved
        assert stage.wallet.balance("player-1") == 750
    await require_sound_books(database_url)


async def test_a_credit_goes_the_way_of_the_wallets_word_too(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        await wins_of(stage)
        done = await say(stage, "w1", Said.NOT_APPLIED)
        assert done.call.state == "queued"
        stage.clock.pass_by(seconds=4)
        await stage.settle()
        assert (await stage.states())["w1"] == "approved"
        assert stage.wallet.balance("player-1") == 1_150, "the same reference arrives once"
    await require_sound_books(database_url)


@pytest.mark.parametrize(("said", "breaks"), [(Said.APPROVED, []), (Said.REFUSED, ["wallet_refused_credit"])])
async def test_a_credit_is_delivered_or_owed_as_a_person_says(
    database_url: str, said: Said, breaks: list[str]
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await wins_of(stage)
        done = await say(stage, "w1", said)
        assert (done.call.state, done.journal_id is not None) == (said.value, True)
        assert await stage.breaks() == breaks
        (account,) = await stage.fetch("SELECT told FROM account WHERE kind = 'player_wallet'")
        assert account["told"] == 1_150
        assert (await stage.ask(guest.bet("b2", 10))).is_approved, "nothing holds the player up any more"
    await require_sound_books(database_url)


async def test_the_balance_that_nobody_names_is_the_expected_one(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await lose(stage, guest, "b1", 250, is_applied=True)
        stage.wallet.is_down = True
        await stage.ask(guest.call(guest.win_action("w0", 40, "b1")))
        done = await say(stage, "b1", Said.APPROVED)
        (account,) = await stage.fetch("SELECT told FROM account WHERE kind = 'player_wallet'")
        assert (done.call.balance, account["told"]) == (750, 790)
        stage.wallet.is_down = False
        stage.clock.pass_by(seconds=5)
        await stage.settle()
        assert stage.wallet.balance("player-1") == 790
    await require_sound_books(database_url)


async def test_an_undoing_is_settled_by_hand_like_everything_else(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=False, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await stage.ask(guest.call(rollback("b1", "rb1", player_id="player-1")))
        stage.clock.pass_by(seconds=PAST_DEADLINE.total_seconds())
        done = await say(stage, "b1", Said.APPROVED, code="nothing_to_roll_back")
        assert (done.call.booked, done.call.state, done.call.moved) == ("never", "approved", 0)
        assert (done.status, done.journal_id) == (None, None)
        assert (await stage.ask(guest.bet("b2", 10))).is_approved
    await require_sound_books(database_url)


async def test_a_stake_of_a_call_that_is_not_taken_whole_is_taken_back(database_url: str) -> None:
    """What the call would ask next nobody waits for, as when the wallet's own answer is late."""
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest(purse=500)
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        both = guest.call(guest.bet_action("b1", 200), guest.bet_action("b2", 100))
        await ask_in_vain(lambda: stage.desk.submit(both))
        stage.clock.pass_by(seconds=PAST_DEADLINE.total_seconds())
        done = await say(stage, "b1", Said.APPROVED)
        assert (done.call.state, done.call.moved, done.journal_id) == ("undone", 200, None)
        assert stage.wallet.balance("player-1") == 300
        stage.clock.pass_by(seconds=4)
        await stage.settle()
        assert stage.wallet.balance("player-1") == 500
    await require_sound_books(database_url)


async def test_what_is_settled_stays_settled_and_says_as_what(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b1", 250))
        assert "is settled already: approved since 2026-" in await refusal(stage, "b1", Said.REFUSED)
        assert "(ok)" in await refusal(stage, "b1")
        await lose(stage, guest, "b2", 10, is_applied=False)
        await say(stage, "b2", Said.REFUSED)
        assert "is settled already: refused" in await refusal(stage, "b2")


async def test_a_call_that_nobody_made_is_none(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        order = HandOrder(call_id=UUID(int=7), said=Said.APPROVED, actor=ACTOR, reason=REASON)
        with pytest.raises(NotByHand, match="no wallet call is called wtx_00000000000000000000000000000007"):
            await settle_by_hand(parts_of(stage), order)


async def test_the_wallet_is_asked_until_the_deadline_and_a_person_may_be_sure_before(
    database_url: str,
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=True, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        assert "until its deadline at 2026-" in await refusal(stage, "b1")
        stage.clock.pass_by(minutes=9, seconds=59)
        assert "--before-deadline" in await refusal(stage, "b1", Said.NOT_APPLIED)
        assert (await say(stage, "b1", Said.APPROVED, is_early=True)).call.state == "approved"
        assert await stage.breaks() == []
    await require_sound_books(database_url)


async def test_nobody_says_that_it_is_not_applied_while_an_attempt_may_arrive(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        stage.wallet.troubles.append(Trouble(is_applied=False, word=Unknown("reset")))
        await ask_in_vain(lambda: stage.ask(guest.bet("b1", 250)))
        stage.clock.pass_by(seconds=89)
        assert "take that for fresh until" in await refusal(stage, "b1", Said.NOT_APPLIED, is_early=True)
        stage.clock.pass_by(seconds=1)
        assert (await say(stage, "b1", Said.NOT_APPLIED, is_early=True)).call.state == "not_applied"


async def test_what_a_process_is_sending_is_left_to_it_until_its_lease_ends(
    database_url: str, wait_until: Any
) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        is_done = asyncio.Event()
        stage.wallet.troubles.append(Trouble(is_applied=True, until=is_done))
        asking = asyncio.create_task(stage.ask(guest.bet("b1", 250)))
        await wait_until(lambda: stage.wallet.in_flight)
        for early in (True, False):
            assert "is being sent by a process right now" in await refusal(stage, "b1", is_early=early)
        stage.clock.pass_by(seconds=PAST_DEADLINE.total_seconds())
        done = await say(stage, "b1", Said.APPROVED)
        assert done.call.state == "approved"
        is_done.set()
        assert (await asking).is_approved
        assert await stage.breaks() == []
    await require_sound_books(database_url)


async def test_a_queued_credit_is_taken_so_that_nobody_sends_it_meanwhile(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await stage.ask(guest.bet("b1", 250))
        stage.wallet.is_down = True
        await stage.ask(guest.call(guest.win_action("w1", 40, "b1")))
        stage.clock.pass_by(seconds=PAST_DEADLINE.total_seconds())
        stage.wallet.is_down = False
        held = []

        async def decide(request: Any) -> Any:
            held.append(
                (await stage.fetch("SELECT state FROM wallet_call WHERE reference = 'w1'"))[0]["state"]
            )
            held.append(await stage.settling.turn())
            return await stage.lanes.decide(request)

        parts = parts_of(stage)
        parts = structs.replace(parts, desk=WalletDesk(decide, AwayWallet(), parts.ids, timeout_s=2.0))
        order = HandOrder(call_id=await id_of(stage, "w1"), said=Said.APPROVED, actor=ACTOR, reason=REASON)
        assert (await settle_by_hand(parts, order)).call.state == "approved"
        assert held == ["asked", 0]
        assert [one.provider_reference for one in stage.wallet.asked] == ["b1"]
    await require_sound_books(database_url)


async def test_what_is_not_decided_leaves_the_call_as_it_was_and_the_record(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        guest = await stage.guest()
        await lose(stage, guest, "b1", 250, is_applied=True)

        async def decide(request: Any) -> Any:
            raise CroupierError(OVERLOADED, "later", retry_after_s=1)

        parts = parts_of(stage)
        parts = structs.replace(parts, desk=WalletDesk(decide, AwayWallet(), parts.ids, timeout_s=2.0))
        order = HandOrder(call_id=await id_of(stage, "b1"), said=Said.APPROVED, actor=ACTOR, reason=REASON)
        with pytest.raises(CroupierError):
            await settle_by_hand(parts, order)
        (row,) = await stage.fetch("SELECT state, next_at FROM wallet_call")
        assert tuple(row) == ("unknown", stage.clock.now), "it is due at once"
        assert len(await audited(stage)) == 1
        assert await stage.settling.turn() == 1
        assert await stage.states() == {"b1": "approved"}
    await require_sound_books(database_url)


async def test_who_dies_before_it_is_decided_is_waited_for_as_long_as_a_lease(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        await lose(stage, await stage.guest(), "b1", 250, is_applied=True)

        async def decide(request: Any) -> Any:
            await asyncio.Event().wait()

        parts = parts_of(stage)
        parts = structs.replace(parts, desk=WalletDesk(decide, AwayWallet(), parts.ids, timeout_s=2.0))
        order = HandOrder(call_id=await id_of(stage, "b1"), said=Said.REFUSED, actor=ACTOR, reason=REASON)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(settle_by_hand(parts, order), 0.2)
        stage.clock.pass_by(seconds=59)
        assert await stage.settling.turn() == 0
        stage.clock.pass_by(seconds=1)
        assert await stage.settling.turn() == 1
        assert await stage.states() == {"b1": "approved"}
    await require_sound_books(database_url)


@pytest.mark.parametrize(
    ("said", "code"),
    [(Said.APPROVED, "already_rolled_back"), (Said.APPROVED, "fine"), (Said.REFUSED, "ok")],
)
async def test_a_code_that_the_contract_has_not_is_refused(database_url: str, said: Said, code: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        await lose(stage, await stage.guest(), "b1", 250, is_applied=True)
        assert f"{code!r} is no code of" in await refusal(stage, "b1", said, code=code)


async def test_the_wallets_own_answer_that_comes_first_stands(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        await lose(stage, await stage.guest(), "b1", 250, is_applied=True)
        call_id = await id_of(stage, "b1")
        (row,) = await stage.fetch("SELECT wallet_call_of(w) AS call FROM wallet_call w")
        known = read_wallet_call(row["call"])

        async def decide(request: Any) -> Any:
            await stage.settling.take_in(known, Approved(amount=250, balance=750))
            return await stage.lanes.decide(request)

        parts = parts_of(stage)
        parts = structs.replace(parts, desk=WalletDesk(decide, AwayWallet(), parts.ids, timeout_s=2.0))
        order = HandOrder(call_id=call_id, said=Said.REFUSED, actor=ACTOR, reason=REASON)
        done = await settle_by_hand(parts, order)
        assert await outcome_of(stage, "b1", call_id) == ("approved", "approved", 1, -250)
        assert (done.call.state, done.status) == ("approved", "approved")
        assert await stage.breaks() == ["wallet_call_unsettled", "wallet_contradicts_itself"]
    await require_sound_books(database_url)


async def test_what_a_person_said_first_stands_and_another_answer_is_a_break(database_url: str) -> None:
    async with open_wallet_stage(database_url) as stage:
        await lose(stage, await stage.guest(), "b1", 250, is_applied=True)
        (row,) = await stage.fetch("SELECT wallet_call_of(w) AS call FROM wallet_call w")
        await say(stage, "b1", Said.REFUSED)
        await stage.settling.take_in(read_wallet_call(row["call"]), Approved(amount=250, balance=750))
        call_id = await id_of(stage, "b1")
        assert await outcome_of(stage, "b1", call_id) == ("refused", "declined", 0, None)
        assert await stage.breaks() == ["wallet_call_unsettled", "wallet_contradicts_itself"]
    await require_sound_books(database_url)


@pytest.mark.parametrize("is_applied", [True, False])
@pytest.mark.parametrize("said", list(Said))
async def test_a_person_and_the_wallets_answer_at_once_end_in_one_outcome(
    database_url: str, said: Said, is_applied: bool
) -> None:
    """Either comes first, many times over, from lanes of their own; what is booked is what the call says."""
    theirs = Approved(amount=10, balance=900) if is_applied else Refused(code="limit_reached", balance=1_000)
    async with open_wallet_stage(database_url) as hand, open_wallet_stage(database_url) as stage:
        hand.clock.now = stage.clock.now
        seen: list[tuple[Any, ...]] = []
        for number in range(12):
            guest = await stage.guest(f"player-{said}-{number}")
            reference = f"b{number}"
            await lose(stage, guest, reference, 10, is_applied=False)
            hand.clock.now = stage.clock.now
            call_id = await id_of(stage, reference)
            stage.clock.pass_by(minutes=2)
            stage.wallet.status_troubles.append(theirs)
            order = HandOrder(call_id=call_id, said=said, actor=ACTOR, reason=REASON)
            parts = parts_of(hand)
            await asyncio.gather(
                later(number % 4, settle_by_hand(parts, order)),
                later((number // 4) * 2, stage.settling.turn()),
                return_exceptions=True,
            )
            stage.wallet.status_troubles.clear()
            await stage.settle()
            seen.append(await outcome_of(stage, reference, call_id))
        assert set(seen) <= ONE_OUTCOME
    await require_sound_books(database_url)


ONE_OUTCOME = frozenset(
    {
        ("approved", "approved", 1, -10),
        ("refused", "declined", 0, None),
        ("not_applied", None, 0, None),
    }
)
"""The call, its transaction, how many entries, and what they move: nothing else may come of a bet of 10."""


async def later(turns: int, work: Any) -> Any:
    """Work that lets others go first, so many milliseconds."""
    await asyncio.sleep(turns / 1_000)
    return await work


async def outcome_of(stage: WalletStage, reference: str, call_id: UUID) -> tuple[Any, ...]:
    """What became of a bet, in everything that says so."""
    (row,) = await read_rows(
        stage.url,
        "SELECT w.state::text, m.status::text, (SELECT count(*) FROM journal_entry e WHERE e.reference = w.reference), "
        "(SELECT sum(p.amount)::int FROM posting p WHERE p.entry_id = m.journal_id AND p.kind = 'player_wallet') "
        "FROM wallet_call w LEFT JOIN money_reference m ON m.provider = w.provider AND m.reference = w.reference "
        "WHERE w.id = $1 AND w.reference = $2",
        call_id,
        reference,
    )
    return tuple(row)
