"""The reference wallet misbehaves as it is told to, and its books stay right wherever the fault is honest."""

import asyncio
import json
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from wallet_caller import JSON, KEY, Caller, item, movement, open_wallet, sign

from croupier.demo.wallet_service import WalletProcessFailed, WalletStart, wallet_process
from croupier.sandbox.wallet.faults import FAULTS, ControlOrder, Dose, Switches
from croupier.sandbox.wallet.lies import GARBAGE
from croupier.sandbox.wallet.trouble import Trouble

HONEST = [name for name, fault in FAULTS.items() if fault.is_honest]
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
Wait = Callable[..., Awaitable[None]]


@pytest.fixture
async def wallet(empty_database_url: str) -> AsyncIterator[Caller]:
    """A wallet with 1,000 of p-1 in EUR."""
    async with open_wallet(empty_database_url, seed="7") as caller:
        await caller.deposit(1_000)
        yield caller


async def break_next(wallet: Caller, fault: str, count: int = 1, **switches: Any) -> None:
    """Have the next calls misbehave."""
    await wallet.control(faults={fault: {"next": count}}, **switches)


async def test_a_dropped_call_is_not_applied_and_a_dropped_reply_is(wallet: Caller) -> None:
    for fault, reference, expected in (
        ("drop", "wtx_1", "not_found"),
        ("commit_then_drop", "wtx_2", "approved"),
    ):
        await break_next(wallet, fault)
        with pytest.raises(LOST):
            await wallet.move("debit", reference)
        assert (await wallet.status(reference))["status"] == expected
    assert await wallet.balance() == 900
    assert (await wallet.control())["done"] == {"commit_then_drop:debit": 1, "drop:debit": 1}


async def test_a_late_answer_comes_after_its_movement(wallet: Caller, wait_until: Wait) -> None:
    await break_next(wallet, "late", late_ms=60_000)
    late = asyncio.create_task(wallet.move("debit", "wtx_1"))
    await wait_until(lambda: _is_decided(wallet, "wtx_1"))
    assert not late.done()
    late.cancel()
    await break_next(wallet, "late", late_ms=1)
    assert (await wallet.move("debit", "wtx_2"))["status"] == "approved"


async def _is_decided(wallet: Caller, reference: str) -> bool:
    return bool((await wallet.status(reference))["status"] != "not_found")


async def test_a_movement_that_waits_is_undecided_until_then(wallet: Caller, wait_until: Wait) -> None:
    await break_next(wallet, "late_before", late_ms=500)
    late = asyncio.create_task(wallet.move("debit", "wtx_1"))
    await wait_until(lambda: _is_done(wallet, "late_before:debit"))
    assert not await _is_decided(wallet, "wtx_1")
    assert (await late)["balance"] == "900"


async def test_a_movement_that_goes_stale_while_it_waits_is_never_applied(
    wallet: Caller, wait_until: Wait
) -> None:
    await break_next(wallet, "late_before", late_ms=300)
    late = asyncio.create_task(wallet.ask("/debit", movement("wtx_1")))
    await wait_until(lambda: _is_done(wallet, "late_before:debit"))
    await wallet.control(clock_skew_s=45)
    status, answer = await late
    assert (status, answer["detail"], answer["applied"]) == (401, "stale", "no")
    await wallet.control(clock_skew_s=0)
    assert not await _is_decided(wallet, "wtx_1")


async def _is_done(wallet: Caller, what: str) -> bool:
    return what in (await wallet.control())["done"]


async def test_garbage_comes_with_200_after_the_movement(wallet: Caller) -> None:
    await wallet.control(faults={"garbage": 100})
    bodies = set()
    for number in range(40):
        body = json.dumps(movement(f"wtx_{number}", "1")).encode()
        bodies.add(await _post_raw(wallet, body))
    assert bodies <= set(GARBAGE)
    assert len(bodies) > 3
    assert await wallet.balance() == 960


