"""A desk: facts in memory, a clock and a source of ids. Calls are decided here, and the books looked at."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import structs

from croupier.errors import CroupierError
from croupier.ids import IdSource
from croupier.moneypath.commands import Action, Call
from croupier.moneypath.decide import Answer, Ask, decide_call
from croupier.moneypath.facts import Break, Facts, Reference, Stamp
from croupier.moneypath.outcomes import Outcome
from croupier.play.round import Round
from croupier.play.session import Session, SessionEvent
from croupier.wallet.accounts import CASH_FUND, CLEARING, NO_FUND, RECEIVABLE, WALLET, AccountKey
from croupier.wallet.accounts import POOL as POOL_KIND
from model.calls import (
    ASSET,
    NOW,
    OTHER_PLAYER,
    PLAYER,
    POOL,
    PROVIDER,
    SESSION,
    call,
    close_session,
    confirm,
    deposit,
    open_session,
)

Books = dict[tuple[str, str, str, str], int]
"""Minor units by kind, owner, asset, fund; clearing has its session as owner. Zeros are left out."""

BET_GRACE = timedelta(minutes=5)


class Desk:
    """Decides calls one after another over facts that begin empty."""

    def __init__(self, *players: str) -> None:
        self.facts = Facts()
        self.facts.players.update(players or (PLAYER, OTHER_PLAYER))
        self.facts.has_notices = True
        self.now: datetime = NOW
        self._ids = IdSource()

    def put(self, request: Call) -> Answer:
        """The answer to a whole call."""
        self._load_pools(request)
        answer = decide_call(self.facts, request, Stamp(self.now, self._ids, self.now + BET_GRACE))
        assert not isinstance(answer, Ask), "nobody is asked here"
        return answer

    def _load_pools(self, request: Call) -> None:
        """What the loader does: the pool's row in the call's bucket is there, in every asset the call may touch."""
        named = {getattr(action, "asset", None) for action in request.actions}
        named |= {reference.asset for reference in self.facts.references.values()}
        for asset in named - {None}:
            key = AccountKey(POOL_KIND, POOL, str(asset), NO_FUND, request.bucket)
            self.facts.balances.setdefault(key, 0)

    def decide(self, *actions: Action, **fields: object) -> tuple[Outcome, ...]:
        """The outcomes of a new call with these actions; fails when it is an error."""
        answer = self.put(call(*actions, **fields))
        assert not isinstance(answer, CroupierError), f"unexpected error: {answer}"
        return answer

    def one(self, action: Action, **fields: object) -> Outcome:
        """The outcome of a new call with one action."""
        (outcome,) = self.decide(action, **fields)
        return outcome

    def refusal(self, *actions: Action, **fields: object) -> CroupierError:
        """The error of a new call that must be one."""
        answer = self.put(call(*actions, **fields))
        assert isinstance(answer, CroupierError), f"expected an error, got {answer}"
        return answer

    def books(self) -> Books:
        """Every account's total, summed from what was posted."""
        books: Books = {}
        for posted in self.facts.posted.values():
            for leg in (one.leg for one in posted):
                owner = str(leg.session_id) if leg.kind == CLEARING else leg.owner
                key = (leg.kind, owner, leg.asset, leg.fund)
                books[key] = books.get(key, 0) + leg.amount
        return {key: total for key, total in books.items() if total}

    def total(self, kind: str, owner: str | None = None, asset: str = ASSET) -> int:
        """What accounts of a kind hold, of one owner or of all."""
        books = self.books().items()
        return sum(
            total for key, total in books if key[0] == kind and key[2] == asset and owner in (None, key[1])
        )

    def balance(self, player_id: str = PLAYER, asset: str = ASSET, fund: str = CASH_FUND) -> int:
        """A player's wallet."""
        return self.facts.balance(AccountKey(WALLET, player_id, asset, fund))

    def receivable(self, player_id: str = PLAYER, asset: str = ASSET) -> int:
        """What a player owes, as a negative number."""
        return self.facts.balance(AccountKey(RECEIVABLE, player_id, asset, NO_FUND))

    def clearing(self, session_id: UUID = SESSION, asset: str = ASSET) -> int:
        """What a session's clearing holds."""
        return self.total(CLEARING, str(session_id), asset)

    def session(self, session_id: UUID = SESSION) -> Session:
        """A session as it stands."""
        return self.facts.sessions[session_id]

    def round(self, round_id: str = "r1", session_id: UUID = SESSION) -> Round:
        """A round as it stands."""
        return self.facts.rounds[session_id, round_id]

    def reference(self, reference: str, provider: str = PROVIDER) -> Reference | None:
        """What is stored under a reference."""
        return self.facts.references.get((provider, reference))

    def breaks(self, kind: str | None = None) -> list[Break]:
        """The breaks opened so far, oldest first."""
        found = [one for effects in self.facts.applied for one in effects.breaks]
        return [one for one in found if kind in (None, one.kind)]

    def events(self, session_id: UUID = SESSION) -> list[SessionEvent]:
        """A session's history."""
        written = [event for effects in self.facts.applied for event in effects.events]
        return [event for event in written if event.session_id == session_id]

    def postings(self, outcome: Outcome) -> dict[str, int]:
        """The entry of an outcome: amount by account kind."""
        amounts: dict[str, int] = {}
        assert outcome.journal_id is not None, "nothing moved"
        for one in self.facts.posted[outcome.journal_id]:
            amounts[one.leg.kind] = amounts.get(one.leg.kind, 0) + one.leg.amount
        return amounts


def as_stored(outcome: Outcome) -> Outcome:
    """What is kept of an outcome: all but what the moment of its answer adds."""
    return structs.replace(outcome, is_repeat=False, current_balance=None, moved=0)


def open_desk(funds: int = 1_000, **terms: object) -> Desk:
    """A desk with a funded player and a launched session of the usual contract, except for terms given."""
    desk = Desk()
    if funds:
        desk.one(deposit("funds", funds))
    desk.one(open_session(SESSION, **terms))
    desk.one(confirm())
    return desk


def settle_session(desk: Desk) -> None:
    """Close the usual session, whose rounds are closed already."""
    desk.one(close_session())
    assert desk.session().state == "settled"
