"""Provider callbacks: `/providers/{provider}/…`, a raw ASGI application on the hot path.

Bounded read, verify, decode, submit, encode: in this order and with no way around. Everything from outside
comes in through `Edge`, so that this module has no state and no opinion about databases.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from croupier.errors import INTERNAL, UNKNOWN_PATH, UNKNOWN_PROVIDER, UNKNOWN_SESSION, CroupierError
from croupier.ids import REQUEST, IdSource, bucket_of, render_id
from croupier.moneypath.commands import Action, Bet, Call, Nonce, Rollback, SpendNonce, Win, WinKind
from croupier.moneypath.outcomes import APPROVED, DECLINED, Outcome
from croupier.providers.answering import send_reply
from croupier.providers.arrival import (
    BodyLimits,
    ClientGone,
    Head,
    Receive,
    Scope,
    Send,
    check_media_type,
    parse_head,
    read_body,
)
from croupier.providers.contract import (
    Adapter,
    Context,
    Decoded,
    DecodeRefused,
    Failure,
    Operation,
    ProviderAccount,
    Reply,
    Seat,
    Unseated,
)
from croupier.providers.problem import render_problem
from croupier.providers.shadow.live import LiveCall
from croupier.providers.strict_json import JsonLimits
from croupier.providers.verification import RawRequest, Verified

REFUSED: Final = "refused"
FAILED: Final = "failed"
GONE: Final = "gone"
UNKNOWN: Final = "unknown"
NONCE_GRACE_S: Final = 60
MARGIN_S: Final = 0.25
"""How long before a provider gives up it is answered at the latest: the answer has a way to go, too."""

_LOG: Final = logging.getLogger(__name__)


class EdgeLimits(Struct, frozen=True):
    """The bounds of one request."""

    body: BodyLimits = BodyLimits()
    json: JsonLimits = JsonLimits()


class CallRecord(Struct, frozen=True, gc=False, kw_only=True):
    """One request for telemetry, whatever became of it.

    `outcome` is approved, declined, refused (4xx), failed (5xx) or gone (no answer was sent, status 0);
    `code` is the outcome's or the error's; `reason` is the class of an authentication failure. `provider` and
    `operation` are configured names or `unknown`, so they are safe as labels.
    """

    provider: str
    operation: str
    outcome: str
    status: int
    code: str
    reason: str | None
    is_repeat: bool
    duration_s: float
    correlation_id: str
    trace_id: str | None
    session_id: UUID | None
    round_id: str | None
    method: str = "POST"
    key_id: str | None = None
    oddities: tuple[str, ...] = ()


class Edge(Struct, frozen=True, kw_only=True):
    """What callbacks need: accounts with their adapters by id, the money path, ids, clock, telemetry, bounds.

    `submit` decides a call and returns one outcome for each action, or raises CroupierError; a nonce that was
    spent before is unauthenticated, reason `replayed`. `find_seat` looks up whose session a provider account's
    request is about, by session or by references decided before; `new_token` makes a session token. `note_key`
    is told of every verification: the provider account, the request, the key that proved it or None. `copies` are
    given each verified call of their account once it is answered; they neither wait nor raise.
    """

    accounts: Mapping[str, tuple[ProviderAccount, Adapter]]
    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]]
    find_seat: Callable[[str, UUID | None, tuple[str, ...]], Awaitable[Seat | None]]
    new_token: Callable[[], str]
    ids: IdSource
    now: Callable[[], datetime]
    observe: Callable[[CallRecord], None]
    note_key: Callable[[str, RawRequest, str | None], None] = lambda provider, raw, key_id: None
    limits: EdgeLimits = EdgeLimits()
    copies: Mapping[str, Callable[[LiveCall], None]] = {}


class _Answer(Struct, frozen=True, gc=False, kw_only=True):
    reply: Reply | None
    operation: str
    decoded: Decoded | None = None
    outcomes: tuple[Outcome, ...] = ()
    error: CroupierError | None = None
    key_id: str | None = None
    is_body_read: bool = True
    seen: _Seen | None = None


class Callbacks:
    """The ASGI application; give it every HTTP request whose path begins with `/providers/`."""

    __slots__ = ("_edge",)

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then tell telemetry about it."""
        started = perf_counter()
        edge = self._edge
        head = parse_head(scope)
        provider, path = _split(head.path)
        account, adapter = edge.accounts.get(provider, (None, None))
        correlation_id = head.correlation_id or render_id(REQUEST, edge.ids.new(bucket_of(provider)))
        if account is None or adapter is None:
            answer = _answer_nowhere(path, correlation_id)
        else:
            exchange = _Exchange(edge, head, path, account, adapter, correlation_id)
            answer = await exchange.answer(receive)
        if answer.reply is not None:
            await send_reply(send, answer.reply, head, correlation_id, must_close=not answer.is_body_read)
        name = UNKNOWN if account is None else account.id
        edge.observe(_record(name, answer, head, correlation_id, perf_counter() - started))
        copy = edge.copies.get(name)
        if copy is not None and (call := _live_call(answer, correlation_id)) is not None:
            copy(call)


