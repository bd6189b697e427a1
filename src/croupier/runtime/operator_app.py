"""The operator API as the configuration describes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import asyncpg

from croupier.ids import IdSource
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.operator.app import create_operator_app
from croupier.operator.deps import LaunchRecord, OperatorDeps, OperatorKey, OperatorLimits, OperatorRecord
from croupier.operator.eligibility import EligibilityDesk
from croupier.operator.exclusion import ExclusionCheck
from croupier.operator.flags import LaunchFlags
from croupier.operator.permissions import Role
from croupier.operator.reads import OperatorReads
from croupier.operator.rulings import RulingBook
from croupier.play.eligibility import Located
from croupier.providers.arrival import BodyLimits
from croupier.providers.breakers.desk import Breakers
from croupier.providers.client import ClientLimits, ProviderClient
from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.retries import RetrySettings
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.config import Config, ContractBook, ResolvedKeys, served_in


class OperatorEdge:
    """The ASGI application and what must be closed after it."""

    def __init__(self, app: Any, launches: ProviderClient, check: ExclusionCheck | None) -> None:
        self.app = app
        self._launches = launches
        self._check = check

    async def close(self) -> None:
        """Close the connections to providers, and those to the operator's check."""
        await self._launches.close()
        if self._check is not None:
            await self._check.close()


def build_operator_app(
    config: Config,
    keys: ResolvedKeys,
    accounts: Mapping[str, tuple[ProviderAccount, Adapter]],
    *,
    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]],
    pool: asyncpg.Pool,
    ids: IdSource,
    now: Callable[[], datetime],
    observe: Callable[[OperatorRecord], None],
    observe_launch: Callable[[LaunchRecord], None],
    note_signed: Callable[[str, str], None],
    note_budget: Callable[[str, int], None],
    breakers: Breakers,
    locate: Callable[[str], Located] | None,
    check: ExclusionCheck | None,
    flags: LaunchFlags,
) -> OperatorEdge:
    """Build the operator API; close the result when the process ends."""
    limits = config.limits
    retries = RetrySettings(attempts=config.retries.attempts, budget_percent=config.retries.budget_percent)
    launches = ProviderClient(
        now, ClientLimits(retries=retries), note_signed=note_signed, note_budget=note_budget
    )
    deps = OperatorDeps(
        submit=submit,
        reads=OperatorReads(pool),
        assets=config.asset_registry(),
        games={game.id: game for game in config.games},
        contracts=ContractBook(config.contracts),
        accounts=accounts,
        launches=launches,
        breakers=breakers,
        eligibility=EligibilityDesk(
            served_in(config),
            ids=ids,
            now=now,
            keep=RulingBook(pool).keep,
            locate=locate,
            ask=None if check is None else check.ask,
        ),
        flags=flags,
        ids=ids,
        now=now,
        keys=tuple(
            OperatorKey(
                id=key.id, role=Role(key.role), token_hash=key.token_hash, signing_key=keys.api.get(key.id)
            )
            for key in config.api_keys
        ),
        environment=config.environment,
        limits=OperatorLimits(
            body=BodyLimits(max_bytes=limits.body_bytes, timeout_s=limits.body_timeout_s),
            json=JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
            deadline_s=limits.request_deadline_s,
            session_ttl_s=limits.session_ttl_s,
        ),
        observe=observe,
        observe_launch=observe_launch,
    )
    return OperatorEdge(create_operator_app(deps), launches, check)
