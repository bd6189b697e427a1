"""What the demo claims at its end, each claim looked up in the books and not in what the players were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec
from msgspec import Struct

from croupier.demo.brownout import Brownout
from croupier.demo.door import Door
from croupier.demo.inbox import Replayed
from croupier.demo.reading_along import ReadingAlong
from croupier.demo.rollout import Rolled
from croupier.demo.wallet_proofs import WalletEvidence
from croupier.ids import JOURNAL, parse_id
from croupier.runtime.statements import load_statements
from croupier.settlement.audit import LedgerReport, ReplayReport

_SQL: Final = load_statements("croupier/demo/proofs.sql")
HELD: Final = "held"
TOLD: Final = "told"
"""What a provider's book calls a fact that only a webhook told."""


class Webhooks(Struct, frozen=True, kw_only=True):
    """What was told by webhook: first by the provider's own count, then, from `stored`, by ours.

    `held` facts waited while the provider was dark for so many seconds, and `open_sessions` with them. `undelivered`
    were taken by nobody; `strays` are dead letters that nobody planted, and planted ones that are none.
    """

    sent: int
    accepted: int
    duplicates: int
    unexpected: int
    undelivered: int
    held: int
    dark_s: float
    planted: dict[str, int]
    refused: dict[str, int]
    examples: tuple[str, ...]
    open_sessions: int
    stored: int
    pending: int
    results: dict[str, int]
    dead: dict[str, int]
    strays: int
    redriven: int
    drained_s: float

    @property
    def lost(self) -> int:
        """How many were accepted and are nowhere, or were never accepted and are somewhere (I4)."""
        found = sum(self.results.values()) + self.pending + sum(self.dead.values())
        return abs(self.stored - self.accepted) + abs(self.stored - found)


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything the verdicts are made from; `wallet` where the operator's is the one."""

    ledger: LedgerReport
    replay: ReplayReport
    acknowledged: int
    unaccounted: tuple[str, ...]
    repeat_violations: int
    unexpected: int
    planted: dict[str, int]
    refused: dict[str, int]
    nonces_spent: int
    unresolved: int
    sessions: dict[str, int]
    examples: tuple[str, ...]
    webhooks: Webhooks
    replay_of_webhooks: Replayed
    brownout: Brownout
    door: Door
    rolled: Rolled
    reading: ReadingAlong
    wallet: WalletEvidence | None = None


def judge(evidence: Evidence) -> dict[str, str]:
    """A verdict on each invariant the demo can speak about: `held`, or `broken: ` and why."""
    checks, webhooks, again = evidence.ledger.invariants(), evidence.webhooks, evidence.replay_of_webhooks
    lost = sum(abs(count - evidence.refused.get(kind, 0)) for kind, count in evidence.planted.items())
    waiting = 0 if evidence.wallet is None else evidence.wallet.waiting
    unfinished = sum(
        count for state, count in evidence.sessions.items() if state not in ("settled", "cancelled", "failed")
    )
    return {
        "I1": checks.get("I1", HELD),
        "I2": _worse(
            _worse(
                checks.get("I2", HELD),
                evidence.repeat_violations,
                f"{evidence.repeat_violations} repeats differ",
            ),
            again.double_effects,
            f"{again.double_effects} effects are there twice",
        ),
        "I3": _verdict(
            len(evidence.unaccounted), f"acknowledged and not found: {', '.join(evidence.unaccounted[:3])}"
        ),
        "I4": _worse(
            checks.get("I4", HELD),
            webhooks.lost + webhooks.strays,
            f"{webhooks.accepted} webhooks were accepted and {webhooks.lost} cannot be accounted for; "
            f"{webhooks.strays} are dead letters that nobody planted",
        ),
        "I5": _worse(
            _worse(
                checks.get("I5", HELD),
                evidence.replay.count,
                f"{evidence.replay.count} histories differ from their states",
            ),
            len(evidence.door.faults),
            "; ".join(evidence.door.faults),
        ),
        **({} if evidence.wallet is None else {"I6": _judge_wallet(checks.get("I6", HELD), evidence.wallet)}),
        "I7": _worse(
            _verdict(evidence.unexpected, f"{evidence.unexpected} decisions the order rules do not allow"),
            not again.is_proven or not again.digest_equal,
            f"a replay of all webhooks changes the books: {again.moved or 'see its proof'}",
        ),
        "I8": _verdict(lost, f"{lost} attacks did not get the refusal they are owed"),
        "I10": _worse(
            checks.get("I10", HELD),
            unfinished + evidence.unresolved + waiting + webhooks.undelivered + webhooks.pending,
            f"{unfinished} sessions, {evidence.unresolved + waiting} calls and "
            f"{webhooks.undelivered + webhooks.pending} webhooks are open",
        ),
        "I12": _verdict(
            *_counted(evidence.brownout.faults + evidence.rolled.faults + evidence.reading.faults)
        ),
    }


