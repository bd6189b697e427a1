"""Notices on real lanes: tied to the callbacks of the same facts whatever comes first, in one batch or in several."""

from __future__ import annotations

from typing import Any

import pytest
from lane_desk import IDS, Desk, Seat, open_desk, read_rows, read_value, require_sound_books

from croupier.errors import UNKNOWN_ROUND, UNKNOWN_SESSION, CroupierError
from croupier.moneypath.commands import Call, NoticeTerms, Report
from croupier.moneypath.outcomes import ALREADY_PAID, OK, REPORTED, Outcome
from model.calls import close_round, jackpot, rollback

WAITS = NoticeTerms(may_wait=True)
WAITED = NoticeTerms()


def won(seat: Seat, reference: str, amount: int = 70, **fields: Any) -> Call:
    """A jackpot of the round r1, by callback unless `notice` says otherwise."""
    action = jackpot(reference, amount, player_id=seat.player_id, session_id=seat.session_id)
    return seat.call(action, nonce=None, pools=("mega",), **fields)


async def play(desk: Desk, name: str = "alice") -> Seat:
    seat = await desk.seat(name)
    assert (await desk.ask(seat.bet(f"b-{name}", 100, round_id="r1"))).is_approved
    return seat


@pytest.mark.parametrize("is_one_batch", [True, False])
@pytest.mark.parametrize("is_notice_first", [True, False])
async def test_a_jackpot_told_under_two_references_is_paid_once(
    database_url: str, is_notice_first: bool, is_one_batch: bool
) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        calls = [won(seat, "told", notice=WAITS), won(seat, "called")]
        calls = calls if is_notice_first else calls[::-1]
        if is_one_batch:
            answers = await desk.ask_all(calls)
        else:
            answers = [await desk.ask(one) for one in calls]
        first, second = answers
        assert isinstance(first, Outcome)
        assert isinstance(second, Outcome)
        assert (first.code, first.moved) == (OK, 70)
        assert (second.code, second.journal_id, second.moved) == (ALREADY_PAID, None, 0)
    assert (
        await read_value(database_url, "SELECT count(*) FROM journal_entry WHERE kind = 'jackpot_win'") == 1
    )
    rows = await read_rows(database_url, "SELECT subject, owner, amount FROM break_item")
    assert [tuple(row) for row in rows] == [("called" if is_notice_first else "told", "finance", "70")]
    await require_sound_books(database_url)


async def test_a_notice_with_the_callbacks_reference_is_its_repeat_and_the_other_way_round(
    database_url: str,
) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        assert not (await desk.ask(won(seat, "j1"))).is_repeat
        assert (await desk.ask(won(seat, "j1", notice=WAITS))).is_repeat
        assert not (await desk.ask(won(seat, "j2", 30, notice=WAITS))).is_repeat
        assert (await desk.ask(won(seat, "j2", 30))).is_repeat
    assert await read_value(database_url, "SELECT count(*) FROM break_item") == 0


