"""`kill -9` of workers and of PostgreSQL in a storm of webhooks: every 202 is kept, and none twice (I2, I3, I4)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any, Final

import aiohttp
from crash_site import CrashSite, until

from croupier_signing import sign_webhook

PATH: Final = "/webhooks/sandbox"
SENDERS: Final = 16
STEP: Final = 150
"""How many more webhooks are acknowledged between two kills."""
WITHIN_S: Final = 60.0
ONE_PLACE: Final = """
    SELECT d.delivery_id FROM delivery d
     WHERE (SELECT count(*) FROM inbox_queue q WHERE q.bucket = d.bucket AND q.id = d.id)
         + (SELECT count(*) FROM dead_letter l WHERE l.bucket = d.bucket AND l.id = d.id)
         + (SELECT count(*) FROM delivery_result r WHERE r.bucket = d.bucket AND r.id = d.id) <> 1
"""


class Studio:
    """Sends webhooks about rounds that nobody knows, and repeats each until it is acknowledged."""

    def __init__(self, site: CrashSite, http: aiohttp.ClientSession) -> None:
        self._site = site
        self._http = http
        self._number = 0
        self.acknowledged: dict[str, set[str]] = {}
        self.statuses: set[int] = set()

    async def send_on(self) -> None:
        """One webhook after the other, until cancelled."""
        while True:
            self._number += 1
            delivery_id = f"d-{self._number}"
            body = _body(self._number)
            while True:
                if await self._send(delivery_id, body):
                    break
                await asyncio.sleep(0.05)
            if self._number % 10 == 0:
                await self._send(delivery_id, body)

    async def _send(self, delivery_id: str, body: bytes) -> bool:
        now_s = int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": sign_webhook(
                self._site.key, webhook_id=delivery_id, timestamp_s=now_s, body=body
            ),
        }
        try:
            async with self._http.post(f"{self._site.gateway}{PATH}", data=body, headers=headers) as reply:
                self.statuses.add(reply.status)
                document = await reply.json(content_type=None)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            return False
        if reply.status == 202:
            self.acknowledged.setdefault(delivery_id, set()).add(document["id"])
        return reply.status == 202


def _body(number: int) -> bytes:
    data: dict[str, Any] = {
        "reference": f"close-{number}",
        "session_id": f"ses_{number:032x}",
        "round_id": f"round-{number}",
        "player_id": f"player-{number}",
        "occurred_at": "2026-03-01T12:00:00Z",
        "outcome": {},
    }
    return json.dumps({"type": "round.completed", "timestamp": "2026-03-01T12:00:00Z", "data": data}).encode()


async def test_no_acknowledged_webhook_is_missing_after_workers_and_database_were_killed(
    site: CrashSite,
) -> None:
    await site.serve()
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        studio = Studio(site, http)
        sending = [asyncio.create_task(studio.send_on()) for _ in range(SENDERS)]
        try:
            for victim in (0, None, 1, None):
                goal = len(studio.acknowledged) + STEP
                await until(
                    lambda goal=goal: len(studio.acknowledged) >= goal, "webhooks get on", within_s=WITHIN_S
                )
                await kill(site, victim)
            goal = len(studio.acknowledged) + STEP
            await until(lambda: len(studio.acknowledged) >= goal, "webhooks get on", within_s=WITHIN_S)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
    assert studio.statuses <= {202, 503}
    assert all(len(ids) == 1 for ids in studio.acknowledged.values()), "a repeat got the first one's id"
    connection = await site.connect()
    try:
        await connection.execute("SET search_path = croupier")
        kept = {row["delivery_id"]: row["id"] for row in await connection.fetch("SELECT * FROM delivery")}
        assert await connection.fetch(ONE_PLACE) == []
    finally:
        await connection.close()
    assert {name: {f"dlv_{kept[name].hex}"} for name in studio.acknowledged} == studio.acknowledged


async def kill(site: CrashSite, victim: int | None) -> None:
    """Kill one of the workers, or the database."""
    if victim is not None:
        await until(lambda: len(site.worker_pids()) == 2, "two workers serve", within_s=WITHIN_S)
        os.kill(site.worker_pids()[victim], signal.SIGKILL)
        return
    pid = site.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: site.postmaster_pid() not in (None, pid), "the database is back", within_s=WITHIN_S)