def _judge_wallet(verdict: str, wallet: WalletEvidence) -> str:
    """Whether wallet and books agree; whatever an honest wallet does, nobody has to look into it."""
    differences, breaks = wallet.faults_of_agreement, sum(wallet.breaks.values())
    verdict = _worse(verdict, len(differences), "; ".join(differences[:3]))
    return _worse(
        verdict, breaks, f"{breaks} findings about a wallet that is honest: {', '.join(wallet.breaks)}"
    )


def _counted(faults: tuple[str, ...]) -> tuple[int, str]:
    return len(faults), "; ".join(faults)


def _verdict(faults: int, why: str) -> str:
    return HELD if faults == 0 else f"broken: {why}"


def _worse(verdict: str, faults: int, why: str) -> str:
    return verdict if verdict != HELD else _verdict(faults, why)


async def read_book(
    http: aiohttp.ClientSession, sandbox_url: str, account: str
) -> AsyncIterator[list[dict[str, Any]]]:
    """The provider's own record of what was acknowledged to one of its accounts, page by page."""
    since = 0
    while True:
        async with http.get(f"{sandbox_url}/book", params={"since": str(since), "account": account}) as reply:
            lines = (await reply.read()).splitlines()
        if not lines:
            return
        page = [msgspec.json.decode(line) for line in lines]
        since = page[-1]["seq"]
        yield page


async def find_unaccounted(
    connection: asyncpg.Connection, provider: str, page: Sequence[dict[str, Any]]
) -> list[str]:
    """The acknowledged references whose stored decision is missing or different (I3)."""
    rows = await connection.fetch(
        _SQL["stored_decisions"].sql, provider, [entry["reference"] for entry in page]
    )
    stored = {row["reference"]: row for row in rows}
    return [entry["reference"] for entry in page if not _agrees(entry, stored.get(entry["reference"]))]


async def find_missing_bets(
    connection: asyncpg.Connection, provider: str, page: Sequence[dict[str, Any]]
) -> list[str]:
    """The bets of a foreign protocol that were acknowledged as approved and are not stored so (I3).

    Such protocols tell no journal id, and codes of their own: whether the money agrees, wallets say.
    """
    told = [one["reference"] for one in page if one["action"] == "bet" and one["status"] == "approved"]
    return [row["reference"] for row in await connection.fetch(_SQL["missing_bets"].sql, provider, told)]


class Wallets:
    """What every player should have by what their providers were told, from deposits and books."""

    def __init__(self) -> None:
        self._expected: Counter[tuple[str, str]] = Counter()

    def add_deposit(self, player_id: str, asset: str, amount: int) -> None:
        """Count money that the casino put into a wallet, in minor units."""
        self._expected[(player_id, asset)] += amount

    def add_page(self, page: Sequence[dict[str, Any]]) -> None:
        """Count what a page of a provider's book says that it moved."""
        for entry in page:
            self._expected[(entry["player_id"], entry["asset"])] += int(entry["effect"])

    async def find_wrong(
        self, connection: asyncpg.Connection, *, elsewhere: Mapping[tuple[str, str], int] | None = None
    ) -> list[str]:
        """The wallets that hold something else, as `player/asset` (I3); `elsewhere` is what our books never saw."""
        rows = await connection.fetch(_SQL["player_balances"].sql)
        held = Counter({(row["owner"], row["asset"]): int(row["balance"]) for row in rows})
        for purse, amount in (elsewhere or {}).items():
            held[purse] += amount
        owners = sorted(self._expected.keys() | held.keys())
        return [f"{owner[0]}/{owner[1]}" for owner in owners if held[owner] != self._expected[owner]]


def _agrees(entry: dict[str, Any], row: Any) -> bool:
    if row is not None and entry["status"] == TOLD:
        return bool(row["status"] == "approved")
    if row is None or entry["status"] != row["status"] or entry["code"] != row["code"]:
        return False
    if entry["balance"] is not None and entry["balance"] != row["balance"]:
        return False
    journal_id = None if entry["journal_id"] is None else parse_id(JOURNAL, entry["journal_id"])
    return bool(journal_id == row["journal_id"])


async def count_sessions(connection: asyncpg.Connection) -> dict[str, int]:
    """How many sessions are in each state."""
    return {row["state"]: row["sessions"] for row in await connection.fetch(_SQL["sessions_by_state"].sql)}


async def count_nonces(connection: asyncpg.Connection) -> int:
    """How many nonces are remembered as spent."""
    return int(await connection.fetchval(_SQL["spent_nonces"].sql))
