"""What a shadow has found: grouped, bounded, never lost by a failed write, and judged (J2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from croupier.providers.registry import find_adapters
from croupier.providers.shadow import candidates
from croupier.providers.shadow.candidates import (
    CandidateUnusable,
    candidate_names,
    import_candidate,
    render_digest,
)
from croupier.providers.shadow.compare import (
    MOST,
    Difference,
    find_answer_differences,
    find_differences,
    pair_actions,
)
from croupier.providers.shadow.tally import EXAMPLES, LONGEST, MOST_KINDS, OTHER, Kind, Tally, Tried
from croupier.providers.shadow.trial import Result, Trial
from croupier.providers.shadow.verdict import Totals, judge_shadow

T0 = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)


def tried(*pairs: tuple[str, Any, Any], at: datetime = T0, result: Result = Result.DIFFERENT) -> Tried:
    found = tuple(one for path, live, other in pairs for one in find_differences(path, live, other))
    return Tried(
        operation="betwin", correlation_id=f"c-{at:%H%M%S}", at=at, request="{}", trial=Trial(result, found)
    )


def test_a_million_equal_differences_are_one_line_with_the_first_examples() -> None:
    tally = Tally()
    for number in range(1000):
        tally.note(tried(("actions[win].amount", number + 1, 100 * (number + 1))))
    ((kind, group),) = tally.groups.items()
    assert kind == Kind("betwin", "actions[win].amount", "number", "number ×100")
    assert (group.count, len(group.examples)) == (1000, EXAMPLES)
    assert [one.live for one in group.examples] == ["1", "2", "3"]


def test_a_kind_that_shows_twice_in_one_call_counts_once() -> None:
    tally = Tally()
    tally.note(tried(("a[]", 1, 100), ("a[]", 2, 200)))
    assert [group.count for group in tally.groups.values()] == [1]


def test_kinds_are_bounded_and_the_rest_is_counted_together() -> None:
    tally = Tally(frozenset(Kind("x", str(number), "", "") for number in range(MOST_KINDS - 1)))
    for number in range(10):
        tally.note(tried((f"new-{number}", 1, 2)))
    assert {kind: group.count for kind, group in tally.groups.items()} == {
        Kind("betwin", "new-0", "number", "other number"): 1,
        OTHER: 9,
    }


def test_what_a_candidate_calls_things_is_cut_and_has_no_zero_bytes() -> None:
    tally = Tally()
    odd = Difference("failure", "answered", "x\0" * 500, "a\0", "b\0")
    note = Tried(operation="bet", correlation_id="c", at=T0, request="", trial=Trial(Result.FAILED, (odd,)))
    tally.note(note)
    ((kind, group),) = tally.groups.items()
    assert kind.candidate == "x\ufffd" * (LONGEST // 2)
    assert (group.examples[0].live, group.examples[0].candidate) == ("a\ufffd", "b\ufffd")


def test_days_are_counted_apart() -> None:
    tally = Tally()
    tally.note(tried(result=Result.SAME))
    tally.note(tried(at=T0 + timedelta(seconds=1), result=Result.SAME))
    tally.note_dropped(3, T0)
    tally.note_dropped(0, T0)
    assert {f"{day} {name}": count for (day, name), count in tally.counts.items()} == {
        "2026-03-01 same": 1,
        "2026-03-02 same": 1,
        "2026-03-01 dropped": 3,
    }


def test_what_could_not_be_written_is_written_with_what_comes_next() -> None:
    tally = Tally()
    tally.note(tried(("a", 1, 2)))
    taken = tally.take()
    assert tally.is_empty
    tally.note(tried(("a", 3, 4), at=T0 + timedelta(seconds=5)))
    tally.put_back(taken)
    (group,) = tally.groups.values()
    assert (group.count, group.first_at, group.last_at) == (2, T0, T0 + timedelta(seconds=5))
    assert [one.live for one in group.examples] == ["1", "3"]
    assert sum(tally.counts.values()) == 2


def test_one_call_tells_no_more_than_is_bounded() -> None:
    live = [("Bet", {str(number): number for number in range(100)})]
    other = [("Bet", {str(number): number + 1 for number in range(100)})]
    assert len(pair_actions(live, other).differences) == MOST
    body, others = (str([{}] * 100 + [start]).encode() for start in (1, 2))
    assert len(find_answer_differences((200, body), (200, others))) == 1
    deep = b"[" * 50 + b"%d" + b"]" * 50
    (one,) = find_answer_differences((200, deep % 1), (200, deep % 2))
    assert one.shown_live == "***"


def test_a_path_takes_no_name_that_a_stranger_chose_freely() -> None:
    (one,) = find_differences("answer", {}, {"x" * 65: 1})
    assert one.path == "answer.?"
    (one,) = find_differences("answer", {}, {"a b\n": 1})
    assert one.path == "answer.?"


@pytest.mark.parametrize("secret", ["a-session-token-1234567890", "x" * 500, "A\nB"])
@pytest.mark.parametrize("path", ["answer.sid", "token_hash", "answer.reference", "answer.status"])
def test_texts_that_may_be_secrets_are_not_shown(path: str, secret: str) -> None:
    for one in find_differences(path, "other", secret):
        is_word = path == "answer.status" and len(secret) <= 32 and secret.isprintable()
        assert is_word or secret not in one.shown_candidate


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"same": 1000}, ()),
        ({"same": 1000, "dropped": 50, "skipped": 5}, ()),
        ({"same": 999}, ("999 calls were compared, 1000 are needed",)),
        ({"same": 999, "different": 1}, ("1 calls came out differently",)),
        ({"same": 5000, "refused": 2}, ("2 calls were refused by the candidate",)),
        ({"same": 5000, "failed": 1}, ("1 calls made the candidate fail",)),
        ({"same": 5000, "hung": 1}, ("1 calls were not done by the deadline",)),
        ({"dropped": 9999}, ("0 calls were compared, 1000 are needed",)),
    ],
)
def test_a_verdict_is_green_only_when_enough_was_compared_and_all_of_it_is_the_same(
    changes: dict[str, int], reasons: tuple[str, ...]
) -> None:
    verdict = judge_shadow(Totals(**changes), at_least=1000)
    assert verdict.reasons == reasons
    assert verdict.is_green is not bool(reasons)


def test_candidates_are_every_adapter_and_those_in_preparation_and_no_account_can_have_the_latter() -> None:
    assert set(candidate_names()) == {*find_adapters(), "softswiss_v3"}
    for name in candidate_names():
        assert import_candidate(name).manifest.id == name
    with pytest.raises(CandidateUnusable, match="no candidate is called acme_v1"):
        import_candidate("acme_v1")


def test_a_change_of_either_adapters_code_is_another_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = render_digest("softswiss_v3", "softswiss_v2")
    assert first == render_digest("softswiss_v3", "softswiss_v2") != render_digest("softswiss_v3", "hub88_v1")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter.py").write_text("one")
    monkeypatch.setattr(candidates, "_package", lambda name: name)
    monkeypatch.setattr(candidates.importlib.resources, "files", lambda name: tmp_path / name)
    render_digest.cache_clear()
    digests = [render_digest("a", "b")]
    for name in ("a", "b"):
        (tmp_path / name / "adapter.py").write_text("two")
        render_digest.cache_clear()
        digests.append(render_digest("a", "b"))
    render_digest.cache_clear()
    assert len(set(digests)) == 3
