"""The key both sides of a signature share."""

from __future__ import annotations

import re
from dataclasses import dataclass

MIN_SECRET_BYTES = 16
KEY_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A key id and its secret bytes.

    The id is 1–64 of `A-Za-z0-9._:-`, the secret at least 16 bytes; ValueError otherwise.
    """

    id: str
    secret: bytes

    def __post_init__(self) -> None:
        if KEY_ID.fullmatch(self.id) is None:
            raise ValueError("a key id is 1-64 of A-Za-z0-9._:-")
        if not self.secret:
            raise ValueError(f"key {self.id}: the secret is empty")
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ValueError(f"key {self.id}: the secret is shorter than {MIN_SECRET_BYTES} bytes")

    def __repr__(self) -> str:
        return f"SigningKey(id={self.id!r}, secret=<masked>)"
