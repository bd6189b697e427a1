"""Generated histories of a wallet and a ledger: what is planted is found, and nothing else (I6).

However windows and slices cut a history, each call is judged once, and every minor unit by which the sides differ is
explained by a named difference.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from croupier.settlement.agreement import Agreement, Held, Listed, Window, compare_window
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
)
from model.agreement import (
    DAWN,
    DEADLINE,
    History,
    MemorySides,
    asked_of,
    held,
    listed,
    name_of,
    statement_of,
    unasked,
    undone_pair,
)

HOURS = 5
END = DAWN + timedelta(hours=HOURS)
NOW = END + timedelta(minutes=5)
CLOCKS_S = 29

BOOKED_FAULTS = (
    "lost", "twice", "twice_later", "amount", "player", "asset", "no_entry", "entry", "provider",
)  # fmt: skip
REFUSED_FAULTS = ("moved_all_the_same", "booked_all_the_same")
PAIR_FAULTS = ("undoing_lost", "nothing_undone", "undone_alone")


class Draft(Struct, frozen=True):
    """One call to make: what it is, when it was asked, how long it took, and what is wrong with it."""

    form: str
    asked_s: int
    life_s: int
    amount: int
    asset: str
    player: int
    seed: int
    has_fault: bool


DRAFTS = st.builds(
    Draft,
    form=st.sampled_from(
        [
            "bet",
            "win",
            "bet_undone",
            "win_undone",
            "refused",
            "not_applied",
            "refused_win",
            "pair",
            "open",
            "stray",
        ]
    ),
    asked_s=st.integers(0, 3600 * (HOURS - 1)),
    life_s=st.one_of(st.integers(0, 3), st.integers(0, 120), st.integers(0, 3500)),
    amount=st.integers(1, 10**20),
    asset=st.sampled_from(["EUR", "BTC"]),
    player=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    has_fault=st.sampled_from([False, False, True]),
)


class Writer:
    """Writes a history, draft by draft."""

    def __init__(self, clock_s: int) -> None:
        self.history = History()
        self._clock = timedelta(seconds=clock_s)
        self._number = 0

    def write(self, draft: Draft) -> None:
        """Add one call and what belongs to it."""
        self._number += 1
        chance = Random(draft.seed)
        given = {
            "asked_at": DAWN + timedelta(seconds=draft.asked_s),
            "settled_at": DAWN + timedelta(seconds=draft.asked_s + draft.life_s),
            "amount": draft.amount,
            "moved": draft.amount,
            "asset": draft.asset,
            "player_id": f"player-{draft.player}",
        }
        match draft.form:
            case "pair":
                self._pair(*undone_pair(self._number, **given), draft, chance)
            case "open":
                self._open(held(self._number, **(given | _open_fields(chance))), chance)
            case "stray":
                self._stray(draft)
            case "refused" | "not_applied":
                self._refused(
                    held(self._number, **given | {"state": draft.form, "moved": None}), draft, chance
                )
            case "refused_win":
                fields = {"operation": "credit", "booked": "before", "state": "refused", "moved": None}
                self.history.held.append(refused := held(self._number, **given | fields))
                self.history.planted.append((REFUSED_CREDIT, refused.name))
            case _:
                self._approved(held(self._number, **given | _fields(draft, chance)), draft, chance)

    def _during(self, call: Held, chance: Random) -> datetime:
        """A moment of a call's life by their clock."""
        assert call.settled_at is not None
        life = call.settled_at - call.asked_at
        return call.asked_at + life * chance.randrange(1001) / 1000 + self._clock

    def _approved(self, call: Held, draft: Draft, chance: Random) -> None:
        history, fault = self.history, chance.choice(BOOKED_FAULTS) if draft.has_fault else None
        if not call.moved and fault is not None:
            fault = None
        movement = listed(call, self._during(call, chance))
        match fault:
            case "lost":
                history.planted.append((LACKS_MOVEMENT, call.name))
            case "twice" | "twice_later":
                history.planted.append((TWICE, call.name))
                at = self._during(call, chance)
                if fault == "twice_later":
                    at = min(at + timedelta(seconds=chance.randrange(1, 4000)), END - timedelta(seconds=1))
                history.listed.append(structs.replace(movement, recorded_at=at))
            case "amount":
                history.planted.append((OTHER_AMOUNT, call.name))
                other = movement.amount + chance.randrange(1, 50)
                movement = structs.replace(
                    movement, amount=other, change=other if movement.change > 0 else -other
                )
            case "player" | "asset":
                history.planted.append((OTHER_HOLDER, call.name))
                field = "player_id" if fault == "player" else "asset"
                movement = structs.replace(movement, **{field: "another"})
            case "no_entry":
                history.planted.append((LACKS_ENTRY, call.name))
                call = structs.replace(call, entry_change=None, asked=None)
            case "entry":
                history.planted.append((OTHER_AMOUNT, call.name))
                call = structs.replace(call, entry_change=(call.entry_change or 0) + chance.randrange(1, 50))
            case "provider":
                history.planted.append((OTHER_ASKED, call.name))
                call = structs.replace(call, asked=structs.replace(asked_of(call), player_id="another"))
        history.held.append(call)
        if fault != "lost" and movement.amount:
            history.listed.append(movement)

    def _refused(self, call: Held, draft: Draft, chance: Random) -> None:
        fault = chance.choice(REFUSED_FAULTS) if draft.has_fault else None
        if fault == "moved_all_the_same":
            self.history.planted.append((UNKNOWN_MOVEMENT, call.name))
            self.history.listed.append(listed(call, self._during(call, chance)))
        elif fault == "booked_all_the_same":
            self.history.planted.append((UNASKED_ENTRY, call.name))
            call = structs.replace(call, entry_change=-call.amount)
        self.history.held.append(call)

    def _pair(self, undone: Held, undoing: Held, draft: Draft, chance: Random) -> None:
        """Both were applied, or the undoing came first, or the undone one never; or one of them is missing."""
        history, fault = self.history, chance.choice(PAIR_FAULTS) if draft.has_fault else None
        movement = listed(undone, self._during(undone, chance))
        back = listed(undoing, self._during(undoing, chance), change=undone.amount)
        is_applied = chance.random() < 0.5 or fault is not None
        match fault:
            case "undoing_lost":
                history.planted.append((LACKS_MOVEMENT, undoing.name))
                history.listed.append(movement)
            case "nothing_undone":
                history.planted.append((NOT_EVEN, undone.name))
                undoing = structs.replace(undoing, moved=0, reason="nothing_to_roll_back")
                history.listed.append(movement)
            case "undone_alone":
                history.planted.append((NOT_EVEN, undone.name))
                history.listed.append(back)
            case _ if is_applied:
                history.listed.extend((movement, back))
            case _:
                undoing = structs.replace(undoing, moved=0, reason="nothing_to_roll_back")
        history.held.extend((undone, undoing))

    def _open(self, call: Held, chance: Random) -> None:
        """What is open and overdue is a difference once they moved it; nothing before that."""
        self.history.held.append(call)
        if chance.random() < 0.5:
            latest_s = int((END - call.asked_at).total_seconds()) - CLOCKS_S - 1
            at = call.asked_at + timedelta(seconds=chance.randrange(min(latest_s, 5_000))) + self._clock
            self.history.listed.append(listed(call, at))
            if call.deadline <= NOW:
                self.history.planted.append((UNSETTLED, call.name))

    def _stray(self, draft: Draft) -> None:
        at = DAWN + timedelta(seconds=draft.asked_s)
        if draft.has_fault:
            self.history.unasked.append(unasked(self._number, at, change=draft.amount))
            self.history.planted.append((UNASKED_ENTRY, f"operator:cash-{self._number}"))
        else:
            movement = Listed(
                reference=name_of(self._number),
                operation="credit",
                player_id="player-9",
                asset=draft.asset,
                amount=draft.amount,
                change=draft.amount,
                recorded_at=at,
            )
            self.history.listed.append(movement)
            self.history.planted.append((UNKNOWN_MOVEMENT, movement.reference))


