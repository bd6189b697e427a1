"""Wallets whose batches and statements are wrong, each in one way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from contract.lie_registry import finds
from contract.wallet_proxy import Call, LyingWallet, Reply, error

Lines = list[dict[str, Any]]


def _items(call: Call) -> Lines:
    found: Lines = call.document.get("items", [])
    return found if call.path == "/batch" else []


@finds("batch/in_order")
async def works_from_the_end(wallet: LyingWallet, call: Call) -> Reply:
    if not _items(call):
        return await wallet.pass_on(call)
    answer = await wallet.change(call, items=_items(call)[::-1])
    return answer.with_members(results=answer.document["results"][::-1])


@finds("batch/results_in_order")
async def sorts_results_by_player(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if not _items(call):
        return answer
    return answer.with_members(results=sorted(answer.document["results"], key=lambda one: one["player_id"]))


@finds("batch/each_alone")
async def stops_at_the_first_refusal(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    results = answer.document.get("results", [])
    bad = [place for place, one in enumerate(results) if one["status"] != "approved"]
    if not _items(call) or not bad:
        return answer
    undone = [
        {**one, "status": "error", "code": "unavailable", "detail": "", "applied": "no"} for one in results
    ]
    return answer.with_members(results=results[: bad[0] + 1] + undone[bad[0] + 1 :])


@finds("batch/each_alone")
async def fails_whole_batches(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    is_bad = any(one["status"] == "error" for one in answer.document.get("results", []))
    return error(400, "malformed", applied="unknown") if is_bad else answer


@finds("batch/the_largest")
async def takes_a_hundred(wallet: LyingWallet, call: Call) -> Reply:
    return error(413, "body_too_large") if len(_items(call)) > 100 else await wallet.pass_on(call)


@finds("batch/too_many")
async def takes_any_number(wallet: LyingWallet, call: Call) -> Reply:
    items = _items(call)
    if len(items) <= 256:
        return await wallet.pass_on(call)
    halves = [(await wallet.change(call, items=part)).document for part in (items[:200], items[200:])]
    return (await wallet.tell("/batch", {"items": items[:1]})).with_members(
        results=[one for half in halves for one in half["results"]]
    )


@finds("batch/repeats")
async def knows_no_repeats_in_batches(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if not _items(call):
        return answer
    return answer.with_members(results=[{**one, "repeat": False} for one in answer.document["results"]])


def _rewrites(name: str, *scenarios: str, lines: Callable[[Lines], Lines] = lambda lines: lines) -> None:
    async def lie(wallet: LyingWallet, call: Call) -> Reply:
        answer = await wallet.pass_on(call)
        if call.path != "/statement" or answer.status != 200:
            return answer
        return answer.with_members(movements=lines(answer.document["movements"]))

    lie.__name__ = name
    finds(*scenarios)(lie)


_rewrites(
    "turns_signs_around",
    "statement/lists_movements",
    "statement/whole_run",
    lines=lambda lines: [{**one, "change": one["change"].replace("-", "")} for one in lines],
)
_rewrites("lists_everything_twice", "statement/lists_movements", lines=lambda lines: [*lines, *lines][-1000:])
_rewrites(
    "lists_no_rollbacks",
    "statement/lists_movements",
    "statement/lists_nothing_else",
    lines=lambda lines: [one for one in lines if one["operation"] != "rollback"],
)
_rewrites("lists_the_newest_first", "statement/in_order", lines=lambda lines: lines[::-1])


@finds("statement/pages")
async def skips_a_row_between_pages(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path != "/statement" or call.document.get("cursor") is None:
        return answer
    return answer.with_members(movements=answer.document["movements"][1:])


@finds("statement/pages")
async def repeats_a_row_between_pages(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path != "/statement":
        return answer
    movements = answer.document["movements"]
    last, wallet.memory["last"] = wallet.memory.get("last"), movements[-1:]
    if call.document.get("cursor") is None or not last:
        return answer
    return answer.with_members(movements=[*last, *movements[1:]])


@finds("statement/half_open")
async def lists_the_end_as_well(wallet: LyingWallet, call: Call) -> Reply:
    if call.path != "/statement":
        return await wallet.pass_on(call)
    return await wallet.change(call, to=_shifted(call.document["to"]))


@finds("statement/half_open")
async def leaves_the_beginning_out(wallet: LyingWallet, call: Call) -> Reply:
    if call.path != "/statement":
        return await wallet.pass_on(call)
    since = _shifted(call.document["from"])
    # A period that is empty by this is asked for as it came, and emptied.
    if since >= call.document["to"]:
        return (await wallet.change(call)).with_members(movements=[])
    return await wallet.change(call, **{"from": since})


@finds("statement/lists_nothing_else")
async def lists_refusals(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/debit" and answer.document.get("status") == "refused":
        wallet.memory.setdefault("refused", []).append(call.document)
    if call.path == "/statement" and answer.document["movements"] and wallet.memory:
        like = answer.document["movements"][-1]
        refused = [{**like, "reference": one["reference"]} for one in wallet.memory["refused"]]
        return answer.with_members(movements=[*answer.document["movements"], *refused][-1000:])
    return answer


@finds("statement/limits")
async def cuts_limits_instead_of_refusing(wallet: LyingWallet, call: Call) -> Reply:
    limit = call.document.get("limit")
    if call.path == "/statement" and isinstance(limit, int):
        return await wallet.change(call, limit=max(1, min(limit, 1000)))
    return await wallet.pass_on(call)


@finds("statement/whole_run")
async def forgets_a_movement(wallet: LyingWallet, call: Call) -> Reply:
    await asyncio.sleep(0)
    answer = await wallet.pass_on(call)
    if call.path == "/credit":
        wallet.memory.setdefault("lost", call.reference)
    if call.path != "/statement" or answer.status != 200:
        return answer
    kept = [one for one in answer.document["movements"] if one["reference"] != wallet.memory.get("lost")]
    return answer.with_members(movements=kept)


def _shifted(text: str) -> str:
    later = datetime.fromisoformat(text) + timedelta(microseconds=1)
    return later.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
