"""`croupier bench adapters`: what one call costs an adapter, without network and database, against the native one.

A call is: find the operation, verify, decode, encode. The requests are signed beforehand by the conformance kit's
speaker of the protocol, so that an adapter with a speaker is measured without a line here. The native adapter takes
its turn beside every other one, slice by slice, and a ratio is always one of the same turn.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from croupier.bench.report import (
    Check,
    Document,
    Samples,
    check_at_most,
    median_ratio,
    run_of,
    worst_verdict,
)
from croupier.conformance import steps
from croupier.conformance.reading import Request, Unreadable
from croupier.conformance.speaker import Account, Speaker, Stamp
from croupier.conformance.speakers import find_speakers
from croupier.errors import CroupierError
from croupier.ids import SESSION, IdSource, bucket_of, render_id
from croupier.money import AssetRegistry
from croupier.moneypath.commands import Action, Contract
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.providers.contract import (
    Adapter,
    Attempt,
    Context,
    Decoded,
    LaunchOrder,
    OutboundRequest,
    ProviderAccount,
    Seat,
    Unseated,
)
from croupier.providers.manifest import KeyKind, Manifest
from croupier.providers.registry import find_adapters
from croupier.providers.verification import RawRequest
from croupier_signing import Key, PrivateKey, random_nonce, random_token, read_key
from croupier_signing.pairs import make_rsa_pair

NATIVE: Final = "croupier_v1"
FLOOR: Final = 2.0
GOAL: Final = 1.0
"""Times the native adapter's CPU; asymmetric signatures are told and not judged."""

PLAYER: Final = "player-1"
GAME: Final = "dice"
ASSET: Final = "EUR"
EXPONENT: Final = 2
STAKE: Final = 1_250
BALANCE: Final = 100_000
NUMBER: Final = "7"
"""What a setting without default is called: some protocols want a number."""

_RSA: Final = frozenset({KeyKind.RSA_PUBLIC, KeyKind.RSA_PRIVATE})


class AdaptersPlan(Struct, frozen=True, kw_only=True):
    """`seconds` is one turn of an adapter and the native one together; `pairs` are bets and wins signed beforehand."""

    seconds: float = 1.0
    rounds: int = 5
    pairs: int = 32
    slice_calls: int = 16


class NotSpoken(Exception):
    """An adapter does not understand what the kit's speaker says; the text says what."""


class Prepared(Struct, frozen=True):
    """One signed request, where it goes below the account, and the outcomes its actions will have."""

    raw: RawRequest
    path: bytes
    outcomes: tuple[Outcome, ...]


class Stand(Struct, frozen=True):
    """One adapter with an account, a moment and its requests."""

    adapter: Adapter
    account: ProviderAccount
    seat: Seat
    now: datetime
    requests: tuple[Prepared, ...]


def bench_adapters(plan: AdaptersPlan, tell: Callable[[str], None]) -> Document:
    """Measure every adapter that the conformance kit speaks; `tell` gets progress lines. Raises NotSpoken."""
    tell("preparing accounts, keys and signed requests")
    adapters, speakers = find_adapters(), find_speakers()
    stands = {
        name: prepare(adapters[name], speakers[name], plan) for name in sorted(adapters.keys() & speakers)
    }
    native = stands.pop(NATIVE)
    turns: dict[str, list[Samples]] = {name: [] for name in (NATIVE, *stands)}
    beside: dict[str, list[Samples]] = {name: [] for name in stands}
    for number in range(plan.rounds):
        for name, stand in stands.items():
            tell(f"round {number + 1}: {name}")
            ours, theirs = measure(stand, native, plan)
            turns[name].append(ours)
            beside[name].append(theirs)
        turns[NATIVE] += [turns_beside[-1] for turns_beside in islice(beside.values(), 1)]
    return _report(plan, turns, beside, unspoken=sorted(adapters.keys() - speakers.keys()))


