"""Hub88's protocol: recorded calls, signatures, amounts, what is refused and how, launches and game lists."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from croupier.errors import CATALOGUE, INTERNAL, UNAUTHENTICATED, CroupierError, MoneyMoved
from croupier.money import AssetRegistry, parse_scaled, render_scaled
from croupier.moneypath.commands import Bet, Rollback, Win, WinKind
from croupier.moneypath.outcomes import APPROVED, DECLINE_CODES, DECLINED, OK, Outcome
from croupier.providers.adapters.hub88_v1 import ADAPTER
from croupier.providers.adapters.hub88_v1.adapter import OPERATIONS
from croupier.providers.adapters.hub88_v1.answers import DECLINES, ERRORS
from croupier.providers.contract import (
    Attempt,
    DecodeRefused,
    Failure,
    GameList,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    ListGames,
    OfferedGame,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    ShowRound,
    TransportFault,
)
from croupier.providers.wire_schemas import render_schemas, schema_folder
from croupier_signing import COVERAGES, SignatureRefused, hash_api_key, sign_rsa_body, verify_rsa_body
from unit.adapters.edge_driver import NOW, Approving
from unit.adapters.hub88_calls import (
    ACCOUNT,
    BET,
    BODIES,
    HUB88,
    OURS,
    PLAYER,
    ROLLBACK,
    STRANGER,
    TOKEN,
    WIN,
    Hub88,
    decoded,
    raw_request,
    to_bytes,
    verified,
)
from unit.adapters.readings import describe, outcome_of

FOLDER = schema_folder("hub88_v1").parent
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("fixtures/*.json"))}
CALLS = [name for name, fixture in FIXTURES.items() if "outcomes" in fixture]
PROBLEMS = [name for name, fixture in FIXTURES.items() if "error" in fixture]
BET_PATH, WIN_PATH, ROLLBACK_PATH = "/transaction/bet", "/transaction/win", "/transaction/rollback"
CREDIT_PATHS = [(WIN_PATH, WIN), (ROLLBACK_PATH, ROLLBACK)]


def refusal(body: dict[str, Any] | bytes, path: str = BET_PATH) -> DecodeRefused:
    with pytest.raises(DecodeRefused) as caught:
        decoded(body, path)
    return caught.value


def bet_of(**changes: Any) -> Bet:
    action = decoded(BET | changes, BET_PATH).actions[0]
    assert isinstance(action, Bet)
    return action


def failed(error: CroupierError, **known: Any) -> dict[str, Any]:
    reply = ADAPTER.encode_failure(Failure(error=error, correlation_id="req-1", account=ACCOUNT, **known))
    assert reply.status == 200
    document: dict[str, Any] = json.loads(reply.body)
    return document


@pytest.mark.parametrize("name", CALLS)
def test_recorded_call_is_decoded_and_answered_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    request, context = verified(fixture["request"]["body"], fixture["request"]["path"])
    call = ADAPTER.decode(request, context)
    assert [describe(action) for action in call.actions] == fixture["actions"]
    assert call.oddities == ()
    answer = ADAPTER.encode(call, tuple(outcome_of(one) for one in fixture["outcomes"]), context)
    assert (answer.status, json.loads(answer.body)) == (fixture["reply"]["status"], fixture["reply"]["body"])
    assert answer.headers == ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", PROBLEMS)
def test_recorded_error_is_written_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    error, request = dict(fixture["error"]), fixture.get("request")
    echo = None if request is None else decoded(request["body"], request["path"]).echo
    raised = CroupierError(CATALOGUE[error.pop("code")], "detail", **error)
    assert failed(raised, echo=echo) == fixture["reply"]["body"]


def test_every_operation_has_a_recorded_call_and_the_fixtures_no_secrets() -> None:
    assert {FIXTURES[name]["request"]["path"].encode() for name in CALLS} == set(OPERATIONS)
    for text in (path.read_text().lower() for path in FOLDER.glob("fixtures/*.json")):
        assert "signature" not in text.replace("rs_error_invalid_signature", "")
        assert "private" not in text


def test_schemas_on_disk_are_those_of_the_wire_structs() -> None:
    on_disk = {path.name: path.read_text() for path in schema_folder("hub88_v1").glob("*.json")}
    assert on_disk == render_schemas("hub88_v1")


def test_manifest_says_what_the_signature_leaves_open() -> None:
    assert ADAPTER.manifest.id == FOLDER.name == ACCOUNT.adapter
    open_to_change = " ".join(ADAPTER.manifest.unsigned_parts)
    assert all(part.rstrip("s") in open_to_change for part in ("method", "path", "query", "headers"))
    assert COVERAGES[ADAPTER.manifest.signing].covered == ("body",)


# Signatures


def reason_of(body: dict[str, Any] | bytes, signature: str | None) -> str | None:
    with pytest.raises(CroupierError) as caught:
        ADAPTER.verify(raw_request(body, BET_PATH, signature), ACCOUNT, NOW)
    assert caught.value.kind is UNAUTHENTICATED
    return caught.value.reason


def test_signature_that_is_missing_cut_or_a_strangers_is_refused() -> None:
    good = sign_rsa_body(HUB88, to_bytes(BET))
    assert reason_of(BET, "") == "missing"
    for wrong in (good[:-4], good[:-1], good[4:], good + "AAAA", f" {good}", "A" * len(good), "not base64!"):
        assert reason_of(BET, wrong) in ("malformed", "mismatch")
    assert reason_of(BET, sign_rsa_body(STRANGER, to_bytes(BET))) == "mismatch"
    assert reason_of(BET, sign_rsa_body(OURS, to_bytes(BET))) == "mismatch"


def test_no_bit_of_a_signed_body_can_be_changed() -> None:
    body = to_bytes(BET)
    good = sign_rsa_body(HUB88, body)
    for bit in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        assert reason_of(bytes(flipped), good) == "mismatch"
    assert reason_of(body + b" ", good) == reason_of(body[:-1], good) == "mismatch"


def test_signature_given_twice_is_refused() -> None:
    raw = raw_request(BET, BET_PATH)
    with pytest.raises(CroupierError):
        ADAPTER.verify(structs.replace(raw, headers=raw.headers * 2), ACCOUNT, NOW)


def test_either_key_verifies_while_keys_are_rotated() -> None:
    both = structs.replace(ACCOUNT, inbound_keys={"old": STRANGER.public, HUB88.id: HUB88.public})
    assert ADAPTER.verify(raw_request(BET, BET_PATH), both, NOW).key_id == HUB88.id


def test_only_a_verified_request_is_decoded() -> None:
    request, context = verified(BET, BET_PATH)
    with pytest.raises(TypeError):
        ADAPTER.decode(request.raw, context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("signed_for", "path"),
    [
        (a, b)
        for a in BODIES
        for b in BODIES
        if a.startswith("/transaction") and b.startswith("/transaction") and a != b
    ],
)
def test_body_signed_for_one_transaction_is_no_other_transaction(signed_for: str, path: str) -> None:
    """The path is not signed, so the body has to say which call it is."""
    assert refusal(BODIES[signed_for], path).kind.code == "malformed"


# Amounts


@pytest.mark.parametrize(
    ("units", "currency", "minor"),
    [
        (356_000, "EUR", 356),
        (0, "EUR", 0),
        (1_000, "EUR", 1),
        (2_147_484_000, "EUR", 2_147_484),
        (2**31 * 1_000, "EUR", 2**31),
        (10**23, "EUR", 10**20),
        (300_000, "JPY", 3),
        (1, "mBTC", 1),
        (1_000, "uBTC", 1),
        (1, "ETH", 10**13),
    ],
)
def test_amounts_are_hundred_thousandths_of_the_currency(units: int, currency: str, minor: int) -> None:
    assert (
        bet_of(amount=units, currency=currency).amount,
        bet_of(currency=currency, amount=units).asset,
    ) == (
        minor,
        currency,
    )


@pytest.mark.parametrize("text", ["1", "999", "356001", "100500.0", "1e5", "1E5", "-1000", "+1000", "01000"])
def test_amounts_that_are_finer_negative_or_oddly_written_are_refused(text: str) -> None:
    body = to_bytes(BET).replace(b"356000", text.encode())
    assert refusal(body).kind.code in ("amount_not_representable", "malformed")
    assert failed(refusal(body), echo=refusal(body).echo)["status"] in (
        "RS_ERROR_WRONG_TYPES",
        "RS_ERROR_WRONG_SYNTAX",
    )


@pytest.mark.parametrize("value", ["356000", None, True, 3.5, [1], {}])
def test_amounts_of_another_type_or_size_are_wrong_types(value: Any) -> None:
    error = refusal(BET | {"amount": value})
    assert failed(error, echo=error.echo)["status"] == "RS_ERROR_WRONG_TYPES"


@settings(max_examples=200, deadline=None)
@given(minor=st.integers(0, 10**38 - 1), code=st.sampled_from(["EUR", "JPY", "BHD", "mBTC", "uBTC"]))
def test_amounts_survive_the_wire(minor: int, code: str) -> None:
    asset = ACCOUNT.assets.get(code)
    units = render_scaled(minor, 100_000, asset)
    assert parse_scaled(units, 100_000, asset) == minor
    request, context = verified(BET, BET_PATH)
    reply = ADAPTER.encode(
        ADAPTER.decode(request, context), (Outcome(APPROVED, OK, "", None, minor, code),), context
    )
    assert json.loads(reply.body)["balance"] == units
    if len(str(units)) <= context.limits.max_number:
        assert bet_of(amount=units, currency=code).amount == minor


def test_balance_of_a_finer_currency_is_cut() -> None:
    request, context = verified(BET, BET_PATH)
    outcome = Outcome(APPROVED, OK, "", None, 19_999_999_999_999, "ETH")
    reply = ADAPTER.encode(ADAPTER.decode(request, context), (outcome,), context)
    assert json.loads(reply.body)["balance"] == 1


@pytest.mark.parametrize("code", ["eur", "MBTC", "mbtc", "BTC", "", "EURO"])
def test_currencies_are_told_by_their_exact_letters(code: str) -> None:
    known = code in ACCOUNT.assets
    assert not known
    assert refusal(BET | {"currency": code}).kind.code in ("unknown_asset", "malformed")


# Readings


def test_free_bets_move_nothing_and_their_wins_are_promotional() -> None:
    assert bet_of(is_free=True).amount == 0
    assert bet_of(is_free=None).amount == 356
    (win,) = decoded(WIN | {"is_free": True}, WIN_PATH).actions
    assert isinstance(win, Win)
    assert (win.kind, win.amount, win.needs_target) == (WinKind.PROMO, 356, True)


def test_token_judges_bets_and_balances_only() -> None:
    for path, body in BODIES.items():
        judged = path in (BET_PATH, "/user/balance")
        assert decoded(body, path).token_hash == (hash_api_key(TOKEN) if judged else None)
    for path, body in CREDIT_PATHS:
        for token in (None, 5, "", "x" * 5_000):
            assert decoded(body | {"token": token}, path).token_hash is None
    for path in (BET_PATH, "/user/balance"):
        for bad in (None, "", 5):
            assert refusal(BODIES[path] | {"token": bad}, path).kind.code == "malformed"


def test_rollback_names_no_amount_and_no_currency() -> None:
    rollback = decoded(ROLLBACK, ROLLBACK_PATH).actions[0]
    assert isinstance(rollback, Rollback)
    assert (rollback.amount, rollback.asset, rollback.session_id) == (None, None, None)


def test_members_of_no_account_stop_no_win() -> None:
    odd = {name: {"deep": [1]} for name in ("supplier_user", "bet", "meta", "reward_uuid", "is_aggregated")}
    assert decoded(WIN | odd, WIN_PATH).oddities == ()


def test_unknown_members_are_let_through_and_reported() -> None:
    call = decoded(WIN | {"tip": 3, "zeta": {"amount": 1}}, WIN_PATH)
    assert call.oddities == ("win.tip", "win.zeta")
    assert decoded(BET, BET_PATH).oddities == (), "what meta holds is the supplier's own"


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb"])
def test_transactions_without_a_usable_name_are_refused(name: str) -> None:
    assert refusal(BET | {"transaction_uuid": name}).field == "transaction_uuid"


@pytest.mark.parametrize("path", BODIES)
def test_missing_members_are_wrong_syntax_and_other_types_wrong_types(path: str) -> None:
    needed = ["user", "request_uuid"]
    needed += [] if path.startswith("/user") else ["transaction_uuid", "round"]
    for name in needed:
        without = {key: value for key, value in BODIES[path].items() if key != name}
        for body, status in (
            (without, "RS_ERROR_WRONG_SYNTAX"),
            (BODIES[path] | {name: 5}, "RS_ERROR_WRONG_TYPES"),
        ):
            error = refusal(body, path)
            assert (error.field, failed(error, echo=error.echo)["status"]) == (name, status)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"user":"a","user":"b"}', to_bytes(BET) * 2, b'{"amount":1e400}'],
)
def test_what_is_not_one_object_is_wrong_syntax_and_repeats_nothing(body: bytes) -> None:
    error = refusal(body)
    assert failed(error, echo=error.echo) == {"status": "RS_ERROR_WRONG_SYNTAX"}
    assert error.salvage is None


@pytest.mark.parametrize(("path", "body"), CREDIT_PATHS)
def test_refused_credit_that_names_its_player_reaches_finance(path: str, body: dict[str, Any]) -> None:
    error = refusal(body | {"round": 7, "amount": 10**30}, path)
    assert error.salvage is not None
    assert (error.salvage.player_id, error.salvage.reference) == (PLAYER, body["transaction_uuid"])
    assert error.salvage.amount_text == str(10**30)
    assert refusal(BET | {"round": 7}).salvage is None
    assert refusal(body | {"user": 7}, path).salvage is None


# Answers


def test_every_error_and_decline_has_its_status() -> None:
    assert set(ERRORS) == set(CATALOGUE.values())
    assert set(DECLINES) == DECLINE_CODES


@pytest.mark.parametrize("code", CATALOGUE)
def test_unknown_outcomes_and_final_refusals_are_told_apart(code: str) -> None:
    kind = CATALOGUE[code]
    for echo in (None, decoded(BET, BET_PATH).echo):
        for field in (None, "asset", "player_id", "amount", "target_reference"):
            answer = failed(CroupierError(kind, "inside", field=field, balance=(5, "EUR")), echo=echo)
            is_unknown = kind.money_moved is MoneyMoved.UNKNOWN and kind is not UNAUTHENTICATED
            assert (answer["status"] == "RS_ERROR_UNKNOWN") == is_unknown
            assert answer["status"] != "RS_OK"
            assert set(answer) <= {"status", "user", "request_uuid"}
            assert ("request_uuid" in answer) == (echo is not None)


def test_no_error_kind_outside_the_table_says_ok() -> None:
    strange = type(INTERNAL)("strange", 418, INTERNAL.retry, MoneyMoved.UNKNOWN, "strange")
    assert failed(CroupierError(strange, "x"))["status"] == "RS_ERROR_UNKNOWN"


@pytest.mark.parametrize("code", [*sorted(DECLINE_CODES), "something_new"])
def test_no_decline_says_ok(code: str) -> None:
    request, context = verified(BET, BET_PATH)
    outcomes = (Outcome(DECLINED, code, "bet-1", None, 5, "EUR"),)
    answer = json.loads(ADAPTER.encode(ADAPTER.decode(request, context), outcomes, context).body)
    assert answer["status"].startswith("RS_ERROR_")
    assert answer["balance"] == 5_000


# Through the edge


async def test_requests_reach_the_money_path_and_refusals_keep_http_200() -> None:
    money = Approving()
    hub88 = Hub88(money.submit)
    assert await hub88.status(BET_PATH, BET) == "RS_OK"
    assert (money.calls[0].token_hash, money.calls[0].rules.game_may_change) == (hash_api_key(TOKEN), True)
    forged = await hub88.gateway.send(BET_PATH, to_bytes(BET), {"x-hub88-signature": "x"})
    assert (forged.status, forged.json) == (200, {"status": "RS_ERROR_INVALID_SIGNATURE"})
    flood = await hub88.send(BET_PATH, to_bytes(BET | {"meta": "x" * 300_000}))
    assert (flood.status, flood.json) == (200, {"status": "RS_ERROR_WRONG_SYNTAX"})
    nowhere = await hub88.send("/transaction/other", BET)
    assert (nowhere.status, nowhere.json) == (200, {"status": "RS_ERROR_WRONG_SYNTAX"})
    assert (await hub88.gateway.send(BET_PATH, b"", {}, method="GET")).status == 200
    assert len(money.calls) == 1


async def test_a_crash_is_unknown_and_tells_nothing() -> None:
    money = Approving()
    money.error = RuntimeError("inside")
    received = await Hub88(money.submit).send(WIN_PATH, WIN)
    assert received.json == {
        "status": "RS_ERROR_UNKNOWN",
        "user": PLAYER,
        "request_uuid": WIN["request_uuid"],
    }


# Outbound


ORDER = LaunchOrder(**FIXTURES["launch"]["order"])
ATTEMPT = Attempt(timestamp_s=1, nonce="n" * 22)


def test_launch_is_signed_as_hub88_will_verify_it() -> None:
    request = ADAPTER.build_launch(ORDER, ACCOUNT, ATTEMPT)
    recorded = FIXTURES["launch"]["request"]
    assert request.url == "http://127.0.0.1:8710" + recorded["path"]
    assert (request.method, json.loads(request.body)) == (recorded["method"], recorded["body"])
    signature = dict(request.headers)[b"x-hub88-signature"]
    assert verify_rsa_body([OURS.public], request.body, signature) == OURS.id
    with pytest.raises(SignatureRefused):
        verify_rsa_body([OURS.public], request.body + b" ", signature)


def test_launch_leaves_out_what_is_not_known() -> None:
    bare = structs.replace(ORDER, locale=None, return_url=None, client=None, ip=None)
    body = json.loads(ADAPTER.build_launch(bare, ACCOUNT, ATTEMPT).body)
    assert not {"lobby_url", "ip"} & set(body)
    assert (body["platform"], body["lang"], body["operator_id"]) == ("GPL_DESKTOP", "en", 4711)
    text = structs.replace(ACCOUNT, settings={"operator_id": "casino-7"})
    assert json.loads(ADAPTER.build_launch(bare, text, ATTEMPT).body)["operator_id"] == "casino-7"


URL = "https://hub88.example/launch?game=1"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"url": URL, "more": 1}, Launched(URL)),
        (200, {"url": "javascript:alert(1)"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"url": "https://casino@evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"url": URL + "x" * 2_048}, LaunchUnknown("reply_not_understood")),
        (200, {"error": "x"}, LaunchUnknown("reply_not_understood")),
        (200, b"<html>", LaunchUnknown("reply_not_understood")),
        (400, {"error": "no such thing"}, LaunchRefused("bad_request")),
        (403, {"error": "country"}, LaunchRefused("not_enabled")),
        (404, {"error": "game"}, LaunchRefused("not_found")),
        (404, b"<html>", LaunchUnknown("status_404")),
        (401, {"error": "signature"}, LaunchUnknown("status_401")),
        (500, {"error": "x"}, LaunchUnknown("status_500")),
        (302, {"url": URL}, LaunchUnknown("status_302")),
    ],
)
def test_launch_is_opened_refused_or_unknown(status: int, body: Any, expected: object) -> None:
    assert ADAPTER.read_launch(ORDER, Reply(status, to_bytes(body), ())) == expected


def test_games_are_asked_for_and_read() -> None:
    request = ADAPTER.build_question(ListGames(), ACCOUNT, ATTEMPT)
    assert request is not None
    recorded = FIXTURES["game_list"]
    assert request.url == "http://127.0.0.1:8710" + recorded["request"]["path"]
    assert json.loads(request.body) == recorded["request"]["body"]
    assert verify_rsa_body([OURS.public], request.body, dict(request.headers)[b"x-hub88-signature"])
    answer = ADAPTER.read_answer(ListGames(), Reply(200, to_bytes(recorded["reply"]["body"]), ()))
    assert answer == GameList(tuple(OfferedGame(**game) for game in recorded["games"]))
    assert ADAPTER.build_question(ShowRound(round_id="r"), ACCOUNT, ATTEMPT) is None


def test_long_game_lists_are_read() -> None:
    games = [{"game_code": f"g{number}", "name": "n", "a": 1, "b": 2} for number in range(5_000)]
    answer = ADAPTER.read_answer(ListGames(), Reply(200, json.dumps(games).encode(), ()))
    assert isinstance(answer, GameList)
    assert len(answer.games) == 5_000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (TransportFault("timeout"), QuestionUnanswered("timeout")),
        (Reply(200, b"{}", ()), QuestionUnanswered("reply_not_understood")),
        (Reply(500, b"{}", ()), QuestionUnanswered("status_500")),
        (Reply(404, b'{"error":"operator"}', ()), QuestionRefused("not_found")),
    ],
)
def test_game_list_that_does_not_come_is_refused_or_unanswered(answer: Any, expected: object) -> None:
    assert ADAPTER.read_answer(ListGames(), answer) == expected


def test_launch_without_a_reply_is_unknown() -> None:
    assert ADAPTER.read_launch(ORDER, TransportFault("reset")) == LaunchUnknown("reset")


def test_every_currency_of_the_account_can_be_bet() -> None:
    for code in AssetRegistry().codes():
        assert bet_of(currency=code, amount=10 * 100_000).asset == code
