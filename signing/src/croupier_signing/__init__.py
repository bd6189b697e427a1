"""The request signer every Croupier service, adapter and test shares: one canonical form, no I/O."""

from .body_digest import sign_body_digest, verify_body_digest
from .canonical import SCHEME, canonical_request, normalise_path, normalise_query
from .canonical_json import (
    canonical_query,
    canonicalise,
    sign_canonical_body,
    sign_canonical_query,
    verify_canonical_body,
    verify_canonical_query,
)
from .content_digest import check_content_digest, render_content_digest
from .coverage import PARTS, Coverage
from .digest import api_key_matches, hash_api_key, payload_digest, random_nonce, random_token
from .explain import Finding, explain_native
from .explain_message import explain_message
from .explain_webhook import explain_webhook
from .keys import MIN_SECRET_BYTES, Key, PrivateKey, PublicKey, SigningKey, read_key
from .matching import MAX_KEYS
from .message_algorithms import Algorithm
from .message_components import MessageRequest
from .message_signatures import (
    Policy,
    VerifiedMessage,
    key_id_of_message,
    message_to_sign,
    sign_message,
    verify_message,
)
from .native import (
    MAX_HEADER_BYTES,
    WINDOW_S,
    SignedParts,
    parse_authorization,
    render_authorization,
    sign_native,
    verify_native,
)
from .profiles import COVERAGES
from .raw_hmac import sign_raw_hmac, verify_raw_hmac
from .refusal import RefusalReason, SignatureRefused
from .rsa_body import sign_rsa_body, verify_rsa_body
from .sorted_form import build_query, read_form, sign_sorted_form, verify_sorted_form
from .sorted_values import join_sorted_values, sign_sorted_values, verify_sorted_values
from .standard_webhooks import (
    WEBHOOK_WINDOW_S,
    WebhookParts,
    read_webhook_secret,
    sign_webhook,
    verify_webhook,
    webhook_message,
)
from .static_token import verify_static_token

__all__ = [
    "COVERAGES",
    "MAX_HEADER_BYTES",
    "MAX_KEYS",
    "MIN_SECRET_BYTES",
    "PARTS",
    "SCHEME",
    "WEBHOOK_WINDOW_S",
    "WINDOW_S",
    "Algorithm",
    "Coverage",
    "Finding",
    "Key",
    "MessageRequest",
    "Policy",
    "PrivateKey",
    "PublicKey",
    "RefusalReason",
    "SignatureRefused",
    "SignedParts",
    "SigningKey",
    "VerifiedMessage",
    "WebhookParts",
    "api_key_matches",
    "build_query",
    "canonical_query",
    "canonical_request",
    "canonicalise",
    "check_content_digest",
    "explain_message",
    "explain_native",
    "explain_webhook",
    "hash_api_key",
    "join_sorted_values",
    "key_id_of_message",
    "message_to_sign",
    "normalise_path",
    "normalise_query",
    "parse_authorization",
    "payload_digest",
    "random_nonce",
    "random_token",
    "read_form",
    "read_key",
    "read_webhook_secret",
    "render_authorization",
    "render_content_digest",
    "sign_body_digest",
    "sign_canonical_body",
    "sign_canonical_query",
    "sign_message",
    "sign_native",
    "sign_raw_hmac",
    "sign_rsa_body",
    "sign_sorted_form",
    "sign_sorted_values",
    "sign_webhook",
    "verify_body_digest",
    "verify_canonical_body",
    "verify_canonical_query",
    "verify_message",
    "verify_native",
    "verify_raw_hmac",
    "verify_rsa_body",
    "verify_sorted_form",
    "verify_sorted_values",
    "verify_static_token",
    "verify_webhook",
    "webhook_message",
]
