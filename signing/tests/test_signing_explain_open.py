"""Diagnosis of signed messages and webhooks: usual mistakes are found, good ones have nothing to say."""

from __future__ import annotations

import hmac
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing_messages import (
    NOW_S,
    REQUEST,
    SECRET,
    field_of,
    signed,
    signer_of,
    verifier_of,
    with_field,
    with_headers,
)

from croupier_signing import (
    Algorithm,
    MessageRequest,
    Policy,
    SigningKey,
    explain_message,
    explain_webhook,
    message_to_sign,
    sign_message,
    sign_webhook,
)

POLICY = Policy()


def findings_of(request: MessageRequest, key: object = SECRET, **options: object) -> dict[str, str]:
    """Part → message."""
    settings: dict[str, object] = {"now_s": NOW_S, "policy": POLICY} | options
    found = explain_message(request, key=key, **settings)  # type: ignore[arg-type]
    return {finding.part: finding.message for finding in found}


def edited(edit: bytes, by: bytes) -> MessageRequest:
    """A request whose signature is over a base in which something was written otherwise."""
    lines = sign_message(SECRET, REQUEST, created_s=NOW_S)
    base = message_to_sign(REQUEST, lines)
    assert edit in base
    digest = hmac.digest(SECRET.secret, base.replace(edit, by, 1), "sha256")
    request = with_headers(REQUEST, *lines)
    return with_field(request, b"signature", b"sig1=:" + b64encode(digest) + b":")


@pytest.mark.parametrize("algorithm", Algorithm)
def test_good_signature_has_no_findings(algorithm: Algorithm) -> None:
    request = signed(key=signer_of(algorithm), algorithm=algorithm)
    assert findings_of(request, verifier_of(algorithm)) == {}


MISTAKES = [
    (b'"@method": POST', b'"@method": post', "method"),
    (b'"@method": POST', b'"@method": PUT', "method"),
    (b'"@query": ?', b'"@query": ', "query"),
    (b'"@query": ?note=a%2fb&flag', b'"@query": ?flag&note=a%2fb', "query"),
    (b'"@query": ?note=a%2fb', b'"@query": ?note=a/b', "query"),
    (b'"@path": /v1/wallets', b'"@path": /wallets', "path"),
    (b"/deposits", b"/deposits/", "path"),
    (b'"@signature-params": (', b'"@signature-params": sig1=(', "ending"),
]


@pytest.mark.parametrize(("edit", "by", "part"), MISTAKES)
def test_usual_mistake_is_found(edit: bytes, by: bytes, part: str) -> None:
    assert findings_of(edited(edit, by)).keys() == {part, "canonical"}


def test_newline_at_the_end_and_crlf_are_found() -> None:
    parameters = field_of(signed(), b"signature-input").partition(b"=")[2]
    assert findings_of(edited(parameters, parameters + b"\n")).keys() == {"ending", "canonical"}
    base = message_to_sign(REQUEST, sign_message(SECRET, REQUEST, created_s=NOW_S))
    assert findings_of(edited(base, base.replace(b"\n", b"\r\n"))).keys() == {"separator", "canonical"}


def test_two_mistakes_at_once_are_found() -> None:
    request = edited(b'"@method": POST\n"@path": /v1/wallets', b'"@method": post\n"@path": /wallets')
    assert findings_of(request).keys() == {"method", "path", "canonical"}


def test_secret_used_as_text_is_found_and_never_shown() -> None:
    as_text = SigningKey(SECRET.id, SECRET.secret.hex().encode())
    found = findings_of(signed(key=as_text))
    assert found.keys() == {"secret", "canonical"}
    assert SECRET.secret.hex() not in str(found)


def test_wrong_algorithm_missing_coverage_and_clock_are_told() -> None:
    assert findings_of(signed(), verifier_of(Algorithm.ED25519)).keys() == {"key", "sig", "canonical"}
    named = signed(algorithm=Algorithm.HMAC_SHA256)
    ed25519 = replace(verifier_of(Algorithm.ED25519), id=SECRET.id)
    assert findings_of(named, ed25519).keys() == {"alg"}
    late = findings_of(signed(components=("@method",), expires_s=NOW_S + 1), now_s=NOW_S + 99)
    assert late.keys() == {"coverage", "ts"}


def test_label_that_is_meant_is_the_one_explained() -> None:
    request = signed()
    proxy = b'("@method");created=1;keyid="p"'
    request = with_field(
        request, b"signature-input", b"p=" + proxy + b", " + field_of(request, b"signature-input")
    )
    request = with_field(request, b"signature", b"p=:AA==:, " + field_of(request, b"signature"))
    assert findings_of(request) == {}


def webhook_findings(signature: str, body: bytes = b'{"a": 1}', key: SigningKey | None = SECRET) -> set[str]:
    """The parts that differ."""
    found = explain_webhook(
        key,
        webhook_id=b"msg_1",
        timestamp=b"%d" % NOW_S,
        signature=signature.encode(),
        body=body,
        now_s=NOW_S,
    )
    return {finding.part for finding in found}


def _v1(message: bytes, secret: bytes = SECRET.secret) -> str:
    return "v1," + b64encode(hmac.digest(secret, message, "sha256")).decode()


WEBHOOK_MISTAKES = [
    (b'{"a": 1}', {"ts"}),
    (b'msg_1.1750000000000.{"a": 1}', {"ts"}),
    (b'1750000000.{"a": 1}', {"id"}),
    (b'msg_11750000000{"a": 1}', {"separator"}),
    (b'msg_1.1750000000.{"a":1}', {"body"}),
    (b'msg_1.1750000000000.{"a":1}', {"body", "ts"}),
    (b"something else", {"sig"}),
]


@pytest.mark.parametrize(("message", "parts"), WEBHOOK_MISTAKES)
def test_usual_mistake_of_a_webhook_is_found(message: bytes, parts: set[str]) -> None:
    assert webhook_findings(_v1(message)) == parts | {"canonical"}


def test_secret_of_a_webhook_used_as_text_is_found() -> None:
    text = b"whsec_" + b64encode(SECRET.secret)
    assert webhook_findings(_v1(b'msg_1.1750000000.{"a": 1}', text)) == {"secret", "canonical"}


def test_good_webhook_has_no_findings_and_an_unknown_key_is_told() -> None:
    good = sign_webhook(SECRET, webhook_id="msg_1", timestamp_s=NOW_S, body=b'{"a": 1}')
    assert webhook_findings(good) == set()
    assert webhook_findings(good, key=None) == {"key"}
    assert webhook_findings("v9,AAAA") == {"sig"}
    assert webhook_findings("nonsense") == {"header"}


@given(claim=st.binary(max_size=80), signature=st.binary(max_size=40))
def test_any_message_is_explained(claim: bytes, signature: bytes) -> None:
    request = with_headers(REQUEST, (b"signature-input", b"sig1=" + claim), (b"signature", signature))
    assert findings_of(request)
