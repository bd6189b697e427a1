"""The native protocol: recorded requests and replies, readings that are not obvious, and launches."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from provider_edge import (
    ACCOUNT,
    BET,
    BET_WIN,
    CLOSE_ROUND,
    CONTRACT,
    KEY,
    NOW_S,
    ROLLBACK,
    SESSION_TEXT,
    WIN,
    to_bytes,
    verified,
    without,
)

from croupier.errors import CATALOGUE, CroupierError
from croupier.ids import JOURNAL, SESSION, parse_id
from croupier.moneypath.commands import Action, Bet, CloseRound, Rollback, Win, WinKind
from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.croupier_v1 import ADAPTER, wire
from croupier.providers.adapters.croupier_v1.adapter import OPERATIONS
from croupier.providers.contract import (
    Attempt,
    Decoded,
    DecodeRefused,
    Failure,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    Reply,
    TransportFault,
)
from croupier.providers.wire_schemas import render_schemas, schema_folder
from croupier_signing import parse_authorization, verify_native

FOLDER = schema_folder("croupier_v1").parent
FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("fixtures/*.json"))}
CALLS = [name for name, fixture in FIXTURES.items() if "outcomes" in fixture]
PROBLEMS = [name for name, fixture in FIXTURES.items() if "error" in fixture]


def outcome_of(recorded: dict[str, Any]) -> Outcome:
    journal = recorded["journal_id"]
    journal_id = None if journal is None else parse_id(JOURNAL, journal)
    return Outcome(**recorded | {"journal_id": journal_id})


def decoded(body: dict[str, Any] | bytes, operation: str) -> tuple[Action, ...]:
    call = ADAPTER.decode(*verified(body, operation))
    assert isinstance(call, Decoded)
    return call.actions


def refusal(body: dict[str, Any] | bytes, operation: str) -> CroupierError:
    with pytest.raises(DecodeRefused) as caught:
        decoded(body, operation)
    return caught.value


@pytest.mark.parametrize("name", CALLS)
def test_recorded_call_is_decoded_and_answered_as_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    request, reply = fixture["request"], fixture["reply"]
    incoming, context = verified(request["body"], request["path"].removeprefix("/v1/"))
    call = ADAPTER.decode(incoming, context)
    assert isinstance(call, Decoded)
    assert call.player_id == request["body"]["player_id"]
    answer = ADAPTER.encode(call, tuple(outcome_of(recorded) for recorded in fixture["outcomes"]), context)
    assert (answer.status, json.loads(answer.body)) == (reply["status"], reply["body"])
    assert answer.headers == ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", PROBLEMS)
def test_recorded_error_is_written_as_recorded(name: str) -> None:
    error, reply = dict(FIXTURES[name]["error"]), FIXTURES[name]["reply"]
    raised = CroupierError(CATALOGUE[error.pop("code")], error.pop("detail"), **error)
    answer = ADAPTER.encode_failure(Failure(error=raised, correlation_id="req-1", account=ACCOUNT))
    assert (answer.status, json.loads(answer.body)) == (reply["status"], reply["body"])
    headers = {header.decode(): value.decode() for header, value in answer.headers}
    assert headers == reply["headers"]


def test_every_operation_has_a_recorded_call() -> None:
    recorded = {FIXTURES[name]["request"]["path"].encode() for name in CALLS}
    assert recorded == set(OPERATIONS)


def test_schemas_on_disk_are_those_of_the_wire_structs() -> None:
    on_disk = {path.name: path.read_text() for path in schema_folder("croupier_v1").glob("*.json")}
    assert on_disk == render_schemas("croupier_v1")


@pytest.mark.parametrize("name", ["balance", "bet", "win", "bet-win", "rollback", "close-round"])
def test_schema_refuses_unknown_members_at_every_level(name: str) -> None:
    objects = json.loads((schema_folder("croupier_v1") / f"{name}.json").read_text())["$defs"].values()
    assert all(item["additionalProperties"] is False for item in objects)


def test_whole_contribution_is_money_and_a_fraction_is_a_statistic() -> None:
    readings = []
    for text in ("0", "12", "12.0", "12.50", "0.0001"):
        (bet,) = decoded(BET | {"jackpot_contribution": text}, "bet")
        assert isinstance(bet, Bet)
        readings.append((bet.contribution, bet.contribution_text))
    assert readings == [(0, "0"), (12, "12"), (12, "12.0"), (0, "12.50"), (0, "0.0001")]


def test_times_are_read_in_any_zone_and_kept_in_utc() -> None:
    for text in ("2026-03-01T12:00:00Z", "2026-03-01T17:30:00+05:30", "2026-03-01T00:00:00-12:00"):
        (bet,) = decoded(BET | {"occurred_at": text}, "bet")
        assert isinstance(bet, Bet)
        assert bet.occurred_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
        assert bet.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("kind", ["jackpot", "promo"])
def test_credit_without_session_carries_the_contract_in_force(kind: str) -> None:
    (win,) = decoded(without(WIN, "session_id", "round_id") | {"kind": kind}, "win")
    assert isinstance(win, Win)
    assert (win.session_id, win.round_id, win.contract) == (None, None, CONTRACT)


def test_credit_within_a_session_carries_no_contract() -> None:
    (win,) = decoded(without(WIN, "round_id") | {"kind": "jackpot"}, "win")
    assert isinstance(win, Win)
    assert (win.kind, win.contract, win.round_id) == (WinKind.JACKPOT, None, None)
    assert win.session_id == parse_id(SESSION, SESSION_TEXT)


def test_null_counts_as_left_out() -> None:
    body = WIN | {"kind": "promo", "session_id": None, "round_id": None}
    assert decoded(body, "win") == decoded(without(body, "session_id", "round_id"), "win")


def test_kind_and_close_round_have_defaults() -> None:
    (win,) = decoded(without(WIN, "kind", "close_round"), "win")
    assert isinstance(win, Win)
    assert (win.kind, win.close_round) == (WinKind.WIN, False)


def test_bet_win_is_two_actions_in_order() -> None:
    bet, win = decoded(BET_WIN | {"close_round": True, "jackpot_contribution": "3"}, "bet-win")
    assert isinstance(bet, Bet)
    assert isinstance(win, Win)
    assert (bet.reference, bet.amount, bet.contribution) == ("bet-1", 1250, 3)
    assert (win.reference, win.amount, win.close_round, win.kind) == ("win-1", 0, True, WinKind.WIN)
    assert (bet.session_id, bet.round_id, bet.occurred_at) == (win.session_id, win.round_id, win.occurred_at)


def test_rollback_names_what_it_was_given_and_nothing_else() -> None:
    body = {
        "reference": "b",
        "target_reference": "t",
        "player_id": "p",
        "occurred_at": "2026-03-01T12:00:00Z",
    }
    (plain,) = decoded(body, "rollback")
    assert isinstance(plain, Rollback)
    assert (plain.session_id, plain.round_id, plain.asset, plain.reason) == (None, None, None, None)
    (full,) = decoded(body | {"session_id": SESSION_TEXT, "asset": "JPY", "reason": "line\nfeed"}, "rollback")
    assert isinstance(full, Rollback)
    assert (full.session_id, full.asset, full.reason) == (
        parse_id(SESSION, SESSION_TEXT),
        "JPY",
        "line\nfeed",
    )


def test_outcome_is_kept_as_it_was_written() -> None:
    body = to_bytes(CLOSE_ROUND).replace(b"4200", b"42.00  ")
    (close,) = decoded(body, "close-round")
    assert isinstance(close, CloseRound)
    assert close.outcome == '{"roll": 42.00  , "bets": [{"target": 1}, {"target": 2}]}'
    assert close.fairness is None


def test_ids_are_compared_as_they_are() -> None:
    for name in ("é", "e\u0301", "а", "a\u200b", "😀" * 128, " a", "A"):
        (bet,) = decoded(BET | {"reference": name, "player_id": name}, "bet")
        assert isinstance(bet, Bet)
        assert (bet.reference, bet.player_id) == (name, name)


@pytest.mark.parametrize("control", ["\x01", "\x1f", "\x7f", "\x80", "\x9f", "\n", "\r"])
def test_control_characters_are_refused_in_ids(control: str) -> None:
    for text in (control, f"a{control}", f"{control}a", f"a{control}b"):
        assert refusal(BET | {"round_id": text}, "bet").field == "round_id"


@pytest.mark.parametrize("minor", [0, 1, 10**38 - 1])
def test_amounts_are_exact_up_to_38_digits(minor: int) -> None:
    (bet,) = decoded(BET | {"amount": str(minor)}, "bet")
    assert isinstance(bet, Bet)
    assert bet.amount == minor
    incoming, context = verified(BET, "bet")
    call = ADAPTER.decode(incoming, context)
    assert isinstance(call, Decoded)
    reply = ADAPTER.encode(call, (Outcome("approved", "ok", "bet-1", None, minor, "EUR"),), context)
    assert json.loads(reply.body)["balance"] == {"amount": str(minor), "asset": "EUR"}


def test_unknown_asset_gets_the_nearest_known_one() -> None:
    assert refusal(BET | {"asset": "EURR"}, "bet").detail.endswith("did you mean EUR?")


def test_only_a_verified_request_is_decoded() -> None:
    request, context = verified(BET, "bet")
    with pytest.raises(TypeError):
        ADAPTER.decode(request.raw, context)  # type: ignore[arg-type]


ORDER = LaunchOrder(**FIXTURES["launch"]["order"])
LAUNCH_URL = FIXTURES["launch"]["launch_url"]


def test_launch_is_signed_as_the_studio_will_verify_it() -> None:
    nonce = "n" * 22
    request = ADAPTER.build_launch(ORDER, ACCOUNT, Attempt(timestamp_s=NOW_S, nonce=nonce))
    recorded = FIXTURES["launch"]["request"]
    assert (request.method, request.url) == (recorded["method"], recorded["url"])
    assert json.loads(request.body) == recorded["body"]
    assert request.deadline_s == ADAPTER.manifest.deadline_s("launch")
    headers = dict(request.headers)
    assert headers[b"x-correlation-id"] == b"req-1"
    parts = parse_authorization(headers[b"authorization"])
    assert parts.nonce == nonce
    verify_native(
        parts, key=KEY, method="POST", path=b"/games/v1/launch", query=b"", body=request.body, now_s=NOW_S
    )


def test_launch_leaves_out_what_is_not_known() -> None:
    order = LaunchOrder(
        session_id="ses_1", player_id="p", game_id="g", asset="EUR", country="MT", correlation_id="c"
    )
    request = ADAPTER.build_launch(order, ACCOUNT, Attempt(timestamp_s=NOW_S, nonce="n" * 22))
    assert set(json.loads(request.body)) == {"session_id", "player_id", "game_id", "asset", "country"}


def launch_reply(status: int, body: Any) -> Reply:
    return Reply(status, to_bytes(body), ())


OPENED = {"session_id": SESSION_TEXT, "launch_url": LAUNCH_URL}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, OPENED, Launched(LAUNCH_URL)),
        (200, OPENED | {"more": 1}, Launched(LAUNCH_URL)),
        (200, OPENED | {"launch_url": "http://127.0.0.1:8702/play"}, Launched("http://127.0.0.1:8702/play")),
        (200, OPENED | {"session_id": "ses_other"}, LaunchUnknown("reply_for_another_session")),
        (200, OPENED | {"launch_url": "javascript:alert(1)"}, LaunchUnknown("launch_url_not_usable")),
        (200, OPENED | {"launch_url": "https://a/b c"}, LaunchUnknown("launch_url_not_usable")),
        (200, OPENED | {"launch_url": 'https://a/"><script>'}, LaunchUnknown("launch_url_not_usable")),
        (
            200,
            OPENED | {"launch_url": "https://casino@evil.example/"},
            LaunchUnknown("launch_url_not_usable"),
        ),
        (200, OPENED | {"launch_url": "https://a/\n"}, LaunchUnknown("launch_url_not_usable")),
        (200, OPENED | {"launch_url": "/relative"}, LaunchUnknown("launch_url_not_usable")),
        (200, OPENED | {"launch_url": "https://a/" + "x" * 2048}, LaunchUnknown("reply_not_understood")),
        (200, {"session_id": SESSION_TEXT}, LaunchUnknown("reply_not_understood")),
        (200, b"<html>", LaunchUnknown("reply_not_understood")),
        (200, b"", LaunchUnknown("reply_not_understood")),
        (204, b"", LaunchUnknown("status_204")),
        (302, OPENED, LaunchUnknown("status_302")),
        (422, {"code": "unknown_game", "title": "x"}, LaunchRefused("unknown_game")),
        (403, {"code": "country_blocked"}, LaunchRefused("country_blocked")),
        (404, b"<html>not found</html>", LaunchUnknown("status_404")),
        (400, {"error": "bad"}, LaunchUnknown("status_400")),
        (401, {"code": "unauthenticated"}, LaunchUnknown("status_401")),
        (408, {"code": "request_timeout"}, LaunchUnknown("status_408")),
        (409, {"code": "in_flight"}, LaunchUnknown("status_409")),
        (429, {"code": "slow_down"}, LaunchUnknown("status_429")),
        (500, {"code": "internal"}, LaunchUnknown("status_500")),
        (503, b"", LaunchUnknown("status_503")),
    ],
)
def test_launch_is_opened_refused_or_unknown(status: int, body: Any, expected: object) -> None:
    assert ADAPTER.read_launch(ORDER, launch_reply(status, body)) == expected


def test_launch_without_a_reply_is_unknown() -> None:
    for reason in ("timeout", "connect", "reset", "too_large"):
        assert ADAPTER.read_launch(ORDER, TransportFault(reason)) == LaunchUnknown(reason)


def test_fixtures_hold_no_secrets() -> None:
    for path in (schema_folder("croupier_v1").parent / "fixtures").glob("*.json"):
        assert "secret" not in path.read_text().lower()


def test_manifest_is_named_like_its_folder() -> None:
    assert ADAPTER.manifest.id == Path(wire.__file__).parent.name == ACCOUNT.adapter


def test_reply_has_exactly_the_documented_members() -> None:
    fields = [field.name for field in msgspec.structs.fields(wire.ReplyBody)]
    assert fields == ["status", "code", "reference", "journal_id", "balance", "repeat"]


@pytest.mark.parametrize("year", ["1969", "9999"])
@pytest.mark.parametrize(("operation", "body"), [("bet", BET), ("win", WIN), ("rollback", ROLLBACK)])
def test_a_time_the_database_would_keep_as_infinity_is_refused(
    operation: str, body: dict[str, Any], year: str
) -> None:
    error = refusal(body | {"occurred_at": f"{year}-12-31T23:59:59Z"}, operation)
    assert (error.kind.code, error.field) == ("malformed", "occurred_at")


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"])
def test_the_first_and_the_last_year_are_accepted(moment: str) -> None:
    assert decoded(BET | {"occurred_at": moment}, "bet")
