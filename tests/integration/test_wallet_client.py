"""The client against a wallet that breaks every rule: four answers, and approved only when it is sure."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rogue_wallet import (
    KEY,
    Behave,
    RogueWallet,
    answer,
    approve,
    behave_well,
    change,
    hang_up,
    hold,
    is_signed,
    open_wallet,
    render,
    rewrite,
    say,
    with_body,
    zipped,
)

from croupier.ids import IdSource
from croupier.operator.wallet.client import LIST_BYTES, REPLY_BYTES, WalletClient, WalletSettings
from croupier.operator.wallet.sender import CallRecord, RemoteWallet, StatementUnreadable
from croupier.providers.breakers.desk import Breakers
from croupier.providers.breakers.machine import BreakerSettings
from croupier.providers.retries import RetrySettings
from croupier.wallet.port import (
    Approved,
    Balance,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
    Word,
)
from unit.wallet_orders import CREDIT, DEBIT, EACH, error, order, refused

YES = Approved(amount=250, balance=9750, wallet_reference="w-81")
FREE = RetrySettings(budget_percent=100, first_pause_s=0.01)
"""Every call earns a whole retry."""
NONE = RetrySettings(budget_percent=0)


class Watched:
    """What is told of requests, kept."""

    def __init__(self) -> None:
        self.under_way = 0
        self.records: list[CallRecord] = []

    def begin_request(self) -> None:
        self.under_way += 1

    def end_request(self, record: CallRecord) -> None:
        self.under_way -= 1
        self.records.append(record)

    def note_budget(self, percent: int) -> None:
        assert 0 <= percent <= 100


Make = Callable[..., RemoteWallet]


@pytest.fixture
async def wallet() -> AsyncIterator[RogueWallet]:
    async with open_wallet() as opened:
        yield opened


def now() -> datetime:
    return datetime.now(UTC)


def never_open() -> Breakers:
    """Breakers that stay closed: nobody looks."""
    return Breakers(None, BreakerSettings(), IdSource(), now)


@pytest.fixture
async def make(wallet: RogueWallet) -> AsyncIterator[Make]:
    made: list[RemoteWallet] = []

    def build(watch: Watched | None = None, **changes: Any) -> RemoteWallet:
        members: dict[str, Any] = {"url": wallet.address, "key": KEY, "retries": NONE} | changes
        settings = WalletSettings(**members)
        made.append(RemoteWallet(WalletClient(settings, now), never_open(), settings, now, watch))
        return made[-1]

    yield build
    for one in made:
        await one.close()


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (the wallet is a server with nothing to wait on)
            await asyncio.sleep(0.001)


# Fault, the word of a movement whose answer it is.
LOST: dict[str, tuple[Behave, str]] = {
    "closes before it answers": (hang_up(), "reset"),
    "closes in the head": (hang_up(b"HTTP/1.1 200 OK\r\nContent-"), "reset"),
    "closes in the body": (rewrite(lambda whole: whole[:-20]), "reset"),
    "speaks no HTTP": (hang_up(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not_http"),
    "speaks of a length that is none": (hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "not_http"),
    "sends a head without end": (
        hang_up(b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 70_000 + b"\r\n\r\n"),
        "not_http",
    ),
    "sends heads without number": (
        hang_up(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n"),
        "not_http",
    ),
    "redirects": (answer(307, b"", "Location: /elsewhere"), "redirected"),
    "moves for ever": (answer(301, b"", "Location: http://127.0.0.1:1/"), "redirected"),
    "compresses": (zipped(), "compressed"),
    "says it is a page": (
        rewrite(lambda whole: whole.replace(b"application/json", b"text/html", 1)),
        "content_type",
    ),
    "says nothing of what it is": (
        rewrite(lambda whole: whole.replace(b"Content-Type: application/json\r\n", b"", 1)),
        "content_type",
    ),
    "says no content": (say(b"HTTP/1.1 204 No Content\r\n\r\n"), "status_204"),
    "says accepted": (rewrite(lambda whole: whole.replace(b"200", b"202", 1)), "status_202"),
    "answers with a page": (with_body(lambda body: b"<html>ok</html>"), "malformed"),
    "answers with half of it": (with_body(lambda body: body[: len(body) // 2]), "malformed"),
    "answers with nothing": (with_body(lambda body: b""), "malformed"),
    "answers twice in one": (with_body(lambda body: body + body), "malformed"),
    "repeats a member": (
        with_body(lambda body: body.replace(b'"code": "ok"', b'"code": "ok", "code": "ok"')),
        "malformed",
    ),
    "says infinity": (with_body(lambda body: body.replace(b'"9750"', b"Infinity")), "malformed"),
    "says a number": (with_body(lambda body: body.replace(b'"250"', b"250")), "malformed"),
    "says another reference": (change(reference="wtx_other"), "other_reference"),
    "says another player": (change(player_id="p-other"), "other_player"),
    "says another asset": (change(asset="USD"), "other_asset"),
    "says another operation": (change(operation="transfer"), "other_operation"),
    "says more": (change(amount="251"), "other_amount"),
    "says a fraction": (change(amount="250.0"), "malformed"),
    "says a balance that is a number": (change(balance=9750), "malformed"),
    "says what nobody knows": (change(status="pending"), "other_status"),
    "says another code": (change(code="fine"), "other_code"),
    "fails": (answer(500, b"Internal Server Error", media_type="text/plain"), "status_500"),
    "fails in form": (answer(500, error("internal", "unknown")), "internal"),
    "is decided": (answer(409, error("in_flight", "unknown")), "in_flight"),
    "is a gateway's": (answer(502, b"<html>Bad Gateway</html>", media_type="text/html"), "status_502"),
    "is away and does not know": (answer(503, error("unavailable", "unknown")), "unavailable"),
    "is away out of form": (answer(503, {"code": "unavailable"}), "status_503"),
}
FAULTS = pytest.mark.parametrize(("behave", "reason"), LOST.values(), ids=LOST)
EVERY = pytest.mark.parametrize("asked", EACH, ids=lambda asked: asked.operation.value)


def path_of(asked: WalletOrder) -> str:
    return f"/{asked.operation.value}"


@EVERY
@FAULTS
async def test_what_is_no_answer_to_a_movement_is_unknown(
    wallet: RogueWallet, make: Make, asked: WalletOrder, behave: Behave, reason: str
) -> None:
    remote = make()
    wallet.then(path_of(asked), behave)
    assert await remote.move(asked, ends_at_s=soon()) == Unknown(reason)
    assert wallet.paths() == [path_of(asked)]
    # What was wrong with one is not wrong with the next.
    assert await remote.move(asked, ends_at_s=soon()) == YES


@FAULTS
async def test_what_is_no_answer_to_a_status_leaves_it_unknown(
    wallet: RogueWallet, make: Make, behave: Behave, reason: str
) -> None:
    remote = make()
    wallet.then("/status", behave)
    assert await remote.ask_status(DEBIT, ends_at_s=soon()) == Unknown(reason)
    assert wallet.paths() == ["/status"]


# What a balance does not say cannot be wrong in it.
UNSAID = {
    "says another reference",
    "says another operation",
    "says more",
    "says a fraction",
    "says another code",
}
UNSAID |= {"repeats a member", "says a number"}


@pytest.mark.parametrize(
    ("behave", "reason"),
    [pytest.param(*one, id=name) for name, one in LOST.items() if name not in UNSAID],
)
async def test_what_is_no_answer_to_a_balance_is_unknown(
    wallet: RogueWallet, make: Make, behave: Behave, reason: str
) -> None:
    remote = make()
    wallet.then("/balance", behave)
    assert await balance(remote) == Unknown(reason)
    assert await balance(remote) == Balance(9750)


@FAULTS
async def test_what_is_no_answer_to_a_batch_is_unknown_for_each(
    wallet: RogueWallet, make: Make, behave: Behave, reason: str
) -> None:
    wallet.then("/batch", behave)
    words = await batch_of(wallet, make(batch=8, connections=1), 3)
    assert words == [Unknown(reason)] * 3
    assert wallet.paths() == ["/debit", "/batch"]


@pytest.mark.parametrize(
    ("status", "code", "calls"),
    [
        (400, "malformed", 1),
        (401, "unauthenticated", 1),
        (404, "unknown_path", 1),
        (409, "reference_conflict", 1),
        (413, "body_too_large", 1),
        (415, "unsupported_media_type", 1),
        (422, "amount_not_representable", 1),
        (429, "overloaded", 2),
        (503, "unavailable", 2),
    ],
)
@EVERY
async def test_certainly_not_applied_is_sent_again_only_where_it_may_pass(
    wallet: RogueWallet, make: Make, asked: WalletOrder, status: int, code: str, calls: int
) -> None:
    wallet.always[path_of(asked)] = answer(status, error(code, "no"))
    assert await make(retries=FREE).move(asked, ends_at_s=soon()) == NotApplied(code)
    assert wallet.paths() == [path_of(asked)] * calls


@EVERY
async def test_what_passes_the_second_time_is_approved_under_the_same_reference_signed_anew(
    wallet: RogueWallet, make: Make, asked: WalletOrder
) -> None:
    wallet.then(path_of(asked), answer(503, error("unavailable", "no")))
    assert await make(retries=FREE).move(asked, ends_at_s=soon()) == YES
    first, second = wallet.asked
    assert first.raw == second.raw
    assert first.head["authorization"] != second.head["authorization"]


@pytest.mark.parametrize("wait", ["60", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_a_wallet_that_asks_for_longer_than_there_is_gets_no_second_call(
    wallet: RogueWallet, make: Make, wait: str
) -> None:
    wallet.always["/debit"] = answer(503, error("unavailable", "no"), f"Retry-After: {wait}")
    assert await make(retries=FREE).move(DEBIT, ends_at_s=soon()) == NotApplied("unavailable")
    assert len(wallet.asked) == 1


async def test_without_a_budget_nothing_is_sent_twice_and_no_status_is_asked(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make(retries=NONE)
    wallet.then("/debit", answer(503, error("unavailable", "no")), hang_up())
    assert await remote.move(DEBIT, ends_at_s=soon()) == NotApplied("unavailable")
    assert await remote.move(DEBIT, ends_at_s=soon()) == Unknown("reset")
    assert wallet.paths() == ["/debit", "/debit"]


async def test_the_budget_is_earned_by_calls_and_spent_by_what_follows_them(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make(retries=RetrySettings(budget_percent=10, first_pause_s=0.001))
    wallet.always["/debit"] = answer(503, error("unavailable", "no"))
    for _ in range(40):
        await remote.move(DEBIT, ends_at_s=soon())
    assert len(wallet.asked) == 44


async def test_an_unknown_outcome_is_settled_by_its_status_at_once(wallet: RogueWallet, make: Make) -> None:
    for said, word in (
        (
            approve(json.loads('{"reference":"wtx_1","player_id":"p-1","asset":"EUR"}'), operation="debit"),
            YES,
        ),
        (refused(DEBIT, operation="debit"), Refused(code="insufficient_funds", balance=120)),
    ):
        wallet.asked.clear()
        wallet.then("/debit", hang_up())
        wallet.then("/status", answer(200, said))
        assert await make(retries=FREE).move(DEBIT, ends_at_s=soon()) == word
        assert wallet.paths() == ["/debit", "/status"]


def eager(**changes: Any) -> RetrySettings:
    """Two retries for each call: for a status and for what follows it."""
    return RetrySettings(**({"budget_percent": 200, "first_pause_s": 0.001} | changes))


async def test_what_the_wallet_never_heard_of_is_sent_once_more(wallet: RogueWallet, make: Make) -> None:
    wallet.then("/debit", hang_up())
    assert await make(retries=eager()).move(DEBIT, ends_at_s=soon()) == YES
    assert wallet.paths() == ["/debit", "/status", "/debit"]
    assert wallet.asked[0].raw == wallet.asked[2].raw


async def test_what_is_sent_once_more_is_not_sent_for_ever(wallet: RogueWallet, make: Make) -> None:
    wallet.always["/debit"] = hang_up()
    remote = make(retries=eager(budget_percent=10_000, saved=1000))
    assert await remote.move(DEBIT, ends_at_s=soon()) == Unknown("reset")
    assert wallet.paths() == ["/debit", "/status", "/debit", "/status"]


async def test_an_attempt_that_was_not_taken_clears_up_nothing_of_the_one_before(
    wallet: RogueWallet, make: Make
) -> None:
    wallet.then("/debit", hang_up(), answer(503, error("unavailable", "no")))
    assert await make(retries=eager()).move(DEBIT, ends_at_s=soon()) == Unknown("unavailable")
    assert wallet.paths() == ["/debit", "/status", "/debit"]


@pytest.mark.parametrize("status", [answer(503, error("unavailable", "no")), hang_up(), change(amount="1")])
async def test_a_status_that_says_nothing_leaves_the_first_word(
    wallet: RogueWallet, make: Make, status: Behave
) -> None:
    wallet.then("/debit", answer(500, b"oh"))
    wallet.then("/status", status)
    assert await make(retries=eager()).move(DEBIT, ends_at_s=soon()) == Unknown("status_500")
    assert wallet.paths() == ["/debit", "/status"]


async def test_where_one_attempt_is_all_nothing_is_sent_again(wallet: RogueWallet, make: Make) -> None:
    remote = make(retries=eager(attempts=1))
    wallet.then("/debit", answer(503, error("unavailable", "no")), hang_up())
    assert await remote.move(DEBIT, ends_at_s=soon()) == NotApplied("unavailable")
    assert await remote.move(DEBIT, ends_at_s=soon()) == Unknown("reset")
    assert wallet.paths() == ["/debit", "/debit", "/status"]


async def test_silence_ends_with_the_callers_deadline_or_with_the_wallets(
    wallet: RogueWallet, make: Make
) -> None:
    wallet.always["/debit"] = hold
    began = time.monotonic()
    assert await make().move(DEBIT, ends_at_s=soon(1)) == Unknown("timeout")
    assert await make(timeout_s=1).move(DEBIT, ends_at_s=soon(60)) == Unknown("timeout")
    assert 1.8 <= time.monotonic() - began < 20


async def test_no_retry_begins_after_the_callers_deadline(wallet: RogueWallet, make: Make) -> None:
    wallet.always["/debit"] = hold
    assert await make(retries=eager()).move(DEBIT, ends_at_s=soon(0.1)) == Unknown("timeout")
    assert wallet.paths() == ["/debit"]


async def test_a_deadline_that_is_over_sends_nothing(wallet: RogueWallet, make: Make) -> None:
    assert isinstance(await make().move(DEBIT, ends_at_s=soon(-1)), NotApplied)
    assert wallet.asked == []


async def test_nobody_there_is_not_applied(make: Make) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        remote = make(url=f"http://127.0.0.1:{unused.getsockname()[1]}", retries=FREE)
        assert await remote.move(DEBIT, ends_at_s=soon()) == NotApplied("unreachable")
        assert await remote.ask_status(DEBIT, ends_at_s=soon()) == Unknown("unreachable")
        assert await balance(remote) == Unknown("unreachable")


async def test_a_host_that_never_takes_the_connection_is_not_applied(make: Make) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(address)
        remote = make(url=f"http://127.0.0.1:{address[1]}", timeout_s=0.2)
        assert await remote.move(DEBIT, ends_at_s=soon()) == NotApplied("unreachable")
        for caller in callers:
            caller.close()


@pytest.mark.parametrize(
    ("path", "bound"), [("/debit", REPLY_BYTES), ("/status", REPLY_BYTES), ("/batch", LIST_BYTES)]
)
async def test_an_answer_is_read_up_to_its_bound(
    wallet: RogueWallet, make: Make, path: str, bound: int
) -> None:
    wallet.then(path, with_body(lambda body: body + b" " * (bound + 1 - len(body))))
    if path == "/batch":
        words: list[Word] = await batch_of(wallet, make(batch=8, connections=1), 2)
        assert words == [Unknown("too_long")] * 2
    elif path == "/status":
        assert await make().ask_status(DEBIT, ends_at_s=soon()) == Unknown("too_long")
    else:
        assert await make().move(DEBIT, ends_at_s=soon()) == Unknown("too_long")
        wallet.then(path, with_body(lambda body: body + b" " * (bound - len(body))))
        assert await make().move(DEBIT, ends_at_s=soon()) == YES


async def test_every_request_is_signed_over_its_path_and_body_and_names_the_call(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make(url=f"{wallet.address}/casino%20one/")
    for asked in EACH:
        assert await remote.move(asked, ends_at_s=soon()) == YES
    await remote.ask_status(DEBIT, ends_at_s=soon())
    await balance(remote)
    for seen in wallet.asked:
        assert is_signed(seen, f"/casino%20one{seen.path}", int(now().timestamp()))
        assert seen.head["content-type"] == "application/json"
        assert seen.head["accept-encoding"] == "identity"
        assert seen.head["x-correlation-id"] == "cor-1"
        assert "cookie" not in seen.head
    assert len({seen.head["authorization"] for seen in wallet.asked}) == len(wallet.asked)


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "é", "", "a\0b"])
async def test_a_correlation_id_that_fits_in_no_header_keeps_nothing_from_being_sent(
    wallet: RogueWallet, make: Make, name: str
) -> None:
    assert await make().move(order(correlation_id=name), ends_at_s=soon()) == YES
    assert "x-evil" not in wallet.asked[0].head


async def test_what_is_compressed_is_never_unpacked(wallet: RogueWallet, make: Make) -> None:
    def swell(body: bytes) -> bytes:
        return gzip.compress(body + b" " * (40 * 1024**2))

    wallet.then("/debit", with_body(swell, "Content-Encoding: gzip"))
    # Unpacked it would be too long.
    assert await make().move(DEBIT, ends_at_s=soon()) == Unknown("compressed")


async def test_cookies_are_not_kept(wallet: RogueWallet, make: Make) -> None:
    remote = make()
    wallet.then("/balance", with_body(lambda body: body, "Set-Cookie: a=b"))
    await balance(remote)
    await balance(remote)
    assert all("cookie" not in seen.head for seen in wallet.asked)


async def balance(remote: RemoteWallet) -> Balance | Refused | Unknown:
    return await remote.load_balance("p-1", "EUR", correlation_id="cor-1", ends_at_s=soon())


async def test_connections_are_kept_and_used_again(wallet: RogueWallet, make: Make) -> None:
    remote = make(connections=4)
    for _ in range(20):
        assert await remote.move(DEBIT, ends_at_s=soon()) == YES
    assert wallet.opened == 1


async def test_a_connection_that_the_wallet_closed_meanwhile_is_not_used_again(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make()
    wallet.then("/debit", with_body(lambda body: body))
    assert await remote.move(DEBIT, ends_at_s=soon()) == YES
    await until(lambda: wallet.closed == 1)
    await pass_by(make)
    assert await remote.move(DEBIT, ends_at_s=soon()) == YES


async def pass_by(make: Make) -> None:
    """What is on its way over the loopback arrives while another wallet is asked."""
    async with open_wallet() as other:
        assert await make(url=other.address).move(DEBIT, ends_at_s=soon()) == YES


def stray_after(**members: Any) -> Behave:
    """What is right, and in the same breath another answer that nobody has asked for."""

    async def behave(wallet: RogueWallet, asked: Any, writer: asyncio.StreamWriter) -> None:
        stray = render(200, json.dumps(approve(asked.body, **members)).encode())
        writer.write(render(200, json.dumps(approve(asked.body)).encode()) + stray)

    return behave


def stray_later(body: dict[str, Any], status: int = 200) -> Behave:
    """What is right, and a while later, when nothing is asked, another answer."""

    async def behave(wallet: RogueWallet, asked: Any, writer: asyncio.StreamWriter) -> None:
        await behave_well(wallet, asked, writer)

        async def talk() -> None:
            await wallet.released.wait()
            writer.write(render(status, json.dumps(body).encode()))
            await writer.drain()

        wallet.talking = asyncio.create_task(talk())

    return behave


async def test_an_answer_too_many_ends_the_connection(wallet: RogueWallet, make: Make) -> None:
    remote = make()
    wallet.then("/debit", stray_after(reference="wtx_2", player_id="p-2", balance="1"))
    assert await remote.move(DEBIT, ends_at_s=soon()) == YES
    assert await remote.move(order(reference="wtx_2", player_id="p-2"), ends_at_s=soon()) == YES
    assert [seen.connection for seen in wallet.asked] == [1, 2]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (approve({"reference": "wtx_2", "player_id": "p-2", "asset": "EUR"}, balance="1"), 200),
        (error("unavailable", "no"), 503),
    ],
)
async def test_an_answer_while_nothing_is_asked_ends_the_connection(
    wallet: RogueWallet, make: Make, body: dict[str, Any], status: int
) -> None:
    remote = make()
    wallet.then("/debit", stray_later(body, status))
    assert await remote.move(DEBIT, ends_at_s=soon()) == YES
    wallet.released.set()
    assert wallet.talking is not None
    await wallet.talking
    await pass_by(make)
    assert await remote.move(order(reference="wtx_2", player_id="p-2"), ends_at_s=soon()) == YES
    assert [seen.connection for seen in wallet.asked] == [1, 2]


async def test_an_answer_to_another_call_is_found_by_its_reference_and_ends_the_connection(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make(connections=1)
    wallet.then("/debit", behave_well, change(reference="wtx_1", player_id="p-1"))
    assert await remote.move(DEBIT, ends_at_s=soon()) == YES
    stray = await remote.move(order(reference="wtx_2", player_id="p-2"), ends_at_s=soon())
    assert stray == Unknown("other_reference")
    assert await remote.move(order(reference="wtx_3"), ends_at_s=soon()) == YES
    assert [seen.connection for seen in wallet.asked] == [1, 1, 2]


async def test_a_call_that_is_given_up_leaves_its_answer_to_nobody(wallet: RogueWallet, make: Make) -> None:
    remote = make(connections=1)
    wallet.then("/debit", hold)
    assert await remote.move(DEBIT, ends_at_s=soon(0.1)) == Unknown("timeout")
    wallet.released.set()
    assert await remote.move(order(reference="wtx_2", player_id="p-2"), ends_at_s=soon()) == YES
    assert [seen.connection for seen in wallet.asked] == [1, 2]


async def test_a_caller_that_goes_gives_its_connection_back(wallet: RogueWallet, make: Make) -> None:
    watch = Watched()
    remote = make(watch, connections=1)
    wallet.then("/debit", hold)
    going = asyncio.create_task(remote.move(DEBIT, ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    waiting = asyncio.create_task(remote.move(order(player_id="p-2"), ends_at_s=soon()))
    await asyncio.sleep(0)
    going.cancel()
    assert await waiting == YES
    assert watch.under_way == 0
    assert {record.outcome for record in watch.records} == {"given_up", "approved"}
    assert await remote.move(DEBIT, ends_at_s=soon()) == YES


async def test_no_more_requests_than_connections_are_under_way_and_the_rest_waits_in_order(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make(connections=3)
    wallet.always["/debit"] = hold
    orders = [order(reference=f"wtx_{n}", player_id=f"p-{n}") for n in range(12)]
    calls = asyncio.gather(*(remote.move(one, ends_at_s=soon()) for one in orders))
    await until(lambda: wallet.in_flight == 3)
    wallet.released.set()
    assert await calls == [YES] * 12
    assert (wallet.most_in_flight, wallet.opened) == (3, 3)
    seen = [one.body["reference"] for one in wallet.asked]
    assert [int(name.removeprefix("wtx_")) for name in seen[3:]] == pytest.approx(range(3, 12), abs=2)


async def test_more_than_may_wait_is_not_applied_at_once(wallet: RogueWallet, make: Make) -> None:
    remote = make(connections=1, queue=2)
    wallet.always["/debit"] = hold
    calls = [asyncio.create_task(remote.move(order(player_id=f"p-{n}"), ends_at_s=soon())) for n in range(5)]
    await until(lambda: sum(call.done() for call in calls) == 2)
    assert [call.result() for call in calls[3:]] == [NotApplied("too_many_waiting")] * 2
    wallet.released.set()
    assert await asyncio.gather(*calls[:3]) == [YES] * 3


async def test_waiting_for_a_connection_counts_against_the_deadline(wallet: RogueWallet, make: Make) -> None:
    remote = make(connections=1)
    wallet.then("/debit", hold)
    first = asyncio.create_task(remote.move(DEBIT, ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    late = await remote.move(order(player_id="p-2"), ends_at_s=soon(0.1))
    assert late == NotApplied("no_connection_in_time")
    assert await remote.ask_status(order(player_id="p-3"), ends_at_s=soon(0.1)) == Unknown(
        "no_connection_in_time"
    )
    wallet.released.set()
    assert await first == YES
    assert len(wallet.asked) == 1


async def batch_of(wallet: RogueWallet, remote: RemoteWallet, count: int, seconds: float = 5) -> list[Word]:
    """So many movements that wait while the only connection is busy, and what came of each."""
    wallet.then("/debit", hold)
    first = asyncio.create_task(remote.move(order(reference="wtx_first", player_id="p-0"), ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    orders = [order(reference=f"wtx_{n}", player_id=f"p-{n}") for n in range(1, count + 1)]
    calls = [asyncio.create_task(remote.move(one, ends_at_s=soon(seconds))) for one in orders]
    await asyncio.sleep(0)
    wallet.released.set()
    assert await first == YES
    return list(await asyncio.gather(*calls))


async def test_movements_that_wait_travel_together(wallet: RogueWallet, make: Make) -> None:
    watch = Watched()
    remote = make(watch, batch=4, connections=1)
    assert await batch_of(wallet, remote, 9) == [YES] * 9
    assert wallet.paths() == ["/debit", "/batch", "/batch", "/debit"]
    carried = [[item["reference"] for item in seen.body["items"]] for seen in wallet.asked[1:3]]
    assert carried == [[f"wtx_{n}" for n in range(1, 5)], [f"wtx_{n}" for n in range(5, 9)]]
    assert [record.movements for record in watch.records] == [1, 4, 4, 1]
    for seen in wallet.asked:
        assert is_signed(seen, seen.path, int(now().timestamp()))


async def test_one_that_waits_alone_travels_alone(wallet: RogueWallet, make: Make) -> None:
    assert await batch_of(wallet, make(batch=8, connections=1), 1) == [YES]
    assert wallet.paths() == ["/debit", "/debit"]


async def test_a_wallet_without_the_batch_form_is_never_asked_by_it(wallet: RogueWallet, make: Make) -> None:
    assert await batch_of(wallet, make(connections=1), 4) == [YES] * 4
    assert wallet.paths() == ["/debit"] * 5


async def test_results_are_told_by_place_and_by_reference(wallet: RogueWallet, make: Make) -> None:
    async def swap(wallet: RogueWallet, asked: Any, writer: asyncio.StreamWriter) -> None:
        said = [approve(item) for item in asked.body["items"]]
        said[0], said[1] = said[1], said[0]
        writer.write(render(200, json.dumps({"results": said}).encode()))

    wallet.then("/batch", swap)
    words = await batch_of(wallet, make(batch=8, connections=1), 3)
    assert words == [Unknown("other_reference"), Unknown("other_reference"), YES]


async def test_each_movement_of_a_lost_batch_is_settled_by_its_own_status(
    wallet: RogueWallet, make: Make
) -> None:
    async def tell(wallet: RogueWallet, asked: Any, writer: asyncio.StreamWriter) -> None:
        said = approve(asked.body, operation="debit")
        if asked.body["reference"] == "wtx_2":
            said = refused(order(reference="wtx_2", player_id="p-2"), operation="debit")
        writer.write(render(200, json.dumps(said).encode()))

    wallet.then("/batch", hang_up())
    wallet.always["/status"] = tell
    words = await batch_of(wallet, make(batch=8, connections=1, retries=FREE), 3)
    assert words == [YES, Refused(code="insufficient_funds", balance=120), YES]
    assert wallet.paths() == ["/debit", "/batch", "/status", "/status", "/status"]


async def test_a_batch_that_was_not_taken_is_sent_again(wallet: RogueWallet, make: Make) -> None:
    wallet.then("/batch", answer(503, error("unavailable", "no")))
    assert await batch_of(wallet, make(batch=8, connections=1, retries=FREE), 3) == [YES] * 3
    assert {one.body["reference"] for one in wallet.asked if one.path == "/debit"} <= {
        "wtx_first", "wtx_1", "wtx_2", "wtx_3",
    }  # fmt: skip


async def test_whoever_cannot_wait_for_a_batch_does_not_know_and_the_others_do(
    wallet: RogueWallet, make: Make
) -> None:
    gate = asyncio.Event()

    async def late(wallet: RogueWallet, asked: Any, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await behave_well(wallet, asked, writer)

    wallet.then("/debit", hold)
    wallet.then("/batch", late)
    remote = make(batch=8, connections=1)
    first = asyncio.create_task(remote.move(order(player_id="p-0"), ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    orders = [order(reference=f"wtx_{n}", player_id=f"p-{n}") for n in range(1, 4)]
    hurried = asyncio.create_task(remote.move(orders[0], ends_at_s=soon(0.3)))
    gone = asyncio.create_task(remote.move(orders[1], ends_at_s=soon()))
    patient = asyncio.create_task(remote.move(orders[2], ends_at_s=soon()))
    await asyncio.sleep(0)
    wallet.released.set()
    assert await first == YES
    await until(lambda: "/batch" in wallet.paths())
    gone.cancel()
    assert await hurried == Unknown("timeout")
    gate.set()
    assert await patient == YES
    assert len(wallet.asked[1].body["items"]) == 3


async def test_a_batch_stays_below_what_a_wallet_need_not_take(wallet: RogueWallet, make: Make) -> None:
    remote = make(batch=256, connections=1)
    wallet.then("/debit", hold)
    first = asyncio.create_task(remote.move(order(player_id="p-0"), ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    orders = [
        order(reference=f"wtx_{n}", player_id=f"p-{n}", provider_reference="x" * 5000) for n in range(1, 101)
    ]
    calls = asyncio.gather(*(remote.move(one, ends_at_s=soon()) for one in orders))
    await asyncio.sleep(0)
    wallet.released.set()
    assert await first == YES
    assert await calls == [YES] * 100
    assert max(len(seen.raw) for seen in wallet.asked) < 256 * 1024
    assert len(wallet.asked) < 10


async def test_one_players_movements_are_not_asked_at_once(wallet: RogueWallet, make: Make) -> None:
    remote = make()
    wallet.then("/debit", hold)
    first = asyncio.create_task(remote.move(DEBIT, ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    assert await remote.move(CREDIT, ends_at_s=soon()) == Unknown("out_of_turn")
    assert wallet.paths() == ["/debit"]
    wallet.released.set()
    assert await first == YES
    assert await remote.move(CREDIT, ends_at_s=soon()) == YES


async def test_what_is_under_way_when_it_closes_is_told_to_its_owners(
    wallet: RogueWallet, make: Make
) -> None:
    remote = make(batch=8, connections=1)
    wallet.then("/debit", hold)
    first = asyncio.create_task(remote.move(order(player_id="p-0"), ends_at_s=soon()))
    await until(lambda: wallet.in_flight == 1)
    wallet.always["/batch"] = say()
    calls = [
        asyncio.create_task(remote.move(order(player_id=f"p-{n}"), ends_at_s=soon())) for n in range(1, 4)
    ]
    await asyncio.sleep(0)
    wallet.released.set()
    await first
    await until(lambda: "/batch" in wallet.paths())
    await remote.close()
    assert await asyncio.gather(*calls) == [Unknown("lost")] * 3


FROM = datetime(2026, 3, 1, tzinfo=UTC)
TO = FROM + timedelta(days=1)


def line(number: int, minute: int, **changes: Any) -> dict[str, Any]:
    return {
        "reference": f"wtx_{number}",
        "operation": "debit",
        "target_reference": None,
        "player_id": "p-1",
        "asset": "EUR",
        "amount": "250",
        "change": "-250",
        "wallet_reference": f"w-{number}",
        "recorded_at": (FROM + timedelta(minutes=minute)).isoformat(),
    } | changes


def page(*lines: dict[str, Any], cursor: str | None = None) -> Behave:
    return answer(200, {"movements": list(lines), "next_cursor": cursor})


async def statement(remote: RemoteWallet) -> list[str]:
    return [one.reference async for page in remote.load_statement(starts_at=FROM, ends_at=TO) for one in page]


async def test_a_statement_comes_page_after_page(wallet: RogueWallet, make: Make) -> None:
    wallet.then("/statement", page(line(1, 0), line(2, 5), cursor="b"), page(line(3, 5), cursor="c"), page())
    assert await statement(make()) == ["wtx_1", "wtx_2", "wtx_3"]
    assert [seen.body["cursor"] for seen in wallet.asked] == [None, "b", "c"]
    assert {seen.body["limit"] for seen in wallet.asked} == {1000}
    assert wallet.asked[0].body["from"] == "2026-03-01T00:00:00Z"
    assert wallet.opened == 3, "a page names nothing of what was asked: no connection has two"


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ([page(line(1, 5), line(2, 4))], "out_of_order"),
        ([page(line(1, 5), cursor="b"), page(line(2, 4))], "out_of_order"),
        ([page(line(1, -1))], "out_of_order"),
        ([page(line(1, 24 * 60))], "out_of_order"),
        ([page(line(1, 5), cursor="b"), page(line(2, 5), cursor="b")], "cursor_stands_still"),
        ([page(cursor="b")], "cursor_stands_still"),
        ([page(line(1, 5, change="250"))], "other_amount"),
        ([page(line(1, 5), cursor="b"), zipped()], "compressed"),
        ([hang_up(), hang_up(), hang_up()], "reset"),
        ([answer(401, error("unauthenticated", "no"))], "unauthenticated"),
        ([with_body(lambda body: b" " * (LIST_BYTES + 1))], "too_long"),
    ],
)
async def test_a_statement_that_cannot_be_had_whole_says_so(
    wallet: RogueWallet, make: Make, pages: list[Behave], reason: str
) -> None:
    wallet.then("/statement", *pages)
    with pytest.raises(StatementUnreadable) as caught:
        await statement(make(retries=RetrySettings(first_pause_s=0.001)))
    assert caught.value.reason == reason


async def test_a_page_that_was_lost_is_asked_for_again(wallet: RogueWallet, make: Make) -> None:
    wallet.then("/statement", page(line(1, 1), cursor="b"), hang_up(), page(line(2, 2)))
    assert await statement(make(retries=RetrySettings(first_pause_s=0.001))) == ["wtx_1", "wtx_2"]
    assert [seen.body["cursor"] for seen in wallet.asked] == [None, "b", "b"]


async def test_requests_are_told_with_what_they_came_to(wallet: RogueWallet, make: Make) -> None:
    watch = Watched()
    remote = make(watch)
    wallet.then(
        "/debit", behave_well, answer(200, refused(DEBIT)), answer(429, error("overloaded", "no")), hang_up()
    )
    for _ in range(4):
        await remote.move(DEBIT, ends_at_s=soon())
    await balance(remote)
    assert [(one.operation, one.outcome, one.movements) for one in watch.records] == [
        ("debit", "approved", 1),
        ("debit", "refused", 1),
        ("debit", "not_applied", 1),
        ("debit", "unknown", 1),
        ("balance", "answered", 0),
    ]
    assert all(0 <= one.duration_s < 5 for one in watch.records)


def test_every_operation_has_a_path() -> None:
    assert {path_of(order(one)) for one in Operation} == {"/debit", "/credit", "/rollback"}
