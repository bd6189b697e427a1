"""What holds for every operation of the operator API: who may call, what is refused, what a repeat gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from operator_house import (
    BODY_LIMIT,
    OPENING,
    PLAYER,
    SIGNER,
    TOKENS,
    House,
    open_house,
)

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.operator.permissions import Role

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NONCE = "nonce-of-16-chars"


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url) as opened:
        yield opened


def problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The problem of an answer, which must be this one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"], body.get("field")) == (status, code, field), body
    assert body["status"] == status
    assert body["correlation_id"] == answer.headers["x-correlation-id"]
    assert body["money_moved"] in {"no", "yes", "unknown"}
    return body


CASH = {"amount": "500", "reference": "d-1"}


async def test_a_request_without_a_key_is_refused_and_told_how_to_authenticate(house: House) -> None:
    answer = await house.client.get("/v1/meta")
    assert problem(answer, 401, "unauthenticated")["reason"] == "missing"
    assert "Bearer" in answer.headers["www-authenticate"]


EMPTY_HEADERS = [
    ("Bearer wrong-token", "mismatch"),
    ("Bearer ", "mismatch"),
    ("Basic dXNlcjpwYXNz", "malformed"),
    ('CROUPIER1-HMAC-SHA256 key="operator-signer"', "malformed"),
]


async def test_a_header_that_proves_nothing_is_refused_by_class(house: House) -> None:
    for header, reason in EMPTY_HEADERS:
        answer = await house.client.get("/v1/meta", headers={"Authorization": header})
        assert problem(answer, 401, "unauthenticated")["reason"] == reason, header


async def test_two_authorization_headers_are_refused(house: House) -> None:
    token = TOKENS[Role.OPERATOR]
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert problem(await house.client.get("/v1/meta", headers=headers), 401, "unauthenticated")


async def test_every_role_has_its_token(house: House) -> None:
    for role in Role:
        assert (await house.get("/v1/meta", role=role)).status_code == 200


READERS = [Role.SUPPORT, Role.FINANCE, Role.SECURITY, Role.READ_ONLY]


async def test_roles_that_only_read_cannot_move_money(house: House) -> None:
    for role in READERS:
        problem(await house.post(house.wallet("/deposits"), CASH, role=role), 403, "forbidden")
    assert not house.calls


async def test_security_does_not_see_the_journal(house: House) -> None:
    problem(await house.get("/v1/journal", role=Role.SECURITY, player_id=PLAYER), 403, "forbidden")


async def test_a_signed_read_is_answered_once(house: House) -> None:
    assert (await house.signed("GET", "/v1/games?asset=EUR", nonce=NONCE)).status_code == 200
    again = await house.signed("GET", "/v1/games?asset=EUR", nonce=NONCE)
    assert problem(again, 401, "unauthenticated")["reason"] == "replayed"


async def test_a_signed_change_spends_its_nonce_with_its_effect(house: House) -> None:
    body = json.dumps(CASH).encode()
    first = await house.signed("POST", house.wallet("/deposits"), body, nonce=NONCE, Idempotency_Key="k")
    assert first.json()["status"] == "approved"
    assert len(house.calls) == 1
    again = await house.signed("POST", house.wallet("/deposits"), body, nonce=NONCE, Idempotency_Key="k")
    assert problem(again, 401, "unauthenticated")["reason"] == "replayed"


async def test_a_signed_change_that_is_refused_spends_its_nonce_too(house: House) -> None:
    refused = await house.signed("POST", house.wallet("/deposits"), b"{}", nonce=NONCE, Idempotency_Key="k")
    problem(refused, 400, "malformed", "amount")
    again = await house.signed("GET", "/v1/meta", nonce=NONCE)
    assert problem(again, 401, "unauthenticated")["reason"] == "replayed"


async def test_a_signature_over_other_bytes_is_refused(house: House) -> None:
    body = json.dumps(CASH).encode()
    forged = await house.signed(
        "POST",
        house.wallet("/deposits"),
        body.replace(b"500", b"900"),
        signed_body=body,
        nonce=NONCE,
        Idempotency_Key="k",
    )
    assert problem(forged, 401, "unauthenticated")["reason"] == "mismatch"
    assert not house.calls


async def test_an_unknown_path_is_a_problem(house: House) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v2/sessions", "/docs/nothing/here"):
        problem(await house.client.get(path), 404, "unknown_path")


async def test_another_method_is_a_problem_that_lists_the_right_ones(house: House) -> None:
    answer = await house.client.delete("/v1/sessions")
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    assert "POST" in answer.headers["allow"]
    problem(await house.client.options("/v1/sessions"), 405, "method_not_allowed")


async def test_a_change_without_an_idempotency_key_is_refused(house: House) -> None:
    answer = await house.post(house.wallet("/deposits"), CASH, key="")
    problem(answer, 400, "idempotency_key_missing", "Idempotency-Key")
    assert not house.calls


BAD_KEYS = ["x" * 256, "tab\there", "é"]


async def test_an_idempotency_key_that_is_no_printable_ascii_is_refused(house: House) -> None:
    for key in BAD_KEYS:
        raw = [
            (b"Authorization", f"Bearer {TOKENS[Role.OPERATOR]}".encode()),
            (b"Content-Type", b"application/json"),
            (b"Idempotency-Key", key.encode()),
        ]
        content = json.dumps(CASH).encode()
        answer = await house.client.post(house.wallet("/deposits"), content=content, headers=raw)
        problem(answer, 400, "malformed", "Idempotency-Key")


async def test_a_repeat_gets_the_first_answer_and_moves_nothing(house: House) -> None:
    first = await house.post(house.wallet("/deposits"), CASH, key="same")
    again = await house.post(house.wallet("/deposits"), CASH, key="same")
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (await house.get(house.wallet())).json()["funds"][0]["balance"]["amount"] == "500"


async def test_a_key_used_for_other_content_is_refused(house: House) -> None:
    await house.post(house.wallet("/deposits"), CASH, key="same")
    for path, body in (
        (house.wallet("/deposits"), CASH | {"reference": "d-2"}),
        (house.wallet("/deposits", player="player-2"), CASH),
        (house.wallet("/withdrawals"), CASH),
        ("/v1/sessions", OPENING),
    ):
        answer = await house.post(path, body, key="same")
        problem(answer, 422, "idempotency_key_reused", "Idempotency-Key")


async def test_keys_belong_to_the_caller_who_used_them(house: House) -> None:
    await house.post(house.wallet("/deposits"), CASH, key="same")
    other = await house.post(
        house.wallet("/deposits"),
        CASH | {"reference": "d-2"},
        key="same",
        headers={"Authorization": "Bearer token-of-another"},
    )
    assert other.json()["status"] == "approved"


async def test_many_equal_requests_at_once_move_money_once(house: House) -> None:
    asked = (house.post(house.wallet("/deposits"), CASH, key="same") for _ in range(12))
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert (await house.get(house.wallet())).json()["funds"][0]["balance"]["amount"] == "500"


async def test_an_error_is_not_kept_under_its_key(house: House) -> None:
    problem(
        await house.post(house.wallet("/withdrawals"), CASH, key="same"), 404, "unknown_player", "player_id"
    )
    await house.deposit("first", 900)
    answer = await house.post(house.wallet("/withdrawals"), CASH, key="same")
    assert answer.json()["status"] == "approved"


BAD_BODIES = [
    (b"", "$"),
    (b"not json", "$"),
    (b'{"amount":"5"}', "reference"),
    (b'{"amount":"5","reference":"r","note":"x"}', "note"),
    (b'{"amount":"5","amount":"5","reference":"r"}', "amount"),
    (b'{"amount":5,"reference":"r"}', "amount"),
    (b'{"amount":5.0,"reference":"r"}', "amount"),
    (b'{"amount":"5","reference":""}', "reference"),
    (b'{"amount":"5","reference":"a\\u0000b"}', "reference"),
    (b'{"amount":"5","reference":"line\\n"}', "reference"),
    (b'[{"amount":"5","reference":"r"}]', "$"),
    (b'\xff\xfe{"amount":"5"}', "$"),
]


async def test_a_body_that_is_not_exactly_right_is_refused_by_field(house: House) -> None:
    for body, field in BAD_BODIES:
        problem(await house.post(house.wallet("/deposits"), body), 400, "malformed", field)
    assert not house.calls


BAD_AMOUNTS = ["0", "-5", "05", "5.00", "1e3", "", " 5", "٥"]


async def test_an_amount_that_is_no_minor_units_is_refused(house: House) -> None:
    for amount in BAD_AMOUNTS:
        answer = await house.post(house.wallet("/deposits"), CASH | {"amount": amount})
        problem(answer, 400, "malformed", "amount")


async def test_an_amount_longer_than_38_digits_has_a_code_of_its_own(house: House) -> None:
    answer = await house.post(house.wallet("/deposits"), CASH | {"amount": "1" + "0" * 38})
    problem(answer, 422, "amount_not_representable", "amount")


async def test_a_body_beyond_the_bound_is_refused(house: House) -> None:
    body = json.dumps(CASH).encode() + b" " * BODY_LIMIT
    answer = await house.post(house.wallet("/deposits"), body)
    problem(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert "connection" not in (await house.get("/v1/meta")).headers


BAD_MEDIA_TYPES = ["text/plain", "application/x-www-form-urlencoded", ""]


async def test_another_media_type_is_refused(house: House) -> None:
    for media_type in BAD_MEDIA_TYPES:
        headers = {"Content-Type": media_type}
        answer = await house.post(house.wallet("/deposits"), CASH, headers=headers)
        problem(answer, 415, "unsupported_media_type")


async def test_the_correlation_and_the_trace_come_back_and_reach_the_books(house: House) -> None:
    headers = {"X-Correlation-Id": "cor-42", "traceparent": TRACE}
    answer = await house.post(house.wallet("/deposits"), CASH, headers=headers)
    assert answer.headers["x-correlation-id"] == "cor-42"
    assert answer.headers["traceparent"] == TRACE
    (entry,) = (await house.get("/v1/journal", player_id=PLAYER)).json()["entries"]
    assert (entry["correlation_id"], entry["trace_id"]) == ("cor-42", TRACE.split("-")[1])


async def test_a_correlation_id_is_made_when_none_comes(house: House) -> None:
    answer = await house.get("/v1/meta")
    assert answer.headers["x-correlation-id"].startswith("req_")
    assert "traceparent" not in answer.headers


BAD_QUESTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/sessions", {}, "player_id"),
    ("/v1/sessions", {"player_id": PLAYER, "stat": "active"}, "stat"),
    ("/v1/sessions", {"player_id": PLAYER, "state": "sleeping"}, "state"),
    ("/v1/sessions", {"player_id": PLAYER, "limit": 201}, "limit"),
    ("/v1/sessions", {"player_id": PLAYER, "limit": 0}, "limit"),
    ("/v1/sessions", {"player_id": PLAYER, "limit": "ten"}, "limit"),
    ("/v1/sessions", {"player_id": PLAYER, "cursor": "AAAA"}, "cursor"),
    ("/v1/sessions", {"player_id": PLAYER, "cursor": "not a cursor"}, "cursor"),
    ("/v1/sessions", {"player_id": ["a", "b"]}, "player_id"),
    ("/v1/sessions", {"player_id": "nul\0"}, "player_id"),
    ("/v1/sessions/ses_1", {}, "session_id"),
    ("/v1/sessions/rnd_0195500000007000800000000000002a", {}, "session_id"),
    ("/v1/rounds/ses_0195500000007000800000000000002a", {}, "round_id"),
    ("/v1/rounds", {}, "session_id"),
    ("/v1/journal", {}, "player_id"),
    ("/v1/games", {"limit": 5, "page": 2}, "page"),
]


async def test_a_question_that_is_not_understood_is_refused_by_field(house: House) -> None:
    for path, query, field in BAD_QUESTIONS:
        problem(await house.get(path, **query), 400, "malformed", field)


async def test_a_broken_encoding_in_the_path_is_refused(house: House) -> None:
    problem(await house.get("/v1/wallets/%ff/EUR"), 400, "malformed", "player_id")
    problem(await house.get("/v1/wallets/a%00b/EUR"), 400, "malformed", "player_id")


async def test_names_in_the_path_are_decoded_exactly_once(house: House) -> None:
    for number, player in enumerate(("a/b", "a%2Fb", "ünï", "a b+c")):
        await house.deposit(f"d-{number}", number + 1, player)
        wallet = (await house.get(house.wallet(player=player))).json()
        assert (wallet["player_id"], wallet["funds"][0]["balance"]["amount"]) == (player, str(number + 1))


async def test_what_may_pass_says_when_to_come_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: Any) -> Any:
        raise CroupierError(UNAVAILABLE, "the database is away", retry_after_s=7)

    monkeypatch.setattr(house.lanes, "submit", refuse)
    answer = await house.post(house.wallet("/deposits"), CASH)
    assert problem(answer, 503, "unavailable")["money_moved"] == "unknown"
    assert answer.headers["retry-after"] == "7"


async def test_a_database_that_is_away_is_said_and_not_hidden(house: House) -> None:
    await house.pool.close()
    answer = await house.get("/v1/sessions", player_id=PLAYER)
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_fault_of_ours_tells_nothing_about_itself(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Any) -> Any:
        raise ZeroDivisionError("a secret inside")

    monkeypatch.setattr(house.lanes, "submit", fail)
    answer = await house.post(house.wallet("/deposits"), CASH)
    assert problem(answer, 500, "internal")["money_moved"] == "unknown"
    assert "secret" not in answer.text


async def test_every_request_is_told_to_telemetry_under_its_route(house: House) -> None:
    await house.post(house.wallet("/deposits"), CASH)
    await house.client.get("/nothing")
    first, second = house.records
    assert (first.route, first.method, first.status) == (
        "/v1/wallets/{player_id}/{asset}/deposits",
        "POST",
        200,
    )
    assert first.key_id == "operator"
    assert (second.route, second.status, second.key_id) == ("unknown", 404, None)


async def test_the_description_is_openapi_and_lists_what_every_change_needs(house: House) -> None:
    document = (await house.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            names = {one["name"] for one in operation.get("parameters", [])}
            assert ("Idempotency-Key" in names) == (method == "post"), path
            assert "default" in operation["responses"]
    assert document["components"]["schemas"]["CashBody"]["additionalProperties"] is False


async def test_the_documentation_needs_nothing_from_outside(house: House) -> None:
    page = await house.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/wallets/{player_id}/{asset}/deposits" in page.text
    for outside in ("http://", "https://", "<script", "<link"):
        assert outside not in page.text


async def test_the_type_of_a_problem_can_be_looked_up(house: House) -> None:
    refused = (await house.client.get("/v1/meta")).json()
    page = await house.client.get(refused["type"])
    assert page.status_code == 200
    assert "unauthenticated" in page.text
    problem(await house.client.get("/docs/errors/no_such_error"), 404, "unknown_path")


async def test_meta_tells_versions_assets_and_limits(house: House) -> None:
    meta = (await house.get("/v1/meta")).json()
    assert meta["api_versions"] == ["v1"]
    assert {"code": "EUR", "exponent": 2} in meta["assets"]
    assert meta["limits"]["body_bytes"] == BODY_LIMIT
    assert meta["providers"] == {"paper": "croupier_v1", "studio": "croupier_v1"}
    assert SIGNER.id not in json.dumps(meta)
