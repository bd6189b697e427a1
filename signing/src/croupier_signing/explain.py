"""Say which part of a signed request differs: for a person with the secret, never for the caller."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from .canonical import normalise_method, normalise_path, normalise_query
from .digest import payload_digest
from .guesses import Attempt, RawRequest, plan_attempts
from .keys import SigningKey
from .native import MAX_HEADER_BYTES, WINDOW_S, parse_authorization
from .refusal import SignatureRefused

_LOOSE_PARAMETER = re.compile(r'(key|ts|nonce|sig)\s{0,4}=\s{0,4}"?([^",\s]{0,256})')


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `part` is header, key, method, path, query, ts, nonce, body, secret, sig, separator or ending (how the
    lines were joined), or canonical, whose message is the bytes that should have been signed.
    """

    part: str
    message: str


@dataclass(frozen=True, slots=True)
class _Claims:
    key_id: str
    ts: str
    nonce: str
    sig: str


def explain_native(
    header: bytes | str | None,
    *,
    key: SigningKey | None,
    method: str,
    path: bytes,
    query: bytes,
    body: bytes,
    now_s: int,
    window_s: int = WINDOW_S,
) -> list[Finding]:
    """Everything wrong with a signed request, empty when `verify_native` would accept it.

    A signature cannot say what it covers, so usual mistakes are tried, one and two at a time, until one
    reproduces it. Findings hold the canonical string but never the secret. Total over any header; times
    in seconds.
    """
    findings = _header_findings(header)
    claims = _read_loosely(header)
    if claims is None:
        return findings
    findings += _key_findings(key, claims.key_id)
    request = RawRequest(method, path, query, body)
    problems = _request_findings(request)
    if key is not None and not problems:
        findings += _signature_findings(_right_attempt(key, request, claims), request, claims.sig)
    return findings + problems + _clock_findings(claims.ts, now_s, window_s)


def _header_findings(header: bytes | str | None) -> list[Finding]:
    try:
        parse_authorization(header)
    except SignatureRefused as refusal:
        return [Finding("header", refusal.detail)]
    return []


def _read_loosely(header: bytes | str | None) -> _Claims | None:
    text = header.decode("latin-1") if isinstance(header, bytes) else header or ""
    found = dict(_LOOSE_PARAMETER.findall(text[:MAX_HEADER_BYTES]))
    if not found.keys() >= {"key", "ts", "nonce", "sig"}:
        return None
    return _Claims(found["key"], found["ts"], found["nonce"], found["sig"])


def _key_findings(key: SigningKey | None, key_id: str) -> list[Finding]:
    if key is None:
        return [Finding("key", f"no key {key_id!r} is known here")]
    if key.id != key_id:
        return [Finding("key", f"the header names key {key_id!r}, checked with {key.id!r}")]
    return []


def _request_findings(request: RawRequest) -> list[Finding]:
    checks: tuple[tuple[str, Callable[[], object]], ...] = (
        ("method", lambda: normalise_method(request.method)),
        ("path", lambda: normalise_path(request.path)),
        ("query", lambda: normalise_query(request.query)),
    )
    return [Finding(part, problem) for part, check in checks if (problem := _problem_of(check))]


def _problem_of(check: Callable[[], object]) -> str:
    try:
        check()
    except SignatureRefused as refusal:
        return refusal.detail
    return ""


def _right_attempt(key: SigningKey, request: RawRequest, claims: _Claims) -> Attempt:
    return Attempt(
        secret=key.secret,
        method=normalise_method(request.method),
        path=normalise_path(request.path),
        query=normalise_query(request.query),
        ts=_to_bytes(claims.ts),
        nonce=_to_bytes(claims.nonce),
        body=payload_digest(request.body).encode(),
    )


def _signature_findings(right: Attempt, request: RawRequest, sig: str) -> list[Finding]:
    digest, remark = _read_signature(sig)
    if digest is None:
        return [Finding("sig", remark), _expected(right)]
    findings = [Finding("sig", remark)] if remark else []
    if _matches(right, digest):
        return findings
    for guesses, attempt in plan_attempts(right, request):
        if _matches(attempt, digest):
            return [*findings, *(Finding(guess.part, guess.message) for guess in guesses), _expected(right)]
    unknown = "no usual mistake reproduces it: the secret differs, or a part below is not what was signed"
    return [*findings, Finding("sig", unknown), _expected(right)]


def _matches(attempt: Attempt, digest: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(attempt.secret, attempt.message(), "sha256"), digest)


def _expected(right: Attempt) -> Finding:
    return Finding(
        "canonical", "the bytes to sign are:\n" + right.message().decode("utf-8", "backslashreplace")
    )


def _read_signature(sig: str) -> tuple[bytes | None, str]:
    """The 32 bytes a signature text stands for, and what is wrong with the way it is written."""
    if re.fullmatch(r"[0-9A-Fa-f]{64}", sig):
        return bytes.fromhex(sig), "it is written in hex; it must be base64url without padding"
    text = sig.rstrip("=").replace("+", "-").replace("/", "_")
    if re.fullmatch(r"[A-Za-z0-9_-]{43}", text) is None:
        return None, "it is not the base64url of 32 bytes (43 characters)"
    digest = base64.urlsafe_b64decode(text + "=")
    if sig == base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
        return digest, ""
    if sig != text:
        return digest, "it is written in base64 with + / or =; it must be base64url without padding"
    return digest, "its last character has bits that stand for nothing; signatures are compared as text"


def _clock_findings(ts: str, now_s: int, window_s: int) -> list[Finding]:
    if re.fullmatch(r"[0-9]{1,16}", ts) is None:
        return [Finding("ts", "it is not a whole number of seconds")]
    if abs(now_s - int(ts) // 1000) <= max(window_s, 86400) and len(ts) > 10:
        return [Finding("ts", "it is in milliseconds; it must be whole seconds")]
    late_s = now_s - int(ts)
    if abs(late_s) <= window_s:
        return []
    side = "behind" if late_s > 0 else "ahead of"
    return [
        Finding("ts", f"it is {abs(late_s)} s {side} the clock used here; at most {window_s} s are allowed")
    ]


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
