"""The proof of a replay: the ledger kept what it had, gained what the plan promised, and nothing twice."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.ids import DELIVERY, render_id
from croupier.inbox.replay.digest import LedgerDigest, Part, load_digest, parse_part, render_part, settled_id
from croupier.inbox.replay.job import Job
from croupier.inbox.replay.plan import Moves, render_moves
from croupier.runtime.statements import load_statements
from croupier.settlement.audit import LedgerReport, check_ledger
from croupier.settlement.audit.snapshot import one_snapshot

MOST_SHOWN: Final = 20

_SQL: Final = load_statements("croupier/inbox/replay/proof.sql")


class Effects(Struct, frozen=True):
    """How many deliveries had an effect, and what it moved in players' wallets by asset."""

    deliveries: int
    money: dict[str, Moves]


class Difference(Struct, frozen=True):
    """A delivery on which run and plan differ. Amounts are text of whole minor units; `why` explains it or does not."""

    delivery: str
    provider: str | None
    type: str | None
    reference: str | None
    player_id: str | None
    asset: str | None
    planned: str | None
    moved: str | None
    result: str | None
    code: str | None
    why: str


class Proof(Struct, frozen=True, kw_only=True):
    """Everything that was compared. `differences` and `doubles` hold the first, the counts are of all.

    `applied` is what the replay recorded, `moved` what the entries say that came by it.
    """

    before: LedgerDigest
    after: LedgerDigest
    planned: Effects
    applied: Effects
    moved: dict[str, Moves]
    differences: tuple[Difference, ...]
    differing: int
    unexplained: int
    undecided: int
    doubles: tuple[str, ...]
    doubled: int
    ledger: LedgerReport | None

    @property
    def by_others(self) -> int:
        """Entries that somebody else wrote meanwhile."""
        return self.after.whole.entries.rows - self.before.whole.entries.rows - self.after.own.entries.rows

    @property
    def is_kept(self) -> bool:
        """Whether everything that was there before is there as it was."""
        return self.before.kept.digest == self.after.kept.digest

    @property
    def is_sum(self) -> bool:
        """Whether the ledger is what it was and the replay's own entries, to the bit; not judged under live traffic."""
        if self.by_others:
            return self.by_others > 0
        pairs = zip(self.before.whole.sums, self.after.own.sums, self.after.whole.sums, strict=True)
        return all(before + own == after for before, own, after in pairs)

    @property
    def is_equal(self) -> bool:
        """Whether what was applied is what the plan promised, delivery by delivery and in sum."""
        return not self.differing and self.planned == self.applied

    @property
    def is_explained(self) -> bool:
        """Whether the ledger agrees with the record, and what the plan did not foresee was somebody else's doing."""
        is_foreseen = self.is_equal or (self.differing > 0 and not self.unexplained)
        return is_foreseen and self.applied.money == self.moved

    @property
    def is_held(self) -> bool:
        """Whether the replay did what its plan said and nothing else."""
        is_clean = self.ledger is None or self.ledger.is_held
        return self.is_kept and self.is_sum and self.is_explained and not self.doubled and is_clean


async def load_ledger(connection: asyncpg.Connection, job_id: Any, via: str, at: Any) -> LedgerDigest:
    """The ledger as it is before a job that begins now, in one snapshot."""
    async with one_snapshot(connection):
        return await load_digest(connection, settled=settled_id(at), via=via, replay=job_id)


def render_ledger(digest: LedgerDigest) -> dict[str, Any]:
    """A digest as a job keeps it."""
    return {
        "whole": render_part(digest.whole),
        "kept": render_part(digest.kept),
        "own": render_part(digest.own),
    }


async def prove(connection: asyncpg.Connection, job: Job, *, is_checked: bool = False) -> Proof:
    """Compare the ledger with what it was before the job, and the run with its plan; with `is_checked` audit it all."""
    before = LedgerDigest(*(parse_part(job.progress.ledger[name]) for name in ("whole", "kept", "own")))
    settled = settled_id(job.created_at)
    async with one_snapshot(connection):
        after = await load_digest(connection, settled=settled, via=job.subject, replay=job.id)
        planned = _effects(await connection.fetch(_SQL["load_expected"].sql, job.id))
        applied = _effects(await connection.fetch(_SQL["load_applied"].sql, job.id))
        moved = await connection.fetch(_SQL["load_moved"].sql, settled, job.subject)
        differences = await connection.fetch(
            _SQL["load_differences"].sql, job.id, job.subject, job.planned_at, settled, MOST_SHOWN
        )
        doubles = await connection.fetch(_SQL["load_doubles"].sql, job.id, MOST_SHOWN)
    return Proof(
        before=before,
        after=after,
        planned=planned,
        applied=applied,
        moved=_moves(moved),
        differences=tuple(_difference(row) for row in differences),
        differing=differences[0]["found"] if differences else 0,
        unexplained=differences[0]["unexplained"] if differences else 0,
        undecided=differences[0]["undecided"] if differences else 0,
        doubles=tuple(f"{row['provider']} {row['reference']}: {row['entries']} entries" for row in doubles),
        doubled=doubles[0]["found"] if doubles else 0,
        ledger=await check_ledger(connection) if is_checked else None,
    )


def _effects(rows: list[asyncpg.Record]) -> Effects:
    return Effects(sum(row["deliveries"] for row in rows), _moves(rows))


def _moves(rows: list[asyncpg.Record]) -> dict[str, Moves]:
    """By asset; what moved nothing, such as the end of a round, is left out."""
    moves = {row["asset"]: Moves(int(row["credits"]), int(row["debits"])) for row in rows}
    return {asset: one for asset, one in moves.items() if one.credits or one.debits}


def _difference(row: asyncpg.Record) -> Difference:
    return Difference(
        delivery=render_id(DELIVERY, row["id"]),
        provider=row["provider"],
        type=row["type"],
        reference=row["reference"],
        player_id=row["player_id"],
        asset=row["asset"],
        planned=row["expected"],
        moved=row["moved"],
        result=row["result"],
        code=row["code"],
        why=row["why"],
    )


def render_proof(proof: Proof) -> dict[str, Any]:
    """A proof as a JSON document; money is text of whole minor units."""
    own = proof.after.own.entries.rows
    return {
        "held": proof.is_held,
        "ledger": {
            "before": _render_size(proof.before.whole),
            "after": _render_size(proof.after.whole),
            "unchanged": proof.before.whole.digest == proof.after.whole.digest,
            "kept": {
                "before": proof.before.kept.digest,
                "after": proof.after.kept.digest,
                "held": proof.is_kept,
            },
            "sum": {"held": proof.is_sum, "judged": proof.by_others == 0},
            "added": {"by_replay": own, "by_others": proof.by_others},
        },
        "effects": {
            "planned": _render_effects(proof.planned),
            "applied": _render_effects(proof.applied),
            "equal": proof.is_equal,
            "recorded": proof.applied.money == proof.moved,
        },
        "differences": {
            "count": proof.differing,
            "unexplained": proof.unexplained,
            "undecided": proof.undecided,
            "first": list(proof.differences),
        },
        "doubles": {"count": proof.doubled, "first": list(proof.doubles)},
        "check": None if proof.ledger is None else proof.ledger.invariants(),
    }


def _render_size(part: Part) -> dict[str, Any]:
    return {"digest": part.digest, "entries": part.entries.rows, "postings": part.postings.rows}


def _render_effects(effects: Effects) -> dict[str, Any]:
    return {"deliveries": effects.deliveries, "money": render_moves(effects.money)}
