"""hub88_v1 as the provider writes and judges it, against its text."""

import json
from typing import Any

import msgspec
import pytest
from wire_bench import BET, NOW_S, ROUND, ROUND_ID, SEAT, STAMP, WIN, account, answered, uuid_of, visit

from croupier.sandbox.plan import Attack, Move
from croupier.sandbox.protocols.hub88_v1 import Hub88Wire
from croupier.sandbox.replies import Meaning
from croupier.sandbox.wire import Launch, RetryPolicy, Stamp
from croupier_signing import PrivateKey, PublicKey, SignatureRefused, read_key, sign_rsa_body, verify_rsa_body
from croupier_signing.pairs import make_rsa_pair


def pair(name: str) -> tuple[PrivateKey, PublicKey]:
    private, public = (read_key(name, pem) for pem in make_rsa_pair())
    assert isinstance(private, PrivateKey)
    assert isinstance(public, PublicKey)
    return private, public


PRIVATE, PUBLIC = pair("in-1")
LAUNCH_PRIVATE, LAUNCH_PUBLIC = pair("out-1")
WIRE = Hub88Wire(account("hub88_v1", PRIVATE, LAUNCH_PUBLIC))


def transaction(reference: str, is_closed: str, *more: str) -> str:
    parts = (
        f'"user":"p-1","token":"s-1","transaction_uuid":"{reference}","supplier_transaction_id":"{reference}"',
        f'"supplier_user":"p-1","round":"{ROUND_ID}","round_closed":{is_closed},"game_code":"x-dice"',
        *more,
    )
    return "{" + ",".join(parts) + "}"


MONEY = '"currency":"EUR","amount":{},"is_free":false'
REFERENCE = f'"reference_transaction_uuid":"{BET}"'
BODIES = {
    Move.BET: ("bet", transaction(BET, "false", MONEY.format(150_000))),
    Move.WIN: ("win", transaction(WIN, "true", MONEY.format(297_000), REFERENCE)),
    Move.CLOSE: ("win", transaction(uuid_of("t-1-close"), "true", MONEY.format(0), REFERENCE)),
    Move.ROLLBACK_BET: ("rollback", transaction(uuid_of("t-1-rollback-bet"), "true", REFERENCE)),
    Move.ROLLBACK_WIN: (
        "rollback",
        transaction(uuid_of("t-1-rollback-win"), "true", f'"reference_transaction_uuid":"{WIN}"'),
    ),
}
CALLS = {move: WIRE.render_call(ROUND, move) for move in BODIES}


def told(move: Move, status: str = "RS_OK", **more: Any) -> dict[str, Any]:
    request_uuid = json.loads(CALLS[move].body)["request_uuid"]
    return {"status": status, "request_uuid": request_uuid, "user": "p-1", **more}


@pytest.mark.parametrize("move", list(BODIES))
def test_a_call_is_written_as_the_reference_says(move: Move) -> None:
    path, expected = BODIES[move]
    signed = WIRE.sign(CALLS[move], STAMP)
    request_uuid = uuid_of(f"/transaction/{path} {expected}")
    assert signed.body == f'{{"request_uuid":"{request_uuid}",{expected[1:]}'.encode()
    assert signed.path == f"/providers/acct/transaction/{path}"
    sign = signed.header("X-Hub88-Signature")
    assert sign is not None
    assert verify_rsa_body([PUBLIC], signed.body, sign.encode()) == "in-1"


def test_a_repeat_is_the_same_request_and_other_content_has_another_request_id() -> None:
    call = CALLS[Move.BET]
    assert WIRE.sign(call, STAMP) == WIRE.sign(call, Stamp(NOW_S + 9, "B" * 22, 3))
    richer = WIRE.render_call(msgspec.structs.replace(ROUND, stake_minor=151), Move.BET)
    one, other = json.loads(call.body), json.loads(richer.body)
    assert one["transaction_uuid"] == other["transaction_uuid"]
    assert one["request_uuid"] != other["request_uuid"]


@pytest.mark.parametrize(
    ("asset", "amount"), [("EUR", 150_000), ("JPY", 15_000_000), ("mBTC", 150), ("BHD", 15_000)]
)
def test_amounts_are_hundred_thousandths_of_the_unit_and_currencies_keep_their_case(
    asset: str, amount: int
) -> None:
    seat = msgspec.structs.replace(SEAT, asset=asset)
    body = json.loads(WIRE.render_call(msgspec.structs.replace(ROUND, seat=seat), Move.BET).body)
    assert (body["currency"], body["amount"]) == (asset, amount)


