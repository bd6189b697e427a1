"""Child processes of a bench: told what to do on standard input, let go together, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.bench.report import Samples

READY: Final = b"ready\n"
GO: Final = b"go\n"
START_S: Final = 60.0
END_S: Final = 30.0
_LIMIT: Final = 64 * 1024 * 1024


class ChildFailed(Exception):
    """A process of the bench ended by itself; the text says which and how."""


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without anybody's Croupier settings, so that every run measures the same product."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
    return kept | dict(extra or {})


class Child(Struct):
    """A process that measures: it reads its orders, says ready, begins at `go`, and prints its samples."""

    module: str
    process: asyncio.subprocess.Process

    async def wait_ready(self) -> None:
        """Return when it has connected; raises ChildFailed."""
        line = await asyncio.wait_for(self._output().readline(), START_S)
        if line != READY:
            raise ChildFailed(f"{self.module} ended before it was ready (status {await self.process.wait()})")

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None, "the child's input is a pipe"  # noqa: S101 (narrowing)
        self.process.stdin.write(GO)

    async def read_line(self, timeout_s: float) -> bytes:
        """Its next line of output; raises ChildFailed at its end."""
        line = await asyncio.wait_for(self._output().readline(), timeout_s)
        if not line:
            raise ChildFailed(f"{self.module} ended without a result (status {await self.process.wait()})")
        return line

    def _output(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None, "the child's output is a pipe"  # noqa: S101 (narrowing)
        return self.process.stdout


@contextlib.asynccontextmanager
async def measuring(module: str, orders: Struct) -> AsyncIterator[Child]:
    """Start `python -m module` with its orders as the first line of its input."""
    async with running([sys.executable, "-m", module], has_pipes=True) as process:
        assert process.stdin is not None, "the child's input is a pipe"  # noqa: S101 (narrowing)
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        await process.stdin.drain()
        yield Child(module, process)


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str], *, has_pipes: bool = False, extra: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is ended at the end: asked first, killed if it does not listen."""
    pipe = asyncio.subprocess.PIPE if has_pipes else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, env=child_environment(extra), limit=_LIMIT
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        # Reads what is left as well: an event loop that ends before its pipes do leaves them open.
        await asyncio.wait_for(process.communicate(), END_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def measure_together(module: str, orders: Sequence[Struct], timeout_s: float) -> list[Samples]:
    """Run one child per order, all from the same moment on; their samples in order. Raises ChildFailed."""
    async with contextlib.AsyncExitStack() as stack:
        children = [await stack.enter_async_context(measuring(module, one)) for one in orders]
        for child in children:
            await child.wait_ready()
        for child in children:
            child.go()
        lines = [await child.read_line(timeout_s) for child in children]
    return [msgspec.json.decode(line, type=Samples) for line in lines]


def read_orders(kind: type[Any]) -> Any:
    """In a child: the orders, from the first line of standard input."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)


async def wait_for_go() -> None:
    """In a child: say ready and wait for the word."""
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    await asyncio.to_thread(sys.stdin.buffer.readline)


def tell(result: Struct) -> None:
    """In a child: print one result as a line."""
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    sys.stdout.buffer.flush()
