"""`python -m croupier.bench.product CONFIG WORKERS`: the gateway as `croupier serve` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import uvloop

from croupier.bench.children import running
from croupier.bench.site import Site, free_port, wait_until_open
from croupier.bench.speech import NATIVE
from croupier.runtime.config import load_config, resolve_keys
from croupier.runtime.config.starter import write_starter
from croupier.runtime.serving import serve_deployment
from croupier.telemetry.logs import set_up_logs
from croupier_signing import SigningKey

LANES: Final = 1
"""Lanes of each worker: on a small machine processes beat lanes, because Python is what is short."""


@contextlib.asynccontextmanager
async def serving(
    folder: Path, url: str, *, workers: int, protocol: str = NATIVE, more: str = ""
) -> AsyncIterator[Site]:
    """Run the whole product on a configuration of its own, in front of a given database; `more` is added to that."""
    config_path = write_starter(folder).config_path
    config_path.write_text(
        config_path.read_text().replace(f'adapter = "{NATIVE}"', f'adapter = "{protocol}"') + more
    )
    port = free_port()
    extra = {
        "CROUPIER_DATABASE_URL": url,
        "CROUPIER_HTTP_PUBLIC": f"127.0.0.1:{port}",
        "CROUPIER_HTTP_ADMIN": f"127.0.0.1:{free_port()}",
        "CROUPIER_LANES_COUNT": str(LANES),
        "CROUPIER_TELEMETRY_LOG_LEVEL": "error",
    }
    config = load_config(config_path, extra)
    key = resolve_keys(config, extra).providers["sandbox"].inbound[0]
    assert isinstance(key, SigningKey), "its protocols share a secret"  # noqa: S101 (narrowing)
    command = [sys.executable, "-m", "croupier.bench.product", str(config_path), str(workers)]
    async with running(command, extra=extra) as process:
        await wait_until_open(port, process, path="/readyz")
        yield Site(port=port, key_id=key.id, secret=key.secret, pid=process.pid)


async def _serve(config_path: Path, workers: int) -> None:
    config = load_config(config_path, os.environ)
    set_up_logs(log_format=config.telemetry.log_format, level=config.telemetry.log_level)
    await serve_deployment(config, config_path, workers=workers)


def main() -> None:
    """Serve until told to stop by a signal."""
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
