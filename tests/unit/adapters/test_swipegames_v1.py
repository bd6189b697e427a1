"""The Swipe Games API: recorded calls, statuses that decide about money, and what finance learns of a refusal."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from croupier.errors import CATALOGUE, UNAVAILABLE, UNKNOWN_SESSION, CroupierError, MoneyMoved
from croupier.ids import JOURNAL, parse_id
from croupier.ids import SESSION as SESSION_PREFIX
from croupier.moneypath.commands import Bet, ReadBalance, RefuseCredit, Rollback, Win, WinKind
from croupier.moneypath.outcomes import DECLINE_CODES, Outcome
from croupier.providers.adapters.swipegames_v1 import ADAPTER
from croupier.providers.adapters.swipegames_v1.adapter import OPERATIONS
from croupier.providers.adapters.swipegames_v1.answers import DECLINES, ERRORS
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
    Operation,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    Seat,
    ShowRound,
    TransportFault,
    Unseated,
)
from croupier.providers.wire_schemas import render_schemas, schema_folder
from croupier_signing import canonicalise, verify_canonical_body, verify_canonical_query
from unit.adapters.edge_driver import NOW, Approving
from unit.adapters.swipegames_v1_calls import (
    ACCOUNT,
    BET,
    BODIES,
    OURS,
    PLAYER,
    QUERY,
    REFUND,
    SEAT,
    SESSION,
    SESSION_TEXT,
    SWIPE,
    WIN,
    Swipe,
    decoded,
    raw_request,
    to_bytes,
    told,
    tx,
    unseated,
    verified,
)

FOLDER = schema_folder("swipegames_v1").parent
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("fixtures/*.json"))}
CALLS = [name for name, fixture in FIXTURES.items() if "outcomes" in fixture]
ERROR_FIXTURES = [name for name, fixture in FIXTURES.items() if "error" in fixture]
ATTEMPT = Attempt(timestamp_s=1, nonce="n" * 22)
CODES = {
    "game_not_found", "currency_not_supported", "locale_not_supported", "account_blocked", "bet_limit", "loss_limit",
    "time_limit", "insufficient_funds", "session_expired", "session_not_found", "client_connection_error",
}  # fmt: skip
"""All there are in the vendor's OpenAPI file."""


def outcome_of(recorded: dict[str, Any]) -> Outcome:
    journal = recorded["journal_id"]
    journal_id = None if journal is None else parse_id(JOURNAL, journal)
    decision_id = UUID(recorded["decision_id"])
    return Outcome(**recorded | {"journal_id": journal_id, "decision_id": decision_id})


def seat_of(recorded: dict[str, Any]) -> Seat:
    return Seat(**recorded | {"session_id": parse_id(SESSION_PREFIX, recorded["session_id"])})


def refused(body: dict[str, Any] | bytes, path: str = "/bet", seat: Seat = SEAT) -> DecodeRefused:
    with pytest.raises(DecodeRefused) as caught:
        decoded(body, path, seat)
    return caught.value


@pytest.mark.parametrize("name", CALLS)
def test_recorded_call_is_decoded_and_answered_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    request, reply = fixture["request"], fixture["reply"]
    sent = request.get("body") or request["query"]
    call = decoded(sent, request["path"], seat_of(fixture["seat"]))
    assert told(call) == fixture["actions"]
    _, context = verified(sent, request["path"])
    answer = ADAPTER.encode(call, tuple(outcome_of(one) for one in fixture["outcomes"]), context)
    assert (answer.status, json.loads(answer.body)) == (reply["status"], reply["body"])
    assert answer.headers == ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", ERROR_FIXTURES)
def test_recorded_error_is_written_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    error, reply = dict(fixture["error"]), fixture["reply"]
    failure = Failure(
        error=CroupierError(CATALOGUE[error.pop("code")], error.pop("detail"), **error),
        correlation_id="req-1",
        account=ACCOUNT,
        operation=None if fixture["operation"] is None else Operation(name=fixture["operation"]),
        echo=None if fixture["echo"] is None else UUID(fixture["echo"]),
    )
    answer = ADAPTER.encode_failure(failure)
    assert (answer.status, json.loads(answer.body)) == (reply["status"], reply["body"])


