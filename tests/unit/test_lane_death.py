"""A lane that dies of a fault of its own answers what it has in hand, and a log line finds the stderr of its moment."""

import asyncio
import io
import sys
from datetime import timedelta
from typing import Any

import pytest
import structlog

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.ids import IdSource
from croupier.moneypath import lane as lanes
from croupier.moneypath.facts import Stamp
from croupier.telemetry.logs import set_up_logs
from model.calls import NOW, call, deposit


class BrokenLog:
    """A log that nobody can write to."""

    def warning(self, *_: Any, **__: Any) -> None:
        raise ValueError("I/O operation on closed file")

    def error(self, *_: Any, **__: Any) -> None:
        """Its end is told all the same."""


async def test_a_lane_that_dies_answers_what_it_has_in_hand_and_what_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody_there() -> Any:
        raise OSError("no database")

    monkeypatch.setattr(lanes, "_log", BrokenLog())
    deaths: list[int] = []
    made = lanes.Lane(
        0,
        nobody_there,
        lambda: Stamp(NOW, IdSource(), NOW + timedelta(hours=1)),
        lanes.LaneSettings(batch=2),
        lambda _: None,
        lambda: deaths.append(1),
    )
    made.start()
    futures = [made.submit(call(deposit(f"d{number}"))) for number in range(5)]
    answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)
    kinds = [answer.kind for answer in answers if isinstance(answer, CroupierError)]
    assert kinds == [UNAVAILABLE] * 5
    assert deaths == [1]


def test_a_log_line_goes_to_the_standard_error_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    before = structlog.get_config()
    try:
        monkeypatch.setattr(sys, "stderr", first)
        set_up_logs(log_format="json", level="warning")
        log = structlog.get_logger("tests.moment")
        log.warning("one")
        monkeypatch.setattr(sys, "stderr", second)
        first.close()
        log.warning("two")
    finally:
        structlog.configure(**before)
    assert '"event":"two"' in second.getvalue()
