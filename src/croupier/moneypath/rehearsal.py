"""Rehearsal: what calls would do, found on the money path's own way up to the write, which is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import asyncpg
from msgspec import Struct

from croupier.moneypath.commands import Call
from croupier.moneypath.decide import Answer, Ask
from croupier.moneypath.facts import Break, Effects, Facts, Stamp
from croupier.moneypath.faults import UNREACHABLE
from croupier.moneypath.load import Connection, load_facts
from croupier.moneypath.transaction import decide_batch
from croupier.wallet.accounts import WALLET
from croupier.wallet.calls import WalletTerms

LOCK_WAIT_MS: Final = 50
"""How long a rehearsal waits for a player who is held elsewhere: whoever moves money goes first."""


class Rehearsed(Struct, frozen=True, gc=False):
    """What one call would get and do.

    `wallets` is by asset how the players' wallets would change, in minor units; `entries` counts the journal entries
    it would write, those of a closing that follows included.
    """

    answer: Answer
    wallets: tuple[tuple[str, int], ...]
    entries: int
    breaks: tuple[Break, ...]


class Rehearsal(Struct, frozen=True):
    """A rehearsed batch in the order of its calls, and the facts as they would stand after it."""

    results: tuple[Rehearsed, ...]
    facts: Facts


async def rehearse(
    connection: Connection,
    calls: Sequence[Call],
    make_stamp: Callable[[], Stamp],
    *,
    earlier: Facts | None = None,
    lock_wait_ms: int = LOCK_WAIT_MS,
    wallet: WalletTerms | None = None,
) -> Rehearsal:
    """Decide a batch as `run_transaction` would, and leave no trace of it: nothing is written, no nonce is spent.

    The players are held only while their facts are read. `earlier` are the facts after the batch before, of which
    this one goes on. Where the operator keeps the `wallet`, what it told last stands in for its answers. Raises
    whatever the driver raises, lock_not_available (55P03) for a player held elsewhere.
    """
    await connection.execute("BEGIN")
    try:
        await connection.execute(f"SET LOCAL lock_timeout = {lock_wait_ms:d}")
        facts, replayed = await load_facts(connection, calls, wallet)
    finally:
        # A connection that cannot even do that is found out by the next statement.
        with suppress(asyncpg.PostgresError, *UNREACHABLE):
            await connection.execute("ROLLBACK")
    facts.keep_wallet_here()
    if earlier is not None:
        facts.continue_from(earlier)
    stamp, results = make_stamp(), []
    for call in calls:
        done = len(facts.applied)
        (answer,) = decide_batch(facts, (call,), replayed, stamp)
        assert not isinstance(answer, Ask), "a rehearsal asks nobody"  # noqa: S101 (narrowing)
        results.append(_told(answer, facts.applied[done:]))
    return Rehearsal(tuple(results), facts)


def _told(answer: Answer, applied: Sequence[Effects]) -> Rehearsed:
    entries = [entry for effects in applied for entry in effects.entries]
    wallets: dict[str, int] = {}
    for leg in (leg for entry in entries for leg in entry.legs):
        if leg.kind == WALLET:
            wallets[leg.asset] = wallets.get(leg.asset, 0) + leg.amount
    return Rehearsed(
        answer,
        tuple(sorted(wallets.items())),
        len(entries),
        tuple(found for effects in applied for found in effects.breaks),
    )
