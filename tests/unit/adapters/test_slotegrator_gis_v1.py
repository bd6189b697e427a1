"""GIS: recorded calls, what the signature covers, what is refused, and what is told to whom."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from croupier.errors import CATALOGUE, CroupierError, MoneyMoved
from croupier.ids import JOURNAL, SESSION, parse_id
from croupier.money import Asset
from croupier.moneypath.commands import Bet, CloseRound, ReadBalance, RefuseCredit, Rollback, Win, WinKind
from croupier.moneypath.outcomes import DECLINE_CODES, DECLINED, Outcome
from croupier.providers.adapters.slotegrator_gis_v1 import ADAPTER
from croupier.providers.adapters.slotegrator_gis_v1.answers import DECLINES, ERRORS
from croupier.providers.contract import (
    Attempt,
    Decoded,
    DecodeRefused,
    EndSession,
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
    TransportFault,
)
from croupier.providers.wire_schemas import render_schemas, schema_folder
from croupier_signing import COVERAGES, SignatureRefused, read_form, verify_sorted_form
from unit.adapters.edge_driver import NOW, Approving, kind_of
from unit.adapters.slotegrator_gis_calls import (
    ACCOUNT,
    ALL,
    BALANCE,
    BET,
    GIS,
    MERCHANT,
    NOW_S,
    OURS,
    PLAYER,
    REFUND,
    ROLLBACK,
    SESSION_TEXT,
    STRANGER,
    WIN,
    Fields,
    Gis,
    actions,
    decoded,
    raw_request,
    signed_headers,
    undoing,
    verified,
    without,
)

FOLDER = schema_folder("slotegrator_gis_v1").parent
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("fixtures/*.json"))}
CALLS = [name for name, fixture in FIXTURES.items() if "actions" in fixture]
ERRORS_RECORDED = [name for name, fixture in FIXTURES.items() if "error" in fixture]
CREDITS = ("win", "refund", "rollback")


def outcome_of(recorded: dict[str, Any]) -> Outcome:
    journal = recorded["journal_id"]
    ids = {
        "journal_id": None if journal is None else parse_id(JOURNAL, journal),
        "decision_id": UUID(recorded["decision_id"]),
    }
    return Outcome(**{**recorded, **ids})


def written(action: object) -> dict[str, Any]:
    given = {name: value for name, value in msgspec.to_builtins(action).items() if value is not None}
    return {"action": type(action).__name__, **given}


def refusal(fields: Fields | bytes) -> DecodeRefused:
    with pytest.raises(DecodeRefused) as caught:
        decoded(fields)
    return caught.value


def refused_at_the_door(body: bytes, headers: dict[str, str] | None) -> str | None:
    with pytest.raises(CroupierError) as caught:
        ADAPTER.verify(raw_request(body, headers), ACCOUNT, NOW)
    assert kind_of(caught.value) == "unauthenticated"
    return caught.value.reason


@pytest.mark.parametrize("name", CALLS)
def test_recorded_call_is_decoded_and_answered_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    incoming, context = verified(fixture["request"]["form"].encode())
    call = ADAPTER.decode(incoming, context)
    assert isinstance(call, Decoded)
    assert (call.operation.name, call.player_id) == (fixture["operation"], PLAYER)
    assert [written(action) for action in call.actions] == fixture["actions"]
    assert list(call.oddities) == fixture.get("oddities", [])
    reply = ADAPTER.encode(call, tuple(outcome_of(one) for one in fixture["outcomes"]), context)
    assert (reply.status, reply.body.decode()) == (fixture["reply"]["status"], fixture["reply"]["body"])
    assert reply.headers == ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", ERRORS_RECORDED)
def test_recorded_error_is_written_as_recorded(name: str) -> None:
    error, reply = dict(FIXTURES[name]["error"]), FIXTURES[name]["reply"]
    raised = CroupierError(CATALOGUE[error.pop("code")], error.pop("detail"), **error)
    answer = ADAPTER.encode_failure(Failure(error=raised, correlation_id="req-1", account=ACCOUNT))
    assert (answer.status, answer.body.decode()) == (reply["status"], reply["body"])


def test_every_action_of_the_protocol_has_a_recorded_call() -> None:
    assert {FIXTURES[name]["operation"] for name in CALLS} == set(ALL)


def test_fixtures_hold_no_secrets() -> None:
    for path in FOLDER.glob("fixtures/*.json"):
        assert "secret" not in path.read_text().lower()


def test_schemas_on_disk_are_those_of_the_wire_structs() -> None:
    on_disk = {path.name: path.read_text() for path in schema_folder("slotegrator_gis_v1").glob("*.json")}
    assert on_disk == render_schemas("slotegrator_gis_v1")


def test_manifest_says_what_the_signing_profile_leaves_uncovered() -> None:
    manifest = ADAPTER.manifest
    assert manifest.id == FOLDER.name
    assert len(manifest.unsigned_parts) == len(COVERAGES[manifest.signing].uncovered)


@pytest.mark.parametrize("missing", ["X-Merchant-Id", "X-Timestamp", "X-Nonce", "X-Sign"])
def test_a_request_without_one_of_the_four_headers_is_refused(missing: str) -> None:
    body = urlencode(BET).encode()
    headers = signed_headers(body)
    assert refused_at_the_door(body, without(headers, missing)) == "missing"
    assert refused_at_the_door(body, {**headers, missing: ""}) == "missing"


@pytest.mark.parametrize("cut", [1, 20, 39])
def test_a_truncated_signature_is_refused(cut: int) -> None:
    body = urlencode(BET).encode()
    headers = signed_headers(body)
    assert refused_at_the_door(body, {**headers, "X-Sign": headers["X-Sign"][:cut]}) == "malformed"


def test_a_strangers_key_is_a_mismatch() -> None:
    body = urlencode(BET).encode()
    assert refused_at_the_door(body, signed_headers(body, key=STRANGER)) == "mismatch"


def test_no_bit_of_the_form_can_be_flipped() -> None:
    body = urlencode(BET).encode()
    headers = signed_headers(body)
    fields = read_form(body)
    for position in range(len(body) * 8):
        changed = bytearray(body)
        changed[position // 8] ^= 1 << (position % 8)
        if same_form(bytes(changed), fields):
            continue
        assert refused_at_the_door(bytes(changed), headers) in ("mismatch", "malformed")


def same_form(body: bytes, fields: tuple[tuple[str, str], ...]) -> bool:
    """Whether another spelling says the same, such as `%3a` for `%3A`: that is no forgery."""
    try:
        return read_form(body) == fields
    except SignatureRefused:
        return False


@pytest.mark.parametrize("name", ["X-Merchant-Id", "X-Timestamp", "X-Nonce", "X-Sign"])
def test_no_bit_of_a_signed_header_can_be_flipped(name: str) -> None:
    body = urlencode(BET).encode()
    headers = signed_headers(body)
    for position in range(len(headers[name]) * 8):
        changed = bytearray(headers[name].encode())
        changed[position // 8] ^= 1 << (position % 8)
        text = changed.decode("latin-1")
        assert refused_at_the_door(body, {**headers, name: text}) in ("mismatch", "malformed", "stale")


@pytest.mark.parametrize(("moved_s", "reason"), [(-31, "stale"), (31, "stale"), (-30, None), (30, None)])
def test_the_window_is_the_accounts(moved_s: int, reason: str | None) -> None:
    body = urlencode(BET).encode()
    headers = signed_headers(body, timestamp=str(NOW_S + moved_s))
    if reason is None:
        assert ADAPTER.verify(raw_request(body, headers), ACCOUNT, NOW).timestamp_s == NOW_S + moved_s
    else:
        assert refused_at_the_door(body, headers) == reason


def test_another_merchant_is_refused_even_with_the_right_key() -> None:
    body = urlencode(BET).encode()
    assert refused_at_the_door(body, signed_headers(body, merchant="merchant-8")) == "mismatch"
    unset = structs.replace(ACCOUNT, settings={})
    raw = raw_request(body, signed_headers(body, merchant="croupier"))
    assert ADAPTER.verify(raw, unset, NOW).key_id == GIS.id


@pytest.mark.parametrize("nonce", ["a" * 129, "a b", "a\x7f"])
def test_a_nonce_that_could_not_be_kept_is_refused(nonce: str) -> None:
    body = urlencode(BET).encode()
    assert refused_at_the_door(body, signed_headers(body, nonce=nonce)) == "malformed"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", b"/", "method_not_allowed"),
        ("PUT", b"/", "method_not_allowed"),
        ("POST", b"/bet", "unknown_path"),
        ("POST", b"", "unknown_path"),
        ("POST", b"//", "unknown_path"),
    ],
)
def test_there_is_one_path_and_one_method(method: str, path: bytes, code: str) -> None:
    with pytest.raises(CroupierError) as caught:
        ADAPTER.operation(method, path)
    assert kind_of(caught.value) == code


def test_only_a_verified_request_is_decoded() -> None:
    request, context = verified(BET)
    with pytest.raises(TypeError):
        ADAPTER.decode(request.raw, context)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["", "Bet", "betwin", "close", "bet "])
def test_an_unknown_action_is_refused(action: str) -> None:
    error = refusal({**BET, "action": action})
    assert (error.kind.code, error.field) == ("malformed", "action")


REQUIRED = {
    "balance": ("player_id", "currency"),
    "bet": ("amount", "currency", "game_uuid", "player_id", "transaction_id", "session_id", "type"),
    "win": ("amount", "currency", "game_uuid", "player_id", "transaction_id", "session_id", "type"),
    "refund": (
        "amount",
        "currency",
        "game_uuid",
        "player_id",
        "transaction_id",
        "session_id",
        "bet_transaction_id",
    ),
    "rollback": ("currency", "game_uuid", "player_id", "transaction_id", "session_id"),
}


@pytest.mark.parametrize(
    ("action", "field"), [(name, field) for name in REQUIRED for field in REQUIRED[name]]
)
def test_a_required_field_that_is_missing_or_empty_is_named(action: str, field: str) -> None:
    for fields in (without(ALL[action], field), {**ALL[action], field: ""}):
        error = refusal(fields)
        assert (error.kind.code, error.field) == ("malformed", field)


@pytest.mark.parametrize("name", ["player_id", "transaction_id", "game_uuid", "round_id"])
@pytest.mark.parametrize("text", ["a\n", "\x00", "a\x7fb", "\x9f", "x" * 129])
def test_names_have_no_control_characters_and_a_bounded_length(name: str, text: str) -> None:
    error = refusal({**BET, name: text})
    assert (error.kind.code, error.field) == ("malformed", name)


@pytest.mark.parametrize("amount", [
    "-1", "+1", "1e2", "1E2", "1.", ".5", "01.00", "1,00", " 1", "1 ", "NaN", "Infinity", "0x1", "١", "1_0",
    "1" + "0" * 40,
])  # fmt: skip
@pytest.mark.parametrize("action", ["bet", "win", "refund"])
def test_an_amount_that_is_no_plain_decimal_is_refused(action: str, amount: str) -> None:
    error = refusal({**ALL[action], "amount": amount})
    assert (error.kind.code, error.field) == ("malformed", "amount")


@pytest.mark.parametrize(("amount", "currency"), [("0.001", "EUR"), ("1.5000", "JPY"), ("1" * 39, "FUN")])
def test_an_amount_that_the_asset_cannot_hold_is_never_rounded(amount: str, currency: str) -> None:
    error = refusal({**BET, "amount": amount, "currency": currency})
    assert kind_of(error) == "amount_not_representable"


@pytest.mark.parametrize("text", ["21474.84", "42949672.96", "92233720368547758.08", "0.0000"])
def test_large_amounts_are_exact(text: str) -> None:
    (bet,) = actions({**BET, "amount": text})
    assert isinstance(bet, Bet)
    assert bet.amount == (0 if text == "0.0000" else int(text.replace(".", "")))


@given(minor=st.integers(0, 10**30), exponent=st.integers(0, 18))
def test_an_amount_survives_the_wire_and_a_balance_loses_only_what_is_finer(
    minor: int, exponent: int
) -> None:
    asset = Asset("TOK", exponent)
    whole, fraction = divmod(minor, 10**exponent)
    text = f"{whole}.{fraction:0{exponent}d}" if exponent else str(whole)
    account = structs.replace(ACCOUNT, assets=type(ACCOUNT.assets)((asset,)))
    incoming, context = verified({**BET, "currency": "TOK", "amount": text})
    context = structs.replace(context, account=account)
    call = ADAPTER.decode(incoming, context)
    assert isinstance(call, Decoded)
    (bet,) = call.actions
    assert isinstance(bet, Bet)
    assert bet.amount == minor
    answer = ADAPTER.encode(call, (Outcome("approved", "ok", "bet-1", None, minor, "TOK"),), context)
    shown = answer.body.decode().partition('"balance":')[2].partition(",")[0]
    assert shown == f"{whole}.{(f'{fraction:0{exponent}d}' if exponent else '').ljust(4, '0')[:4]}"


@pytest.mark.parametrize("currency", ["XXQ", "eur", "EURO", "€"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    assert kind_of(refusal({**BET, "currency": currency})) == "unknown_asset"


@pytest.mark.parametrize("text", ["ses_1", "01955000-0000-7000-8000-00000000002a", "bet_" + "0" * 32, "x"])
@pytest.mark.parametrize("action", sorted(ALL))
def test_a_session_that_is_none_of_ours_is_unknown(action: str, text: str) -> None:
    assert kind_of(refusal({**ALL[action], "session_id": text})) == "unknown_session"


@pytest.mark.parametrize(("text", "is_over"), [("1", True), ("true", True), ("0", False), ("false", False)])
def test_a_flag_is_what_php_writes(text: str, is_over: bool) -> None:
    assert len(actions({**BET, "finished": text})) == 1 + is_over
    assert len(actions({**REFUND, "finished": text})) == 1 + is_over
    (win,) = actions({**WIN, "finished": text})
    assert isinstance(win, Win)
    assert win.close_round is is_over


@pytest.mark.parametrize("text", ["", "2", "TRUE", "yes", "on", "null", "1 ", "01"])
@pytest.mark.parametrize("action", ["bet", "win", "refund"])
def test_any_other_flag_is_refused(action: str, text: str) -> None:
    error = refusal({**ALL[action], "finished": text})
    assert (error.kind.code, error.field) == ("malformed", "finished")


@pytest.mark.parametrize(
    ("action", "kind"),
    [("bet", "win"), ("bet", "promo"), ("bet", "Bet"), ("win", "bet"), ("win", "tournament")],
)
def test_an_unknown_type_moves_no_money(action: str, kind: str) -> None:
    error = refusal({**ALL[action], "type": kind})
    assert (error.kind.code, error.field) == ("malformed", "type")


def test_a_win_is_paid_from_where_its_type_says() -> None:
    kinds = []
    for kind in ("win", "jackpot", "freespin"):
        (win,) = actions({**WIN, "type": kind})
        assert isinstance(win, Win)
        kinds.append((win.kind, win.amount))
    assert kinds == [(WinKind.WIN, 356), (WinKind.JACKPOT, 356), (WinKind.PROMO, 356)]


def test_a_call_without_a_round_leaves_no_round_open() -> None:
    bet, close = actions(without(BET, "round_id"))
    assert isinstance(bet, Bet)
    assert isinstance(close, CloseRound)
    assert bet.round_id == close.round_id == "bet:bet-1"
    (win,) = actions({**without(WIN, "round_id"), "finished": "1"})
    assert isinstance(win, Win)
    assert (win.round_id, win.close_round) == (None, False)
    assert len(actions({**without(REFUND, "round_id"), "finished": "1"})) == 1


def test_the_retry_counter_changes_nothing_but_the_signature() -> None:
    for action, fields in ALL.items():
        first, third = (decoded({**fields, "casino_request_retry_count": count}) for count in ("0", "2"))
        assert first == third, action
        assert third.oddities == ()


def test_a_refund_must_name_its_bets_amount_unless_the_spin_was_free() -> None:
    amounts = []
    for changes in ({}, {"type": "freespin"}, {"freespin_id": "fs-1"}, {"freespin_id": ""}):
        (refund,) = actions({**REFUND, **changes})
        assert isinstance(refund, Rollback)
        amounts.append(refund.amount)
    assert amounts == [356, None, None, 356]


def test_refunds_are_reversed_before_wins_and_wins_before_bets() -> None:
    call = decoded(undoing(("bet", "1.0000", "b"), ("win", "2.0000", "w"), ("refund", "3.0000", "r")))
    targets = [action.target_reference for action in call.actions if isinstance(action, Rollback)]
    assert (targets, call.echo) == (["r", "w", "b"], ("b", "w", "r"))


def test_a_transaction_listed_twice_is_reversed_once_and_a_contradiction_is_kept() -> None:
    assert len(actions(undoing(("bet", "1.0000", "b"), ("bet", "1.00", "b")))) == 1
    contradicting = decoded(undoing(("bet", "1.0000", "b"), ("bet", "2.0000", "b")))
    assert len(contradicting.actions) == 2
    assert contradicting.echo == ("b",)


@pytest.mark.parametrize(
    "changes",
    [
        {"rollback_transactions[0][action]": "tip"},
        {"rollback_transactions[0][action]": ""},
        {"rollback_transactions[0][transaction_id]": ""},
        {"rollback_transactions[0][transaction_id]": "rollback:x"},
        {"rollback_transactions[0][amount]": "-1"},
        {"rollback_transactions[x][action]": "bet", "rollback_transactions[x][transaction_id]": "b"},
        {"rollback_transactions[-1][action]": "bet", "rollback_transactions[-1][transaction_id]": "b"},
        {"rollback_transactions[0x][transaction_id]": "b"},
        {"rollback_transactions2[0][transaction_id]": "b"},
    ],
)
def test_a_reversal_that_cannot_be_read_refuses_the_whole_list(changes: Fields) -> None:
    fields = {**undoing(("bet", "1.0000", "b")), **changes}
    error = refusal(fields)
    assert error.kind.code == "malformed"
    assert isinstance(error.salvage, RefuseCredit)


def test_a_rollback_of_nothing_is_refused() -> None:
    assert refusal(ROLLBACK).field == "rollback_transactions"


@pytest.mark.parametrize("action", ["bet", "win", "refund", "rollback"])
def test_ids_that_look_like_ours_are_refused(action: str) -> None:
    assert refusal({**ALL[action], "transaction_id": "rollback:x"}).field == "transaction_id"


def test_unknown_fields_are_reported_and_have_no_effect() -> None:
    extra = {"zz": "1", "meta[a][b]": "2", "rollback_transactions[0][note]": "3", "a" * 100: "4"}
    call = decoded({**ALL["rollback"], **extra})
    assert call.actions == actions(ALL["rollback"])
    assert call.oddities == (
        f"rollback.{'a' * 64}",
        "rollback.meta[a][b]",
        "rollback.rollback_transactions.note",
        "rollback.zz",
    )
    assert len(decoded({**BET, **{f"x{number}": "1" for number in range(50)}}).oddities) == 8


def test_a_balance_may_come_without_a_session() -> None:
    (read,) = actions(without(BALANCE, "session_id"))
    assert read == ReadBalance(session_id=None, player_id=PLAYER, asset="EUR")
    (seated,) = actions(BALANCE)
    assert isinstance(seated, ReadBalance)
    assert seated.session_id == parse_id(SESSION, SESSION_TEXT)


@pytest.mark.parametrize("action", CREDITS)
def test_a_refused_credit_reaches_finance_with_its_amount(action: str) -> None:
    salvage = refusal({**ALL[action], "currency": "XXQ"}).salvage
    assert isinstance(salvage, RefuseCredit)
    assert (salvage.player_id, salvage.code) == (PLAYER, "unknown_asset")
    assert salvage.reference == ALL[action]["transaction_id"]
    assert "3.5600" in salvage.amount_text


def test_nothing_is_owed_for_a_refused_bet_or_when_nobody_is_named() -> None:
    assert refusal({**BET, "currency": "XXQ"}).salvage is None
    assert refusal({**WIN, "player_id": "a\n"}).salvage is None
    assert refusal(without(WIN, "transaction_id")).salvage is None


def test_tables_of_answers_are_total() -> None:
    assert set(ERRORS) == set(CATALOGUE)
    assert set(DECLINES) == DECLINE_CODES


@pytest.mark.parametrize("code", CATALOGUE)
def test_what_is_unknown_cannot_be_read_as_a_decision(code: str) -> None:
    kind = CATALOGUE[code]
    error = CroupierError(kind, "inner words", field="amount", reason="stale", balance=(1, "EUR"))
    reply = ADAPTER.encode_failure(Failure(error=error, correlation_id="req-1", account=ACCOUNT))
    assert reply.status == (500 if kind.money_moved is MoneyMoved.UNKNOWN else 200)
    body = json.loads(reply.body)
    assert set(body) == {"error_code", "error_description"}
    assert body["error_code"] == "INTERNAL_ERROR"
    assert "inner" not in body["error_description"]


@pytest.mark.parametrize(
    ("reason", "status"),
    [("missing", 200), ("malformed", 200), ("mismatch", 200), ("stale", 500), ("replayed", 500)],
)
def test_a_request_that_may_be_a_copy_of_a_decided_one_is_not_called_refused(
    reason: str, status: int
) -> None:
    error = CroupierError(CATALOGUE["unauthenticated"], "inner words", reason=reason)
    assert ADAPTER.encode_failure(Failure(error=error, correlation_id="r", account=ACCOUNT)).status == status


def test_a_refused_credit_with_a_control_character_still_reaches_finance() -> None:
    with pytest.raises(DecodeRefused) as caught:
        decoded({**ALL["win"], "amount": "1.0\x00"})
    assert caught.value.salvage is not None
    assert caught.value.salvage.amount_text == "1.0?"


@pytest.mark.parametrize("code", [*sorted(DECLINE_CODES), "something_new"])
@pytest.mark.parametrize("action", ["bet", "win", "refund", "rollback"])
def test_only_a_lack_of_money_has_a_code_of_its_own(action: str, code: str) -> None:
    call = decoded(ALL[action])
    outcomes = tuple(Outcome(DECLINED, code, "r", None, 5, "EUR") for _ in call.actions)
    reply = ADAPTER.encode(call, outcomes, verified(ALL[action])[1])
    wanted = "INSUFFICIENT_FUNDS" if code == "insufficient_funds" else "INTERNAL_ERROR"
    assert (reply.status, json.loads(reply.body)["error_code"]) == (200, wanted)


def test_the_operators_id_of_a_rollback_does_not_depend_on_the_order_of_the_list() -> None:
    ids = set()
    first, second = ("win", "1.0000", "w"), ("bet", "2.0000", "b")
    journals = {"rollback:6:undo-1:w": UUID(int=7), "rollback:6:undo-1:b": UUID(int=8)}
    for targets in ((first, second), (second, first)):
        fields = undoing(*targets)
        call = decoded(fields)
        outcomes = tuple(
            Outcome("approved", "ok", action.reference, journals[action.reference], 5, "EUR", True)
            for action in call.actions
            if isinstance(action, Rollback)
        )
        body = json.loads(ADAPTER.encode(call, outcomes, verified(fields)[1]).body)
        ids.add(body["transaction_id"])
        assert body["rollback_transactions"] == [target[2] for target in targets]
    assert len(ids) == 1


async def test_the_edge_spends_the_nonce_and_names_the_operation() -> None:
    money = Approving()
    gis = Gis(money.submit)
    for name, fields in ALL.items():
        received = await gis.send(fields)
        assert received.status == 200, name
    assert [record.operation for record in gis.gateway.records] == list(ALL)
    assert all(call.nonce is not None and call.rules.undoes_rollbacks for call in money.calls)


async def test_other_media_types_and_long_bodies_are_refused_unread() -> None:
    gis = Gis(Approving().submit)
    body = urlencode(BET).encode()
    headers = {name.lower(): value for name, value in signed_headers(body).items()}
    assert (await gis.gateway.send("/", body, headers)).json["error_code"] == "INTERNAL_ERROR"
    assert gis.gateway.records[-1].code == "unsupported_media_type"
    await gis.send(urlencode({**BET, "more": "x" * 65_536}).encode())
    assert gis.gateway.records[-1].code == "body_too_large"


ORDER = LaunchOrder(**FIXTURES["launch"]["order"])
ATTEMPT = Attempt(timestamp_s=NOW_S, nonce="n" * 22)


def test_launch_is_signed_as_the_aggregator_will_verify_it() -> None:
    request = ADAPTER.build_launch(ORDER, ACCOUNT, ATTEMPT)
    recorded = FIXTURES["launch"]["request"]
    assert (request.method, request.url, request.body.decode()) == (
        recorded["method"],
        recorded["url"],
        recorded["form"],
    )
    headers = {name.decode(): value.decode() for name, value in request.headers}
    signed = {
        "X-Merchant-Id": MERCHANT,
        "X-Timestamp": str(NOW_S),
        "X-Nonce": headers["x-nonce"],
    }
    verify_sorted_form([OURS], read_form(request.body), signed, headers["x-sign"].encode())
    assert {name: headers[name.lower()] for name in signed} == signed
    assert len(headers["x-nonce"]) == 32
    assert set(headers["x-nonce"]) <= set("0123456789abcdef")
    assert headers["content-type"] == "application/x-www-form-urlencoded"


def test_every_attempt_has_its_own_nonce_and_the_same_form() -> None:
    one, other = (
        ADAPTER.build_launch(ORDER, ACCOUNT, Attempt(timestamp_s=NOW_S, nonce=nonce)) for nonce in ("a", "b")
    )
    assert one.body == other.body
    assert dict(one.headers)[b"x-nonce"] != dict(other.headers)[b"x-nonce"]


def test_launch_leaves_out_what_is_not_known() -> None:
    order = LaunchOrder(
        session_id=SESSION_TEXT, player_id="p", game_id="g", asset="EUR", country="MT", correlation_id="c"
    )
    form = dict(parse_qsl(ADAPTER.build_launch(order, ACCOUNT, ATTEMPT).body.decode()))
    assert set(form) == {"game_uuid", "player_id", "player_name", "currency", "session_id"}


def reply(status: int, body: object) -> Reply:
    return Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), ())


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"url": "https://play.example/x", "more": 1}, Launched("https://play.example/x")),
        (200, {"url": "javascript:alert(1)"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"url": "https://casino@evil.example/"}, LaunchUnknown("launch_url_not_usable")),
        (200, {"url": "https://a/" + "x" * 2048}, LaunchUnknown("reply_not_understood")),
        (200, {}, LaunchUnknown("reply_not_understood")),
        (200, b"<html>", LaunchUnknown("reply_not_understood")),
        (302, {"url": "https://play.example/x"}, LaunchUnknown("status_302")),
        (422, {"name": "Unprocessable entity", "status": 422}, LaunchRefused("Unprocessable entity")),
        (403, {"name": "Forbidden", "message": "m", "code": 0, "status": 403}, LaunchRefused("Forbidden")),
        (404, {"name": "Not Found", "status": 200}, LaunchUnknown("status_404")),
        (404, b"<html>", LaunchUnknown("status_404")),
        (400, {"name": "a\n", "status": 400}, LaunchUnknown("status_400")),
        (401, {"name": "Unauthorized", "status": 401}, LaunchUnknown("status_401")),
        (429, {"name": "Too many", "status": 429}, LaunchUnknown("status_429")),
        (500, {"name": "Internal", "status": 500}, LaunchUnknown("status_500")),
    ],
)
def test_launch_is_opened_refused_or_unknown(status: int, body: object, expected: object) -> None:
    assert ADAPTER.read_launch(ORDER, reply(status, body)) == expected


def test_what_got_no_reply_is_unknown() -> None:
    assert ADAPTER.read_launch(ORDER, TransportFault("timeout")) == LaunchUnknown("timeout")
    assert ADAPTER.read_answer(ListGames(), TransportFault("reset")) == QuestionUnanswered("reset")


def test_the_game_list_is_asked_for_with_signed_headers() -> None:
    request = ADAPTER.build_question(ListGames(), ACCOUNT, ATTEMPT)
    assert request is not None
    recorded = FIXTURES["list_games"]["request"]
    assert (request.method, request.url, request.body) == (recorded["method"], recorded["url"], b"")
    headers = {name.decode(): value.decode() for name, value in request.headers}
    signed = {
        "X-Merchant-Id": MERCHANT,
        "X-Timestamp": headers["x-timestamp"],
        "X-Nonce": headers["x-nonce"],
    }
    verify_sorted_form([OURS], (), signed, headers["x-sign"].encode())


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            200,
            FIXTURES["list_games"]["reply"]["body"],
            GameList((OfferedGame(id="a8f5f167f44f4964e6c998dee827110c", title="Dice"),)),
        ),
        (200, {"items": []}, GameList(())),
        (200, {"items": [], "_meta": {"pageCount": 2}}, QuestionUnanswered("list_has_pages")),
        (200, {"items": [{"uuid": ""}]}, QuestionUnanswered("reply_not_understood")),
        (200, b"[]", QuestionUnanswered("reply_not_understood")),
        (403, {}, QuestionRefused("status_403")),
        (500, {}, QuestionUnanswered("status_500")),
    ],
)
def test_a_game_list_is_whole_or_unanswered(status: int, body: object, expected: object) -> None:
    assert ADAPTER.read_answer(ListGames(), reply(status, body)) == expected


def test_nothing_else_can_be_asked() -> None:
    question = EndSession(session_id=SESSION_TEXT, player_id=PLAYER)
    assert ADAPTER.build_question(question, ACCOUNT, ATTEMPT) is None
    assert ADAPTER.read_answer(question, reply(200, {})) == QuestionUnanswered("not_asked")