def test_every_operation_has_a_recorded_call() -> None:
    assert {FIXTURES[name]["request"]["path"].encode() for name in CALLS} == set(OPERATIONS)


def test_fixtures_hold_no_secrets() -> None:
    for path in FOLDER.glob("fixtures/*.json"):
        assert "secret" not in path.read_text().lower()
        assert SWIPE.secret.hex() not in path.read_text()


def test_schemas_on_disk_are_those_of_the_wire_structs() -> None:
    on_disk = {path.name: path.read_text() for path in schema_folder("swipegames_v1").glob("*.json")}
    assert on_disk == render_schemas("swipegames_v1")


def test_every_error_and_decline_has_an_answer_of_the_protocol() -> None:
    assert set(ERRORS) == set(CATALOGUE)
    assert set(DECLINES) == DECLINE_CODES
    for body in (*DECLINES.values(), *(body for _, body in ERRORS.values())):
        assert body.message.endswith(".")
        assert body.code is None or body.code in CODES
        assert body.action in (None, "refresh")


@pytest.mark.parametrize("operation", [None, "balance", "bet", "win", "refund"])
def test_what_may_have_moved_money_is_500_and_what_did_not_is_4xx(operation: str | None) -> None:
    """Only a wrong signature is final in spite of the catalogue: this attempt was not even read."""
    for code, kind in CATALOGUE.items():
        given = None if operation is None else Operation(name=operation)
        failure = Failure(
            error=CroupierError(kind, "inner words"),
            correlation_id="req-1",
            account=ACCOUNT,
            operation=given,
            echo=UUID(tx(3)) if operation == "refund" else None,
        )
        reply = ADAPTER.encode_failure(failure)
        is_unknown = kind.money_moved is MoneyMoved.UNKNOWN and code != "unauthenticated"
        is_done = operation == "refund" and kind is UNKNOWN_SESSION
        assert reply.status // 100 == (2 if is_done else 5 if is_unknown else 4), code
        if code not in ("malformed", "amount_not_representable"):
            assert b"inner words" not in reply.body


@pytest.mark.parametrize("code", sorted(DECLINE_CODES))
def test_a_decline_is_certain_and_so_never_500(code: str) -> None:
    (_, context), call = verified(BET), decoded(BET)
    answer = ADAPTER.encode(call, (Outcome("declined", code, tx(1), None, 1250, "EUR"),), context)
    assert answer.status == 400
    assert "balance" not in json.loads(answer.body)


