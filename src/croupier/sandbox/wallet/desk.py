"""The operator's own desk on the same listener, unsigned: the cashier, the switches, the book and its totals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from croupier.sandbox.wallet.answers import render_answer
from croupier.sandbox.wallet.books import Books
from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.faults import ControlOrder, Switches
from croupier.sandbox.wallet.orders import Operation, Order, parse_body, parse_order
from croupier.sandbox.wallet.paging import load_book, load_totals
from croupier.sandbox.wallet.trouble import malformed

_CONTROL: Final = msgspec.json.Decoder(ControlOrder)
Query = Mapping[str, str]
Handler = Callable[[Query, bytes], Awaitable[dict[str, Any]]]


class _Block(Struct, frozen=True):
    player_id: str
    is_blocked: bool


_BLOCK: Final = msgspec.json.Decoder(_Block)


class Desk:
    """Answers by method and path; handlers return the body of a 200, or raise Trouble."""

    def __init__(self, books: Books, clock: Clock, switches: Switches) -> None:
        self._books = books
        self._clock = clock
        self._switches = switches
        self.handlers: dict[tuple[str, str], Handler] = {
            ("POST", "/cashier/deposit"): lambda _, body: self._move("deposit", body),
            ("POST", "/cashier/withdraw"): lambda _, body: self._move("withdraw", body),
            ("GET", "/cashier/balance"): self._tell_balance,
            ("POST", "/cashier/block"): self._block,
            ("GET", "/control"): self._show_control,
            ("POST", "/control"): self._change_control,
            ("GET", "/book"): self._show_book,
            ("GET", "/totals"): self._show_totals,
        }

    async def _move(self, operation: str, body: bytes) -> dict[str, Any]:
        order = parse_order(cast(Operation, operation), body, None)
        return render_answer(order, await self._books.ask(order))

    async def _tell_balance(self, query: Query, _: bytes) -> dict[str, Any]:
        order = Order(operation="balance", player_id=_named(query, "player_id"), asset=_named(query, "asset"))
        return render_answer(order, await self._books.ask(order))

    async def _block(self, _: Query, body: bytes) -> dict[str, Any]:
        block = parse_body(_BLOCK, body)
        await self._books.block(block.player_id, is_blocked=block.is_blocked)
        return {"player_id": block.player_id, "is_blocked": block.is_blocked}

    async def _show_control(self, _: Query, __: bytes) -> dict[str, Any]:
        return self._switches.render() | {"clock_skew_s": self._clock.skew_s}

    async def _change_control(self, query: Query, body: bytes) -> dict[str, Any]:
        order = parse_body(_CONTROL, body)
        self._switches.apply(order)
        if order.reset or order.clock_skew_s is not None:
            self._clock.set_skew(order.clock_skew_s or 0)
        return await self._show_control(query, body)

    async def _show_book(self, query: Query, _: bytes) -> dict[str, Any]:
        after = query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= 18):
            raise malformed("after is the number of the last movement you have, 0 at first")
        return await load_book(self._books, int(after))

    async def _show_totals(self, _: Query, __: bytes) -> dict[str, Any]:
        return await load_totals(self._books)


def _named(query: Query, name: str) -> str:
    value = query.get(name, "")
    if not value or "\0" in value:
        raise malformed(f"the query names no {name}")
    return value
