"""Sessions: opening, launch answers and closing, decided on the same path as money."""

from __future__ import annotations

from msgspec import structs

from croupier.errors import ILLEGAL_TRANSITION, NOT_ELIGIBLE, TOKEN_EXPIRED, UNKNOWN_SESSION, CroupierError
from croupier.ids import RESTRICTION, SESSION, render_id
from croupier.moneypath.commands import (
    Call,
    CloseSession,
    ConfirmLaunch,
    FailLaunch,
    IssueToken,
    NoteUnknown,
    OpenSession,
    Standing,
)
from croupier.moneypath.decide.binding import find_session
from croupier.moneypath.decide.history import Happening, record
from croupier.moneypath.decide.seat import TOKEN_GRACE, find_token
from croupier.moneypath.decide.verdict import Verdict, refuse
from croupier.moneypath.facts import Effects, Facts, Opened, Stamp, Token
from croupier.moneypath.outcomes import APPROVED, OK, PLAYER_RESTRICTED, Outcome
from croupier.play.eligibility import Reason, Ruling
from croupier.play.session import Change, Session, State, is_open_for_play
from croupier.play.timeouts import Act, due_of
from croupier.play.unknown import LAUNCH, UnknownOutcome


def _answer(session: Session, *, is_repeat: bool = False) -> Outcome:
    reference = render_id(SESSION, session.id)
    return Outcome(APPROVED, OK, reference, asset=session.asset, is_repeat=is_repeat, session_id=session.id)


def _move(call: Call, session: Session, happening: Happening, stamp: Stamp) -> Verdict:
    effects = record(call, session, happening, stamp)
    assert effects.session is not None, "a recorded happening has a session"  # noqa: S101 (narrowing)
    return Verdict(outcome=_answer(effects.session), effects=effects)


def decide_open(facts: Facts, call: Call, command: OpenSession, stamp: Stamp) -> Verdict:
    """A session begins, unless the player may not play. A redo of the same command finds it."""
    known = facts.sessions.get(command.session_id)
    if known is not None:
        return Verdict(outcome=_answer(known, is_repeat=True))
    standing = facts.restriction_of(command.opening.player_id, stamp.now)
    if standing is not None:
        until = "it is lifted" if standing.until is None else standing.until.isoformat()
        detail = f"{render_id(RESTRICTION, standing.id)} ({standing.kind}) stands against this player until {until}"
        return refuse(CroupierError(NOT_ELIGIBLE, detail, field="player_id", reason=PLAYER_RESTRICTED))
    if stamp.now >= command.grant.expires_at:
        detail = "the decision that the player may play has expired; open the session anew"
        return refuse(
            CroupierError(NOT_ELIGIBLE, detail, field="player_id", reason=Reason.DECISION_EXPIRED.value)
        )
    happening = Happening(
        cause="created",
        occurred_at=stamp.now,
        to_state=State.CREATED.value,
        change=Change(opening=command.opening),
    )
    effects = record(call, None, happening, stamp, session_id=command.session_id)
    assert effects.session is not None, "a recorded happening has a session"  # noqa: S101 (narrowing)
    opened = Opened(_ruling(call, command), command.grant.terms)
    return Verdict(outcome=_answer(effects.session), effects=structs.replace(effects, opened=opened))


def _ruling(call: Call, command: OpenSession) -> Ruling:
    grant = command.grant
    return Ruling(
        bucket=call.bucket,
        id=grant.id,
        player_id=command.opening.player_id,
        session_id=command.session_id,
        decided_at=grant.decided_at,
        expires_at=grant.expires_at,
        is_granted=True,
        reason=OK,
        detail="",
        rules=grant.terms.rules,
        evidence=grant.evidence,
    )


def decide_confirm(facts: Facts, call: Call, command: ConfirmLaunch, stamp: Stamp) -> Verdict:
    """The launch succeeded. When a money call was faster, only the launch URL is new; a known one changes nothing."""
    session = find_session(facts, call, command.session_id, player_id=command.player_id)
    if isinstance(session, CroupierError):
        return refuse(session)
    if session.launch_url == command.launch_url:
        return Verdict(outcome=_answer(session, is_repeat=True))
    to_state = State.LAUNCHED.value if session.state == State.CREATED else None
    happening = Happening(
        cause="launch_confirmed",
        occurred_at=stamp.now,
        to_state=to_state,
        change=Change(launch_url=command.launch_url),
    )
    return _move(call, session, happening, stamp)