class _Seen(Struct, gc=False):
    """How far a request got: what an error's answer may know of it."""

    operation: Operation | None = None
    raw: RawRequest | None = None
    decoded: Decoded | None = None
    echo: Any = None
    key_id: str | None = None
    seat: Seat | None = None
    fresh_token: str = ""

    @property
    def name(self) -> str:
        """The operation for telemetry."""
        return UNKNOWN if self.operation is None else self.operation.name


class _Exchange(Struct, frozen=True, gc=False):
    """One request to a known provider account."""

    edge: Edge
    head: Head
    path: bytes
    account: ProviderAccount
    adapter: Adapter
    correlation_id: str

    async def answer(self, receive: Receive) -> _Answer:
        """Everything that can happen to a request ends here, as an answer or as a caller who is gone."""
        seen = _Seen()
        try:
            return await self._answer(receive, seen)
        except CroupierError as refused:
            error = refused
        except ClientGone:
            return _Answer(reply=None, operation=seen.name, is_body_read=False)
        except Exception:  # noqa: BLE001 (the request edge: every caller gets an answer)
            _LOG.exception(
                "callback_failed",
                extra={
                    "provider": self.account.id,
                    "operation": seen.name,
                    "correlation_id": self.correlation_id,
                },
            )
            error = CroupierError(INTERNAL, "something failed here; sign anew and repeat the same reference")
        return self._fail(error, seen)

    async def _answer(self, receive: Receive, seen: _Seen) -> _Answer:
        edge, head, adapter = self.edge, self.head, self.adapter
        began_s = monotonic()
        seen.operation = adapter.operation(head.method, self.path)
        check_media_type(head, seen.operation.media_type)
        body = await read_body(receive, head.content_length, self._body_limits())
        now = edge.now()
        seen.raw = raw = RawRequest(
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body=body,
            received_at=now,
        )
        account = self._account_now()
        verified = self._verify(raw, account, now)
        seen.key_id = verified.key_id
        context = Context(
            operation=seen.operation,
            account=account,
            limits=edge.limits.json,
            fresh_token=edge.new_token() if adapter.manifest.session_token else "",
        )
        seen.fresh_token = context.fresh_token
        decoded = await self._decode(verified, context, seen)
        seen.decoded, seen.echo, seen.operation = decoded, decoded.echo, decoded.operation
        outcomes = await edge.submit(self._call(verified, decoded, began_s))
        return _Answer(
            reply=adapter.encode(decoded, outcomes, context),
            operation=decoded.operation.name,
            decoded=decoded,
            outcomes=outcomes,
            key_id=verified.key_id,
            seen=seen,
        )

    def _verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        try:
            verified = self.adapter.verify(raw, account, now)
        except CroupierError:
            self.edge.note_key(account.id, raw, None)
            raise
        self.edge.note_key(account.id, raw, verified.key_id)
        return verified

    def _account_now(self) -> ProviderAccount:
        """The account as it is once the body is here: a key that was revoked meanwhile verifies nothing any more."""
        entry = self.edge.accounts.get(self.account.id)
        return self.account if entry is None else entry[0]

    def _fail(self, error: CroupierError, seen: _Seen) -> _Answer:
        failure = Failure(
            error=error,
            correlation_id=self.correlation_id,
            account=self.account,
            operation=seen.operation,
            raw=seen.raw,
            echo=seen.echo,
        )
        return _Answer(
            reply=self.adapter.encode_failure(failure),
            operation=seen.name,
            decoded=seen.decoded,
            error=error,
            key_id=seen.key_id,
            is_body_read=seen.raw is not None,
            seen=seen,
        )

    def _body_limits(self) -> BodyLimits:
        """The protocol's own bound where it is the narrower one."""
        own, ours = self.adapter.manifest.body_bytes, self.edge.limits.body
        if own is None or own >= ours.max_bytes:
            return ours
        return BodyLimits(max_bytes=own, timeout_s=ours.timeout_s)

    async def _decode(self, verified: Verified, context: Context, seen: _Seen) -> Decoded:
        """Decode; what cannot be decoded spends its nonce all the same, and a lost credit reaches finance."""
        try:
            decoded = self.adapter.decode(verified, context)
            if isinstance(decoded, Unseated):
                seen.echo = decoded.echo
                seen.seat = await self._find_seat(decoded)
                decoded = decoded.complete(seen.seat)
        except CroupierError as refused:
            if isinstance(refused, DecodeRefused):
                seen.echo = refused.echo if refused.echo is not None else seen.echo
            await self._keep(verified, context.operation, refused)
            raise
        return decoded

    async def _find_seat(self, unseated: Unseated) -> Seat:
        seat = await self.edge.find_seat(self.account.id, unseated.session_id, unseated.references)
        if seat is None:
            error = CroupierError(UNKNOWN_SESSION, "no session has this id", field="session_id")
            raise DecodeRefused(error, unseated.salvage, unseated.echo)
        return seat

    async def _keep(self, verified: Verified, operation: Operation, refused: CroupierError) -> None:
        salvage = refused.salvage if isinstance(refused, DecodeRefused) else None
        if salvage is None and verified.nonce is None:
            return
        # Where nobody is named, the nonce stands in for the player and spreads the work like one.
        action = salvage or SpendNonce(player_id=verified.nonce or "")
        kept = Decoded(operation=operation, player_id=action.player_id, actions=(action,))
        await self.edge.submit(self._call(verified, kept, monotonic()))

    def _call(self, verified: Verified, decoded: Decoded, began_s: float) -> Call:
        bucket = bucket_of(decoded.player_id)
        account, actions = self.account, decoded.actions
        patience_s = self.adapter.manifest.deadline_s(decoded.operation.name)
        return Call(
            provider=account.id,
            player_id=decoded.player_id,
            bucket=bucket,
            request_id=self.edge.ids.new(bucket),
            correlation_id=self.correlation_id,
            actions=actions,
            nonce=render_nonce(verified),
            trace_id=self.head.trace_id,
            pools=account.pools if account.pools and _may_touch_pool(actions) else (),
            rules=self.adapter.manifest.rules,
            token_hash=decoded.token_hash,
            answer_by_s=None if patience_s is None else began_s + patience_s - min(MARGIN_S, patience_s / 2),
        )


