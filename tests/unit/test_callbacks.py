"""The request edge: what is refused before anything is decided, what is submitted, and what is answered."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from provider_edge import (
    BALANCE,
    BET,
    BET_WIN,
    CLOSE_ROUND,
    KEY,
    NOW_S,
    OTHER_KEY,
    ROLLBACK,
    SESSION_TEXT,
    WIN,
    Studio,
    authorization,
    to_bytes,
    without,
)

from croupier.errors import CATALOGUE, INTERNAL, OVERLOADED, UNAUTHENTICATED, CroupierError, Violation
from croupier.ids import SESSION, bucket_of, parse_id
from croupier.moneypath.commands import Bet, RefuseCredit, SpendNonce
from croupier.providers.arrival import BodyLimits
from croupier.providers.callbacks import EdgeLimits
from croupier_signing import SigningKey

NONCE = "a-nonce-of-16-ch"


def signed(body: dict[str, Any] | bytes = BET, **options: Any) -> list[tuple[str, str]]:
    return [("authorization", authorization(to_bytes(body), **options).decode())]


async def refused(
    studio: Studio, *, status: int, code: str, body: Any = BET, **options: Any
) -> dict[str, Any]:
    """The problem of a request that was refused before anything was submitted."""
    received = await studio.answer(body, **options)
    assert (received.status, received.json["code"]) == (status, code)
    assert received.headers["content-type"] == "application/problem+json"
    assert studio.money.calls == []
    assert studio.records[-1].code == code
    return received.json


async def test_bet_becomes_one_call_and_is_answered() -> None:
    studio = Studio()
    received = await studio.answer(BET, headers=[*signed(BET, nonce=NONCE)], sign=False)
    assert received.status == 200
    assert received.headers["content-type"] == "application/json"
    assert received.headers["content-length"] == str(len(received.body))
    assert received.headers["cache-control"] == "no-store"
    assert received.json == {
        "status": "approved",
        "code": "ok",
        "reference": "bet-1",
        "journal_id": None,
        "balance": None,
        "repeat": False,
    }
    (call,) = studio.money.calls
    assert (call.provider, call.player_id, call.bucket) == ("studio", "player-1", bucket_of("player-1"))
    assert call.request_id.int & 0xFF == call.bucket
    assert call.time_source == "provider"
    assert call.actions == (
        Bet(
            reference="bet-1",
            player_id="player-1",
            asset="EUR",
            amount=1250,
            occurred_at=datetime(2026, 3, 1, 11, 59, 59, 250_000, tzinfo=UTC),
            session_id=parse_id(SESSION, SESSION_TEXT),
            round_id="round-1",
            game_id="dice",
        ),
    )
    assert call.nonce is not None
    assert (call.nonce.key_id, call.nonce.nonce, call.nonce.bucket) == (KEY.id, NONCE, bucket_of(NONCE))
    assert call.nonce.expires_at == datetime.fromtimestamp(NOW_S + 2 * 30 + 60, UTC)


@pytest.mark.parametrize(
    ("operation", "body", "pools"),
    [
        ("balance", BALANCE, ()),
        ("bet", BET, ()),
        ("bet", BET | {"jackpot_contribution": "0.5"}, ()),
        ("bet", BET | {"jackpot_contribution": "12"}, ("mega",)),
        ("win", WIN, ()),
        ("win", WIN | {"kind": "promo"}, ()),
        ("win", WIN | {"kind": "jackpot"}, ("mega",)),
        ("bet-win", BET_WIN, ()),
        ("bet-win", BET_WIN | {"jackpot_contribution": "1"}, ("mega",)),
        ("rollback", ROLLBACK, ("mega",)),
        ("close-round", CLOSE_ROUND, ()),
    ],
)
async def test_pools_are_named_only_by_calls_that_may_touch_one(
    operation: str, body: dict[str, Any], pools: tuple[str, ...]
) -> None:
    studio = Studio()
    received = await studio.answer(body, path=f"/providers/studio/v1/{operation}")
    assert received.status == 200
    assert studio.money.calls[0].pools == pools
    assert studio.records[0].operation == operation.replace("-", "_")


@pytest.mark.parametrize("sign", [True, False])
@pytest.mark.parametrize("authorization_header", ["", "Bearer x", signed(key=OTHER_KEY)[0][1]])
async def test_unknown_provider_is_told_the_same_whatever_key_is_used(
    sign: bool, authorization_header: str
) -> None:
    studio = Studio()
    path = "/providers/nobody/v1/bet"
    headers = [("authorization", authorization_header), ("x-correlation-id", "c-1")]
    received = await studio.answer(BET, path=path, sign=sign, headers=headers)
    other = await studio.answer(b"", path="/providers/someone/v1/no", method="GET", headers=headers[1:])
    assert (received.status, received.json["code"]) == (404, "unknown_provider")
    assert received.body == other.body
    assert studio.records[0].provider == studio.records[0].operation == "unknown"


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/providers/studio/v1/bets", "POST", 404, "unknown_path"),
        ("/providers/studio/v1/bet/", "POST", 404, "unknown_path"),
        ("/providers/studio/v1/%62et", "POST", 404, "unknown_path"),
        ("/providers/studio/", "POST", 404, "unknown_path"),
        ("/providers/studio", "POST", 404, "unknown_path"),
        ("/providers//v1/bet", "POST", 404, "unknown_provider"),
        ("/providers/%73tudio/v1/bet", "POST", 404, "unknown_provider"),
        ("/", "POST", 404, "unknown_path"),
        ("/providers/studio/v1/bet", "GET", 405, "method_not_allowed"),
        ("/providers/studio/v1/bet", "post", 405, "method_not_allowed"),
    ],
)
async def test_wrong_address_is_refused_before_the_body_is_read(
    path: str, method: str, status: int, code: str
) -> None:
    studio = Studio()
    problem = await refused(studio, status=status, code=code, path=path, method=method)
    assert problem["money_moved"] == "no"


async def test_wrong_method_is_told_the_right_one() -> None:
    received = await Studio().answer(method="PUT")
    assert received.headers["allow"] == "POST"
    assert received.headers["connection"] == "close"


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json; charset=latin-1", "application/jsonp", "json"]
)
async def test_other_media_types_are_refused(content_type: str | None) -> None:
    await refused(Studio(), status=415, code="unsupported_media_type", content_type=content_type)


async def test_compressed_and_doubly_declared_bodies_are_refused() -> None:
    for headers in ([("content-encoding", "gzip")], [("content-type", "application/json")]):
        await refused(Studio(), status=415, code="unsupported_media_type", headers=headers)


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json ;"],
)
async def test_other_spellings_of_json_are_accepted(content_type: str) -> None:
    received = await Studio().answer(content_type=content_type, headers=[("content-encoding", "identity")])
    assert received.status == 200


async def test_body_is_bounded_by_its_declared_length_before_it_is_read() -> None:
    studio = Studio(EdgeLimits(body=BodyLimits(max_bytes=500)))
    headers = [("content-length", "501")]
    received = await studio.answer(headers=headers, messages=[{"type": "http.disconnect"}])
    assert (received.status, received.json["code"]) == (413, "body_too_large")
    assert received.headers["connection"] == "close"


async def test_body_is_bounded_by_the_bytes_that_come() -> None:
    studio = Studio(EdgeLimits(body=BodyLimits(max_bytes=500)))
    chunk = {"type": "http.request", "body": b" " * 100, "more_body": True}
    headers = [("content-length", "9" * 40)]
    await refused(studio, status=413, code="body_too_large", messages=[chunk] * 6, headers=headers)


async def test_body_in_pieces_is_verified_as_a_whole() -> None:
    studio = Studio()
    data = to_bytes(BET)
    pieces = [
        {"type": "http.request", "body": data[at : at + 7], "more_body": True} for at in range(0, 400, 7)
    ]
    received = await studio.answer(messages=[*pieces, {"type": "http.request"}])
    assert received.status == 200


async def test_body_that_does_not_come_in_time_says_nothing_about_money() -> None:
    studio = Studio(EdgeLimits(body=BodyLimits(timeout_s=0.01)))
    chunk = {"type": "http.request", "body": b"{", "more_body": True}
    problem = await refused(studio, status=408, code="request_timeout", messages=[chunk])
    assert (problem["money_moved"], problem["retryable"]) == ("unknown", True)


async def test_caller_who_is_gone_is_not_answered_but_counted() -> None:
    studio = Studio()
    assert await studio.call(messages=[{"type": "http.disconnect"}]) is None
    assert (studio.records[0].outcome, studio.records[0].status) == ("gone", 0)
    assert studio.money.calls == []


FORGED = signed()[0][1]
UNAUTHENTICATED_HEADERS = {
    "absent": ([], "missing"),
    "empty": ([("authorization", "")], "missing"),
    "another scheme": ([("authorization", "Bearer abc")], "malformed"),
    "cut": ([("authorization", FORGED[:-2])], "malformed"),
    "beyond latin": ([("authorization", FORGED + "é")], "malformed"),
    "given twice": ([("authorization", FORGED), ("authorization", FORGED)], "malformed"),
    "endless": ([("authorization", FORGED + " " * 2000)], "malformed"),
    "unknown key": (signed(key=OTHER_KEY), "mismatch"),
    "another secret": (signed(key=SigningKey(KEY.id, b"x" * 32)), "mismatch"),
    "another body": (signed(BET | {"amount": "9"}), "mismatch"),
    "another path": (signed(path=b"/providers/studio/v1/win"), "mismatch"),
    "another provider": (signed(path=b"/providers/other/v1/bet"), "mismatch"),
    "another method": (signed(method="PUT"), "mismatch"),
    "another query": (signed(query=b"a=1"), "mismatch"),
    "too old": (signed(timestamp_s=NOW_S - 31), "stale"),
    "too new": (signed(timestamp_s=NOW_S + 31), "stale"),
}


@pytest.mark.parametrize("name", UNAUTHENTICATED_HEADERS)
async def test_request_that_is_not_authenticated_is_told_its_class_only(name: str) -> None:
    headers, reason = UNAUTHENTICATED_HEADERS[name]
    studio = Studio()
    problem = await refused(studio, status=401, code="unauthenticated", headers=headers, sign=False)
    assert problem["reason"] == studio.records[0].reason == reason
    assert (problem["money_moved"], problem["retryable"]) == ("unknown", True)
    assert "field" not in problem


async def test_401_names_the_scheme() -> None:
    received = await Studio().answer(sign=False)
    assert received.headers["www-authenticate"] == "CROUPIER1-HMAC-SHA256"


async def test_unknown_key_and_wrong_signature_get_the_same_answer() -> None:
    answers = set()
    for key in (OTHER_KEY, SigningKey(KEY.id, b"x" * 32)):
        for timestamp_s in (NOW_S, NOW_S - 9999):
            headers = [*signed(key=key, timestamp_s=timestamp_s), ("x-correlation-id", "same")]
            received = await Studio().answer(headers=headers, sign=False)
            answers.add((received.status, received.body, tuple(received.headers.items())))
    assert len(answers) == 1


@pytest.mark.parametrize("offset_s", [-30, 30])
async def test_both_ends_of_the_window_are_inside(offset_s: int) -> None:
    received = await Studio().answer(headers=signed(timestamp_s=NOW_S + offset_s), sign=False)
    assert received.status == 200


async def test_every_flipped_bit_of_the_body_is_refused() -> None:
    studio = Studio()
    data = to_bytes(BET)
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << (position % 8)
        message = {"type": "http.request", "body": bytes(flipped)}
        received = await studio.answer(BET, messages=[message])
        assert received.status == 401
    assert studio.money.calls == []


async def test_unverified_body_is_never_looked_at() -> None:
    problem = await refused(
        Studio(), status=401, code="unauthenticated", body=b"{not json", sign=False, headers=signed()
    )
    assert problem["reason"] == "mismatch"


async def test_nonce_counts_once() -> None:
    studio = Studio()
    headers = signed(nonce=NONCE)
    first = await studio.answer(headers=headers, sign=False)
    second = await studio.answer(headers=headers, sign=False)
    assert (first.status, second.status) == (200, 401)
    assert second.json["reason"] == studio.records[1].reason == "replayed"
    assert len(studio.money.calls) == 1


async def test_undecodable_request_spends_its_nonce_too() -> None:
    studio = Studio()
    body = b'{"amount":1}'
    headers = signed(body, nonce=NONCE)
    first = await studio.answer(body, headers=headers, sign=False)
    second = await studio.answer(body, headers=headers, sign=False)
    assert (first.status, first.json["code"]) == (400, "malformed")
    assert (second.status, second.json["reason"]) == (401, "replayed")
    (call,) = studio.money.calls
    assert isinstance(call.actions[0], SpendNonce)
    assert call.bucket == bucket_of(NONCE)
    assert call.nonce is not None
    assert call.nonce.nonce == NONCE


async def test_refusal_is_not_given_before_its_nonce_is_spent() -> None:
    studio = Studio()
    studio.money.failure = CroupierError(OVERLOADED, "full", retry_after_s=3)
    received = await studio.answer(b"{}")
    assert (received.status, received.headers["retry-after"]) == (503, "3")
    assert received.json["money_moved"] == "unknown"


BAD_BODIES: dict[str, tuple[str, Any, int, str, str]] = {
    "not JSON": ("bet", b"reference=1", 400, "malformed", "$"),
    "empty": ("bet", b"", 400, "malformed", "$"),
    "a list": ("bet", b"[]", 400, "malformed", "$"),
    "repeated name": ("bet", to_bytes(BET)[:-1] + b',"amount":"1"}', 400, "malformed", "amount"),
    "missing member": ("bet", without(BET, "round_id"), 400, "malformed", "round_id"),
    "unknown member": ("bet", BET | {"bonus": "1"}, 400, "malformed", "bonus"),
    "null member": ("bet", BET | {"reference": None}, 400, "malformed", "reference"),
    "empty reference": ("bet", BET | {"reference": ""}, 400, "malformed", "reference"),
    "long reference": ("bet", BET | {"reference": "r" * 129}, 400, "malformed", "reference"),
    "control character": ("bet", BET | {"player_id": "a\nb"}, 400, "malformed", "player_id"),
    "last line feed": ("bet", BET | {"player_id": "a\n"}, 400, "malformed", "player_id"),
    "NUL": ("bet", BET | {"player_id": "a\0"}, 400, "malformed", "player_id"),
    "number amount": ("bet", BET | {"amount": 1250}, 400, "malformed", "amount"),
    "float amount": ("bet", BET | {"amount": 12.5}, 400, "malformed", "amount"),
    "decimal amount": ("bet", BET | {"amount": "12.50"}, 400, "malformed", "amount"),
    "negative amount": ("bet", BET | {"amount": "-1"}, 400, "malformed", "amount"),
    "leading zero": ("bet", BET | {"amount": "01"}, 400, "malformed", "amount"),
    "exponent": ("bet", BET | {"amount": "1e3"}, 400, "malformed", "amount"),
    "empty amount": ("bet", BET | {"amount": ""}, 400, "malformed", "amount"),
    "other digits": ("bet", BET | {"amount": "١٢"}, 400, "malformed", "amount"),
    "huge amount": ("bet", BET | {"amount": "9" * 39}, 422, "amount_not_representable", "amount"),
    "naive time": ("bet", BET | {"occurred_at": "2026-03-01T12:00:00"}, 400, "malformed", "occurred_at"),
    "no time": ("bet", BET | {"occurred_at": "yesterday"}, 400, "malformed", "occurred_at"),
    "time as number": ("bet", BET | {"occurred_at": NOW_S}, 400, "malformed", "occurred_at"),
    "time beyond": (
        "bet",
        BET | {"occurred_at": "9999-12-31T23:59:59-01:00"},
        400,
        "malformed",
        "occurred_at",
    ),
    "time before": (
        "bet",
        BET | {"occurred_at": "0001-01-01T00:00:00+01:00"},
        400,
        "malformed",
        "occurred_at",
    ),
    "contribution": ("bet", BET | {"jackpot_contribution": "-1"}, 400, "malformed", "jackpot_contribution"),
    "huge contribution": (
        "bet",
        BET | {"jackpot_contribution": "9" * 39},
        422,
        "amount_not_representable",
        "jackpot_contribution",
    ),
    "unknown asset": ("bet", BET | {"asset": "EURO"}, 422, "unknown_asset", "asset"),
    "asset in other case": ("balance", BALANCE | {"asset": "eur"}, 422, "unknown_asset", "asset"),
    "foreign session": ("bet", BET | {"session_id": "session-1"}, 404, "unknown_session", "session_id"),
    "session of another kind": (
        "bet",
        BET | {"session_id": "rnd" + SESSION_TEXT[3:]},
        404,
        "unknown_session",
        "session_id",
    ),
    "bet and win in one": ("bet-win", BET_WIN | {"amount": "1"}, 400, "malformed", "amount"),
    "member of a half": (
        "bet-win",
        BET_WIN | {"bet": {"reference": "b", "amount": "1", "kind": "x"}},
        400,
        "malformed",
        "bet.kind",
    ),
    "amount of a half": (
        "bet-win",
        BET_WIN | {"bet": {"reference": "b", "amount": "1.0"}},
        400,
        "malformed",
        "bet.amount",
    ),
    "outcome as text": ("close-round", CLOSE_ROUND | {"outcome": "{}"}, 400, "malformed", "outcome"),
    "outcome as list": ("close-round", CLOSE_ROUND | {"outcome": [{}]}, 400, "malformed", "outcome"),
    "exponent in outcome": (
        "close-round",
        to_bytes(CLOSE_ROUND).replace(b"4200", b"1e999999"),
        400,
        "malformed",
        "outcome.roll",
    ),
    "repeat in outcome": (
        "close-round",
        to_bytes(CLOSE_ROUND).replace(b'"bets"', b'"roll"'),
        400,
        "malformed",
        "outcome.roll",
    ),
    "half a proof": ("close-round", CLOSE_ROUND | {"fairness": {}}, 400, "malformed", "fairness.scheme"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_body_is_refused_and_its_member_is_named(name: str) -> None:
    operation, body, status, code, field = BAD_BODIES[name]
    studio = Studio()
    received = await studio.answer(body, path=f"/providers/studio/v1/{operation}")
    problem = received.json
    assert (received.status, problem["code"], problem["field"]) == (status, code, field)
    assert (problem["money_moved"], problem["retryable"]) == ("no", False)
    assert problem["type"] == f"/docs/errors/{code}"
    assert (problem["status"], problem["title"]) == (status, CATALOGUE[code].title)


LOST_CREDITS: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    "too long": ("win", WIN | {"amount": "9" * 39}, "amount_not_representable", "win-1", "9" * 39),
    "finer": ("win", WIN | {"amount": "12.5"}, "malformed", "win-1", "12.5"),
    "unknown asset": ("win", WIN | {"asset": "EURO"}, "unknown_asset", "win-1", "1250"),
    "unknown session": ("win", WIN | {"session_id": "s"}, "unknown_session", "win-1", "1250"),
    "number": ("win", WIN | {"amount": 1250}, "malformed", "win-1", "1250"),
    "unknown member": ("win", WIN | {"bonus": "x"}, "malformed", "win-1", "1250"),
    "unknown kind": ("win", WIN | {"kind": "gift"}, "malformed", "win-1", "1250"),
    "win without session": ("win", without(WIN, "session_id"), "malformed", "win-1", "1250"),
    "win without round": ("win", without(WIN, "round_id"), "malformed", "win-1", "1250"),
    "no contract": (
        "win",
        without(WIN, "session_id", "round_id") | {"kind": "jackpot", "asset": "USD"},
        "contract_missing",
        "win-1",
        "1250",
    ),
    "half": (
        "bet-win",
        BET_WIN | {"win": {"reference": "win-1", "amount": "9" * 40}},
        "amount_not_representable",
        "win-1",
        "9" * 40,
    ),
    "rollback": ("rollback", ROLLBACK | {"asset": "EURO"}, "unknown_asset", "back-1", "not given"),
}


@pytest.mark.parametrize("name", LOST_CREDITS)
async def test_refused_credit_becomes_work_for_finance(name: str) -> None:
    operation, body, code, reference, amount = LOST_CREDITS[name]
    studio = Studio()
    received = await studio.answer(body, path=f"/providers/studio/v1/{operation}")
    assert (received.status, received.json["code"]) == (CATALOGUE[code].status, code)
    (call,) = studio.money.calls
    (action,) = call.actions
    assert isinstance(action, RefuseCredit)
    assert (action.player_id, action.reference, action.code) == ("player-1", reference, code)
    assert action.amount_text == amount
    assert action.detail.endswith(received.json["detail"])
    assert (call.player_id, call.bucket) == ("player-1", bucket_of("player-1"))
    assert call.nonce is not None


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("win", without(WIN, "reference")),
        ("win", WIN | {"player_id": 7}),
        ("win", to_bytes(WIN)[:-1] + b',"reference":"win-2"}'),
        ("win", [WIN]),
        ("bet-win", BET_WIN | {"win": None}),
        ("bet", BET | {"amount": "9" * 39}),
    ],
)
async def test_refusal_that_names_no_credit_only_spends_its_nonce(operation: str, body: Any) -> None:
    studio = Studio()
    data = body if isinstance(body, bytes) else to_bytes(body)
    received = await studio.answer(data, path=f"/providers/studio/v1/{operation}")
    assert received.status in (400, 422)
    assert [type(action) for action in studio.money.calls[0].actions] == [SpendNonce]


@pytest.mark.parametrize("code", CATALOGUE)
async def test_error_of_the_money_path_reaches_the_caller_as_it_is(code: str) -> None:
    studio = Studio()
    kind = CATALOGUE[code]
    studio.money.failure = CroupierError(kind, "what was wrong", field="player_id")
    received = await studio.answer()
    problem = received.json
    assert received.status == kind.status
    assert (problem["code"], problem["detail"], problem["field"]) == (code, "what was wrong", "player_id")
    assert (problem["money_moved"], problem["retryable"]) == (kind.money_moved, kind.retryable)
    assert studio.records[0].outcome == ("failed" if kind.status >= 500 else "refused")


@pytest.mark.parametrize("fault", [RuntimeError("boom"), Violation("books"), TimeoutError(), KeyError("x")])
async def test_fault_of_our_own_is_logged_and_says_nothing_about_money(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    studio = Studio()
    studio.money.failure = fault
    with caplog.at_level(logging.ERROR):
        received = await studio.answer(headers=[("x-correlation-id", "c-1")])
    assert (received.status, received.json["code"]) == (500, INTERNAL.code)
    assert (received.json["money_moved"], received.json["retryable"]) == ("unknown", True)
    assert "boom" not in received.body.decode()
    (logged,) = caplog.records
    assert logged.__dict__["correlation_id"] == "c-1"
    assert logged.exc_info is not None
    assert logged.exc_info[1] is fault
    assert studio.records[0].outcome == "failed"


@pytest.mark.parametrize("given", ["abc", "a b~!", "x" * 128])
async def test_correlation_id_is_accepted_and_echoed(given: str) -> None:
    studio = Studio()
    received = await studio.answer(headers=[("x-correlation-id", given)])
    problem = await studio.answer(sign=False, headers=[("x-correlation-id", given)])
    assert received.headers["x-correlation-id"] == given
    assert studio.money.calls[0].correlation_id == studio.records[0].correlation_id == given
    assert problem.json["correlation_id"] == problem.headers["x-correlation-id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "é", "a\tb"])
async def test_unusable_correlation_id_is_replaced_by_a_new_one(given: str | None) -> None:
    studio = Studio()
    headers = [] if given is None else [("x-correlation-id", given)]
    received = await studio.answer(headers=headers)
    again = await studio.answer(headers=headers)
    made = received.headers["x-correlation-id"]
    assert made.startswith("req_")
    assert made != again.headers["x-correlation-id"]
    assert studio.money.calls[0].correlation_id == made


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_trace_is_taken_over_and_echoed() -> None:
    studio = Studio()
    received = await studio.answer(headers=[("traceparent", TRACEPARENT)])
    assert received.headers["traceparent"] == TRACEPARENT
    assert studio.money.calls[0].trace_id == studio.records[0].trace_id == TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACEPARENT.upper(),
        TRACEPARENT.replace(TRACE, "0" * 32),
        "ff" + TRACEPARENT[2:],
        TRACEPARENT + "-x",
        TRACEPARENT.replace("00f067aa0ba902b7", "0" * 16),
    ],
)
async def test_invalid_trace_is_ignored(given: str) -> None:
    studio = Studio()
    received = await studio.answer(headers=[("traceparent", given)])
    assert "traceparent" not in received.headers
    assert studio.money.calls[0].trace_id is None


async def test_telemetry_gets_one_record_of_every_request() -> None:
    studio = Studio()
    await studio.answer()
    record = studio.records[0]
    assert (record.provider, record.operation, record.outcome) == ("studio", "bet", "approved")
    assert (record.status, record.code, record.reason, record.is_repeat) == (200, "ok", None, False)
    assert (record.session_id, record.round_id) == (parse_id(SESSION, SESSION_TEXT), "round-1")
    assert 0 < record.duration_s < 5


async def test_error_kinds_with_a_wait_carry_retry_after() -> None:
    studio = Studio()
    studio.money.failure = CroupierError(OVERLOADED, "full")
    received = await studio.answer()
    assert received.headers["retry-after"] == "1"
    studio.money.failure = CroupierError(OVERLOADED, "full", retry_after_s=-5)
    received = await studio.answer()
    assert received.headers["retry-after"] == "0"
    studio.money.failure = CroupierError(UNAUTHENTICATED, "no", reason="replayed")
    received = await studio.answer()
    assert "retry-after" not in received.headers
