"""Copies of live calls: they go out at once or are lost and counted, and never reach the call they copy (J2, I12)."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs
from prometheus_client import generate_latest

from croupier.providers.adapters.evolution_v1 import ADAPTER as EVOLUTION
from croupier.providers.adapters.softswiss_v2 import ADAPTER
from croupier.providers.shadow.sample import read_sample
from croupier.providers.shadow.tap import LOST, Tap, TapSettings
from croupier.runtime.shadow_child import within
from croupier.runtime.supervisor import shadow_link
from croupier.telemetry.metrics import Metrics
from croupier_signing import sign_raw_hmac
from unit.adapters import evolution_calls
from unit.adapters.softswiss_v2_calls import ACCOUNT, BALANCE, BEEXAR, betwin, stake, to_bytes
from unit.shadow_stand import Stand

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = shadow_link()
    yield made
    for end in made:
        end.close()


class Tapped(Stand):
    """A stand whose calls go through a tap; what was lost is counted."""

    def __init__(self, link: socket.socket, **settings: Any) -> None:
        super().__init__(ACCOUNT, ADAPTER)
        self.lost: Counter[str] = Counter()
        self.accounts = {ACCOUNT.id: (ACCOUNT, ADAPTER)}
        given = TapSettings(provider=ACCOUNT.id, candidate="softswiss_v3", **settings)
        self.copy = Tap(link, given, self.accounts, self._lose).offer

    def _lose(self, why: str) -> None:
        self.lost[why] += 1

    async def ask(self, body: dict[str, Any], path: str = "/balance") -> int:
        data = to_bytes(body)
        return await self.send(path, data, {"x-request-sign": sign_raw_hmac(BEEXAR, data)})


async def test_a_call_is_one_datagram_with_everything_but_keys(ends: Ends) -> None:
    stand = Tapped(ends[0])
    assert await stand.ask(betwin(stake()), "/betwin") == 200
    datagram = ends[1].recv(1 << 20)
    sample = read_sample(datagram)
    assert (sample.provider, sample.candidate, sample.key_id) == ("acme", "softswiss_v3", BEEXAR.id)
    assert (sample.status, sample.operation, sample.player_id) == (200, "betwin", "player-1")
    assert [kind for kind, _ in sample.actions] == ["Bet"]
    assert sample.dropped == 0
    assert BEEXAR.secret not in datagram
    with pytest.raises(BlockingIOError):
        ends[1].recv(1)


async def test_when_nobody_reads_calls_are_answered_and_copies_are_lost_and_told_later(ends: Ends) -> None:
    stand = Tapped(ends[0])
    for _ in range(2000):
        assert await stand.ask(BALANCE) == 200
        if stand.lost["full"] == 3:
            break
    assert stand.lost == Counter(full=3), "the buffer is bounded"
    ends[1].recv(1 << 20)
    ends[1].recv(1 << 20)
    await stand.ask(BALANCE)
    told = []
    while stand.lost == Counter(full=3) and len(told) < 2000:
        try:
            told.append(read_sample(ends[1].recv(1 << 20)).dropped)
        except BlockingIOError:
            break
    assert sum(told) == 3
    assert told[-1] == 3


async def test_a_socket_that_is_gone_costs_only_the_copy(ends: Ends) -> None:
    stand = Tapped(ends[0])
    ends[1].close()
    assert await stand.ask(BALANCE) == 200
    ends[0].close()
    assert await stand.ask(BALANCE) == 200
    assert stand.lost == Counter(gone=2)


async def test_a_copy_at_the_bound_goes_out_and_one_byte_more_does_not(ends: Ends) -> None:
    await Tapped(ends[0]).ask(BALANCE)
    size = len(ends[1].recv(1 << 20))
    for max_bytes, lost in ((size, Counter()), (size - 1, Counter(too_large=1))):
        stand = Tapped(ends[0], max_bytes=max_bytes)
        assert await stand.ask(BALANCE) == 200
        assert stand.lost == lost


async def test_the_largest_copy_that_can_be_configured_fits_into_the_socket(ends: Ends) -> None:
    ends[0].send(bytes(131_072))
    assert len(ends[1].recv(1 << 20)) == 131_072


async def test_a_fault_of_the_copying_is_counted_and_reaches_nobody(ends: Ends) -> None:
    stand = Tapped(ends[0])
    stand.accounts.clear()
    assert await stand.ask(BALANCE) == 200
    assert stand.lost == Counter(fault=1)


async def test_a_key_that_is_gone_keeps_the_copy_here() -> None:
    """Without the key nobody can cut it out of the query."""
    lost: Counter[str] = Counter()
    ends = shadow_link()
    stand = Stand(evolution_calls.ACCOUNT, EVOLUTION)
    bare = structs.replace(evolution_calls.ACCOUNT, inbound_keys={})
    settings = TapSettings(provider="acme", candidate="evolution_v1")
    stand.copy = Tap(ends[0], settings, {"acme": (bare, EVOLUTION)}, lambda why: lost.update([why])).offer
    query = b"authToken=" + evolution_calls.AUTH.secret
    await stand.send("/balance", evolution_calls.to_bytes(evolution_calls.BALANCE), {}, query)
    assert lost == Counter(key_gone=1)
    with pytest.raises(BlockingIOError):
        ends[1].recv(1)
    for end in ends:
        end.close()


async def test_a_sample_is_about_as_large_as_configured(ends: Ends) -> None:
    stand = Tapped(ends[0], percent=25)
    copies = 0
    for _ in range(1000):
        await stand.ask(BALANCE)
        try:
            ends[1].recv(1 << 20)
            copies += 1
        except BlockingIOError:
            pass
    assert 150 < copies < 350
    assert not stand.lost


async def test_accounts_without_a_shadow_are_not_even_looked_at() -> None:
    stand = Stand(ACCOUNT, ADAPTER)
    other = Stand(structs.replace(ACCOUNT, id="other"), ADAPTER)
    data = to_bytes(BALANCE)
    await other.send("/balance", data, {"x-request-sign": sign_raw_hmac(BEEXAR, data)})
    assert stand.calls == []


def test_lost_copies_are_counted_for_each_reason_from_the_start() -> None:
    metrics = Metrics("test")
    lose = metrics.shadow.counters_of_lost("acme", "softswiss_v3", LOST)
    lose("full")
    text = generate_latest(metrics.registry).decode()
    labels = 'candidate="softswiss_v3",environment="test",provider="acme"'
    assert f'croupier_shadow_dropped_total{{{labels},reason="full"}} 1.0' in text
    assert f'croupier_shadow_dropped_total{{{labels},reason="gone"}} 0.0' in text


def test_the_candidates_clock_runs_only_while_it_works() -> None:
    with within(60):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with pytest.raises(KeyError), within(60):
        raise KeyError
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
