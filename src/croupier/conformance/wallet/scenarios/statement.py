"""What was moved in a period: every movement once, with the right sign, in pages that leave nothing out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.books import Moved
from croupier.conformance.wallet.orders import Order, credit, debit, render_time, rollback
from croupier.conformance.wallet.scenario import STATEMENT, scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

WHY = "Once a day and on demand Croupier compares this list with its ledger and with the providers'."
FIX = (
    "Read from the table of movements, ordered by `recorded_at` and then by a unique column, and let the cursor hold"
    " both of the last row; a cursor of the time alone skips rows of the same instant."
)
MARGIN: Final = timedelta(minutes=2)
"""How far the clocks of wallet and kit may be apart."""
INSTANT: Final = timedelta(microseconds=1)
SEEN_WITHIN_S: Final = 5.0
PAUSE_S: Final = 0.1
MOST_PAGES: Final = 20_000

Line = dict[str, Any]


async def _read(stage: Stage, *, since: datetime, until: datetime, limit: int = 1000) -> list[Line]:
    """All pages of a period."""
    lines: list[Line] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        body = {"from": render_time(since), "to": render_time(until), "limit": limit, "cursor": cursor}
        exchange = await stage.ask("/statement", body)
        if exchange.status != 200:
            raise Failed("200", told(exchange), exchange)
        page, cursor = exchange.get("movements"), exchange.get("next_cursor")
        if len(page) > limit:
            raise Failed(f"{limit} movements at most", f"{len(page)}", exchange)
        lines += page
        if cursor is None:
            return lines
    raise Failed("a last page", f"{MOST_PAGES} pages, and another cursor")


async def _read_ours(stage: Stage, wanted: Sequence[str], *, limit: int = 1000) -> list[Line]:
    """The lines of these references, once all are there or `SEEN_WITHIN_S` seconds have passed."""
    ends_at_s = time.monotonic() + SEEN_WITHIN_S
    while True:
        now = datetime.now(UTC)
        since, names = stage.books.began_at - MARGIN, set(wanted)
        lines = [
            line
            for line in await _read(stage, since=since, until=now + MARGIN, limit=limit)
            if line["reference"] in names
        ]
        if {line["reference"] for line in lines} == names or time.monotonic() > ends_at_s:
            return lines
        await asyncio.sleep(PAUSE_S)


def _expect_lines(lines: Sequence[Line], moved: Sequence[Moved]) -> None:
    counts = Counter(line["reference"] for line in lines)
    for one in moved:
        reference = one.order.reference
        if counts[reference] != 1:
            raise Failed(
                f"{reference}, a {one.order.operation} of {one.amount}, once", f"{counts[reference]} times"
            )
    found = {line["reference"]: line for line in lines}
    for one in moved:
        wanted = {
            "operation": one.order.operation,
            "target_reference": one.order.target,
            "player_id": one.order.player.id,
            "asset": one.order.player.asset,
            "amount": str(one.amount),
            "change": str(one.change),
            "wallet_reference": one.wallet_reference,
        }
        line = found[one.order.reference]
        wrong = [name for name, value in wanted.items() if line[name] != value]
        if wrong:
            told_ = ", ".join(f"{name} {line[name]!r}" for name in wrong)
            raise Failed(
                ", ".join(f"{name} {wanted[name]!r}" for name in wrong), f"{told_} of {one.order.reference}"
            )


async def _move_some(stage: Stage) -> list[Order]:
    """Debits, credits and rollbacks that move money."""
    player = await stage.player()
    stakes = [debit(player, 10 + number) for number in range(4)]
    gains = [credit(player, 20 + number) for number in range(4)]
    undone = [rollback(stakes[0]), rollback(gains[0])]
    for order in (*stakes, *gains, *undone):
        await stage.approve(order)
    return [*stakes, *gains, *undone]


@scenario(
    "What was moved is listed once, with its sign",
    why=WHY,
    fix=FIX,
    rule=rules.STATEMENT_LINES,
    needs=STATEMENT,
)
async def lists_movements(stage: Stage) -> None:
    """Debits and rollbacks of credits take, credits and rollbacks of debits give."""
    names = [order.reference for order in await _move_some(stage)]
    _expect_lines(await _read_ours(stage, names), [stage.books.moved[name] for name in names])


@scenario(
    "Refusals and rollbacks that moved nothing are not listed, and repeats are not listed again",
    why=WHY,
    fix="List the rows that changed a balance, and no others.",
    rule=rules.STATEMENT_ONLY,
    needs=STATEMENT,
)
async def lists_nothing_else(stage: Stage) -> None:
    """A refusal, two rollbacks of nothing, and a repeat."""
    player = await stage.player_with(100)
    stake, refused = debit(player, 50), debit(player, 500)
    undoing, late, empty = rollback(stake), rollback(stake), rollback(debit(player, 5))
    await stage.approve(stake)
    await stage.approve(stake, is_repeat=True)
    await stage.refuse(refused, "insufficient_funds")
    await stage.approve(undoing)
    await stage.approve(late, amount=0, code="already_rolled_back")
    await stage.approve(empty, amount=0, code="nothing_to_roll_back")
    everything = [order.reference for order in (stake, refused, undoing, late, empty)]
    await _read_ours(stage, [stake.reference, undoing.reference])
    since, until = stage.books.began_at - MARGIN, datetime.now(UTC) + MARGIN
    listed = [line["reference"] for line in await _read(stage, since=since, until=until)]
    ours = sorted(name for name in listed if name in everything)
    if ours != sorted([stake.reference, undoing.reference]):
        raise Failed("the stake and its rollback, once each", ", ".join(ours) or "none of them")


@scenario(
    "Pages leave nothing out and list nothing twice, whatever their size",
    why=WHY,
    fix=FIX,
    rule=rules.STATEMENT_PAGES,
    needs=STATEMENT,
)
async def pages(stage: Stage) -> None:
    """Movements at the same time, read in pages of 1, 3 and 7 from their first instant to their last."""
    player = await stage.player()
    orders = [debit(player, 1 + number) for number in range(20)]
    for exchange, order in zip(await stage.at_once(orders), orders, strict=True):
        stage.expect_approved(exchange, order)
    names = [order.reference for order in orders]
    whole = await _read_ours(stage, names)
    times = [_time_of(line) for line in whole]
    if len(whole) != len(names):
        _expect_lines(whole, [stage.books.moved[name] for name in names])
    period = {"since": min(times), "until": max(times) + INSTANT}
    for limit in (1, 3, 7):
        paged = [line for line in await _read(stage, **period, limit=limit) if line["reference"] in names]
        _expect_lines(paged, [stage.books.moved[name] for name in names])
        if [line["reference"] for line in paged] != [line["reference"] for line in whole]:
            raise Failed("the same order in pages of every size", f"another order in pages of {limit}")


@scenario(
    "Pages are in the order of `recorded_at`",
    why=WHY,
    fix=FIX,
    rule=rules.STATEMENT_PAGES,
    needs=STATEMENT,
)
async def in_order(stage: Stage) -> None:
    """Also those of others."""
    await _move_some(stage)
    now = datetime.now(UTC)
    lines = await _read(stage, since=stage.books.began_at - MARGIN, until=now + MARGIN, limit=50)
    times = [_time_of(line) for line in lines]
    if times != sorted(times):
        raise Failed("times that never go back", "a movement before an earlier one")


@scenario(
    "`from` belongs to the period, `to` does not",
    why="Croupier asks for one period after the other: a movement at the seam must be in one of them.",
    fix="Compare with `recorded_at >= from AND recorded_at < to`, with all digits of the time that you tell.",
    rule=rules.STATEMENT,
    needs=STATEMENT,
)
async def half_open(stage: Stage) -> None:
    """The instants of ten movements as bounds."""
    orders = await _move_some(stage)
    lines = await _read_ours(stage, [order.reference for order in orders])
    for line in lines:
        at, name = _time_of(line), line["reference"]
        inside = await _read(stage, since=at, until=at + INSTANT)
        before = await _read(stage, since=at - timedelta(seconds=1), until=at)
        if name not in {one["reference"] for one in inside}:
            raise Failed(f"{name} in a period that begins at its {line['recorded_at']}", "it is missing")
        if name in {one["reference"] for one in before}:
            raise Failed(f"{name} not in a period that ends at its {line['recorded_at']}", "it is there")


@scenario(
    "A limit of 0 or 1001 is refused",
    why="A bound that is not kept is none.",
    fix="Answer 400 `malformed` for a limit outside of 1 to 1000.",
    rule=rules.STATEMENT,
    needs=STATEMENT,
)
async def limits(stage: Stage) -> None:
    """Beside the bounds, and no number."""
    now = datetime.now(UTC)
    period = {"from": render_time(now - MARGIN), "to": render_time(now), "cursor": None}
    for limit in (0, -1, 1001, "10", None):
        exchange = await stage.ask("/statement", {**period, "limit": limit})
        stage.expect_error(exchange, {400: ("malformed",)})


@scenario(
    "Everything that this run moved is listed",
    why=WHY,
    fix=f"{FIX} What is missing here was approved in another scenario: the report of a run with `--only` shows which.",
    rule=rules.STATEMENT_LINES,
    needs=STATEMENT,
)
async def whole_run(stage: Stage) -> None:
    """All movements of all scenarios before this one."""
    await _move_some(stage)
    moved = list(stage.books.moved.values())
    lines = await _read_ours(stage, [one.order.reference for one in moved])
    _expect_lines(lines, moved)


def _time_of(line: Line) -> datetime:
    return datetime.fromisoformat(line["recorded_at"]).astimezone(UTC)
