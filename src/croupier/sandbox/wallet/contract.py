"""The calls of the contract, decided: single ones and batches, with the faults that the wallet was told to have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.sandbox.wallet.admission import Pass
from croupier.sandbox.wallet.answers import Answer, Said, render_answer, render_error
from croupier.sandbox.wallet.books import Books
from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.faults import ANY_STAGE, EACH_ITEM, WHOLE_REQUEST, Drawn, Switches
from croupier.sandbox.wallet.lies import GARBAGE, lie_about
from croupier.sandbox.wallet.orders import (
    BATCH,
    PERIOD,
    Operation,
    Order,
    parse_body,
    parse_item,
    parse_order,
    parse_reference,
)
from croupier.sandbox.wallet.paging import load_statement
from croupier.sandbox.wallet.trouble import Trouble

SINGLE: Final[dict[str, Operation]] = {
    "/debit": "debit",
    "/credit": "credit",
    "/rollback": "rollback",
    "/status": "status",
    "/balance": "balance",
}
PATHS: Final = frozenset({*SINGLE, "/batch", "/statement"})


class HungUp(Exception):
    """The connection is to be closed instead of an answer."""


class Asked(Struct, frozen=True):
    """A request that was let in."""

    path: str
    body: bytes
    admitted: Pass
    correlation_id: str | None


class _Begun(Struct, frozen=True):
    """An order that the books have, and its fault."""

    order: Order
    drawn: Drawn | None
    said: asyncio.Future[Said]


class Contract:
    """Answers what was let in; every method returns the body of a 200, or raises Trouble or HungUp."""

    def __init__(self, books: Books, clock: Clock, switches: Switches) -> None:
        self._books = books
        self._clock = clock
        self._switches = switches

    async def answer(self, asked: Asked) -> bytes:
        """The answer to one request, which may take part in what was ordered to go wrong."""
        if self._switches.latency_ms:
            await asyncio.sleep(self._switches.latency_ms / 1_000)
        if asked.path == "/batch":
            return await self._answer_batch(asked)
        if asked.path == "/statement":
            drawn = self._switches.draw("statement", ANY_STAGE)
            if drawn is not None and drawn.stage == "before":
                raise self._refuse_to_begin(drawn, "statement")
            return await self._deliver(drawn, "statement", lambda: self._list_statement(asked))
        operation = SINGLE[asked.path]
        drawn = self._switches.draw(operation, ANY_STAGE)
        if drawn is None or drawn.stage == "transport":
            return await self._deliver(drawn, operation, lambda: self._answer_single(operation, asked, None))
        return await self._answer_single(operation, asked, drawn)

    async def _deliver(
        self, drawn: Drawn | None, operation: str, decide: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Decide, and let the answer, or the request, be lost, late or spoilt on its way."""
        if drawn is None:
            return await decide()
        self._switches.tell(drawn, operation)
        match drawn.name:
            case "drop":
                raise HungUp
            case "late_before":
                await asyncio.sleep(self._switches.late_ms / 1_000)
                return await decide()
            case _:
                pass
        try:
            body = await decide()
        except Trouble:
            if drawn.name == "late":
                await asyncio.sleep(self._switches.late_ms / 1_000)
            if drawn.name != "commit_then_drop":
                raise
        match drawn.name:
            case "commit_then_drop":
                raise HungUp
            case "garbage":
                return self._switches.chance.choice(GARBAGE)
            case _:
                await asyncio.sleep(self._switches.late_ms / 1_000)
                return body

    async def _answer_single(self, operation: Operation, asked: Asked, drawn: Drawn | None) -> bytes:
        begun = self._begin(operation, asked.body, asked.admitted, asked.correlation_id, drawn)
        return msgspec.json.encode(await self._finish(begun))

    async def _list_statement(self, asked: Asked) -> bytes:
        page = await load_statement(self._books, self._clock, parse_body(PERIOD, asked.body))
        return msgspec.json.encode(page)

    async def _answer_batch(self, asked: Asked) -> bytes:
        items = [bytes(item) for item in parse_body(BATCH, asked.body).items]
        drawn = self._switches.draw(_operation_of(items[0]), WHOLE_REQUEST)
        return await self._deliver(drawn, "batch", lambda: self._answer_items(items, asked))

    async def _answer_items(self, items: list[bytes], asked: Asked) -> bytes:
        """Every item is with the books before the first answer is waited for, in the order of the request."""
        begun: list[_Begun | Answer] = []
        admitted = asked.admitted
        for item in items:
            try:
                operation = parse_item(item)
                drawn = self._switches.draw(operation, EACH_ITEM)
                begun.append(self._begin(operation, item, admitted, asked.correlation_id, drawn))
                # The nonce is the request's: it is kept with the first item.
                admitted = Pass("", asked.admitted.expires_s)
            except Trouble as trouble:
                begun.append(render_error(parse_reference(item), trouble))
        results: list[Any] = []
        for one in begun:
            if isinstance(one, _Begun):
                try:
                    results.append(await self._finish(one))
                except Trouble as trouble:
                    results.append(render_error(one.order.reference, trouble))
            else:
                results.append(one)
        return msgspec.json.encode({"results": results})

    def _begin(
        self,
        operation: Operation,
        body: bytes,
        admitted: Pass,
        correlation_id: str | None,
        drawn: Drawn | None,
    ) -> _Begun:
        """Give an order to the books. Raises Trouble when it cannot be read, or is not to be taken."""
        order = parse_order(operation, body, correlation_id)
        if drawn is not None and drawn.stage == "before":
            raise self._refuse_to_begin(drawn, operation)
        broken = drawn.name if drawn is not None and drawn.stage == "books" else None
        return _Begun(order, drawn, self._books.ask(order, admitted, broken))

    def _refuse_to_begin(self, drawn: Drawn, operation: str) -> Trouble:
        self._switches.tell(drawn, operation)
        return Trouble(503, "unavailable", "nothing was begun, as it was told to be")

    async def _finish(self, begun: _Begun) -> Answer:
        """The answer of the books, or what is said instead. Raises Trouble."""
        said = await begun.said
        answer = render_answer(begun.order, said)
        drawn = begun.drawn
        if drawn is None:
            return answer
        if drawn.stage == "books":
            self._switches.tell(drawn, begun.order.operation, took_effect=_has_effect(drawn.name, said))
            return answer
        if drawn.name == "status_500":
            self._switches.tell(drawn, begun.order.operation)
            raise Trouble(500, "internal", "it was told to fail after it had decided", applied="unknown")
        lie = lie_about(answer, begun.order, drawn.name)
        self._switches.tell(drawn, begun.order.operation, took_effect=lie is not None)
        return answer if lie is None else lie


def _operation_of(item: bytes) -> str:
    try:
        return parse_item(item)
    except Trouble:
        return "debit"


def _has_effect(fault: str, said: Said) -> bool:
    if said.is_repeat:
        return False
    return said.code == "declined" if fault == "refuse" else said.status == "approved" and said.amount != "0"
