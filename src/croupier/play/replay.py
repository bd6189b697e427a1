"""A history folded back into states: the session and the rounds that its events alone lead to. Pure."""

from __future__ import annotations

from croupier.play.round import Round, RoundState, apply_change, open_round, settle
from croupier.play.session import IllegalTransition, Session, SessionEvent, apply


class Story:
    """One session's states, rebuilt event by event the way the money path made them."""

    __slots__ = ("_touched", "rounds", "session")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.rounds: dict[str, Round] = {}
        self._touched: str | None = None

    def apply(self, event: SessionEvent) -> None:
        """Take the next event in.

        Raises:
            IllegalTransition: the event cannot follow, or changes a round that it does not name.
        """
        self.session = apply(self.session, event)
        if event.change.round is not None:
            self._change_round(event)
        elif event.change.settles_rounds:
            self._settle_rounds(event)
        else:
            self._touched = None

    def _change_round(self, event: SessionEvent) -> None:
        name, change = event.provider_round_id, event.change.round
        if name is None or change is None:
            raise IllegalTransition(f"event {event.seq} changes a round and does not name it")
        before = self.rounds.get(name)
        if before is None:
            if change.id is None:
                raise IllegalTransition(f"event {event.seq} opens round {name} and gives it no id")
            before = open_round(
                bucket=event.bucket,
                session_id=event.session_id,
                provider_round_id=name,
                change=change,
                recorded_at=event.recorded_at,
            )
        self.rounds[name] = apply_change(before, change, event.recorded_at)
        self._touched = name

    def _settle_rounds(self, event: SessionEvent) -> None:
        """A closing settles what was not settled, and looks again at the round whose late money caused it."""
        for name, round_ in self.rounds.items():
            if round_.state in (RoundState.OPEN, RoundState.CLOSED) or name == self._touched:
                self.rounds[name] = settle(round_, event.recorded_at)
        self._touched = None
