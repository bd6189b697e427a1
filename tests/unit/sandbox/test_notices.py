"""What an account tells by webhook: when it waits, what it goes by, and what is counted when it was sent."""

import pytest
from wire_bench import ROUND, SEAT, account

from croupier.sandbox.calls import Call
from croupier.sandbox.client import Answer
from croupier.sandbox.mailing import Mailing
from croupier.sandbox.notice_sender import Remembered
from croupier.sandbox.notices import Notice, Notices
from croupier.sandbox.plan import AFTER_BET, Move
from croupier.sandbox.protocols.native import NativeWire
from croupier.sandbox.replies import Received
from croupier.sandbox.storm import Delivery
from croupier.sandbox.wire import Signed

WIRE = NativeWire(account("croupier_v1"))
NEVER_TOLD = {Move.BET, Move.WIN, Move.BET_WIN, Move.ROLLBACK_SETTLED}
SIGNED = Signed("/webhooks/acct", (), b"{}")


def call_of(move: Move) -> Call:
    return WIRE.render_call(ROUND, move)


def answered(status: int | None) -> Answer:
    """An answer of the gateway, or none."""
    assert WIRE.webhooks is not None
    reply = None if status is None else WIRE.webhooks.read_receipt(Received(status, b"{}"))
    return Answer(reply, SIGNED)


def test_in_the_light_a_jackpot_alone_is_left_to_a_webhook() -> None:
    notices = Notices(WIRE.webhooks)
    assert {move for move in Move if notices.holds(move)} == {Move.JACKPOT}


def test_in_the_dark_everything_after_a_bet_waits_and_comes_back_in_its_order() -> None:
    notices = Notices(WIRE.webhooks)
    delivered: list[Notice] = []
    notices.deliver = delivered.append
    notices.go_dark()
    assert (
        {move for move in Move if notices.holds(move)} == {*AFTER_BET, Move.JACKPOT} == set(Move) - NEVER_TOLD
    )
    for move in (Move.CLOSE, Move.ROLLBACK_WIN):
        notices.tell(call_of(move))
    notices.echo(call_of(Move.ROLLBACK_BET))
    notices.part(SEAT, "left-1")
    assert delivered == []
    waited, dark_s = notices.come_back()
    assert [notice.type for notice in waited] == [
        "round.completed", "round.rolled_back", "round.rolled_back", "session.closed"
    ]  # fmt: skip
    assert [notice.call is not None for notice in waited] == [True, True, False, False]
    assert dark_s > 0
    assert (notices.is_dark, notices.waiting, notices.come_back()) == (False, 0, ([], 0.0))
    notices.tell(call_of(Move.CLOSE))
    assert [notice.type for notice in delivered] == ["round.completed"]


def test_a_fact_goes_by_one_id_and_two_facts_by_two() -> None:
    notices = Notices(WIRE.webhooks)
    delivered: list[Notice] = []
    notices.deliver = delivered.append
    for move in (Move.CLOSE, Move.CLOSE, Move.ROLLBACK_BET):
        notices.tell(call_of(move))
    first, again, other = (notice.webhook_id for notice in delivered)
    assert first == again != other
    assert "." not in first


def test_what_finds_no_room_is_called_back_and_an_echo_is_not_missed() -> None:
    notices = Notices(WIRE.webhooks, most_waiting=1)
    notices.go_dark()
    notices.tell(call_of(Move.CLOSE))
    assert not any(notices.holds(move) for move in Move)
    notices.echo(call_of(Move.ROLLBACK_BET))
    assert notices.waiting == 1


def test_what_nobody_took_is_kept_once() -> None:
    notices, notice = Notices(WIRE.webhooks), Notice("msg_1", "round.completed", b"{}")
    notices.wait(notice)
    notices.wait(notice)
    assert notices.come_back()[0] == [notice]


def test_without_webhooks_nothing_is_told() -> None:
    notices = Notices()
    notices.go_dark()
    notices.tell(call_of(Move.CLOSE))
    notices.part(SEAT, "left-1")
    assert (notices.waiting, any(notices.holds(move) for move in Move)) == (0, False)


@pytest.mark.parametrize(
    ("statuses", "is_known", "accepted", "absorbed", "unexpected"),
    [
        ((202,), False, 1, 0, 0),
        ((202, 202, 202), False, 1, 2, 0),
        ((202,), True, 0, 1, 0),
        ((None, 202), False, 1, 0, 0),
        ((None,), False, 0, 0, 0),
        ((503,), False, 0, 0, 0),
        ((401,), False, 0, 0, 1),
        ((409, 202), True, 0, 1, 1),
    ],
)
def test_copies_are_counted_once_as_accepted_and_a_refusal_is_unexpected(
    statuses: tuple[int | None, ...], is_known: bool, accepted: int, absorbed: int, unexpected: int
) -> None:
    mailing = Mailing()
    delivery = Delivery(Notice("msg_1", "round.completed", b"{}"), "msg_1", copies=len(statuses))
    is_taken = mailing.add_delivery(delivery, [answered(status) for status in statuses], is_known=is_known)
    assert is_taken == (202 in statuses)
    assert (mailing.sent, mailing.accepted) == (len(statuses), accepted)
    assert (mailing.tally.duplicates_absorbed, mailing.tally.unexpected) == (absorbed, unexpected)
    total = Mailing()
    total.add(mailing)
    total.add(mailing)
    assert (total.sent, total.accepted) == (2 * len(statuses), 2 * accepted)
    assert total.render()["unexpected"] == 2 * unexpected


def test_the_oldest_of_too_many_names_are_forgotten() -> None:
    remembered = Remembered(most=2)
    for name in ("a", "b", "c"):
        remembered.add(name)
    assert ["a" in remembered, "b" in remembered, "c" in remembered] == [False, True, True]
