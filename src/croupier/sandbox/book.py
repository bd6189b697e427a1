"""The provider's own record: what was acknowledged, what each session came to, and what is undecided.

Kept in memory and bounded, because this provider is for tests: the oldest entries are forgotten first, and a
reader who asks for forgotten ones is told so.
"""

from collections import Counter, deque
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Item
from croupier.sandbox.replies import Decision

MOST_ENTRIES: Final = 100_000
MOST_UNRESOLVED: Final = 10_000
MOST_SESSIONS: Final = 10_000
PAGE_ENTRIES: Final = 1_000


TOLD: Final = "told"
"""The status of what a webhook told: accepted, and decided when nobody listens."""

_KINDS: Final = {
    "bet": "staked",
    "win": "won",
    "jackpot": "jackpots",
    "rollback_bet": "rolled_back_bets",
    "rollback_win": "rolled_back_wins",
}
_SIGNS: Final = {"bet": -1, "win": 1, "jackpot": 1, "rollback_bet": 1, "rollback_win": -1}


class Entry(Struct, frozen=True, gc=False):
    """One acknowledged reference: what was asked and what was decided; amounts are text in minor units.

    `amount` of a rollback is its target's, of a close "0". `repeat`: the acknowledgement that was read first
    was a repeat, because the reply to an earlier attempt was lost. What only a webhook told has status `told`.
    """

    seq: int
    session_id: str
    player_id: str
    round_id: str
    path: str
    action: str
    reference: str
    target_reference: str | None
    amount: str
    asset: str
    status: str
    code: str
    journal_id: str | None
    balance: str | None
    repeat: bool
    effect: str
    operator_id: str | None = None


class Forgotten(Exception):
    """Entries after the number asked for are gone; `oldest` is the first one that is left."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"entries before {oldest} were forgotten")
        self.oldest = oldest


class Book:
    """Entries numbered from 1 in the order in which they were acknowledged, and calls nobody decided yet."""

    def __init__(self, *, most_entries: int = MOST_ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=most_entries)
        self._written = 0
        self._unresolved: dict[str, Call] = {}
        self.unresolved_forgotten = 0
        self._by_asset: dict[str, Counter[str]] = {}
        self._by_session: dict[str, Counter[str]] = {}

    @property
    def written(self) -> int:
        """How many entries were ever written: the number of the newest."""
        return self._written

    @property
    def unresolved(self) -> tuple[Call, ...]:
        """Calls that nobody decided within the bounds, oldest first."""
        return tuple(self._unresolved.values())

    def record(self, call: Call, decisions: tuple[Decision, ...]) -> None:
        """Write an acknowledged call down, one entry per referenced transaction."""
        self._unresolved.pop(call.items[0].reference, None)
        self._write(call, standing(call, decisions))

    def record_told(self, call: Call) -> None:
        """Write down what a webhook told that was accepted."""
        decided = [(item, Decision(TOLD, "", item.reference, None, None, None)) for item in call.items]
        self._write(call, decided)

    def _write(self, call: Call, decided: list[tuple[Item, Decision]]) -> None:
        for item, decision in decided:
            self._written += 1
            self._entries.append(_entry(self._written, call, item, decision))
            moved = money_of(item, decision)
            self._by_asset.setdefault(call.seat.asset, Counter()).update(moved)
            self._by_session.setdefault(call.seat.session_id, Counter()).update(moved)
        if len(self._by_session) > MOST_SESSIONS:
            del self._by_session[next(iter(self._by_session))]

    def money_by_asset(self) -> dict[str, dict[str, str]]:
        """What was staked, won, rolled back and won of jackpots, in minor units as text, by asset."""
        return {asset: _texts(moved) for asset, moved in self._by_asset.items()}

    def money_of_session(self, session_id: str) -> dict[str, str]:
        """The same for one session, over all its batches."""
        return _texts(self._by_session.get(session_id, Counter()))

    def keep_unresolved(self, call: Call) -> None:
        """Remember a call without a decision, to be asked again later."""
        self._unresolved[call.items[0].reference] = call
        if len(self._unresolved) > MOST_UNRESOLVED:
            del self._unresolved[next(iter(self._unresolved))]
            self.unresolved_forgotten += 1

    def drop_unresolved(self, reference: str) -> bool:
        """Forget a call that is settled otherwise, as a bet by its rollback; whether it was kept."""
        return self._unresolved.pop(reference, None) is not None

    def page(self, since: int, *, most: int = PAGE_ENTRIES) -> list[Entry]:
        """The entries after number `since`, at most `most`; raises Forgotten if the first of them is gone."""
        oldest = self._written - len(self._entries) + 1
        if since + 1 < oldest:
            raise Forgotten(oldest)
        start = since + 1 - oldest
        return list(islice(self._entries, start, start + most))


def standing(call: Call, decisions: tuple[Decision, ...]) -> list[tuple[Item, Decision]]:
    """The transactions that have an outcome of their own under their reference.

    Of a declined bet-win that is the bet: the win was never decided, and its reference is still free.
    """
    pairs = [(item, believed(item, told)) for item, told in zip(call.items, decisions, strict=True)]
    is_declined = any(decision.status != "approved" for decision in decisions)
    return pairs[:1] if is_declined else pairs


def believed(item: Item, decision: Decision) -> Decision:
    """The decision with the code this provider concludes where the protocol does not tell one.

    A plain approval of a rollback whose target never moved money means that there was nothing to roll back.
    """
    if item.is_standing or decision.code != "ok" or decision.repeat is not None:
        return decision
    return replace(decision, code="nothing_to_roll_back")


def effect_of(item: Item, decision: Decision) -> int:
    """What a decision does to the player's balance in minor units, by this provider's own bookkeeping."""
    return may_move(item) if item.is_standing and _is_done(decision) else 0


def may_move(item: Item) -> int:
    """What a transaction does to the player's balance in minor units if it is done at all."""
    return _SIGNS.get(item.action, 0) * item.amount_minor


def money_of(item: Item, decision: Decision) -> dict[str, int]:
    """What the provider believes a transaction moved, in minor units by kind; empty if nothing."""
    kind = _KINDS.get(item.action)
    is_done = item.is_standing and _is_done(decision)
    return {kind: item.amount_minor} if is_done and kind is not None else {}


def _is_done(decision: Decision) -> bool:
    return decision.status == TOLD or (decision.status, decision.code) == ("approved", "ok")


def _texts(moved: Counter[str]) -> dict[str, str]:
    return {kind: str(moved[kind]) for kind in _KINDS.values()}


def _entry(seq: int, call: Call, item: Item, decision: Decision) -> Entry:
    return Entry(
        seq=seq,
        session_id=call.seat.session_id,
        player_id=call.seat.player_id,
        round_id=call.round_id,
        path=call.path,
        action=item.action,
        reference=item.reference,
        target_reference=item.target_reference,
        amount=str(item.amount_minor),
        asset=call.seat.asset,
        status=decision.status,
        code=decision.code,
        journal_id=decision.journal_id,
        balance=None if decision.balance is None else decision.balance.amount,
        repeat=bool(decision.repeat),
        effect=str(effect_of(item, decision)),
        operator_id=decision.operator_id,
    )
