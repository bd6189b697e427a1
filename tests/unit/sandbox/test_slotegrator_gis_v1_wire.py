"""slotegrator_gis_v1 as the provider writes and judges it, against its text."""

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from wire_bench import (
    BET,
    LAUNCH_SECRET,
    NOW_S,
    ROUND,
    SEAT,
    SECRET,
    STAMP,
    WIN,
    account,
    answered,
    uuid_of,
    visit,
)

from croupier.sandbox.attacks import forge
from croupier.sandbox.plan import Attack, Move
from croupier.sandbox.protocols.slotegrator_gis_v1 import SlotegratorWire
from croupier.sandbox.replies import Meaning
from croupier.sandbox.wire import Launch, LaunchMalformed, Signed, Stamp, Visit
from croupier_signing import RefusalReason, SignatureRefused, read_form, sign_sorted_form, verify_sorted_form

PLACE = "currency=EUR&game_uuid=x-dice&player_id=p-1&transaction_id={}&session_id=s-1&round_id=r-1"
BODIES = {
    Move.BET: f"action=bet&{PLACE.format(BET)}&amount=1.5000&type=bet&finished=0",
    Move.WIN: f"action=win&{PLACE.format(WIN)}&amount=2.9700&type=win&finished=1",
    Move.CLOSE: f"action=win&{PLACE.format(uuid_of('t-1-close'))}&amount=0.0000&type=win&finished=1",
    Move.ROLLBACK_BET: f"action=refund&{PLACE.format(uuid_of('t-1-rollback-bet'))}"
    f"&amount=1.5000&bet_transaction_id={BET}&finished=1",
    Move.ROLLBACK_WIN: f"action=rollback&{PLACE.format(uuid_of('t-1-rollback-win'))}&type=rollback"
    "&provider_round_id=r-1&rollback_transactions%5B0%5D%5Baction%5D=win"
    "&rollback_transactions%5B0%5D%5Bamount%5D=2.9700"
    f"&rollback_transactions%5B0%5D%5Btransaction_id%5D={WIN}&rollback_transactions%5B0%5D%5Btype%5D=win",
}
NAMES = ("X-Merchant-Id", "X-Timestamp", "X-Nonce")
OK = '{"balance": 98.5000, "transaction_id": "op-1"}'


@pytest.fixture
def wire() -> SlotegratorWire:
    return SlotegratorWire(account("slotegrator_gis_v1"))


def is_genuine(signed: Signed) -> bool:
    headers = {name: signed.header(name) or "" for name in NAMES}
    try:
        sign = (signed.header("X-Sign") or "").encode()
        return verify_sorted_form([SECRET], read_form(signed.body), headers, sign) == SECRET.id
    except SignatureRefused:
        return False


def launch(fields: dict[str, str], *, at_s: int = NOW_S, nonce: str = "f" * 32) -> Visit:
    headers = {"X-Merchant-Id": "m-7", "X-Timestamp": str(at_s), "X-Nonce": nonce}
    sign = sign_sorted_form(LAUNCH_SECRET, tuple(fields.items()), headers)
    plain = visit("/games/init", urlencode(fields).encode())
    named = {name.lower(): value for name, value in {**headers, "X-Sign": sign}.items()}
    return msgspec.structs.replace(plain, headers=named)


FIELDS = {
    "game_uuid": "x-dice",
    "player_id": "p-1",
    "player_name": "P",
    "currency": "EUR",
    "session_id": "s-1",
}


@pytest.mark.parametrize("move", list(BODIES))
def test_a_call_is_a_form_with_its_attempt_and_a_signature_over_everything(
    wire: SlotegratorWire, move: Move
) -> None:
    call = wire.render_call(ROUND, move)
    for attempt in (0, 3):
        signed = wire.sign(call, Stamp(NOW_S, "A" * 22, attempt))
        assert signed.body == f"{BODIES[move]}&casino_request_retry_count={attempt}".encode()
        assert (signed.method, signed.path) == ("POST", "/providers/acct/")
        assert signed.header("Content-Type") == "application/x-www-form-urlencoded"
        assert (signed.header("X-Timestamp"), len(signed.header("X-Nonce") or "")) == (str(NOW_S), 32)
        assert is_genuine(signed)


def test_a_balance_is_asked_without_a_counter(wire: SlotegratorWire) -> None:
    signed = wire.sign(wire.render_balance(SEAT), STAMP)
    assert signed.body == b"action=balance&player_id=p-1&currency=EUR&session_id=s-1"
    assert is_genuine(signed)


