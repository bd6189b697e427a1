"""What a stored delivery means: from its bytes to the call it stands for, and from the answer to what becomes of it.

Pure: drain and replay give the accounts, the time and the chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from croupier.errors import MALFORMED, CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Action, Call, NoticeTerms, RefuseCredit, Rollback, Win, WinKind
from croupier.moneypath.decide.notice import MAY_COME
from croupier.moneypath.outcomes import (
    ALREADY_PAID,
    ALREADY_ROLLED_BACK,
    NOTHING_TO_ROLL_BACK,
    REPORTED,
    Outcome,
)
from croupier.providers.contract import Adapter, Context, Operation, ProviderAccount
from croupier.providers.notices import Notice
from croupier.providers.strict_json import JsonLimits
from croupier.providers.verification import StoredDelivery, reopen_delivery

FIRST: Final = UUID(int=0)
"""Stands for the first processing where a replay would have its id."""

APPLIED: Final = "applied"
REPEAT: Final = "repeat"
NOTHING: Final = "nothing"
REFUSED: Final = "refused"
UNMATCHED: Final = "unmatched"

DECODE_FAILED: Final = "decode_failed"
UNKNOWN_TYPE: Final = "unknown_type"
UNKNOWN_PROVIDER: Final = "unknown_provider"
WORKER_LOST: Final = "worker_lost"

LONGEST_DETAIL: Final = 500

_WEBHOOK: Final = Operation(name="webhook")
_WITHOUT_EFFECT: Final = frozenset({NOTHING_TO_ROLL_BACK, ALREADY_ROLLED_BACK, ALREADY_PAID, REPORTED})


class Claimed(Struct, frozen=True, gc=False, kw_only=True):
    """A delivery under a worker's lease, as the queue and the raw store have it.

    `fence` proves the lease; `attempts` failed before this one; `lost` claims in a row, this one included, ended
    without a word. `first_failed_at` is also when it began to wait.
    """

    bucket: int
    id: UUID
    fence: int
    attempts: int
    lost: int
    order_key: str
    received_at: datetime
    first_failed_at: datetime | None
    type: str
    correlation_id: str
    trace_id: str | None
    stored: StoredDelivery


class Finish(Struct, frozen=True, gc=False, kw_only=True):
    """It is done. `moved` is the change of the player's wallet in minor units, None when nothing was applied."""

    result: str
    code: str
    detail: str | None = None
    journal_id: UUID | None = None
    asset: str | None = None
    moved: int | None = None


class Setback(Struct, frozen=True, gc=False):
    """The pipeline failed; it may succeed another time."""

    cause: str
    detail: str


class Wait(Struct, frozen=True, gc=False):
    """What it is about is not known yet, and may still come."""

    code: str
    detail: str


class PutBack(Struct, frozen=True, gc=False, kw_only=True):
    """It goes back to the queue until `at`; `cause` and `detail` say why, None when only an earlier one held it up."""

    at: datetime
    attempts: int
    is_waiting: bool = False
    cause: str | None = None
    detail: str | None = None


class Park(Struct, frozen=True, gc=False):
    """It becomes a dead letter."""

    cause: str
    detail: str
    attempts: int


Verdict = Finish | Setback | Wait
End = Finish | PutBack | Park


class Patience(Struct, frozen=True, kw_only=True):
    """How often and how long one delivery is tried. Pauses are in seconds; chance makes them shorter."""

    attempts: int = 8
    """Failed attempts after which it is a dead letter."""
    retry_s: float = 1.0
    retry_cap_s: float = 60.0
    wait_for_cause_s: float = 3600.0
    wait_s: float = 1.0
    wait_cap_s: float = 60.0


