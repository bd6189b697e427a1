"""Intake of webhooks: `/webhooks/{provider}`, a raw ASGI application beside the callbacks.

Room, bounded read, verify, decode, store, answer: in this order and with no way around. 202 is said once the webhook
is durable; what it means is found out later, from the queue. Where there is no room, that is said before anything is
read. Everything from outside comes in through `WebhookEdge`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from time import perf_counter
from typing import Final

import msgspec
from msgspec import Struct

from croupier.errors import (
    BACKLOGGED,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    OVERLOADED,
    UNKNOWN_PATH,
    UNKNOWN_PROVIDER,
    CroupierError,
)
from croupier.ids import DELIVERY, REQUEST, IdSource, bucket_of, render_id
from croupier.inbox.accept import Receipt
from croupier.inbox.deliveries import Delivery, Origin, render_delivery
from croupier.inbox.records import (
    ACCEPTED,
    DUPLICATE,
    FAILED,
    GONE,
    REFUSED,
    SHED,
    UNKNOWN,
    DeliveryRecord,
)
from croupier.moneypath.commands import Call, RefuseCredit
from croupier.moneypath.outcomes import Outcome
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
    DecodeRefused,
    Operation,
    ProviderAccount,
    Reply,
)
from croupier.providers.notices import Notice, NoticeReader
from croupier.providers.problem import render_problem
from croupier.providers.strict_json import JsonLimits
from croupier.providers.verification import RawRequest, Verified

ACCEPTED_STATUS: Final = 202
OPERATION: Final = Operation(name="webhook")

_LOG: Final = logging.getLogger(__name__)
_JSON: Final = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()
_SHED: Final = (BACKLOGGED, OVERLOADED)


class IntakeLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one webhook, and how many may be arriving at once: each may hold a body of the longest length."""

    body: BodyLimits = BodyLimits()
    json: JsonLimits = JsonLimits()
    arriving: int = 1024


async def _no_wait() -> None:
    """It is always a webhook's turn where no money calls are answered beside it."""


class WebhookEdge(Struct, frozen=True, kw_only=True):
    """What the intake needs: accounts with their adapters, room, the store, the money path, ids, clock, telemetry.

    `require_room` raises `backlogged` or `overloaded`, with the wait that helps; it is asked for every webhook and must
    be cheap. `wait_turn` returns when the money calls beside it leave time for one. `accept` makes a delivery durable
    and tells whether it is a duplicate, or raises CroupierError. `submit` is the money path, for credits that are lost
    with a webhook nobody can read. `keep_refused` is told of what a configured account's address refused: the account,
    the head, the body if it was read, the error, the time.
    """

    accounts: Mapping[str, tuple[ProviderAccount, Adapter]]
    require_room: Callable[[str], None]
    accept: Callable[[Delivery], Awaitable[Receipt]]
    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]]
    keep_refused: Callable[[str, Head, bytes | None, CroupierError, datetime], None]
    ids: IdSource
    now: Callable[[], datetime]
    observe: Callable[[DeliveryRecord], None]
    wait_turn: Callable[[], Awaitable[None]] = _no_wait
    note_key: Callable[[str, RawRequest, str | None], None] = lambda provider, raw, key_id: None
    limits: IntakeLimits = IntakeLimits()


class Taken(Struct, frozen=True, gc=False):
    """The body of a 202. `id` is ours; of a duplicate, the one it got the first time."""

    status: str
    delivery_id: str
    id: str


class _Seen(Struct, gc=False):
    """How far a webhook got."""

    body: bytes | None = None
    verified: Verified | None = None
    notice: Notice | None = None
    receipt: Receipt | None = None
    error: CroupierError | None = None


