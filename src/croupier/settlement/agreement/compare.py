"""One part compared: what the wallet lists against what it told us, what is booked and what providers asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import structs

from croupier.settlement.agreement.records import (
    LACKS_ENTRY,
    LACKS_MOVEMENT,
    NOT_EVEN,
    OTHER_AMOUNT,
    OTHER_ASKED,
    OTHER_HOLDER,
    REFUSED_CREDIT,
    TWICE,
    UNASKED_ENTRY,
    UNKNOWN_MOVEMENT,
    UNSETTLED,
    Agreement,
    Difference,
    Held,
    Listed,
    Part,
    Unasked,
)
from croupier.wallet.calls import OPEN, Booked, CallState

APPROVED_REFERENCE: Final = "approved"
ROLLBACK_ACTION: Final = "rollback"


def stray_references(held: Iterable[Held], recorded: Iterable[Listed]) -> tuple[str, ...]:
    """The references of movements recorded in a window that none of its calls accounts for, in order."""
    known = {call.name for call in held}
    return tuple(sorted({one.reference for one in recorded if one.reference not in known}))


def compare(part: Part, now: datetime) -> Agreement:
    """What the sides agree about in one part, and every difference; what is younger than its deadline is under way."""
    comparison = _Comparison(part, now)
    for call in part.held:
        comparison.judge(call)
    comparison.judge_strays()
    for entry in part.unasked:
        comparison.judge_unasked(entry)
    return comparison.agreement()


class _Comparison:
    """The work on one part."""

    def __init__(self, part: Part, now: datetime) -> None:
        self._part = part
        self._now = now
        self._result = Agreement()
        self._found: dict[tuple[str, str], Difference] = {}

    def agreement(self) -> Agreement:
        """The result, differences in the order of their subjects."""
        self._result.differences = sorted(self._found.values(), key=lambda one: (one.subject, one.kind))
        self._result.kinds = dict(Counter(one.kind for one in self._result.differences))
        return self._result

    def judge(self, call: Held) -> None:
        """Compare a settled call with everything; one that was undone is compared with its undoing."""
        if call.state == CallState.UNDONE or call.state in OPEN:
            return
        before = len(self._found), self._result.under_way
        mine = self._count_theirs(one for one in self._listed(call.name) if call.lives(one.recorded_at))
        self._result.calls += 1
        if call.booked == Booked.NEVER:
            self._judge_undoing(call, mine)
        else:
            self._judge_movements(call, mine)
            self._judge_entry(call)
            self._judge_asked(call)
        self._result.agreed += (len(self._found), self._result.under_way) == before

    def judge_strays(self) -> None:
        """Look at every movement of the window that belongs to no call which was settled in it."""
        mine = {call.name: call for call in self._part.held}
        for reference, inside in _by_reference(self._part.recorded).items():
            call = mine.get(reference) or self._part.elsewhere.get(reference)
            if call is not None and call.state not in OPEN:
                inside = [one for one in inside if not call.lives(one.recorded_at)]
            if inside:
                self._judge_stray(call, inside)

    def judge_unasked(self, entry: Unasked) -> None:
        """An entry that moves a mirror although nobody asked the wallet for it."""
        self._result.of(entry.asset).ledger += entry.change
        explanation = (
            f"entry {entry.entry_id} ({entry.kind}, {entry.provider} {entry.reference}) moves {entry.change:+d} minor "
            "units of the player's, and the operator's wallet was never asked for it"
        )
        self._note(
            Difference(
                kind=UNASKED_ENTRY,
                subject=f"{entry.provider}:{entry.reference}",
                explanation=explanation,
                provider=entry.provider,
                player_id=entry.player_id,
                asset=entry.asset,
                amount=abs(entry.change),
                since=entry.recorded_at,
                gaps=((entry.asset, -entry.change),),
                session_id=entry.session_id,
                round_id=entry.round_id,
            )
        )

    def _listed(self, reference: str) -> Sequence[Listed]:
        return self._part.listed.get(reference, ())

    def _count_theirs(self, movements: Iterable[Listed]) -> list[Listed]:
        counted = list(movements)
        self._result.movements += len(counted)
        for one in counted:
            self._result.of(one.asset).theirs += one.change
        return counted

    def _judge_movements(self, call: Held, mine: list[Listed]) -> None:
        """What the wallet lists against what it told us."""
        expected = call.expected
        self._result.of(call.asset).ours += expected
        if not expected:
            if mine:
                text = f"lists {_told(mine)}, and told us {call.state} ({call.reason or 'no reason'})"
                self._differ(call, UNKNOWN_MOVEMENT, text, gaps=_changes(mine))
            return
        if not mine:
            text = f"approved {expected:+d} and does not list it"
            self._differ(call, LACKS_MOVEMENT, text, gaps={call.asset: -expected})
            return
        right = next((one for one in mine if _is_as_told(call, one)), None)
        first = right or mine[0]
        if right is None:
            gaps = _changes([first])
            gaps[call.asset] = gaps.get(call.asset, 0) - expected
            is_ours = (first.player_id, first.asset) == (call.player_id, call.asset)
            told = f"{call.operation} {expected:+d} of {call.player_id} in {call.asset}"
            text = f"lists {_told([first])}, and told us {told}"
            self._differ(call, OTHER_AMOUNT if is_ours else OTHER_HOLDER, text, gaps=gaps)
        self._judge_more(call, [one for one in mine if one is not first])

    def _judge_more(self, call: Held, more: list[Listed], name: str | None = None) -> None:
        if more:
            text = f"lists {_told(more)} beside the first movement of this reference"
            self._differ(call, TWICE, text, gaps=_changes(more), subject=name)

    def _judge_entry(self, call: Held) -> None:
        """What is booked against what the wallet told us."""
        booked, expected = call.entry_change or 0, call.expected
        sums = self._result.of(call.asset)
        sums.ledger += booked
        if booked == expected:
            return
        gaps = {call.asset: expected - booked}
        if call.entry_change is None:
            if call.deadline > self._now:
                # Another bet of the same call may still be asked: all of them are booked, or none.
                sums.under_way += expected
                self._result.under_way += 1
                return
            self._differ(
                call, LACKS_ENTRY, f"approved {expected:+d}, and nothing is booked for it", gaps=gaps
            )
        elif call.state == CallState.APPROVED:
            self._differ(
                call, OTHER_AMOUNT, f"told us {expected:+d}, and {booked:+d} is booked here", gaps=gaps
            )
        elif call.state == CallState.REFUSED and call.booked == Booked.BEFORE:
            text = (
                f"refused it ({call.reason}), and {booked:+d} is booked here: the player has not got it there"
            )
            self._differ(call, REFUSED_CREDIT, text, gaps=gaps)
        else:
            text = f"told us {call.state}, and {booked:+d} is booked here all the same"
            self._differ(call, UNASKED_ENTRY, text, gaps=gaps)

    def _judge_asked(self, call: Held) -> None:
        """What the provider asked for against what we asked of the wallet."""
        asked = call.asked
        if asked is None or asked.status != APPROVED_REFERENCE or call.entry_change is None:
            return
        # A rollback moves what is left of its target, whatever it names.
        amount = call.amount if asked.action == ROLLBACK_ACTION else asked.amount
        if (asked.player_id, asked.asset, amount) != (call.player_id, call.asset, call.amount):
            text = (
                f"was asked for {call.amount} of {call.player_id} in {call.asset}, and the provider asked for "
                f"{asked.amount} of {asked.player_id} in {asked.asset}"
            )
            self._differ(call, OTHER_ASKED, text, gaps={})

    def _judge_undoing(self, call: Held, mine: list[Listed]) -> None:
        """What was undone and its undoing are even at the wallet, or neither is there."""
        target = call.target
        assert target is not None, "what is never booked undoes a call"  # noqa: S101 (narrowing)
        undone = self._count_theirs(one for one in self._listed(target.name) if target.lives(one.recorded_at))
        self._judge_more(call, undone[1:], target.name)
        self._judge_more(call, mine[1:])
        pair = [*undone[:1], *mine[:1]]
        for one in pair:
            if (one.player_id, one.asset) != (call.player_id, call.asset):
                self._differ(call, OTHER_HOLDER, f"lists {_told([one])}", gaps={}, subject=one.reference)
        gaps = {asset: change for asset, change in _changes(pair).items() if change}
        if not gaps:
            return
        if call.state == CallState.APPROVED and call.moved and not mine:
            text = f"undid {target.name} by {call.moved} and does not list that"
            self._differ(call, LACKS_MOVEMENT, text, gaps=gaps)
        else:
            text = f"lists {_told(pair)} of what was undone by {call.name}: that should be even"
            self._differ(call, NOT_EVEN, text, gaps=gaps, subject=target.name)

    def _judge_stray(self, call: Held | None, inside: list[Listed]) -> None:
        if call is not None and call.state in OPEN:
            self._judge_unsettled(call, inside)
            return
        self._count_theirs(inside)
        if call is None:
            self._note_unknown(inside)
        elif call.expected or (call.booked == Booked.NEVER and call.moved):
            self._judge_more(call, inside)
        else:
            text = f"lists {_told(inside)}, which is outside the life of a call that is {call.state}"
            self._differ(call, UNKNOWN_MOVEMENT, text, gaps=_changes(inside))

    def _judge_unsettled(self, call: Held, inside: list[Listed]) -> None:
        if call.deadline > self._now:
            self._result.under_way += len(inside)
            return
        self._count_theirs(inside)
        gaps = _changes(inside)
        if call.entry_change:
            self._result.of(call.asset).ledger += call.entry_change
            gaps[call.asset] = gaps.get(call.asset, 0) - call.entry_change
        text = f"lists {_told(inside)}, and the call is {call.state} ({call.reason}) here past its deadline"
        self._differ(call, UNSETTLED, text, gaps=gaps)

    def _note_unknown(self, inside: list[Listed]) -> None:
        first, gaps = inside[0], _changes(inside)
        self._note(
            Difference(
                kind=UNKNOWN_MOVEMENT,
                subject=first.reference,
                explanation=f"the operator's wallet lists {_told(inside)} under a reference that was never asked",
                provider=None,
                player_id=first.player_id,
                asset=first.asset,
                amount=abs(gaps.get(first.asset, 0)),
                since=first.recorded_at,
                gaps=_sorted(gaps),
            )
        )

    def _differ(
        self, call: Held, kind: str, text: str, *, gaps: Mapping[str, int], subject: str | None = None
    ) -> None:
        self._note(
            Difference(
                kind=kind,
                subject=subject or call.name,
                explanation=f"{call.provider} {call.reference}, {call.name}: the operator's wallet {text}",
                provider=call.provider,
                player_id=call.player_id,
                asset=call.asset,
                amount=abs(gaps.get(call.asset, 0)) or call.moved or call.amount,
                since=call.settled_at or call.asked_at,
                gaps=_sorted(gaps),
                session_id=call.session_id,
                round_id=call.round_id,
            )
        )

    def _note(self, found: Difference) -> None:
        """Keep a difference; two of one kind about one subject are one."""
        key = (found.kind, found.subject)
        before = self._found.get(key)
        if before is not None:
            gaps = dict(before.gaps)
            for asset, change in found.gaps:
                gaps[asset] = gaps.get(asset, 0) + change
            explanation = f"{before.explanation}; {found.explanation}"
            found = structs.replace(before, explanation=explanation, gaps=_sorted(gaps))
        self._found[key] = found


def _is_as_told(call: Held, one: Listed) -> bool:
    told = (call.player_id, call.asset, call.operation, call.moved, call.expected)
    return (one.player_id, one.asset, one.operation, one.amount, one.change) == told


def _by_reference(movements: Iterable[Listed]) -> dict[str, list[Listed]]:
    found: dict[str, list[Listed]] = {}
    for one in movements:
        found.setdefault(one.reference, []).append(one)
    return found


def _changes(movements: Iterable[Listed]) -> dict[str, int]:
    changes: dict[str, int] = {}
    for one in movements:
        changes[one.asset] = changes.get(one.asset, 0) + one.change
    return changes


def _told(movements: Sequence[Listed]) -> str:
    told = [
        f"{one.operation} {one.change:+d} of {one.player_id} in {one.asset} at {one.recorded_at:%Y-%m-%dT%H:%M:%SZ} "
        f"({one.wallet_reference or 'without an id of theirs'})"
        for one in movements[:3]
    ]
    if len(movements) > len(told):
        told.append(f"{len(movements) - len(told)} more")
    return " and ".join(told)


def _sorted(gaps: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((asset, change) for asset, change in gaps.items() if change))
