"""evolution_v1 as the provider writes and judges it, against its text."""

import json
from typing import Any

import msgspec
import pytest
from wire_bench import (
    BET,
    LAUNCH_SECRET,
    ROUND,
    ROUND_ID,
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
from croupier.sandbox.plan import Attack, Flow, Move
from croupier.sandbox.protocols.evolution_v1 import EvolutionWire
from croupier.sandbox.replies import Meaning
from croupier.sandbox.wire import Launch, LaunchMalformed
from croupier_signing import SignatureRefused

WIRE = EvolutionWire(account("evolution_v1"))
TOKEN = "?authToken=0123456789abcdef0123456789abcdef"


def body_of(transaction: str, amount: str, request: str) -> bytes:
    return (
        '{"sid":"s-1","userId":"p-1","currency":"EUR",'
        f'"game":{{"id":"{ROUND_ID}","type":"dice","details":{{"table":{{"id":"x-dice","vid":"sandbox"}}}}}},'
        f'"transaction":{{"id":"{transaction}","refId":"{BET}","amount":{amount}}},'
        f'"uuid":"{uuid_of(f"request/{uuid_of(request)}")}"}}'
    ).encode()


BODIES = {
    Move.BET: ("/debit", body_of(BET, "1.500000", "t-1-bet")),
    Move.WIN: ("/credit", body_of(WIN, "2.970000", "t-1-win")),
    Move.ROLLBACK_BET: ("/cancel", body_of(BET, "1.500000", "t-1-rollback-bet")),
    Move.ROLLBACK_SETTLED: ("/cancel", body_of(BET, "1.500000", "t-1-rollback-settled")),
}
CALLS = {move: WIRE.render_call(ROUND, move) for move in BODIES}


def told(move: Move, status: str, balance: str = "98.500000", **more: Any) -> str:
    known = json.dumps({"status": status, "uuid": json.loads(CALLS[move].body)["uuid"], **more})
    return f'{known[:-1]}, "balance": {balance}}}'


@pytest.mark.parametrize("move", list(BODIES))
def test_a_call_carries_six_decimals_and_the_token_in_its_query(move: Move) -> None:
    path, body = BODIES[move]
    signed = WIRE.sign(CALLS[move], STAMP)
    assert (signed.path, signed.body) == (f"/providers/acct{path}{TOKEN}", body)
    assert signed.headers == (("Content-Type", "application/json"),)


def test_a_check_asks_with_the_launchs_sid_and_its_answer_counts_from_then_on() -> None:
    opening = WIRE.render_opening(SEAT)
    asked = json.loads(opening.body)
    uuid = asked.pop("uuid")
    assert (opening.path, asked) == ("/check", {"sid": "s-1", "userId": "p-1", "channel": {"type": "P"}})
    reply = answered(WIRE, opening, {"status": "OK", "sid": "s-2", "uuid": uuid})
    assert (reply.meaning, reply.findings) == (Meaning.DECIDED, ())
    seat = WIRE.admit_opening(SEAT, reply)
    assert (seat.token, seat.session_id) == ("s-2", "s-1")
    assert json.loads(WIRE.render_balance(seat).body)["sid"] == "s-2"
    without = answered(WIRE, opening, {"status": "OK", "uuid": uuid})
    assert without.findings == ("the check has no sid",)
    assert WIRE.admit_opening(SEAT, without) == SEAT


@pytest.mark.parametrize(
    ("move", "status", "meaning", "code"),
    [
        (Move.BET, "OK", Meaning.DECIDED, "ok"),
        (Move.BET, "BET_ALREADY_EXIST", Meaning.DECIDED, "ok"),
        (Move.BET, "INSUFFICIENT_FUNDS", Meaning.DECIDED, "insufficient_funds"),
        (Move.BET, "TEMPORARY_ERROR", Meaning.REPEAT, "TEMPORARY_ERROR"),
        (Move.BET, "OPERATION_IN_PROCESS", Meaning.REPEAT, "OPERATION_IN_PROCESS"),
        (Move.BET, "UNKNOWN_ERROR", Meaning.UNKNOWN, "UNKNOWN_ERROR"),
        (Move.BET, "FINAL_ERROR_ACTION_FAILED", Meaning.REFUSED, "FINAL_ERROR_ACTION_FAILED"),
        (Move.BET, "INVALID_SID", Meaning.REFUSED, "INVALID_SID"),
        (Move.WIN, "OK", Meaning.DECIDED, "ok"),
        (Move.WIN, "BET_ALREADY_SETTLED", Meaning.DECIDED, "ok"),
        (Move.WIN, "BET_DOES_NOT_EXIST", Meaning.REFUSED, "BET_DOES_NOT_EXIST"),
        (Move.WIN, "UNKNOWN_ERROR", Meaning.REPEAT, "UNKNOWN_ERROR"),
        (Move.ROLLBACK_BET, "OK", Meaning.DECIDED, "ok"),
        (Move.ROLLBACK_BET, "BET_ALREADY_SETTLED", Meaning.DECIDED, "already_rolled_back"),
        (Move.ROLLBACK_BET, "BET_DOES_NOT_EXIST", Meaning.DECIDED, "nothing_to_roll_back"),
    ],
)
def test_a_status_leads_to_the_next_step(move: Move, status: str, meaning: Meaning, code: str) -> None:
    reply = answered(WIRE, CALLS[move], told(move, status))
    told_code = reply.decisions[0].code if reply.decisions else reply.code
    assert (reply.meaning, told_code) == (meaning, code)


def test_whatever_may_be_sent_again_says_so() -> None:
    again = answered(WIRE, CALLS[Move.BET], told(Move.BET, "UNKNOWN_ERROR", retransmission=True))
    wrong_token = answered(WIRE, CALLS[Move.BET], {"status": "INVALID_TOKEN_ID"}, 401)
    assert (again.meaning, wrong_token.meaning) == (Meaning.REPEAT, Meaning.REFUSED)
    assert answered(WIRE, CALLS[Move.BET], "", 502).meaning is Meaning.REPEAT
    assert answered(WIRE, CALLS[Move.BET], "NaN").meaning is Meaning.REPEAT


def test_a_balance_is_exact_however_large_and_written_with_six_decimals() -> None:
    reply = answered(WIRE, CALLS[Move.BET], told(Move.BET, "OK", "63727092.340000"))
    assert reply.balance is not None
    assert (reply.balance.amount, reply.findings) == ("6372709234", ())
    short = answered(WIRE, CALLS[Move.BET], told(Move.BET, "OK", "98.5"))
    assert short.findings == ("the balance is no number with six decimals",)
    assert answered(WIRE, CALLS[Move.BET], told(Move.BET, "OK", "98.500001")).meaning is Meaning.REPEAT


def test_the_uuid_is_echoed() -> None:
    other = '{"status": "OK", "uuid": "other", "balance": 98.500000}'
    assert answered(WIRE, CALLS[Move.BET], other).findings == ("the answer does not echo the uuid",)


def test_the_first_debit_cannot_be_a_repeat() -> None:
    first, repeat = (
        answered(WIRE, CALLS[Move.BET], told(Move.BET, status)) for status in ("OK", "BET_ALREADY_EXIST")
    )
    assert WIRE.differences([first, repeat, first], is_any_lost=False) == []
    assert WIRE.differences([repeat], is_any_lost=True) == []
    assert WIRE.differences([repeat, repeat], is_any_lost=False) == ["no answer says that it is the original"]


def test_a_settled_bet_must_not_be_cancelled() -> None:
    settled = WIRE.owed_codes(Flow.LATE_ROLLBACK, Move.ROLLBACK_SETTLED)
    early = WIRE.owed_codes(Flow.EARLY_ROLLBACK, Move.ROLLBACK_BET)
    assert settled == frozenset({"already_rolled_back"})
    assert early == frozenset({"nothing_to_roll_back", "already_rolled_back"})
    assert not WIRE.can(Move.ROLLBACK_WIN)


def test_attacks_carry_no_token_a_strangers_or_the_sid_before_the_check() -> None:
    seat = msgspec.structs.replace(SEAT, credential="s-2")
    round_ = msgspec.structs.replace(ROUND, seat=seat)
    accepted = WIRE.sign(WIRE.render_call(round_, Move.BET), STAMP)
    forged = {
        kind: forge(kind, WIRE, round_, accepted, STAMP, tag="t-1-attack")
        for kind in (Attack.UNSIGNED, Attack.FORGED_KEY, Attack.STALE, Attack.FLOAT_AMOUNT)
    }
    assert forged[Attack.UNSIGNED].path == "/providers/acct/debit"
    assert forged[Attack.FORGED_KEY].path == "/providers/acct/debit?authToken=not+the+secret+of+this+key"
    assert json.loads(forged[Attack.STALE].body)["sid"] == "s-1"
    assert json.loads(forged[Attack.FLOAT_AMOUNT].body)["transaction"]["amount"] == "1.500000"


def test_a_launch_is_admitted_by_casino_and_token() -> None:
    player = {"id": "p-1", "currency": "EUR", "session": {"id": "s-1", "ip": "127.0.0.1"}}
    body = json.dumps(
        {"uuid": "u", "player": player, "config": {"game": {"table": {"id": "x-dice"}}}}
    ).encode()
    token = LAUNCH_SECRET.secret.decode()
    assert WIRE.door("POST", f"/ua/v1/croupier/{token}") == "launch"
    assert WIRE.read_launch(visit(f"/ua/v1/croupier/{token}", body)) == Launch("s-1", "p-1", "x-dice", "EUR")
    for tail in (
        f"/ua/v1/other/{token}",
        "/ua/v1/croupier/wrong",
        f"/ua/v1/croupier/{SECRET.secret.decode()}",
    ):
        with pytest.raises(SignatureRefused):
            WIRE.read_launch(visit(tail, body))
    with pytest.raises(LaunchMalformed):
        WIRE.read_launch(visit(f"/ua/v1/croupier/{token}", b"{}"))
    assert (
        WIRE.render_launched(Launch("s-1", "p-1", "x-dice", "EUR"), "http://h", "/play/t")["entry"]
        == "/play/t"
    )
