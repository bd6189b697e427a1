"""softswiss_v2 as the provider writes and judges it, against its text."""

import json
from typing import Any

import msgspec
import pytest
from wire_bench import BET, LAUNCH_SECRET, ROUND, SEAT, SECRET, STAMP, WIN, account, answered, uuid_of, visit

from croupier.sandbox.plan import Attack, Move
from croupier.sandbox.protocols.softswiss_v2 import SoftswissWire
from croupier.sandbox.replies import Meaning
from croupier.sandbox.wire import Launch, LaunchMalformed, RetryPolicy
from croupier_signing import RefusalReason, SignatureRefused, sign_raw_hmac, verify_raw_hmac

WIRE = SoftswissWire(account("softswiss_v2"))
PLACE = '{"account_id":"p-1","currency":"EUR","game_id":"x-dice","session_id":"s-1",'
BODIES = {
    Move.BET: PLACE + '"round_id":"r-1","finished":false,"transactions":['
    f'{{"id_provider":"{BET}","type":"bet","amount":"1.50"}}]}}',
    Move.WIN: PLACE + '"round_id":"r-1","finished":false,"transactions":['
    f'{{"id_provider":"{WIN}","type":"win","amount":"2.97"}}]}}',
    Move.BET_WIN: PLACE + '"round_id":"r-1","finished":true,"transactions":['
    f'{{"id_provider":"{BET}","type":"bet","amount":"1.50"}},'
    f'{{"id_provider":"{WIN}","type":"win","amount":"2.97"}}]}}',
    Move.CLOSE: '{"account_id":"p-1","currency":"EUR","session_id":"s-1","round_id":"r-1"}',
    Move.ROLLBACK_BET: PLACE + '"round_id_provider":"r-1","finished":true,"transactions":['
    f'{{"id_provider":"{uuid_of("t-1-rollback-bet")}","type":"rollback","original_id_provider":"{BET}"}}]}}',
    Move.ROLLBACK_WIN: PLACE + '"round_id_provider":"r-1","finished":true,"transactions":['
    f'{{"id_provider":"{uuid_of("t-1-rollback-win")}","type":"rollback","original_id_provider":"{WIN}"}}]}}',
}
PATHS = {Move.CLOSE: "/finish", Move.ROLLBACK_BET: "/rollback", Move.ROLLBACK_WIN: "/rollback"}
CALL = WIRE.render_call(ROUND, Move.BET)


def done(balance: str = "98.50", **changed: Any) -> dict[str, Any]:
    one = {"id_provider": BET, "id": "op-1", "bonus_amount": "0.00", **changed}
    return {"round_id": "op-r", "balance": balance, "transactions": [one]}


def refused(api_code: str, **meta: str) -> dict[str, Any]:
    return {"code": "invalid_argument", "msg": "", "meta": {"api_code": api_code, "api_message": "", **meta}}


@pytest.mark.parametrize("move", list(BODIES))
def test_a_call_is_written_as_the_contract_says(move: Move) -> None:
    call = WIRE.render_call(ROUND, move)
    signed = WIRE.sign(call, STAMP)
    assert signed.body == BODIES[move].encode()
    assert (signed.method, signed.path) == ("POST", f"/providers/acct{PATHS.get(move, '/betwin')}")
    sign = signed.header("X-REQUEST-SIGN")
    assert sign is not None
    assert verify_raw_hmac([SECRET], signed.body, sign.encode()) == SECRET.id
    assert (len(sign), sign.lower()) == (64, sign)


def test_the_last_batch_of_a_round_says_so_and_is_not_followed_by_an_end() -> None:
    last = msgspec.structs.replace(ROUND, closes_with_win=True)
    assert b'"finished":true' in WIRE.render_call(last, Move.WIN).body
    assert WIRE.render_call(last, Move.WIN).ends_round
    assert not WIRE.render_call(ROUND, Move.WIN).ends_round


def test_amounts_are_decimal_text_and_a_bet_that_lost_is_alone_in_its_batch() -> None:
    yen = msgspec.structs.replace(SEAT, asset="JPY")
    assert b'"amount":"150"' in WIRE.render_call(msgspec.structs.replace(ROUND, seat=yen), Move.BET).body
    balance = WIRE.render_balance(SEAT)
    assert balance.body == PLACE.encode()[:-1] + b"}"
    assert balance.path == "/balance"


