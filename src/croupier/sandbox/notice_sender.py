"""Sends an account's webhooks: many at once, each until it is taken, and attacks on those that were."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from croupier.sandbox.batch import House
from croupier.sandbox.book import may_move
from croupier.sandbox.calls import render_moment
from croupier.sandbox.client import Answer
from croupier.sandbox.mailing import Mailing, is_refusal
from croupier.sandbox.notice_attacks import forge_webhook
from croupier.sandbox.notices import Notice
from croupier.sandbox.plan import NoticeAttack
from croupier.sandbox.storm import Delivery, StormOrder, plan_storm
from croupier.sandbox.wire import Webhooks
from croupier_signing import random_nonce

AT_ONCE: Final = 32
"""Deliveries on their way at one time; what is more waits for its turn."""

MOST_REMEMBERED: Final = 200_000


class Remembered:
    """Names seen before; too many, and the oldest are forgotten."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._names: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember one."""
        self._names[name] = None
        if len(self._names) > self._most:
            self._names.popitem(last=False)


class NoticeSender:
    """Takes what the account's notices deliver; raises ValueError for a protocol without webhooks.

    A delivery that nobody took within the bounds waits with the others for the next storm.
    """

    def __init__(self, house: House, *, at_once: int = AT_ONCE) -> None:
        webhooks = house.client.wire.webhooks
        if webhooks is None:
            raise ValueError(f"{house.client.wire.protocol} has no webhooks")
        self._house = house
        self._webhooks: Webhooks = webhooks
        self._turns = asyncio.Semaphore(at_once)
        self._under_way: set[asyncio.Task[None]] = set()
        self._taken, self._booked = Remembered(), Remembered()
        self.poison: list[str] = []
        self.total = Mailing()
        house.notices.deliver = self._begin

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    def go_dark(self) -> None:
        """Hold back what may be told by webhook, and call none of it back."""
        self._house.notices.go_dark()

    async def storm(self, order: StormOrder) -> dict[str, Any]:
        """Come back: send what waited as ordered, and wait for the answers; what came of it as JSON members."""
        held, dark_s = self._house.notices.come_back()
        poison = [self._poison() for _ in range(order.poison)]
        began, mailing = time.monotonic(), Mailing()
        for notice in held:
            self._set_afloat(notice)
        for delivery in plan_storm(order, held, poison):
            self._start(self._send(delivery, mailing))
        await self.settle()
        self.total.add(mailing)
        return {
            "held": len(held),
            "dark_s": round(dark_s, 3),
            "took_s": round(time.monotonic() - began, 3),
            "poison": [notice.webhook_id for notice in poison],
            **mailing.render(),
            "waiting": self._house.notices.waiting,
        }

    def render(self) -> dict[str, Any]:
        """How things stand, and the counts of all storms and of what was sent at once."""
        notices = self._house.notices
        state = {"dark": notices.is_dark, "waiting": notices.waiting, "under_way": len(self._under_way)}
        return {**state, "poison": self.poison, **self.total.render()}

    def _begin(self, notice: Notice) -> None:
        self._set_afloat(notice)
        self._start(self._send(Delivery(notice, notice.webhook_id), self.total))

    def _start(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, delivery: Delivery, mailing: Mailing) -> None:
        async with self._turns:
            answers = await asyncio.gather(*(self._post(delivery) for _ in range(delivery.copies)))
        is_known = delivery.webhook_id in self._taken
        if mailing.add_delivery(delivery, answers, is_known=is_known):
            self._taken.add(delivery.webhook_id)
            self._book(delivery.notice)
            await asyncio.gather(*(self._attack(kind, delivery, mailing) for kind in delivery.planted))
        elif delivery.webhook_id == delivery.notice.webhook_id and not any(map(is_refusal, answers)):
            self._house.notices.wait(delivery.notice)

    async def _post(self, delivery: Delivery) -> Answer:
        return await self._house.client.persist(
            lambda _: self._webhooks.sign(delivery.webhook_id, delivery.notice.body, int(time.time())),
            self._webhooks.read_receipt,
            self._house.client.policy,
        )

    async def _attack(self, kind: NoticeAttack, accepted: Delivery, mailing: Mailing) -> None:
        wire, owed, moment = self._house.client.wire, self._webhooks.attacks[kind], _now()
        async with self._turns:
            answer = await self._house.client.persist(
                lambda _: forge_webhook(kind, wire, accepted, int(time.time()), moment=moment),
                self._webhooks.read_receipt,
                replace(self._house.client.policy, answers=frozenset(one.status for one in owed)),
            )
        mailing.add_attack(kind, owed, answer)

    def _book(self, notice: Notice) -> None:
        """Write down what a webhook told first of all; the fact may have come under another id before."""
        if notice.call is not None and notice.webhook_id not in self._booked:
            self._booked.add(notice.webhook_id)
            self._house.book.record_told(notice.call)

    def _set_afloat(self, notice: Notice) -> None:
        """From now on the wallet may move without a call of ours."""
        if notice.call is None:
            return
        seat = notice.call.seat
        for effect in filter(None, map(may_move, notice.call.items)):
            self._house.purses.of(seat.player_id, seat.asset).await_webhook(effect)

    def _poison(self) -> Notice:
        kind, body = self._webhooks.render_poison(_now())
        notice = Notice(f"msg_{random_nonce()}", kind, body)
        self.poison.append(notice.webhook_id)
        return notice


def _now() -> str:
    return render_moment(datetime.now(UTC))
