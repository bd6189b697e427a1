"""What the operator API is built from: `runtime` fills it in, the configuration's classes stay outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from croupier.ids import IdSource
from croupier.money import AssetRegistry
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.operator.eligibility import EligibilityDesk
from croupier.operator.flags import LaunchFlags
from croupier.operator.permissions import Role
from croupier.operator.reads import OperatorReads
from croupier.play.pack import Category
from croupier.providers.arrival import BodyLimits
from croupier.providers.breakers.desk import Breakers
from croupier.providers.client import ProviderClient
from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.strict_json import JsonLimits
from croupier_signing import SigningKey


class CatalogueGame(Protocol):
    """A game that can be launched; `group` is what contracts name, `rtp_bps` its theoretical return in basis points.

    No `assets`: those that a contract covers.
    """

    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def category(self) -> Category: ...
    @property
    def version(self) -> str | None: ...
    @property
    def rtp_bps(self) -> int | None: ...
    @property
    def assets(self) -> tuple[str, ...]: ...


class Terms(Protocol):
    """A contract's terms as a session pins them; `effective_pool` is None when a provider funds jackpots."""

    @property
    def id(self) -> str: ...
    @property
    def share_bps(self) -> int: ...
    @property
    def effective_pool(self) -> str | None: ...
    @property
    def promo_source(self) -> str: ...


class Contracts(Protocol):
    """Finds the contract in force for a provider, game group and asset at an instant."""

    def select(self, provider: str, game_group: str, asset: str, at: datetime) -> Terms | None:
        """The terms at an aware instant; None when nothing covers it."""
        ...


class OperatorKey(Struct, frozen=True, kw_only=True):
    """A caller's key: a bearer token kept as its hash, or a native signing key."""

    id: str
    role: Role
    token_hash: str | None = None
    signing_key: SigningKey | None = None


class OperatorLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one request; times in seconds."""

    body: BodyLimits = BodyLimits()
    json: JsonLimits = JsonLimits()
    deadline_s: float = 30.0
    session_ttl_s: int = 86_400
    answer_ttl_s: int = 86_400
    """How long an answer is kept under its Idempotency-Key."""


class OperatorRecord(Struct, frozen=True, kw_only=True):
    """One request for telemetry. `route` is the path's template or `unknown`, so it is safe as a label."""

    route: str
    method: str
    status: int
    duration_s: float
    key_id: str | None
    correlation_id: str
    trace_id: str | None


class LaunchRecord(Struct, frozen=True, kw_only=True):
    """One launch for telemetry.

    `result` is launched, refused, unknown, held_back by a breaker or a flag, or not_eligible.
    """

    provider: str
    game_id: str
    asset: str
    result: str
    reason: str
    duration_s: float


class OperatorDeps(Struct, frozen=True, kw_only=True):
    """Everything the operator API uses.

    `submit` decides a call durably and raises CroupierError. `games` are by id, `accounts` by
    provider id; `now` gives UTC.
    """

    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]]
    reads: OperatorReads
    assets: AssetRegistry
    games: Mapping[str, CatalogueGame]
    contracts: Contracts
    accounts: Mapping[str, tuple[ProviderAccount, Adapter]]
    launches: ProviderClient
    breakers: Breakers
    eligibility: EligibilityDesk
    flags: LaunchFlags
    ids: IdSource
    now: Callable[[], datetime]
    keys: tuple[OperatorKey, ...]
    environment: str = "development"
    limits: OperatorLimits = OperatorLimits()
    observe: Callable[[OperatorRecord], None] = lambda _: None
    observe_launch: Callable[[LaunchRecord], None] = lambda _: None
