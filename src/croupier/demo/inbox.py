"""What an on-call engineer does once a provider is back: wait for the inbox, redrive what is dead, replay all of it."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from croupier.demo.studio import DemoFailed
from croupier.inbox.dead import Selection, redrive
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/demo/proofs.sql")
DRAINED_S: Final = 60.0
POLL_S: Final = 0.05
COMMAND_S: Final = 120.0
WINDOW: Final = "12h"
"""Longer than any demo plays."""
_ACTOR: Final = "demo"
_REASON: Final = "the demo's provider was dark"


class Replayed(Struct, frozen=True, kw_only=True):
    """A replay of everything that ever came by webhook, as its proof has it; `moved` is text of minor units by asset.

    `already_applied` counts deliveries whose fact was in the books, `failed` those that nobody can read.
    """

    deliveries: int
    already_applied: int
    failed: int
    moved: dict[str, str]
    double_effects: int
    digest_equal: bool
    is_proven: bool


class Inbox:
    """The deployment's inbox, read and worked on in its database."""

    def __init__(self, connection: asyncpg.Connection, config_path: Path) -> None:
        self._connection = connection
        self._config_path = config_path

    async def drain(self, *, most_failed: int = 0) -> None:
        """Wait until no delivery is unfinished, but for so many that were tried in vain.

        Raises DemoFailed when that does not come.
        """
        deadline = time.monotonic() + DRAINED_S
        while True:
            pending, failed = await self.count_pending()
            if pending <= min(failed, most_failed):
                return
            if time.monotonic() > deadline:
                raise DemoFailed(f"{pending} webhooks are still unfinished, {failed} of them failed before")
            await asyncio.sleep(POLL_S)

    async def count_pending(self) -> tuple[int, int]:
        """How many deliveries are in the queue, and how many of those were tried in vain."""
        row = await self._connection.fetchrow(_SQL["pending_deliveries"].sql)
        return row["pending"], row["failed"]

    async def load_results(self) -> dict[str, int]:
        """How many deliveries were finished, by what they came to."""
        rows = await self._connection.fetch(_SQL["deliveries_by_result"].sql)
        return {row["result"]: row["deliveries"] for row in rows}

    async def load_dead(self) -> dict[str, str]:
        """The cause of each dead letter, by the provider's id of the delivery."""
        rows = await self._connection.fetch(_SQL["dead_letters"].sql)
        return {row["delivery_id"]: row["cause"] for row in rows}

    async def count_accepted(self, provider: str) -> int:
        """How many deliveries of a provider are stored."""
        return int(await self._connection.fetchval(_SQL["accepted_deliveries"].sql, provider))

    async def redrive(self, provider: str) -> int:
        """Give all dead letters of a provider another chance; how many there were."""
        wanted = Selection(provider=provider)
        now = datetime.now(UTC)
        return len(await redrive(self._connection, wanted, actor=_ACTOR, reason=_REASON, now=now))

    async def replay(self) -> Replayed:
        """Take everything that came through the money path once more, by the command that a person would use.

        Raises DemoFailed with what it said when it fails.
        """
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "croupier.cli.main",
                "--config",
                str(self._config_path),
                "--json",
                "--yes",
            ),
            *("inbox", "replay", "--from", WINDOW, "--to", "now", "--reason", _REASON),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaint = await asyncio.wait_for(process.communicate(), COMMAND_S)
        try:
            document: dict[str, Any] = msgspec.json.decode(output)
        except msgspec.DecodeError:
            document = {"error": complaint.decode(errors="replace").strip()}
        if "error" in document:
            raise DemoFailed(f"`croupier inbox replay`: {document['error']}")
        return read_replay(document)


def read_replay(document: dict[str, Any]) -> Replayed:
    """What a finished replay's document proves; raises DemoFailed for one that did not get so far."""
    proof, results = document["proof"], document["results"]
    if proof is None:
        raise DemoFailed(f"the replay ended {document['state']} after {document['done']} deliveries")
    money = proof["effects"]["applied"]["money"]
    return Replayed(
        deliveries=document["done"],
        already_applied=sum(
            count for result, count in results.items() if result not in ("applied", "failed")
        ),
        failed=results.get("failed", 0),
        moved={asset: moves["net"] for asset, moves in money.items()},
        double_effects=proof["doubles"]["count"],
        digest_equal=proof["ledger"]["unchanged"],
        is_proven=proof["held"],
    )
