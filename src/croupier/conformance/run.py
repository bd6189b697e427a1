"""A run: every scenario for one account of a running gateway, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from croupier.conformance.http_wire import HttpWire
from croupier.conformance.launches import LaunchReceiver
from croupier.conformance.masking import render_answer, render_request
from croupier.conformance.operator_client import OperatorClient, OperatorFailed
from croupier.conformance.scenario import FAILED, OPTED_OUT, PASSED, Result, Scenario
from croupier.conformance.scenarios import SCENARIOS
from croupier.conformance.stage import NotPlayable, ScenarioFailed, Stage, Target

AT_ONCE: Final = 4
LONGEST_S: Final = 120.0

Advance = Callable[[Result], None]


async def run_scenarios(
    target: Target,
    operator: OperatorClient,
    wire: HttpWire,
    launches: LaunchReceiver,
    *,
    scenarios: Iterable[Scenario] = SCENARIOS,
    advance: Advance = lambda _: None,
) -> list[Result]:
    """Play the scenarios and judge them, in their order; the gateway must be ready, and launches reach us."""
    launches.speak_for(target.speaker)
    free = asyncio.Semaphore(AT_ONCE)

    async def run_one(scenario: Scenario) -> Result:
        async with free:
            result = await _run(scenario, Stage(target, operator, wire, launches))
        advance(result)
        return result

    return list(await asyncio.gather(*map(run_one, scenarios)))


async def _run(scenario: Scenario, stage: Stage) -> Result:
    reason = scenario.reason_to_leave_out(stage.target.manifest, stage.traits)
    if reason:
        return _result(scenario, OPTED_OUT, reason)
    try:
        async with asyncio.timeout(LONGEST_S):
            await scenario.play(stage)
    except ScenarioFailed as failed:
        return _failed(scenario, str(failed), stage, failed)
    except NotPlayable as reason:
        return _result(scenario, OPTED_OUT, str(reason))
    except OperatorFailed as failed:
        return _failed(scenario, f"the operator API: {failed}", stage)
    except TimeoutError:
        return _failed(scenario, f"it took longer than {LONGEST_S:.0f} s", stage)
    return _result(scenario, PASSED, notes=tuple(stage.notes))


def _result(scenario: Scenario, status: str, why: str = "", notes: tuple[str, ...] = ()) -> Result:
    return Result(
        scenario=scenario.name,
        group=scenario.group,
        claim=scenario.claim,
        status=status,
        why=why,
        notes=notes,
    )


def _failed(scenario: Scenario, why: str, stage: Stage, failed: ScenarioFailed | None = None) -> Result:
    reading = failed.reading if failed is not None and failed.reading is not None else stage.last
    return Result(
        scenario=scenario.name,
        group=scenario.group,
        claim=scenario.claim,
        status=FAILED,
        why=why,
        request="" if reading is None else render_request(reading.request, stage),
        answer="" if reading is None else render_answer(reading.response, stage),
    )