def prepare(adapter: Adapter, speaks: type[Speaker], plan: AdaptersPlan) -> Stand:
    """An account at the adapter, a launched session, and the requests of bets and wins in it."""
    manifest, now = adapter.manifest, datetime.now(UTC)
    settings = {one.name: one.default or NUMBER for one in manifest.settings}
    inbound, signs = _make_keys("bench-in", manifest.inbound_key)
    outbound, verifies = _make_keys("bench-out", manifest.outbound_key)
    account = ProviderAccount(
        id="bench",
        adapter=manifest.id,
        base_url="http://127.0.0.1:8710",
        inbound_keys={inbound.id: inbound},
        outbound_key=outbound,
        assets=AssetRegistry(),
        contract_for=_contract,
        settings=settings,
    )
    assert not isinstance(verifies, PrivateKey), "the verifying half of a key"  # noqa: S101 (narrowing)
    speaker = speaks(
        Account(id="bench", root=b"/providers/bench", key=signs, launch_key=verifies, settings=settings)
    )
    ids = IdSource()
    session_id = ids.new(bucket_of(PLAYER))
    spoken = _launch(adapter, account, speaker, render_id(SESSION, session_id), now)
    seat = Seat(player_id=PLAYER, asset=ASSET, session_id=session_id, game_id=GAME)
    stand = Stand(adapter, account, seat, now, ())
    requests = tuple(_write(stand, speaker, step, ids) for step in _rounds(spoken, plan.pairs))
    return Stand(adapter, account, seat, now, requests)


def _contract(*, asset: str, game_id: str | None, at: datetime) -> Contract | None:
    return Contract(None, "operator")


def _make_keys(key_id: str, kind: KeyKind) -> tuple[Key, Key]:
    """The gateway's half of a key, and the provider's."""
    ours = theirs = random_token().encode()
    if kind is KeyKind.RSA_PUBLIC:
        theirs, ours = make_rsa_pair()
    elif kind is KeyKind.RSA_PRIVATE:
        ours, theirs = make_rsa_pair()
    return read_key(key_id, ours), read_key(key_id, theirs)


def _launch(
    adapter: Adapter, account: ProviderAccount, speaker: Speaker, session_id: str, now: datetime
) -> steps.Seat:
    """What the provider learns of a session when it is launched."""
    order = LaunchOrder(
        session_id=session_id,
        player_id=PLAYER,
        game_id=GAME,
        asset=ASSET,
        country="MT",
        correlation_id="bench",
        locale="en",
        return_url="https://casino.example/",
        client="desktop",
        ip="127.0.0.1",
        token=random_token() if adapter.manifest.session_token else None,
    )
    attempt = Attempt(timestamp_s=int(now.timestamp()), nonce=random_nonce())
    try:
        launch = speaker.read_launch(_as_received(adapter.build_launch(order, account, attempt)))
    except Unreadable as error:
        raise NotSpoken(f"{adapter.manifest.id}: launch: {error}") from error
    return steps.Seat(
        player_id=PLAYER,
        asset=ASSET,
        exponent=EXPONENT,
        game_id=GAME,
        session_id=session_id,
        session=launch.session,
        token=launch.token,
    )


def _as_received(request: OutboundRequest) -> Request:
    parts = urlsplit(request.url)
    return Request(
        method=request.method,
        path=parts.path.encode(),
        query=parts.query.encode(),
        headers=request.headers,
        body=request.body,
    )


def _rounds(seat: steps.Seat, pairs: int) -> Iterator[steps.Step]:
    for _ in range(pairs):
        bet = steps.bet(seat, STAKE)
        yield bet
        yield steps.win(bet, STAKE, is_closing=True)


def _write(stand: Stand, speaker: Speaker, step: steps.Step, ids: IdSource) -> Prepared:
    """One signed request, understood once by the adapter."""
    stamp = Stamp(int(stand.now.timestamp()), random_nonce())
    request = speaker.sign(speaker.write(step), stamp)
    raw = RawRequest(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body,
        received_at=stand.now,
    )
    path = request.path.removeprefix(speaker.account.root)
    try:
        decoded, _ = read_request(stand, raw, path)
    except CroupierError as error:
        raise NotSpoken(f"{stand.adapter.manifest.id}: {step.move.kind}: {error}") from error
    outcomes = tuple(_approve(action, ids) for action in decoded.actions)
    return Prepared(raw, path, outcomes)


def _approve(action: Action, ids: IdSource) -> Outcome:
    entry = ids.new(bucket_of(PLAYER))
    reference = getattr(action, "reference", "")
    return Outcome(APPROVED, OK, reference, entry, BALANCE, ASSET, decision_id=entry)


