"""The intake of webhooks: what is refused before anything is stored, what is stored, what is answered (E1, E2, I8)."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from provider_edge import ACCOUNT, KEY, NOW, NOW_S, OTHER_KEY, Message, to_bytes
from webhook_edge import COMPLETED, DELIVERY_ID, JACKPOT, PATH, Hooks, sign, webhook

from croupier.errors import (
    BACKLOGGED,
    CATALOGUE,
    INTERNAL,
    OVERLOADED,
    UNAVAILABLE,
    CroupierError,
)
from croupier.ids import DELIVERY, SESSION, bucket_of, parse_id
from croupier.inbox.intake import IntakeLimits
from croupier.moneypath.commands import RefuseCredit
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.arrival import BodyLimits
from croupier.providers.registry import find_adapters
from croupier.providers.strict_json import JsonLimits
from croupier_signing import PrivateKey, PublicKey, payload_digest, read_key, sign_webhook
from croupier_signing.pairs import make_ed25519_pair

ALTERED = ("webhook-id", "webhook-timestamp", "webhook-signature")


async def refused(hooks: Hooks, *, status: int, code: str, **options: Any) -> dict[str, Any]:
    """The problem of a webhook that was refused before anything was stored."""
    received = await hooks.post(**options)
    assert (received.status, received.json["code"]) == (status, code), received.json
    assert received.headers["content-type"] == "application/problem+json"
    assert hooks.store.offered == []
    assert hooks.records[-1].code == code
    return received.json


def ed25519_keys() -> tuple[PrivateKey, PublicKey]:
    """Both halves of a studio's own key pair."""
    private, public = (read_key("studio-ed", pem) for pem in make_ed25519_pair())
    assert isinstance(private, PrivateKey)
    assert isinstance(public, PublicKey)
    return private, public


async def test_a_webhook_is_stored_raw_and_acknowledged() -> None:
    hooks = Hooks()
    more = [("traceparent", f"00-{'1' * 32}-{'2' * 16}-01"), ("x-correlation-id", "c-1"), ("x-own", "é")]
    body = to_bytes(webhook())
    received = await hooks.post(body, more=more)
    (kept,) = hooks.store.offered
    assert received.status == 202
    assert received.json == {
        "status": "accepted",
        "delivery_id": DELIVERY_ID,
        "id": f"{DELIVERY}_{kept.id.hex}",
    }
    assert received.headers["content-type"] == "application/json"
    assert received.headers["cache-control"] == "no-store"
    assert received.headers["x-correlation-id"] == "c-1"
    assert received.headers["traceparent"] == more[0][1]
    assert "connection" not in received.headers
    assert (kept.body, kept.body_digest) == (body, payload_digest(body))
    assert (kept.provider, kept.delivery_id, kept.path) == ("studio", DELIVERY_ID, PATH)
    assert kept.bucket == bucket_of(DELIVERY_ID) == kept.id.int & 0xFF
    assert (kept.key_id, kept.verified_as) == (KEY.id, "standard_webhooks")
    assert (kept.signed_at, kept.received_at) == (datetime.fromtimestamp(NOW_S, UTC), NOW)
    assert (kept.correlation_id, kept.trace_id) == ("c-1", "1" * 32)
    assert (kept.type, kept.player_id, kept.reference) == ("round.completed", "player-1", "close-1")
    assert (kept.session_id, kept.provider_round_id) == (
        parse_id(SESSION, COMPLETED["session_id"]),
        "round-1",
    )
    assert kept.order_key == f"{COMPLETED['session_id']}:round-1"
    named = [*sign(body).items(), *more, ("content-type", "application/json")]
    assert json.loads(kept.headers) == [list(pair) for pair in named]
    assert hooks.keys == [("studio", KEY.id)]
    record = hooks.records[0]
    assert (record.provider, record.result, record.status, record.code) == (
        "studio",
        "accepted",
        202,
        "accepted",
    )
    assert (record.delivery_id, record.id, record.round_id) == (DELIVERY_ID, kept.id, "round-1")
    assert hooks.refused == []


async def test_the_same_id_and_body_again_is_a_duplicate_with_its_first_id() -> None:
    hooks = Hooks()
    first = await hooks.post()
    again = await hooks.post(timestamp_s=NOW_S + 60)
    assert again.status == first.status == 202
    assert again.json == first.json | {"status": "duplicate"}
    assert [record.result for record in hooks.records] == ["accepted", "duplicate"]
    assert hooks.refused == []


async def test_the_same_id_with_another_body_is_refused_and_kept() -> None:
    hooks = Hooks()
    await hooks.post()
    other = await hooks.post(webhook(round_id="round-2"))
    assert (other.status, other.json["code"]) == (409, "delivery_id_reused")
    assert (other.json["money_moved"], other.json["retryable"]) == ("no", False)
    assert [kept.error.kind.code for kept in hooks.refused] == ["delivery_id_reused"]
    assert len(hooks.store.kept) == 1


async def test_the_id_counts_for_its_provider_only() -> None:
    other = replace(ACCOUNT, id="other")
    hooks = Hooks({"studio": (ACCOUNT, ADAPTER), "other": (other, ADAPTER)})
    await hooks.post()
    received = await hooks.post(webhook(round_id="round-2"), path="/webhooks/other")
    assert (received.status, received.json["status"]) == (202, "accepted")


@pytest.mark.parametrize("name", ALTERED)
async def test_a_webhook_without_one_of_its_headers_is_not_looked_at(name: str) -> None:
    hooks = Hooks()
    headers = sign(to_bytes(webhook()))
    del headers[name]
    problem = await refused(hooks, status=401, code="unauthenticated", headers=headers)
    assert (problem["reason"], problem["money_moved"]) == ("missing", "unknown")
    assert hooks.keys == [("studio", None)]
    assert hooks.refused[0].error.reason == "missing"


@pytest.mark.parametrize(
    "altered",
    [
        {"webhook-id": "delivery-2"},
        {"webhook-timestamp": str(NOW_S + 1)},
        {"webhook-signature": sign(b"another body")["webhook-signature"]},
    ],
)
async def test_an_id_a_time_or_a_signature_altered_after_signing_is_a_mismatch(
    altered: dict[str, str],
) -> None:
    hooks = Hooks()
    headers = sign(to_bytes(webhook())) | altered
    problem = await refused(hooks, status=401, code="unauthenticated", headers=headers)
    assert problem["reason"] == "mismatch"


async def test_every_bit_of_the_body_counts() -> None:
    hooks = Hooks()
    body = to_bytes(webhook())
    headers = sign(body)
    for place in range(0, len(body) * 8, 7):
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        problem = await refused(
            hooks, status=401, code="unauthenticated", body=bytes(changed), headers=headers
        )
        assert problem["reason"] == "mismatch"


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"a":1,"a":2}', b"[" * 5000, b'{"a":' + b"1" * 500 + b"}", b""]
)
async def test_what_is_not_signed_is_not_read(body: bytes) -> None:
    """Anything malformed is a mismatch first: nothing but the signer saw it (I8)."""
    hooks = Hooks()
    headers = sign(b"what was signed")
    problem = await refused(hooks, status=401, code="unauthenticated", body=body, headers=headers)
    assert problem["reason"] == "mismatch"


@pytest.mark.parametrize("away_s", [-301, 301, -86_400])
async def test_staleness_judges_this_attempts_time(away_s: int) -> None:
    hooks = Hooks()
    problem = await refused(hooks, status=401, code="unauthenticated", timestamp_s=NOW_S + away_s)
    assert problem["reason"] == "stale"


async def test_a_stale_attempt_of_a_known_delivery_is_refused_and_a_fresh_one_is_a_duplicate() -> None:
    hooks = Hooks()
    await hooks.post()
    hooks.now = NOW + timedelta(hours=1)
    stale = await hooks.post()
    assert (stale.status, stale.json["reason"]) == (401, "stale")
    fresh = await hooks.post(timestamp_s=NOW_S + 3600)
    assert (fresh.status, fresh.json["status"]) == (202, "duplicate")


@pytest.mark.parametrize("name", ALTERED)
async def test_a_header_that_is_given_twice_is_refused(name: str) -> None:
    hooks = Hooks()
    again = [(name, sign(to_bytes(webhook()))[name])]
    problem = await refused(hooks, status=401, code="unauthenticated", more=again)
    assert problem["reason"] == "malformed"


async def test_a_strangers_key_is_refused_and_either_of_two_keys_will_do() -> None:
    hooks = Hooks()
    await refused(hooks, status=401, code="unauthenticated", keys=[OTHER_KEY])
    both = await hooks.post(keys=[OTHER_KEY, KEY])
    assert both.status == 202