class NoticeFault(Exception):
    """A stored delivery that cannot be read; the cause is a stable word."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


def read_notice(
    stored: StoredDelivery, account: ProviderAccount, adapter: Adapter, limits: JsonLimits
) -> Notice:
    """The notice that a stored delivery is.

    Raises:
        CroupierError: the business cannot take it, such as an asset that is not configured any more.
        NoticeFault: it was readable when it came, so that something of ours is wrong.
    """
    if adapter.notices is None:
        raise NoticeFault(DECODE_FAILED, f"the protocol {account.adapter} sends no webhooks")
    try:
        verified = reopen_delivery(stored)
    except ValueError as error:
        raise NoticeFault(DECODE_FAILED, str(error)) from error
    context = Context(operation=_WEBHOOK, account=account, limits=limits)
    try:
        notice = adapter.notices.decode(verified, context)
    except CroupierError as error:
        if error.kind is MALFORMED or error.kind.retryable:
            raise NoticeFault(DECODE_FAILED, str(error)) from error
        raise
    if not notice.is_known:
        raise NoticeFault(UNKNOWN_TYPE, f"{account.adapter} knows no notice {notice.type}")
    return notice


class Source(Struct, frozen=True, gc=False, kw_only=True):
    """Where a call comes from: the delivery, and the replay that asks for it (`FIRST` for none)."""

    id: UUID
    correlation_id: str
    trace_id: str | None
    replay: UUID = FIRST

    @property
    def request_id(self) -> UUID:
        """The same for every attempt, so that a redo is the same decision and no repeat."""
        return UUID(int=self.id.int ^ self.replay.int)


def render_call(
    source: Source, notice: Notice, account: ProviderAccount, adapter: Adapter, terms: NoticeTerms
) -> Call:
    """The call that a notice stands for. Where nobody is named, its order key stands in for the player."""
    return Call(
        provider=account.id,
        player_id=notice.player_id,
        bucket=bucket_of(notice.player_id or notice.order_key),
        request_id=source.request_id,
        correlation_id=source.correlation_id,
        trace_id=source.trace_id,
        actions=notice.actions,
        notice=terms,
        pools=account.pools if any(map(_may_touch_pool, notice.actions)) else (),
        rules=adapter.manifest.rules,
    )


def render_salvage(source: Source, salvage: RefuseCredit, account: ProviderAccount, adapter: Adapter) -> Call:
    """The call that tells finance of a credit that was lost with a notice."""
    return Call(
        provider=account.id,
        player_id=salvage.player_id,
        bucket=bucket_of(salvage.player_id),
        request_id=source.request_id,
        correlation_id=source.correlation_id,
        trace_id=source.trace_id,
        actions=(salvage,),
        rules=adapter.manifest.rules,
    )


def _may_touch_pool(action: Action) -> bool:
    return isinstance(action, Rollback) or (isinstance(action, Win) and action.kind is WinKind.JACKPOT)


def judge_outcomes(outcomes: Sequence[Outcome]) -> Finish:
    """What a decision means for its delivery. A call of several actions is applied if any of them newly is."""
    fresh = [outcome for outcome in outcomes if not outcome.is_repeat]
    if not fresh:
        return _told(REPEAT, outcomes[-1])
    for outcome in fresh:
        if not outcome.is_approved:
            return _told(REFUSED, outcome)
    effective = [outcome for outcome in fresh if outcome.code not in _WITHOUT_EFFECT]
    if not effective:
        return _told(NOTHING, fresh[-1])
    told = next((outcome for outcome in effective if outcome.journal_id is not None), effective[-1])
    moved = sum(outcome.moved for outcome in effective)
    return _told(APPLIED, told, moved=None if told.asset is None else moved)


def _told(result: str, outcome: Outcome, *, moved: int | None = None) -> Finish:
    return Finish(
        result=result, code=outcome.code, journal_id=outcome.journal_id, asset=outcome.asset, moved=moved
    )


def judge_error(error: CroupierError, *, may_wait: bool) -> Verdict:
    """What it means that nothing was decided: a refusal is finished work, and only the retry class says otherwise."""
    code = error.kind.code
    if error.kind in MAY_COME:
        return (
            Wait(code, error.detail) if may_wait else Finish(result=UNMATCHED, code=code, detail=error.detail)
        )
    if error.kind.retryable:
        return Setback(code, error.detail)
    return Finish(result=REFUSED, code=code, detail=error.detail)


def may_still_come(received_at: datetime, patience: Patience, now: datetime) -> bool:
    """Whether what a notice is about may still come."""
    return now < received_at + timedelta(seconds=patience.wait_for_cause_s)


def plan_end(claimed: Claimed, verdict: Verdict, patience: Patience, now: datetime, chance: float) -> End:
    """What becomes of a delivery. `chance`, from 0 to 1, spreads the next attempts (full jitter)."""
    if isinstance(verdict, Finish):
        return verdict
    if isinstance(verdict, Wait):
        return _plan_wait(claimed, verdict, patience, now, chance)
    attempts = claimed.attempts + 1
    if attempts >= patience.attempts:
        return Park(verdict.cause, verdict.detail, attempts)
    # The exponent is bounded, so that the power is a number whatever the bound on attempts.
    pause_s = min(patience.retry_cap_s, patience.retry_s * 2 ** min(attempts - 1, 30)) * chance
    return PutBack(
        at=now + timedelta(seconds=pause_s), attempts=attempts, cause=verdict.cause, detail=verdict.detail
    )


def _plan_wait(claimed: Claimed, verdict: Wait, patience: Patience, now: datetime, chance: float) -> PutBack:
    """Waiting is no failed attempt. Each pause is about as long as the wait so far, and ends at the deadline."""
    since = claimed.first_failed_at or now
    waited_s = (now - since).total_seconds()
    pause_s = min(patience.wait_cap_s, max(patience.wait_s, waited_s)) * (0.5 + chance / 2)
    deadline = claimed.received_at + timedelta(seconds=patience.wait_for_cause_s)
    at = max(now, min(now + timedelta(seconds=pause_s), deadline))
    return PutBack(
        at=at, attempts=claimed.attempts, is_waiting=True, cause=verdict.code, detail=verdict.detail
    )


def render_detail(text: str) -> str:
    """A text the database can hold, cut to a bound."""
    whole = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return whole if len(whole) <= LONGEST_DETAIL else whole[: LONGEST_DETAIL - 1] + "…"
