"""Standard Webhooks: three headers that sign an id, a time and the body (standardwebhooks.com, specification 1.0)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .canonical import MAX_TIMESTAMP_S
from .coverage import Coverage
from .keys import PrivateKey, PublicKey, SigningKey
from .matching import MAX_KEYS
from .message_algorithms import Algorithm, algorithms_of, nobodys_key, render_signature, signature_fits
from .refusal import RefusalReason, SignatureRefused, malformed
from .structured_fields import read_base64

WEBHOOK_ID: Final = b"webhook-id"
WEBHOOK_TIMESTAMP: Final = b"webhook-timestamp"
WEBHOOK_SIGNATURE: Final = b"webhook-signature"
WEBHOOK_WINDOW_S: Final = 300
MAX_WEBHOOK_SIGNATURE_BYTES: Final = 4096
MAX_WEBHOOK_SIGNATURES: Final = 16

COVERAGE: Final = Coverage(
    scheme="standard_webhooks",
    # The id stands for a nonce, except that a retry has the same one.
    covered=("body", "timestamp", "nonce", "webhook-id", "webhook-timestamp"),
    uncovered=("method", "path", "query", "headers"),
)

# No full stop: it separates what is signed, so an id with one could be read as another id, time and body.
_ID: Final = re.compile(rb"[!-\-/-~]{1,256}")
_TIMESTAMP: Final = re.compile(rb"0|[1-9][0-9]{0,11}")
_SIGNATURE: Final = re.compile(rb"(v[0-9]{1,3}[a-z]{0,8}),([A-Za-z0-9+/=]{1,1024})")
_PREFIX: Final = "whsec_"
_VERSIONS: Final = {b"v1": Algorithm.HMAC_SHA256, b"v1a": Algorithm.ED25519}


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """What a verified webhook proves beside its body; `webhook_id` is what a receiver remembers against repeats."""

    key_id: str
    webhook_id: str
    timestamp_s: int


def read_webhook_secret(text: str) -> bytes:
    """The bytes of a secret written `whsec_` and base64, with or without padding.

    Raises ValueError, without any of the text.
    """
    encoded = text.removeprefix(_PREFIX)
    if encoded == text or re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", encoded) is None:
        raise ValueError(f"a webhook secret is {_PREFIX} and base64")
    try:
        return b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except ValueError:
        raise ValueError(f"a webhook secret is {_PREFIX} and base64") from None


def webhook_message(webhook_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """The bytes that are signed."""
    return b".".join((webhook_id, timestamp, body))


def sign_webhook(key: SigningKey | PrivateKey, *, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature for `webhook-signature`: `v1` with a shared secret, `v1a` with an Ed25519 key.

    Several, of old and new keys, are joined by spaces. Raises TypeError for a key of another kind, ValueError for an
    id or time that `verify_webhook` would not let through.
    """
    if _ID.fullmatch(webhook_id.encode("utf-8", "replace")) is None:
        raise ValueError("a webhook id is 1-256 printable ASCII characters without space and full stop")
    if not 0 <= timestamp_s <= MAX_TIMESTAMP_S:
        raise ValueError("a timestamp is whole seconds since 1970, at most 12 digits")
    version = _version_of(key)
    message = webhook_message(webhook_id.encode(), b"%d" % timestamp_s, body)
    return f"{version.decode()},{b64encode(render_signature(_VERSIONS[version], key, message)).decode()}"


def verify_webhook(
    keys: Iterable[SigningKey | PublicKey],
    *,
    webhook_id: bytes | None,
    timestamp: bytes | None,
    signature: bytes | None,
    body: bytes,
    now_s: int,
    window_s: int = WEBHOOK_WINDOW_S,
) -> WebhookParts:
    """What one of the keys signed within ±`window_s` of `now_s`, both ends included; header values as received.

    A shared secret is tried on every `v1`, an Ed25519 key on every `v1a`; other versions are passed over. Times in
    seconds. Total over any bytes. Raises SignatureRefused: missing, malformed, mismatch (also without keys), then
    stale. Before anything of the request is looked at: TypeError for a key of another kind, ValueError for more than
    `MAX_KEYS`. The caller refuses a `webhook_id` that came with another body.
    """
    held = _take_keys(keys)
    if not webhook_id or not timestamp or not signature:
        raise SignatureRefused(
            RefusalReason.MISSING, "webhook-id, webhook-timestamp and webhook-signature are needed"
        )
    if _ID.fullmatch(webhook_id) is None:
        raise malformed("webhook-id is not 1-256 printable ASCII characters without space and full stop")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise malformed("webhook-timestamp is not whole seconds since 1970")
    signatures = parse_webhook_signatures(signature)
    key = _find_signer(held, webhook_message(webhook_id, timestamp, body), signatures)
    if key is None:
        raise SignatureRefused(RefusalReason.MISMATCH)
    if abs(now_s - int(timestamp)) > window_s:
        raise SignatureRefused(RefusalReason.STALE)
    return WebhookParts(key.id, webhook_id.decode(), int(timestamp))


def _take_keys(keys: Iterable[object]) -> tuple[SigningKey | PublicKey, ...]:
    held: list[SigningKey | PublicKey] = []
    for key in islice(keys, MAX_KEYS + 1):
        if not isinstance(key, SigningKey | PublicKey):
            raise TypeError("a webhook is verified with a shared secret or the public half of a key pair")
        _version_of(key)
        held.append(key)
    if len(held) > MAX_KEYS:
        raise ValueError(f"a webhook is tried with at most {MAX_KEYS} keys")
    return tuple(held)


def parse_webhook_signatures(field: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Version and bytes of every signature of a version that is known here; SignatureRefused (malformed)."""
    if len(field) > MAX_WEBHOOK_SIGNATURE_BYTES:
        raise malformed(f"webhook-signature is longer than {MAX_WEBHOOK_SIGNATURE_BYTES} bytes")
    parts = field.split(b" ")
    if len(parts) > MAX_WEBHOOK_SIGNATURES:
        raise malformed(f"webhook-signature has more than {MAX_WEBHOOK_SIGNATURES} signatures")
    matches = [_SIGNATURE.fullmatch(part) for part in parts]
    if not all(matches):
        raise malformed("webhook-signature is not version,base64 separated by single spaces")
    known = [match for match in matches if match is not None and match[1] in _VERSIONS]
    return tuple((match[1], read_base64(match[2].decode())) for match in known)


def _find_signer(
    keys: tuple[SigningKey | PublicKey, ...], message: bytes, signatures: tuple[tuple[bytes, bytes], ...]
) -> SigningKey | PublicKey | None:
    signer: SigningKey | PublicKey | None = None
    # Every pair is tried, so timing does not tell which key it was; without keys the work is done all the same.
    for key in keys or (nobodys_key(Algorithm.HMAC_SHA256),):
        version = _version_of(key)
        for found, value in signatures:
            if found == version and signature_fits(_VERSIONS[version], key, message, value) and keys:
                signer = signer or key
    return signer


def _version_of(key: SigningKey | PublicKey | PrivateKey) -> bytes:
    for version, algorithm in _VERSIONS.items():
        if algorithm in algorithms_of(key):
            return version
    raise TypeError(f"key {key.id}: Standard Webhooks takes shared secrets and Ed25519 keys")
