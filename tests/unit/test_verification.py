"""Verifiers: each turns signed bytes into a verified request, names the key, and refuses everything else by class."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from msgspec import structs
from provider_edge import BET, KEY, NOW, NOW_S, OTHER_KEY, Studio, to_bytes

from croupier.errors import CroupierError
from croupier.providers.verification import (
    FormHeaders,
    RawRequest,
    verify_canonical_header,
    verify_form_headers,
    verify_hmac_header,
    verify_native_or_message,
    verify_query_token,
    verify_rsa_header,
)
from croupier_signing import (
    MessageRequest,
    PrivateKey,
    SigningKey,
    random_nonce,
    sign_canonical_body,
    sign_canonical_query,
    sign_message,
    sign_raw_hmac,
    sign_rsa_body,
    sign_sorted_form,
)

RSA = PrivateKey("rsa-1", rsa.generate_private_key(public_exponent=65537, key_size=2048))
ED = PrivateKey("ed-1", ed25519.Ed25519PrivateKey.generate())
TOKEN = SigningKey("token-1", b"not-a-real-token-0123456789")
KEYS = {key.id: key for key in (KEY, OTHER_KEY, TOKEN, RSA.public, ED.public)}
RAW = RawRequest(
    method="POST", path=b"/providers/p/bet", query=b"", headers=(), body=b'{"a":1}', received_at=NOW
)
FORM = FormHeaders("X-Merchant-Id", "X-Timestamp", "X-Nonce", "X-Sign")


def signed(raw: RawRequest, **headers: str) -> RawRequest:
    given = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return structs.replace(raw, headers=given)


def as_form(
    body: bytes = b"action=bet&amount=1.00", timestamp: str = str(NOW_S), nonce: str = "n" * 32
) -> RawRequest:
    headers = {"X-Merchant-Id": "shop", "X-Timestamp": timestamp, "X-Nonce": nonce}
    pairs = [tuple(pair.split("=")) for pair in body.decode().split("&")]
    sign = sign_sorted_form(KEY, pairs, headers)  # type: ignore[arg-type]
    lower = {name.lower().replace("-", "_"): value for name, value in headers.items()}
    return signed(structs.replace(RAW, body=body), **lower, x_sign=sign)


VERIFIERS: dict[str, tuple[Any, RawRequest, str]] = {
    "hmac": (
        lambda raw: verify_hmac_header(raw, KEYS, header=b"x-sign"),
        signed(RAW, x_sign=sign_raw_hmac(OTHER_KEY, RAW.body)),
        OTHER_KEY.id,
    ),
    "rsa": (
        lambda raw: verify_rsa_header(raw, KEYS, header=b"x-sign"),
        signed(RAW, x_sign=sign_rsa_body(RSA, RAW.body)),
        RSA.id,
    ),
    "canonical body": (
        lambda raw: verify_canonical_header(raw, KEYS, header=b"x-sign"),
        signed(RAW, x_sign=sign_canonical_body(KEY, RAW.body)),
        KEY.id,
    ),
    "canonical query": (
        lambda raw: verify_canonical_header(raw, KEYS, header=b"x-sign"),
        signed(
            structs.replace(RAW, method="GET", query=b"sessionID=s", body=b""),
            x_sign=sign_canonical_query(KEY, b"sessionID=s"),
        ),
        KEY.id,
    ),
    "form": (lambda raw: verify_form_headers(raw, KEYS, NOW, names=FORM, window_s=30), as_form(), KEY.id),
}


def reason(verify: Any, raw: RawRequest) -> str | None:
    with pytest.raises(CroupierError) as caught:
        verify(raw)
    assert caught.value.kind.code == "unauthenticated"
    return caught.value.reason


@pytest.mark.parametrize("name", VERIFIERS)
def test_the_key_that_signed_is_named(name: str) -> None:
    verify, raw, key_id = VERIFIERS[name]
    verified = verify(raw)
    assert (verified.raw, verified.key_id) == (raw, key_id)


@pytest.mark.parametrize("name", VERIFIERS)
def test_what_is_missing_twice_or_other_is_refused_by_its_class(name: str) -> None:
    verify, raw, _ = VERIFIERS[name]
    assert reason(verify, structs.replace(raw, headers=())) == "missing"
    sign = next(header for header in raw.headers if header[0] == b"x-sign")
    assert reason(verify, structs.replace(raw, headers=(*raw.headers, sign))) == "malformed"
    rest = tuple(header for header in raw.headers if header[0] != b"x-sign")
    assert reason(verify, structs.replace(raw, headers=(*rest, (b"x-sign", b"?")))) == "malformed"
    other = {"query": b"sessionID=t"} if raw.query else {"body": raw.body.replace(b"1", b"2")}
    assert reason(verify, structs.replace(raw, **other)) == "mismatch"


class TestForms:
    def test_time_and_nonce_are_claimed(self) -> None:
        verified = VERIFIERS["form"][0](as_form())
        assert (verified.nonce, verified.timestamp_s, verified.window_s) == ("n" * 32, NOW_S, 30)

    @pytest.mark.parametrize("offset", [-30, 30])
    def test_both_ends_of_the_window_are_inside(self, offset: int) -> None:
        VERIFIERS["form"][0](as_form(timestamp=str(NOW_S + offset)))

    @pytest.mark.parametrize("offset", [-31, 31])
    def test_outside_of_it_is_stale(self, offset: int) -> None:
        assert reason(VERIFIERS["form"][0], as_form(timestamp=str(NOW_S + offset))) == "stale"

    @pytest.mark.parametrize("timestamp", ["12.5", "-1", "1" * 13, "soon"])
    def test_a_timestamp_is_whole_seconds(self, timestamp: str) -> None:
        assert reason(VERIFIERS["form"][0], as_form(timestamp=timestamp)) == "malformed"


class TestTokens:
    @staticmethod
    def verify(query: bytes) -> Any:
        return verify_query_token(structs.replace(RAW, query=query), KEYS, name=b"authToken")

    def test_the_token_is_found_among_other_parameters(self) -> None:
        verified = self.verify(b"a=1&authToken=" + TOKEN.secret + b"&b=2")
        assert (verified.key_id, verified.nonce) == (TOKEN.id, None)

    def test_a_part_of_it_is_not_it(self) -> None:
        with pytest.raises(CroupierError) as caught:
            self.verify(b"authToken=" + TOKEN.secret[:-1])
        assert caught.value.reason == "mismatch"

    @pytest.mark.parametrize(("query", "why"), [(b"", "missing"), (b"authToken=", "missing")])
    def test_no_token_is_missing(self, query: bytes, why: str) -> None:
        assert (
            reason(
                lambda raw: verify_query_token(raw, KEYS, name=b"authToken"),
                structs.replace(RAW, query=query),
            )
            == why
        )

    def test_two_tokens_are_malformed(self) -> None:
        raw = structs.replace(RAW, query=b"authToken=a&authToken=a")
        assert reason(lambda one: verify_query_token(one, KEYS, name=b"authToken"), raw) == "malformed"


def message(raw: RawRequest, key: Any = ED, scheme: str = "https", **fields: Any) -> RawRequest:
    given: dict[str, Any] = {"created_s": NOW_S, "nonce": random_nonce(), **fields}
    headers = ((b"host", b"gateway.example"),)
    request = MessageRequest(raw.method, scheme, "gateway.example", raw.path, raw.query, headers, raw.body)
    return structs.replace(raw, headers=(*headers, *sign_message(key, request, **given)))


class TestMessageSignatures:
    @staticmethod
    def verify(raw: RawRequest) -> Any:
        return verify_native_or_message(raw, KEYS, NOW, window_s=30)

    @pytest.mark.parametrize("key", [KEY, ED, RSA])
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_every_kind_of_key_signs_through_any_proxy(self, key: Any, scheme: str) -> None:
        raw = message(RAW, key, scheme, components=("@method", "@target-uri", "content-digest"))
        verified = self.verify(raw)
        assert (verified.key_id, verified.timestamp_s) == (key.id, NOW_S)
        assert verified.nonce is not None

    def test_a_nonce_is_required(self) -> None:
        assert reason(self.verify, message(RAW, nonce=None)) == "malformed"

    def test_another_body_is_refused(self) -> None:
        assert reason(self.verify, structs.replace(message(RAW), body=b"{}")) == "mismatch"

    def test_an_old_one_is_stale(self) -> None:
        assert reason(self.verify, message(RAW, created_s=NOW_S - 31)) == "stale"

    def test_an_authorization_header_decides_when_there_are_both(self) -> None:
        raw = message(RAW)
        both = structs.replace(raw, headers=(*raw.headers, (b"authorization", b"Basic x")))
        assert reason(self.verify, both) == "malformed"


async def test_a_callback_may_be_signed_by_the_open_standard() -> None:
    body = to_bytes(BET)
    raw = structs.replace(RAW, path=b"/providers/studio/v1/bet", body=body)
    headers = [(name.decode(), value.decode()) for name, value in message(raw, KEY).headers]
    studio = Studio()
    first = await studio.answer(body, sign=False, headers=headers)
    replayed = await studio.answer(body, sign=False, headers=headers)
    assert (first.status, replayed.status) == (200, 401)
    assert replayed.json["reason"] == "replayed"
