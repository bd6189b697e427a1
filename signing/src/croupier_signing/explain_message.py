"""Say which part of a request signed by RFC 9421 differs: for a person with the key, never for the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from .canonical import normalise_path, normalise_query
from .content_digest import CONTENT_DIGEST, check_content_digest, render_content_digest
from .explain import Finding
from .guesses import other_bodies, secret_guesses
from .keys import MIN_SECRET_BYTES, PublicKey, SigningKey
from .message_algorithms import Algorithm, signature_fits
from .message_components import MessageRequest, field_lines
from .message_signatures import (
    SIGNATURE_INPUT,
    MessageClaim,
    Policy,
    decide_algorithm,
    policy_refusal,
    read_claims,
    signature_base,
)
from .refusal import SignatureRefused
from .structured_fields import InnerList, parse_dictionary

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_MAX_PREFIXES: Final = 4
_DIGEST: Final = CONTENT_DIGEST.encode()

Change = Callable[["_Attempt"], "_Attempt"]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one signature may have been made from; `edit` is done to the signature base at the end."""

    request: MessageRequest
    inner: InnerList
    key: SigningKey | PublicKey
    edit: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True, slots=True)
class _Guess:
    part: str
    message: str
    change: Change


def explain_message(
    request: MessageRequest,
    *,
    key: SigningKey | PublicKey | None,
    now_s: int,
    policy: Policy,
) -> list[Finding]:
    """Everything wrong with a signed request, empty when `verify_message` would accept it with this key.

    Parts as in `Finding`, and coverage, alg, authority. Usual mistakes are tried, one and two at a time, until one
    reproduces the signature. Findings hold the signature base but never the secret. Total over any headers; times in
    seconds.
    """
    try:
        claims = read_claims(request)
    except SignatureRefused as refusal:
        return [Finding("header", refusal.detail)]
    usable = [claim for claim in claims if isinstance(claim, MessageClaim)]
    if not usable:
        return [Finding("header", claim.detail) for claim in claims if isinstance(claim, SignatureRefused)]
    claim = _meant_claim(usable, key, request, policy)
    findings = _key_findings(key, claim.key_id)
    if (lack := policy_refusal(claim, request, policy)) is not None:
        findings.append(Finding("coverage", lack.detail))
    if key is not None:
        findings += _signature_findings(request, claim, key, policy)
    return findings + _body_findings(request, claim) + _clock_findings(claim, now_s, policy.window_s)


def _meant_claim(
    claims: list[MessageClaim], key: SigningKey | PublicKey | None, request: MessageRequest, policy: Policy
) -> MessageClaim:
    """The label that would be judged, or else the one that comes closest."""
    enough = [claim for claim in claims if policy_refusal(claim, request, policy) is None] or claims
    return next((claim for claim in enough if key is not None and claim.key_id == key.id), enough[0])


def _key_findings(key: SigningKey | PublicKey | None, key_id: str) -> list[Finding]:
    if key is None:
        return [Finding("key", f"no key {key_id!r} is known here")]
    if key.id != key_id:
        return [Finding("key", f"the signature names key {key_id!r}, checked with {key.id!r}")]
    return []


def _signature_findings(
    request: MessageRequest, claim: MessageClaim, key: SigningKey | PublicKey, policy: Policy
) -> list[Finding]:
    expected = Finding(
        "canonical", "the bytes to sign are:\n" + claim.base.decode("ascii", "backslashreplace")
    )
    algorithm = decide_algorithm(key, claim, policy)
    if algorithm is None:
        return [Finding("alg", f"the key cannot be used for {claim.named_algorithm or 'what is allowed'}")]
    if signature_fits(algorithm, key, claim.base, claim.signature):
        return []
    inner = parse_dictionary(field_lines(request, SIGNATURE_INPUT) or b"")[claim.label]
    assert isinstance(inner, InnerList), "it was read as a claim"  # noqa: S101 (narrowing)
    for guesses in _plan_guesses(_Attempt(request, inner, key), claim.label):
        if _fits(guesses, _Attempt(request, inner, key), algorithm, claim):
            return [*(Finding(guess.part, guess.message) for guess in guesses), expected]
    unknown = "no usual mistake reproduces it: the key differs, or a part below is not what was signed"
    return [Finding("sig", unknown), expected]


def _fits(guesses: tuple[_Guess, ...], right: _Attempt, algorithm: Algorithm, claim: MessageClaim) -> bool:
    attempt = right
    for guess in guesses:
        attempt = guess.change(attempt)
    try:
        base = attempt.edit(signature_base(attempt.request, attempt.inner))
    except SignatureRefused:
        return False
    return signature_fits(algorithm, attempt.key, base, claim.signature)


def _plan_guesses(right: _Attempt, label: str) -> Iterator[tuple[_Guess, ...]]:
    guesses = list(_all_guesses(right, label))
    yield from ((guess,) for guess in guesses)
    yield from (pair for pair in combinations(guesses, 2) if pair[0].part != pair[1].part)


def _all_guesses(right: _Attempt, label: str) -> Iterator[_Guess]:
    request = right.request
    yield from _method_guesses(request)
    yield from _path_guesses(request)
    yield from _query_guesses(request)
    yield from _place_guesses(request)
    yield from _digest_guesses(request)
    yield from _base_guesses(label)
    if isinstance(right.key, SigningKey):
        yield from _secret_guesses(right.key)


def _of_request(part: str, message: str, **fields: Any) -> _Guess:
    return _Guess(part, message, lambda attempt: replace(attempt, request=replace(attempt.request, **fields)))


def _of_base(part: str, message: str, edit: Callable[[bytes], bytes]) -> _Guess:
    return _Guess(part, message, lambda attempt: replace(attempt, edit=edit))