async def _post_raw(wallet: Caller, body: bytes) -> bytes:
    headers = JSON | {"Authorization": sign("/debit", body)}
    async with wallet.http.post(wallet.address + "/debit", data=body, headers=headers) as reply:
        assert reply.status == 200
        return await reply.read()


@pytest.mark.parametrize(
    ("fault", "expected", "balance"),
    [
        ("unavailable", (503, "unavailable", "no"), 1_000),
        ("status_500", (500, "internal", "unknown"), 900),
    ],
)
async def test_error_answers_say_what_was_applied(
    wallet: Caller, fault: str, expected: tuple[int, str, str], balance: int
) -> None:
    await break_next(wallet, fault)
    status, answer = await wallet.ask("/debit", movement("wtx_1"))
    assert (status, answer["code"], answer["applied"]) == expected
    assert await wallet.balance() == balance
    assert (await wallet.move("debit", "wtx_1"))["balance"] == "900"


async def test_a_refusal_without_a_reason_is_kept(wallet: Caller) -> None:
    await break_next(wallet, "refuse")
    answer = await wallet.move("debit", "wtx_1")
    assert (answer["status"], answer["code"]) == ("refused", "declined")
    assert (await wallet.move("debit", "wtx_1"))["code"] == "declined"
    assert await wallet.balance() == 1_000


@pytest.mark.parametrize("member", ["amount", "player_id", "asset", "reference", "balance"])
async def test_a_wrong_member_is_wrong_in_the_reply_only(wallet: Caller, member: str) -> None:
    await break_next(wallet, f"wrong_{member.removesuffix('_id')}")
    wrong = await wallet.move("debit", "wtx_1")
    right = await wallet.move("debit", "wtx_1")
    assert {name for name in right if right[name] != wrong[name]} == {member, "repeat"}
    assert await wallet.balance() == 900


async def test_a_repeat_and_a_status_contradict_the_first_answer(wallet: Caller) -> None:
    await wallet.control(faults={"contradict": {"percent": 100, "operations": ["debit", "status"]}})
    assert (await wallet.move("debit", "wtx_1"))["status"] == "approved"
    turned = await wallet.move("debit", "wtx_1")
    assert (turned["status"], turned["code"], turned["balance"]) == ("refused", "insufficient_funds", "900")
    assert (await wallet.status("wtx_1"))["status"] == "refused"
    assert (await wallet.move("debit", "wtx_2", "5000"))["status"] == "refused"
    turned = await wallet.move("debit", "wtx_2", "5000")
    assert (turned["status"], turned["amount"]) == ("approved", "5000")
    assert (await wallet.status("wtx_3"))["status"] == "not_found"
    assert await wallet.balance() == 900


async def test_a_counted_fault_waits_for_a_call_that_it_fits(wallet: Caller) -> None:
    await break_next(wallet, "contradict")
    await wallet.move("debit", "wtx_1")
    assert (await wallet.control())["faults"]["contradict"]["next"] == 1
    assert (await wallet.move("debit", "wtx_1"))["status"] == "refused"
    assert (await wallet.move("debit", "wtx_1"))["status"] == "approved"


async def test_a_duplicate_moves_the_money_twice_under_one_reference(wallet: Caller) -> None:
    await break_next(wallet, "duplicate")
    await wallet.move("debit", "wtx_1", "600")
    assert (await wallet.desk("GET", "/cashier/balance?player_id=p-1&asset=EUR"))["balance"] == "-200"
    booked = [one for one in await wallet.book() if one["reference"] == "wtx_1"]
    assert [(one["copy"], one["change"]) for one in booked] == [(0, "-600"), (1, "-600")]
    assert not await wallet.is_balanced()
    period = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "limit": 10, "cursor": None}
    _, page = await wallet.ask("/statement", period)
    assert [one["reference"] for one in page["movements"]] == ["wtx_1", "wtx_1"]


async def test_a_forgotten_movement_was_approved_and_is_not_there(wallet: Caller) -> None:
    await break_next(wallet, "forget")
    assert (await wallet.move("debit", "wtx_1"))["balance"] == "900"
    assert (await wallet.status("wtx_1"))["status"] == "not_found"
    assert await wallet.balance() == 1_000
    assert await wallet.is_balanced()
    assert not (await wallet.move("debit", "wtx_1"))["repeat"]


