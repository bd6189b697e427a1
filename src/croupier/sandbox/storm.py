"""How what waited is sent once the account is back: an order of deliveries, and what is done to some of them. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from croupier.sandbox.notices import Notice
from croupier.sandbox.plan import MOST_COPIES, NoticeAttack, Percent

MOST_IDS: Final = 10
MOST_POISON: Final = 100


class StormOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /control/storm`; rates are whole percent of the facts that waited, rounded up.

    `duplicate`: sent 2 to 5 times, some copies at once and some later. `refiled`: told under 2 to 10 webhook ids.
    `poison` is how many webhooks of an unknown type are mixed in.
    """

    seed: int | str = "croupier"
    in_order: bool = False
    duplicate: Percent = 0
    refiled: Percent = 0
    webhook_forged: Percent = 0
    webhook_altered_body: Percent = 0
    webhook_altered_id: Percent = 0
    webhook_altered_time: Percent = 0
    webhook_stale: Percent = 0
    webhook_reused_id: Percent = 0
    poison: Annotated[int, Meta(ge=0, le=MOST_POISON)] = 0

    def of(self, kind: NoticeAttack) -> int:
        """The rate of one attack, in percent."""
        rate: int = getattr(self, kind.value)
        return rate


class Delivery(Struct, frozen=True):
    """A fact under a webhook id, so many copies of it at once; attacks follow when it was accepted."""

    notice: Notice
    webhook_id: str
    copies: int = 1
    planted: tuple[NoticeAttack, ...] = ()


def plan_storm(
    order: StormOrder, notices: Sequence[Notice], poison: Sequence[Notice] = ()
) -> tuple[Delivery, ...]:
    """Every fact at least once, in an order that nobody expects; the same for the same arguments.

    Poison is sent once and not attacked.
    """
    source = random.Random(f"{order.seed}\nstorm")  # noqa: S311 (repeatable, not secret)
    deliveries = [Delivery(notice, notice.webhook_id) for notice in notices]
    for index in _chosen(source, deliveries, order.duplicate):
        deliveries[index] = replace(deliveries[index], copies=source.randint(2, MOST_COPIES))
    for kind in NoticeAttack:
        for index in _chosen(source, deliveries, order.of(kind)):
            deliveries[index] = replace(deliveries[index], planted=(*deliveries[index].planted, kind))
    refiled = [
        Delivery(notices[index], f"{notices[index].webhook_id}_{number}")
        for index in _chosen(source, deliveries, order.refiled)
        for number in range(2, source.randint(2, MOST_IDS) + 1)
    ]
    late = [copy for delivery in deliveries for copy in _late_copies(delivery)]
    storm = [*map(_at_once, deliveries), *late, *refiled, *(Delivery(one, one.webhook_id) for one in poison)]
    if not order.in_order:
        source.shuffle(storm)
    return tuple(storm)


def _chosen(source: random.Random, among: Sequence[object], percent: int) -> list[int]:
    """So many percent of the positions, at least one where anything is asked for and there."""
    count = -(-len(among) * percent // 100)
    return source.sample(range(len(among)), count)


def _at_once(delivery: Delivery) -> Delivery:
    return replace(delivery, copies=(delivery.copies + 1) // 2)


def _late_copies(delivery: Delivery) -> list[Delivery]:
    """The other copies, each a delivery of its own."""
    late = Delivery(delivery.notice, delivery.webhook_id)
    return [late] * (delivery.copies - _at_once(delivery).copies)