def decide_fail(facts: Facts, call: Call, command: FailLaunch, stamp: Stamp) -> Verdict:
    """The provider certainly refused the launch. A played session cannot fail any more; a failed one stays failed."""
    session = find_session(facts, call, command.session_id, player_id=command.player_id)
    if isinstance(session, CroupierError):
        return refuse(session)
    if session.state == State.FAILED:
        return Verdict(outcome=_answer(session, is_repeat=True))
    if session.state not in (State.CREATED, State.LAUNCHED) or session.launch_url is not None:
        return refuse(
            CroupierError(ILLEGAL_TRANSITION, f"the session is {session.state}; it cannot fail to launch")
        )
    happening = Happening(
        cause="launch_failed",
        occurred_at=stamp.now,
        code=command.reason,
        to_state=State.FAILED.value,
        change=Change(settles_rounds=True),
    )
    return _move(call, session, happening, stamp)


def decide_unknown(facts: Facts, call: Call, command: NoteUnknown, stamp: Stamp) -> Verdict:
    """Nobody can tell whether the launch worked: it is kept, with a deadline and an owner, until the session moves on.

    The session's timer is the deadline. What has moved on already, by a money call or a close, is known.
    """
    session = find_session(facts, call, command.session_id, player_id=command.player_id)
    if isinstance(session, CroupierError):
        return refuse(session)
    if session.state != State.CREATED or session.launch_url is not None:
        return Verdict(outcome=_answer(session, is_repeat=True))
    happening = Happening(cause="launch_unknown", occurred_at=stamp.now, code=command.reason, change=Change())
    moved = _move(call, session, happening, stamp)
    assert moved.effects is not None, "a recorded happening has effects"  # noqa: S101 (narrowing)
    rule = stamp.timeouts.rule_of(session.state)
    deadline = due_of(session, session.opened_at, stamp.timeouts)
    unknown = UnknownOutcome(
        bucket=call.bucket,
        id=stamp.ids.new(call.bucket),
        kind=LAUNCH,
        subject=session.id.hex,
        provider=session.provider,
        player_id=session.player_id,
        session_id=session.id,
        reason=command.reason,
        since=stamp.now,
        attempts=1,
        next_probe_at=deadline if rule.act is Act.PROBE else None,
        deadline=deadline,
        owner=rule.owner,
    )
    return Verdict(outcome=moved.outcome, effects=structs.replace(moved.effects, unknown=unknown))


def decide_close(facts: Facts, call: Call, command: CloseSession, stamp: Stamp) -> Verdict:
    """Play ends. Closing again answers with the state there is."""
    session = find_session(facts, call, command.session_id, player_id=command.player_id)
    if isinstance(session, CroupierError):
        return refuse(session)
    if command.expected is not None and not _is_as_seen(session, command.expected):
        return Verdict(outcome=_answer(session, is_repeat=True))
    if session.state in (State.CREATED, State.LAUNCHED):
        target = State.CANCELLED
    elif session.state == State.ACTIVE:
        target = State.PENDING
    else:
        return Verdict(outcome=_answer(session, is_repeat=True))
    happening = Happening(
        cause="closed",
        occurred_at=stamp.now,
        code=command.reason,
        to_state=target.value,
        change=Change(settles_rounds=target is State.CANCELLED),
    )
    return _move(call, session, happening, stamp)


def _is_as_seen(session: Session, seen: Standing) -> bool:
    return (session.state, session.seq) == (seen.state, seen.seq)


def decide_issue_token(facts: Facts, call: Call, command: IssueToken, stamp: Stamp) -> Verdict:
    """Give a session a token; with `replaces`, the token that is presented makes room for it.

    A replaced token can be swapped again for a moment, because the answer that carried the new one may be lost.
    """
    old = find_token(facts, call, command.replaces)
    if command.replaces is not None and old is None:
        return refuse(
            CroupierError(UNKNOWN_SESSION, "no session of this player has this token", field="token")
        )
    if old is not None and old.replaced_at is not None and stamp.now - old.replaced_at > TOKEN_GRACE:
        return refuse(CroupierError(TOKEN_EXPIRED, "the token was replaced; use the new one", field="token"))
    session_id = old.session_id if old is not None else command.session_id
    assert session_id is not None, "a token is for a session"  # noqa: S101 (narrowing)
    session = find_session(facts, call, session_id, player_id=command.player_id)
    if isinstance(session, CroupierError):
        return refuse(session)
    if old is not None and not is_open_for_play(session, stamp.now):
        return refuse(CroupierError(TOKEN_EXPIRED, "the session of this token is over", field="token"))
    issued: tuple[Token, ...] = (Token(call.bucket, command.token_hash, session.id, stamp.now, None),)
    if old is not None and old.replaced_at is None:
        issued = (Token(old.bucket, old.token_hash, old.session_id, old.issued_at, stamp.now), *issued)
    return Verdict(outcome=_answer(session), effects=Effects(tokens=issued))
