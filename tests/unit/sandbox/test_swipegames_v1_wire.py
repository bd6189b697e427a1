"""swipegames_v1 as the provider writes and judges it, against its text."""

from typing import Any

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
from croupier.sandbox.plan import Attack, Move
from croupier.sandbox.protocols.swipegames_v1 import SwipeGamesWire
from croupier.sandbox.replies import Meaning
from croupier.sandbox.wire import Launch, RetryPolicy
from croupier_signing import (
    SignatureRefused,
    canonicalise,
    sign_canonical_body,
    sign_canonical_query,
    verify_canonical_body,
    verify_canonical_query,
)

WIRE = SwipeGamesWire(account("swipegames_v1"))
REFUND = uuid_of("t-1-rollback-bet")
BODIES = {
    Move.BET: (
        "/bet",
        f'{{"amount":"1.50","roundID":"{ROUND_ID}","sessionID":"s-1","txID":"{BET}","type":"regular"}}',
    ),
    Move.WIN: (
        "/win",
        f'{{"amount":"2.97","roundID":"{ROUND_ID}","sessionID":"s-1","txID":"{WIN}","type":"regular"}}',
    ),
    Move.ROLLBACK_BET: (
        "/refund",
        f'{{"amount":"1.50","origTxID":"{BET}","roundID":"{ROUND_ID}","sessionID":"s-1","txID":"{REFUND}"}}',
    ),
}
CALLS = {move: WIRE.render_call(ROUND, move) for move in BODIES}
OK = {"balance": "98.50", "txID": "op-1"}


@pytest.mark.parametrize("move", list(BODIES))
def test_a_call_is_canonical_json_signed_as_it_is(move: Move) -> None:
    path, body = BODIES[move]
    signed = WIRE.sign(CALLS[move], STAMP)
    assert (signed.method, signed.path, signed.body) == ("POST", f"/providers/acct{path}", body.encode())
    sign = (signed.header("X-REQUEST-SIGN") or "").encode()
    assert verify_canonical_body([SECRET], signed.body, sign) == SECRET.id


def test_a_balance_is_asked_with_a_signed_query_and_no_body() -> None:
    signed = WIRE.sign(WIRE.render_balance(SEAT), STAMP)
    assert (signed.method, signed.path, signed.body) == ("GET", "/providers/acct/balance?sessionID=s-1", b"")
    sign = (signed.header("X-REQUEST-SIGN") or "").encode()
    assert verify_canonical_query([SECRET], b"sessionID=s-1", sign) == SECRET.id


@pytest.mark.parametrize(
    ("move", "status", "document", "meaning"),
    [
        (Move.BET, 200, OK, Meaning.DECIDED),
        (Move.BET, 400, {"message": "", "code": "insufficient_funds"}, Meaning.DECIDED),
        (Move.BET, 400, {"message": "", "code": "loss_limit"}, Meaning.DECIDED),
        (Move.BET, 400, {"message": ""}, Meaning.REFUSED),
        (Move.BET, 401, {"message": ""}, Meaning.REFUSED),
        (Move.BET, 404, {"message": "", "code": "session_not_found"}, Meaning.DECIDED),
        (Move.BET, 429, {"message": ""}, Meaning.REFUSED),
        (Move.BET, 500, {"message": ""}, Meaning.REPEAT),
        (Move.BET, 200, {"balance": "98.50"}, Meaning.REPEAT),
        (Move.BET, 200, {**OK, "balance": "098.50"}, Meaning.REPEAT),
        (Move.WIN, 200, OK, Meaning.DECIDED),
        (Move.WIN, 400, {"message": ""}, Meaning.REPEAT),
        (Move.WIN, 500, {"message": ""}, Meaning.REPEAT),
        (Move.WIN, 401, {"message": ""}, Meaning.UNKNOWN),
        (Move.ROLLBACK_BET, 404, {"message": ""}, Meaning.REPEAT),
    ],
)
def test_the_http_status_decides_what_the_provider_does_next(
    move: Move, status: int, document: Any, meaning: Meaning
) -> None:
    reply = answered(WIRE, CALLS[move], document, status)
    assert (reply.meaning, reply.is_to_undo) == (meaning, False)


def test_a_bet_is_sent_once_and_wins_and_refunds_until_they_are_taken() -> None:
    policy = RetryPolicy()
    attempts = {move: WIRE.patience(call, policy).attempts for move, call in CALLS.items()}
    assert attempts == {Move.BET: 1, Move.WIN: policy.attempts, Move.ROLLBACK_BET: policy.attempts}
    assert policy.attempt_s == 5.0


def test_a_duplicate_has_the_operators_first_id_and_any_balance() -> None:
    first = answered(WIRE, CALLS[Move.BET], OK)
    moved = answered(WIRE, CALLS[Move.BET], {**OK, "balance": "1.00"})
    other = answered(WIRE, CALLS[Move.BET], {**OK, "txID": "op-2"})
    assert WIRE.differences([first, moved], is_any_lost=False) == []
    assert WIRE.differences([first, other], is_any_lost=False) == ["the answers to copies of one call differ"]


def test_a_win_is_never_taken_back_and_a_round_has_no_end() -> None:
    assert not WIRE.can(Move.ROLLBACK_WIN)
    assert not WIRE.can(Move.CLOSE)


def test_an_accepted_bet_is_posted_as_a_win_byte_for_byte() -> None:
    accepted = WIRE.sign(CALLS[Move.BET], STAMP)
    attack = forge(Attack.TAMPERED_PATH, WIRE, ROUND, accepted, STAMP, tag="t-1-attack")
    assert (attack.path, attack.body, attack.headers) == (
        "/providers/acct/win",
        accepted.body,
        accepted.headers,
    )


def test_a_launch_is_verified_over_its_bytes() -> None:
    body = canonicalise(
        {"cID": "c", "extCID": "e", "gameID": "x-dice", "demo": False, "platform": "desktop", "currency": "EUR",
         "locale": "en_us", "sessionID": "s-1", "user": {"id": "p-1"}}
    )  # fmt: skip
    sign = sign_canonical_body(LAUNCH_SECRET, body)
    tail = "/create-new-game"
    launch = WIRE.read_launch(visit(tail, body, X_REQUEST_SIGN=sign))
    assert launch == Launch("s-1", "p-1", "x-dice", "EUR")
    with pytest.raises(SignatureRefused):
        WIRE.read_launch(visit(tail, body + b" ", X_REQUEST_SIGN=sign))
    answer = WIRE.render_launched(launch, "http://127.0.0.1:8702", "/play/t")
    assert (answer["gameURL"], len(answer["gsID"])) == ("http://127.0.0.1:8702/play/t", 36)


def test_the_list_of_games_is_asked_for_with_a_signed_query() -> None:
    query = b"cID=c&extCID=e"
    sign = sign_canonical_query(LAUNCH_SECRET, query)
    WIRE.admit_games(visit("/games", query=query, method="GET", X_REQUEST_SIGN=sign))
    with pytest.raises(SignatureRefused):
        WIRE.admit_games(visit("/games", query=b"cID=d&extCID=e", method="GET", X_REQUEST_SIGN=sign))