async def test_faults_of_movements_concern_items_and_those_of_transport_the_batch(wallet: Caller) -> None:
    await break_next(wallet, "unavailable")
    await break_next(wallet, "wrong_amount")
    first, second, third = await wallet.batch(*(item("debit", f"wtx_{number}") for number in range(3)))
    assert (first["status"], first["code"], first["applied"]) == ("error", "unavailable", "no")
    assert (second["amount"], third["amount"]) == ("101", "100")
    await break_next(wallet, "commit_then_drop")
    with pytest.raises(LOST):
        await wallet.batch(item("debit", "wtx_3"), item("debit", "wtx_4"))
    assert await wallet.balance() == 600
    assert (await wallet.control())["done"]["commit_then_drop:batch"] == 1


async def test_an_own_latency_is_spent_before_every_decision(wallet: Caller, wait_until: Wait) -> None:
    await wallet.control(latency_ms=60_000)
    waiting = asyncio.create_task(wallet.move("debit", "wtx_1"))
    await wait_until(lambda: _count_movements(wallet, 1))
    assert not waiting.done()
    waiting.cancel()
    await wallet.control(latency_ms=1)
    assert (await wallet.move("debit", "wtx_2"))["balance"] == "900"


async def _count_movements(wallet: Caller, expected: int) -> bool:
    return len(await wallet.book()) == expected


async def test_a_wrong_clock_refuses_signatures_and_dates_its_records_wrongly(wallet: Caller) -> None:
    await wallet.control(clock_skew_s=-20)
    await wallet.move("debit", "wtx_1")
    newest = await wallet.book()
    assert newest[0]["recorded_at"] > newest[1]["recorded_at"]
    await wallet.control(clock_skew_s=60)
    status, answer = await wallet.ask("/debit", movement("wtx_2"))
    assert (status, answer["detail"]) == (401, "stale")
    assert (await wallet.ask("/debit", movement("wtx_2"), ago_s=-60))[0] == 200


async def test_a_wallet_that_is_down_closes_every_connection_but_its_operator_s(wallet: Caller) -> None:
    await wallet.control(is_down=True)
    for path in ("/debit", "/status", "/balance", "/nothing"):
        with pytest.raises(LOST):
            await wallet.ask(path, {})
    assert (await wallet.control())["is_down"]
    await wallet.control(is_down=False)
    assert await wallet.balance() == 1_000


async def test_a_fault_can_be_for_some_operations_only(wallet: Caller) -> None:
    await wallet.control(faults={"unavailable": {"percent": 100, "operations": ["credit", "balance"]}})
    assert (await wallet.move("debit", "wtx_1"))["status"] == "approved"
    assert (await wallet.ask("/credit", movement("wtx_2", operation="credit")))[0] == 503
    assert (await wallet.ask("/balance", {"player_id": "p-1", "asset": "EUR"}))[0] == 503
    await wallet.control(reset=True)
    assert (await wallet.move("credit", "wtx_2"))["status"] == "approved"


@pytest.mark.parametrize("fault", HONEST)
async def test_books_stay_right_under_every_honest_fault(wallet: Caller, fault: str) -> None:
    await wallet.control(
        faults={fault: {"percent": 40, "operations": ["debit", "credit", "rollback"]}}, late_ms=1
    )

    async def move(number: int) -> None:
        operation, target = [("debit", {}), ("credit", {}), ("rollback", {"target": f"wtx_{number - 2}"})][
            number % 3
        ]
        body = movement(f"wtx_{number}", "3", operation, **target)
        for _ in range(3):
            try:
                async with wallet.http.post(
                    wallet.address + f"/{operation}", **_signed(operation, body)
                ) as reply:
                    await reply.read()
            except LOST:
                continue

    await asyncio.gather(*(move(number) for number in range(60)))
    done = (await wallet.control(reset=True))["done"]
    assert sum(done.values()) > 10
    assert await wallet.is_balanced()
    changes = Counter(one["reference"] for one in await wallet.book() if one["change"] != "0")
    assert max(changes.values()) == 1
    listed = {one["reference"]: one for one in await wallet.book() if one["status"] != "tombstone"}
    for number in range(60):
        told = (await wallet.status(f"wtx_{number}"))["status"]
        assert told == listed.get(f"wtx_{number}", {"status": "not_found"})["status"]


