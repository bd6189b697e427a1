"""What must be so before players go to an account that takes over: every check there is, in one list.

A share above nothing is refused while anything is missing, whoever asks and however small it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import asyncpg
from msgspec import Struct

from croupier.governance.cutover import SIGNERS, Step, load_latest
from croupier.governance.flags.halt import load_turn
from croupier.providers.shadow.candidates import render_digest
from croupier.providers.shadow.store import Comparison
from croupier.providers.shadow.verdict import shadow_verdict
from croupier.runtime.config import Config, ContractBook, Provider, Shadow

UNGUARDED_AFTER: Final = timedelta(minutes=1)
"""A turn of the guards that is overdue for longer means that nobody judges rollouts."""


class Succession(Struct, frozen=True, kw_only=True):
    """An account that takes over, the one that it replaces, and the moment at which that is asked about."""

    config: Config
    connection: asyncpg.Connection
    successor: Provider
    replaced: Provider
    now: datetime

    @property
    def digest(self) -> str:
        """The state of the successor's adapter, which every record is for."""
        return adapter_digest(self.successor.adapter)


GoLiveCheck: TypeAlias = Callable[[Succession], Awaitable[list[str]]]
"""What an account lacks, in words; empty when it lacks nothing. It reads and changes nothing."""


class Checked(Struct, frozen=True):
    """One check and what it found missing."""

    name: str
    missing: tuple[str, ...]


def adapter_digest(adapter: str) -> str:
    """What the code of an adapter is, in 16 hex digits."""
    return render_digest(adapter, adapter)


async def check_all(
    config: Config, connection: asyncpg.Connection, successor: str, now: datetime
) -> list[Checked]:
    """Every check of an account that takes over, in order. KeyError for an account that replaces nobody."""
    accounts = {one.id: one for one in config.providers}
    account = accounts[successor]
    succession = Succession(
        config=config,
        connection=connection,
        successor=account,
        replaced=accounts[account.replaces or ""],
        now=now,
    )
    return [Checked(name, tuple(await check(succession))) for name, check in CHECKS.items()]


async def find_missing(
    config: Config, connection: asyncpg.Connection, successor: str, now: datetime
) -> list[str]:
    """Everything that an account lacks before a share of players may go to it; empty when it may go live."""
    return [what for one in await check_all(config, connection, successor, now) for what in one.missing]


async def find_contract_gaps(of: Succession) -> list[str]:
    """What contracts in force cover at the account that is replaced, and none at its successor."""
    book = ContractBook(of.config.contracts)
    scopes = sorted({
        (one.game_group, one.asset)
        for one in of.config.contracts
        if one.provider == of.replaced.id and one.starts_at <= of.now
    })  # fmt: skip
    return [
        f"no contract with {of.successor.id} covers game group {group} in {asset} now"
        for group, asset in scopes
        if book.select(of.successor.id, group, asset, of.now) is None
    ]


async def find_lost_guards(of: Succession) -> list[str]:
    """Whether any background process judges rollouts."""
    due_at = await load_turn(of.connection)
    if due_at is not None and of.now - due_at < UNGUARDED_AFTER:
        return []
    return ["no background process guards rollouts: start `croupier serve` or `croupier work`"]


async def find_suite_gaps(of: Succession) -> list[str]:
    """Whether the contract suite held, for the adapter as it is now."""
    adapter = of.successor.adapter
    record = (await load_latest(of.connection, adapter, of.digest)).get(Step.CONTRACT_SUITE)
    how = f'`croupier provider conformance {adapter} --record --reason "…"`'
    if record is None:
        return [f"the contract suite of {adapter} is not recorded for its code as it is now: {how}"]
    return [] if record.is_good else [f"the contract suite of {adapter} failed ({record.detail}): {how}"]


async def find_shadow_gaps(of: Succession) -> list[str]:
    """Whether the adapter read along with the account that is replaced, and did the same; not asked of the same one."""
    candidate, live = of.successor.adapter, of.replaced.adapter
    if candidate == live:
        return []
    shadows = [one for one in of.config.shadows if (one.provider, one.adapter) == (of.replaced.id, candidate)]
    wanted = shadows[0] if shadows else Shadow(provider=of.replaced.id, adapter=candidate)
    comparison = Comparison(of.replaced.id, candidate, render_digest(candidate, live))
    verdict = await shadow_verdict(of.connection, comparison, at_least=wanted.at_least)
    how = f"`croupier provider shadow {of.replaced.id} --adapter {candidate}`"
    return [f"the shadow of {of.replaced.id} is not green: {why} ({how})" for why in verdict.reasons]


async def find_missing_signatures(of: Succession) -> list[str]:
    """Who has not signed for the account, for its adapter as it is now."""
    latest = await load_latest(of.connection, of.successor.id, of.digest)
    how = f'`croupier provider sign-off {of.successor.id} --token … --reason "…"` with a key of that role'
    return [
        f"{step.value} has {'taken its word back' if step in latest else 'not signed off'}: {how}"
        for step in SIGNERS
        if step not in latest or not latest[step].is_good
    ]


CHECKS: Final[dict[str, GoLiveCheck]] = {
    "contracts": find_contract_gaps,
    "guards": find_lost_guards,
    "contract suite": find_suite_gaps,
    "shadow": find_shadow_gaps,
    "signatures": find_missing_signatures,
}
"""Asked in this order. Reconciliation and the views of support have a line here as soon as they exist."""
