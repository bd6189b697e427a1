"""The yardstick: `pgbench` calls one function per transaction, which writes the rows of one command."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from croupier.bench.children import ChildFailed
from croupier.bench.report import Samples
from croupier.bench.seats import Seat
from croupier.ids import bucket_of
from croupier.runtime.database import SCHEMA, connect_owner
from croupier.runtime.embedded_cluster import installed_binaries
from croupier.runtime.statements import load_statements

SQL: Final = load_statements("croupier/bench/ledger.sql")
CLIENTS: Final = 32
ACTIONS: Final = ("bet", "win", "close")
SCALE: Final = 50
"""Branches of the customary script: more than clients, so that they do not queue up for one row."""
_DONE: Final = re.compile(r"number of transactions actually processed: ([0-9]+)")
_RATE: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


class Yardstick(Struct, frozen=True):
    """A database made ready for `pgbench`, how many players it has, and where scripts and logs go."""

    url: str
    seats: int
    folder: Path


async def prepare(url: str, seats: Sequence[Seat], folder: Path) -> Yardstick:
    """Create the function, take the players in, and let every player's first round exist."""
    connection = await connect_owner(url)
    try:
        for name in ("create_seat", "create_seat_number", "create_play"):
            await connection.execute(SQL[name].sql)
        buckets = [bucket_of(seat.player_id) for seat in seats]
        players, sessions = [seat.player_id for seat in seats], [seat.session_id for seat in seats]
        await connection.execute(
            SQL["insert_seats"].sql, buckets, list(range(1, len(seats) + 1)), players, sessions
        )
        await connection.execute("SELECT bench.play(number, 'bet') FROM bench.seat")
    finally:
        await connection.close()
    await asyncio.to_thread(_write_scripts, folder)
    return Yardstick(url, len(seats), folder)


def _write_scripts(folder: Path) -> None:
    folder.mkdir()
    for action in ACTIONS:
        script = f"\\set seat random(1, :seats)\nSELECT bench.play(:seat, '{action}');\n"
        (folder / f"{action}.pgbench").write_text(script)


async def measure(yardstick: Yardstick, *, seconds: float, warmup_s: float) -> Samples:
    """Run `pgbench` with 32 clients, bets, wins and closes in equal shares; raises ChildFailed."""
    prefix = yardstick.folder / "log"
    for old in yardstick.folder.glob("log.*"):
        old.unlink()
    await _run(yardstick, prefix, max(1, round(seconds + warmup_s)))
    return await asyncio.to_thread(read_logs, sorted(yardstick.folder.glob("log.*")), warmup_s)


async def _run(yardstick: Yardstick, prefix: Path, seconds: int) -> None:
    scripts = [f"--file={yardstick.folder / action}.pgbench@1" for action in ACTIONS]
    options = [f"--client={CLIENTS}", "--jobs=2", "--protocol=prepared", "--no-vacuum", f"--time={seconds}"]
    options += [f"--define=seats={yardstick.seats}", "--log", f"--log-prefix={prefix}"]
    await _pgbench([*options, *scripts], connection_environment(yardstick.url))


async def _pgbench(arguments: Sequence[str], environment: dict[str, str]) -> str:
    """What it prints; raises ChildFailed."""
    process = await asyncio.create_subprocess_exec(
        str(installed_binaries() / "pgbench"),
        *arguments,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise ChildFailed(f"pgbench failed: {output.decode('utf-8', 'replace')}")
    return output.decode("utf-8", "replace")


async def prepare_customary(url: str) -> None:
    """Make the tables of `pgbench`'s own script, similar to TPC-B, in a database of their own."""
    await _pgbench(["--initialize", f"--scale={SCALE}", "--quiet"], _own_schema(url))


async def measure_customary(url: str, *, seconds: float) -> Samples:
    """Run `pgbench`'s own script with 32 clients: what this machine can do, to tell other figures by.

    Raises ChildFailed. There are no latencies.
    """
    options = [f"--client={CLIENTS}", "--jobs=2", "--protocol=prepared", f"--time={max(1, round(seconds))}"]
    return read_summary(await _pgbench(options, _own_schema(url)))


def read_summary(text: str) -> Samples:
    """Transactions and time from what `pgbench` prints; raises ChildFailed when they are not there."""
    done, rate = _DONE.search(text), _RATE.search(text)
    if done is None or rate is None:
        raise ChildFailed(f"pgbench told no rate: {text}")
    calls = int(done[1])
    return Samples(calls=calls, errors=0, seconds=calls / float(rate[1]), latencies_us=[])


def _own_schema(url: str) -> dict[str, str]:
    return connection_environment(url) | {"PGOPTIONS": "-c search_path=public"}


def connection_environment(url: str) -> dict[str, str]:
    """What a libpq program needs to reach a database, the password out of sight of `ps`."""
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
        "PGSSLMODE": "disable",
        "PGOPTIONS": f"-c search_path={SCHEMA} -c jit=off",
    }


def read_logs(files: Sequence[Path], warmup_s: float) -> Samples:
    """Latencies from pgbench's logs (client, number, µs, script, second, µs of it), warm-up left out."""
    ended: list[tuple[int, int]] = []
    for file in files:
        for line in file.read_text().splitlines():
            fields = line.split()
            ended.append((int(fields[4]) * 1_000_000 + int(fields[5]), int(fields[2])))
    begin = min(at for at, _ in ended) + int(warmup_s * 1e6)
    latencies = [latency for at, latency in ended if at >= begin]
    seconds = (max(at for at, _ in ended) - begin) / 1e6
    return Samples(calls=len(latencies), errors=0, seconds=seconds, latencies_us=latencies)
