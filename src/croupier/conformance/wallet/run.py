"""A run: the scenarios one after the other, each with players of its own, who are left as they were found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from croupier.conformance.wallet.books import Books, Means
from croupier.conformance.wallet.caller import Caller, Exchange
from croupier.conformance.wallet.masking import render_exchange
from croupier.conformance.wallet.scenario import (
    BATCH,
    FAILED,
    LEFT_OUT,
    PASSED,
    REMARK,
    STATEMENT,
    Result,
    Scenario,
)
from croupier.conformance.wallet.schema import Schemas
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed, NotPlayable, NotReady
from croupier_signing import SigningKey

LONGEST_S: Final = 120.0
SHOWN: Final = 4
"""How many exchanges a failure shows: the one in which it shows, and those before it."""

Advance = Callable[[Result], None]


class Target(Struct, frozen=True, kw_only=True):
    """The wallet that is tried, and with what: its base URL, the key both sides have, and what it offers."""

    url: str
    key: SigningKey
    means: Means
    has_batch: bool = False
    has_statement: bool = True

    def offers(self, need: str) -> bool:
        """Whether the optional call is offered."""
        return {BATCH: self.has_batch, STATEMENT: self.has_statement}.get(need, True)


class Run(Struct, frozen=True, kw_only=True):
    """What became of all scenarios; `left_behind` says which players have not what they had."""

    results: list[Result]
    left_behind: list[str]
    times_s: list[float]


async def run_scenarios(
    target: Target, schemas: Schemas, scenarios: Iterable[Scenario], *, advance: Advance = lambda _: None
) -> Run:
    """Play the scenarios in their order; NotReady when the wallet cannot be tried at all."""
    caller, books = Caller(target.url, target.key, schemas), Books(target.means)
    results = []
    try:
        await _look(caller, books)
        for one in scenarios:
            results.append(await _run(one, target, caller, books))
            advance(results[-1])
    finally:
        caller.close()
    return Run(results=results, left_behind=books.left_behind, times_s=caller.times_s)


async def _look(caller: Caller, books: Books) -> None:
    """Say plainly what every scenario would stumble over."""
    stranger = books.name_player()
    exchange = await caller.call("/balance", {"player_id": stranger.id, "asset": stranger.asset})
    if exchange.status == 0:
        raise NotReady(f"nobody answers: {exchange.answer.why}")
    if exchange.status == 401:
        raise NotReady(
            f"the wallet refuses our signature ({exchange.get('code')}: {exchange.get('detail')}): compare key id and"
            " secret on both sides, the clocks of both machines, and the path that arrives behind a proxy"
        )
    if exchange.status != 200 and exchange.flaws:
        raise NotReady(
            f"/balance is answered with {exchange.status}, and not as the contract says: is this the URL?"
        )


async def _run(scenario: Scenario, target: Target, caller: Caller, books: Books) -> Result:
    if not target.offers(scenario.needs):
        return Result(scenario=scenario, status=LEFT_OUT, notes=(f"/{scenario.needs} is not tried",))
    stage = Stage(caller, books)
    try:
        async with asyncio.timeout(LONGEST_S):
            await scenario.play(stage)
    except Failed as failed:
        return _failed(scenario, stage, failed)
    except NotPlayable as reason:
        return Result(scenario=scenario, status=LEFT_OUT, notes=(str(reason),))
    except TimeoutError:
        return _failed(scenario, stage, Failed("an end", f"none within {LONGEST_S:.0f} s"))
    finally:
        await books.return_players(caller)
    status = REMARK if stage.remarks else PASSED
    return Result(scenario=scenario, status=status, notes=tuple(stage.remarks))


def _failed(scenario: Scenario, stage: Stage, failed: Failed) -> Result:
    shown = _until(stage.exchanges, failed.exchange)
    key = stage.caller.key
    return Result(
        scenario=scenario,
        status=FAILED,
        expected=failed.expected,
        came=failed.came,
        notes=tuple(stage.remarks),
        exchanges=tuple(render_exchange(one, key, told(one)) for one in shown[-SHOWN:]),
        left_out=max(0, len(shown) - SHOWN),
    )


def _until(exchanges: list[Exchange], last: Exchange | None) -> list[Exchange]:
    """Everything up to the exchange in which it shows; that one alone when it was never kept."""
    if last is None:
        return exchanges
    for position, one in enumerate(exchanges):
        if one is last:
            return exchanges[: position + 1]
    return [last]
