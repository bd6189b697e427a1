"""Processes that a supervisor starts: which of them take the environment's word over their file's."""

from __future__ import annotations

import asyncio

import pytest

from croupier.runtime.orders import Orders
from croupier.runtime.worker_process import WorkerProcess

TELLER = "tests.integration.override_teller"
SOON_S = 20.0
ORDERS = Orders(database_url="postgresql://localhost/nowhere", config_path=None)


@pytest.mark.parametrize("takes_overrides", [True, False])
async def test_a_process_that_takes_no_overrides_sees_none(
    monkeypatch: pytest.MonkeyPatch, takes_overrides: bool
) -> None:
    monkeypatch.setenv("CROUPIER_LIMITS_BATCH", "1")
    process = WorkerProcess(0, ORDERS, fds=(), module=TELLER, takes_overrides=takes_overrides)
    running = asyncio.create_task(process.keep_running())
    try:
        if takes_overrides:
            # It is there and reads its orders, and has not called itself ready.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.is_ready.wait(), 1.0)
            assert process.pid is not None
        else:
            await asyncio.wait_for(process.is_ready.wait(), SOON_S)
    finally:
        await process.stop(SOON_S)
        await running