@pytest.mark.parametrize("path", BODIES)
def test_every_bit_of_a_signed_body_counts(path: str) -> None:
    whole = raw_request(BODIES[path], path)
    signature = whole.headers[0][1]
    for at in range(len(whole.body) * 8):
        flipped = bytearray(whole.body)
        flipped[at // 8] ^= 1 << (at % 8)
        with pytest.raises(CroupierError) as caught:
            ADAPTER.verify(raw_request(bytes(flipped), path, signature=signature), ACCOUNT, NOW)
        assert caught.value.reason == "mismatch"


def test_every_bit_of_a_signed_query_counts_unless_it_means_the_same() -> None:
    whole = raw_request(QUERY, "/balance")
    signature = whole.headers[0][1]
    for at in range(len(whole.query) * 8):
        flipped = bytearray(whole.query)
        flipped[at // 8] ^= 1 << (at % 8)
        changed = raw_request(bytes(flipped), "/balance", signature=signature)
        with pytest.raises(CroupierError) as caught:
            ADAPTER.verify(changed, ACCOUNT, NOW)
        assert caught.value.kind.code == "unauthenticated"
    encoded = whole.query.replace(b"s", b"%73")
    same = ADAPTER.verify(raw_request(encoded, "/balance", signature=signature), ACCOUNT, NOW)
    assert same.key_id == SWIPE.id


@pytest.mark.parametrize("path", ["/balance", *BODIES])
@pytest.mark.parametrize(
    "change",
    [
        lambda signature: b"",
        lambda signature: signature[:-1],
        lambda signature: signature.upper(),
        lambda signature: b"0" * 64,
    ],
)
async def test_a_missing_cut_or_wrong_signature_is_401(path: str, change: Any) -> None:
    money = Approving()
    body = QUERY if path == "/balance" else BODIES[path]
    signature = change(raw_request(body, path).headers[0][1])
    raw = await Swipe(money.submit).send(path, body, signature=signature)
    # An empty signature means to the builder that none is sent.
    assert raw.status == 401
    assert money.calls == []


async def test_our_own_outbound_key_opens_nothing() -> None:
    money = Approving()
    assert (await Swipe(money.submit).send("/bet", BET, key=OURS)).status == 401
    assert money.calls == []


def test_unsigned_query_and_body_are_not_read() -> None:
    raw = structs.replace(raw_request(BET), query=b"amount=9999&txID=x")
    _, context = verified(BET)
    call = ADAPTER.decode(ADAPTER.verify(raw, ACCOUNT, NOW), context)
    assert isinstance(call, Unseated)
    assert call.complete(SEAT) == decoded(BET)
    question = structs.replace(raw_request(QUERY, "/balance"), body=to_bytes({"sessionID": "other"}))
    _, asked = verified(QUERY, "/balance")
    found = ADAPTER.decode(ADAPTER.verify(question, ACCOUNT, NOW), asked)
    assert isinstance(found, Unseated)
    assert found.session_id == SESSION


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/balance", 400), ("GET", "/bet", 400), ("POST", "/betwin", 404), ("POST", "/bet/", 404)],
)
def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    with pytest.raises(CroupierError) as caught:
        ADAPTER.operation(method, path.encode())
    failure = Failure(error=caught.value, correlation_id="req-1", account=ACCOUNT)
    assert ADAPTER.encode_failure(failure).status == status


@pytest.mark.parametrize(
    ("text", "minor"),
    [("0", 0), ("0.01", 1), ("1", 100), ("1.10000", 110), ("21474.84", 2_147_484), ("9" * 36, 10**38 - 100)],
)
def test_an_amount_is_exact(text: str, minor: int) -> None:
    for body, path in ((BET, "/bet"), (WIN, "/win")):
        (action,) = decoded(body | {"amount": text}, path).actions
        assert isinstance(action, Bet | Win)
        assert action.amount == minor


MALFORMED_AMOUNTS: list[Any] = [
    "-1", "+1", "01", "00", "1e2", "1E2000000000", ".5", "5.", "1,5", " 1", "1\n", "", "٣", "NaN", "1" * 65,
]  # fmt: skip


@pytest.mark.parametrize("amount", MALFORMED_AMOUNTS)
@pytest.mark.parametrize("path", BODIES)
def test_a_malformed_amount_is_refused_and_a_credit_told_to_finance(path: str, amount: Any) -> None:
    error = refused(BODIES[path] | {"amount": amount}, path)
    assert (error.kind.code, error.field) == ("malformed", "amount")
    assert (error.salvage is None) == (path == "/bet")
    if error.salvage is not None:
        assert (error.salvage.player_id, error.salvage.reference) == (PLAYER, BODIES[path]["txID"])


@pytest.mark.parametrize("amount", [1, 1.5, None, True, ["1"]])
@pytest.mark.parametrize("path", BODIES)
def test_an_amount_is_text(path: str, amount: Any) -> None:
    assert refused(BODIES[path] | {"amount": amount}, path).kind.code == "malformed"


@pytest.mark.parametrize(("asset", "amount"), [("EUR", "0.001"), ("JPY", "1.5"), ("EUR", "1" * 38)])
def test_an_amount_the_asset_cannot_hold_is_refused_and_never_rounded(asset: str, amount: str) -> None:
    seat = structs.replace(SEAT, asset=asset)
    for body, path in ((BET, "/bet"), (WIN, "/win")):
        for kind in ("regular", "free"):
            error = refused(body | {"amount": amount, "type": kind}, path, seat)
            assert error.kind.code == "amount_not_representable"


def test_a_win_in_a_currency_that_is_not_configured_any_more_is_told_to_finance() -> None:
    assert refused(WIN, "/win", structs.replace(SEAT, asset="XYZ")).salvage == RefuseCredit(
        player_id=PLAYER,
        reference=tx(2),
        code="unknown_asset",
        detail="win: the session's currency is not configured any more",
        amount_text="10",
    )


@given(st.integers(0, 10**38 - 1), st.sampled_from(["EUR", "JPY", "KWD", "ETH"]))
def test_a_balance_is_written_so_that_reading_it_gives_it_back(minor: int, asset: str) -> None:
    (_, context), seat = verified(BET), structs.replace(SEAT, asset=asset)
    answer = ADAPTER.encode(
        decoded(BET, seat=structs.replace(SEAT, asset="EUR")),
        (Outcome("approved", "ok", tx(1), None, minor, asset),),
        context,
    )
    text = json.loads(answer.body)["balance"]
    (win,) = decoded(WIN | {"amount": text}, "/win", seat).actions
    assert isinstance(win, Win)
    assert win.amount == minor


@pytest.mark.parametrize("kind", ["FREE", "bonus", "", None, 1])
def test_an_unknown_type_never_moves_money(kind: Any) -> None:
    for body, path in ((BET, "/bet"), (WIN, "/win")):
        assert refused(body | {"type": kind}, path).kind.code == "malformed"


@pytest.mark.parametrize("path", BODIES)
def test_required_members_are_required(path: str) -> None:
    for name in BODIES[path].keys() - ({"roundID"} if path == "/refund" else set()):
        body = {other: value for other, value in BODIES[path].items() if other != name}
        assert refused(body, path).kind.code == "malformed"


@pytest.mark.parametrize("name", ["txID", "origTxID", "roundID"])
def test_ids_of_theirs_are_uuids_and_their_spelling_does_not_matter(name: str) -> None:
    """A refund in capitals must find the bet in small letters: else it would be answered as unknown."""
    plain = decoded(REFUND, "/refund").actions
    assert decoded(REFUND | {name: REFUND[name].upper()}, "/refund").actions == plain
    for text in ("", "1", REFUND[name] + "0", f"{{{REFUND[name]}}}"):
        assert refused(REFUND | {name: text}, "/refund").kind.code == "malformed"


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_member_is_tolerated_and_reported(path: str) -> None:
    probed = decoded(BODIES[path] | {"zzProbe": 1}, path)
    assert probed.actions == decoded(BODIES[path], path).actions
    assert probed.oddities == (f"{path.removeprefix('/')}.zzProbe",)
    assert decoded({**QUERY, "more": "1"}, "/balance").oddities == ("balance.more",)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"txID":"a","txID":"b"}', b"\xff", b'{"amount":1e5}'])
