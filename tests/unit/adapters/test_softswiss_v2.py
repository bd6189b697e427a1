"""The Beexar contract: recorded calls, what is refused and how, and what finance learns of it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from croupier.errors import CATALOGUE, CroupierError, MoneyMoved
from croupier.ids import JOURNAL, parse_id
from croupier.moneypath.commands import Bet, CloseRound, ReadBalance, RefuseCredit, Rollback, Win
from croupier.moneypath.outcomes import DECLINE_CODES, Outcome
from croupier.providers.adapters.softswiss_v2 import ADAPTER
from croupier.providers.adapters.softswiss_v2.adapter import OPERATIONS
from croupier.providers.adapters.softswiss_v2.answers import DECLINES, ERRORS, MESSAGES, NEEDS_BALANCE
from croupier.providers.adapters.softswiss_v2.manifest import BODY_BYTES
from croupier.providers.contract import (
    Attempt,
    Decoded,
    DecodeRefused,
    Failure,
    GameList,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    ListGames,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    ShowRound,
    TransportFault,
)
from croupier.providers.wire_schemas import render_schemas, schema_folder
from croupier_signing import verify_raw_hmac
from unit.adapters.edge_driver import NOW, Approving
from unit.adapters.softswiss_v2_calls import (
    ACCOUNT,
    BALANCE,
    BODIES,
    FINISH,
    OURS,
    PLAYER,
    SESSION,
    Beexar,
    betwin,
    decoded,
    prize,
    raw_request,
    rollback,
    stake,
    to_bytes,
    told,
    undoing,
    verified,
)

FOLDER = schema_folder("softswiss_v2").parent
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("fixtures/*.json"))}
CALLS = [name for name, fixture in FIXTURES.items() if "outcomes" in fixture]
ERROR_FIXTURES = [name for name, fixture in FIXTURES.items() if "error" in fixture]
ATTEMPT = Attempt(timestamp_s=1, nonce="n" * 22)


def outcome_of(recorded: dict[str, Any]) -> Outcome:
    journal = recorded["journal_id"]
    journal_id = None if journal is None else parse_id(JOURNAL, journal)
    decision_id = UUID(recorded["decision_id"])
    return Outcome(**recorded | {"journal_id": journal_id, "decision_id": decision_id})


def refused(body: dict[str, Any] | bytes, path: str = "/betwin") -> DecodeRefused:
    with pytest.raises(DecodeRefused) as caught:
        decoded(body, path)
    return caught.value


@pytest.mark.parametrize("name", CALLS)
def test_recorded_call_is_decoded_and_answered_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    request, reply = fixture["request"], fixture["reply"]
    incoming, context = verified(request["body"], request["path"])
    call = ADAPTER.decode(incoming, context)
    assert isinstance(call, Decoded)
    assert told(call) == fixture["actions"]
    answer = ADAPTER.encode(call, tuple(outcome_of(one) for one in fixture["outcomes"]), context)
    assert (answer.status, json.loads(answer.body)) == (reply["status"], reply["body"])
    assert answer.headers == ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", ERROR_FIXTURES)
def test_recorded_error_is_written_as_recorded(name: str) -> None:
    error, reply = dict(FIXTURES[name]["error"]), FIXTURES[name]["reply"]
    raised = CroupierError(CATALOGUE[error.pop("code")], error.pop("detail"), **error)
    answer = ADAPTER.encode_failure(Failure(error=raised, correlation_id="req-1", account=ACCOUNT))
    assert (answer.status, json.loads(answer.body)) == (reply["status"], reply["body"])


def test_every_operation_has_a_recorded_call() -> None:
    assert {FIXTURES[name]["request"]["path"].encode() for name in CALLS} == set(OPERATIONS)


def test_fixtures_hold_no_secrets() -> None:
    for path in FOLDER.glob("fixtures/*.json"):
        assert "secret" not in path.read_text().lower()
        assert "sign" not in path.read_text().lower().replace("signature", "")


def test_schemas_on_disk_are_those_of_the_wire_structs() -> None:
    on_disk = {path.name: path.read_text() for path in schema_folder("softswiss_v2").glob("*.json")}
    assert on_disk == render_schemas("softswiss_v2")


def test_every_error_and_decline_has_a_code_with_a_text() -> None:
    assert set(ERRORS) == set(CATALOGUE)
    assert set(DECLINES) == DECLINE_CODES
    assert {code for _, code in ERRORS.values()} | set(DECLINES.values()) <= set(MESSAGES)


def test_only_a_wrong_signature_is_final_while_money_is_unknown() -> None:
    for code, (status, _) in ERRORS.items():
        is_unknown = CATALOGUE[code].money_moved is MoneyMoved.UNKNOWN and code != "unauthenticated"
        assert status == (500 if is_unknown else 400), code


@pytest.mark.parametrize("code", sorted(DECLINE_CODES))
def test_a_decline_is_final_and_carries_the_balance_where_its_code_requires_it(code: str) -> None:
    (_, context), call = verified(betwin()), decoded(betwin())
    answer = ADAPTER.encode(call, (Outcome("declined", code, "bet-1", None, 1250, "EUR"),), context)
    meta = json.loads(answer.body)["meta"]
    assert answer.status == 400
    assert meta.get("balance") == ("12.50" if meta["api_code"] in NEEDS_BALANCE else None)


@pytest.mark.parametrize("path", BODIES)
def test_every_bit_of_a_signed_body_counts(path: str) -> None:
    whole = raw_request(BODIES[path], path)
    signature = whole.headers[0][1]
    for at in range(len(whole.body) * 8):
        flipped = bytearray(whole.body)
        flipped[at // 8] ^= 1 << (at % 8)
        with pytest.raises(CroupierError) as caught:
            ADAPTER.verify(raw_request(bytes(flipped), path, signature), ACCOUNT, NOW)
        assert caught.value.reason == "mismatch"


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: b"",
        lambda signature: signature[:-1],
        lambda signature: signature + b"0",
        lambda signature: signature.upper(),
        lambda signature: b"0" * 64,
        lambda signature: b" " + signature,
        lambda signature: b"\xff" * 64,
    ],
)
async def test_a_missing_cut_or_wrong_signature_is_400_with_code_403(change: Any) -> None:
    money = Approving()
    beexar = Beexar(money.submit)
    data = to_bytes(betwin())
    signature = change(raw_request(data).headers[0][1])
    headers = {"x-request-sign": signature.decode("latin-1")} if signature else {}
    received = await beexar.gateway.send("/betwin", data, headers)
    assert (received.status, received.json["meta"]["api_code"]) == (400, "403")
    assert money.calls == []


async def test_a_body_beyond_64_kib_is_a_bad_request_whatever_its_signature() -> None:
    beexar = Beexar(Approving().submit)
    longest = to_bytes(betwin()).ljust(BODY_BYTES)
    assert (await beexar.send("/betwin", longest)).status == 200
    assert await beexar.refusal("/betwin", longest + b" ") == (400, "400", None)
    unsigned = await beexar.gateway.send("/betwin", longest + b" ", {})
    assert (unsigned.status, unsigned.json["meta"]["api_code"]) == (400, "400")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/betwin", "400"), ("POST", "/bet", "404"), ("POST", "/betwin/", "404"), ("POST", "", "404")],
)
async def test_other_paths_and_methods_are_refused_in_the_envelope(method: str, path: str, code: str) -> None:
    beexar = Beexar(Approving().submit)
    received = await beexar.gateway.send(path, b"{}", {}, method=method)
    assert (received.status, received.json["meta"]["api_code"]) == (400, code)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("0.01", 1),
        ("1", 100),
        ("007.50", 750),
        ("1.1000000000000000", 110),
        ("21474.84", 2_147_484),
        ("9" * 36, int("9" * 36 + "00")),
    ],
)
def test_an_amount_is_exact(text: str, minor: int) -> None:
    (bet,) = decoded(betwin(stake(amount=text))).actions
    assert isinstance(bet, Bet)
    assert bet.amount == minor


MALFORMED_AMOUNTS: list[Any] = [
    "0", "0.00", "-1", "+1", "1e2", "1E2000000000", ".5", "5.", "1,5", " 1", "1 ", "1\n", "", "٣", "0x10", "NaN",
    "1.12345678901234567", "1" * 41, 1, 1.5, None, True, ["1"],
]  # fmt: skip


@pytest.mark.parametrize("amount", MALFORMED_AMOUNTS)
def test_a_malformed_amount_is_refused(amount: Any) -> None:
    for transaction in (stake(), prize()):
        error = refused(betwin(transaction | {"amount": amount}))
        assert error.kind.code == "malformed"
        assert "amount" in (error.field or "")


@pytest.mark.parametrize(("currency", "amount"), [("EUR", "0.001"), ("JPY", "1.5"), ("EUR", "1" * 38)])
def test_an_amount_the_asset_cannot_hold_is_refused_and_never_rounded(currency: str, amount: str) -> None:
    error = refused(betwin(prize(amount=amount), currency=currency))
    assert error.kind.code == "amount_not_representable"
    assert error.salvage is not None
    assert error.salvage.amount_text == amount


@given(st.integers(1, 10**38 - 1), st.sampled_from(["EUR", "JPY", "KWD", "CUSTOM_WIN"]))
def test_a_balance_is_written_so_that_reading_it_gives_it_back(minor: int, currency: str) -> None:
    body = betwin(currency=currency)
    call, (_, context) = decoded(betwin(stake(amount="1"), currency=currency)), verified(body)
    answer = ADAPTER.encode(call, (Outcome("approved", "ok", "bet-1", None, minor, currency),), context)
    text = json.loads(answer.body)["balance"]
    (bet,) = decoded(betwin(stake(amount=text), currency=currency)).actions
    assert isinstance(bet, Bet)
    assert bet.amount == minor


def test_a_balance_finer_than_sixteen_decimals_is_cut() -> None:
    (_, context), call = verified(BALANCE, "/balance"), decoded(BALANCE | {"currency": "ETH"}, "/balance")
    answer = ADAPTER.encode(call, (Outcome("approved", "ok", "", None, 10**18 + 199, "ETH"),), context)
    assert json.loads(answer.body) == {"balance": "1.0000000000000001"}


@pytest.mark.parametrize("path", BODIES)
def test_a_currency_is_upper_case_and_known(path: str) -> None:
    for currency in ("eur", "Eur", "EU", "1EUR", "EUR ", "E" * 33, ""):
        assert refused(BODIES[path] | {"currency": currency}, path).kind.code == "malformed"
    assert refused(BODIES[path] | {"currency": "XYZ"}, path).kind.code == "unknown_asset"


@pytest.mark.parametrize("path", BODIES)
def test_required_members_are_required(path: str) -> None:
    optional = {"session_id"} | ({"finished"} if path == "/betwin" else set())
    for name in BODIES[path].keys() - optional:
        body = {other: value for other, value in BODIES[path].items() if other != name}
        assert refused(body, path).field == name
        assert refused(BODIES[path] | {name: None}, path).kind.code == "malformed"


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_member_is_tolerated_and_reported(path: str) -> None:
    known = decoded(BODIES[path], path)
    probed = decoded(BODIES[path] | {"zz_probe": {"deep": [1]}}, path)
    name = path.removeprefix("/")
    assert known.oddities == ()
    assert probed.actions == known.actions
    assert probed.oddities == (f"{name}.deep", f"{name}.zz_probe")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b'{"account_id":"a","account_id":"b"}', b"\xff", b"NaN",
        to_bytes(betwin()).replace(b'"3.56"', b'"3.56","amount":"9.99"'),
        to_bytes(betwin()).replace(b'"3.56"', b"3.56"),
        to_bytes(betwin()).replace(b'"bet-1"', b'"bet\\u0000"'),
    ],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(body: bytes) -> None:
    assert refused(body).kind.code == "malformed"


@pytest.mark.parametrize("kind", ["rollback", "BET", "tip", "", None, 1])
def test_an_unknown_type_never_moves_money(kind: Any) -> None:
    assert refused(betwin(stake(), stake("bet-2") | {"type": kind})).kind.code == "malformed"
    if kind != "rollback":
        assert refused(rollback(undoing() | {"type": kind}), "/rollback").kind.code == "malformed"


def test_a_batch_has_at_least_one_transaction() -> None:
    assert refused(betwin() | {"transactions": []}).kind.code == "malformed"
    assert refused(rollback() | {"transactions": []}, "/rollback").kind.code == "malformed"


@pytest.mark.parametrize(
    "text", ["", "x", "ses_0195500000007000800000000000002a", f"{{{SESSION}}}", SESSION.hex]
)
def test_a_session_that_is_not_ours_is_unknown_except_to_a_rollback(text: str) -> None:
    for path in ("/balance", "/betwin", "/finish"):
        assert refused(BODIES[path] | {"session_id": text}, path).kind.code == "unknown_session"
    (action,) = decoded(rollback(session_id=text), "/rollback").actions
    assert isinstance(action, Rollback)
    assert action.session_id is None


def test_a_session_may_be_left_out() -> None:
    for session in ({}, {"session_id": None}):
        place = {name: value for name, value in betwin().items() if name != "session_id"} | session
        (bet,) = decoded(place).actions
        assert isinstance(bet, Bet)
        assert bet.session_id is None
    (balance,) = decoded(BALANCE, "/balance").actions
    assert balance == ReadBalance(session_id=SESSION, player_id=PLAYER, asset="EUR")


def test_a_batch_keeps_its_order_and_ends_its_round_last() -> None:
    actions = decoded(betwin(prize("w"), stake("b"), prize("w2"), finished=True)).actions
    assert [type(action) for action in actions] == [Win, Bet, Win, CloseRound]
    assert not isinstance(decoded(betwin(finished=False)).actions[-1], CloseRound)
    (finish,) = decoded(FINISH, "/finish").actions
    assert actions[-1] == structs.replace(finish, target_reference="w2")


def test_the_end_of_a_round_has_no_id_that_could_be_somebody_elses() -> None:
    (finish,) = decoded(FINISH, "/finish").actions
    assert isinstance(finish, CloseRound)
    assert finish.reference is None


def test_a_recorded_batch_does_not_close_its_round_at_finish() -> None:
    assert refused(betwin(), "/finish").field == "transactions"


def test_a_finished_rollback_closes_nothing() -> None:
    assert [type(action) for action in decoded(rollback(finished=True), "/rollback").actions] == [Rollback]


def test_a_refused_credit_is_told_to_finance() -> None:
    mixed = betwin(stake(), prize("w1", "5"), prize("w2", "7"), session_id="x")
    assert refused(mixed).salvage == RefuseCredit(
        player_id=PLAYER,
        reference="w1",
        code="unknown_session",
        detail="betwin with 2 credits: no session has this id",
        amount_text="5, 7",
    )
    undone = refused(rollback(currency="XYZ"), "/rollback").salvage
    assert undone is not None
    assert (undone.reference, undone.amount_text) == ("back-1", "not given")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (betwin(session_id="x"), "/betwin"),
        (BALANCE | {"currency": "XYZ"}, "/balance"),
        (b"{", "/betwin"),
        (b'{"transactions":7}', "/betwin"),
        (betwin(prize(), currency="XYZ", account_id=7), "/betwin"),
        (betwin(prize() | {"id_provider": ""}, currency="XYZ"), "/betwin"),
    ],
)
def test_what_is_no_credit_or_names_nobody_is_not_told(body: Any, path: str) -> None:
    assert refused(body, path).salvage is None


def test_a_repeat_within_a_batch_tells_the_balance_of_the_batch() -> None:
    body = betwin(stake("a", "1"), prize("w", "5"), stake("a", "1"))
    outcomes = (
        Outcome("approved", "ok", "a", None, 900, "EUR"),
        Outcome("approved", "ok", "w", None, 1400, "EUR"),
        Outcome("approved", "ok", "a", None, 900, "EUR"),
    )
    answer = ADAPTER.encode(decoded(body), outcomes, verified(body)[1])
    assert json.loads(answer.body)["balance"] == "14.00"


def test_only_a_verified_request_is_decoded() -> None:
    request, context = verified(betwin())
    with pytest.raises(TypeError):
        ADAPTER.decode(request.raw, context)  # type: ignore[arg-type]


ORDER = LaunchOrder(**FIXTURES["launch"]["order"])
URL = FIXTURES["launch"]["launch_url"]


def test_launch_is_signed_as_beexar_will_verify_it() -> None:
    request, recorded = ADAPTER.build_launch(ORDER, ACCOUNT, ATTEMPT), FIXTURES["launch"]["request"]
    assert (request.method, request.url) == (recorded["method"], recorded["url"])
    assert json.loads(request.body) == recorded["body"]
    assert verify_raw_hmac([OURS], request.body, dict(request.headers)[b"x-request-sign"]) == OURS.id


@pytest.mark.parametrize(
    ("locale", "client", "expected"),
    [
        (None, None, {}),
        ("en", "desktop", {"locale": "en", "client_type": "desktop"}),
        ("zh-Hans-CN", "tablet", {"locale": "zh", "client_type": "mobile"}),
        ("en-soc", "tv", {"locale": "en-soc"}),
        ("fil", "", {}),
    ],
)
def test_launch_says_only_what_the_launcher_takes(locale: Any, client: Any, expected: Any) -> None:
    order = LaunchOrder(
        session_id=ORDER.session_id,
        player_id="p",
        game_id="g",
        asset="EUR",
        country="MT",
        correlation_id="c",
        locale=locale,
        client=client,
    )
    body = json.loads(ADAPTER.build_launch(order, ACCOUNT, ATTEMPT).body)
    always = {"casino_id", "game", "account", "session_id"}
    assert {name: value for name, value in body.items() if name not in always} == expected


REFUSAL = {"code": "invalid_argument", "msg": "no", "meta": {"api_code": "405", "api_message": "no"}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"launch_url": URL, "more": 1}, Launched(URL)),
        (200, {"launch_url": "javascript:alert(1)"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"launch_url": "https://casino@evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"launch_url": "https://a/" + "x" * 2048}, LaunchUnknown("reply_not_understood")),
        (200, b"<html>", LaunchUnknown("reply_not_understood")),
        (201, {"launch_url": URL}, LaunchUnknown("status_201")),
        (302, {"launch_url": URL}, LaunchUnknown("status_302")),
        (400, REFUSAL, LaunchRefused("api_code_405")),
        (403, REFUSAL | {"meta": {"api_code": "403"}}, LaunchRefused("api_code_403")),
        (400, REFUSAL | {"meta": {"api_code": "503"}}, LaunchUnknown("api_code_503")),
        (400, REFUSAL | {"meta": {"api_code": "<b>"}}, LaunchUnknown("status_400")),
        (404, REFUSAL, LaunchUnknown("status_404")),
        (400, b"<html>", LaunchUnknown("status_400")),
        (500, REFUSAL, LaunchUnknown("status_500")),
    ],
)
def test_launch_is_opened_refused_or_unknown(status: int, body: Any, expected: object) -> None:
    assert ADAPTER.read_launch(ORDER, Reply(status, to_bytes(body), ())) == expected


def test_launch_without_a_reply_is_unknown() -> None:
    assert ADAPTER.read_launch(ORDER, TransportFault("timeout")) == LaunchUnknown("timeout")


def test_games_are_asked_for_and_read() -> None:
    fixture = FIXTURES["list_games"]
    request = ADAPTER.build_question(ListGames(), ACCOUNT, ATTEMPT)
    assert request is not None
    assert (request.method, request.url) == (fixture["request"]["method"], fixture["request"]["url"])
    answer = ADAPTER.read_answer(ListGames(), Reply(200, to_bytes(fixture["reply"]["body"]), ()))
    assert isinstance(answer, GameList)
    assert [(game.id, game.title, list(game.assets)) for game in answer.games] == [
        (game["id"], game["title"], game["assets"]) for game in fixture["games"]
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(404, b"{}", ()), QuestionRefused("status_404")),
        (Reply(500, b"{}", ()), QuestionUnanswered("status_500")),
        (Reply(200, b'{"games":{}}', ()), QuestionUnanswered("reply_not_understood")),
        (TransportFault("timeout"), QuestionUnanswered("timeout")),
    ],
)
def test_games_without_a_usable_answer(reply: Reply | TransportFault, expected: object) -> None:
    assert ADAPTER.read_answer(ListGames(), reply) == expected


def test_nothing_else_is_asked() -> None:
    assert ADAPTER.build_question(ShowRound(round_id="r"), ACCOUNT, ATTEMPT) is None
    assert ADAPTER.read_answer(ShowRound(round_id="r"), TransportFault("x")) == QuestionUnanswered(
        "not_asked"
    )