async def test_two_callbacks_of_one_amount_are_two_wins(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        outcomes = [await desk.ask(won(seat, reference)) for reference in ("j1", "j2")]
        assert [one.moved for one in outcomes] == [70, 70]
        # Which of the two a notice without their reference tells of cannot be known: it moves nothing.
        assert (await desk.ask(won(seat, "told", notice=WAITS))).code == ALREADY_PAID


async def test_the_callback_of_a_win_that_a_notice_was_refused_for_is_paid(database_url: str) -> None:
    """The reference of a notice that moved nothing stays free: its callback is a win of its own."""
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        await desk.ask(won(seat, "j1"))
        assert (await desk.ask(won(seat, "j2", notice=WAITS))).code == ALREADY_PAID
        assert (await desk.ask(won(seat, "j2"))).moved == 70


async def test_a_rollback_of_a_win_paid_under_another_reference_is_left_to_a_person(
    database_url: str,
) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        await desk.ask(won(seat, "told", notice=WAITS))
        await desk.ask(won(seat, "called"))
        undone = await desk.ask(seat.call(rollback("called", "rb", player_id=seat.player_id)))
        assert (undone.code, undone.journal_id) == ("nothing_to_roll_back", None)
    sql = "SELECT explanation FROM break_item WHERE subject = 'rb'"
    assert "still stands" in await read_value(database_url, sql)


async def test_a_notice_waits_without_a_trace_and_is_a_persons_work_afterwards(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        nobody = Seat(seat.player_id, IDS.new(seat.session_id.int & 0xFF))
        unknown_round = close_round("c9", "r9", player_id=seat.player_id, session_id=seat.session_id)
        for terms, breaks in ((WAITS, 0), (WAITED, 2), (WAITED, 2)):
            answers = await desk.ask_all(
                [
                    won(nobody, "j9", notice=terms),
                    seat.call(unknown_round, nonce=None, notice=terms),
                ]
            )
            kinds = [answer.kind for answer in answers if isinstance(answer, CroupierError)]
            assert kinds == [UNKNOWN_SESSION, UNKNOWN_ROUND]
            assert await read_value(database_url, "SELECT count(*) FROM break_item") == breaks
    rows = await read_rows(database_url, "SELECT kind, owner FROM break_item ORDER BY kind")
    assert [tuple(row) for row in rows] == [("refused_credit", "finance"), ("unmatched_notice", "finance")]


async def test_a_report_opens_its_break_once_and_tells_of_it_once(database_url: str) -> None:
    report = Report(player_id="", kind="statement_ready", subject="2026-03", explanation="it is ready")
    async with open_desk(database_url) as desk:
        nobody = Seat("", IDS.new(0))
        for _ in range(2):
            outcome = await desk.ask(nobody.call(report, nonce=None, notice=WAITS))
            assert outcome.code == REPORTED
    assert await read_value(database_url, "SELECT count(*) FROM break_item") == 1
    assert (
        await read_value(database_url, "SELECT count(*) FROM outbox_event WHERE type = 'break.opened'") == 1
    )


async def test_what_a_notice_moves_says_that_it_came_by_webhook(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        await desk.ask(won(seat, "j1", notice=WAITS))
        await desk.ask(won(seat, "j2", 9, notice=NoticeTerms(via="replay:rpl_1")))
    rows = await read_rows(
        database_url, "SELECT cause FROM journal_entry WHERE kind = 'jackpot_win' ORDER BY reference"
    )
    assert [row["cause"] for row in rows] == ["webhook", "replay:rpl_1"]


async def test_a_notice_that_closes_a_closed_round_again_leaves_no_trace(database_url: str) -> None:
    """Its reference is not kept, so every replay decides it anew."""
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        own = {"player_id": seat.player_id, "session_id": seat.session_id, "close_round": True}
        await desk.ask(seat.call(jackpot("called", 70, **own), pools=("mega",)))
        before = await read_value(database_url, "SELECT count(*) FROM session_event")
        for _ in range(2):
            told = await desk.ask(
                seat.call(jackpot("told", 70, **own), nonce=None, pools=("mega",), notice=WAITS)
            )
            assert told.code == ALREADY_PAID
    assert await read_value(database_url, "SELECT count(*) FROM session_event") == before


@pytest.mark.parametrize("is_one_batch", [True, False])
@pytest.mark.parametrize(
    ("told_as", "codes"),
    [
        ("told", [OK, ALREADY_PAID, OK]),
        # Its own callback: nothing is left for another to be.
        ("first", [OK, OK, OK]),
    ],
)
async def test_a_notice_stands_for_one_callback_only(
    database_url: str, told_as: str, codes: list[str], is_one_batch: bool
) -> None:
    async with open_desk(database_url) as desk:
        seat = await play(desk)
        calls = [won(seat, told_as, notice=WAITS), won(seat, "first"), won(seat, "second")]
        answers = await desk.ask_all(calls) if is_one_batch else [await desk.ask(one) for one in calls]
        assert [one.code for one in answers if isinstance(one, Outcome)] == codes
        assert (await desk.ask(won(seat, "second"))).is_repeat
    assert (
        await read_value(database_url, "SELECT count(*) FROM journal_entry WHERE kind = 'jackpot_win'") == 2
    )
    await require_sound_books(database_url)