@pytest.mark.parametrize("path", BODIES)
def test_what_two_readers_could_read_differently_is_refused(path: str, body: bytes) -> None:
    error = refused(body, path)
    assert (error.kind.code, error.salvage) == ("malformed", None)


def test_a_query_names_its_session_once() -> None:
    (action,) = decoded(QUERY, "/balance").actions
    assert action == ReadBalance(session_id=SESSION, player_id=PLAYER, asset="EUR")
    assert refused(b"session=1", "/balance").kind.code == "malformed"
    signature = raw_request(QUERY, "/balance").headers[0][1]
    twice = raw_request(b"sessionID=a&sessionID=b", "/balance", signature=signature)
    with pytest.raises(CroupierError) as caught:
        ADAPTER.verify(twice, ACCOUNT, NOW)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("path", BODIES)
def test_who_plays_is_looked_up_by_session_and_a_credit_also_by_reference(path: str) -> None:
    references = {"/bet": (), "/win": (tx(2),), "/refund": (tx(1), tx(3))}[path]
    call = unseated(BODIES[path], path)
    assert (call.session_id, call.references) == (SESSION, references)
    foreign = unseated(BODIES[path] | {"sessionID": "gs-4711"}, path)
    assert (foreign.session_id, foreign.references) == (None, references)
    assert BODIES[path]["sessionID"] == SESSION_TEXT