def render_nonce(verified: Verified) -> Nonce | None:
    """The nonce a verified request spends, kept for twice the window and a minute; None if there is none."""
    if verified.nonce is None or verified.timestamp_s is None or verified.window_s is None:
        return None
    expires_s = verified.timestamp_s + 2 * verified.window_s + NONCE_GRACE_S
    expires_at = datetime.fromtimestamp(expires_s, UTC)
    return Nonce(bucket_of(verified.nonce), verified.key_id, verified.nonce, expires_at)


def _may_touch_pool(actions: tuple[Action, ...]) -> bool:
    for action in actions:
        if isinstance(action, Bet):
            if action.contribution > 0:
                return True
        elif isinstance(action, Win):
            if action.kind is WinKind.JACKPOT:
                return True
        elif isinstance(action, Rollback):
            return True
    return False


def _split(path: bytes) -> tuple[str, bytes]:
    """Provider id and the path below it; two empty values for a path that is not a callback's."""
    parts = path.split(b"/", 3)
    if len(parts) < 3 or parts[1] != b"providers":
        return "", b""
    return parts[2].decode("latin-1"), b"/" + (parts[3] if len(parts) == 4 else b"")


def _answer_nowhere(path: bytes, correlation_id: str) -> _Answer:
    """No account: said before any header is judged, so that the answer tells nothing about keys."""
    if path:
        error = CroupierError(UNKNOWN_PROVIDER, "no provider account has this id")
    else:
        error = CroupierError(UNKNOWN_PATH, "callbacks are at /providers/{provider}/…")
    reply = render_problem(error, correlation_id)
    return _Answer(reply=reply, operation=UNKNOWN, error=error, is_body_read=False)


def _live_call(answer: _Answer, correlation_id: str) -> LiveCall | None:
    """A call as those who read along get it; None for one that nobody proved or that nobody was answered."""
    seen = answer.seen
    if seen is None or seen.raw is None or seen.key_id is None or answer.reply is None:
        return None
    return LiveCall(
        raw=seen.raw,
        key_id=seen.key_id,
        correlation_id=correlation_id,
        operation=answer.operation,
        decoded=answer.decoded,
        seat=seen.seat,
        fresh_token=seen.fresh_token,
        outcomes=answer.outcomes,
        error=answer.error,
        reply=answer.reply,
    )


def _record(provider: str, answer: _Answer, head: Head, correlation_id: str, duration_s: float) -> CallRecord:
    action: Any = answer.decoded.actions[0] if answer.decoded is not None else None
    last = answer.outcomes[-1] if answer.outcomes else None
    error = answer.error
    return CallRecord(
        provider=provider,
        operation=answer.operation,
        outcome=_outcome_word(answer),
        status=0 if answer.reply is None else answer.reply.status,
        code=error.kind.code if error is not None else last.code if last is not None else GONE,
        reason=None if error is None else error.reason,
        is_repeat=last is not None and last.is_repeat,
        duration_s=duration_s,
        correlation_id=correlation_id,
        trace_id=head.trace_id,
        session_id=getattr(action, "session_id", None),
        round_id=getattr(action, "round_id", None),
        method=head.method if head.method in ("GET", "POST") else "OTHER",
        key_id=answer.key_id,
        oddities=() if answer.decoded is None else answer.decoded.oddities,
    )


def _outcome_word(answer: _Answer) -> str:
    if answer.error is not None:
        return FAILED if answer.error.kind.status >= 500 else REFUSED
    if answer.reply is None:
        return GONE
    return DECLINED if any(not outcome.is_approved for outcome in answer.outcomes) else APPROVED
