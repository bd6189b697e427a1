"""The native protocol's webhooks: recorded ones of every type, what names no fact, and what cannot be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from adapters.readings import describe
from msgspec.structs import replace
from provider_edge import ACCOUNT, CONTRACT, SESSION_TEXT, to_bytes, verified, without
from webhook_edge import (
    COMPLETED,
    DATA,
    DELIVERY_ID,
    JACKPOT,
    MOMENT,
    ROLLED_BACK,
    Hooks,
    read_webhook,
    verified_webhook,
    webhook,
)

from croupier.errors import CroupierError
from croupier.ids import SESSION, parse_id
from croupier.inbox.intake import OPERATION
from croupier.moneypath.commands import CloseRound, CloseSession, RefuseCredit, Report, Rollback, Win, WinKind
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.adapters.croupier_v1.notices import NOTICES, STATEMENT_READY, UNTIED
from croupier.providers.contract import Context, DecodeRefused
from croupier.providers.manifest import Capability
from croupier.providers.notices import NoticeType
from croupier.providers.verification import StoredDelivery, reopen_delivery
from croupier.providers.wire_schemas import schema_folder
from croupier_signing import payload_digest

FIXTURES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((schema_folder("croupier_v1").parent / "fixtures").glob("webhook_*.json"))
}
RECORDED = [name for name, fixture in FIXTURES.items() if "notice" in fixture]
TOLD = ("type", "player_id", "order_key", "session_id", "round_id", "reference", "asset", "amount")
AT = datetime(2026, 3, 1, 11, 59, 59, 250_000, tzinfo=UTC)
SESSION_ID = parse_id(SESSION, SESSION_TEXT)


def refusal(body: dict[str, Any] | bytes) -> DecodeRefused:
    with pytest.raises(DecodeRefused) as caught:
        read_webhook(body)
    return caught.value


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_webhook_says_what_was_recorded(name: str) -> None:
    fixture = FIXTURES[name]
    notice = read_webhook(fixture["request"]["body"])
    told = {
        field: msgspec.to_builtins(getattr(notice, field))
        for field in TOLD
        if getattr(notice, field) is not None
    }
    assert told | {"actions": [describe(action) for action in notice.actions]} == fixture["notice"]
    assert notice.is_known


async def test_a_recorded_webhook_is_answered_as_recorded() -> None:
    hooks = Hooks()
    (duplicate,) = set(FIXTURES) - set(RECORDED)
    for name in (*RECORDED, duplicate):
        hooks.store.kept.clear()
        recorded = FIXTURES[name]["request"]["body"]
        if name == duplicate:
            await hooks.post(recorded)
        received, reply = await hooks.post(recorded), FIXTURES[name]["reply"]
        assert received.status == reply["status"]
        assert received.json | {"id": ""} == reply["body"] | {"id": ""}


def test_every_type_is_recorded_and_declared() -> None:
    assert {FIXTURES[name]["notice"]["type"] for name in RECORDED} == {kind.value for kind in NoticeType}
    assert set(DATA) == {kind.value for kind in NoticeType}
    assert Capability.WEBHOOKS in ADAPTER.manifest.capabilities
    assert ADAPTER.notices is NOTICES


def test_a_completed_round_is_the_callback_close_round() -> None:
    body = to_bytes(webhook()).replace(b"4200", b"42.00  ")
    notice = read_webhook(body)
    (action,) = notice.actions
    assert isinstance(action, CloseRound)
    called = ADAPTER.decode(*verified(to_bytes(COMPLETED).replace(b"4200", b"42.00  "), "close-round"))
    assert (action,) == getattr(called, "actions", None)
    assert action.outcome == '{"roll": 42.00  , "bets": [{"target": 1}, {"target": 2}]}'
    assert notice.order_key == f"{SESSION_TEXT}:round-1"


def test_a_rolled_back_round_is_the_callback_rollback() -> None:
    notice = read_webhook(webhook("round.rolled_back"))
    called = ADAPTER.decode(*verified(ROLLED_BACK, "rollback"))
    assert notice.actions == getattr(called, "actions", None)
    (action,) = notice.actions
    assert isinstance(action, Rollback)


def test_a_jackpot_is_the_callback_win_of_that_kind() -> None:
    notice = read_webhook(webhook("jackpot.won", kind="jackpot", close_round=True))
    called = ADAPTER.decode(*verified(JACKPOT | {"kind": "jackpot", "close_round": True}, "win"))
    assert notice.actions == getattr(called, "actions", None)
    assert (notice.amount, notice.asset) == (5_000_000, "EUR")


def test_a_jackpot_outside_a_session_is_paid_by_the_contract_in_force() -> None:
    (action,) = read_webhook(webhook("jackpot.won", session_id=None, round_id=None)).actions
    assert isinstance(action, Win)
    assert (action.kind, action.session_id, action.contract) == (WinKind.JACKPOT, None, CONTRACT)
    (within,) = read_webhook(webhook("jackpot.won")).actions
    assert isinstance(within, Win)
    assert within.contract is None


def test_a_closed_session_needs_no_reference_and_no_reason() -> None:
    for changes, reason in (
        ({}, "table closed"),
        ({"reason": None, "reference": "s-1"}, "closed_by_provider"),
    ):
        notice = read_webhook(webhook("session.closed", **changes))
        assert notice.actions == (CloseSession(session_id=SESSION_ID, player_id="player-1", reason=reason),)
        assert (notice.order_key, notice.round_id) == (SESSION_TEXT, None)


@pytest.mark.parametrize("url", [None, "https://studio.example/2026-02"])
def test_a_statement_is_work_for_a_person_once(url: str | None) -> None:
    notice = read_webhook(webhook("statement.ready", url=url))
    (action,) = notice.actions
    assert isinstance(action, Report)
    assert (action.kind, action.subject, action.player_id) == (STATEMENT_READY, "2026-02", "")
    assert action.explanation.endswith("UTC is ready" if url is None else f"is ready at {url}")
    assert notice.order_key == "statement:studio"


def test_a_statement_for_no_time_is_refused() -> None:
    error = refusal(webhook("statement.ready", period_to="2026-02-01T00:00:00Z"))
    assert (error.kind.code, error.field) == ("malformed", "data.period_to")


@pytest.mark.parametrize("kind", ["round.completed", "round.rolled_back", "jackpot.won"])
def test_a_notice_without_the_reference_of_its_fact_moves_nothing_and_is_told(kind: str) -> None:
    notice = read_webhook(webhook(kind, reference=None))
    (action,) = notice.actions
    assert isinstance(action, Report)
    assert (action.kind, action.subject, action.player_id) == (UNTIED, DELIVERY_ID, "player-1")
    assert kind in action.explanation
    assert (action.amount, action.asset) == ((5_000_000, "EUR") if kind == "jackpot.won" else (None, None))
    assert notice.order_key == read_webhook(webhook(kind)).order_key


@pytest.mark.parametrize(
    ("session_id", "round_id", "order_key"),
    [
        (SESSION_TEXT, "round-1", f"{SESSION_TEXT}:round-1"),
        (SESSION_TEXT, None, SESSION_TEXT),
        (None, "round-1", "player:player-1"),
        (None, None, "player:player-1"),
    ],
)
@pytest.mark.parametrize("kind", ["round.rolled_back", "jackpot.won"])
def test_order_is_kept_for_the_round_else_the_session_else_the_player(
    kind: str, session_id: str | None, round_id: str | None, order_key: str
) -> None:
    notice = read_webhook(webhook(kind, session_id=session_id, round_id=round_id))
    assert notice.order_key == order_key


@pytest.mark.parametrize("data", [{}, {"anything": [1, {"deep": None}]}])
def test_a_type_that_is_not_known_has_no_meaning_and_no_order_but_its_own(data: dict[str, Any]) -> None:
    notice = read_webhook({"type": "bonus.granted", "timestamp": MOMENT, "data": data})
    assert not notice.is_known
    assert (notice.type, notice.actions, notice.player_id) == ("bonus.granted", (), "")
    assert (notice.order_key, notice.occurred_at) == (DELIVERY_ID, AT)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("round.completed", {"round_id": None}, "data.round_id"),
    ("round.completed", {"more": 1}, "data.more"),
    ("round.completed", {"outcome": [1]}, "data.outcome"),
    ("round.completed", {"occurred_at": "9999-12-31T00:00:00Z"}, "data.occurred_at"),
    ("round.completed", {"fairness": {"scheme": "x"}}, "data.fairness.server_seed_hash"),
    ("round.completed", {"reference": ""}, "data.reference"),
    ("round.rolled_back", {"target_reference": None}, "data.target_reference"),
    ("round.rolled_back", {"player_id": "a\nb"}, "data.player_id"),
    ("jackpot.won", {"amount": "1.5"}, "data.amount"),
    ("jackpot.won", {"amount": 15}, "data.amount"),
    ("jackpot.won", {"kind": "win"}, "data.kind"),
    ("session.closed", {"player_id": None}, "data.player_id"),
    ("statement.ready", {"period_from": None}, "data.period_from"),
]


@pytest.mark.parametrize(("kind", "changes", "field"), BAD)
def test_a_member_that_is_wrong_is_named_as_the_sender_sees_it(
    kind: str, changes: dict[str, Any], field: str
) -> None:
    error = refusal(webhook(kind, **changes))
    assert (error.kind.code, error.field) == ("malformed", field)


@pytest.mark.parametrize("data", [b"[]", b'"text"', b"null", b"1"])
def test_data_that_is_no_object_is_named(data: bytes) -> None:
    body = b'{"type":"round.completed","timestamp":"2026-03-01T12:00:00Z","data":' + data + b"}"
    assert refusal(body).field == "data"


@pytest.mark.parametrize("kind", ["round.completed", "session.closed"])
def test_an_id_we_never_gave_out_is_unknown(kind: str) -> None:
    error = refusal(webhook(kind, session_id="ses_of-somebody-else"))
    assert (error.kind.code, error.field) == ("unknown_session", "data.session_id")


@pytest.mark.parametrize(
    ("kind", "changes", "code", "amount"),
    [
        ("jackpot.won", {"asset": "EURR"}, "unknown_asset", "5000000"),
        ("jackpot.won", {"amount": "9" * 39}, "amount_not_representable", "9" * 39),
        ("jackpot.won", {"amount": 12, "more": True}, "malformed", "12"),
        ("jackpot.won", {"session_id": None, "asset": "JPY"}, "contract_missing", "5000000"),
        ("round.rolled_back", {"occurred_at": "soon"}, "malformed", "not given"),
    ],
)
def test_of_a_credit_that_cannot_be_read_finance_learns_whose_it_is(
    kind: str, changes: dict[str, Any], code: str, amount: str
) -> None:
    error = refusal(webhook(kind, **changes))
    assert error.kind.code == code
    salvage = error.salvage
    assert isinstance(salvage, RefuseCredit)
    assert (salvage.player_id, salvage.reference) == ("player-1", DATA[kind]["reference"])
    assert (salvage.code, salvage.amount_text) == (code, amount)
    assert salvage.detail.startswith(f"{kind}: ")


@pytest.mark.parametrize(
    "body",
    [
        webhook("round.completed", outcome=[]),
        webhook("session.closed", more=1),
        webhook("jackpot.won", asset="EURR", reference=None),
        webhook("jackpot.won", asset="EURR", player_id=None),
        webhook("jackpot.won", asset="EURR", player_id=7),
        without(webhook("jackpot.won"), "data") | {"data": []},
    ],
)
def test_what_is_no_credit_or_names_nobody_leaves_nothing_for_finance(body: dict[str, Any]) -> None:
    assert refusal(body).salvage is None


@pytest.mark.parametrize("moment", ["soon", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", 17])
def test_the_envelopes_time_is_a_time(moment: Any) -> None:
    with pytest.raises(CroupierError) as caught:
        read_webhook(webhook() | {"timestamp": moment})
    assert caught.value.kind.code == "malformed"


@pytest.mark.parametrize("name", RECORDED)
def test_a_stored_webhook_is_read_as_it_was_when_it_came(name: str) -> None:
    body = to_bytes(FIXTURES[name]["request"]["body"])
    verified_then = verified_webhook(body)
    stored = StoredDelivery(
        delivery_id=verified_then.nonce or "",
        path="/webhooks/studio",
        body=body,
        body_digest=payload_digest(body),
        key_id=verified_then.key_id,
        signed_at_s=verified_then.timestamp_s or 0,
        received_at=verified_then.raw.received_at,
    )
    account = replace(ACCOUNT, inbound_keys={})
    context = Context(operation=OPERATION, account=account)
    assert NOTICES.decode(reopen_delivery(stored), context) == read_webhook(body)


def test_only_a_verified_webhook_is_decoded() -> None:
    raw = verified_webhook(webhook()).raw
    with pytest.raises(TypeError):
        NOTICES.decode(raw, Context(operation=OPERATION, account=ACCOUNT))  # type: ignore[arg-type]
