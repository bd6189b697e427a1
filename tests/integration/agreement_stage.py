"""A desk whose wallet is the reference wallet in a process of its own, and comparisons with it.

Everybody plays `AGO` ago, the wallet too, so that what was played is over long since for whoever compares.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from lane_desk import IDS, attempt, read_rows
from msgspec import Struct, structs
from wallet_stage import Clock, Guest, WalletStage, open_wallet_stage

from croupier.demo.wallet_service import WalletService, wallet_process
from croupier.demo.wallet_service import WalletStart as ProcessOrder
from croupier.ids import bucket_of
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.client import WalletClient, WalletSettings
from croupier.operator.wallet.sender import RemoteWallet
from croupier.providers.breakers.desk import Breakers
from croupier.providers.breakers.machine import BreakerSettings
from croupier.providers.retries import RetrySettings
from croupier.runtime.agreement_work import AgreementParts, compare_next, compare_period
from croupier.runtime.database import create_pool
from croupier.settlement.agreement import Agreement, Window
from croupier_signing import SigningKey
from model.calls import call, open_session, rollback

AGO = timedelta(hours=3)
SECRET = "0123456789abcdef0123456789abcdef"
OWNER = "treasury"
DEADLINE = timedelta(minutes=10)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class EarlierClock(Clock):
    """The time, so long ago."""

    def __init__(self, ago: timedelta) -> None:
        self._ago = ago

    @property
    def now(self) -> datetime:  # type: ignore[override]
        """The moment."""
        return now() - self._ago

    def pass_by(self, **fields: float) -> None:
        """Let time pass."""
        self._ago -= timedelta(**fields)


class AgreementStage(Struct, frozen=True):
    """A stage with a real wallet, which `service` is to its operator and `wallet` to the gateway."""

    stage: WalletStage
    service: WalletService
    parts: AgreementParts
    numbers: Any
    skew_s: int

    @property
    def url(self) -> str:
        """The database of both."""
        return self.stage.url

    async def guest(self, player_id: str = "player-1", purse: int = 10_000) -> Guest:
        """A player who has money at the operator's, in a new session."""
        await self.service.deposit(player_id, "EUR", purse, f"cash-{player_id}")
        made = Guest(player_id, IDS.new(bucket_of(player_id)))
        opening = open_session(made.session_id, player_id=player_id, expires_at=now() + timedelta(days=1))
        (opened,) = await self.stage.desk.submit(attempt(call(opening), player_id))
        assert opened.is_approved
        return made

    async def bet(self, guest: Guest, amount: int = 100) -> str:
        """A stake that is approved; its reference."""
        reference = f"bet-{next(self.numbers)}"
        outcome: Outcome = await self.stage.ask(guest.bet(reference, amount))
        assert outcome.is_approved, outcome
        return reference

    async def win(self, guest: Guest, of: str, amount: int = 250) -> str:
        """A win of a bet; its reference."""
        reference = f"win-{next(self.numbers)}"
        outcome: Outcome = await self.stage.ask(guest.call(guest.win_action(reference, amount, of)))
        assert outcome.is_approved, outcome
        return reference

    async def roll_back(self, guest: Guest, target: str) -> Outcome:
        """Undo a bet or a win."""
        action = rollback(target, f"undo-{next(self.numbers)}", player_id=guest.player_id)
        return await self.stage.ask(guest.call(action))

    async def misbehave(self, **faults: Any) -> None:
        """Have the next movement (or so many) go wrong, and nothing else."""
        doses = {name: dose if isinstance(dose, dict) else {"next": dose} for name, dose in faults.items()}
        await self.service.control(reset=True, faults=doses, clock_skew_s=self.skew_s)

    async def behave(self) -> None:
        """Be a good wallet again, at the same time of day."""
        await self.service.control(reset=True, clock_skew_s=self.skew_s)

    async def name_of(self, reference: str) -> str:
        """The reference at the wallet of a provider's transaction."""
        rows = await read_rows(
            self.url, "SELECT id FROM wallet_call WHERE reference = $1 ORDER BY id DESC", reference
        )
        return f"wtx_{rows[0]['id'].hex}"

    async def alter_wallet(self, reference: str, change: str) -> None:
        """Alter what the wallet recorded of a provider's transaction, behind everybody's back."""
        name = await self.name_of(reference)
        sql = f"UPDATE reference_wallet.movement SET {change} WHERE reference = $1 RETURNING number"
        assert await read_rows(self.url, sql, name)

    async def compare(self) -> Agreement:
        """Everything that was played until now, without opening breaks; differences too."""
        at = self.parts.now()
        window = Window(at - AGO - timedelta(hours=1), at - timedelta(minutes=3))
        total = Agreement()
        async for found in compare_period(self.parts, window):
            total.take_in(found)
            total.differences += found.differences
        return total

    async def found(self) -> list[tuple[str, str]]:
        """Kind and subject of every difference."""
        return [(one.kind, one.subject) for one in (await self.compare()).differences]

    async def work(self, **changes: Any) -> list[Agreement]:
        """Compare every hour that is due, as the background process does."""
        parts, done = structs.replace(self.parts, **changes), []
        while (found := await compare_next(parts)) is not None:
            done.append(found)
        return done

    async def breaks(self) -> list[Any]:
        """All breaks, oldest first."""
        return await read_rows(self.url, "SELECT * FROM break_item ORDER BY id")


@asynccontextmanager
async def open_agreement_stage(url: str, *, ago: timedelta = AGO) -> AsyncIterator[AgreementStage]:
    """A wallet in a process of its own with its books in the same database, and a stage before it."""
    order = ProcessOrder(database_url=url, secret="env:WALLET_KEY", environment={"WALLET_KEY": SECRET})
    pool = await create_pool(url, min_size=1, max_size=4)
    try:
        async with wallet_process(order) as service:
            skew_s = -int(ago.total_seconds())
            await service.control(clock_skew_s=skew_s)
            clock = EarlierClock(ago)
            wallet = remote_wallet(service.url, pool, clock)
            try:
                async with open_wallet_stage(url, wallet=wallet, clock=clock) as stage:  # type: ignore[arg-type]
                    parts = AgreementParts(
                        pool=pool,
                        wallet=wallet,
                        submit=stage.lanes.submit,
                        ids=IDS,
                        now=now,
                        owner=OWNER,
                        deadline=DEADLINE,
                    )
                    yield AgreementStage(stage, service, parts, itertools.count(1), skew_s)
            finally:
                await wallet.close()
    finally:
        await pool.close()


def remote_wallet(url: str, pool: asyncpg.Pool, clock: Clock) -> RemoteWallet:
    """The gateway's client, by the clock of the stage."""
    settings = WalletSettings(
        url=url,
        key=SigningKey("wallet", SECRET.encode()),
        retries=RetrySettings(budget_percent=100, first_pause_s=0.01),
    )
    breakers = Breakers(pool, BreakerSettings(min_calls=1_000), IDS, clock)
    return RemoteWallet(WalletClient(settings, clock), breakers, settings, clock)