def test_free_bets_and_wins_are_notices() -> None:
    (bet,) = decoded(BET | {"type": "free", "frID": "campaign-1"}).actions
    (win,) = decoded(WIN | {"type": "free", "frID": "campaign-1"}, "/win").actions
    assert isinstance(bet, Bet)
    assert isinstance(win, Win)
    assert (bet.amount, win.amount, win.kind) == (0, 0, WinKind.WIN)


@pytest.mark.parametrize(
    ("more", "kind"),
    [({"frID": "campaign-1"}, WinKind.PROMO), ({}, WinKind.WIN), ({"frID": ""}, WinKind.WIN)],
)
def test_a_regular_win_of_a_campaign_is_its_pay_out(more: dict[str, str], kind: WinKind) -> None:
    (win,) = decoded(WIN | more, "/win").actions
    assert isinstance(win, Win)
    assert (win.amount, win.kind, win.close_round) == (1000, kind, True)


def test_a_repeated_win_means_the_same_whoever_was_found_by_session_or_by_reference() -> None:
    by_reference = Seat(player_id=PLAYER, asset="EUR")
    (win,), (again,) = decoded(WIN, "/win").actions, decoded(WIN, "/win", by_reference).actions
    assert isinstance(win, Win)
    assert isinstance(again, Win)
    assert structs.replace(win, session_id=None) == again


def test_a_refund_undoes_the_bet_as_it_was_recorded() -> None:
    (refund,) = decoded(REFUND | {"amount": "1"}, "/refund").actions
    assert isinstance(refund, Rollback)
    assert (refund.target_reference, refund.amount, refund.session_id) == (tx(1), None, None)
    (older,) = decoded({k: v for k, v in REFUND.items() if k != "roundID"}, "/refund").actions
    assert isinstance(older, Rollback)
    assert older.round_id is None


