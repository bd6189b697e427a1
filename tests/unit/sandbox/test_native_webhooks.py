"""The sandbox's webhooks, read by the shapes of the native protocol and verified as a receiver does."""

from typing import Any

import msgspec
import pytest
from wire_bench import PLAYED, account

from croupier.providers.adapters.croupier_v1 import wire as shapes
from croupier.sandbox.calls import Round, Seat
from croupier.sandbox.notice_attacks import STALE_BY_S, forge_webhook
from croupier.sandbox.notices import Notice
from croupier.sandbox.plan import AFTER_BET, Move, NoticeAttack
from croupier.sandbox.protocols.native import NativeWire
from croupier.sandbox.protocols.native_webhooks import OWED, NativeWebhooks
from croupier.sandbox.protocols.softswiss_v2 import SoftswissWire
from croupier.sandbox.replies import Meaning, Received
from croupier.sandbox.storm import Delivery
from croupier.sandbox.wire import Account, Signed
from croupier_signing import WEBHOOK_WINDOW_S, SignatureRefused, SigningKey, verify_webhook

KEY = SigningKey("sandbox-in-1", b"0123456789abcdef0123456789abcdef")
WIRE = NativeWire(Account("sandbox", "croupier_v1", "http://127.0.0.1:1/providers/sandbox", KEY, (KEY,)))
WEBHOOKS = NativeWebhooks(WIRE.account, WIRE.prefix)
SEAT = Seat(f"ses_{'0' * 32}", "p-1", "studio-dice", "dice", "EUR")
ROUND = Round(SEAT, "r-1", "r-1", 150, "2026-01-01T00:00:00.000Z", PLAYED, jackpot_minor=77)
MOMENT = "2026-01-01T00:00:01.000Z"
NOW_S = 1_767_225_601
SHAPES = {
    Move.CLOSE: ("round.completed", shapes.RoundCompletedData),
    Move.ROLLBACK_BET: ("round.rolled_back", shapes.RoundRolledBackData),
    Move.ROLLBACK_WIN: ("round.rolled_back", shapes.RoundRolledBackData),
    Move.ROLLBACK_AGAIN: ("round.rolled_back", shapes.RoundRolledBackData),
    Move.JACKPOT: ("jackpot.won", shapes.JackpotWonData),
}


def notice_of(move: Move = Move.CLOSE) -> Notice:
    call = WIRE.render_call(ROUND, move)
    kind, body = WEBHOOKS.render_notice(call, MOMENT)
    return Notice("msg_1", kind, body, SEAT, call)


ACCEPTED = Delivery(notice_of(), "msg_1")


def data_of(body: bytes, kind: str, shape: Any) -> Any:
    """The data of a webhook, read strictly."""
    envelope = msgspec.json.decode(body, type=shapes.NoticeBody)
    assert envelope.type == kind
    return msgspec.json.decode(envelope.data, type=shape)


def reason_of(signed: Signed, now_s: int = NOW_S) -> str | None:
    """Why a receiver refuses a webhook; None if it does not."""
    names = {"webhook_id": "webhook-id", "timestamp": "webhook-timestamp", "signature": "webhook-signature"}
    headers = {member: (signed.header(name) or "").encode() for member, name in names.items()}
    try:
        verify_webhook((KEY,), body=signed.body, now_s=now_s, **headers)
    except SignatureRefused as refused:
        return refused.reason.value
    return None


@pytest.mark.parametrize("move", list(SHAPES))
def test_a_webhook_tells_what_the_call_of_the_same_move_tells(move: Move) -> None:
    call = WIRE.render_call(ROUND, move)
    kind, body = WEBHOOKS.render_notice(call, MOMENT)
    data = data_of(body, *SHAPES[move])
    assert kind == SHAPES[move][0]
    assert data.reference == call.items[0].reference
    assert data.player_id == "p-1"
    assert msgspec.json.decode(body)["data"] == msgspec.json.decode(call.body)


def test_every_move_that_may_be_held_back_has_a_webhook_and_a_bet_has_none() -> None:
    assert set(SHAPES) == {*AFTER_BET, Move.JACKPOT}
    with pytest.raises(ValueError, match="no webhook tells of r-1-bet"):
        WEBHOOKS.render_notice(WIRE.render_call(ROUND, Move.BET), MOMENT)


def test_a_jackpot_is_a_win_of_its_own_kind_and_amount() -> None:
    data = data_of(notice_of(Move.JACKPOT).body, "jackpot.won", shapes.JackpotWonData)
    assert (data.kind, data.amount, data.reference) == ("jackpot", "77", "r-1-jackpot")


def test_a_contribution_goes_with_the_bet_and_not_without_one() -> None:
    feeding = msgspec.structs.replace(ROUND, contribution_minor=3)
    for move, shape in ((Move.BET, shapes.BetBody), (Move.BET_WIN, shapes.BetWinBody)):
        bodies = [
            msgspec.json.decode(WIRE.render_call(one, move).body, type=shape) for one in (feeding, ROUND)
        ]
        assert [body.jackpot_contribution for body in bodies] == ["3", None]