def _method_guesses(request: MessageRequest) -> Iterator[_Guess]:
    lower = request.method.lower()
    yield _of_request("method", f"{lower} was signed; the method is signed as sent", method=lower)
    for other in _METHODS:
        yield _of_request("method", f"{other} was signed but {request.method} was sent", method=other)


def _path_guesses(request: MessageRequest) -> Iterator[_Guess]:
    path = request.path
    for other, message in (
        (
            _or_same(normalise_path, path),
            "the path was signed with its escapes normalised; it is signed as sent",
        ),
        (unquote_to_bytes(path), "the path was signed percent-decoded; it is signed as sent"),
        (path.rstrip(b"/"), "the path was signed without its trailing slash"),
        (path + b"/", "the path was signed with a trailing slash that was not sent"),
        (path + b"?" + request.query, "the query was signed with @path as well"),
    ):
        yield _of_request("path", message, path=other)
    parts = path.split(b"/")
    for count in range(2, min(len(parts), _MAX_PREFIXES + 2)):
        shown = b"/".join(parts[:count]).decode("ascii", "replace")
        rest = b"/" + b"/".join(parts[count:])
        yield _of_request("path", f"the path was signed without its prefix {shown}", path=rest)


def _query_guesses(request: MessageRequest) -> Iterator[_Guess]:
    query = request.query
    for other, message in (
        (b"", "the query was signed as if there were none"),
        (
            _or_same(normalise_query, query),
            "the query was signed sorted and normalised; it is signed as sent",
        ),
        (b"&".join(sorted(query.split(b"&"))), "the query was signed sorted; it is signed as sent"),
        (unquote_to_bytes(query), "the query was signed percent-decoded; it is signed as sent"),
        (query.replace(b"%20", b"+"), "%20 was signed as +; the query is signed as sent"),
        (query.replace(b"+", b"%20"), "+ was signed as %20; the query is signed as sent"),
    ):
        yield _of_request("query", message, query=other)
    yield _of_base(
        "query",
        "@query was signed without its question mark",
        lambda base: base.replace(b'"@query": ?', b'"@query": '),
    )


def _or_same(normalise: Callable[[bytes], bytes], text: bytes) -> bytes:
    try:
        return normalise(text)
    except SignatureRefused:
        return text


def _place_guesses(request: MessageRequest) -> Iterator[_Guess]:
    host = request.authority.partition(":")[0]
    for scheme in ("http", "https"):
        yield _of_request(
            "authority", f"{scheme} was signed as the scheme; here it is {request.scheme}", scheme=scheme
        )
        port = {"http": 80, "https": 443}[scheme]
        message = f"the port {port} was signed; a default port is left out"
        yield _of_request("authority", message, authority=f"{host}:{port}", scheme="")
    yield _of_request("authority", "the host was signed without its port", authority=host)
    for name, value in request.headers:
        if name in (b"x-forwarded-host", b"host"):
            shown = value.decode("latin-1")
            yield _of_request(
                "authority", f"{shown} was signed; here it is {request.authority}", authority=shown
            )


def _digest_guesses(request: MessageRequest) -> Iterator[_Guess]:
    for body, how in ((request.body, "the digest signed is not the one sent"), *other_bodies(request.body)):
        for algorithm in ("sha-256", "sha-512"):
            field = render_content_digest(body, algorithm).encode()
            yield _of_request("body", how, headers=_with_digest(request, field))


def _with_digest(request: MessageRequest, field: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (*(line for line in request.headers if line[0] != _DIGEST), (_DIGEST, field))


def _base_guesses(label: str) -> Iterator[_Guess]:
    yield _of_base(
        "ending", "a newline was signed after the last line; there is none", lambda base: base + b"\n"
    )
    yield _of_base(
        "separator",
        "the lines were joined by CRLF; they are joined by LF",
        lambda base: base.replace(b"\n", b"\r\n"),
    )
    yield _of_base(
        "ending",
        "the line of @signature-params was not signed",
        lambda base: base.rpartition(b'\n"@signature-params": ')[0],
    )
    yield _of_base(
        "ending",
        "the label was signed with @signature-params; it is not part of it",
        lambda base: base.replace(b'"@signature-params": ', b'"@signature-params": ' + label.encode() + b"="),
    )


def _secret_guesses(key: SigningKey) -> Iterator[_Guess]:
    for guess in secret_guesses(key.secret):
        if len(guess.value) >= MIN_SECRET_BYTES:
            yield _Guess("secret", guess.message, _with_key(SigningKey(key.id, guess.value)))


def _with_key(key: SigningKey) -> Change:
    return lambda attempt: replace(attempt, key=key)


def _body_findings(request: MessageRequest, claim: MessageClaim) -> list[Finding]:
    if CONTENT_DIGEST not in claim.covered:
        return []
    try:
        check_content_digest(field_lines(request, _DIGEST) or b"", request.body)
    except SignatureRefused as refusal:
        field = render_content_digest(request.body)
        return [Finding("body", f"{refusal.detail}; this body has {field}")]
    return []


def _clock_findings(claim: MessageClaim, now_s: int, window_s: int) -> list[Finding]:
    late_s = now_s - claim.created_s
    findings = []
    if abs(late_s) > window_s:
        side = "behind" if late_s > 0 else "ahead of"
        far = f"created is {abs(late_s)} s {side} the clock used here; at most {window_s} s are allowed"
        findings.append(Finding("ts", far))
    if claim.expires_s is not None and now_s > claim.expires_s:
        findings.append(Finding("ts", f"it expired {now_s - claim.expires_s} s before the clock used here"))
    return findings
