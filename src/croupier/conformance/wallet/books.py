"""The kit's own books: who plays, what every player had before, and what the run has moved so far."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from msgspec import Struct

from croupier.conformance.wallet.caller import Caller, Exchange
from croupier.conformance.wallet.orders import (
    CREDIT,
    DEBIT,
    ROLLBACK,
    Order,
    Player,
    credit,
    debit,
    render_body,
)
from croupier.conformance.wallet.verdicts import NotPlayable, NotReady

if TYPE_CHECKING:
    from croupier.conformance.wallet.stage import Stage

HOLDING: Final = 10_000
"""What the kit asks of a player who is funded by hand, in minor units."""
FUND_TIMEOUT_S: Final = 10
MOST_CORRECTIONS: Final = 3


class Means(Struct, frozen=True, kw_only=True):
    """Where players and their money come from.

    `players` are funded by hand and used in turn; without them players get fresh names that begin with `prefix`, and
    money from `fund_url` or else by a credit.
    """

    asset: str
    players: tuple[str, ...] = ()
    prefix: str = "conformance-"
    fund_url: str | None = None


class Moved(Struct, frozen=True, kw_only=True):
    """What the wallet said it moved, as a statement must list it."""

    order: Order
    amount: int
    change: int
    wallet_reference: str


class Books:
    """Players and movements of one run. Everything that was approved stands once in `moved`."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self.began_at = datetime.now(UTC)
        self.moved: dict[str, Moved] = {}
        self.left_behind: list[str] = []
        self._orders: dict[str, Order] = {}
        self._run = secrets.token_hex(4)
        self._named = 0
        self._taken: dict[Player, int] = {}

    def name_player(self) -> Player:
        """A player whom no wallet knows yet."""
        self._named += 1
        return Player(f"{self.means.prefix}{self._run}-{self._named}", self.means.asset)

    async def take_player(self, stage: Stage, holding: int) -> Player:
        """A player of this scenario's own with at least so much; NotPlayable, NotReady."""
        if self.means.players:
            return await self._take_given(stage, holding)
        player = self.name_player()
        self._taken[player] = 0
        if self.means.fund_url is not None:
            await self._post_deposit(self.means.fund_url, player, holding)
            return player
        exchange = await stage.decide(credit(player, holding, kind="promo_win"))
        if exchange.get("status") != "approved":
            said = f"{exchange.status} {exchange.get('code')}"
            raise NotReady(
                f"a new player cannot be funded by /credit ({said}): create players and name them with --player, or"
                " give --fund-url"
            )
        return player

    async def _take_given(self, stage: Stage, holding: int) -> Player:
        names = [name for name in self.means.players if Player(name, self.means.asset) not in self._taken]
        if not names:
            count = len(self.means.players)
            raise NotPlayable(f"it needs more players than {count}: give --player once for each")
        player = Player(names[0], self.means.asset)
        found = await stage.balance(player)
        self._taken[player] = found
        if found < holding:
            raise NotReady(
                f"player {player.id} has {found} minor units of {player.asset}, less than {holding}: fund them"
            )
        return player

    async def _post_deposit(self, url: str, player: Player, amount: int) -> None:
        body = {
            "player_id": player.id,
            "asset": player.asset,
            "amount": str(amount),
            # A reference of Croupier's form belongs to the contract, and this is not one of its calls.
            "reference": f"conformance-{secrets.token_hex(8)}",
        }
        timeout = aiohttp.ClientTimeout(total=FUND_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.post(url, json=body) as reply:
                text = (await reply.text())[:200]
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotReady(f"--fund-url {url} cannot be reached: {error!r}") from None
        if reply.status >= 300:
            raise NotReady(f"--fund-url {url} answered {reply.status}: {text}")

    async def level(self, stage: Stage, player: Player, holding: int) -> None:
        """Take from a player what is more than this, or give what is missing."""
        surplus = await stage.balance(player) - holding
        if surplus:
            order = debit(player, surplus) if surplus > 0 else credit(player, -surplus, kind="promo_win")
            await stage.approve(order)

    def note(self, order: Order, said: Callable[[str], Any]) -> None:
        """Remember what an approval says was moved."""
        self._orders[order.reference] = order
        if said("status") != "approved" or order.reference in self.moved:
            return
        amount = int(said("amount"))
        if amount:
            sign = self._sign_of(order)
            self.moved[order.reference] = Moved(
                order=order, amount=amount, change=sign * amount, wallet_reference=said("wallet_reference")
            )

    def _sign_of(self, order: Order) -> int:
        if order.operation != ROLLBACK:
            return -1 if order.operation == DEBIT else 1
        target = self._orders.get(order.target or "")
        return -1 if target is not None and target.operation == CREDIT else 1

    async def return_players(self, caller: Caller) -> None:
        """Bring every player of the scenario back to what they had, and say where that failed."""
        for player, before in self._taken.items():
            for _ in range(MOST_CORRECTIONS):
                surplus = await self._surplus(caller, player, before)
                if not surplus:
                    break
                order = debit(player, surplus) if surplus > 0 else credit(player, -surplus, kind="promo_win")
                exchange = await caller.call(order.path, render_body(order))
                if exchange.status == 200 and not exchange.flaws:
                    self.note(order, exchange.get)
            else:
                self.left_behind.append(f"{player.id} has not what they had before, {before} {player.asset}")
        self._taken.clear()

    async def _surplus(self, caller: Caller, player: Player, before: int) -> int:
        exchange: Exchange = await caller.call("/balance", {"player_id": player.id, "asset": player.asset})
        found = exchange.get("balance")
        return int(found) - before if exchange.status == 200 and not exchange.flaws and found else 0
