"""The guard of this test suite: nothing reaches beyond this machine."""

import asyncio
import socket

import pytest


def test_a_connection_beyond_loopback_is_refused_before_it_is_tried() -> None:
    with socket.socket() as connection, pytest.raises(AssertionError, match="loopback only"):
        connection.connect(("192.0.2.1", 80))
    with socket.socket(socket.AF_INET6) as connection, pytest.raises(AssertionError, match="loopback only"):
        connection.connect_ex(("2001:db8::1", 80))


async def test_a_name_beyond_loopback_is_refused_in_the_event_loop_too() -> None:
    with pytest.raises(AssertionError, match=r"example\.invalid"):
        await asyncio.open_connection("example.invalid", 80)
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        await asyncio.open_connection("192.0.2.1", 80)


def test_loopback_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as connection:
        connection.connect(server.getsockname())