def _fields(draft: Draft, chance: Random) -> dict[str, object]:
    """An approved call of each form; what is left of a spent win may be nothing."""
    if draft.form == "bet":
        return {}
    if draft.form == "win":
        return {"operation": "credit", "booked": "before"}
    if draft.form == "bet_undone":
        return {"operation": "rollback", "booked": "before"}
    return {"operation": "rollback", "moved": chance.choice([draft.amount, draft.amount // 2, 0])}


def _open_fields(chance: Random) -> dict[str, object]:
    deadline = chance.choice([DAWN + DEADLINE, END + DEADLINE])
    operation, booked = chance.choice([("debit", "after"), ("credit", "before")])
    state = chance.choice(["asked", "queued", "unknown"])
    return {"operation": operation, "booked": booked, "state": state, "settled_at": None, "moved": None,
            "deadline": deadline}  # fmt: skip


def cut(seconds: list[int]) -> list[Window]:
    """The whole history in windows that end at these seconds."""
    ends = [DAWN + timedelta(seconds=second) for second in sorted(set(seconds))]
    edges = [DAWN - timedelta(minutes=2), *ends, END]
    return [Window(start, end) for start, end in pairwise(edges)]


def compare_all(history: History, windows: list[Window], *, slice_calls: int, page: int) -> Agreement:
    """Everything that is found in all windows, differences too."""

    async def run() -> Agreement:
        total, sides = Agreement(), MemorySides(history)
        for window in windows:
            async for found in compare_window(
                sides, statement_of(history, page), window, lambda: NOW, slice_calls=slice_calls
            ):
                total.take_in(found)
                total.differences += found.differences
        return total

    return asyncio.run(run())


@settings(max_examples=250)
@given(
    drafts=st.lists(DRAFTS, max_size=25),
    clock_s=st.integers(-CLOCKS_S, CLOCKS_S),
    ends=st.lists(st.integers(1, HOURS * 3600 - 1), max_size=6),
    slice_calls=st.integers(1, 5),
    page=st.integers(1, 4),
)
def test_what_is_planted_is_found_and_nothing_else(
    drafts: list[Draft], clock_s: int, ends: list[int], slice_calls: int, page: int
) -> None:
    writer = Writer(clock_s)
    for draft in drafts:
        writer.write(draft)
    history = writer.history
    found = compare_all(history, cut(ends), slice_calls=slice_calls, page=page)
    assert sorted((one.kind, one.subject) for one in found.differences) == sorted(history.planted)
    judged = [one for one in history.held if one.settled_at is not None and one.state != "undone"]
    assert found.calls == len(judged)
    for asset, sums in found.sums.items():
        gaps = sum(dict(one.gaps).get(asset, 0) for one in found.differences)
        assert sums.difference == gaps, asset


@settings(max_examples=100)
@given(
    drafts=st.lists(DRAFTS, max_size=25),
    ends=st.lists(st.integers(1, HOURS * 3600 - 1), max_size=6),
    slice_calls=st.integers(1, 5),
)
def test_how_a_history_is_cut_changes_nothing(drafts: list[Draft], ends: list[int], slice_calls: int) -> None:
    writer = Writer(0)
    for draft in drafts:
        writer.write(draft)
    whole = compare_all(writer.history, cut([]), slice_calls=1_000, page=1_000)
    parts = compare_all(writer.history, cut(ends), slice_calls=slice_calls, page=3)
    assert (parts.calls, parts.movements, parts.agreed, parts.under_way, parts.kinds, parts.sums) == (
        whole.calls,
        whole.movements,
        whole.agreed,
        whole.under_way,
        whole.kinds,
        whole.sums,
    )
