"""Webhooks through real lanes: what each type means, whatever comes first and however often (E3, I2, I4, I7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from inbox_desk import InboxDesk, odd_account, open_inbox
from lane_desk import Desk, Seat, balance_of, open_desk, read_value, require_sound_books
from msgspec import structs
from stored_webhooks import (
    completed,
    jackpot,
    require_every_delivery_accounted_for,
    rolled_back,
)

from croupier.errors import UNKNOWN_ASSET, CroupierError
from croupier.ids import SESSION, render_id
from croupier.moneypath.commands import RefuseCredit
from croupier.providers.contract import DecodeRefused
from croupier.providers.notices import Notice
from model.calls import close_round, rollback, win

PLAYER = "player-1"


@pytest.fixture
async def inbox(database_url: str) -> AsyncIterator[InboxDesk]:
    async with open_inbox(database_url) as made:
        yield made


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url, lanes=2) as made:
        yield made


@pytest.fixture
async def seat(desk: Desk) -> Seat:
    return await desk.seat(PLAYER)


async def settle(inbox: InboxDesk, desk: Desk) -> None:
    """Work until nothing is due, then look at the books."""
    await inbox.drain(inbox.edge(desk.lanes.submit))
    await require_every_delivery_accounted_for(inbox.connection)
    await require_sound_books(inbox.url)


async def tell(
    inbox: InboxDesk, desk: Desk, type_: str, data: dict[str, Any], id_: str | None = None
) -> UUID:
    """One webhook, worked on."""
    (told,) = await inbox.put(inbox.mailbox.make(type_, data, id_))
    await settle(inbox, desk)
    return told


async def test_a_jackpot_is_paid_and_the_result_says_what_moved(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    assert (await desk.ask(seat.bet("b1", 10, round_id="r1"))).is_approved
    id_ = await tell(inbox, desk, "jackpot.won", jackpot(seat.session_id, PLAYER, "j1", 500))
    result = await inbox.result(id_)
    assert result is not None
    assert (result["result"], result["code"], result["asset"], result["moved"], result["attempts"]) == (
        "applied",
        "ok",
        "EUR",
        500,
        1,
    )
    entry = await inbox.connection.fetchrow(
        "SELECT kind, reference, cause FROM journal_entry WHERE id = $1", result["journal_id"]
    )
    assert tuple(entry) == ("jackpot_win", "j1", "webhook")
    assert await balance_of(inbox.url, PLAYER) == 1_490
    assert await inbox.queued(id_) is None


async def test_the_same_fact_under_ten_ids_is_paid_once(inbox: InboxDesk, desk: Desk, seat: Seat) -> None:
    data = jackpot(seat.session_id, PLAYER, "j1", 500)
    ids = await inbox.put(*(inbox.mailbox.make("jackpot.won", data) for _ in range(10)))
    await settle(inbox, desk)
    assert await inbox.said(*ids) == [("applied", "ok"), *[("repeat", "ok")] * 9]
    assert await balance_of(inbox.url, PLAYER) == 1_500


async def test_a_fact_that_the_callback_told_already_is_a_repeat(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    assert (await desk.ask(seat.bet("b1", 10, round_id="r1"))).is_approved
    outcome = await desk.ask(seat.call(close_round("c1", "r1", player_id=PLAYER, session_id=seat.session_id)))
    assert outcome.is_approved
    id_ = await tell(inbox, desk, "round.completed", completed(seat.session_id, PLAYER, "c1"))
    assert await inbox.said(id_) == [("repeat", "ok")]


async def test_a_notice_without_the_reference_of_its_fact_moves_nothing_and_a_person_looks_at_it(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    data = jackpot(seat.session_id, PLAYER, "j1", 500)
    del data["reference"]
    id_ = await tell(inbox, desk, "jackpot.won", data, "msg-untied")
    assert await inbox.said(id_) == [("nothing", "reported")]
    assert await inbox.breaks() == [("untied_notice", "msg-untied", "finance")]
    assert await balance_of(inbox.url, PLAYER) == 1_000


async def test_a_win_that_was_paid_under_another_reference_moves_nothing_and_opens_a_break(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    given = {"player_id": PLAYER, "session_id": seat.session_id, "round_id": "r1"}
    assert (await desk.ask(seat.bet("b1", 10, round_id="r1"))).is_approved
    assert (await desk.ask(seat.call(win("w1", 500, **given)))).is_approved
    assert await balance_of(inbox.url, PLAYER) == 1_490
    first = await tell(inbox, desk, "jackpot.won", jackpot(seat.session_id, PLAYER, "j1", 500))
    second = await tell(inbox, desk, "jackpot.won", jackpot(seat.session_id, PLAYER, "j2", 500))
    assert await inbox.said(first, second) == [("applied", "ok"), ("nothing", "already_paid")]
    assert await balance_of(inbox.url, PLAYER) == 1_990
    assert [kind for kind, *_ in await inbox.breaks()] == ["untied_notice"]


async def test_a_completed_round_is_closed(inbox: InboxDesk, desk: Desk, seat: Seat) -> None:
    assert (await desk.ask(seat.bet("b1", 10, round_id="r1"))).is_approved
    ids = [await tell(inbox, desk, "round.completed", completed(seat.session_id, PLAYER, "c1"))]
    ids.append(await tell(inbox, desk, "round.completed", completed(seat.session_id, PLAYER, "c1")))
    assert await inbox.said(*ids) == [("applied", "ok"), ("repeat", "ok")]
    assert await read_value(inbox.url, "SELECT state FROM round") == "closed"


async def test_a_rolled_back_bet_comes_back_and_nothing_comes_of_the_second_notice(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    assert (await desk.ask(seat.bet("b1", 100, round_id="r1"))).is_approved
    ids = [
        await tell(inbox, desk, "round.rolled_back", rolled_back(PLAYER, reference, "b1"))
        for reference in ("rb1", "rb1", "rb2")
    ]
    ids.append(await tell(inbox, desk, "round.rolled_back", rolled_back(PLAYER, "rb3", "never-seen")))
    assert await inbox.said(*ids) == [
        ("applied", "ok"),
        ("repeat", "ok"),
        ("nothing", "already_rolled_back"),
        ("nothing", "nothing_to_roll_back"),
    ]
    moved = [(row["moved"], row["asset"]) for row in [await inbox.result(id_) for id_ in ids] if row]
    assert moved[0] == (100, "EUR")
    assert [amount for amount, _ in moved[1:]] == [None] * 3
    assert await balance_of(inbox.url, PLAYER) == 1_000


async def test_a_session_that_its_provider_closed_is_closed_once(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    data = {
        "session_id": render_id(SESSION, seat.session_id),
        "player_id": PLAYER,
        "occurred_at": "2026-03-01T12:00:00Z",
    }
    ids = [await tell(inbox, desk, "session.closed", data) for _ in range(2)]
    assert await inbox.said(*ids) == [("applied", "ok"), ("repeat", "ok")]
    assert await read_value(inbox.url, "SELECT state FROM session") == "cancelled"


async def test_a_statement_that_is_ready_is_work_for_finance(inbox: InboxDesk, desk: Desk) -> None:
    data = {
        "statement_id": "2026-02",
        "period_from": "2026-02-01T00:00:00Z",
        "period_to": "2026-03-01T00:00:00Z",
        "occurred_at": "2026-03-01T06:00:00Z",
    }
    ids = [await tell(inbox, desk, "statement.ready", data) for _ in range(2)]
    assert await inbox.said(*ids) == [("nothing", "reported")] * 2
    assert await inbox.breaks() == [("statement_ready", "2026-02", "finance")]


async def test_a_refusal_of_business_is_finished_work_and_no_dead_letter(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    ids = [
        await tell(inbox, desk, "jackpot.won", jackpot(seat.session_id, PLAYER, "j1", amount))
        for amount in (500, 501)
    ]
    assert await inbox.said(*ids) == [("applied", "ok"), ("refused", "reference_conflict")]
    result = await inbox.result(ids[1])
    assert result is not None
    assert (result["moved"], result["journal_id"]) == (None, None)
    assert "amount" in result["detail"]
    assert await inbox.dead(ids[1]) is None
    assert await inbox.breaks() == [("refused_credit", "j1:conflict:amount", "finance")]


async def test_a_credit_that_can_be_read_no_more_reaches_finance_and_is_refused(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    def read(_: Notice) -> Notice:
        salvage = RefuseCredit(
            player_id=PLAYER, reference="j1", code="unknown_asset", detail="jackpot.won", amount_text="500"
        )
        raise DecodeRefused(
            CroupierError(UNKNOWN_ASSET, "no asset has this code", field="data.asset"), salvage
        )

    (id_,) = await inbox.put(inbox.mailbox.make("jackpot.won", jackpot(seat.session_id, PLAYER, "j1", 500)))
    inbox.accounts = odd_account(read)
    await settle(inbox, desk)
    assert await inbox.said(id_) == [("refused", "unknown_asset")]
    assert await inbox.breaks() == [("refused_credit", "j1:unknown_asset", "finance")]


async def test_a_decision_is_the_same_and_no_repeat_when_its_worker_died_before_it_could_tell(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    """The money moved, the queue row stayed: what is decided again is the first decision, with its entry."""
    (id_,) = await inbox.put(inbox.mailbox.make("jackpot.won", jackpot(seat.session_id, PLAYER, "j1", 500)))
    row = await inbox.connection.fetchrow("SELECT * FROM inbox_queue")
    await settle(inbox, desk)
    first = await inbox.result(id_)
    await inbox.connection.execute("DELETE FROM delivery_result")
    await inbox.connection.execute(
        """INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at, fence)
           VALUES ($1, $2, $3, $4, $5, $5, 1)""",
        *(row["bucket"], id_, row["provider"], row["order_key"], row["received_at"]),
    )
    await settle(inbox, desk)
    assert await inbox.result(id_) == first
    assert first is not None
    assert first["result"] == "applied"
    assert await balance_of(inbox.url, PLAYER) == 1_500


async def test_what_waits_for_its_session_is_matched_when_the_session_comes(
    inbox: InboxDesk, desk: Desk
) -> None:
    player = Seat(PLAYER, UUID(int=0x5E55_0009_0000_7000_8000_0000_0000_0007))
    (id_,) = await inbox.put(inbox.mailbox.make("jackpot.won", jackpot(player.session_id, PLAYER, "j1", 500)))
    await settle(inbox, desk)
    row = await inbox.queued(id_)
    assert row is not None
    assert (
        row["is_waiting"],
        row["attempts"],
        row["last_error"] in ("unknown_session", "unknown_player"),
    ) == (
        True,
        0,
        True,
    )
    assert await inbox.breaks() == [], "what may still come is no finding"
    seat = await desk.seat(PLAYER)
    data = jackpot(seat.session_id, PLAYER, "j2", 7)
    inbox.clock.advance(minutes=5)
    other = await tell(inbox, desk, "jackpot.won", data)
    assert await inbox.said(id_, other) == [None, ("applied", "ok")]


async def test_a_completed_round_waits_for_its_round_and_holds_up_nothing(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    ids = await inbox.put(
        inbox.mailbox.make("round.completed", completed(seat.session_id, PLAYER, "c1")),
        inbox.mailbox.make("jackpot.won", jackpot(seat.session_id, PLAYER, "j1", 5)),
    )
    await settle(inbox, desk)
    assert await inbox.said(*ids) == [None, ("applied", "ok")]
    for _ in range(3):
        inbox.clock.advance(seconds=2)
        await settle(inbox, desk)
    assert await inbox.said(*ids) == [("applied", "ok"), ("applied", "ok")]
    result = await inbox.result(ids[0])
    assert result is not None
    assert result["attempts"] == 1, "waiting is no failed attempt"


async def test_what_never_comes_is_unmatched_at_the_deadline_and_finance_has_work(
    inbox: InboxDesk, desk: Desk, seat: Seat
) -> None:
    inbox.patience = structs.replace(inbox.patience, wait_for_cause_s=600.0)
    ids = await inbox.put(
        inbox.mailbox.make("round.completed", completed(seat.session_id, PLAYER, "c1", round_id="r9"))
    )
    for _ in range(9):
        await settle(inbox, desk)
        assert await inbox.said(*ids) == [None]
        inbox.clock.advance(minutes=1)
    inbox.clock.advance(seconds=1)
    await settle(inbox, desk)
    assert await inbox.said(*ids) == [("unmatched", "unknown_round")]
    assert await inbox.breaks() == [("unmatched_notice", "c1", "finance")]
    assert await inbox.queued(ids[0]) is None


async def test_a_rollback_by_callback_and_its_notice_end_the_same_in_both_orders(
    inbox: InboxDesk, desk: Desk
) -> None:
    balances = []
    for number, is_notice_first in enumerate((True, False)):
        seat = await desk.seat(f"player-{number}")
        bet, undo = f"b{number}", f"rb{number}"
        assert (await desk.ask(seat.bet(bet, 100))).is_approved
        told = rolled_back(seat.player_id, undo, bet)
        if is_notice_first:
            await tell(inbox, desk, "round.rolled_back", told)
        outcome = await desk.ask(seat.call(rollback(bet, undo, player_id=seat.player_id)))
        assert outcome.is_approved
        assert outcome.is_repeat == is_notice_first
        if not is_notice_first:
            await tell(inbox, desk, "round.rolled_back", told)
        balances.append(await balance_of(inbox.url, seat.player_id))
    assert balances == [1_000, 1_000]