async def test_an_ed25519_signature_is_as_good_as_a_shared_secrets() -> None:
    private, public = ed25519_keys()
    account = replace(ACCOUNT, inbound_keys={KEY.id: KEY, public.id: public})
    hooks = Hooks({"studio": (account, ADAPTER)})
    for number, key in enumerate((private, KEY)):
        received = await hooks.post(delivery_id=f"delivery-{number}", keys=[key])
        assert received.status == 202
    assert [kept.key_id for kept in hooks.store.offered] == [public.id, KEY.id]
    stranger, _ = ed25519_keys()
    signed = sign(to_bytes(webhook()), keys=[stranger])
    received = await hooks.post(headers=signed)
    assert (received.status, received.json["reason"]) == (401, "mismatch")


async def test_a_key_that_was_revoked_while_the_body_arrived_verifies_nothing() -> None:
    hooks = Hooks()
    body = to_bytes(webhook())
    statuses: list[int] = []

    async def receive() -> Message:
        hooks.accounts["studio"] = (replace(ACCOUNT, inbound_keys={}), ADAPTER)
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    await hooks.app(hooks.scope(body), receive, send)
    assert statuses[0] == 401
    assert hooks.store.offered == []


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/webhooks/nobody", "POST", 404, "unknown_provider"),
        ("/webhooks/", "POST", 404, "unknown_path"),
        ("/webhooks/%73tudio", "POST", 404, "unknown_provider"),
        ("/webhooks/studio/", "POST", 404, "unknown_path"),
        ("/webhooks/studio/v1", "POST", 404, "unknown_path"),
        ("/webhooks/studio", "GET", 405, "method_not_allowed"),
        ("/webhooks/studio", "PUT", 405, "method_not_allowed"),
    ],
)
async def test_an_address_that_takes_no_webhook_says_so_before_the_body(
    path: str, method: str, status: int, code: str
) -> None:
    hooks = Hooks()
    await refused(hooks, status=status, code=code, path=path, method=method, messages=[{"type": "never"}])
    is_known = path.startswith("/webhooks/studio")
    assert [kept.provider for kept in hooks.refused] == ["studio"] * is_known
    assert hooks.records[0].provider == ("studio" if is_known else "unknown")


FOREIGN = sorted(name for name, adapter in find_adapters().items() if adapter.notices is None)


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_protocol_without_webhooks_has_no_address_for_them(name: str) -> None:
    account = replace(ACCOUNT, id="vendor", adapter=name)
    hooks = Hooks({"vendor": (account, find_adapters()[name])})
    problem = await refused(hooks, status=404, code="unknown_path", path="/webhooks/vendor")
    assert problem["detail"] == f"the protocol {name} sends no webhooks"
    assert hooks.keys == [], "nothing was verified"


def test_only_the_native_protocol_has_webhooks() -> None:
    assert set(find_adapters()) - set(FOREIGN) == {"croupier_v1"}
    assert len(FOREIGN) == 5


@pytest.mark.parametrize(
    ("content_type", "more"),
    [
        (None, []),
        ("text/plain", []),
        ("application/json; charset=latin-1", []),
        ("application/x-www-form-urlencoded", []),
        ("application/json", [("content-encoding", "gzip")]),
        ("application/json", [("content-encoding", "br")]),
        ("application/json", [("content-type", "application/json")]),
    ],
)
async def test_another_media_type_or_a_compressed_body_is_refused_unread(
    content_type: str | None, more: list[tuple[str, str]]
) -> None:
    hooks = Hooks()
    await refused(
        hooks,
        status=415,
        code="unsupported_media_type",
        content_type=content_type,
        more=more,
        messages=[{"type": "never"}],
    )
    assert hooks.refused[0].body is None


async def test_a_bomb_is_never_unpacked() -> None:
    hooks = Hooks()
    bomb = gzip.compress(b"0" * 10_000_000)
    await refused(
        hooks, status=415, code="unsupported_media_type", body=bomb, more=[("content-encoding", "gzip")]
    )
    problem = await refused(hooks, status=400, code="malformed", body=bomb)
    assert problem["field"] == "$"


async def test_a_body_over_the_limit_is_refused_by_its_declared_length_unread() -> None:
    hooks = Hooks(limits=IntakeLimits(body=BodyLimits(max_bytes=100)))
    more = [("content-length", "101")]
    received = await hooks.post(more=more, messages=[{"type": "never"}])
    assert (received.status, received.json["code"]) == (413, "body_too_large")
    assert received.headers["connection"] == "close"
    assert hooks.store.offered == []


