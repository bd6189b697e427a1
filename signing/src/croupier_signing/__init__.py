"""The request signer every Croupier service, adapter and test shares: one canonical form, no I/O."""

from .canonical import SCHEME, canonical_request, normalise_path, normalise_query
from .digest import api_key_matches, hash_api_key, payload_digest, random_nonce, random_token
from .explain import Finding, explain_native
from .keys import MIN_SECRET_BYTES, Key, PrivateKey, PublicKey, SigningKey, read_key
from .native import (
    MAX_HEADER_BYTES,
    WINDOW_S,
    SignedParts,
    parse_authorization,
    render_authorization,
    sign_native,
    verify_native,
)
from .refusal import RefusalReason, SignatureRefused

__all__ = [
    "MAX_HEADER_BYTES",
    "MIN_SECRET_BYTES",
    "SCHEME",
    "WINDOW_S",
    "Finding",
    "Key",
    "PrivateKey",
    "PublicKey",
    "RefusalReason",
    "SignatureRefused",
    "SignedParts",
    "SigningKey",
    "api_key_matches",
    "canonical_request",
    "explain_native",
    "hash_api_key",
    "normalise_path",
    "normalise_query",
    "parse_authorization",
    "payload_digest",
    "random_nonce",
    "random_token",
    "read_key",
    "render_authorization",
    "sign_native",
    "verify_native",
]
