"""I10, liveness: after any decisions, in any batches, exactly the sessions that are not final have a timer."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.ids import IdSource
from croupier.moneypath.commands import NoteUnknown
from croupier.moneypath.facts import Stamp
from croupier.moneypath.timing import plan_timing
from croupier.play.session import FINAL, State
from croupier.play.timeouts import DEFAULT_POLICY
from model.calls import NOW, call
from model.desk import BET_GRACE, Desk
from model.scripts import scripts
from model.seeds import REPEATABLE


class Rows:
    """What `write_timing` makes of the rows, in memory."""

    def __init__(self):
        self.timers = {}
        self.unknown = {}

    def take(self, timing):
        for timer in timing.timers:
            self.timers[timer.session_id] = timer
        for _, session_id in timing.over:
            self.timers.pop(session_id, None)
        for unknown in timing.unknowns:
            self.unknown.setdefault(unknown.session_id, unknown)
        for resolution in timing.resolutions:
            self.unknown.pop(resolution.session_id, None)


def check(desk, rows):
    unfinished = {one.id: one for one in desk.facts.sessions.values() if one.state not in FINAL}
    assert set(rows.timers) == set(unfinished)
    for session_id, timer in rows.timers.items():
        session, rule = unfinished[session_id], DEFAULT_POLICY.rule_of(unfinished[session_id].state)
        assert (timer.state, timer.owner, timer.action) == (session.state, rule.owner, rule.act)
        assert timer.since <= timer.due_at or session.expires_at < timer.since
    assert {desk.facts.sessions[session_id].state for session_id in rows.unknown} <= {State.CREATED}
    for session_id, unknown in rows.unknown.items():
        assert unknown.deadline == rows.timers[session_id].due_at, "the timer is the deadline"


@settings(REPEATABLE, max_examples=400)
@given(scripts(), st.data())
def test_exactly_the_sessions_that_are_not_final_have_a_timer(script, data):
    desk, rows, ids = Desk(), Rows(), IdSource()
    second, left = 0, list(script.calls)
    while left:
        size = data.draw(st.integers(1, 5))
        batch, left = left[:size], left[size:]
        desk.now = NOW + timedelta(seconds=second)
        second += 1
        done = len(desk.facts.applied)
        for request in batch:
            desk.put(request)
            for session in list(desk.facts.sessions.values()):
                if data.draw(st.booleans()):
                    note = NoteUnknown(session_id=session.id, player_id=session.player_id, reason="timeout")
                    desk.put(call(note, player_id=session.player_id, provider=session.provider))
        stamp = Stamp(desk.now, ids, desk.now + BET_GRACE)
        rows.take(plan_timing(desk.facts.applied[done:], desk.facts.sessions, desk.facts.terms, stamp))
        check(desk, rows)
