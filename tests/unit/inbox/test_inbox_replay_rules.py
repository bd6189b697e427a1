"""The pure parts of a replay: batches, pace, results, the sums of a digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import (
    REFERENCE_CONFLICT,
    UNAVAILABLE,
    UNKNOWN_ROUND,
    UNKNOWN_SESSION,
    CroupierError,
    ErrorKind,
)
from croupier.inbox.replay.digest import LedgerDigest, Part, Sums, parse_part, render_part, settled_id
from croupier.inbox.replay.plan import Moves, render_moves
from croupier.inbox.replay.proof import Effects, Proof
from croupier.inbox.replay.reading import Unusable
from croupier.inbox.replay.results import FINISHED, judge
from croupier.inbox.replay.run import Pace
from croupier.inbox.replay.window import START, Batch, Batching, Key, Window
from croupier.moneypath.outcomes import ALREADY_PAID, APPROVED, DECLINED, OK, REPORTED, Outcome

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def batches_of(players: Sequence[str], size: int) -> list[Batch]:
    """Batches of deliveries that name these players in this order."""
    batching = Batching(size)
    taken = [batching.take(Key(player, UUID(int=number))) for number, player in enumerate(players)]
    return [batch for batch in (*taken, batching.rest()) if batch is not None]


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(1, 12))
def test_batches_hold_everything_in_order_and_split_nobody_who_fits(counts: list[int], size: int) -> None:
    players = [f"{number:02d}" for number, count in enumerate(counts) for _ in range(count)]
    made = batches_of(players, size)
    assert [key.player for batch in made for key in batch.keys] == players
    assert [key.id.int for batch in made for key in batch.keys] == list(range(len(players)))
    for before, batch in zip([None, *made], made, strict=False):
        assert 1 <= len(batch.keys) <= size
        goes_on = before is not None and before.keys[-1].player == batch.keys[0].player
        assert batch.is_continued == goes_on
        if goes_on:
            assert counts[int(batch.keys[0].player)] > size, "only who fills more than a batch is split"
            assert before is not None
            assert {key.player for key in before.keys} == {batch.keys[0].player}, "and goes alone"


def test_nothing_makes_no_batch() -> None:
    assert batches_of([], 5) == []


def test_a_window_looks_a_little_further_by_id_than_by_time() -> None:
    first, last, start, end, *_ = Window(start=NOW, end=NOW + timedelta(hours=1)).arguments()
    assert (start, end) == (NOW, NOW + timedelta(hours=1))
    assert first.int >> 80 == (NOW - timedelta(minutes=10)).timestamp() * 1000
    assert last.int >> 80 == (NOW + timedelta(minutes=70)).timestamp() * 1000
    assert Key("", first) > START


def test_a_slow_pace_takes_no_more_than_a_seconds_worth_at_once() -> None:
    assert Pace().step == 256
    assert Pace(10).step == 10
    assert Pace(10_000).step == 256
    assert Pace().wait_s(1_000, 0.1) == 0
    assert Pace(10).wait_s(30, 1.0) == pytest.approx(2.0)
    assert Pace(10).wait_s(30, 5.0) == 0


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome(APPROVED, OK, "w1"), "applied"),
        (Outcome(APPROVED, OK, "w1", is_repeat=True), "repeat"),
        (Outcome(DECLINED, "tombstoned", "w1", is_repeat=True), "repeat"),
        (Outcome(DECLINED, "tombstoned", "w1"), "refused"),
        (Outcome(APPROVED, ALREADY_PAID, "w1"), "nothing"),
        (Outcome(APPROVED, REPORTED, "s1"), "nothing"),
    ],
)
def test_an_outcome_has_one_result(outcome: Outcome, result: str) -> None:
    assert judge((outcome,)).result == result


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (REFERENCE_CONFLICT, "refused"),
        (UNKNOWN_SESSION, "unmatched"),
        (UNKNOWN_ROUND, "unmatched"),
        (UNAVAILABLE, "failed"),
    ],
)
def test_an_error_has_one_result(kind: ErrorKind, result: str) -> None:
    judged = judge(CroupierError(kind, "because"))
    assert (judged.result, judged.code) == (result, kind.code)
    assert (result in FINISHED) == (result == "refused")


def test_what_cannot_be_read_has_failed() -> None:
    judged = judge(Unusable("unknown_type", "nobody knows it"))
    assert (judged.result, judged.code, judged.detail) == ("failed", "unknown_type", "nobody knows it")
    assert judged.result not in FINISHED


def test_moves_keep_credits_and_debits_apart() -> None:
    moves = Moves()
    for moved in (5, -3, 0, 10**30, -1):
        moves.add(moved)
    assert render_moves({"ETH": moves}) == {
        "ETH": {"credits": str(10**30 + 5), "debits": "4", "net": str(10**30 + 1)}
    }


def part(digest: str, entries: Sums, postings: Sums = Sums()) -> Part:  # noqa: B008 (immutable)
    return Part(digest, entries, postings)


def test_a_part_of_a_digest_survives_its_document() -> None:
    one = part("ab", Sums(3, -(2**70), 2**90), Sums(9, 1, -1))
    assert parse_part(render_part(one)) == one


def test_entries_of_the_last_minute_are_not_called_settled() -> None:
    assert settled_id(NOW).int >> 80 == (NOW - timedelta(minutes=1)).timestamp() * 1000


NONE = part("none", Sums())
BEFORE = LedgerDigest(part("old", Sums(10, 100, -7)), part("kept", Sums(4, 1, 1)), NONE)
GREW = LedgerDigest(part("new", Sums(12, 130, -9)), part("kept", Sums(4, 1, 1)), part("own", Sums(2, 30, -2)))
PAID = Effects(2, {"EUR": Moves(30, 0)})


def proof(**fields: object) -> Proof:
    """The proof of a run that did what it should."""
    made: dict[str, object] = {
        "before": BEFORE,
        "after": GREW,
        "planned": PAID,
        "applied": PAID,
        "moved": PAID.money,
        "differences": (),
        "differing": 0,
        "unexplained": 0,
        "undecided": 0,
        "doubles": (),
        "doubled": 0,
        "ledger": None,
        **fields,
    }
    return Proof(**made)  # type: ignore[arg-type]


def test_a_proof_of_what_was_planned_holds() -> None:
    assert proof().is_held
    assert proof().by_others == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"doubled": 1},
        {"differing": 1, "unexplained": 1},
        {"applied": Effects(3, PAID.money)},
        {"applied": Effects(2, {"EUR": Moves(31, 0)}), "moved": {"EUR": Moves(31, 0)}},
        {"moved": {"EUR": Moves(31, 0)}},
        {"after": LedgerDigest(GREW.whole, part("other", Sums(4, 1, 2)), GREW.own)},
        {"after": LedgerDigest(part("new", Sums(12, 131, -9)), GREW.kept, GREW.own)},
        {"after": LedgerDigest(part("new", Sums(11, 130, -9)), GREW.kept, GREW.own)},
    ],
)
def test_a_proof_breaks_on_anything_else(fields: dict[str, object]) -> None:
    assert not proof(**fields).is_held


def test_live_traffic_is_counted_and_explains() -> None:
    busier = LedgerDigest(part("new", Sums(15, 999, 999)), GREW.kept, GREW.own)
    fewer = Effects(1, {"EUR": Moves(10, 0)})
    told = proof(after=busier, differing=1, applied=fewer, moved=fewer.money)
    assert told.by_others == 3
    assert told.is_held
    assert not told.is_equal