@pytest.mark.parametrize(
    ("status", "document", "meaning", "code"),
    [
        (200, done(), Meaning.DECIDED, "ok"),
        (400, refused("100", balance="0.50"), Meaning.DECIDED, "insufficient_funds"),
        (400, refused("106", balance="0.50"), Meaning.DECIDED, "limit_reached"),
        (400, refused("409"), Meaning.DECIDED, "tombstoned"),
        (400, refused("403"), Meaning.REFUSED, "403"),
        (400, refused("400"), Meaning.REFUSED, "400"),
        (400, {}, Meaning.REFUSED, ""),
        (200, {"balance": "1.00"}, Meaning.REPEAT, ""),
        (200, done("1e2"), Meaning.REPEAT, ""),
        (200, done("1.005"), Meaning.REPEAT, ""),
        (500, refused("500"), Meaning.REPEAT, "500"),
        (503, {}, Meaning.REPEAT, ""),
    ],
)
def test_an_answer_to_a_batch_allows_the_conclusion_that_the_contract_gives(
    status: int, document: Any, meaning: Meaning, code: str
) -> None:
    reply = answered(WIRE, CALL, document, status)
    told = reply.decisions[0].code if reply.decisions else reply.code
    assert (reply.meaning, told) == (meaning, code)


def test_what_an_answer_lacks_is_a_finding() -> None:
    assert answered(WIRE, CALL, done()).findings == ()
    assert answered(WIRE, CALL, refused("100"), 400).findings == (
        "a refusal with code 100 carries no balance",
    )
    without = done()
    del without["transactions"][0]["bonus_amount"]
    assert answered(WIRE, CALL, without).findings == ("a transaction has no bonus_amount",)


def test_a_rollback_is_repeated_until_200_and_an_empty_id_reversed_nothing() -> None:
    call = WIRE.render_call(ROUND, Move.ROLLBACK_BET)
    own = uuid_of("t-1-rollback-bet")
    for status, document in ((400, refused("400")), (400, refused("403")), (500, {})):
        assert answered(WIRE, call, document, status).meaning is Meaning.REPEAT
    nothing = answered(WIRE, call, done(id_provider=own, id=""))
    something = answered(WIRE, call, done(id_provider=own))
    assert [one.decisions[0].code for one in (nothing, something)] == ["nothing_to_roll_back", "ok"]


def test_attempts_are_as_many_as_the_contract_says() -> None:
    policy = RetryPolicy()
    attempts = {move: WIRE.patience(WIRE.render_call(ROUND, move), policy).attempts for move in BODIES}
    assert (attempts[Move.BET], attempts[Move.WIN], attempts[Move.CLOSE]) == (4, 4, 5)
    assert attempts[Move.ROLLBACK_BET] == policy.attempts
    assert WIRE.patience(CALL, policy).attempt_s == 15.0


def test_repeats_tell_the_stored_balance_and_the_stored_id() -> None:
    first = answered(WIRE, CALL, done())
    assert WIRE.differences([first, answered(WIRE, CALL, done())], is_any_lost=False) == []
    for other in (done("97.00"), done(id="op-2")):
        assert WIRE.differences([first, answered(WIRE, CALL, other)], is_any_lost=False)


def test_a_launch_is_verified_over_its_body() -> None:
    document = {
        "casino_id": "c",
        "game": "x-dice",
        "account": {"id": "p-1", "currency": "EUR"},
        "session_id": "s-1",
    }
    body = json.dumps(document).encode()
    sign = sign_raw_hmac(LAUNCH_SECRET, body)
    tail = "/api/v1/softswiss/launcher/real"
    assert WIRE.door("POST", tail) == "launch"
    assert WIRE.read_launch(visit(tail, body, X_REQUEST_SIGN=sign)) == Launch("s-1", "p-1", "x-dice", "EUR")
    with pytest.raises(SignatureRefused) as refusal:
        WIRE.read_launch(visit(tail, body + b" ", X_REQUEST_SIGN=sign))
    assert refusal.value.reason is RefusalReason.MISMATCH
    with pytest.raises(LaunchMalformed):
        WIRE.read_launch(visit(tail, b"{}", X_REQUEST_SIGN=sign_raw_hmac(LAUNCH_SECRET, b"{}")))
    assert WIRE.render_refusal(401, "unauthenticated", "mismatch")[0] == 403


def test_spoiled_bets_break_one_thing() -> None:
    twice, number = WIRE.spoil(Attack.DUPLICATE_KEY, CALL), WIRE.spoil(Attack.FLOAT_AMOUNT, CALL)
    assert twice.body == b'{"currency":"EUR",' + CALL.body[1:]
    assert number.body == CALL.body.replace(b'"1.50"', b"1.50")