async def test_chunks_without_end_are_cut_off() -> None:
    hooks = Hooks(limits=IntakeLimits(body=BodyLimits(max_bytes=100)))
    chunk: Message = {"type": "http.request", "body": b"x" * 60, "more_body": True}
    received = await hooks.post(messages=[chunk, chunk, chunk])
    assert (received.status, received.headers["connection"]) == (413, "close")


async def test_a_slow_body_is_given_up() -> None:
    hooks = Hooks(limits=IntakeLimits(body=BodyLimits(timeout_s=0.02)))
    chunk: Message = {"type": "http.request", "body": b"{", "more_body": True}
    received = await hooks.post(messages=[chunk])
    assert (received.status, received.json["code"]) == (408, "request_timeout")
    assert received.headers["connection"] == "close"


async def test_a_sender_who_hangs_up_gets_no_answer_and_leaves_nothing() -> None:
    hooks = Hooks()
    chunk: Message = {"type": "http.request", "body": b"{", "more_body": True}
    assert await hooks.call(messages=[chunk, {"type": "http.disconnect"}]) is None
    assert (hooks.records[0].result, hooks.records[0].status) == ("gone", 0)
    assert hooks.store.offered == []
    assert hooks.refused == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"type":"a","type":"b","timestamp":"2026-03-01T12:00:00Z","data":{}}', "type"),
        (b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":{"a":1,"\\u0061":2}}', "data.a"),
        (b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":' + b"[" * 99 + b"]" * 99 + b"}", "$"),
        (b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":{"n":1e999}}', "data.n"),
        (
            b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":{"n":' + b"9" * 41 + b"}}",
            "data.n",
        ),
        (b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":{"n":"\\u0000"}}', "n"),
        (b'{"timestamp":"2026-03-01T12:00:00Z","data":{}}', "type"),
        (b'{"type":"a","timestamp":"2026-03-01T12:00:00Z","data":{},"more":1}', "more"),
        (b'{"type":"a","timestamp":"yesterday","data":{}}', "timestamp"),
        (b"[]", "$"),
        (b"", "$"),
    ],
)
async def test_a_signed_body_that_two_readers_could_read_differently_is_refused(
    body: bytes, field: str
) -> None:
    hooks = Hooks()
    problem = await refused(hooks, status=400, code="malformed", body=body)
    assert (problem["field"], problem["money_moved"]) == (field, "no")
    assert hooks.refused[0].body == body


async def test_the_bounds_on_json_are_the_deployments() -> None:
    hooks = Hooks(limits=IntakeLimits(json=JsonLimits(max_keys=5)))
    problem = await refused(hooks, status=400, code="malformed")
    assert "more than 5 members" in problem["detail"]


async def test_a_type_nobody_knows_is_taken_all_the_same() -> None:
    hooks = Hooks()
    received = await hooks.post({"type": "player.renamed", "timestamp": NOW.isoformat(), "data": {"a": 1}})
    assert received.status == 202
    (kept,) = hooks.store.offered
    assert (kept.type, kept.player_id, kept.order_key) == ("player.renamed", None, DELIVERY_ID)


async def test_a_lost_credit_reaches_finance_before_the_sender_hears_of_the_refusal() -> None:
    hooks = Hooks()
    body = webhook("jackpot.won", asset="XXX")
    problem = await refused(hooks, status=422, code="unknown_asset", body=body)
    assert problem["field"] == "data.asset"
    (call,) = hooks.money.calls
    (action,) = call.actions
    assert isinstance(action, RefuseCredit)
    assert (action.reference, action.player_id, action.amount_text) == ("jackpot-1", "player-1", "5000000")
    assert (call.provider, call.player_id, call.bucket) == ("studio", "player-1", bucket_of("player-1"))
    assert (call.nonce, call.notice) == (None, None)


async def test_while_finance_cannot_be_told_the_sender_is_asked_to_repeat() -> None:
    hooks = Hooks()
    hooks.money.failure = CroupierError(UNAVAILABLE, "away", retry_after_s=1)
    await refused(hooks, status=503, code="unavailable", body=webhook("jackpot.won", asset="XXX"))
    assert hooks.refused == []
    assert hooks.records[0].result == "failed"


async def test_a_credit_of_a_forged_webhook_reaches_nobody() -> None:
    hooks = Hooks()
    forged = sign(to_bytes(webhook("jackpot.won", asset="XXX")), keys=[OTHER_KEY])
    body = webhook("jackpot.won", asset="XXX")
    await refused(hooks, status=401, code="unauthenticated", body=body, headers=forged)
    assert hooks.money.calls == []