async def nobody(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> None:
    """Neither session nor reference is known."""


async def no_database(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> None:
    """Nobody can tell."""
    raise CroupierError(UNAVAILABLE, "the session could not be looked up in time")


async def test_nobodys_refund_is_done_and_nobodys_bet_is_refused() -> None:
    money = Approving()
    swipe = Swipe(money.submit, nobody)
    first = await swipe.ask("/refund", REFUND)
    assert first == await swipe.ask("/refund", REFUND)
    assert first != await swipe.ask("/refund", REFUND, txID=tx(4))
    assert first["balance"] == "0"
    for path in ("/bet", "/win"):
        assert await swipe.refusal(path, BODIES[path]) == (404, "session_not_found")
    assert (await swipe.send("/balance", QUERY)).status == 404
    # Only the win may leave somebody without money, and finance is told of it.
    (kept,) = (action for call in money.calls for action in call.actions)
    assert isinstance(kept, RefuseCredit)
    assert (kept.player_id, kept.reference, kept.code) == ("", tx(2), "unknown_session")


@pytest.mark.parametrize("path", BODIES)
async def test_a_lookup_that_fails_is_unknown_and_never_a_refusal(path: str) -> None:
    swipe = Swipe(Approving().submit, no_database)
    assert await swipe.refusal(path, BODIES[path]) == (500, None)


async def test_a_refused_credit_reaches_finance_and_a_bet_does_not() -> None:
    money = Approving()
    swipe = Swipe(money.submit)
    assert await swipe.refusal("/win", WIN, amount="0.001") == (400, None)
    assert await swipe.refusal("/bet", BET, amount="0.001") == (400, None)
    ((kept,),) = [call.actions for call in money.calls]
    assert isinstance(kept, RefuseCredit)
    assert kept.reference == tx(2)


def test_only_a_verified_request_is_decoded() -> None:
    request, context = verified(BET)
    with pytest.raises(TypeError):
        ADAPTER.decode(request.raw, context)  # type: ignore[arg-type]


ORDER = LaunchOrder(**FIXTURES["launch"]["order"])
URL = FIXTURES["launch"]["launch_url"]
OPENED = FIXTURES["launch"]["reply"]["body"]


def test_launch_is_canonical_and_signed_as_swipe_games_will_verify_it() -> None:
    request, recorded = ADAPTER.build_launch(ORDER, ACCOUNT, ATTEMPT), FIXTURES["launch"]["request"]
    assert (request.method, request.url) == (recorded["method"], recorded["url"])
    assert request.body == canonicalise(recorded["body"])
    assert verify_canonical_body([OURS], request.body, dict(request.headers)[b"x-request-sign"]) == OURS.id


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        (None, "en_us"),
        ("de", "de"),
        ("pt-BR", "pt_br"),
        ("zh-Hans-CN", "zh_cn"),
        ("es-419", "es"),
        ("x", "en_us"),
    ],
)
def test_launch_writes_the_locale_with_an_underscore(locale: str | None, expected: str) -> None:
    order = structs.replace(ORDER, locale=locale, client=None)
    body = json.loads(ADAPTER.build_launch(order, ACCOUNT, ATTEMPT).body)
    assert (body["locale"], body["platform"]) == (expected, "desktop")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, OPENED | {"more": 1}, Launched(URL)),
        (200, OPENED | {"gameURL": "javascript:alert(1)"}, LaunchUnknown("launch_url_not_usable")),
        (200, OPENED | {"gameURL": "https://a/" + "x" * 2048}, LaunchUnknown("reply_not_understood")),
        (200, {"gameURL": URL}, LaunchUnknown("reply_not_understood")),
        (200, b"<html>", LaunchUnknown("reply_not_understood")),
        (302, OPENED, LaunchUnknown("status_302")),
        (400, {"message": "no", "code": "currency_not_supported"}, LaunchRefused("currency_not_supported")),
        (404, {"message": "no"}, LaunchRefused("status_404")),
        (400, {"message": "no", "code": "<b>"}, LaunchUnknown("status_400")),
        (400, b"<html>", LaunchUnknown("status_400")),
        (401, {"message": "no"}, LaunchUnknown("status_401")),
        (500, {"message": "no"}, LaunchUnknown("status_500")),
    ],
)
def test_launch_is_opened_refused_or_unknown(status: int, body: Any, expected: object) -> None:
    reply = Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), ())
    assert ADAPTER.read_launch(ORDER, reply) == expected


def test_launch_without_a_reply_is_unknown() -> None:
    assert ADAPTER.read_launch(ORDER, TransportFault("timeout")) == LaunchUnknown("timeout")


def test_games_are_asked_for_signed_and_read() -> None:
    fixture = FIXTURES["list_games"]
    request = ADAPTER.build_question(ListGames(), ACCOUNT, ATTEMPT)
    assert request is not None
    assert (request.method, request.url) == (fixture["request"]["method"], fixture["request"]["url"])
    query = request.url.partition("?")[2].encode()
    assert verify_canonical_query([OURS], query, dict(request.headers)[b"x-request-sign"]) == OURS.id
    answer = ADAPTER.read_answer(ListGames(), Reply(200, json.dumps(fixture["reply"]["body"]).encode(), ()))
    assert isinstance(answer, GameList)
    assert [(game.id, game.title, list(game.assets)) for game in answer.games] == [
        (game["id"], game["title"], game["assets"]) for game in fixture["games"]
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(404, b"{}", ()), QuestionRefused("status_404")),
        (Reply(401, b"{}", ()), QuestionUnanswered("status_401")),
        (Reply(200, b'{"games":[]}', ()), QuestionUnanswered("reply_not_understood")),
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


def test_body_is_sent_in_canonical_form() -> None:
    assert to_bytes(BET) == to_bytes(dict(reversed(BET.items())))
