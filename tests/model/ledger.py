"""A second ledger, written from `money.md` alone and as simply as possible.

It keeps the list of what happened and computes everything else from that list, from the beginning, whenever
asked. It shares with the real one the structs of calls and nothing more. Amounts in minor units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from croupier.moneypath import commands
from croupier.play.session import Opening
from model.answers import Known, Refused, Told, fingerprint_of, nothing_done
from model.books import Account, Line, RoundLines, settle, totals

LIMIT = 10**38 - 1
OPEN_STATES = ("created", "launched", "active")
OVER = ("settled", "cancelled", "failed", "reversed")
CREDITS = commands.Win | commands.Rollback | commands.Deposit | commands.CancelWithdrawal


@dataclass(slots=True)
class Ledger:
    """The whole ledger in memory."""

    players: set[str]
    lines: list[Line] = field(default_factory=list)
    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    rolled_back: set[tuple[str, str]] = field(default_factory=set)
    sessions: dict[UUID, Opening] = field(default_factory=dict)
    states: dict[UUID, str] = field(default_factory=dict)
    closed_rounds: set[tuple[UUID, str]] = field(default_factory=set)
    breaks: set[tuple[str, str]] = field(default_factory=set)

    def decide(self, call: commands.Call, now: datetime) -> tuple[Told, ...] | str:
        """What the caller is told about each action, or the code of the error."""
        before = replace(
            self,
            lines=list(self.lines),
            known=dict(self.known),
            states=dict(self.states),
            rolled_back=set(self.rolled_back),
            closed_rounds=set(self.closed_rounds),
        )
        told: list[Told] = []
        for action in call.actions:
            try:
                answer = self._decide_one(call, action, now)
            except Refused as error:
                self._restore(before)
                self._tell_finance(action)
                return str(error)
            if answer.status == "declined" and told:
                self._restore(before)
                answer = self._decline_alone(call, action, answer)
            told.append(answer)
            if answer.status == "declined":
                if not answer.is_repeat:
                    self._tell_finance(action)
                    self._close_after_all(action, answer)
                return nothing_done(call, told)
            self._look_at_sessions()
        return tuple(told)

    def books(self) -> dict[Account, int]:
        """Every account that is not zero."""
        books = totals(self.lines)
        for session, opening in self.sessions.items():
            if self.states[session] in OVER:
                settle(books, session, opening)
        return {account: total for account, total in books.items() if total}

    def balance(self, player: str, asset: str, fund: str = "cash") -> int:
        """A wallet, from the beginning."""
        return totals(self.lines)["player_wallet", player, asset, fund]

    def rounds(self, session: UUID) -> set[str]:
        """The rounds of a session that were ever named."""
        return {line.round for line in self.lines if line.session == session and line.round is not None}

    def round(self, session: UUID, name: str) -> RoundLines:
        """What happened in a round."""
        return RoundLines(self.lines, session, name)

    def rounds_open(self, session: UUID) -> int:
        """How many rounds a session waits for: those not over, with a bet that stands or paid before their bet."""
        rounds = (
            self.round(session, name)
            for name in self.rounds(session)
            if (session, name) not in self.closed_rounds
        )
        return sum(bool(one.live_bets) or (not one.bets and one.won > 0) for one in rounds)

    def _restore(self, before: Ledger) -> None:
        """Everything as it was, except that a person is told all the same."""
        self.lines, self.known, self.states = before.lines, before.known, before.states
        self.rolled_back, self.closed_rounds = before.rolled_back, before.closed_rounds

    def _look_at_sessions(self) -> None:
        """Whatever play is over for is closed, its rounds with it, and a win that lost its bets is noted."""
        for line in self.lines:
            if line.kind == "close" and line.session is not None and line.round is not None:
                self.closed_rounds.add((line.session, line.round))
        for session, state in self.states.items():
            if state == "pending_settlement" and self.rounds_open(session) == 0:
                self.states[session] = "settled"
            for name in self.rounds(session):
                round_ = self.round(session, name)
                if self.states[session] in OVER:
                    self.closed_rounds.add((session, name))
                if round_.won and round_.bets and not round_.live_bets:
                    self.breaks.add(("win_without_bet", f"{session}/{name}"))

    def _decide_one(self, call: commands.Call, action: commands.Action, now: datetime) -> Told:
        match action:
            case commands.Bet():
                return self._bet(call, action, now)
            case commands.Win():
                return self._win(call, action)
            case commands.Rollback():
                return self._rollback(call, action)
            case commands.CloseRound():
                return self._close_round(call, action)
            case commands.Deposit() | commands.Withdrawal():
                return self._cash(call, action)
            case commands.CancelWithdrawal():
                return self._cancel(call, action)
            case commands.OpenSession():
                self.sessions[action.session_id] = action.opening
                self.states[action.session_id] = "created"
                return Told("approved", "ok", "")
            case commands.ConfirmLaunch() | commands.FailLaunch() | commands.CloseSession():
                return self._change_session(action)
            case _:
                raise NotImplementedError(type(action).__name__)

    def _bet(self, call: commands.Call, bet: commands.Bet, now: datetime) -> Told:
        assert bet.session_id is not None, "the model is native: a bet names its session"
        marks = fingerprint_of(bet)
        known = self._known(call, bet.reference, marks)
        if known:
            return known
        opening = self._bound(call, bet.session_id, bet.player_id, bet.asset, bet.game_id)
        balance = self.balance(bet.player_id, bet.asset)
        decline = ""
        if self.states[bet.session_id] not in OPEN_STATES or now >= opening.expires_at:
            decline = "session_not_active"
        elif (bet.session_id, bet.round_id) in self.closed_rounds:
            decline = "round_closed"
        elif balance < bet.amount:
            decline = "insufficient_funds"
        if decline:
            return self._store(call, marks, Told("declined", decline, bet.reference, balance))
        line = Line(
            "bet",
            bet.reference,
            bet.player_id,
            bet.asset,
            bet.amount,
            bet.contribution,
            _jackpot_source(call.provider, opening.jackpot_pool),
            bet.session_id,
            bet.round_id,
        )
        self.states[bet.session_id] = "active"
        return self._book(call, marks, line)

    def _win(self, call: commands.Call, win: commands.Win) -> Told:
        kind, marks = win.kind.value, fingerprint_of(win)
        known = self._known(call, win.reference, marks)
        if known:
            return known
        terms: Opening | commands.Contract | None = win.contract
        if win.session_id is not None:
            terms = self._bound(call, win.session_id, win.player_id, win.asset, win.game_id)
        elif win.player_id not in self.players:
            raise Refused("unknown_player")
        assert terms is not None, "a win without session carries its contract"
        source = _jackpot_source(call.provider, terms.jackpot_pool)
        if win.kind is commands.WinKind.PROMO:
            is_theirs = terms.promo_source == "provider"
            source = ("provider_payable", call.provider) if is_theirs else ("promo_expense", "")
        line = Line(
            kind, win.reference, win.player_id, win.asset, win.amount, 0, source, win.session_id, win.round_id
        )
        told = self._book(call, marks, line)
        if told.status == "approved" and win.session_id is not None:
            if self.states[win.session_id] in OPEN_STATES:
                self.states[win.session_id] = "active"
            if win.close_round:
                self.lines.append(replace(line, kind="close", amount=0))
        return told

    def _rollback(self, call: commands.Call, rollback: commands.Rollback) -> Told:
        marks = ("rollback", rollback.target_reference, rollback.player_id)
        known = self._known(call, rollback.reference, marks)
        if known:
            return known
        target = self.known.get((call.provider, rollback.target_reference))
        if rollback.player_id not in self.players:
            raise Refused("unknown_player")
        if rollback.session_id is not None:
            self._bound(call, rollback.session_id, rollback.player_id, rollback.asset, None)
        if target is not None and target.fingerprint[0] not in ("bet", "win", "jackpot", "promo"):
            raise Refused("malformed")
        if target is not None and target.fingerprint[2] != rollback.player_id:
            raise Refused("session_mismatch")
        place = (call.provider, rollback.target_reference)
        code = "nothing_to_roll_back"
        if place in self.rolled_back:
            code = "already_rolled_back"
        elif target is not None and target.line is not None:
            line = target.line
            undo = replace(line, kind="undo", reference=rollback.reference, undoes=line)
            told = self._book(call, marks, undo)
            if told.status == "approved":
                self.rolled_back.add(place)
            return told
        if target is None:
            self.rolled_back.add(place)
        asset_known = rollback.asset or (str(target.fingerprint[3]) if target else None)
        balance = self.balance(rollback.player_id, asset_known) if asset_known else None
        return self._store(call, marks, Told("approved", code, rollback.reference, balance))

    def _close_round(self, call: commands.Call, close: commands.CloseRound) -> Told:
        assert close.reference is not None, "the model is native: a close has an id and names its session"
        assert close.session_id is not None
        marks = ("close", None, close.player_id, None, None, close.round_id, None)
        known = self._known(call, close.reference, marks)
        if known:
            return known
        opening = self._bound(call, close.session_id, close.player_id, None, None)
        line = Line(
            "close",
            close.reference,
            close.player_id,
            opening.asset,
            session=close.session_id,
            round=close.round_id,
        )
        return self._book(call, marks, line)

    def _cash(self, call: commands.Call, cash: commands.Deposit | commands.Withdrawal) -> Told:
        kind = "deposit" if isinstance(cash, commands.Deposit) else "withdrawal"
        marks = (kind, None, cash.player_id, cash.asset, cash.amount, None, None)
        known = self._known(call, cash.reference, marks)
        if known:
            return known
        balance = self.balance(cash.player_id, cash.asset, cash.fund)
        if kind == "withdrawal" and cash.player_id not in self.players:
            raise Refused("unknown_player")
        if kind == "withdrawal" and balance < cash.amount:
            return self._store(call, marks, Told("declined", "insufficient_funds", cash.reference, balance))
        line = Line(kind, cash.reference, cash.player_id, cash.asset, cash.amount, fund=cash.fund)
        return self._book(call, marks, line)

    def _cancel(self, call: commands.Call, cancel: commands.CancelWithdrawal) -> Told:
        marks = ("cancel", cancel.reference, cancel.player_id, cancel.asset)
        known = self._known(call, cancel.reference, marks)
        if known:
            return known
        place = (commands.OPERATOR, cancel.reference)
        target = self.known.get(place)
        if target is not None and target.line is not None:
            undo = replace(target.line, kind="undo", undoes=target.line)
            told = self._book(call, marks, undo)
            if told.status == "approved":
                self.rolled_back.add(place)
            return told
        if target is None:
            self.rolled_back.add(place)
        balance = self.balance(cancel.player_id, cancel.asset)
        return self._store(call, marks, Told("approved", "nothing_to_roll_back", cancel.reference, balance))

    def _change_session(
        self, action: commands.ConfirmLaunch | commands.FailLaunch | commands.CloseSession
    ) -> Told:
        state = self.states[action.session_id]
        after = state
        if isinstance(action, commands.ConfirmLaunch):
            after = "launched" if state == "created" else state
        elif isinstance(action, commands.FailLaunch):
            if state not in ("created", "failed"):
                raise Refused("illegal_transition")
            after = "failed"
        elif state in ("created", "launched"):
            after = "cancelled"
        elif state == "active":
            after = "pending_settlement"
        self.states[action.session_id] = after
        return Told("approved", "ok", "")

    def _known(self, call: commands.Call, reference: str, marks: tuple[object, ...]) -> Told | None:
        known = self.known.get((call.provider, reference))
        if known is not None and known.fingerprint != marks:
            raise Refused("reference_conflict")
        if known is not None:
            return replace(known.told, is_repeat=known.request != call.request_id)
        if (call.provider, reference) not in self.rolled_back:
            return None
        asset = marks[3] if len(marks) > 3 else None
        balance = self.balance(str(marks[2]), str(asset)) if asset else None
        return self._store(call, marks, Told("declined", "tombstoned", reference, balance))

    def _bound(
        self, call: commands.Call, session: UUID, player: str, asset: str | None, game: str | None
    ) -> Opening:
        opening = self.sessions.get(session)
        code = "" if opening else "unknown_session"
        if opening is not None:
            pairs = (
                (call.provider, opening.provider),
                (player, opening.player_id),
                (asset, opening.asset),
                (game, opening.game_id),
            )
            code = "session_mismatch" if any(said not in (None, is_) for said, is_ in pairs) else ""
        if code or opening is None:
            raise Refused(code)
        return opening

    def _tell_finance(self, action: commands.Action) -> None:
        """A verified credit that is refused for any reason is a person's work."""
        if isinstance(action, CREDITS):
            self.breaks.add(("refused_credit", action.reference))

    def _close_after_all(self, action: commands.Action, told: Told) -> None:
        """A win undone before it came pays nothing, yet its round is over as if it had come first (I7)."""
        if isinstance(action, commands.Win) and action.close_round and told.code == "tombstoned":
            line = Line(
                "close", "", action.player_id, action.asset, session=action.session_id, round=action.round_id
            )
            self.lines.append(line)
            self._look_at_sessions()

    def _book(self, call: commands.Call, marks: tuple[object, ...], line: Line) -> Told:
        """Let it happen, unless an account would become longer than 38 digits."""
        before = self.books()
        self.lines.append(line)
        balance = self.balance(line.player, line.asset, line.fund)
        if balance > LIMIT or self._is_too_long():
            self.lines.pop()
            unmoved = self.balance(line.player, line.asset, line.fund)
            return self._store(call, marks, Told("declined", "limit_reached", line.reference, unmoved))
        owed = ("player_receivable", line.player, line.asset, "")
        if self.books().get(owed, 0) < before.get(owed, 0):
            self.breaks.add(("receivable", line.reference))
        return self._store(call, marks, Told("approved", "ok", line.reference, balance), line)

    def _is_too_long(self) -> bool:
        """Whether an account whose balance somebody needs would have more than 38 digits."""
        needed = ("jackpot_pool", "player_receivable", "operator_clearing")
        return any(abs(total) > LIMIT for key, total in self.books().items() if key[0] in needed)

    def _store(
        self, call: commands.Call, marks: tuple[object, ...], told: Told, line: Line | None = None
    ) -> Told:
        self.known[call.provider, told.reference] = Known(marks, told, call.request_id, line)
        return told

    def _decline_alone(self, call: commands.Call, action: commands.Action, told: Told) -> Told:
        """The decline that stopped a call, with the balance as it is without the call's earlier actions."""
        if told.is_repeat:
            return told
        assert isinstance(action, commands.Bet | commands.Win), "only these follow another action"
        return self._store(
            call, fingerprint_of(action), replace(told, balance=self.balance(action.player_id, action.asset))
        )


def _jackpot_source(provider: str, pool: str | None) -> tuple[str, str]:
    return ("jackpot_pool", pool) if pool else ("provider_payable", provider)
