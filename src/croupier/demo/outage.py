"""The native provider's outage: it comes back, its webhooks are worked off, and what became of them is counted."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import asyncpg
from msgspec import Struct

from croupier.demo.inbox import Inbox
from croupier.demo.proofs import Webhooks, count_sessions
from croupier.demo.settings import NATIVE
from croupier.demo.studio import Studio


class Storm(Struct, frozen=True):
    """A storm that was worked off so many seconds after it began; `open_sessions` is how many waited for it."""

    report: dict[str, Any]
    open_sessions: int
    drained_s: float


async def weather(connection: asyncpg.Connection, studio: Studio, inbox: Inbox, *, seed: int) -> Storm:
    """Let the provider come back, and wait until its webhooks are worked off."""
    sessions = await count_sessions(connection)
    began = time.monotonic()
    report = await studio.come_back(seed)
    await inbox.drain(most_failed=len(report["poison"]))
    waited = sessions.get("pending_settlement", 0) + sessions.get("active", 0)
    return Storm(report, waited, round(time.monotonic() - began, 3))


async def count_webhooks(studio: Studio, inbox: Inbox, storm: Storm, *, redriven: int) -> Webhooks:
    """All webhooks of the demo, in the storm and before it."""
    told, dead = await studio.count_webhooks(), await inbox.load_dead()
    planted = set(told["poison"])
    return Webhooks(
        sent=told["sent"],
        accepted=told["accepted"],
        duplicates=told["duplicates"]["absorbed"],
        unexpected=told["unexpected"],
        undelivered=storm.report["waiting"],
        held=storm.report["held"],
        dark_s=storm.report["dark_s"],
        planted=told["attacks"]["planted"],
        refused=told["attacks"]["refused"],
        examples=tuple(told["wrong"]),
        open_sessions=storm.open_sessions,
        stored=await inbox.count_accepted(NATIVE.id),
        pending=(await inbox.count_pending())[0],
        results=await inbox.load_results(),
        dead=dict(Counter(dead.values())),
        strays=len(planted.symmetric_difference(dead)),
        redriven=redriven,
        drained_s=storm.drained_s,
    )
