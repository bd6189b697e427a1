"""`python -m croupier.bench.naive.serve PORT WORKERS`: the comparison, on uvicorn as usual."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import uvicorn

from croupier.bench.children import ChildFailed, running
from croupier.bench.naive import ENVIRONMENT
from croupier.bench.naive.wallet import WalletSite
from croupier.bench.seats import ASSET
from croupier.bench.site import Site, free_port, wait_until_open
from croupier.runtime.database import connect_owner
from croupier.runtime.statements import load_statements

SQL: Final = load_statements("croupier/bench/naive/queries.sql")


async def prepare_naive(url: str) -> None:
    """Add the clearing row to a database that has Croupier's schema."""
    connection = await connect_owner(url)
    try:
        for name in ("create_clearing", "create_clearing_grant", "create_clearing_update"):
            await connection.execute(SQL[name].sql)
        await connection.execute(SQL["insert_clearing"].sql, ASSET)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def serving_naive(
    url: str, *, key_id: str, secret: bytes, workers: int, wallet: WalletSite | None = None
) -> AsyncIterator[Site]:
    """Run the comparison in front of a prepared database, with the same key and as many processes.

    With a wallet of the operator's it asks that in the middle of its transaction.
    """
    if importlib.util.find_spec("fastapi") is None:
        raise ChildFailed("the comparison needs FastAPI: install the dependency group `bench`")
    port = free_port()
    site = None if wallet is None else msgspec.to_builtins(wallet)
    settings = {"url": url, "key_id": key_id, "secret": secret.hex(), "wallet": site}
    command = [sys.executable, "-m", "croupier.bench.naive.serve", str(port), str(workers)]
    async with running(command, extra={ENVIRONMENT: json.dumps(settings)}) as process:
        await wait_until_open(port, process, path="/readyz")
        yield Site(port=port, key_id=key_id, secret=secret, pid=process.pid)


def main() -> None:
    """Serve until told to stop by a signal."""
    uvicorn.run(
        "croupier.bench.naive.app:from_environment",
        factory=True,
        port=int(sys.argv[1]),
        workers=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )


if __name__ == "__main__":
    main()
