"""Settling by hand: a person who has looked at the operator's wallet says what became of a call.

The person speaks for the wallet, and in its words only: what is said goes the way of an answer that settling was given,
through the same lanes, and is decided there once. If the wallet's own answer comes first, that stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.governance.audit import Entry, insert_record
from croupier.ids import WALLET_CALL, bucket_of_id, render_id
from croupier.moneypath.rows import read_wallet_call
from croupier.operator.wallet.replies import NOTHING_MOVED, PLAYER_BLOCKED, REFUSALS
from croupier.operator.wallet.settling import LEASE, Settling, SettlingParts
from croupier.runtime.statements import load_statements
from croupier.wallet.calls import Booked, CallState, WalletCall, WalletTerms
from croupier.wallet.port import Approved, NotApplied, Operation, Refused, Word

_SQL: Final = load_statements("croupier/operator/wallet/by_hand.sql")

BY_HAND: Final = "said_by_hand"
"""Why a call was not applied, where a person says so."""
MOVED: Final = "ok"


class Said(StrEnum):
    """What a person may say became of a call."""

    APPROVED = "approved"
    REFUSED = "refused"
    NOT_APPLIED = "not_applied"


class HandOrder(Struct, frozen=True, kw_only=True):
    """What is said of which call, by whom and why.

    `balance` is what the player had after it, in minor units. `is_early`: although its deadline has not passed.
    """

    call_id: UUID
    said: Said
    actor: str
    reason: str
    code: str | None = None
    balance: int | None = None
    wallet_reference: str | None = None
    is_early: bool = False


class HandSettled(Struct, frozen=True, kw_only=True):
    """How the call stands now, and its provider's transaction: `status` and `code` as decided, and its entry.

    `breaks` are those about the call that are open, by id and kind.
    """

    call: WalletCall
    status: str | None
    code: str | None
    journal_id: UUID | None
    breaks: Sequence[tuple[UUID, str]]


class NotByHand(Exception):
    """A person cannot say this of the call, or not now; the text says why and what would help."""


async def settle_by_hand(parts: SettlingParts, order: HandOrder) -> HandSettled:
    """Take the call, remember who says what of it and why, and have it decided like the wallet's own answer.

    Raises NotByHand, and CroupierError when nothing was decided: the call is then as it was, the audit record stays.
    """
    now = parts.now()
    async with parts.pool.acquire() as connection, connection.transaction():
        call = await _lock(connection, order, now, parts.terms)
        word = await _word_of(connection, call, order)
        await insert_record(connection, _record(call, order, word), now)
        await connection.execute(_SQL["take_call"].sql, call.bucket, call.id, now + LEASE)
    settling = Settling(parts)
    try:
        await settling.take_in(call, word)
    except CroupierError:
        await settling.release([call])
        raise
    return await _load_settled(parts, call)


async def _lock(
    connection: asyncpg.Connection, order: HandOrder, now: datetime, terms: WalletTerms
) -> WalletCall:
    row = await connection.fetchrow(_SQL["lock_call"].sql, bucket_of_id(order.call_id), order.call_id)
    if row is None:
        raise NotByHand(f"no wallet call is called {render_id(WALLET_CALL, order.call_id)}")
    call = read_wallet_call(row["call"])
    why_not = _why_not(call, order, now, terms)
    if why_not is not None:
        raise NotByHand(why_not)
    return call


def _why_not(call: WalletCall, order: HandOrder, now: datetime, terms: WalletTerms) -> str | None:
    """Why nobody says anything of this call now; None when somebody may."""
    if not call.is_open:
        since = "" if call.settled_at is None else f" since {_shown(call.settled_at)}"
        return f"{call.name} is settled already: {call.state}{since} ({call.reason or 'no reason'})"
    if call.state == CallState.ASKED and call.next_at is not None and call.next_at > now:
        return f"{call.name} is being sent by a process right now, which has until {_shown(call.next_at)}"
    if now < call.deadline and not order.is_early:
        return (
            f"{call.name} is {call.state}, and the background processes ask the wallet until its deadline at "
            f"{_shown(call.deadline)}: wait for that, or say --before-deadline"
        )
    stale_at = (call.sent_at or call.asked_at) + terms.stale_after
    is_asked_once_more = call.operation != Operation.DEBIT or call.booked != Booked.AFTER
    if order.said is Said.NOT_APPLIED and now < stale_at and not is_asked_once_more:
        return (
            f"{call.name} was sent at {_shown(call.sent_at or call.asked_at)}, and the wallet may take that for fresh "
            f"until {_shown(stale_at)}: nobody can say before then that it is not applied"
        )
    return None


async def _word_of(connection: asyncpg.Connection, call: WalletCall, order: HandOrder) -> Word:
    """What the wallet would have answered; a movement is of all that was asked, or of nothing."""
    match order.said:
        case Said.APPROVED:
            code = order.code or MOVED
            known = {MOVED} | (NOTHING_MOVED if call.operation == Operation.ROLLBACK else set())
            _require_known(code, known, f"a {call.operation} that is approved")
            amount = 0 if code in NOTHING_MOVED else call.amount
            balance = order.balance
            if balance is None:
                balance = await _expect_balance(connection, call, amount)
            return Approved(
                amount=amount, balance=balance, code=code, wallet_reference=order.wallet_reference
            )
        case Said.REFUSED:
            code = order.code or PLAYER_BLOCKED
            _require_known(code, REFUSALS, "what is refused")
            return Refused(code=code, balance=order.balance)
        case Said.NOT_APPLIED:
            return NotApplied(BY_HAND)
        case _:
            assert_never(order.said)


def _require_known(code: str, known: frozenset[str] | set[str], of: str) -> None:
    if code not in known:
        raise NotByHand(f"{code!r} is no code of {of}; the wallet's are: {', '.join(sorted(known))}")


async def _expect_balance(connection: asyncpg.Connection, call: WalletCall, amount: int) -> int:
    """What the player has after it as far as we know: a credit is in what was told already, a debit is not yet."""
    told = await connection.fetchval(_SQL["load_told"].sql, call.bucket, call.player_id, call.asset, call.id)
    return max(0, int(told or 0) - (amount if call.booked == Booked.AFTER else 0))


def _record(call: WalletCall, order: HandOrder, word: Word) -> Entry:
    amount = word.amount if isinstance(word, Approved) else None
    balance = word.balance if isinstance(word, Approved | Refused) else None
    return Entry(
        actor=order.actor,
        action="wallet_call.said_by_hand",
        subject=f"wallet_call:{call.name}",
        reason=order.reason,
        details={
            "said": order.said.value,
            "code": word.reason if isinstance(word, NotApplied) else getattr(word, "code", None),
            "amount": None if amount is None else str(amount),
            "asset": call.asset,
            "balance": None if balance is None else str(balance),
            "balance_is_expected": balance is not None and order.balance is None,
            "wallet_reference": order.wallet_reference,
            "operation": call.operation,
            "provider": call.provider,
            "reference": call.reference,
            "was": call.state,
            "before_deadline": order.is_early,
        },
    )


async def _load_settled(parts: SettlingParts, call: WalletCall) -> HandSettled:
    row = await parts.pool.fetchrow(_SQL["load_settled"].sql, call.bucket, call.id)
    breaks = await parts.pool.fetch(_SQL["load_open_breaks"].sql, call.bucket, call.name)
    return HandSettled(
        call=read_wallet_call(row["call"]),
        status=row["status"],
        code=row["code"],
        journal_id=row["journal_id"],
        breaks=[(one["id"], one["kind"]) for one in breaks],
    )


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
