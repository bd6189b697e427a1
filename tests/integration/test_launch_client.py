"""The client towards providers: what it sends, what it makes of faults, and where it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from operator_house import Studio, account_at, open_studio

from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.client import ClientLimits, NotSent, ProviderClient
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


async def earn(client: ProviderClient, studio: Studio, retries: int = 1) -> None:
    """So many calls that a retry may be spent afterwards."""
    await asyncio.gather(*(ask(client, studio.address) for _ in range(10 * retries)))
    studio.seen.clear()
    studio.headers.clear()


@pytest.mark.parametrize("fault", ["drop", "busy", "busy 0"])
async def test_what_may_pass_is_tried_again_signed_anew_under_the_same_session(
    studio: Studio, client: ProviderClient, fault: str
) -> None:
    await earn(client, studio)
    studio.script.append(fault)
    assert isinstance(await ask(client, studio.address), Launched)
    assert [one["session_id"] for one in studio.seen] == [ORDER.session_id] * 2
    assert len({head["authorization"] for head in studio.headers}) == 2


@pytest.mark.parametrize("fault", ["garbage", "redirect", "flood", "refuse"])
async def test_what_will_not_pass_is_not_tried_again(
    studio: Studio, client: ProviderClient, fault: str
) -> None:
    await earn(client, studio)
    studio.script.append(fault)
    assert not isinstance(await ask(client, studio.address), Launched)
    assert len(studio.seen) == 1


@pytest.mark.parametrize("asked", ["3600", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_a_provider_that_asks_for_longer_than_there_is_gets_no_second_call(
    studio: Studio, client: ProviderClient, asked: str
) -> None:
    await earn(client, studio)
    studio.script.append(f"busy {asked}")
    async with asyncio.timeout(5):
        assert isinstance(await ask(client, studio.address), LaunchUnknown)
    assert len(studio.seen) == 1


async def test_all_attempts_together_keep_the_deadline_of_one(studio: Studio, client: ProviderClient) -> None:
    await earn(client, studio)
    studio.script.extend(["drop", "hang"])
    begun = asyncio.get_running_loop().time()
    assert await ask(client, studio.address) == LaunchUnknown("timeout")
    assert len(studio.seen) == 2
    assert asyncio.get_running_loop().time() - begun < 1.5, "two deadlines of half a second would be one"


async def test_a_second_attempt_that_reaches_nobody_is_unknown_because_the_first_may_have_arrived(
    studio: Studio, client: ProviderClient
) -> None:
    await earn(client, studio, retries=2)
    studio.script.append("drop")
    sent = client.send_request

    async def first_only(*given: object, **named: object) -> object:
        if studio.seen:
            return NotSent("unreachable")
        return await sent(*given, **named)  # type: ignore[arg-type]

    client.send_request = first_only  # type: ignore[method-assign,assignment]
    assert await ask(client, studio.address) == LaunchUnknown("unreachable")


@pytest.mark.parametrize("fault", ["drop", "busy"])
async def test_a_refusal_after_an_attempt_that_may_have_arrived_is_unknown(
    studio: Studio, client: ProviderClient, fault: str
) -> None:
    """What nobody can tell must not become a failed session by a retry that nobody asked for."""
    await earn(client, studio)
    studio.script.extend([fault, "refuse"])
    assert await ask(client, studio.address) == LaunchUnknown("game_closed")
    assert len(studio.seen) == 2


async def test_a_thousand_callers_whose_calls_fail_together_make_no_storm(studio: Studio) -> None:
    """Amplification at most 1.1 (FT33)."""
    told: list[int] = []
    client = ProviderClient(
        lambda: datetime.now(UTC),
        ClientLimits(deadline_s=20.0, connect_s=20.0),
        note_budget=lambda provider, percent: told.append(percent),
    )
    studio.script.extend(["drop"] * 2_000)
    answers = await asyncio.gather(*(ask(client, studio.address) for _ in range(1_000)))
    await client.close()
    assert {type(answer) for answer in answers} == {LaunchUnknown}
    assert 1_000 <= len(studio.seen) <= 1_100
    assert told
    assert min(told) == 0
