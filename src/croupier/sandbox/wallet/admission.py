"""Who may call: the native signature over the request, in time, with a nonce that was never seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.trouble import unauthenticated
from croupier_signing import (
    WINDOW_S,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    parse_authorization,
    verify_native,
)

REMEMBERED_S: Final = WINDOW_S
"""How long a nonce is kept after its signature has expired, for a clock that is set back meanwhile."""


class Pass(Struct, frozen=True, gc=False):
    """A request that is authentic: its nonce, and the last second in which its signature is in time."""

    nonce: str
    expires_s: int


class Admission:
    """Judges signatures and spends nonces; what a former process on the same books has spent is told at the start."""

    def __init__(self, key: SigningKey, clock: Clock, spent: Iterable[tuple[str, int]] = ()) -> None:
        self._key = key
        self._clock = clock
        self._spent: set[str] = set()
        self._by_age: deque[tuple[int, str]] = deque()
        for nonce, expires_s in spent:
            self._spend(nonce, expires_s)

    def admit(self, authorization: str | None, *, method: str, target: str, body: bytes) -> Pass:
        """Let a request in, once. `target` is path and query as sent. Raises Trouble (401)."""
        path, _, query = target.partition("?")
        now_s = self._clock.now_s()
        try:
            parts = parse_authorization(authorization)
            verify_native(
                parts,
                key=self._key,
                method=method,
                path=path.encode("utf-8", "surrogateescape"),
                query=query.encode("utf-8", "surrogateescape"),
                body=body,
                now_s=now_s,
            )
        except SignatureRefused as refused:
            raise unauthenticated(refused.reason.value) from None
        self._forget(now_s)
        if parts.nonce in self._spent:
            raise unauthenticated(RefusalReason.REPLAYED.value)
        expires_s = parts.timestamp_s + WINDOW_S
        self._spend(parts.nonce, expires_s)
        return Pass(parts.nonce, expires_s)

    def is_in_time(self, admitted: Pass) -> bool:
        """Whether a request that was let in may still be decided: what is stale is certain never to be applied."""
        return self._clock.now_s() <= admitted.expires_s

    def _spend(self, nonce: str, expires_s: int) -> None:
        self._spent.add(nonce)
        self._by_age.append((max(expires_s, self._clock.now_s()) + REMEMBERED_S, nonce))

    def _forget(self, now_s: int) -> None:
        while self._by_age and self._by_age[0][0] < now_s:
            self._spent.discard(self._by_age.popleft()[1])