def test_a_departure_names_the_session_and_poison_names_what_nobody_knows() -> None:
    kind, body = WEBHOOKS.render_departure(SEAT, "left-1", MOMENT)
    data = data_of(body, kind, shapes.SessionClosedData)
    assert (kind, data.session_id, data.reference) == ("session.closed", SEAT.session_id, "left-1")
    kind, body = WEBHOOKS.render_poison(MOMENT)
    assert msgspec.json.decode(body, type=shapes.NoticeBody).type == kind == "round.exploded"


def test_a_webhook_is_signed_with_the_secret_of_the_callbacks_and_posted_beside_them() -> None:
    signed = WEBHOOKS.sign("msg_1", b"{}", NOW_S)
    assert (signed.method, signed.path, signed.body) == ("POST", "/webhooks/sandbox", b"{}")
    assert signed.header("webhook-id") == "msg_1"
    assert reason_of(signed) is None
    again = WEBHOOKS.sign("msg_1", b"{}", NOW_S + 1)
    assert again.header("webhook-signature") != signed.header("webhook-signature")


@pytest.mark.parametrize("base", ["/providers/sandbox", "/public/providers/sandbox/"])
def test_webhooks_go_where_the_gateway_has_its_callbacks(base: str) -> None:
    wire = NativeWire(Account("sandbox", "croupier_v1", f"http://127.0.0.1:1{base}", KEY, (KEY,)))
    assert wire.webhooks is not None
    path = wire.webhooks.sign("msg_1", b"{}", NOW_S).path
    assert path == base.rstrip("/").replace("providers", "webhooks")


@pytest.mark.parametrize("kind", list(NoticeAttack))
def test_an_attack_is_wrong_in_exactly_the_way_that_its_refusal_says(kind: NoticeAttack) -> None:
    attack = forge_webhook(kind, WIRE, ACCEPTED, NOW_S, moment=MOMENT)
    is_known = attack.header("webhook-id") == "msg_1"
    assert is_known == (kind is NoticeAttack.REUSED_ID)
    expected = OWED[kind][0].reason
    assert reason_of(attack) == expected
    fortune = data_of(attack.body, "jackpot.won", shapes.JackpotWonData)
    assert (fortune.player_id, int(fortune.amount) > 10_000) == ("p-1", True)


def test_a_stale_attack_was_right_when_it_was_signed_and_an_altered_time_hides_that() -> None:
    stale = forge_webhook(NoticeAttack.STALE, WIRE, ACCEPTED, NOW_S, moment=MOMENT)
    altered = forge_webhook(NoticeAttack.ALTERED_TIME, WIRE, ACCEPTED, NOW_S, moment=MOMENT)
    assert reason_of(stale, NOW_S - STALE_BY_S) is None
    assert STALE_BY_S > WEBHOOK_WINDOW_S
    assert altered.header("webhook-timestamp") == str(NOW_S)


def test_what_concerns_nobody_or_has_no_webhooks_gives_nothing_to_forge() -> None:
    poison = Delivery(Notice("msg_2", "round.exploded", b"{}"), "msg_2")
    with pytest.raises(ValueError, match="nothing to forge"):
        forge_webhook(NoticeAttack.STALE, WIRE, poison, NOW_S, moment=MOMENT)


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (202, "", Meaning.DECIDED),
        (200, "", Meaning.UNKNOWN),
        (400, "malformed", Meaning.REFUSED),
        (401, "unauthenticated", Meaning.UNKNOWN),
        (404, "unknown_provider", Meaning.REFUSED),
        (408, "request_timeout", Meaning.REPEAT),
        (409, "in_flight", Meaning.REPEAT),
        (409, "any_other", Meaning.REFUSED),
        (413, "body_too_large", Meaning.REFUSED),
        (429, "overloaded", Meaning.REPEAT),
        (500, "internal", Meaning.REPEAT),
        (503, "unavailable", Meaning.REPEAT),
    ],
)
def test_only_202_means_that_a_webhook_was_taken(status: int, code: str, meaning: Meaning) -> None:
    body = msgspec.json.encode({"code": code, "reason": "stale"})
    receipt = WEBHOOKS.read_receipt(Received(status, body))
    assert (receipt.meaning, receipt.code) == (meaning, code)
    assert receipt.reason == ("stale" if status == 401 else None)
    assert WEBHOOKS.read_receipt(Received(status, b"<html>")).code == ""


def test_a_protocol_without_webhooks_has_no_jackpots_to_tell_of() -> None:
    other = SoftswissWire(account("softswiss_v2"))
    assert other.webhooks is None
    with pytest.raises(ValueError, match="told by webhook"):
        other.render_call(ROUND, Move.JACKPOT)
    with pytest.raises(ValueError, match="nothing to forge"):
        forge_webhook(NoticeAttack.STALE, other, ACCEPTED, NOW_S, moment=MOMENT)
