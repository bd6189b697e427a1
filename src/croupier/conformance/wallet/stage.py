"""What a scenario has in its hands: players with money, the calls, and the ways to say what was expected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from croupier.conformance.wallet.books import Books
from croupier.conformance.wallet.caller import AS_USUAL, Caller, Exchange, How
from croupier.conformance.wallet.orders import Order, Player, render_body
from croupier.conformance.wallet.verdicts import Failed

DECIDED_WITHIN_S: Final = 15.0
PAUSE_S: Final = 0.05
FRESH: Final = How(is_fresh=True)
MALFORMED: Final = {400: ("malformed",), 422: ("amount_not_representable", "malformed")}
UNAUTHENTICATED: Final = {401: ("unauthenticated",)}
CONFLICT: Final = {409: ("reference_conflict",)}
_MAY_PASS: Final = frozenset({"in_flight", "overloaded", "unavailable"})


class Stage:
    """One scenario's run: what it sent and got, and what it remarked."""

    def __init__(self, caller: Caller, books: Books) -> None:
        self.caller = caller
        self.books = books
        self.exchanges: list[Exchange] = []
        self.remarks: list[str] = []

    async def player(self, holding: int = 10_000) -> Player:
        """A player who has at least so much, and nobody else plays with meanwhile."""
        return await self.books.take_player(self, holding)

    async def player_with(self, holding: int) -> Player:
        """A player who has exactly so much."""
        # Nobody can deposit nothing: a player who has none of it is one who spent it.
        player = await self.player(max(1, holding))
        await self.books.level(self, player, holding)
        return player

    async def ask(self, path: str, body: Mapping[str, Any] | bytes, how: How = AS_USUAL) -> Exchange:
        """One call, whose answer must come and fit the contract's schema."""
        return self.require(await self.caller.call(path, body, how))

    def require(self, exchange: Exchange) -> Exchange:
        """Keep an exchange; it fails the scenario without an answer, or with one that fits no schema."""
        self.exchanges.append(exchange)
        if exchange.status == 0:
            raise Failed("an answer", exchange.answer.why, exchange)
        if exchange.flaws:
            raise Failed(
                "an answer of the form that the contract gives it", "; ".join(exchange.flaws), exchange
            )
        return exchange

    async def move(self, order: Order, how: How = AS_USUAL) -> Exchange:
        """One attempt to move money; a decision must name what was asked."""
        exchange = await self.ask(order.path, render_body(order), how)
        if exchange.status == 200:
            self.expect_echo(exchange, order)
            self.books.note(order, exchange.get)
        return exchange

    async def decide(self, order: Order, how: How = AS_USUAL) -> Exchange:
        """Attempts under one reference until the wallet decides or refuses the request itself."""
        ends_at_s = time.monotonic() + DECIDED_WITHIN_S
        while True:
            exchange = await self.move(order, how)
            if exchange.status == 200 or exchange.get("code") not in _MAY_PASS:
                return exchange
            if time.monotonic() > ends_at_s:
                raise Failed(
                    f"a decision about {order.reference} within {DECIDED_WITHIN_S:.0f} s",
                    told(exchange),
                    exchange,
                )
            await asyncio.sleep(PAUSE_S)

    async def at_once(self, orders: Iterable[Order]) -> list[Exchange]:
        """Movements at the same time, each on a connection of its own."""
        return list(await asyncio.gather(*(self.decide(order, FRESH) for order in orders)))

    async def status(self, order: Order) -> Exchange:
        """What the wallet says about a reference."""
        player = order.player
        body = {"reference": order.reference, "player_id": player.id, "asset": player.asset}
        exchange = await self.ask("/status", body)
        if exchange.status != 200:
            raise Failed("200", told(exchange), exchange)
        self.expect_echo(exchange, order)
        if exchange.get("status") == "approved":
            self.books.note(order, exchange.get)
        return exchange

    async def balance(self, player: Player) -> int:
        """What the player has; the wallet must know."""
        body = {"player_id": player.id, "asset": player.asset}
        exchange = await self.ask("/balance", body)
        self.expect(exchange, status="approved", player_id=player.id, asset=player.asset)
        return int(exchange.get("balance"))

    def expect(self, exchange: Exchange, **members: Any) -> None:
        """200, and these members of the answer."""
        wanted = ", ".join(f"{name} {value!r}" for name, value in members.items())
        is_so = all(exchange.get(name) == value for name, value in members.items())
        if exchange.status != 200 or not is_so:
            raise Failed(f"200 with {wanted}", told(exchange, members), exchange)

    def expect_echo(self, exchange: Exchange, order: Order) -> None:
        """The answer is about this movement and no other."""
        self.expect(exchange, reference=order.reference, player_id=order.player.id, asset=order.player.asset)

    async def expect_balance(self, player: Player, expected: int, after: str) -> None:
        """The player has so much."""
        found = await self.balance(player)
        if found != expected:
            raise Failed(
                f"a balance of {expected} {after}", f"{found}: {found - expected:+d}", self.exchanges[-1]
            )

    async def approve(
        self, order: Order, *, is_repeat: bool = False, amount: int | None = None, code: str = "ok"
    ) -> Exchange:
        """Move, and expect an approval of the whole amount, or of another where one is given."""
        exchange = await self.decide(order)
        self.expect_approved(exchange, order, is_repeat=is_repeat, amount=amount, code=code)
        return exchange

    def expect_approved(
        self,
        exchange: Exchange,
        order: Order,
        *,
        is_repeat: bool | None = False,
        amount: int | None = None,
        code: str = "ok",
    ) -> None:
        """An approval; None for `is_repeat` leaves open whether it was decided before."""
        moved = str(order.amount if amount is None else amount)
        repeat = {} if is_repeat is None else {"repeat": is_repeat}
        self.expect(exchange, status="approved", code=code, amount=moved, **repeat)

    async def refuse(self, order: Order, *codes: str, is_repeat: bool = False) -> Exchange:
        """Move, and expect a refusal for one of these reasons."""
        exchange = await self.decide(order)
        self.expect_refused(exchange, *codes, is_repeat=is_repeat)
        return exchange

    def expect_refused(self, exchange: Exchange, *codes: str, is_repeat: bool | None = False) -> None:
        """A refusal for one of these reasons."""
        wanted = " or ".join(codes)
        code = exchange.get("code")
        repeat = {} if is_repeat is None else {"repeat": is_repeat}
        self.expect(exchange, status="refused", **repeat)
        if code not in codes:
            raise Failed(f"a refusal with {wanted}", f"the code {code!r}", exchange)

    def expect_error(self, exchange: Exchange, statuses: Mapping[int, tuple[str, ...]]) -> None:
        """An error that says for certain that nothing was applied."""
        code, applied = exchange.get("code"), exchange.get("applied")
        if code not in statuses.get(exchange.status, ()) or applied != "no":
            wanted = " or ".join(f"{status} `{codes[0]}`" for status, codes in statuses.items())
            raise Failed(f'{wanted}, with "applied": "no"', told(exchange), exchange)

    async def reject(
        self, order: Order, statuses: Mapping[int, tuple[str, ...]], how: How = AS_USUAL
    ) -> Exchange:
        """Move, and expect that the request itself is refused."""
        exchange = await self.move(order, how)
        self.expect_error(exchange, statuses)
        return exchange

    async def expect_unheard(self, order: Order) -> None:
        """The wallet never decided about the reference."""
        self.expect(await self.status(order), status="not_found")

    def remark(self, text: str) -> None:
        """Say something that is no failure."""
        self.remarks.append(text)


def told(exchange: Exchange, members: Iterable[str] = ("status", "code", "applied")) -> str:
    """An answer in a few words."""
    if exchange.status == 0:
        return f"no answer: {exchange.answer.why}"
    if exchange.status != 200:
        members = ("code", "detail", "applied")
    said = [(name, exchange.get(name)) for name in members]
    shown = ", ".join(
        f"{name} {value!r}" for name, value in said if exchange.status == 200 or value is not None
    )
    return f"{exchange.status} with {shown}" if shown else f"{exchange.status}"
