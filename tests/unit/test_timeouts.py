"""C4: every state that is not final has a time, an owner and something that is done, to the microsecond."""

from datetime import timedelta

import pytest
from msgspec import structs

from croupier.errors import CroupierError
from croupier.moneypath.commands import NoteUnknown, Standing
from croupier.moneypath.facts import Stamp
from croupier.moneypath.timing import plan_timing
from croupier.play.session import FINAL, TRANSITIONS, State
from croupier.play.timeouts import (
    DEFAULT_POLICY,
    LEGAL_ACTS,
    LOOK_AGAIN,
    Act,
    Policy,
    Rule,
    after_of,
    arm,
    due_of,
    judge,
)
from model.calls import (
    EXPIRES,
    NOW,
    PLAYER,
    SESSION,
    bet,
    close_round,
    close_session,
    confirm,
    deposit,
    grant_for,
    open_session,
    win,
)
from model.desk import Desk, open_desk

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
LASTING = [state for state in State if state not in FINAL]


def session_in(state, **fields):
    session = open_desk().session()
    given = {"state": state.value, "expires_at": NOW + timedelta(days=30), **fields}
    return structs.replace(session, **given)


def policy_of(state, act, after_s=3_600):
    return Policy({**DEFAULT_POLICY.rules, state: Rule(after_s, "ops", act)})


def test_the_states_with_a_rule_are_those_that_are_not_final():
    assert set(LEGAL_ACTS) == set(LASTING) == set(DEFAULT_POLICY.rules)
    for state, rule in DEFAULT_POLICY.rules.items():
        assert rule.act in LEGAL_ACTS[state]
        assert rule.after_s > 0
        assert rule.owner


def test_what_ends_a_session_is_a_move_of_the_table():
    for state, acts in LEGAL_ACTS.items():
        assert (Act.CANCEL in acts) == ((state, State.CANCELLED) in TRANSITIONS)
        assert (Act.CLOSE in acts) == ((state, State.PENDING) in TRANSITIONS)


@pytest.mark.parametrize("state", LASTING)
def test_a_state_is_due_when_its_time_has_passed_and_not_a_moment_before(state):
    session = session_in(state, last_activity_at=NOW)
    rule = DEFAULT_POLICY.rule_of(state)
    due_at = NOW + timedelta(seconds=rule.after_s)
    timer = arm(session, NOW, DEFAULT_POLICY)
    assert (timer.due_at, timer.owner, timer.action, timer.state) == (due_at, rule.owner, rule.act, state)
    early = judge(session, NOW, DEFAULT_POLICY, due_at - MOMENT)
    assert (early.act, early.due_at, early.is_overdue) == (None, due_at, False)
    step = judge(session, NOW, DEFAULT_POLICY, due_at)
    assert (step.act, step.owner) == (rule.act, rule.owner)
    assert step.due_at > due_at


@pytest.mark.parametrize("state", FINAL)
def test_a_final_state_lasts(state):
    assert arm(session_in(state), NOW, DEFAULT_POLICY) is None


@pytest.mark.parametrize("state", LASTING)
def test_no_session_stays_open_for_play_beyond_its_expiry(state):
    session = session_in(state, last_activity_at=NOW, expires_at=NOW + timedelta(minutes=1))
    due_at = due_of(session, NOW, DEFAULT_POLICY)
    if state is State.PENDING:
        assert due_at == NOW + after_of(state, DEFAULT_POLICY), (
            "nobody stakes in it: its rounds may come later"
        )
    else:
        assert due_at == session.expires_at
        assert judge(session, NOW, DEFAULT_POLICY, due_at - MOMENT).act is None
        assert judge(session, NOW, DEFAULT_POLICY, due_at).act is not None


def test_every_use_of_an_active_session_begins_its_time_anew():
    used_at = NOW + timedelta(hours=23)
    session = session_in(State.ACTIVE, last_activity_at=used_at)
    assert judge(session, NOW, DEFAULT_POLICY, NOW + timedelta(hours=24)).act is None
    last = used_at + timedelta(hours=24)
    assert judge(session, NOW, DEFAULT_POLICY, last - MOMENT).due_at == last
    assert judge(session, NOW, DEFAULT_POLICY, last).act is Act.CLOSE


