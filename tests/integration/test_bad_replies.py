"""Whatever a provider answers to a launch or a question, in every protocol: the right class, a word, in time (I9)."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from rogue_provider import (
    ADDRESS_MEMBER,
    QUESTIONS,
    Behave,
    Rogue,
    account_of,
    adapter_of,
    answer,
    bomb,
    hold,
    leading_to,
    open_rogue,
    opened,
    order_of,
    pour,
    say,
)

from croupier.providers.client import ClientLimits, ProviderClient
from croupier.providers.contract import (
    GameList,
    LaunchAnswer,
    Launched,
    LaunchUnknown,
    QuestionAnswer,
    QuestionUnanswered,
    RoundAccount,
)
from croupier.providers.registry import find_adapters

DEADLINE_S = 0.4
SLACK_S = 2.0
"""What a busy machine may add."""
STORM_SLACK_S = 15.0
NOT_UNDERSTOOD = "reply_not_understood"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

EARLY_HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
NO_HTTP = "not_http reset timeout"
"""The connection is closed because of it: either may be seen first by who is still writing, or neither in time."""
TRANSPORT: dict[str, tuple[Behave, str]] = {
    "nothing at all": (say(), "reset"),
    "silence": (hold(), "timeout"),
    "silence after the head": (hold(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), "timeout"),
    "a byte now and then": (pour(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b" ", 0.1), "timeout"),
    "early hints for ever": (pour(b"", EARLY_HINT * 10, 0.01), "timeout"),
    "chunk extensions for ever": (pour(CHUNKED + b"2;a="), NO_HTTP),
    "1 GiB, announced": (pour(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"), "too_large"),
    "a body without end": (pour(b"HTTP/1.1 200 OK\r\n\r\n"), "too_large"),
    "chunks without end": (pour(CHUNKED, b"400\r\n" + b" " * 1024 + b"\r\n"), "too_large"),
    "one chunk of 64 GiB": (pour(CHUNKED + b"1000000000\r\n"), "too_large"),
    "another protocol": (hold(b"SSH-2.0-OpenSSH_9.6\r\n"), NO_HTTP),
    "a page without a head": (say(b"<html>down for maintenance</html>"), NO_HTTP),
    "headers without end": (pour(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 999), NO_HTTP),
    "a header without end": (pour(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 999), NO_HTTP),
    "a status line without end": (pour(b"HTTP/1.1 200 ", b"a" * 999), NO_HTTP),
    "a header with NUL": (hold(b"HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 2\r\n\r\n{}"), NO_HTTP),
    "two lengths": (
        hold(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        NO_HTTP,
    ),
    "a negative length": (hold(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"), NO_HTTP),
    "a length and chunks": (
        hold(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\n{}\r\n0\r\n\r\n"),
        NO_HTTP,
    ),
    "less than announced": (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "reset"),
    "chunks that stop": (say(CHUNKED + b"2\r\n{}\r\n"), "reset"),
    "a chunk of no size": (hold(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), NO_HTTP),
    "a chunk of no size, later": (hold(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"), NO_HTTP),
    "trailers without end": (pour(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n" * 999), NO_HTTP),
}
STATUSES: dict[str, tuple[Behave, str]] = {
    "no content": (say(b"HTTP/1.1 204 No Content\r\n\r\n"), "status_204"),
    "not modified": (say(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "status_304"),
    "another protocol agreed on": (
        hold(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
        "status_101",
    ),
    "a page and 502": (say(answer(502, b"<html>", "Content-Type: text/html")), "status_502"),
    "a status that nobody knows": (say(answer(999, b"{}")), "status_999"),
}
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "HTML": lambda good: answer(200, b"<html><body>Welcome</body></html>", "Content-Type: text/html"),
    "nothing": lambda good: answer(200, b""),
    "half of it": lambda good: answer(200, good[: len(good) // 2]),
    "more than it": lambda good: answer(200, good + b"{}"),
    "null": lambda good: answer(200, b"null"),
    "a list": lambda good: answer(200, b"[7]"),
    "something else": lambda good: answer(200, b'{"balance": 7}'),
    "a member twice": lambda good: answer(200, good[:-1] + b"," + good[1:]),
    "UTF-16": lambda good: answer(200, good.decode().encode("utf-16")),
    "Latin-1": lambda good: answer(200, good.replace(b'"', b'"\xe9', 1)),
    "a NUL": lambda good: answer(200, good[:-1] + b', "x": "\\u0000"}'),
    "a thousand levels": lambda good: answer(200, good[:-1] + b', "x": ' + b"[" * 999 + b"]" * 999 + b"}"),
    "a bomb": lambda good: bomb(),
}
EVERY = pytest.mark.parametrize("adapter", sorted(find_adapters()))


@pytest.fixture
async def client() -> AsyncIterator[ProviderClient]:
    limits = ClientLimits(deadline_s=DEADLINE_S, question_s=DEADLINE_S, list_bytes=512 * 1024)
    made = ProviderClient(lambda: datetime.now(UTC), limits)
    yield made
    await made.close()


async def launch(client: ProviderClient, rogue: Rogue, adapter: str) -> LaunchAnswer:
    account = account_of(adapter, rogue.address)
    return await client.launch(account, adapter_of(adapter), order_of(adapter))


async def ask(client: ProviderClient, rogue: Rogue, adapter: str) -> QuestionAnswer:
    return await client.ask(account_of(adapter, rogue.address), adapter_of(adapter), QUESTIONS[adapter])


def good(adapter: str) -> bytes:
    return json.dumps(opened(adapter)).encode()


@pytest.mark.parametrize("fault", [*TRANSPORT, *STATUSES])
async def test_where_no_usable_reply_came_it_is_unknown_and_unanswered_in_every_protocol_and_in_time(
    client: ProviderClient, fault: str
) -> None:
    behave, words = (TRANSPORT | STATUSES)[fault]
    launches, questions = sorted(find_adapters()), sorted(QUESTIONS)
    async with open_rogue(behave) as rogue:
        started = time.monotonic()
        told = await asyncio.gather(
            *(launch(client, rogue, adapter) for adapter in launches),
            *(ask(client, rogue, adapter) for adapter in questions),
        )
        assert time.monotonic() - started < DEADLINE_S + SLACK_S
        calls = len(rogue.heads)
    assert {(type(one), one.reason in words.split()) for one in told[: len(launches)]} == {
        (LaunchUnknown, True)
    }, told
    assert {(type(one), one.reason in words.split()) for one in told[len(launches) :]} == {
        (QuestionUnanswered, True)
    }, told
    assert calls == len(told), "nothing is sent twice"


async def test_what_is_no_http_is_said_to_be_none_and_is_not_tried_again(client: ProviderClient) -> None:
    async with open_rogue(say(answer(200, good("croupier_v1")))) as well:
        await asyncio.gather(*(launch(client, well, "croupier_v1") for _ in range(10)))

    async def behave(rogue: Rogue, writer: asyncio.StreamWriter) -> None:
        # The caller has written everything by then, and waits.
        await asyncio.sleep(0.05)
        await hold(b"SSH-2.0-OpenSSH_9.6\r\n")(rogue, writer)

    async with open_rogue(behave) as rogue:
        assert await launch(client, rogue, "croupier_v1") == LaunchUnknown("not_http")
        assert len(rogue.heads) == 1


async def test_a_storm_of_early_hints_ends_with_the_deadline(client: ProviderClient) -> None:
    """Each read of them is worked off at once, so a busy machine is late by some reads."""
    async with open_rogue(pour(b"", EARLY_HINT * 1_000)) as rogue:
        started = time.monotonic()
        assert await launch(client, rogue, "croupier_v1") == LaunchUnknown("timeout")
        assert time.monotonic() - started < DEADLINE_S + STORM_SLACK_S


@EVERY
@pytest.mark.parametrize("body", BODIES)
async def test_a_launch_whose_reply_is_not_what_was_agreed_is_unknown(
    client: ProviderClient, adapter: str, body: str
) -> None:
    async with open_rogue(say(BODIES[body](good(adapter)))) as rogue:
        assert await launch(client, rogue, adapter) == LaunchUnknown(NOT_UNDERSTOOD)


@pytest.mark.parametrize("adapter", sorted(set(QUESTIONS) - {"evolution_v1"}))
@pytest.mark.parametrize("body", BODIES)
async def test_a_list_of_games_that_is_none_is_no_answer(
    client: ProviderClient, adapter: str, body: str
) -> None:
    async with open_rogue(say(BODIES[body](b'{"items": []}'))) as rogue:
        assert await ask(client, rogue, adapter) == QuestionUnanswered(NOT_UNDERSTOOD)


async def test_the_page_of_a_round_is_kept_as_it_came_and_never_unpacked(client: ProviderClient) -> None:
    async with open_rogue(say(bomb())) as rogue:
        told = await ask(client, rogue, "evolution_v1")
    assert isinstance(told, RoundAccount)
    assert len(told.details) < 1024**2


@EVERY
async def test_what_a_reply_calls_itself_decides_nothing(client: ProviderClient, adapter: str) -> None:
    """Providers label JSON as text; the body is judged."""
    wrong = ("Content-Type: image/png; charset=\xff", "Content-Encoding: br", "Set-Cookie: a=b")
    async with open_rogue(say(b"HTTP/1.1 100 Continue\r\n\r\n", answer(200, good(adapter), *wrong))) as rogue:
        assert isinstance(await launch(client, rogue, adapter), Launched)
        await launch(client, rogue, adapter)
    assert not any(b"cookie" in head.lower() for head in rogue.heads)


@EVERY
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nothing_is_fetched_from_where_a_reply_points(
    client: ProviderClient, adapter: str, status: int
) -> None:
    async with open_rogue(say(answer(200, good(adapter)))) as inner:
        for target in (f"{inner.address}/admin", "file:///etc/passwd", "//127.0.0.1/", "http://[::bad"):
            async with open_rogue(say(answer(status, good(adapter), f"Location: {target}"))) as outer:
                assert await launch(client, outer, adapter) == LaunchUnknown(f"status_{status}")
                if adapter in QUESTIONS:
                    told = await ask(client, outer, adapter)
                    assert told == QuestionUnanswered(f"status_{status}")
        assert inner.heads == []


async def test_a_question_has_more_time_than_a_launch_for_which_a_player_waits() -> None:
    client = ProviderClient(lambda: datetime.now(UTC), ClientLimits(deadline_s=0.1))

    async def behave(rogue: Rogue, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await say(answer(200, b"[]"))(rogue, writer)

    async with open_rogue(behave) as rogue:
        assert await ask(client, rogue, "hub88_v1") == GameList(())
        assert await launch(client, rogue, "hub88_v1") == LaunchUnknown("timeout")
    await client.close()


async def test_a_reply_for_another_session_opens_nothing(client: ProviderClient) -> None:
    other = opened("croupier_v1", session_id="ses_0195500000007000800000000000002b")
    async with open_rogue(say(answer(201, json.dumps(other).encode()))) as rogue:
        assert await launch(client, rogue, "croupier_v1") == LaunchUnknown("reply_for_another_session")


@EVERY
async def test_a_second_reply_to_one_call_is_nobodys(client: ProviderClient, adapter: str) -> None:
    """Five of six replies do not name their session: another player's game must not be opened by one that is late."""
    ours = "/ours" if adapter == "evolution_v1" else "https://games.example/ours"
    stray = answer(200, leading_to(adapter, ours.replace("ours", "stray")))
    late = asyncio.Event()

    async def behave(rogue: Rogue, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, leading_to(adapter, ours)))
        await writer.drain()
        async with asyncio.timeout(5):
            await late.wait()
        writer.write(stray)
        await writer.drain()
        await rogue.released.wait()

    async with open_rogue(behave) as rogue:
        for _ in range(3):
            told = await launch(client, rogue, adapter)
            assert isinstance(told, Launched)
            assert told.url.endswith("/ours")
            late.set()
            # What comes on a connection that is still open would be there now.
            await asyncio.sleep(0.02)
        assert len(rogue.heads) == 3


