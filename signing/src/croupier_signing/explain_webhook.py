"""Say which part of a Standard Webhooks delivery differs: for a person with the key, never for the caller."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from itertools import product
from typing import Final

from .explain import Finding
from .guesses import other_bodies, secret_guesses
from .keys import MIN_SECRET_BYTES, PublicKey, SigningKey
from .message_algorithms import algorithms_of, signature_fits
from .refusal import RefusalReason, SignatureRefused
from .standard_webhooks import (
    WEBHOOK_WINDOW_S,
    parse_webhook_signatures,
    verify_webhook,
    webhook_message,
)

_RIGHT: Final = ""

Choice = tuple[str, str, bytes]
"""Part, what to tell the signer (nothing when it is right), and the part's bytes."""


def explain_webhook(
    key: SigningKey | PublicKey | None,
    *,
    webhook_id: bytes | None,
    timestamp: bytes | None,
    signature: bytes | None,
    body: bytes,
    now_s: int,
    window_s: int = WEBHOOK_WINDOW_S,
) -> list[Finding]:
    """Everything wrong with a delivery, empty when `verify_webhook` would accept it with this key.

    Arguments as there. Usual mistakes are tried, one and two at a time. Findings hold the signed bytes but never the
    secret. TypeError for a key of another kind.
    """
    try:
        verify_webhook(
            () if key is None else (key,), webhook_id=webhook_id, timestamp=timestamp, signature=signature,
            body=body, now_s=now_s, window_s=window_s,
        )  # fmt: skip
    except SignatureRefused as refusal:
        if refusal.reason in (RefusalReason.MISSING, RefusalReason.MALFORMED):
            return [Finding("header", refusal.detail)]
    else:
        return []
    late_s = now_s - int(timestamp or b"0")
    findings = [] if abs(late_s) <= window_s else [_clock_finding(late_s, window_s)]
    if key is None:
        return [Finding("key", "no key is known here to check it with"), *findings]
    given = webhook_id or b"", timestamp or b"", body
    return _signature_findings(key, given, signature or b"") + findings


def _clock_finding(late_s: int, window_s: int) -> Finding:
    side = "behind" if late_s > 0 else "ahead of"
    return Finding(
        "ts", f"it is {abs(late_s)} s {side} the clock used here; at most {window_s} s are allowed"
    )


def _signature_findings(
    key: SigningKey | PublicKey, given: tuple[bytes, bytes, bytes], signature: bytes
) -> list[Finding]:
    values = [value for _, value in parse_webhook_signatures(signature)]
    if not values:
        return [Finding("sig", "there is neither a v1 nor a v1a signature")]
    for choice, attempt, message in _plan_attempts(key, *given):
        if any(signature_fits(algorithms_of(key)[0], attempt, message, value) for value in values):
            wrong = [Finding(part, told) for part, told, _ in choice if told]
            return [*wrong, _expected(given)] if wrong else []
    unknown = "no usual mistake reproduces it: the key differs, or a part below is not what was signed"
    return [Finding("sig", unknown), _expected(given)]


def _expected(given: tuple[bytes, bytes, bytes]) -> Finding:
    return Finding(
        "canonical", "the bytes to sign are:\n" + webhook_message(*given).decode("utf-8", "backslashreplace")
    )


def _plan_attempts(
    key: SigningKey | PublicKey, webhook_id: bytes, timestamp: bytes, body: bytes
) -> Iterator[tuple[tuple[Choice, ...], SigningKey | PublicKey, bytes]]:
    """Everything right, then every single mistake, then every two in different parts."""
    choices = list(product(_frames(webhook_id, timestamp), _bodies(body), _secrets(key)))
    for wrong_parts in range(3):
        for choice in choices:
            if sum(told != _RIGHT for _, told, _ in choice) == wrong_parts:
                frame, signed_body, secret = choice
                attempt = SigningKey(key.id, secret[2]) if isinstance(key, SigningKey) else key
                yield choice, attempt, frame[2] + signed_body[2]


def _frames(webhook_id: bytes, timestamp: bytes) -> Iterator[Choice]:
    yield "ts", _RIGHT, webhook_message(webhook_id, timestamp, b"")
    in_ms = "the timestamp was signed in milliseconds; the header has seconds"
    yield "ts", in_ms, webhook_message(webhook_id, timestamp + b"000", b"")
    yield "id", "the id was not signed", timestamp + b"."
    yield "ts", "the timestamp was not signed", webhook_id + b"."
    yield "ts", "the body alone was signed; id and timestamp come before it", b""
    yield "separator", "id, timestamp and body were joined by nothing; they are joined by full stops", (
        webhook_id + timestamp
    )  # fmt: skip


def _bodies(body: bytes) -> Iterator[Choice]:
    yield "body", _RIGHT, body
    for other, message in other_bodies(body):
        yield "body", message, other


def _secrets(key: SigningKey | PublicKey) -> Iterator[Choice]:
    if not isinstance(key, SigningKey):
        yield "secret", _RIGHT, b""
        return
    yield "secret", _RIGHT, key.secret
    whole = b"whsec_" + b64encode(key.secret)
    yield "secret", "the signer used the whole whsec_ text as the secret; what follows it is base64", whole
    for guess in secret_guesses(key.secret):
        if len(guess.value) >= MIN_SECRET_BYTES:
            yield "secret", guess.message, guess.value