@pytest.mark.parametrize(
    ("move", "status", "meaning", "is_to_undo"),
    [
        (Move.BET, "RS_OK", Meaning.DECIDED, False),
        (Move.BET, "RS_ERROR_NOT_ENOUGH_MONEY", Meaning.DECIDED, False),
        (Move.BET, "RS_ERROR_LIMIT_REACHED", Meaning.DECIDED, False),
        (Move.BET, "RS_ERROR_TRANSACTION_ROLLED_BACK", Meaning.DECIDED, False),
        (Move.BET, "RS_ERROR_UNKNOWN", Meaning.REFUSED, True),
        (Move.BET, "RS_ERROR_INVALID_TOKEN", Meaning.REFUSED, True),
        (Move.BET, "RS_ERROR_DUPLICATE_TRANSACTION", Meaning.REFUSED, True),
        (Move.WIN, "RS_OK", Meaning.DECIDED, False),
        (Move.WIN, "RS_ERROR_UNKNOWN", Meaning.REPEAT, False),
        (Move.WIN, "RS_ERROR_TRANSACTION_DOES_NOT_EXIST", Meaning.REPEAT, False),
        (Move.WIN, "RS_ERROR_INVALID_GAME", Meaning.REFUSED, False),
        (Move.ROLLBACK_BET, "RS_OK", Meaning.DECIDED, False),
        (Move.ROLLBACK_BET, "RS_ERROR_TRANSACTION_DOES_NOT_EXIST", Meaning.REPEAT, False),
        (Move.ROLLBACK_BET, "RS_ERROR_INVALID_SIGNATURE", Meaning.REPEAT, False),
    ],
)
def test_a_status_leads_to_the_next_step_that_the_text_names(
    move: Move, status: str, meaning: Meaning, is_to_undo: bool
) -> None:
    reply = answered(WIRE, CALLS[move], told(move, status, balance=985_000_00))
    assert (reply.meaning, reply.is_to_undo) == (meaning, is_to_undo)


def test_a_balance_is_read_in_minor_units_and_must_be_there() -> None:
    reply = answered(WIRE, CALLS[Move.BET], told(Move.BET, balance=9_850_000, currency="EUR"))
    assert reply.balance is not None
    assert (reply.balance.amount, reply.findings) == ("9850", ())
    assert answered(WIRE, CALLS[Move.BET], told(Move.BET)).meaning is Meaning.REPEAT
    assert answered(WIRE, CALLS[Move.BET], told(Move.BET, balance=9_850_001)).meaning is Meaning.REPEAT
    assert answered(WIRE, CALLS[Move.BET], "<html>").meaning is Meaning.REPEAT


def test_an_answer_about_another_request_or_player_is_a_finding() -> None:
    wrong = {**told(Move.BET, balance=0), "request_uuid": "other"}
    assert answered(WIRE, CALLS[Move.BET], wrong).findings == ("the answer's request_uuid is 'other'",)
    stranger = told(Move.BET, balance=0) | {"user": "p-2"}
    assert answered(WIRE, CALLS[Move.BET], stranger).findings == ("the answer's user is 'p-2'",)
    poor = told(Move.BET, "RS_ERROR_NOT_ENOUGH_MONEY")
    assert answered(WIRE, CALLS[Move.BET], poor).findings == ("no money, and no balance",)


def test_one_request_has_one_answer_byte_for_byte() -> None:
    first = answered(WIRE, CALLS[Move.BET], told(Move.BET, balance=100_000))
    same = answered(WIRE, CALLS[Move.BET], told(Move.BET, balance=100_000))
    other = answered(WIRE, CALLS[Move.BET], told(Move.BET, balance=200_000))
    assert WIRE.differences([first, same], is_any_lost=False) == []
    assert WIRE.differences([first, other], is_any_lost=False) != []


def test_a_bet_is_sent_once_and_everything_else_is_repeated() -> None:
    policy = RetryPolicy()
    attempts = {move: WIRE.patience(call, policy).attempts for move, call in CALLS.items()}
    assert attempts.pop(Move.BET) == 1
    assert set(attempts.values()) == {policy.attempts}


def test_a_launch_is_verified_over_its_body() -> None:
    document = {"user": "p-1", "token": "s-1", "operator_id": 7, "game_code": "x-dice", "currency": "mBTC"}
    body = json.dumps(document).encode()
    sign = sign_rsa_body(LAUNCH_PRIVATE, body)
    tail = "/operator/generic/v2/game/url"
    assert WIRE.door("POST", tail) == "launch"
    assert WIRE.read_launch(visit(tail, body, X_Hub88_Signature=sign)) == Launch(
        "s-1", "p-1", "x-dice", "mBTC"
    )
    with pytest.raises(SignatureRefused):
        WIRE.read_launch(visit(tail, body.replace(b"p-1", b"p-2"), X_Hub88_Signature=sign))
    with pytest.raises(SignatureRefused):
        WIRE.admit_games(visit("/operator/generic/v2/game/list", b"{}"))
    assert WIRE.render_refusal(401, "unauthenticated", "missing")[0] == 401


def test_spoiled_bets_break_one_thing_and_a_stranger_signs_with_a_key_of_its_own() -> None:
    call = CALLS[Move.BET]
    assert WIRE.spoil(Attack.DUPLICATE_KEY, call).body == b'{"amount":0,' + call.body[1:]
    assert WIRE.spoil(Attack.FLOAT_AMOUNT, call).body == call.body.replace(b":150000,", b":150000.5,")
    forged = WIRE.sign(call, STAMP, key=WIRE.stranger())
    with pytest.raises(SignatureRefused):
        verify_rsa_body([PUBLIC], forged.body, (forged.header("X-Hub88-Signature") or "").encode())


def test_secrets_that_are_no_key_pair_are_refused_when_the_account_is_opened() -> None:
    with pytest.raises(ValueError, match="private half"):
        Hub88Wire(account("hub88_v1"))
    with pytest.raises(ValueError, match="PublicKey"):
        Hub88Wire(account("hub88_v1", PRIVATE))