FLOODS = [fault for fault in TRANSPORT if "without end" in fault or "for ever" in fault or "GiB" in fault]


@pytest.mark.parametrize("fault", FLOODS)
async def test_a_flood_takes_no_more_memory_than_its_bounds(fault: str) -> None:
    limits = ClientLimits(deadline_s=DEADLINE_S, question_s=DEADLINE_S)
    client = ProviderClient(lambda: datetime.now(UTC), limits)
    async with open_rogue(say(answer(200, b"{}"))) as warm:
        await ask(client, warm, "hub88_v1")
    async with open_rogue(TRANSPORT[fault][0]) as rogue:
        tracemalloc.start()
        try:
            await launch(client, rogue, "croupier_v1")
            launching = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            await ask(client, rogue, "hub88_v1")
            asking = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    await client.close()
    # The server writes in this process too, and a parser hands on a whole read at a time.
    beside = 8 * 1024**2
    assert launching < limits.reply_bytes + limits.header_lines * limits.header_bytes + beside
    assert asking < 2 * limits.list_bytes + beside


BAD_ADDRESSES = [
    "javascript:alert(1)",
    "javascript://games.example/%0Aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://games.example/",
    "//evil.example/",
    "https:games.example/",
    "https://",
    "https://:443/",
    "https://./",
    "https://[/",
    "https://games.example:443443/",
    "https://games.example@evil.example/",
    "https://games.example\\@evil.example/",
    "/\\evil.example/",
    "https://games.example/\n",
    "https://games.example/\x1b[2J",
    "https://games.example/\x7f",
    "https://games.example/ x",
    'https://games.example/"onload="x',
    "https://gämes.example/",
    "https://games.example/" + "x" * 8192,
    "",
]


@EVERY
async def test_no_player_is_sent_where_a_browser_should_not_go(client: ProviderClient, adapter: str) -> None:
    assert ADDRESS_MEMBER[adapter] in opened(adapter)
    sent: list[str] = []
    for address in BAD_ADDRESSES:
        async with open_rogue(say(answer(200, leading_to(adapter, address)))) as rogue:
            told = await launch(client, rogue, adapter)
        if told not in (LaunchUnknown("launch_url_not_usable"), LaunchUnknown(NOT_UNDERSTOOD)):
            sent.append(address)
    assert sent == []


@pytest.mark.parametrize("adapter", sorted(set(find_adapters()) - {"evolution_v1"}))
@pytest.mark.parametrize(
    "address",
    [
        "https://games.example",
        "https://games.example:8443/a/b?c=d&e=%20#f",
        "http://127.0.0.1:8702/play?session=1",
        "https://[2001:db8::7]:443/",
        "https://g/",
        "https://games.example/" + "x" * (2048 - 22),
    ],
)
async def test_a_usable_address_is_the_players(client: ProviderClient, adapter: str, address: str) -> None:
    async with open_rogue(say(answer(200, leading_to(adapter, address)))) as rogue:
        assert await launch(client, rogue, adapter) == Launched(address)
