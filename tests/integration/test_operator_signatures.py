"""RFC 9421 signatures at the operator API: accepted, spent once like native ones, refused by class."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from operator_house import SIGNER, TOKENS, House, open_house

from croupier.operator.permissions import Role
from croupier_signing import WINDOW_S, SigningKey

CASH = json.dumps({"amount": "500", "reference": "d-1"}).encode()
NONCE = "any printable text: 9421+/="


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url) as opened:
        yield opened


def reason_of(answer: httpx.Response) -> str:
    """Why a request was not authenticated, which it must not be."""
    assert answer.status_code == 401, answer.text
    reason: str = answer.json()["reason"]
    return reason


async def deposit(house: House, headers: dict[str, str], body: bytes = CASH) -> httpx.Response:
    """A deposit with these headers and a new Idempotency-Key."""
    return await house.client.post(
        house.wallet("/deposits"), content=body, headers=headers | {"Idempotency-Key": "k-1"}
    )


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize(
    "components", [("@method", "@path", "@query"), ("@method", "@target-uri"), ("@method", "@request-target")]
)
async def test_a_read_signed_in_any_of_the_usual_ways_is_answered(
    house: House, components: tuple[str, ...], scheme: str
) -> None:
    url = "/v1/games?asset=EUR"
    headers = house.message("GET", url, scheme=scheme, nonce=NONCE, components=components)
    assert (await house.client.get(url, headers=headers)).status_code == 200


async def test_a_read_is_answered_once(house: House) -> None:
    headers = house.message("GET", "/v1/meta", nonce=NONCE)
    assert (await house.client.get("/v1/meta", headers=headers)).status_code == 200
    assert reason_of(await house.client.get("/v1/meta", headers=headers)) == "replayed"
    anew = house.message("GET", "/v1/meta", nonce=NONCE, tag="anew")
    assert reason_of(await house.client.get("/v1/meta", headers=anew)) == "replayed"


async def test_a_nonce_counts_once_whichever_scheme_it_came_with(house: House) -> None:
    shared = "nonce-of-16-chars"
    assert (await house.signed("GET", "/v1/meta", nonce=shared)).status_code == 200
    headers = house.message("GET", "/v1/meta", nonce=shared)
    assert reason_of(await house.client.get("/v1/meta", headers=headers)) == "replayed"


async def test_a_change_spends_its_nonce_with_its_effect(house: House) -> None:
    headers = house.message("POST", house.wallet("/deposits"), CASH, nonce=NONCE)
    assert (await deposit(house, headers)).json()["status"] == "approved"
    assert len(house.calls) == 1
    assert reason_of(await deposit(house, headers)) == "replayed"


async def test_a_body_that_was_not_signed_moves_nothing(house: House) -> None:
    headers = house.message("POST", house.wallet("/deposits"), CASH, nonce=NONCE)
    assert reason_of(await deposit(house, headers, CASH.replace(b"500", b"900"))) == "mismatch"
    bare = house.message("POST", house.wallet("/deposits"), nonce=NONCE)
    assert reason_of(await deposit(house, bare)) == "malformed", "a body has to be covered"
    assert not house.calls


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("malformed", {"nonce": None}),
    ("malformed", {"components": ("@method",)}),
    ("malformed", {"components": ("@path", "@query")}),
    ("mismatch", {"key": SigningKey(SIGNER.id, bytes(16))}),
    ("mismatch", {"key": SigningKey("nobody-here", SIGNER.secret)}),
    ("mismatch", {"key": SigningKey(Role.OPERATOR.value, TOKENS[Role.OPERATOR].encode())}),
]


@pytest.mark.parametrize(("reason", "signing"), REFUSED)
async def test_what_does_not_prove_enough_is_refused_by_class(
    house: House, reason: str, signing: dict[str, Any]
) -> None:
    headers = house.message("GET", "/v1/meta", **{"nonce": NONCE} | signing)
    assert reason_of(await house.client.get("/v1/meta", headers=headers)) == reason


async def test_an_old_and_an_early_signature_are_stale(house: House) -> None:
    now_s = int(house.deps.now().timestamp())
    for created_s in (now_s - WINDOW_S - 30, now_s + WINDOW_S + 30):
        headers = house.message("GET", "/v1/meta", nonce=NONCE, created_s=created_s)
        assert reason_of(await house.client.get("/v1/meta", headers=headers)) == "stale"
    expired = house.message("GET", "/v1/meta", nonce=NONCE, created_s=now_s - 10, expires_s=now_s - 5)
    assert reason_of(await house.client.get("/v1/meta", headers=expired)) == "stale"


async def test_a_query_cannot_be_added_to_what_was_signed_without_one(house: House) -> None:
    headers = house.message("GET", "/v1/games", nonce=NONCE, components=("@method", "@path"))
    assert reason_of(await house.client.get("/v1/games?asset=EUR", headers=headers)) == "malformed"


async def test_half_a_signature_is_missing_and_a_bearer_token_comes_first(house: House) -> None:
    headers = house.message("GET", "/v1/meta", nonce=NONCE)
    for name in ("signature", "signature-input"):
        half = {known: value for known, value in headers.items() if known != name}
        assert reason_of(await house.client.get("/v1/meta", headers=half)) == "missing"
    wrong = headers | {"Authorization": "Bearer wrong"}
    assert reason_of(await house.client.get("/v1/meta", headers=wrong)) == "mismatch"
    right = headers | {"Authorization": f"Bearer {TOKENS[Role.OPERATOR]}"}
    assert (await house.client.get("/v1/meta", headers=right)).status_code == 200
    assert (await house.client.get("/v1/meta", headers=headers)).status_code == 200, "its nonce is unspent"