def _signed(operation: str, document: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(document).encode()
    return {"data": body, "headers": JSON | {"Authorization": sign(f"/{operation}", body)}}


def test_the_page_tells_every_fault_and_whether_it_is_honest() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/reference-wallet.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z_0-9`, ]+) \| (yes|no) \|", page, re.MULTILINE)
    told = {name: honest == "yes" for names, honest in rows for name in re.findall(r"[a-z_0-9]+", names)}
    assert told == {name: fault.is_honest for name, fault in FAULTS.items()}


def test_the_same_seed_draws_the_same_faults() -> None:
    drawn = []
    for _ in range(2):
        switches = Switches(seed="1")
        switches.apply(ControlOrder(faults={"drop": 30, "late": Dose(percent=30)}))
        drawn.append([switches.draw("debit", frozenset({"transport"})) for _ in range(200)])
    assert drawn[0] == drawn[1]
    counts = Counter(None if one is None else one.name for one in drawn[0])
    assert set(counts) == {None, "drop", "late"}
    assert all(30 < count < 110 for count in counts.values())


@pytest.mark.parametrize(
    "faults",
    [
        {"nonsense": 1},
        {"drop": 101},
        {"drop": -1},
        {"drop": 60, "late": 50},
        {"forget": Dose(percent=1, operations=("status",))},
    ],
)
def test_impossible_switches_change_nothing(faults: dict[str, Dose | int]) -> None:
    switches = Switches()
    switches.apply(ControlOrder(faults={"drop": 5}))
    with pytest.raises(Trouble):
        switches.apply(ControlOrder(faults=faults, is_down=True, reset=True))
    assert switches.render()["faults"]["drop"]["percent"] == 5
    assert not switches.is_down


async def test_the_process_serves_ends_and_goes_on_where_it_was_killed(
    empty_database_url: str,
) -> None:
    secret = {"WALLET_TEST_KEY": KEY.secret.decode()}
    order = WalletStart(database_url=empty_database_url, secret="env:WALLET_TEST_KEY", environment=secret)
    async with wallet_process(order) as running:
        await running.deposit("p-1", "EUR", 500, "c-1")
        async with aiohttp.ClientSession() as http:
            assert (await Caller(running.url, http).move("debit", "wtx_1"))["balance"] == "400"
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()
    async with wallet_process(order) as running:
        assert (await running.deposit("p-1", "EUR", 500, "c-1"))["repeat"]
        assert await running.balance("p-1", "EUR") == 400
        assert (await running.withdraw("p-1", "EUR", 500, "c-2"))["status"] == "refused"
        await running.block("p-1")
        assert (await running.control(faults={"late": 1}))["faults"]["late"]["percent"] == 1
        assert (await running.totals())["EUR"]["is_balanced"]
        assert [one["reference"] for one in await running.book()] == ["c-1", "wtx_1", "c-2"]
        with pytest.raises(WalletProcessFailed):
            await running.balance("p-9", "EUR")
        assert running.process.stdin is not None
        running.process.stdin.close()
        await asyncio.wait_for(running.process.wait(), 20)
        assert running.process.returncode == 0


async def test_a_process_that_cannot_start_says_why(empty_database_url: str) -> None:
    order = WalletStart(database_url=empty_database_url, secret="env:CROUPIER_NO_SUCH_VARIABLE")
    assert "CROUPIER_NO_SUCH_VARIABLE" not in os.environ
    with pytest.raises(WalletProcessFailed, match="did not start"):
        async with wallet_process(order):
            pass
