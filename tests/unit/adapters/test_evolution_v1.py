"""Evolution's protocol: recorded calls, the static token, amounts, what is refused and how, launches."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from croupier.errors import CATALOGUE, INTERNAL, UNAUTHENTICATED, CroupierError, MoneyMoved
from croupier.money import render_decimal
from croupier.moneypath.commands import Bet, IssueToken, Rollback, Win, WinKind
from croupier.moneypath.outcomes import APPROVED, DECLINE_CODES, DECLINED, OK, Outcome
from croupier.providers.adapters.evolution_v1 import ADAPTER
from croupier.providers.adapters.evolution_v1.adapter import OPERATIONS
from croupier.providers.adapters.evolution_v1.answers import DECLINES, ERRORS, RETRANSMITTED
from croupier.providers.contract import (
    Attempt,
    DecodeRefused,
    Failure,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    ListGames,
    Operation,
    Reply,
    TransportFault,
)
from croupier.providers.wire_schemas import render_schemas, schema_folder
from croupier_signing import COVERAGES, hash_api_key
from unit.adapters.edge_driver import NOW, Approving
from unit.adapters.evolution_calls import (
    ACCOUNT,
    AUTH,
    BODIES,
    CHECK,
    DEBIT,
    FRESH,
    PLAYER,
    PROMO,
    SID,
    UUID,
    Evolution,
    decoded,
    moving,
    raw_request,
    to_bytes,
    verified,
    with_amount,
)
from unit.adapters.readings import describe, outcome_of

FOLDER = schema_folder("evolution_v1").parent
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("fixtures/*.json"))}
CALLS = [name for name, fixture in FIXTURES.items() if "outcomes" in fixture]
PROBLEMS = [name for name, fixture in FIXTURES.items() if "error" in fixture]
MONEY_PATHS = ["/debit", "/credit", "/cancel", "/promo_payout"]


def refusal(body: dict[str, Any] | bytes, path: str = "/debit") -> DecodeRefused:
    with pytest.raises(DecodeRefused) as caught:
        decoded(body, path)
    return caught.value


def amount_of(text: str, path: str = "/debit") -> int:
    action = decoded(with_amount(text, path), path).actions[0]
    assert isinstance(action, Bet | Win | Rollback)
    assert action.amount is not None
    return action.amount


def failed(error: CroupierError, operation: str | None = None, echo: Any = None) -> Reply:
    known = None if operation is None else Operation(name=operation)
    return ADAPTER.encode_failure(
        Failure(error=error, correlation_id="req-1", account=ACCOUNT, operation=known, echo=echo)
    )


def status_of(error: CroupierError, operation: str | None = None) -> str:
    return str(json.loads(failed(error, operation).body)["status"])


@pytest.mark.parametrize("name", CALLS)
def test_recorded_call_is_decoded_and_answered_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    request, context = verified(fixture["request"]["body"], fixture["request"]["path"])
    call = ADAPTER.decode(request, context)
    assert [describe(action) for action in call.actions] == fixture["actions"]
    assert call.oddities == ()
    answer = ADAPTER.encode(call, tuple(outcome_of(one) for one in fixture["outcomes"]), context)
    assert (answer.status, answer.body.decode()) == (fixture["reply"]["status"], fixture["reply"]["text"])
    assert json.loads(answer.body) == fixture["reply"]["body"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_recorded_error_is_written_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    error, request = dict(fixture["error"]), fixture.get("request")
    call = None if request is None else decoded(request["body"], request["path"])
    if "balance" in error:
        error["balance"] = tuple(error["balance"])
    raised = CroupierError(CATALOGUE[error.pop("code")], "detail", **error)
    reply = failed(raised, None if call is None else call.operation.name, None if call is None else call.echo)
    assert (reply.status, reply.body.decode()) == (fixture["reply"]["status"], fixture["reply"]["text"])


def test_every_operation_has_a_recorded_call_and_the_fixtures_no_secrets() -> None:
    assert {FIXTURES[name]["request"]["path"].encode() for name in CALLS} == set(OPERATIONS)
    for text in (path.read_text() for path in FOLDER.glob("fixtures/*.json")):
        assert "authToken" not in text
        assert AUTH.secret.decode() not in text


def test_schemas_on_disk_are_those_of_the_wire_structs() -> None:
    on_disk = {path.name: path.read_text() for path in schema_folder("evolution_v1").glob("*.json")}
    assert on_disk == render_schemas("evolution_v1")


def test_manifest_admits_that_nothing_is_signed() -> None:
    manifest = ADAPTER.manifest
    assert manifest.id == FOLDER.name == ACCOUNT.adapter
    assert COVERAGES[manifest.signing].covered == ()
    assert {"method", "path", "query", "body"} < set(manifest.unsigned_parts)


# The token


def reason_of(query: bytes) -> str | None:
    with pytest.raises(CroupierError) as caught:
        ADAPTER.verify(raw_request(DEBIT, "/debit", query), ACCOUNT, NOW)
    assert caught.value.kind is UNAUTHENTICATED
    return caught.value.reason


def test_token_that_is_missing_cut_doubled_or_anothers_is_refused() -> None:
    good = AUTH.secret
    assert reason_of(b"") == reason_of(b"authtoken=" + good) == reason_of(b"authToken=") == "missing"
    for wrong in (good[:-1], good[1:], good + b"x", good.upper(), b"x" * 2_000):
        assert reason_of(b"authToken=" + wrong) in ("malformed", "mismatch")
    assert reason_of(b"authToken=" + good + b"&authToken=" + good) == "malformed"


def test_no_bit_of_the_token_can_be_changed() -> None:
    for bit in range(len(AUTH.secret) * 8):
        flipped = bytearray(AUTH.secret)
        flipped[bit // 8] ^= 1 << bit % 8
        assert reason_of(b"authToken=" + bytes(flipped)) in ("malformed", "mismatch", "missing")


def test_only_a_verified_request_is_decoded() -> None:
    request, context = verified(DEBIT, "/debit")
    with pytest.raises(TypeError):
        ADAPTER.decode(request.raw, context)  # type: ignore[arg-type]


def test_sessions_are_not_made_to_order() -> None:
    with pytest.raises(CroupierError) as caught:
        ADAPTER.operation("POST", b"/sid")
    assert caught.value.kind.code == "unknown_path"


# Amounts


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("0", 0),
        ("0.000000", 0),
        ("2", 200),
        ("2.000000", 200),
        ("12.34", 1_234),
        ("12.340000", 1_234),
        ("63727092.34", 6_372_709_234),
        ("63727092.340000", 6_372_709_234),
        ("21474836.48", 2_147_483_648),
        ("90071992547409.93", 9_007_199_254_740_993),
        ("0.1", 10),
        ("1" * 36, int("1" * 36 + "00")),
    ],
)
@pytest.mark.parametrize("path", MONEY_PATHS)
def test_amounts_are_read_from_their_own_text(text: str, minor: int, path: str) -> None:
    assert amount_of(text, path) == minor


@pytest.mark.parametrize(
    "text",
    [
        "2.001",
        "0.000001",
        "1e2",
        "1E2",
        "-2",
        "-0",
        "02",
        "+2",
        ".5",
        "2.",
        '"2"',
        "null",
        "true",
        "[2]",
        "NaN",
    ],
)
@pytest.mark.parametrize("path", MONEY_PATHS)
def test_amounts_that_are_finer_negative_or_oddly_written_are_refused(text: str, path: str) -> None:
    error = refusal(with_amount(text, path), path)
    assert error.kind.code in ("malformed", "amount_not_representable")
    assert status_of(error) == "INVALID_PARAMETER"


@settings(max_examples=200, deadline=None)
@given(minor=st.integers(0, 10**36 - 1), code=st.sampled_from(["EUR", "JPY", "BHD", "mBTC"]))
def test_amounts_survive_the_wire_in_six_decimals(minor: int, code: str) -> None:
    request, context = verified(with_amount(render_decimal(minor, ACCOUNT.assets.get(code))), "/debit")
    request, context = verified(request.raw.body.replace(b'"EUR"', f'"{code}"'.encode()), "/debit")
    call = ADAPTER.decode(request, context)
    (bet,) = call.actions
    assert isinstance(bet, Bet)
    assert bet.amount == minor
    reply = ADAPTER.encode(call, (Outcome(APPROVED, OK, "", None, minor, code),), context)
    text = reply.body.split(b'"balance":')[1].split(b",")[0].decode()
    whole, _, fraction = text.partition(".")
    assert len(fraction) == 6
    exponent = ACCOUNT.assets.get(code).exponent
    assert int(whole + fraction[:exponent]) == minor
    assert fraction[exponent:].strip("0") == ""


@pytest.mark.parametrize("code", ["eur", "EURO", "MBTC", ""])
def test_unknown_currencies_are_refused(code: str) -> None:
    for path in (*MONEY_PATHS, "/balance"):
        assert status_of(refusal(BODIES[path] | {"currency": code}, path)) == "INVALID_PARAMETER"


# Readings


def test_one_bets_id_serves_three_movements() -> None:
    (bet,), (win,), (rollback,) = (
        decoded(moving(2, trans=trans), path).actions
        for path, trans in (("/debit", "a"), ("/credit", "b"), ("/cancel", "a"))
    )
    assert isinstance(bet, Bet)
    assert isinstance(win, Win)
    assert isinstance(rollback, Rollback)
    assert bet.reference == win.target_reference == rollback.target_reference == "debit:ref-1"
    assert (win.reference, win.needs_target, rollback.settled_by) == ("credit:ref-1", True, "credit:ref-1")
    assert (rollback.reference, rollback.amount, rollback.asset) == ("cancel:ref-1", 200, "EUR")


def test_check_swaps_the_token_for_a_fresh_one() -> None:
    call = decoded(CHECK, "/check")
    (action,) = call.actions
    assert isinstance(action, IssueToken)
    assert (action.replaces, action.token_hash) == (hash_api_key(SID), hash_api_key(FRESH))
    assert FRESH not in repr(action)


def test_every_call_is_judged_by_its_token() -> None:
    for path, body in BODIES.items():
        assert decoded(body, path).token_hash == hash_api_key(SID)
        for bad in (None, "", 5, "x" * 256):
            assert refusal(body | {"sid": bad}, path).kind.code == "malformed"


@pytest.mark.parametrize(
    ("kind", "expected", "oddities"),
    [
        ("JackpotWin", WinKind.JACKPOT, 0),
        ("FreeRoundPlayableSpent", WinKind.PROMO, 0),
        ("RewardGameWinCapReached", WinKind.PROMO, 0),
        ("jackpotwin", WinKind.PROMO, 1),
        ("New", WinKind.PROMO, 1),
        (None, WinKind.PROMO, 0),
        ("", WinKind.PROMO, 0),
    ],
)
def test_payouts_are_jackpots_or_promotional(kind: str | None, expected: WinKind, oddities: int) -> None:
    body = PROMO | {"promoTransaction": PROMO["promoTransaction"] | {"type": kind}}
    call = decoded(body, "/promo_payout")
    (win,) = call.actions
    assert isinstance(win, Win)
    assert (win.kind, len(call.oddities), win.reference) == (expected, oddities, "promo:promo-1")


@pytest.mark.parametrize(
    ("game", "expected"),
    [
        ({"id": "r", "type": "roulette", "details": {"table": {"id": "t"}}}, "t"),
        ({"id": "r", "type": "roulette", "details": {"table": None}}, "roulette"),
        ({"id": "r", "type": "roulette"}, "roulette"),
        ({"id": "r"}, "live"),
    ],
)
def test_game_is_the_table_or_else_its_kind(game: dict[str, Any], expected: str) -> None:
    (bet,) = decoded(moving(2, game=game), "/debit").actions
    assert isinstance(bet, Bet)
    assert bet.game_id == expected


def test_unknown_members_are_let_through_and_reported() -> None:
    body = moving(2, tip=1)
    body["transaction"] |= {"jackpots": []}
    assert decoded(body, "/credit").oddities == ("credit.jackpots", "credit.tip")


def test_uuid_may_be_left_out_and_is_then_not_repeated() -> None:
    call = decoded({key: value for key, value in DEBIT.items() if key != "uuid"}, "/debit")
    _, context = verified(DEBIT, "/debit")
    body = json.loads(ADAPTER.encode(call, (Outcome(APPROVED, OK, "", None, 5, "EUR"),), context).body)
    assert body == {"status": "OK", "retransmission": False, "bonus": 0, "balance": 0.05}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"sid":"a","sid":"b"}', to_bytes(DEBIT) * 2])
def test_what_is_not_one_object_is_an_invalid_parameter(body: bytes) -> None:
    error = refusal(body)
    assert (status_of(error), error.salvage) == ("INVALID_PARAMETER", None)


@pytest.mark.parametrize(
    ("path", "reference"),
    [("/credit", "credit:ref-1"), ("/cancel", "cancel:ref-1"), ("/promo_payout", "promo:promo-1")],
)
def test_refused_credit_that_names_its_player_reaches_finance(path: str, reference: str) -> None:
    error = refusal(with_amount("2.0010", path), path)
    assert error.salvage is not None
    assert (error.salvage.player_id, error.salvage.reference) == (PLAYER, reference)
    assert error.salvage.amount_text == "2.0010"
    assert refusal(with_amount("2.001")).salvage is None
    assert refusal(BODIES[path] | {"userId": 5}, path).salvage is None
    member = "promoTransaction" if path == "/promo_payout" else "transaction"
    for odd in (None, 5, [], {}, {"id": 5, "refId": 5}):
        assert refusal(BODIES[path] | {member: odd}, path).salvage is None


# Answers


def test_every_error_and_decline_has_its_status() -> None:
    assert set(ERRORS) == set(CATALOGUE.values())
    assert set(DECLINES) == DECLINE_CODES


@pytest.mark.parametrize("code", CATALOGUE)
@pytest.mark.parametrize("operation", [None, *(one.name for one in OPERATIONS.values())])
def test_unknown_outcomes_and_final_refusals_are_told_apart(code: str, operation: str | None) -> None:
    kind = CATALOGUE[code]
    for field in (None, "asset", "player_id", "amount"):
        reply = failed(CroupierError(kind, "inside", field=field, balance=(1_250, "EUR")), operation)
        answer = json.loads(reply.body)
        is_unknown = kind.money_moved is MoneyMoved.UNKNOWN and kind is not UNAUTHENTICATED
        assert (answer["status"] in RETRANSMITTED) == answer["retransmission"] == is_unknown
        assert answer["status"] != "OK"
        assert reply.status == (401 if kind is UNAUTHENTICATED else 200)
        assert b"inside" not in reply.body
        assert ("balance" in answer) == (answer["status"] != "INVALID_SID")


def test_no_error_kind_outside_the_table_says_ok() -> None:
    strange = type(INTERNAL)("strange", 418, INTERNAL.retry, MoneyMoved.UNKNOWN, "strange")
    assert status_of(CroupierError(strange, "x")) == "TEMPORARY_ERROR"


def test_another_players_reference_is_no_bet_that_exists() -> None:
    """An answer that the bet exists could be taken for a debit."""
    for operation in ("debit", "credit", "cancel", "promo_payout"):
        error = CroupierError(CATALOGUE["reference_conflict"], "x", field="player_id")
        assert status_of(error, operation) == "INVALID_SID"


@pytest.mark.parametrize("code", [*sorted(DECLINE_CODES), "something_new"])
@pytest.mark.parametrize("path", ["/debit", "/credit", "/cancel", "/promo_payout", "/check"])
@pytest.mark.parametrize("is_repeat", [False, True])
def test_no_decline_looks_as_if_it_were_booked(code: str, path: str, is_repeat: bool) -> None:
    request, context = verified(BODIES[path], path)
    outcomes = (Outcome(DECLINED, code, "x", None, 5, "EUR", is_repeat),)
    answer = json.loads(ADAPTER.encode(ADAPTER.decode(request, context), outcomes, context).body)
    assert answer["status"] not in ("OK", "BET_ALREADY_EXIST", "BET_ALREADY_SETTLED")
    assert answer["balance"] == 0.05


# Through the edge


async def test_the_token_is_in_no_record_and_a_wrong_one_is_401() -> None:
    money = Approving()
    evolution = Evolution(money.submit)
    assert (await evolution.ask("/debit", DEBIT))["status"] == "OK"
    assert (await evolution.ask("/check", CHECK))["sid"] not in (SID, "")
    wrong = await evolution.send("/debit", DEBIT, b"authToken=wrong-but-long-enough")
    assert (wrong.status, wrong.json["status"]) == (401, "INVALID_TOKEN_ID")
    assert "uuid" not in wrong.json
    told = repr(evolution.gateway.records) + repr(money.calls)
    for secret in (AUTH.secret.decode(), "wrong-but-long-enough", SID):
        assert secret not in told
    assert len(money.calls) == 2


async def test_oversized_and_misdirected_requests_move_nothing() -> None:
    money = Approving()
    evolution = Evolution(money.submit)
    for path, body in (("/debit", moving(2, tip="x" * 300_000)), ("/sid", DEBIT), ("/Debit", DEBIT)):
        received = await evolution.send(path, body)
        assert (received.status, received.json["status"]) == (200, "INVALID_PARAMETER")
    assert money.calls == []


async def test_a_crash_is_temporary_and_tells_nothing() -> None:
    money = Approving()
    money.error = RuntimeError("inside")
    received = await Evolution(money.submit).send("/credit", DEBIT)
    assert received.json == {"status": "TEMPORARY_ERROR", "retransmission": True, "bonus": 0, "uuid": UUID}


# Outbound


ORDER = LaunchOrder(**FIXTURES["launch"]["order"])
ATTEMPT = Attempt(timestamp_s=1, nonce="n" * 22)


def test_launch_is_addressed_with_key_and_token() -> None:
    request = ADAPTER.build_launch(ORDER, ACCOUNT, ATTEMPT)
    assert request.url == "http://127.0.0.1:8711/ua/v1/croupier/casino%2Ftoken%2Bof%20us"
    recorded = FIXTURES["launch"]["request"]
    assert (request.method, json.loads(request.body)) == (recorded["method"], recorded["body"])


def test_launch_leaves_out_what_is_not_known() -> None:
    bare = structs.replace(ORDER, locale=None, return_url=None, client=None, ip=None)
    branded = structs.replace(ACCOUNT, settings={"casino_key": "k/1", "brand_id": "b"})
    request = ADAPTER.build_launch(bare, branded, ATTEMPT)
    body = json.loads(request.body)
    assert "/ua/v1/k%2F1/" in request.url
    assert body["player"]["session"] == {"id": ORDER.token}
    assert body["config"] == {
        "game": {"table": {"id": "table-7"}},
        "channel": {"wrapped": False, "mobile": False},
        "brand": {"id": "b"},
    }


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"entry": "/entry?params=a&JSESSIONID=b", "x": 1}, Launched("/entry?params=a&JSESSIONID=b")),
        (200, {"entry": "//evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": "/\\evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": ".evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": "@evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": "https://evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": '/a"><script>'}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": "/a\n"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"entry": ""}, LaunchUnknown("reply_not_understood")),
        (200, {"entry": "/" + "x" * 9_000}, LaunchUnknown("reply_not_understood")),
        (200, b"<html>", LaunchUnknown("reply_not_understood")),
        (200, {"errors": [{"code": "G.2", "message": "token"}]}, LaunchRefused("G.2")),
        (403, {"errors": [{"code": "G.9", "message": "ip"}]}, LaunchRefused("G.9")),
        (400, {"errors": [{"code": "G.0"}]}, LaunchUnknown("not_opened_yet")),
        (400, {"errors": [{"code": "G.8"}]}, LaunchUnknown("not_opened_yet")),
        (400, {"errors": [{"code": "G.1"}, {"code": "G.4"}]}, LaunchUnknown("not_opened_yet")),
        (400, {"errors": [{"code": "G.99"}]}, LaunchUnknown("not_opened_yet")),
        (400, {"errors": []}, LaunchUnknown("status_400")),
        (404, b"<html>", LaunchUnknown("status_404")),
        (500, b"", LaunchUnknown("status_500")),
    ],
)
def test_launch_is_opened_refused_or_unknown(status: int, body: Any, expected: object) -> None:
    assert ADAPTER.read_launch(ORDER, Reply(status, to_bytes(body), ())) == expected


def test_launch_without_a_reply_is_unknown_and_nothing_else_is_asked() -> None:
    assert ADAPTER.read_launch(ORDER, TransportFault("reset")) == LaunchUnknown("reset")
    assert ADAPTER.build_question(ListGames(), ACCOUNT, ATTEMPT) is None
