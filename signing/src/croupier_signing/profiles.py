"""Every signing profile with its declaration of what it covers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .body_digest import COVERAGE as BODY_DIGEST
from .canonical_json import BODY_COVERAGE as CANONICAL_BODY
from .canonical_json import QUERY_COVERAGE as CANONICAL_QUERY
from .coverage import Coverage
from .message_signatures import COVERAGE as RFC9421
from .raw_hmac import COVERAGE as RAW_HMAC
from .rsa_body import COVERAGE as RSA_BODY
from .sorted_form import COVERAGE as SORTED_FORM
from .sorted_values import COVERAGE as SORTED_VALUES
from .standard_webhooks import COVERAGE as STANDARD_WEBHOOKS
from .static_token import COVERAGE as STATIC_TOKEN

NATIVE: Final = Coverage(
    scheme="native",
    covered=("method", "path", "query", "body", "timestamp", "nonce"),
    uncovered=("headers",),
)

_DECLARED: Final = (
    NATIVE,
    RAW_HMAC,
    RSA_BODY,
    SORTED_FORM,
    CANONICAL_BODY,
    CANONICAL_QUERY,
    SORTED_VALUES,
    BODY_DIGEST,
    STATIC_TOKEN,
    RFC9421,
    STANDARD_WEBHOOKS,
)

COVERAGES: Final[Mapping[str, Coverage]] = MappingProxyType({one.scheme: one for one in _DECLARED})
"""Scheme name → what it covers, for manifests, audits and documents."""