@pytest.mark.parametrize(
    ("kind", "status"), [(OVERLOADED, 503), (BACKLOGGED, 429)], ids=["overloaded", "backlogged"]
)
async def test_without_room_nothing_is_read_or_verified_and_the_line_stays(kind: Any, status: int) -> None:
    hooks = Hooks()
    hooks.full = CroupierError(kind, "full", retry_after_s=17)
    more = [("content-length", "400")]
    received = await hooks.post(headers={}, more=more, messages=[{"type": "never"}])
    assert (received.status, received.headers["retry-after"]) == (status, "17")
    assert (received.json["money_moved"], received.json["retryable"]) == ("unknown", True)
    assert "connection" not in received.headers
    assert (hooks.keys, hooks.refused, hooks.store.offered) == ([], [], [])
    assert hooks.records[0].result == "shed"


@pytest.mark.parametrize(
    "more",
    [
        [],
        [("transfer-encoding", "chunked")],
        [("content-length", "999999999")],
        [("content-length", "400"), ("expect", "100-continue")],
    ],
)
async def test_a_body_that_may_never_end_or_come_costs_its_sender_the_line(
    more: list[tuple[str, str]],
) -> None:
    hooks = Hooks()
    hooks.full = CroupierError(OVERLOADED, "full", retry_after_s=1)
    received = await hooks.post(more=more, messages=[{"type": "never"}])
    assert (received.status, received.headers["connection"]) == (503, "close")


async def test_no_more_bodies_arrive_at_once_than_may() -> None:
    hooks = Hooks(limits=IntakeLimits(arriving=0))
    received = await hooks.post()
    assert (received.status, received.json["code"]) == (503, "overloaded")


async def test_a_failure_of_the_store_is_passed_on() -> None:
    hooks = Hooks()
    hooks.store.failure = CroupierError(UNAVAILABLE, "away", retry_after_s=3)
    received = await hooks.post()
    assert (received.status, received.headers["retry-after"]) == (503, "3")
    assert (hooks.records[0].result, hooks.refused) == ("failed", [])


async def test_a_fault_of_ours_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    hooks.store.failure = ValueError("inside")
    received = await hooks.post()
    assert (received.status, received.json["code"]) == (500, "internal")
    assert "inside" not in received.body.decode()
    assert caplog.records[-1].message == "webhook_failed"


@pytest.mark.parametrize("code", [code for code, kind in CATALOGUE.items() if kind is not INTERNAL])
async def test_whatever_a_webhook_is_refused_for_is_a_problem(code: str) -> None:
    hooks = Hooks()
    hooks.store.failure = CroupierError(CATALOGUE[code], "why")
    received = await hooks.post()
    assert (received.status, received.json["code"]) == (CATALOGUE[code].status, code)
    is_kept = CATALOGUE[code].status < 500 and code != "backlogged"
    assert [kept.error.kind.code for kept in hooks.refused] == [code] * is_kept


async def test_credentials_of_a_proxy_are_not_kept_and_a_flood_of_headers_is_cut_off() -> None:
    hooks = Hooks()
    more = [("cookie", "secret"), ("authorization", "Bearer secret"), ("x-nul", "a\0b")]
    more += [(f"x-{number}", "y" * 1000) for number in range(50)]
    await hooks.post(more=more)
    (kept,) = hooks.store.offered
    headers = dict(json.loads(kept.headers))
    assert "secret" not in kept.headers
    assert (headers["cookie"], headers["authorization"]) == ("***", "***")
    assert headers["x-nul"] == "a\ufffdb"
    assert set(ALTERED) <= set(headers)
    assert len(kept.headers) < 20_000


async def test_the_money_at_stake_is_kept_to_be_found_by() -> None:
    hooks = Hooks()
    await hooks.post(webhook("jackpot.won"))
    (kept,) = hooks.store.offered
    assert (kept.amount, kept.asset) == (JACKPOT["amount"], "EUR")


async def test_a_webhook_signed_by_another_library_is_taken() -> None:
    """`standardwebhooks`, the reference library, signs with the same secret."""
    from standardwebhooks import Webhook

    hooks = Hooks()
    body = to_bytes(webhook())
    line = Webhook(KEY.secret).sign(DELIVERY_ID, NOW, body.decode())
    assert line == sign_webhook(KEY, webhook_id=DELIVERY_ID, timestamp_s=NOW_S, body=body)
    received = await hooks.post(body, headers=sign(body) | {"webhook-signature": line})
    assert received.status == 202
