"""Events go to public addresses only, unless an endpoint's own setting says otherwise; and the refusal says so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from outbox_stage import Receiver, Stage, endpoint_at, open_stage, outbox_of, receiving

from croupier.operator.outbox.addresses import AddressRefused, GuardedResolver


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def attempt(stage: Stage, url: str, **fields: Any) -> tuple[Any, ...]:
    """One attempt at this address: result, status, error."""
    endpoint = endpoint_at(url, allow_private=False, **fields)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    (made,) = await stage.attempts()
    return made[1:]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.1.2.3"],
)
async def test_an_address_inside_is_refused_without_a_connection(
    stage: Stage, receiver: Receiver, host: str
) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    result, status, error = await attempt(stage, url)
    assert (result, status) == ("failed", None)
    assert error.startswith("refused: ")
    assert error.endswith(
        "not a public address (allow_private of the endpoint permits it, --allow-private permits a sample)"
    )
    assert not receiver.got


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_another_spelling_of_an_address_inside_is_refused_too(
    stage: Stage, receiver: Receiver, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The guard of the tests takes these for names outside; the operating system takes them for 127.0.0.1.
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo.__closure__[0].cell_contents)  # type: ignore[attr-defined]
    result, _, error = await attempt(stage, receiver.url.replace("127.0.0.1", host))
    assert result == "failed"
    assert "not a public address" in error or "not a canonical IPv4 address" in error
    assert not receiver.got


async def test_the_operator_may_allow_an_address_inside(stage: Stage, receiver: Receiver) -> None:
    endpoint = endpoint_at(receiver.url.replace("127.0.0.1", "localhost"), allow_private=True)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    assert len(receiver.got) == 1


async def test_one_private_address_among_public_ones_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answering("93.184.215.14", "10.0.0.1"))
    with pytest.raises(AddressRefused, match=r"shop\.example resolves to 10\.0\.0\.1"):
        await GuardedResolver(allow_private=False).resolve("shop.example", 443)


async def test_the_connection_goes_to_what_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answering("93.184.215.14"))
    (found,) = await GuardedResolver(allow_private=False).resolve("shop.example", 443)
    assert (found["host"], found["hostname"], found["port"]) == ("93.184.215.14", "shop.example", 443)
    assert found["flags"] & socket.AI_NUMERICHOST


def answering(*addresses: str) -> Any:
    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in addresses
        ]

    return getaddrinfo


async def test_a_name_that_changes_to_an_address_inside_is_refused_at_the_next_connection(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is judged for every connection, not once: an answer of the name server is not trusted for later."""
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answering("192.168.0.7"))
    _, _, error = await attempt(stage, "http://shop.example/events")
    assert error.startswith("refused: shop.example resolves to 192.168.0.7, which is not a public address")


async def test_proxies_of_the_environment_are_not_used(
    stage: Stage, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        endpoint = endpoint_at(receiver.url)
        await stage.add_event()
        await stage.fan_out(outbox_of(endpoint))
        async with stage.delivering(endpoint) as drain:
            await drain()
        assert not proxy.got
    assert len(receiver.got) == 1
