"""What the profile tests share: keys, the vectors, one way to call every profile, and the refusals all must make."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import pytest
from signing_plain import SIGNING

from croupier_signing import (
    Key,
    PrivateKey,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    read_form,
    read_key,
    verify_body_digest,
    verify_canonical_body,
    verify_canonical_query,
    verify_raw_hmac,
    verify_rsa_body,
    verify_sorted_form,
    verify_sorted_values,
    verify_static_token,
)

PROFILE_VECTORS: Final = SIGNING / "vectors" / "profiles.json"
DOCUMENT: Final[dict[str, Any]] = json.loads(PROFILE_VECTORS.read_text())
VECTORS: Final[dict[str, dict[str, Any]]] = {vector["name"]: vector for vector in DOCUMENT["vectors"]}

NEW: Final = SigningKey("new", b"new: sixteen bytes or more")
OLD: Final = SigningKey("old", b"old: sixteen bytes or more")
STRANGER: Final = SigningKey("stranger", b"stranger: sixteen or more")

Verify = Callable[[Iterable[Any], bytes | None], str]


def published_key(key_id: str) -> Key:
    """A key of the vectors file, the private half where there is a pair."""
    key = DOCUMENT["keys"][key_id]
    pem = key.get("test_private_key_pem")
    return read_key(key_id, pem.encode() if pem else bytes.fromhex(key["secret_hex"]))


def pair(key_id: str) -> PrivateKey:
    """A published RSA pair."""
    key = published_key(key_id)
    assert isinstance(key, PrivateKey)
    return key


def body_of(request: dict[str, Any]) -> bytes:
    """The body's bytes of one vector."""
    body = request["body"]
    return base64.b64decode(body["base64"]) if "base64" in body else body["text"].encode()


def judge(vector: dict[str, Any]) -> str:
    """The id of the key that a vector's signature matches; SignatureRefused as the profile raises it."""
    found = [published_key(key_id) for key_id in vector["keys"]]
    keys: list[Any] = [key.public if isinstance(key, PrivateKey) else key for key in found]
    text, request = vector["signature"], vector["request"]
    signature = None if text is None else text.encode("latin-1")
    options = {
        name: value for name, value in request.items() if name not in ("body", "query", "form", "headers")
    }
    match vector["profile"]:
        case "raw_hmac":
            return verify_raw_hmac(keys, body_of(request), signature, **options)
        case "rsa_body":
            return verify_rsa_body(keys, body_of(request), signature)
        case "sorted_form":
            return verify_sorted_form(keys, _pairs(request["form"]), request["headers"], signature)
        case "canonical_body":
            return verify_canonical_body(keys, body_of(request), signature)
        case "canonical_query":
            return verify_canonical_query(keys, request["query"].encode("latin-1"), signature)
        case "sorted_values":
            return verify_sorted_values(keys, _pairs(request["query"]), signature, **options)
        case "body_digest":
            return verify_body_digest(keys, body_of(request), signature, **options)
        case "static_token":
            return verify_static_token(keys, signature)
        case other:
            raise AssertionError(other)


def _pairs(text: str) -> Sequence[tuple[str, str]]:
    return read_form(text.encode("latin-1"))


def outcome_of(call: Callable[..., str], *given: object, **options: object) -> str:
    """The id a verification returned, or the reason of its refusal."""
    try:
        return call(*given, **options)
    except SignatureRefused as refusal:
        return refusal.reason.value


def flips_of(data: bytes) -> Iterator[bytes]:
    """The data with one bit changed, for every bit."""
    for position in range(len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        yield bytes(changed)


def assert_reason(reason: RefusalReason, call: Callable[..., str], *given: object, **options: object) -> None:
    """The call is refused, for this reason."""
    with pytest.raises(SignatureRefused) as refusal:
        call(*given, **options)
    assert refusal.value.reason is reason


def assert_common_refusals(verify: Verify, signature: str, *, keys: Sequence[Any], stranger: Any) -> None:
    """What every profile owes: `keys` are two, the first of which signed.

    Accepted with the signer first, last and alone; refused with a stranger's key, with none, without a signature,
    with one bit of it changed, and cut short.
    """
    signer, other = keys
    text = signature.encode()
    for tried in ([signer], [signer, other], [other, signer], iter([other, signer])):
        assert verify(tried, text) == signer.id
    for tried in ([], [stranger], [other, stranger]):
        assert_reason(RefusalReason.MISMATCH, verify, tried, text)
    for absent in (None, b""):
        assert_reason(RefusalReason.MISSING, verify, keys, absent)
    for changed in flips_of(text):
        refused = outcome_of(verify, keys, changed)
        assert refused in ("mismatch", "malformed"), changed
    for length in range(1, len(text)):
        assert_reason(RefusalReason.MALFORMED, verify, keys, text[:length])
    for longer in (text + b"a", text + b"\n", text + text, b" " + text):
        assert_reason(RefusalReason.MALFORMED, verify, keys, longer)


def assert_keys_are_bounded(verify: Verify, signature: str, signer: Any, other_kind: Any) -> None:
    """Eight keys are tried and nine never; a key of another kind is a mistake even when nothing was sent."""
    text = signature.encode()
    assert verify([signer] * 8, text) == signer.id
    with pytest.raises(ValueError, match="at most 8 keys"):
        verify([signer] * 9, text)
    for presented in (None, b"", text, b"!"):
        with pytest.raises(TypeError, match="this scheme"):
            verify([signer, other_kind], presented)
