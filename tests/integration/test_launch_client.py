"""The client towards providers: what it sends, what it makes of faults, and where it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from operator_house import Studio, account_at, open_studio

from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.client import ClientLimits, ProviderClient
from croupier.providers.contract import LaunchAnswer, Launched, LaunchOrder, LaunchRefused, LaunchUnknown

ORDER = LaunchOrder(
    session_id="ses_0195500000007000800000000000002a",
    player_id="player-1",
    game_id="dice",
    asset="EUR",
    country="MT",
    correlation_id="cor-1",
)


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    async with open_studio() as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[ProviderClient]:
    made = ProviderClient(lambda: datetime.now(UTC), ClientLimits(deadline_s=0.5))
    yield made
    await made.close()


async def ask(client: ProviderClient, address: str, *, is_first: bool = True) -> LaunchAnswer:
    return await client.launch(account_at("studio", address), ADAPTER, ORDER, is_first=is_first)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "timeout"),
        ("drop", "reset"),
        ("garbage", "reply_not_understood"),
        ("redirect", "status_307"),
        ("flood", "too_large"),
    ],
)
async def test_what_cannot_be_judged_is_unknown_and_says_why(
    studio: Studio, client: ProviderClient, fault: str, reason: str
) -> None:
    studio.script.append(fault)
    assert await ask(client, studio.address) == LaunchUnknown(reason)
    assert len(studio.seen) == 1


async def test_a_launch_and_a_refusal_are_certain(studio: Studio, client: ProviderClient) -> None:
    studio.script.extend(["ok", "refuse"])
    assert await ask(client, studio.address) == Launched(f"https://studio.example/{ORDER.session_id}")
    assert await ask(client, studio.address) == LaunchRefused("game_closed")


async def test_every_attempt_is_signed_anew(studio: Studio, client: ProviderClient) -> None:
    await asyncio.gather(*(ask(client, studio.address) for _ in range(5)))
    assert len({head["authorization"] for head in studio.headers}) == 5
    assert {head["accept-encoding"] for head in studio.headers} == {"identity"}


async def test_nothing_sent_is_a_refusal_the_first_time_only(client: ProviderClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert await ask(client, address) == LaunchRefused("unreachable")
        assert await ask(client, address, is_first=False) == LaunchUnknown("unreachable")


async def test_a_closed_client_opens_a_new_pool_when_it_is_asked_again(
    studio: Studio, client: ProviderClient
) -> None:
    await ask(client, studio.address)
    await client.close()
    assert isinstance(await ask(client, studio.address), Launched)