class Webhooks:
    """The ASGI application; give it every HTTP request whose path begins with `/webhooks/`."""

    __slots__ = ("_arriving", "_edge")

    def __init__(self, edge: WebhookEdge) -> None:
        self._edge = edge
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then tell telemetry about it."""
        started = perf_counter()
        edge = self._edge
        head = parse_head(scope)
        provider, rest = _split(head.path)
        account, adapter = edge.accounts.get(provider, (None, None))
        correlation_id = head.correlation_id or render_id(REQUEST, edge.ids.new(bucket_of(provider)))
        seen = _Seen()
        if account is None or adapter is None:
            reply: Reply | None = _answer_nowhere(seen, correlation_id, provider)
        else:
            reply = await self._answer(receive, _Visit(head, rest, account, adapter, correlation_id), seen)
        if reply is not None:
            must_close = seen.body is None and not _may_stay(head, seen.error, edge.limits.body)
            await send_reply(send, reply, head, correlation_id, must_close=must_close)
        name = UNKNOWN if account is None else account.id
        edge.observe(_record(name, reply, seen, head, correlation_id, perf_counter() - started))

    async def _answer(self, receive: Receive, visit: _Visit, seen: _Seen) -> Reply | None:
        """Everything that can happen to a webhook ends here, as an answer or as a sender who is gone."""
        try:
            return await self._take(receive, visit, seen)
        except CroupierError as refused:
            seen.error = refused
        except ClientGone:
            return None
        except Exception:  # noqa: BLE001 (the request edge: every sender gets an answer)
            extra = {"provider": visit.account.id, "correlation_id": visit.correlation_id}
            _LOG.exception("webhook_failed", extra=extra)
            seen.error = CroupierError(INTERNAL, "something failed here; repeat the webhook")
        error = seen.error
        if error.kind.status < 500 and error.kind not in _SHED:
            self._edge.keep_refused(visit.account.id, visit.head, seen.body, error, self._edge.now())
        return render_problem(error, visit.correlation_id)

    async def _take(self, receive: Receive, visit: _Visit, seen: _Seen) -> Reply:
        edge, account, head = self._edge, visit.account, visit.head
        reader = visit.require_reader()
        edge.require_room(account.id)
        check_media_type(head, OPERATION.media_type)
        await edge.wait_turn()
        seen.body = await self._read(receive, head)
        raw = RawRequest(
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body=seen.body,
            received_at=edge.now(),
        )
        # A key that was revoked while the body arrived verifies nothing any more.
        account = edge.accounts.get(account.id, (account, None))[0]
        seen.verified = verified = self._verify(raw, account, reader)
        seen.notice = notice = await self._decode(verified, account, reader, visit)
        delivery_id = verified.nonce or ""
        bucket = bucket_of(delivery_id)
        origin = Origin(account.id, edge.ids.new(bucket), bucket, reader.scheme, visit.correlation_id)
        seen.receipt = receipt = await edge.accept(render_delivery(verified, notice, head, origin))
        word = DUPLICATE if receipt.is_duplicate else ACCEPTED
        body = Taken(word, delivery_id, render_id(DELIVERY, receipt.id))
        return Reply(ACCEPTED_STATUS, _ENCODER.encode(body), _JSON)

    async def _read(self, receive: Receive, head: Head) -> bytes:
        limits = self._edge.limits
        if self._arriving >= limits.arriving:
            detail = "too many webhooks are arriving; repeat this one later"
            raise CroupierError(OVERLOADED, detail, retry_after_s=1)
        self._arriving += 1
        try:
            return await read_body(receive, head.content_length, limits.body)
        finally:
            self._arriving -= 1

    def _verify(self, raw: RawRequest, account: ProviderAccount, reader: NoticeReader) -> Verified:
        note_key = self._edge.note_key
        try:
            verified = reader.verify(raw, account, raw.received_at)
        except CroupierError:
            note_key(account.id, raw, None)
            raise
        note_key(account.id, raw, verified.key_id)
        return verified

    async def _decode(
        self, verified: Verified, account: ProviderAccount, reader: NoticeReader, visit: _Visit
    ) -> Notice:
        """Decode; a credit that is lost with what cannot be decoded reaches finance before the sender hears of it."""
        context = Context(operation=OPERATION, account=account, limits=self._edge.limits.json)
        try:
            return reader.decode(verified, context)
        except DecodeRefused as refused:
            if refused.salvage is not None:
                await self._edge.submit(visit.call(refused.salvage, self._edge.ids))
            raise


class _Visit(Struct, frozen=True, gc=False):
    """One request to a known provider account; `rest` is what its path has behind the account."""

    head: Head
    rest: bytes
    account: ProviderAccount
    adapter: Adapter
    correlation_id: str

    def require_reader(self) -> NoticeReader:
        """The webhook half of the adapter; raises unknown_path, method_not_allowed."""
        reader = self.adapter.notices
        if reader is None:
            detail = f"the protocol {self.adapter.manifest.id} sends no webhooks"
            raise CroupierError(UNKNOWN_PATH, detail)
        if self.rest:
            raise CroupierError(
                UNKNOWN_PATH, "webhooks are posted to /webhooks/{provider}, nothing behind it"
            )
        if self.head.method != "POST":
            raise CroupierError(METHOD_NOT_ALLOWED, "use POST")
        return reader

    def call(self, salvage: RefuseCredit, ids: IdSource) -> Call:
        """The call that tells finance of a lost credit; telling it again changes nothing."""
        bucket = bucket_of(salvage.player_id)
        return Call(
            provider=self.account.id,
            player_id=salvage.player_id,
            bucket=bucket,
            request_id=ids.new(bucket),
            correlation_id=self.correlation_id,
            actions=(salvage,),
            trace_id=self.head.trace_id,
            rules=self.adapter.manifest.rules,
        )


def _split(path: bytes) -> tuple[str, bytes]:
    """Provider id, and what stands behind it; an empty id for a path that is not a webhook's."""
    parts = path.split(b"/", 3)
    if len(parts) < 3 or parts[1] != b"webhooks":
        return "", b""
    return parts[2].decode("latin-1"), b"/" + parts[3] if len(parts) == 4 else b""


