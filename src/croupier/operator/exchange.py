"""One request to the operator API: what arrived, who sent it, and its way into the money path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from msgspec import structs

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.ids import REQUEST, bucket_of, render_id
from croupier.moneypath.commands import OPERATOR, Action, Call, Idempotency, Nonce, SpendNonce
from croupier.moneypath.outcomes import Outcome
from croupier.operator.authenticate import Caller
from croupier.operator.deps import OperatorDeps
from croupier.providers.arrival import Head

SCOPE_KEY: Final = "croupier.exchange"


class Exchange:
    """State of one request. `unspent` is the nonce of a signed request until a call has taken it along."""

    __slots__ = ("caller", "correlation_id", "deps", "head", "is_body_read", "unspent")

    def __init__(self, deps: OperatorDeps, head: Head) -> None:
        self.deps = deps
        self.head = head
        self.correlation_id = head.correlation_id or render_id(REQUEST, deps.ids.new(0))
        self.caller: Caller | None = None
        self.unspent: Nonce | None = None
        self.is_body_read = head.content_length in (None, 0) and not _is_chunked(head)

    def admit(self, caller: Caller) -> None:
        """Remember who it is; the nonce of a signed request is to be spent from now on."""
        self.caller = caller
        self.unspent = caller.nonce

    def call(
        self,
        player_id: str,
        action: Action,
        *,
        provider: str = OPERATOR,
        time_source: str = OPERATOR,
        idempotency: Idempotency | None = None,
    ) -> Call:
        """A call of the operator's with one action."""
        bucket = bucket_of(player_id)
        return Call(
            provider=provider,
            player_id=player_id,
            bucket=bucket,
            request_id=self.deps.ids.new(bucket),
            correlation_id=self.correlation_id,
            actions=(action,),
            idempotency=idempotency,
            trace_id=self.head.trace_id,
            time_source=time_source,
        )

    async def submit(self, call: Call) -> Outcome:
        """The outcome of a call with one action; otherwise as `submit_all`."""
        (outcome,) = await self.submit_all(call)
        return outcome

    async def submit_all(self, call: Call) -> tuple[Outcome, ...]:
        """Decide a call within the request's deadline; the first call spends the nonce.

        The outcomes are in the order of its actions, or the one that carries a stored answer.
        Raises CroupierError: what the money path raises, or unavailable when the deadline passes.
        """
        nonce, self.unspent = self.unspent, None
        try:
            async with asyncio.timeout(self.deps.limits.deadline_s):
                return await self.deps.submit(structs.replace(call, nonce=nonce))
        except TimeoutError:
            detail = "no decision was made known in time; repeat the request with the same Idempotency-Key"
            raise CroupierError(UNAVAILABLE, detail, retry_after_s=1) from None

    async def spend_nonce(self) -> None:
        """Spend the nonce alone, if there is one left; raises unauthenticated (replayed) for a known one."""
        if self.unspent is not None:
            # Nobody is named, so the nonce stands in for the player and spreads the work like one.
            alone = self.unspent.nonce
            await self.submit(self.call(alone, SpendNonce(player_id=alone)))

    def idempotency(
        self, key: str, fingerprint: str, render: Callable[[tuple[Outcome, ...]], tuple[int, str]]
    ) -> Idempotency:
        """How this request's answer is kept: under its key, in the name of the caller's API key."""
        assert self.caller is not None, "callers are proven before their requests are read"  # noqa: S101 (narrowing)
        owner = self.caller.key.id
        ttl = timedelta(seconds=self.deps.limits.answer_ttl_s)
        return Idempotency(
            # Spread by the key itself: one key names one request, whichever player it is about.
            bucket=bucket_of(f"{owner} {key}"),
            api_key_id=owner,
            key=key,
            fingerprint=fingerprint,
            expires_at=self.deps.now() + ttl,
            render=render,
        )


def _is_chunked(head: Head) -> bool:
    return any(name == b"transfer-encoding" for name, _ in head.headers)


def exchange_of(scope: Any) -> Exchange:
    """The exchange that this request's scope carries."""
    found: Exchange = scope[SCOPE_KEY]
    return found
