"""One transaction for one batch: lock and load, decide, write, commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from croupier.errors import INTERNAL, UNAUTHENTICATED, CroupierError, Violation
from croupier.moneypath.commands import Call
from croupier.moneypath.decide import Answer, Ask, decide_call
from croupier.moneypath.facts import Facts, Stamp
from croupier.moneypath.load import load_facts
from croupier.moneypath.write import write_effects
from croupier.wallet.calls import WalletTerms

if TYPE_CHECKING:
    from uuid import UUID

    from croupier.moneypath.load import Connection

_log = structlog.get_logger("croupier.moneypath")


async def run_transaction(
    connection: Connection,
    calls: Sequence[Call],
    make_stamp: Callable[[], Stamp],
    *,
    lock_wait_ms: int | None = None,
    is_begun: bool = False,
    wallet: WalletTerms | None = None,
) -> list[Answer | Ask]:
    """Decide a batch and make it durable. The answers are in the order of the calls.

    `wallet`: the terms of the operator's own wallet, None where Croupier's is the one.
    `is_begun`: the transaction is open already, and has done nothing yet. When this one is durable the next is open: it
    holds nothing, and spares the next batch a round trip.
    `lock_wait_ms` shortens the wait for players that somebody else holds; None leaves the connection's own.
    Raises whatever the driver raises; nothing of the batch is visible then, unless the commit's reply was lost.
    """
    if not is_begun:
        await connection.execute("BEGIN")
    try:
        if lock_wait_ms is not None:
            await connection.execute(f"SET LOCAL lock_timeout = {lock_wait_ms:d}")
        facts, replayed = await load_facts(connection, calls, wallet)
        # The clock is read after the locks are held, so that later decisions never carry earlier times.
        stamp = make_stamp()
        answers = decide_batch(facts, calls, replayed, stamp)
        await write_effects(connection, facts, stamp)
    except BaseException:
        await _roll_back(connection)
        raise
    await connection.execute("COMMIT AND CHAIN")
    return answers


def decide_batch(
    facts: Facts, calls: Sequence[Call], replayed: frozenset[UUID], stamp: Stamp
) -> list[Answer | Ask]:
    """Decide every call in order. A call that fails takes nothing with it."""
    return [
        _replayed() if call.request_id in replayed else _decide_guarded(facts, call, stamp) for call in calls
    ]


def _decide_guarded(facts: Facts, call: Call, stamp: Stamp) -> Answer | Ask:
    mark = facts.mark()
    try:
        return decide_call(facts, call, stamp)
    except Exception as error:  # noqa: BLE001 (the worker loop: one call's fault must not reach its neighbours)
        facts.undo_to(mark)
        event = "violation" if isinstance(error, Violation) else "decision_failed"
        _log.error(event, correlation_id=call.correlation_id, provider=call.provider, exc_info=error)
        return CroupierError(INTERNAL, "the decision failed and was not recorded; repeat the same reference")


def _replayed() -> CroupierError:
    return CroupierError(UNAUTHENTICATED, "this request was received before; sign anew", reason="replayed")


async def _roll_back(connection: Connection) -> None:
    """Leave the transaction. A connection that cannot even do that is found out by the next statement."""
    try:
        await connection.execute("ROLLBACK")
    except Exception as error:  # noqa: BLE001 (the original error is being raised)
        _log.warning("rollback_failed", error=type(error).__name__)
