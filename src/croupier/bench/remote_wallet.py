"""`croupier bench remote-wallet`: the product before the operator's own wallet, which takes its time.

Three designs ask the same wallet: the load generator itself, which shows what the wallet allows; Croupier; and the
gateway most teams write, whose transaction stays open while it waits for the wallet.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from croupier.bench.children import ChildFailed, measure_together
from croupier.bench.load import LoadOrders
from croupier.bench.naive.serve import prepare_naive, serving_naive
from croupier.bench.naive.wallet import WalletSite
from croupier.bench.product import serving
from croupier.bench.report import (
    Check,
    Document,
    Samples,
    check_at_least,
    check_at_most,
    median_ratio,
    percentile_us,
    rate_of,
    run_of,
    worst_verdict,
)
from croupier.bench.seats import ASSET, PROVIDER, PURSE, Seat, open_seats
from croupier.bench.site import Site
from croupier.bench.speech import NATIVE, WALLET
from croupier.bench.stage import Stage, describe_machine, open_stage
from croupier.demo.wallet_service import WalletProcessFailed, WalletService, WalletStart, wallet_process
from croupier.runtime.database import ensure_database
from croupier.wallet.calls import WalletTerms
from croupier_signing import random_token

DIRECT: Final = "wallet, asked directly"
OURS: Final = "croupier"
NAIVE: Final = "naive (the wallet is asked within a transaction)"
SATURATED: Final = "saturated"
PACED: Final = "paced"
ALONE: Final = "one connection"
LOADS: Final = (SATURATED, PACED, ALONE)
BET: Final = "bet"
WIN: Final = "win"
KINDS: Final = (BET, WIN)
"""What asks the wallet, and is counted."""
ADDED_MS: Final = (4.0, 2.0)
SCALE: Final = (0.8, 0.95)
NAIVE_RATE: Final = (1.0, 2.0)
OVERHEAD_MS: Final = ADDED_MS[1]
"""What a call may cost beside the wallet's own time where it is said how many calls connections can make."""
LOAD: Final = 0.5
"""Which part of what Croupier can do is asked of it in a paced turn."""
CALLS_OF_ROUND: Final = 3
KEY_ID: Final = "wallet"
TIMEOUT_S: Final = 180.0
_CHUNK: Final = 64

Turn = tuple[int, str, str]
"""The wallet's own time in ms, the load, the design."""
Turns = dict[Turn, list[Samples]]


class RemoteWalletPlan(Struct, frozen=True, kw_only=True):
    """How long and wide: seconds of a turn, connections, processes of a gateway, the wallet's own times in ms.

    `batch` is how many movements Croupier may send together; 1 sends each alone.
    """

    seconds: float = 4.0
    rounds: int = 3
    connections: int = 64
    workers: int = 1
    wallets: int = 2000
    warmup_s: float = 1.0
    latencies_ms: tuple[int, ...] = (1, 10, 50)
    batch: int = 1


class _Design(Struct, frozen=True):
    name: str
    site: Site
    seats: list[Seat]
    protocol: str = NATIVE


async def bench_remote_wallet(plan: RemoteWalletPlan, tell: Callable[[str], None]) -> Document:
    """Load all three in turns at every latency; `tell` gets progress lines. Raises ChildFailed."""
    turns: Turns = {}
    async with open_stage() as stage, contextlib.AsyncExitStack() as stack:
        tell("preparing databases, players, the wallet and both gateways")
        try:
            wallet, designs = await _open_all(stage, plan, stack)
            machine = await describe_machine(stage, stage.server.url("naive"))
            for number in range(plan.rounds):
                for latency_ms in plan.latencies_ms:
                    await wallet.control(latency_ms=latency_ms)
                    tell(f"round {number + 1}: the wallet takes {latency_ms} ms")
                    await _play_turns(designs, plan, latency_ms, turns)
        except WalletProcessFailed as error:
            raise ChildFailed(str(error)) from error
    return _report(plan, machine, turns)


async def _open_all(
    stage: Stage, plan: RemoteWalletPlan, stack: contextlib.AsyncExitStack
) -> tuple[WalletService, list[_Design]]:
    secret = random_token()
    key = stage.folder / "wallet.key"
    _write_private(key, secret)
    order = WalletStart(
        database_url=await ensure_database(stage.server.url(), "wallet"),
        secret=f"file:{key}",
        key_id=KEY_ID,
    )
    wallet = await stack.enter_async_context(wallet_process(order))
    url = await stage.make_database("croupier")
    seats = await open_seats(url, plan.wallets, wallet=WalletTerms())
    await _fill(wallet, seats)
    section = _section(wallet.url, key, plan)
    site = await stack.enter_async_context(
        serving(stage.folder / "product", url, workers=plan.workers, more=section)
    )
    port = int(wallet.url.rpartition(":")[2])
    itself = Site(port=port, key_id=KEY_ID, secret=secret.encode(), pid=wallet.process.pid)
    naive_url = await stage.make_database("naive")
    naive_seats = await open_seats(naive_url, plan.wallets)
    await prepare_naive(naive_url)
    gateway = serving_naive(
        naive_url,
        key_id=site.key_id,
        secret=site.secret,
        workers=plan.workers,
        wallet=WalletSite(url=wallet.url, key_id=KEY_ID, secret=secret),
    )
    naive = await stack.enter_async_context(gateway)
    return wallet, [
        _Design(DIRECT, itself, seats, WALLET),
        _Design(OURS, site, seats),
        _Design(NAIVE, naive, naive_seats),
    ]


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _section(url: str, key: Path, plan: RemoteWalletPlan) -> str:
    return (
        f'\n[wallet]\nmode = "remote"\nurl = "{url}"\nkey_id = "{KEY_ID}"\nsecret = "file:{key}"\n'
        f"connections = {plan.connections}\nbatch = {plan.batch}\n"
    )


async def _fill(wallet: WalletService, seats: Sequence[Seat]) -> None:
    """Deposit for every player at the wallet's own cashier."""
    for begin in range(0, len(seats), _CHUNK):
        names = [seat.player_id for seat in seats[begin : begin + _CHUNK]]
        await asyncio.gather(*(wallet.deposit(name, ASSET, PURSE, f"deposit-{name}") for name in names))


async def _play_turns(
    designs: Iterable[_Design],
    plan: RemoteWalletPlan,
    latency_ms: int,
    turns: Turns,
) -> None:
    """One round at one latency: as fast as it goes, then where nobody is pressed, then one call at a time."""
    rates: dict[str, float] = {}
    for one in designs:
        measured = await _measure(one, plan, connections=plan.connections)
        rates[one.name] = measured.per_second
        turns.setdefault((latency_ms, SATURATED, one.name), []).append(measured)
    for one in designs:
        if one.name != NAIVE:
            measured = await _measure(one, plan, connections=plan.connections, asked=rates[OURS] * LOAD)
            turns.setdefault((latency_ms, PACED, one.name), []).append(measured)
    for one in designs:
        measured = await _measure(one, plan, connections=1)
        turns.setdefault((latency_ms, ALONE, one.name), []).append(measured)


async def _measure(
    one: _Design, plan: RemoteWalletPlan, *, connections: int, asked: float | None = None
) -> Samples:
    """One turn of load, of so many bets and wins a second or as fast as it goes.

    The CPU time is the design's own, database and load left out.
    """
    per_second = None
    if asked is not None:
        # A round at a gateway also has its close, which asks no wallet.
        share = 1.0 if one.protocol == WALLET else CALLS_OF_ROUND / len(KINDS)
        per_second = max(1, round(asked * share))
    orders = LoadOrders(
        host=one.site.host,
        port=one.site.port,
        provider=PROVIDER,
        key_id=one.site.key_id,
        secret=one.site.secret,
        connections=connections,
        seconds=plan.seconds,
        warmup_s=plan.warmup_s,
        seats=one.seats,
        protocol=one.protocol,
        per_second=per_second,
        kinds=KINDS,
    )
    before = one.site.cpu_s()
    (measured,) = await measure_together("croupier.bench.load", [orders], plan.seconds + TIMEOUT_S)
    measured.cpu_s = (one.site.cpu_s() - before) * plan.seconds / (plan.seconds + plan.warmup_s)
    return measured


def p50_ms(turn: Samples, kind: str) -> float:
    """The median latency of one kind of call in a turn, in ms; of bets and wins together for any other word."""
    return percentile_us(turn.kinds_us.get(kind, turn.latencies_us), 0.5) / 1000


def added_ms(ours: Sequence[Samples], direct: Sequence[Samples], kind: str) -> float:
    """What a call of one kind takes longer through Croupier than at the wallet: p50 less p50, in ms.

    The median over the rounds, each compared within itself.
    """
    return round(
        median(p50_ms(mine, kind) - p50_ms(other, kind) for mine, other in zip(ours, direct, strict=True)), 3
    )


def cost_ms(ours: Sequence[Samples], direct: Sequence[Samples]) -> float:
    """What a bet or win costs beside the wallet where every connection is busy, in ms: our time for each less its own.

    That is a turn's time over its calls, whatever bounds them; the close of every round is in it. The median over the
    rounds, each compared within itself; infinite where nothing was answered.
    """
    pairs = zip(ours, direct, strict=True)
    return round(median(_each_ms(mine) - _each_ms(other) for mine, other in pairs), 3)


def _each_ms(turn: Samples) -> float:
    return 1000 * turn.seconds / turn.calls if turn.calls else math.inf


def possible_per_second(*, direct: float, connections: int, latency_ms: int) -> float:
    """How many bets and wins a second there can be: what the wallet does, or what the connections leave time for.

    On a connection a bet and a win wait for the wallet, and each of the round's three calls costs `OVERHEAD_MS` beside.
    """
    round_s = (len(KINDS) * latency_ms + CALLS_OF_ROUND * OVERHEAD_MS) / 1000
    return min(direct, connections * len(KINDS) / round_s)


def _scale(plan: RemoteWalletPlan, turns: Turns, latency_ms: int, *, is_own: bool = False) -> float:
    """Our rate as a part of what is possible at this latency: the median over the rounds.

    `is_own`: what we did where the wallet was fastest is held possible at most: only what its time costs counts.
    """
    fastest = min(plan.latencies_ms)
    parts = []
    for number, ours in enumerate(turns[latency_ms, SATURATED, OURS]):
        direct = turns[latency_ms, SATURATED, DIRECT][number].per_second
        possible = possible_per_second(direct=direct, connections=plan.connections, latency_ms=latency_ms)
        if is_own:
            possible = min(possible, turns[fastest, SATURATED, OURS][number].per_second)
        parts.append(ours.per_second / possible if possible else 0.0)
    return round(median(parts), 3)


def _report(plan: RemoteWalletPlan, machine: dict[str, object], turns: Turns) -> Document:
    slowest, fastest = max(plan.latencies_ms), min(plan.latencies_ms)
    cost = cost_ms(turns[fastest, SATURATED, OURS], turns[fastest, SATURATED, DIRECT])
    ratio: dict[str, float | None] = {"cost_ms": cost}
    name = f"cost of a call beside the wallet, {plan.connections} connections, ms"
    checks: list[Check] = [check_at_most(name, cost, floor=ADDED_MS[0], goal=ADDED_MS[1])]
    for latency_ms in plan.latencies_ms:
        for load in LOADS:
            for kind in KINDS:
                added = added_ms(turns[latency_ms, load, OURS], turns[latency_ms, load, DIRECT], kind)
                ratio[f"added_{kind}_p50_ms_{load.replace(' ', '_')}_at_{latency_ms}_ms"] = added
                if load == PACED:
                    name = f"added to a {kind} at {latency_ms} ms, p50, paced, ms"
                    checks.append(check_at_most(name, added, floor=ADDED_MS[0], goal=ADDED_MS[1]))
        ratio[f"per_second_of_possible_at_{latency_ms}_ms"] = _scale(plan, turns, latency_ms)
        ratio[f"per_second_of_naive_at_{latency_ms}_ms"] = _against_naive(turns, latency_ms)
    scale, rate = _scale(plan, turns, slowest), _against_naive(turns, slowest)
    kept = _scale(plan, turns, slowest, is_own=True)
    ratio["per_second_kept"] = kept
    checks.append(
        check_at_least(
            f"rate at {slowest} ms / what its time leaves of ours", kept, floor=SCALE[0], goal=SCALE[1]
        )
    )
    checks.append(
        check_at_least(f"rate at {slowest} ms / what is possible", scale, floor=SCALE[0], goal=SCALE[1])
    )
    checks.append(
        check_at_least(
            f"croupier / naive at {slowest} ms, rate", rate, floor=NAIVE_RATE[0], goal=NAIVE_RATE[1]
        )
    )
    return Document(
        bench="remote-wallet",
        machine=machine,
        runs=tuple(
            run_of(f"{name}, {latency_ms} ms, {load}", measured)
            for (latency_ms, load, name), measured in turns.items()
        ),
        ratio=ratio,
        floor={
            "added_p50_ms": ADDED_MS[0],
            "per_second_of_possible": SCALE[0],
            "per_second_of_naive": NAIVE_RATE[0],
        },
        goal={
            "added_p50_ms": ADDED_MS[1],
            "per_second_of_possible": SCALE[1],
            "per_second_of_naive": NAIVE_RATE[1],
        },
        verdict=worst_verdict(checks),
        checks=tuple(checks),
        rounds=plan.rounds,
        notes=_notes(plan, turns),
    )


def _against_naive(turns: Turns, latency_ms: int) -> float:
    ours, naive = (turns[latency_ms, SATURATED, name] for name in (OURS, NAIVE))
    return median_ratio(ours, naive, rate_of)


def _notes(plan: RemoteWalletPlan, turns: Mapping[Turn, Sequence[Samples]]) -> tuple[str, ...]:
    shape = (
        f"{plan.connections} connections, {plan.wallets} players, {plan.workers} process(es) of each gateway, "
        f"batches of {plan.batch}; load generator, wallet, gateways and database on the same cores. Bets and wins "
        "are counted, each of which asks the wallet; the gateways also get the close of every round"
    )
    loads = (
        f"paced: {LOAD:.0%} of croupier's own rate in the saturated turn before, the same for the wallet directly; "
        "latency counts from when a call was due. saturated: every connection always has a call under way. "
        "one connection: one call at a time, so that nothing waits for anything else"
    )
    failures = [
        f"{name}, {latency_ms} ms, {load}: first wrong answer: {turn.error_text}"
        for (latency_ms, load, name), measured in turns.items()
        for turn in measured[:1]
        if turn.error_text
    ]
    return (shape, loads, *failures)
