"""A NATS server with JetStream on loopback, from the wheel, that can be killed and started again with its data."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from croupier.bench.site import free_port

BINARY = Path(sys.executable).with_name("nats-server")


class NatsServer:
    """One server with a folder and a port of its own."""

    def __init__(self, folder: Path, *, login: str | None = None, settings: str = "") -> None:
        self._folder = folder
        self._login = login
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start, and wait until it takes connections."""
        config = self._folder / "nats.conf"
        user, _, password = (self._login or "").partition(":")
        login = f"authorization {{ user: {user}, password: {password} }}\n" if self._login else ""
        config.write_text(
            f"listen: 127.0.0.1:{self.port}\n{login}{self._settings}\n"
            f'jetstream {{ store_dir: "{self._folder / "data"}" }}\n'
        )
        self._process = await asyncio.create_subprocess_exec(
            str(BINARY),
            "-c",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while not await self._answers():  # noqa: ASYNC110 (another process: there is nothing to wait on)
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def kill(self) -> None:
        """End at once, without a word to anybody."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def stored(self, stream: str = "croupier") -> list[tuple[str, str, bytes]]:
        """Every message of a stream, in its order: subject, id, body; none without a stream."""
        user, _, password = (self._login or "").partition(":")
        client = Client()
        await client.connect(servers=[self.url], user=user or None, password=password or None)
        try:
            jetstream = client.jetstream()
            try:
                state = (await jetstream.stream_info(stream)).state
            except NotFoundError:
                return []
            found = [
                await jetstream.get_msg(stream, seq) for seq in range(state.first_seq, state.last_seq + 1)
            ]
            return [(one.subject or "", (one.headers or {})["Nats-Msg-Id"], one.data or b"") for one in found]
        finally:
            await client.close()


@asynccontextmanager
async def running_nats(folder: Path, **options: str) -> AsyncIterator[NatsServer]:
    """A server that runs until the block ends."""
    server = NatsServer(folder, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