@pytest.mark.parametrize("state", [state for state in LASTING if state is not State.ACTIVE])
def test_use_of_another_session_does_not_prolong_it(state):
    session = session_in(state, last_activity_at=NOW + timedelta(hours=23, minutes=59))
    assert judge(session, NOW, DEFAULT_POLICY, NOW + timedelta(hours=24)).act is not None


@pytest.mark.parametrize(
    ("own_s", "holds_s"), [(None, 86_400), (1_800, 1_800), (86_399, 86_399), (86_401, 86_400)]
)
def test_a_shorter_idle_time_of_the_session_counts_for_active_only(own_s, holds_s):
    assert after_of(State.ACTIVE, DEFAULT_POLICY, own_s) == timedelta(seconds=holds_s)
    session = session_in(State.ACTIVE, last_activity_at=NOW)
    timer = arm(session, NOW, DEFAULT_POLICY, own_s)
    assert (timer.due_at, timer.idle_close_s) == (NOW + timedelta(seconds=holds_s), own_s)
    due_at = NOW + timedelta(seconds=holds_s)
    assert judge(session, NOW, DEFAULT_POLICY, due_at - MOMENT, idle_close_s=own_s).act is None
    assert judge(session, NOW, DEFAULT_POLICY, due_at, idle_close_s=own_s).act is Act.CLOSE
    for state in (State.CREATED, State.LAUNCHED, State.PENDING):
        assert after_of(state, DEFAULT_POLICY, 1) == after_of(state, DEFAULT_POLICY)


@pytest.mark.parametrize(
    ("state", "act"), [(state, act) for state, acts in LEGAL_ACTS.items() for act in sorted(acts)]
)
def test_whatever_is_done_the_session_is_looked_at_again(state, act):
    session = session_in(state, last_activity_at=NOW)
    now = NOW + HOUR
    step = judge(session, NOW, policy_of(state, act), now)
    assert (step.act, step.owner) == (act, "ops")
    ends = act in (Act.CANCEL, Act.CLOSE)
    assert step.due_at == now + (LOOK_AGAIN if ends else HOUR)
    assert step.is_overdue != ends, "what only tells somebody leaves the session where it is"


def test_the_rules_in_force_when_it_comes_due_count():
    session = session_in(State.PENDING)
    now = NOW + timedelta(hours=24)
    longer = policy_of(State.PENDING, Act.ALERT, after_s=90_000)
    assert judge(session, NOW, longer, now).due_at == NOW + timedelta(hours=25)
    assert judge(session, NOW, longer, NOW + timedelta(hours=25)).owner == "ops"


def test_a_launch_that_is_only_probed_expires_all_the_same():
    session = session_in(State.CREATED, expires_at=NOW + timedelta(minutes=90))
    policy = policy_of(State.CREATED, Act.PROBE)
    first = judge(session, NOW, policy, NOW + HOUR)
    assert (first.act, first.due_at) == (Act.PROBE, session.expires_at)
    assert judge(session, NOW, policy, session.expires_at - MOMENT).act is Act.PROBE
    assert judge(session, NOW, policy, session.expires_at).act is Act.CANCEL


def seen(desk):
    return Standing(desk.session().state, desk.session().seq)


def timeout(expected):
    return structs.replace(close_session(), reason="timeout:test", expected=expected)


def test_a_stale_close_leaves_a_session_that_was_used_alone():
    desk = open_desk()
    desk.one(bet())
    stale = seen(desk)
    desk.now -= MOMENT
    desk.one(bet("b2", round_id="r2"))
    books, events = desk.books(), len(desk.events())
    left = desk.one(timeout(stale))
    assert (left.is_approved, left.is_repeat, desk.session().state) == (True, True, State.ACTIVE)
    assert (desk.books(), len(desk.events())) == (books, events)
    assert not desk.one(timeout(seen(desk))).is_repeat
    assert desk.session().state == State.PENDING


