"""The diagnosis names the part that differs, whatever usual mistake the signer made."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing_plain import plain_signature

from croupier_signing import Finding, SigningKey, explain_native, parse_authorization, sign_native

KEY = SigningKey("studio-1", b"0123456789abcdef0123456789abcdef")
NOW_S = 1_750_000_000
NONCE = "Nonce-0123456789"


class Request(TypedDict):
    method: str
    path: bytes
    query: bytes
    body: bytes


REQUEST = Request(
    method="POST",
    path=b"/providers/studio/v1/caf%c3%a9%7e",
    query=b"b=x+y&a-=1&a=2&a=10&flag&t=%2f",
    body='{"asset": "EUR", "amount": "1250", "name": "é/"}'.encode(),
)
PATH = "/providers/studio/v1/caf%C3%A9~"
QUERY = "a=10&a=2&a-=1&b=x+y&flag=&t=%2F"


def digest_of(body: str) -> str:
    return sha256(body.encode()).hexdigest()


@dataclass(frozen=True)
class Signer:
    """A signer of the other side, right unless told otherwise."""

    method: str = "POST"
    path: str = PATH
    query: str = QUERY
    ts: str = str(NOW_S)
    nonce: str = NONCE
    digest: str = field(default_factory=lambda: sha256(REQUEST["body"]).hexdigest())
    separator: str = "\n"
    ending: str = ""
    secret: bytes = KEY.secret

    def signature(self) -> str:
        lines = [
            "CROUPIER1-HMAC-SHA256",
            self.method,
            self.path,
            self.query,
            self.ts,
            self.nonce,
            self.digest,
        ]
        return plain_signature(self.secret, (self.separator.join(lines) + self.ending).encode())

    def header(self) -> str:
        return header_with(sig=self.signature())


def header_with(*, sig: str, ts: str = str(NOW_S), nonce: str = NONCE, key_id: str = KEY.id) -> str:
    return f'CROUPIER1-HMAC-SHA256 key="{key_id}", ts="{ts}", nonce="{nonce}", sig="{sig}"'


def explain(
    header: bytes | str | None,
    *,
    key: SigningKey | None = KEY,
    now_s: int = NOW_S,
    request: Request = REQUEST,
) -> list[Finding]:
    return explain_native(header, key=key, now_s=now_s, **request)


def parts_of(findings: list[Finding]) -> list[str]:
    return [finding.part for finding in findings]


MISTAKES = {
    "method in lower case": (Signer(method="post"), "method", "upper case"),
    "other method": (Signer(method="GET"), "method", "GET was signed but POST was sent"),
    "path as sent": (Signer(path="/providers/studio/v1/caf%c3%a9%7e"), "path", "as sent"),
    "path decoded": (Signer(path="/providers/studio/v1/café~"), "path", "percent-decoded"),
    "path with a slash": (Signer(path=PATH + "/"), "path", "trailing slash that was not sent"),
    "path with the query": (Signer(path=f"{PATH}?{QUERY}"), "path", "query was signed on the path's line"),
    "path without its prefix": (Signer(path="/v1/caf%C3%A9~"), "path", "prefix /providers/studio"),
    "query missing": (Signer(query=""), "query", "was not signed"),
    "query as sent": (Signer(query="b=x+y&a-=1&a=2&a=10&flag&t=%2f"), "query", "as sent"),
    "query in the order sent": (Signer(query="b=x+y&a-=1&a=2&a=10&flag=&t=%2F"), "query", "order sent"),
    "query with pairs sorted as text": (
        Signer(query="a-=1&a=10&a=2&b=x+y&flag=&t=%2F"),
        "query",
        "sorted as text",
    ),
    "query with a question mark": (Signer(query="?" + QUERY), "query", "question mark"),
    "query decoded": (Signer(query="a=10&a=2&a-=1&b=x+y&flag=&t=/"), "query", "percent-decoded"),
    "plus as a space": (Signer(query=QUERY.replace("+", "%20")), "query", "+ was signed as %20"),
    "bare name without =": (Signer(query=QUERY.replace("flag=", "flag")), "query", "without ="),
    "last repeat only": (Signer(query=QUERY.replace("a=10&", "")), "query", "only one value"),
    "first repeat only": (Signer(query=QUERY.replace("a=2&", "")), "query", "only one value"),
    "timestamp in ms": (Signer(ts=f"{NOW_S}000"), "ts", "milliseconds"),
    "nonce left out": (Signer(nonce=""), "nonce", "not signed"),
    "digest in upper case": (
        Signer(digest=sha256(REQUEST["body"]).hexdigest().upper()),
        "body",
        "upper-case",
    ),
    "digest in base64": (
        Signer(digest=base64.b64encode(sha256(REQUEST["body"]).digest()).decode()),
        "body",
        "base64",
    ),
    "body itself": (Signer(digest=REQUEST["body"].decode()), "body", "body itself"),
    "empty body": (Signer(digest=digest_of("")), "body", "empty body"),
    "body with a newline": (Signer(digest=digest_of(REQUEST["body"].decode() + "\n")), "body", "newline"),
    "body compact": (
        Signer(digest=digest_of('{"asset":"EUR","amount":"1250","name":"é/"}')),
        "body",
        "(compact JSON)",
    ),
    "body compact, sorted": (
        Signer(digest=digest_of('{"amount":"1250","asset":"EUR","name":"é/"}')),
        "body",
        "sorted keys",
    ),
    "body indented": (
        Signer(digest=digest_of('{\n  "asset": "EUR",\n  "amount": "1250",\n  "name": "é/"\n}')),
        "body",
        "indented by 2",
    ),
    "CRLF between lines": (Signer(separator="\r\n"), "separator", "CRLF"),
    "newline at the end": (Signer(ending="\n"), "ending", "newline"),
    "secret as hex text": (Signer(secret=KEY.secret.hex().encode()), "secret", "hex text"),
    "secret as base64 text": (Signer(secret=base64.b64encode(KEY.secret)), "secret", "base64 text"),
    "secret decoded from hex": (Signer(secret=bytes.fromhex(KEY.secret.decode())), "secret", "from hex"),
    "secret decoded from base64": (Signer(secret=base64.b64decode(KEY.secret)), "secret", "from base64"),
}


def test_right_request_has_no_findings() -> None:
    assert explain(Signer().header()) == []
    header = sign_native(KEY, timestamp_s=NOW_S, nonce=NONCE, **REQUEST)
    assert explain(header) == []
    assert parse_authorization(header).signature == Signer().signature()


@pytest.mark.parametrize("name", MISTAKES)
def test_single_mistake_is_named(name: str) -> None:
    signer, part, words = MISTAKES[name]
    findings = explain(signer.header())
    assert parts_of(findings) == [part, "canonical"]
    assert words in findings[0].message


def test_two_mistakes_in_different_parts_are_both_named() -> None:
    signer = Signer(method="post", query="b=x+y&a-=1&a=2&a=10&flag&t=%2f")
    assert parts_of(explain(signer.header())) == ["method", "query", "canonical"]
    signer = Signer(secret=KEY.secret.hex().encode(), ending="\n")
    assert sorted(parts_of(explain(signer.header()))) == ["canonical", "ending", "secret"]


def test_other_secret_is_reported_with_the_bytes_to_sign() -> None:
    findings = explain(Signer(secret=b"quite another secret").header())
    assert parts_of(findings) == ["sig", "canonical"]
    assert "secret differs" in findings[0].message
    assert findings[1].message.endswith(f"{PATH}\n{QUERY}\n{NOW_S}\n{NONCE}\n{Signer().digest}")


def test_stale_timestamp_is_reported_beside_a_right_signature() -> None:
    behind = explain(Signer().header(), now_s=NOW_S + 31)
    ahead = explain(Signer().header(), now_s=NOW_S - 90)
    assert [finding.part for finding in behind + ahead] == ["ts", "ts"]
    assert "31 s behind" in behind[0].message
    assert "90 s ahead" in ahead[0].message


@pytest.mark.parametrize(
    ("sig", "words"),
    [
        (Signer().signature() + "=", "with + / or ="),
        (Signer().signature().translate(str.maketrans("-_", "+/")) + "=", "with + / or ="),
        (base64.urlsafe_b64decode(Signer().signature() + "=").hex(), "hex"),
        ("abc", "43 characters"),
    ],
)
def test_other_spelling_of_the_signature_is_named(sig: str, words: str) -> None:
    findings = explain(header_with(sig=sig))
    assert parts_of(findings)[:2] == ["header", "sig"]
    assert words in findings[1].message


def test_spare_bits_in_the_signature_are_named() -> None:
    right = Signer().signature()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    findings = explain(header_with(sig=right[:-1] + alphabet[alphabet.index(right[-1]) | 1]))
    assert parts_of(findings) == ["sig"]
    assert "last character" in findings[0].message


def test_milliseconds_in_the_header_are_named() -> None:
    ts = f"{NOW_S}123"
    for signed in (ts, str(NOW_S)):
        findings = explain(header_with(sig=Signer(ts=signed).signature(), ts=ts))
        assert parts_of(findings)[0] == "header"
        assert Finding("ts", "it is in milliseconds; it must be whole seconds") in findings


def test_unknown_key_is_named() -> None:
    assert explain(Signer().header(), key=None) == [Finding("key", "no key 'studio-1' is known here")]
    other = explain(header_with(sig=Signer().signature(), key_id="studio-2"))
    assert parts_of(other) == ["key"]


def test_header_that_is_absent_or_foreign_is_named() -> None:
    assert parts_of(explain(None)) == ["header"]
    assert parts_of(explain("Bearer abc")) == ["header"]


def test_target_that_cannot_be_signed_is_named() -> None:
    broken = Request(method="PO ST", path=b"/%", query=b"a=\xff", body=b"")
    assert parts_of(explain(Signer().header(), request=broken)) == ["method", "path", "query"]


def test_findings_never_hold_the_secret() -> None:
    for signer, _, _ in MISTAKES.values():
        text = repr(explain(signer.header()))
        assert KEY.secret.decode() not in text
        assert KEY.secret.hex() not in text


@given(st.none() | st.binary(max_size=80) | st.text(max_size=80), st.binary(max_size=30))
def test_diagnosis_is_total(header: bytes | str | None, data: bytes) -> None:
    request = Request(method="GET", path=data, query=data, body=data)
    assert explain(header, request=request)


@pytest.mark.parametrize("key", [SigningKey("studio-1", b" " * 16), SigningKey("studio-1", b"=" * 16)])
@pytest.mark.parametrize("body", [b"[" * 100_000, b'"\\ud800"', b"1" * 5000, b"NaN", b"\xff", b""])
def test_diagnosis_survives_hostile_bodies_and_odd_secrets(key: SigningKey, body: bytes) -> None:
    request = Request(method="POST", path=b"", query=b"", body=body)
    for ts, nonce in ((str(NOW_S), NONCE), ("9" * 200, "é\ud800"), ("٣", "")):
        findings = explain(header_with(sig="A" * 43, ts=ts, nonce=nonce), key=key, request=request)
        assert "sig" in parts_of(findings)