@pytest.mark.parametrize(
    ("move", "status", "document", "meaning", "is_to_undo"),
    [
        (Move.BET, 200, OK, Meaning.DECIDED, False),
        (Move.BET, 200, {"error_code": "INSUFFICIENT_FUNDS"}, Meaning.DECIDED, False),
        (Move.BET, 200, {"error_code": "INTERNAL_ERROR"}, Meaning.REFUSED, True),
        (Move.BET, 200, {"balance": "98.50", "transaction_id": "op-1"}, Meaning.REPEAT, False),
        (Move.BET, 200, "[]", Meaning.REPEAT, False),
        (Move.BET, 401, "", Meaning.REFUSED, True),
        (Move.BET, 503, "", Meaning.REPEAT, True),
        (Move.WIN, 200, OK, Meaning.DECIDED, False),
        (Move.WIN, 200, {"error_code": "INTERNAL_ERROR"}, Meaning.REPEAT, False),
        (Move.ROLLBACK_BET, 200, {"error_code": "INTERNAL_ERROR"}, Meaning.REPEAT, False),
    ],
)
def test_an_answer_leads_to_the_next_step(
    wire: SlotegratorWire, move: Move, status: int, document: Any, meaning: Meaning, is_to_undo: bool
) -> None:
    reply = answered(wire, wire.render_call(ROUND, move), document, status)
    assert (reply.meaning, reply.is_to_undo) == (meaning, is_to_undo)


def test_a_rollback_lists_what_it_reversed_and_an_error_is_one_of_two(wire: SlotegratorWire) -> None:
    call = wire.render_call(ROUND, Move.ROLLBACK_WIN)
    listed = f'{{"balance": 1, "transaction_id": "op-2", "rollback_transactions": ["{WIN}"]}}'
    assert answered(wire, call, listed).findings == ()
    assert answered(wire, call, OK).findings == (
        "the answer does not list the transaction that was rolled back",
    )
    bet = wire.render_call(ROUND, Move.BET)
    assert answered(wire, bet, {"error_code": "NO_FUNDS"}).findings == ("there is no error NO_FUNDS",)


def test_a_repeat_has_the_operators_first_id_and_todays_balance(wire: SlotegratorWire) -> None:
    call = wire.render_call(ROUND, Move.BET)
    first, moved = answered(wire, call, OK), answered(wire, call, OK.replace("98.5", "97.5"))
    other = answered(wire, call, OK.replace("op-1", "op-2"))
    assert wire.differences([first, moved], is_any_lost=False) == []
    assert wire.differences([first, other], is_any_lost=False) != []


def test_a_launch_is_genuine_fresh_and_once(wire: SlotegratorWire) -> None:
    assert wire.read_launch(launch(FIELDS)) == Launch("s-1", "p-1", "x-dice", "EUR")
    refusals = {}
    for name, late in {
        "replayed": launch(FIELDS),
        "stale": launch(FIELDS, at_s=NOW_S - 120, nonce="e" * 32),
        "missing": visit("/games/init", b"a=b"),
    }.items():
        with pytest.raises(SignatureRefused) as refusal:
            wire.read_launch(late)
        refusals[name] = refusal.value.reason
    assert refusals == {reason.value: reason for reason in (
        RefusalReason.REPLAYED, RefusalReason.STALE, RefusalReason.MISSING)}  # fmt: skip
    with pytest.raises(LaunchMalformed, match="player_id"):
        wire.read_launch(launch({**FIELDS, "player_id": ""}, nonce="d" * 32))


def test_callbacks_name_the_merchant_of_the_launch(wire: SlotegratorWire) -> None:
    wire.read_launch(launch(FIELDS))
    assert wire.sign(wire.render_balance(SEAT), STAMP).header("X-Merchant-Id") == "m-7"


def test_attacks_on_the_form_break_one_thing(wire: SlotegratorWire) -> None:
    call = wire.render_call(ROUND, Move.BET)
    accepted = wire.sign(call, STAMP)
    forged = {
        kind: forge(kind, wire, ROUND, accepted, STAMP, tag="t-1-attack")
        for kind in (Attack.FLOAT_AMOUNT, Attack.DUPLICATE_KEY, Attack.TAMPERED_AMOUNT, Attack.UNSIGNED)
    }
    assert b"amount=1.5000e0&" in forged[Attack.FLOAT_AMOUNT].body
    assert is_genuine(forged[Attack.FLOAT_AMOUNT])
    assert forged[Attack.DUPLICATE_KEY].body.count(b"amount=") == 2
    assert not is_genuine(forged[Attack.TAMPERED_AMOUNT])
    assert forged[Attack.UNSIGNED].header("X-Sign") is None