def test_a_stale_cancel_leaves_a_session_that_moved_on_alone():
    desk = Desk()
    desk.one(open_session())
    stale = seen(desk)
    desk.one(confirm())
    assert desk.one(timeout(stale)).is_repeat
    assert desk.session().state == State.LAUNCHED
    desk.one(timeout(seen(desk)))
    assert desk.session().state == State.CANCELLED
    assert desk.events()[-1].code == "timeout:test"


@pytest.mark.parametrize("is_played", [True, False])
def test_no_timeout_moves_a_players_money(is_played):
    desk = open_desk()
    if is_played:
        desk.one(bet())
        desk.one(win())
        desk.one(close_round())
    before = desk.balance(), desk.receivable()
    desk.one(timeout(seen(desk)))
    assert desk.session().state == (State.SETTLED if is_played else State.CANCELLED)
    assert (desk.balance(), desk.receivable()) == before


def note(reason="timeout"):
    return NoteUnknown(session_id=SESSION, player_id=PLAYER, reason=reason)


def timing_of(desk, since=0):
    facts = desk.facts
    return plan_timing(facts.applied[since:], facts.sessions, facts.terms, Stamp(desk.now, facts, desk.now))


def created():
    desk = Desk()
    desk.one(deposit("funds"))
    desk.one(open_session())
    return desk


def test_an_unknown_launch_stands_in_the_history_and_as_a_row_with_deadline_and_owner():
    desk = created()
    desk.now += timedelta(minutes=2)
    assert desk.one(note()).is_approved
    last = desk.events()[-1]
    assert (last.cause, last.code, last.from_state, last.to_state) == (
        "launch_unknown",
        "timeout",
        "created",
        "created",
    )
    (unknown,) = timing_of(desk).unknowns
    assert (unknown.kind, unknown.subject, unknown.session_id) == ("launch", SESSION.hex, SESSION)
    assert (unknown.owner, unknown.reason, unknown.attempts) == ("platform", "timeout", 1)
    assert (unknown.since, unknown.deadline) == (desk.now, NOW + timedelta(minutes=5))
    assert unknown.next_probe_at is None
    assert unknown.deadline < EXPIRES


def test_the_same_question_twice_in_a_batch_is_one_row():
    desk = created()
    desk.one(note())
    desk.one(note("unreachable"))
    (unknown,) = timing_of(desk).unknowns
    assert unknown.attempts == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (confirm(), "launched by launch_confirmed"),
        (bet(), "active by bet"),
        (win(), "active by win"),
        (close_session(), "cancelled by closed (operator)"),
    ],
)
def test_whatever_moves_the_session_on_resolves_it(answer, said):
    desk = created()
    desk.one(note())
    done = len(desk.facts.applied)
    assert not timing_of(desk).resolutions
    desk.one(answer)
    (resolution,) = timing_of(desk, done).resolutions
    assert (resolution.session_id, resolution.resolution) == (SESSION, said)
    again = len(desk.facts.applied)
    assert desk.one(note()).is_repeat, "what is known is not unknown again"
    assert timing_of(desk, again).is_empty


def test_an_unknown_launch_of_nobody_is_refused():
    desk = Desk()
    error = desk.refusal(note())
    assert isinstance(error, CroupierError)
    assert timing_of(desk).is_empty


def test_a_bet_in_an_active_session_touches_no_timer():
    desk = open_desk()
    desk.one(bet())
    done = len(desk.facts.applied)
    desk.one(bet("b2"))
    desk.one(win())
    desk.one(close_round())
    assert timing_of(desk, done).is_empty


def test_a_session_whose_jurisdiction_ends_idle_play_earlier_is_due_earlier():
    desk = Desk()
    desk.one(deposit("funds"))
    desk.one(structs.replace(open_session(), grant=grant_for(SESSION, idle_close_s=1_800)))
    desk.one(bet())
    (timer,) = timing_of(desk).timers
    assert (timer.state, timer.idle_close_s) == (State.ACTIVE, 1_800)
    assert timer.due_at == timer.since + timedelta(seconds=1_800)
