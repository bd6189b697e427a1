"""Backpressure: room by what was measured and what was accepted since, and a wait by the drain rate (E4, I9)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from provider_edge import NOW

from croupier.errors import BACKLOGGED, OVERLOADED, CroupierError
from croupier.inbox.pressure import Level, Pressure, PressureSettings


async def nothing() -> list[Level]:
    """Nobody has measured."""
    return []


def pressure(**settings: int) -> Pressure:
    return Pressure(PressureSettings(**{"backlog": 100, "backlog_total": 250, **settings}), nothing)


def level(
    depth: int, drained_per_min: int = 60, *, provider: str = "studio", measured_at: datetime = NOW
) -> Level:
    return Level(provider, depth, drained_per_min, measured_at)


def refusal(of: Pressure, provider: str = "studio") -> CroupierError:
    with pytest.raises(CroupierError) as caught:
        of.require_room(provider)
    return caught.value


def accept(of: Pressure, count: int, provider: str = "studio") -> None:
    for _ in range(count):
        of.note_accepted(provider)


def test_there_is_room_while_nobody_has_measured() -> None:
    pressure().require_room("studio")


def test_at_its_bound_a_provider_is_sent_away_and_another_is_not() -> None:
    one = pressure()
    one.take([level(99)])
    one.require_room("studio")
    one.take([level(100)])
    error = refusal(one)
    assert error.kind is BACKLOGGED
    assert "100 webhooks wait" in error.detail
    one.require_room("other")


def test_above_the_bound_of_all_everybody_is_sent_away() -> None:
    one = pressure()
    one.take([level(90, provider=name) for name in ("a", "b", "c")])
    assert refusal(one, "a").kind is OVERLOADED
    assert refusal(one, "d").kind is OVERLOADED


def test_what_this_process_accepted_since_the_measure_counts_at_once() -> None:
    one = pressure()
    one.take([level(90)])
    accept(one, 9)
    one.require_room("studio")
    accept(one, 1)
    assert refusal(one).kind is BACKLOGGED
    accept(one, 149, "other")
    one.require_room("third")
    accept(one, 1, "other")
    assert refusal(one, "third").kind is OVERLOADED


def test_what_was_accepted_counts_until_a_later_measure_holds_it() -> None:
    one = pressure()
    one.take([level(0)])
    accept(one, 60)
    one.take([level(0)])
    assert one.waiting("studio") == 60, "the measure is older than they are"
    accept(one, 20)
    later = NOW + timedelta(seconds=1)
    one.take([level(60, measured_at=later)])
    assert one.waiting("studio") == 80, "the last ones may have come after it"
    one.take([level(60, measured_at=later)])
    assert one.waiting("studio") == 80
    one.take([level(75, measured_at=later + timedelta(seconds=1))])
    assert one.waiting("studio") == 75


def test_a_measure_that_does_not_name_a_provider_found_nothing_of_it() -> None:
    one = pressure()
    one.take([level(5, provider="other")])
    accept(one, 70)
    one.take([level(5, provider="other", measured_at=NOW + timedelta(seconds=1))])
    assert one.waiting("studio") == 70
    one.take([level(5, provider="other", measured_at=NOW + timedelta(seconds=2))])
    assert one.waiting("studio") == 0


def test_while_nobody_measures_the_bound_holds_by_what_was_accepted_here() -> None:
    one = pressure()
    for _ in range(4):
        accept(one, 25)
        one.take([])
    assert refusal(one).kind is BACKLOGGED


@pytest.mark.parametrize(
    ("depth", "drained_per_min", "wait_s"),
    [
        (100, 600, 1),
        (100, 60, 10),
        (150, 60, 60),
        (100, 7, 86),
        (100, 1, 300),
        (100, 0, 300),
        (10**9, 10**9, 60),
        (100, 10**9, 1),
    ],
)
def test_the_wait_is_what_the_drain_needs_to_free_a_tenth(
    depth: int, drained_per_min: int, wait_s: int
) -> None:
    one = pressure()
    one.take([level(depth, drained_per_min)])
    assert refusal(one).retry_after_s == wait_s


def test_the_wait_for_all_follows_the_drain_of_all_up_to_the_cap() -> None:
    one = pressure(retry_after_cap_s=20)
    one.take([level(90, 30, provider=name) for name in ("a", "b", "c")])
    assert refusal(one, "a").retry_after_s == 20
    one.take([level(90, 300, provider=name) for name in ("a", "b", "c")])
    assert refusal(one, "a").retry_after_s == 3


async def test_a_look_that_fails_is_made_again_and_the_last_levels_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("croupier.inbox.pressure.READ_S", 0.001)
    answers: list[Iterable[Level] | Exception] = [[level(100)], OSError("away"), OSError("away"), [level(1)]]
    looks = asyncio.Event()

    async def load() -> Iterable[Level]:
        answer = answers.pop(0)
        if not answers:
            looks.set()
            answers.append(answer)
        if isinstance(answer, Exception):
            assert refusal(one).kind is BACKLOGGED
            raise answer
        return answer

    one = Pressure(PressureSettings(backlog=100), load)
    following = asyncio.create_task(one.follow())
    async with asyncio.timeout(10):
        await looks.wait()
    following.cancel()
    await asyncio.wait({following})