def read_request(stand: Stand, raw: RawRequest, path: bytes) -> tuple[Decoded, Context]:
    """Operation, verification and decoding; raises CroupierError."""
    adapter, account = stand.adapter, stand.account
    operation = adapter.operation(raw.method, path)
    verified = adapter.verify(raw, account, stand.now)
    context = Context(operation=operation, account=account, fresh_token="fresh")  # noqa: S106 (no secret)
    decoded = adapter.decode(verified, context)
    if isinstance(decoded, Unseated):
        decoded = decoded.complete(stand.seat)
    return decoded, context


def answer(stand: Stand, request: Prepared) -> int:
    """One call, all that an adapter does in it; the status of its answer."""
    decoded, context = read_request(stand, request.raw, request.path)
    return stand.adapter.encode(decoded, request.outcomes, context).status


def measure(ours: Stand, native: Stand, plan: AdaptersPlan) -> tuple[Samples, Samples]:
    """One turn of both, in slices that take turns until the time is up, the collector of garbage waiting outside."""
    waiting = {0: cycle(ours.requests), 1: cycle(native.requests)}
    taken = (_Taken(), _Taken())
    gc.collect()
    gc.disable()
    try:
        ends = time.perf_counter() + plan.seconds
        while time.perf_counter() < ends:
            for side, stand in enumerate((ours, native)):
                taken[side].add(stand, islice(waiting[side], plan.slice_calls))
    finally:
        gc.enable()
    return taken[0].samples(), taken[1].samples()


class _Taken:
    """What the slices of one side have taken so far."""

    def __init__(self) -> None:
        self._calls = 0
        self._errors = 0
        self._cpu_ns = 0
        self._latencies_ns: list[int] = []

    def add(self, stand: Stand, requests: Iterable[Prepared]) -> None:
        """Answer one slice."""
        clock, begun = time.perf_counter_ns, time.process_time_ns()
        for request in requests:
            before = clock()
            status = answer(stand, request)
            self._latencies_ns.append(clock() - before)
            self._calls += 1
            self._errors += status != 200
        self._cpu_ns += time.process_time_ns() - begun

    def samples(self) -> Samples:
        """As a turn; the seconds are those of the calls alone."""
        return Samples(
            calls=self._calls,
            errors=self._errors,
            seconds=sum(self._latencies_ns) / 1e9,
            latencies_us=[taken // 1000 for taken in self._latencies_ns],
            cpu_s=self._cpu_ns / 1e9,
        )


def cpu_of(turn: Samples) -> float:
    """CPU seconds of one call."""
    return (turn.cpu_s or 0.0) / turn.calls if turn.calls else 0.0


def _report(
    plan: AdaptersPlan,
    turns: Mapping[str, list[Samples]],
    beside: Mapping[str, list[Samples]],
    *,
    unspoken: list[str],
) -> Document:
    manifests: dict[str, Manifest] = {name: adapter.manifest for name, adapter in find_adapters().items()}
    ratio = {name: median_ratio(turns[name], beside[name], cpu_of) for name in beside}
    judged = [name for name in ratio if manifests[name].inbound_key not in _RSA]
    checks: tuple[Check, ...] = tuple(
        check_at_most(f"{name} / native, CPU per call", ratio[name], floor=FLOOR, goal=GOAL)
        for name in judged
    )
    told = [
        f"{name}: {ratio[name]:.2f} × native; RSA verification, not judged"
        for name in ratio.keys() - set(judged)
    ]
    missing = [f"{name}: not measured, the conformance kit does not speak it" for name in unspoken]
    return Document(
        bench="adapters",
        machine=_describe_machine(),
        runs=tuple(run_of(name, measured) for name, measured in turns.items()),
        ratio=dict(ratio),
        floor=dict.fromkeys(judged, FLOOR),
        goal=dict.fromkeys(judged, GOAL),
        verdict=worst_verdict(checks),
        checks=checks,
        rounds=plan.rounds,
        notes=(
            "operation, verification, decoding and encoding of bets and wins; no network, no database",
            *sorted(told),
            *missing,
        ),
    )


def _describe_machine() -> dict[str, object]:
    """What the figures depend on: no database, no disk."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }
