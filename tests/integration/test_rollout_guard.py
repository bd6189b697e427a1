"""The guards of a rollout on real sessions, breaks and breakers: what halts it, what does not, who judges (J1)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from flag_desk import NEW, ROLLOUT, let_go_live, set_flag
from lane_desk import read_rows, read_value, require_sound_books
from operator_house import OPENING, PLAYER, House, open_house, session_uuid
from prometheus_client import CollectorRegistry

from croupier.errors import CroupierError
from croupier.governance.flags import halt
from croupier.governance.flags.guard import GuardLimits
from croupier.governance.flags.halt import Halted, judge_rollouts, load_turn
from croupier.governance.flags.history import Cause
from croupier.governance.flags.rules import Target
from croupier.governance.flags.store import load_changes, load_rules
from croupier.ids import IdSource
from croupier.providers.breakers.machine import BreakerSettings
from croupier.runtime.config import Config, Contract, Provider
from croupier.runtime.config.rollout import Rollout
from croupier.runtime.database import create_pool
from croupier.runtime.going_live import find_missing
from croupier.runtime.rollout_guard import PERIOD_S, guard_limits, guard_rollouts, take_and_judge
from croupier.telemetry.rollout_metrics import RolloutMetrics
from model.calls import bet, close_round, win

LIMITS = GuardLimits(
    min_launches=4,
    error_percent=50,
    launch_grace_s=60,
    settlement_lag_s=600,
    late_settlements=0,
    mismatches=0,
)
DICE_ONLY = Target(flag="rollout", provider=NEW, game="dice", jurisdiction="MT")
HALTS = "croupier_rollout_halts_total"
WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house all of whose players go to the account that takes over."""
    quick = BreakerSettings(min_calls=100)
    async with open_house(database_url, breakers=quick, successors=(NEW,)) as opened:
        await set_flag(database_url, ROLLOUT, 10_000)
        await opened.flags.look()
        yield opened
    await require_sound_books(database_url)


async def judged(house: House, later_s: int = 0, limits: GuardLimits = LIMITS) -> list[Halted]:
    """What the guards do so many seconds from now."""
    async with house.pool.acquire() as connection:
        return await judge_rollouts(connection, limits, IdSource(), utc_now() + timedelta(seconds=later_s))


def utc_now() -> datetime:
    return datetime.now(UTC)


async def launch(house: House, script: str, times: int) -> None:
    house.studio.script.extend([script] * times)
    for number in range(times):
        await house.post("/v1/sessions", OPENING | {"player_id": f"{script}-{number}"})


async def share_of(house: House) -> int | None:
    async with house.pool.acquire() as connection:
        (rule,) = await load_rules(connection)
    return rule.share_bps


async def test_a_rollout_that_goes_well_goes_on(house: House) -> None:
    await launch(house, "ok", 3)
    await launch(house, "refuse", 3)
    assert await judged(house) == [], "just as many as may fail"
    assert await judged(house, later_s=3600) == []
    assert await share_of(house) == 10_000


@pytest.mark.parametrize(("script", "later_s"), [("refuse", 0), ("drop", 61)])
async def test_launches_that_fail_or_stay_unknown_halt_it(house: House, script: str, later_s: int) -> None:
    await launch(house, script, 3)
    assert await judged(house, later_s) == [], "too few to mean anything"
    await launch(house, script, 1)
    assert await judged(house, later_s) == [Halted(NEW, "4 of 4 launches failed, more than 50%")]
    await house.flags.look()
    assert (await house.open())["provider"] == "studio"
    assert await share_of(house) == 0


async def test_a_launch_that_is_still_under_way_has_not_failed(house: House) -> None:
    await launch(house, "drop", 10)
    assert await judged(house, later_s=50) == []
    assert await judged(house, later_s=61) != []


async def test_launches_under_way_do_not_make_the_failed_ones_fewer(house: House) -> None:
    await launch(house, "drop", 5)
    await launch(house, "refuse", 4)
    assert await judged(house) == [Halted(NEW, "4 of 4 launches failed, more than 50%")]


async def test_launches_before_the_share_changed_and_before_the_window_do_not_count(
    house: House, database_url: str
) -> None:
    await launch(house, "refuse", 10)
    assert await judged(house, later_s=LIMITS.window_s + 1) == []
    await set_flag(database_url, ROLLOUT, 9000)
    assert await judged(house) == []


async def test_the_account_that_is_replaced_does_not_count(house: House, database_url: str) -> None:
    await set_flag(database_url, ROLLOUT, 0)
    await house.flags.look()
    await launch(house, "refuse", 10)
    await set_flag(database_url, ROLLOUT, 1)
    assert await judged(house) == []


async def wait_for_settlement(house: House) -> str:
    """A session at the account that takes over, closed with its round still open."""
    await house.deposit(f"d-{utc_now().timestamp()}", 500)
    session = await house.open()
    ours = {"session_id": session_uuid(session), "player_id": PLAYER, "round_id": "r-1"}
    await house.provider_call(bet("b-1", 100, **ours), provider=NEW)
    closed = await house.post(f"/v1/sessions/{session['session_id']}/close", {"reason": "left"})
    assert closed.json()["state"] == "pending_settlement"
    return str(session["session_id"])


async def test_a_session_that_waits_too_long_for_its_settlement_halts_it(house: House) -> None:
    session_id = await wait_for_settlement(house)
    assert await judged(house, later_s=590) == []
    several = GuardLimits(settlement_lag_s=600, late_settlements=1)
    assert await judged(house, later_s=610, limits=several) == [], "one may"
    assert await judged(house, later_s=610) == [
        Halted(NEW, "sessions that wait for settlement for more than 600 s: 1, allowed 0")
    ]
    ended = close_round("c-1", session_id=session_uuid({"session_id": session_id}), round_id="r-1")
    await house.provider_call(ended, provider=NEW)


async def test_a_session_that_settled_is_not_late(house: House) -> None:
    session_id = await wait_for_settlement(house)
    ended = close_round("c-1", session_id=session_uuid({"session_id": session_id}), round_id="r-1")
    await house.provider_call(ended, provider=NEW)
    assert (await house.get(f"/v1/sessions/{session_id}")).json()["state"] == "settled"
    assert await judged(house, later_s=7200) == []


async def test_what_waited_before_is_given_the_whole_time_again(house: House, database_url: str) -> None:
    await wait_for_settlement(house)
    await set_flag(database_url, ROLLOUT, 9000, now=utc_now() + timedelta(seconds=500))
    assert await judged(house, later_s=610) == []
    assert await judged(house, later_s=1101) != []


async def test_a_break_halts_it(house: House) -> None:
    await house.deposit("d-1", 500)
    session = await house.open()
    ours = {"session_id": session_uuid(session), "player_id": PLAYER}
    await house.provider_call(bet("b-1", 100, **ours), provider=NEW)
    await house.provider_call(win("w-1", 300, **ours), provider=NEW)
    assert await judged(house) == []
    with pytest.raises(CroupierError):
        await house.provider_call(win("w-1", 400, **ours), provider=NEW)
    assert await judged(house, limits=GuardLimits(mismatches=1)) == []
    assert await judged(house) == [Halted(NEW, "open breaks: 1, allowed 0")]


async def test_a_breaker_that_holds_launches_back_halts_it(database_url: str) -> None:
    quick = BreakerSettings(min_calls=2, open_s=600)
    async with open_house(database_url, breakers=quick, successors=(NEW,)) as house:
        await set_flag(database_url, ROLLOUT, 10_000)
        await house.flags.look()
        await launch(house, "drop", 2)
        assert await judged(house) == []
        await house.deps.breakers.look()
        assert await judged(house) == [Halted(NEW, "its breaker holds launches back")]


async def test_a_halt_is_in_history_audit_and_events_and_leaves_no_rule_above_nothing(
    house: House, database_url: str
) -> None:
    await set_flag(database_url, DICE_ONLY, 2000)
    await set_flag(database_url, Target(flag="rollout", provider="another"), 700)
    await launch(house, "refuse", 4)
    (halted,) = await judged(house)
    async with house.pool.acquire() as connection:
        rules = {rule.target: rule.share_bps for rule in await load_rules(connection)}
        changes = await load_changes(connection, "rollout", NEW, 2)
    assert (rules[ROLLOUT], rules[DICE_ONLY]) == (0, 0)
    assert sorted(rules.values()) == [0, 0, 700]
    assert {(one.cause, one.actor, one.to_bps, one.reason) for one in changes} == {
        (Cause.GUARD, "guard", 0, halted.reason)
    }
    actions = await read_rows(
        database_url, "SELECT action FROM croupier.audit_record ORDER BY seq DESC LIMIT 2"
    )
    assert [row["action"] for row in actions] == ["flag.guard", "flag.guard"]
    payload = json.loads(
        await read_value(
            database_url, "SELECT payload FROM croupier.outbox_event WHERE type = 'rollout.halted'"
        )
    )
    told = payload["data"]
    assert datetime.fromisoformat(told.pop("halted_at")).tzinfo is not None
    assert told == {
        "provider": NEW,
        "cause": "4 of 4 launches failed, more than 50%",
        "share_bps": 10_000,
        "launches": 4,
        "failed": 4,
        "late_settlements": 0,
        "mismatches": 0,
    }
    assert await judged(house) == [], "it is halted already"


async def test_a_person_who_was_faster_than_the_guard_is_not_overruled(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await launch(house, "refuse", 4)
    observe = halt.observe

    async def observe_slowly(*arguments: object) -> object:
        found = await observe(*arguments)  # type: ignore[arg-type]
        await set_flag(database_url, ROLLOUT, 100, reason="lowered, and looking at it")
        return found

    monkeypatch.setattr(halt, "observe", observe_slowly)
    assert await judged(house) == []
    assert await share_of(house) == 100
    assert (
        await read_rows(database_url, "SELECT 1 FROM croupier.outbox_event WHERE type = 'rollout.halted'")
        == []
    )


async def test_of_many_processes_one_judges_each_turn(database_url: str) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=6)
    metrics = RolloutMetrics("test", CollectorRegistry())
    for turn in range(3):
        now = utc_now() + timedelta(seconds=turn * PERIOD_S)
        turns = [take_and_judge(pool, LIMITS, IdSource(), now, metrics) for _ in range(6)]
        assert sum(await asyncio.gather(*turns)) == 1
    await pool.close()


async def test_a_turn_that_a_clock_far_ahead_has_put_off_is_not_waited_for(house: House) -> None:
    now = utc_now()
    async with house.pool.acquire() as connection:
        assert await halt.take_turn(connection, now + timedelta(hours=1), PERIOD_S)
        assert await halt.take_turn(connection, now, PERIOD_S)
        assert not await halt.take_turn(connection, now + timedelta(seconds=PERIOD_S - 1), PERIOD_S)


async def test_a_background_process_halts_by_itself_and_counts_it(
    house: House, database_url: str, wait_until: WaitUntil
) -> None:
    registry, stop = CollectorRegistry(), asyncio.Event()
    limits = Rollout(min_launches=4)
    config = Config(providers=(Provider(id="studio"), Provider(id=NEW, replaces="studio")), rollout=limits)
    await launch(house, "refuse", 4)
    running = guard_rollouts(
        house.pool,
        config,
        ids=IdSource(),
        now=utc_now,
        metrics=RolloutMetrics("test", registry),
        stop=stop,
        look_s=0.05,
    )
    task = asyncio.create_task(running)
    labels = {"environment": "test", "provider": NEW}
    await wait_until(lambda: registry.get_sample_value(HALTS, labels) == 1)
    assert await share_of(house) == 0
    stop.set()
    await task


async def test_a_database_that_is_away_does_not_end_the_guards(wait_until: WaitUntil) -> None:
    asked, stop = [], asyncio.Event()

    class Gone:
        def acquire(self, timeout: float | None = None) -> object:
            asked.append(timeout)
            raise ConnectionRefusedError("away")

    running = guard_rollouts(
        Gone(),  # type: ignore[arg-type]
        Config(),
        ids=IdSource(),
        now=utc_now,
        metrics=RolloutMetrics("test", CollectorRegistry()),
        stop=stop,
        look_s=0.01,
    )
    task = asyncio.create_task(running)
    await wait_until(lambda: len(asked) > 2)
    stop.set()
    await task


async def test_an_account_goes_live_with_contracts_and_somebody_who_guards_it(
    house: House, database_url: str
) -> None:
    await let_go_live(database_url, NEW)
    begun = utc_now() - timedelta(days=1)
    accounts = (Provider(id="studio"), Provider(id=NEW, replaces="studio"))
    terms = [Contract(provider="studio", starts_at=begun, share_bps=0, game_group="crash")]
    now = utc_now()
    async with house.pool.acquire() as connection:

        async def missing(*more: Contract) -> list[str]:
            config = Config(providers=accounts, contracts=(*terms, *more))
            return await find_missing(config, connection, NEW, now)

        assert await missing() == [
            "no contract with studio_v2 covers game group crash in * now",
            "no background process guards rollouts: start `croupier serve` or `croupier work`",
        ]
        await halt.take_turn(connection, now, PERIOD_S)
        assert await load_turn(connection) == now + timedelta(seconds=PERIOD_S)
        later = Contract(provider=NEW, starts_at=now + timedelta(days=1), share_bps=0)
        assert await missing(later) == ["no contract with studio_v2 covers game group crash in * now"]
        assert await missing(Contract(provider=NEW, starts_at=begun, share_bps=0)) == []
        now += timedelta(minutes=2)
        assert len(await missing()) == 2


def test_the_configuration_says_when_a_rollout_is_halted() -> None:
    assert guard_limits(Config()) == GuardLimits()
    given = Rollout(
        window="1m",
        min_launches=2,
        error_percent=3,
        launch_grace="4s",
        settlement_lag="5s",
        late_settlements=6,
        mismatches=7,
    )
    assert guard_limits(Config(rollout=given)) == GuardLimits(
        window_s=60,
        min_launches=2,
        error_percent=3,
        launch_grace_s=4,
        settlement_lag_s=5,
        late_settlements=6,
        mismatches=7,
    )


async def test_the_guards_read_along_indexes(house: House) -> None:
    """A look costs what is new at the account, however many sessions there are."""
    statements = {
        "count_launches": ("session_by_provider", (NEW, IdSource().new(0), utc_now(), 10)),
        "count_late": ("session_pending", (NEW, utc_now(), 10)),
    }
    async with house.pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        for name, (index, arguments) in statements.items():
            plan = await connection.fetch(f"EXPLAIN {halt._SQL[name]}", *arguments)
            assert index in "\n".join(row[0] for row in plan), name
        await connection.execute("RESET enable_seqscan")