def _answer_nowhere(seen: _Seen, correlation_id: str, provider: str) -> Reply:
    """No account: said before any header is judged, so that the answer tells nothing about keys."""
    if provider:
        seen.error = CroupierError(UNKNOWN_PROVIDER, "no provider account has this id")
    else:
        seen.error = CroupierError(UNKNOWN_PATH, "webhooks are posted to /webhooks/{provider}")
    return render_problem(seen.error, correlation_id)


def _may_stay(head: Head, error: CroupierError | None, limits: BodyLimits) -> bool:
    """Whether a sender that is sent away for now may keep its connection although its body was not read.

    A new connection would cost more than the body, whose length is known here; who waits to be asked for it may never
    send it.
    """
    if error is None or error.kind not in _SHED or head.content_length is None:
        return False
    return head.content_length <= limits.max_bytes and all(name != b"expect" for name, _ in head.headers)


def _record(
    provider: str, reply: Reply | None, seen: _Seen, head: Head, correlation_id: str, duration_s: float
) -> DeliveryRecord:
    error, notice, verified, receipt = seen.error, seen.notice, seen.verified, seen.receipt
    result = _result_word(reply, seen)
    return DeliveryRecord(
        provider=provider,
        result=result,
        status=0 if reply is None else reply.status,
        code=result if error is None else error.kind.code,
        reason=None if error is None else error.reason,
        duration_s=duration_s,
        correlation_id=correlation_id,
        trace_id=head.trace_id,
        type=None if notice is None else notice.type,
        delivery_id=None if verified is None else verified.nonce,
        id=None if receipt is None else receipt.id,
        session_id=None if notice is None else notice.session_id,
        round_id=None if notice is None else notice.round_id,
        key_id=None if verified is None else verified.key_id,
    )


def _result_word(reply: Reply | None, seen: _Seen) -> str:
    if reply is None:
        return GONE
    if seen.error is not None:
        kind = seen.error.kind
        return SHED if kind in _SHED else FAILED if kind.status >= 500 else REFUSED
    return DUPLICATE if seen.receipt is not None and seen.receipt.is_duplicate else ACCEPTED
