"""What a diagnosis says about one thing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One result of `croupier doctor`: what was looked at, what was seen, and how to repair it.

    `fix` is a command or an edit, and is empty exactly when the status is ok.
    """

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""

    @classmethod
    def ok(cls, check: str, detail: str) -> Finding:
        """Nothing to do."""
        return cls(check, "ok", detail)

    @classmethod
    def warn(cls, check: str, detail: str, fix: str) -> Finding:
        """Works, but somebody should look."""
        return cls(check, "warn", detail, fix)

    @classmethod
    def fail(cls, check: str, detail: str, fix: str) -> Finding:
        """Must be repaired before anything runs."""
        return cls(check, "fail", detail, fix)
