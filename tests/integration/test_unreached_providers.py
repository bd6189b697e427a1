"""A provider to which no connection comes about: it certainly opened nothing, and the word says why (I9)."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rogue_provider import account_of, adapter_of, answer, hold, open_rogue, opened, order_of, say
from tls_papers import Authority

from croupier.operator.launch import _has_failed
from croupier.providers.client import (
    ADDRESS_NOT_USABLE,
    NAME_NOT_FOUND,
    TLS_FAILED,
    UNREACHABLE,
    UNREACHED,
    ClientLimits,
    ProviderClient,
)
from croupier.providers.contract import (
    LaunchAnswer,
    Launched,
    LaunchRefused,
    LaunchUnknown,
    ListGames,
    QuestionUnanswered,
)

DEADLINE_S = 2.0
CONNECT_S = 0.5
GOOD = answer(200, json.dumps(opened("croupier_v1")).encode())
_resolve = socket.getaddrinfo


@pytest.fixture
async def client() -> AsyncIterator[ProviderClient]:
    limits = ClientLimits(deadline_s=DEADLINE_S, connect_s=CONNECT_S)
    made = ProviderClient(lambda: datetime.now(UTC), limits)
    yield made
    await made.close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that the machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    return made


async def launch(client: ProviderClient, address: str, *, is_first: bool = True) -> LaunchAnswer:
    account = account_of("croupier_v1", address)
    return await client.launch(account, adapter_of("croupier_v1"), order_of("croupier_v1"), is_first=is_first)


async def require_refused(client: ProviderClient, address: str, word: str) -> None:
    """Certain the first time, unknown later, unanswered for a question."""
    assert await launch(client, address) == LaunchRefused(word)
    assert await launch(client, address, is_first=False) == LaunchUnknown(word)
    asked = await client.ask(account_of("hub88_v1", address), adapter_of("hub88_v1"), ListGames())
    assert asked == QuestionUnanswered(word)


async def save_up(client: ProviderClient, retries: int = 1) -> None:
    """So many launches that a retry may be spent afterwards."""
    async with open_rogue(say(GOOD)) as well:
        told = await asyncio.gather(*(launch(client, well.address) for _ in range(10 * retries)))
    assert {type(one) for one in told} == {Launched}


async def test_a_certificate_of_a_known_authority_for_this_host_is_good(
    client: ProviderClient, authority: Authority
) -> None:
    async with open_rogue(say(GOOD), authority.certify()) as rogue:
        assert isinstance(await launch(client, rogue.address), Launched)


@pytest.mark.parametrize("fault", ["self-signed", "expired", "of another host", "of an unknown authority"])
async def test_nothing_is_sent_to_who_cannot_prove_its_name(
    client: ProviderClient, authority: Authority, tmp_path: Path, fault: str
) -> None:
    await save_up(client, retries=3)
    match fault:
        case "self-signed":
            context = authority.certify(is_self_signed=True)
        case "expired":
            context = authority.certify(life=timedelta(days=-1))
        case "of another host":
            context = authority.certify("provider.example")
        case _:
            (tmp_path / "stranger").mkdir()
            context = Authority(tmp_path / "stranger").certify()
    async with open_rogue(say(GOOD), context) as rogue:
        await require_refused(client, rogue.address, TLS_FAILED)
        assert rogue.heads == [], "the request holds a player's address and a signature"


async def test_a_server_that_speaks_no_tls_gets_nothing(client: ProviderClient) -> None:
    async with open_raw(answer(400, b"this port speaks HTTP")) as address:
        await require_refused(client, address, TLS_FAILED)


async def test_old_tls_is_not_spoken(client: ProviderClient, authority: Authority) -> None:
    context = authority.certify()
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with open_rogue(say(GOOD), context) as rogue:
        told = await launch(client, rogue.address)
        assert rogue.heads == []
    assert isinstance(told, LaunchRefused)
    assert told.reason in UNREACHED


async def test_a_handshake_that_never_ends_is_given_up_before_the_deadline(client: ProviderClient) -> None:
    started = time.monotonic()
    async with open_raw() as address:
        assert await launch(client, address) == LaunchRefused(UNREACHABLE)
    assert time.monotonic() - started < DEADLINE_S


async def test_who_waits_for_a_connection_in_vain_has_sent_nothing() -> None:
    """A provider that hangs holds as many calls as it has connections, and the others are told at once and for sure."""
    limits = ClientLimits(deadline_s=DEADLINE_S, connect_s=CONNECT_S, connections_per_host=2)
    client = ProviderClient(lambda: datetime.now(UTC), limits)
    async with open_rogue(hold()) as rogue:
        told = await asyncio.gather(*(launch(client, rogue.address) for _ in range(20)))
        assert len(rogue.heads) == 2
    await client.close()
    assert sorted(map(str, told)) == sorted(
        map(str, [LaunchUnknown("timeout")] * 2 + [LaunchRefused(UNREACHABLE)] * 18)
    )


async def test_a_name_that_does_not_exist_is_said_to_be_one(
    client: ProviderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver is asked for real: `.invalid` never exists (RFC 2606)."""
    monkeypatch.setattr(socket, "getaddrinfo", _resolve)
    await require_refused(client, "https://provider.invalid", NAME_NOT_FOUND)


async def test_an_address_that_is_none_is_said_to_be_one(client: ProviderClient) -> None:
    for address in ("http://127.0.0.1:99999", "http://", "gopher://127.0.0.1"):
        await require_refused(client, address, ADDRESS_NOT_USABLE)


async def test_a_name_that_no_resolver_takes_ends_in_a_word_too(
    client: ProviderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolve)
    assert await launch(client, f"http://{'a' * 70}.invalid") == LaunchUnknown(ADDRESS_NOT_USABLE)


@pytest.mark.parametrize(("word", "attempts"), [(UNREACHABLE, 2), (TLS_FAILED, 1)])
async def test_only_what_may_pass_is_tried_again(client: ProviderClient, word: str, attempts: int) -> None:
    """A certificate is no better in a fifth of a second."""
    await save_up(client)
    signed: list[str] = []
    client._note_signed = lambda provider, key_id: signed.append(key_id)
    async with open_raw(answer(400, b"")) as address:
        if word == TLS_FAILED:
            assert await launch(client, address) == LaunchRefused(word)
    if word == UNREACHABLE:
        assert await launch(client, address) == LaunchRefused(word)
    assert len(signed) == attempts


@pytest.mark.parametrize("word", sorted(UNREACHED))
def test_who_cannot_be_reached_counts_against_the_breaker_and_who_refuses_does_not(word: str) -> None:
    assert _has_failed(LaunchRefused(word))
    assert _has_failed(LaunchUnknown("timeout"))
    assert not _has_failed(LaunchRefused("game_closed"))
    assert not _has_failed(Launched("https://games.example/"))


@asynccontextmanager
async def open_raw(greeting: bytes = b"") -> AsyncIterator[str]:
    """A server that says this to whoever connects, in no TLS, and nothing else; its address, as if it spoke TLS."""
    released = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        async with asyncio.timeout(30):
            await released.wait()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        released.set()
        server.close()
