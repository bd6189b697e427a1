"""Error answers of the contract: a status, a stable code, and whether anything may have been applied."""

from __future__ import annotations

from typing import Any, Final, Literal

Applied = Literal["no", "unknown"]
RETRY_AFTER_S: Final = 1


class Trouble(Exception):
    """What is answered with another status than 200."""

    def __init__(self, status: int, code: str, detail: str, applied: Applied = "no") -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.applied = applied

    def render(self) -> dict[str, Any]:
        """The members of the answer's body."""
        return {"code": self.code, "detail": self.detail, "applied": self.applied}


def malformed(detail: str) -> Trouble:
    """The request cannot be read: 400."""
    return Trouble(400, "malformed", detail)


def conflict(detail: str) -> Trouble:
    """The reference, or its target, is known as something else: 409."""
    return Trouble(409, "reference_conflict", detail)


def unauthenticated(reason: str) -> Trouble:
    """The signature is refused: 401."""
    return Trouble(401, "unauthenticated", reason)
