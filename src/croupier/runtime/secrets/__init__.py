"""Secrets by reference: `env:`, `file:`, `aws-sm:`, `vault:`. Values appear in no error, no log and no repr."""

from croupier.runtime.secrets.references import check_reference, resolve_secret
from croupier.runtime.secrets.unavailable import LARGEST_SECRET_BYTES, SecretUnavailable

__all__ = ["LARGEST_SECRET_BYTES", "SecretUnavailable", "check_reference", "resolve_secret"]
