"""Notices: how what came by webhook is tied to the facts that callbacks told, and when it waits for them."""

from __future__ import annotations

from typing import Final

from croupier.errors import UNKNOWN_PLAYER, UNKNOWN_ROUND, UNKNOWN_SESSION, ErrorKind
from croupier.moneypath.commands import Action, Call, Report, Win
from croupier.moneypath.decide.verdict import Subject, Verdict, finding
from croupier.moneypath.facts import Break, Effects, Fact, Facts, Noticed, Stamp
from croupier.moneypath.outcomes import APPROVED, REPORTED, Outcome

UNTIED: Final = "untied_notice"
UNMATCHED: Final = "unmatched_notice"

MAY_COME: Final[frozenset[ErrorKind]] = frozenset({UNKNOWN_SESSION, UNKNOWN_PLAYER, UNKNOWN_ROUND})
"""What a notice refers to and nobody knows yet."""


def find_payer(facts: Facts, call: Call, win: Win, subject: Subject) -> str | None:
    """The other reference under which this win was paid, if one of the two came as a notice.

    The same round, kind and amount are the same fact then (`money.md`, Order), whichever came first. Two callbacks
    are two facts: a notice stands for one of them only, its own or the first that comes. So is whatever names no
    session or round.
    """
    fact = _fact_of(win, subject)
    if fact is None:
        return None
    payer = (facts.paid if call.notice is not None else facts.noticed).get(fact)
    return None if payer == win.reference else payer


def confirm(facts: Facts, call: Call, win: Win, subject: Subject) -> Noticed | None:
    """What is remembered when a callback tells for the first time what its own notice has paid."""
    fact = _fact_of(win, subject)
    if call.notice is not None or fact is None or facts.noticed.get(fact) != win.reference:
        return None
    return noticed_of(call, subject, callback=win.reference)


def _fact_of(win: Win, subject: Subject) -> Fact | None:
    if win.session_id is None or win.round_id is None:
        return None
    return win.session_id, win.round_id, subject.action, win.amount


def noticed_of(
    call: Call, subject: Subject, *, payer: str | None = None, callback: str | None = None
) -> Noticed | None:
    """What is remembered of a win that a notice paid, under `payer` or its own reference; None outside a round."""
    if subject.session_id is None or subject.provider_round_id is None:
        return None
    return Noticed(
        call.bucket,
        subject.session_id,
        subject.provider_round_id,
        subject.action,
        subject.amount or 0,
        payer or subject.reference,
        callback,
    )


def untied(call: Call, subject: Subject, stamp: Stamp, *, payer: str) -> Break:
    """The break about a win that is known under two references."""
    explanation = (
        f"the same {subject.action} of this round was paid under {payer}; nothing moved under {subject.reference}: "
        "if these are two wins, pay the second by an adjustment"
    )
    return finding(
        call, stamp, kind=UNTIED, subject=subject.reference, explanation=explanation, about=subject
    )


def judge_notice(call: Call, action: Action, verdict: Verdict, stamp: Stamp) -> Verdict:
    """A notice about something unknown finds nothing while it may wait, and is work for a person afterwards."""
    if call.notice is None or verdict.error is None or verdict.error.kind not in MAY_COME:
        return verdict
    if call.notice.may_wait:
        return Verdict(error=verdict.error)
    if verdict.effects is not None and verdict.effects.breaks:
        return verdict
    reference = getattr(action, "reference", None) or call.request_id.hex
    about = Subject(
        action="notice",
        reference=reference,
        player_id=call.player_id,
        session_id=getattr(action, "session_id", None),
        provider_round_id=getattr(action, "round_id", None),
    )
    explanation = f"a notice refers to something that never came: {verdict.error.detail}"
    found = finding(call, stamp, kind=UNMATCHED, subject=reference, explanation=explanation, about=about)
    return Verdict(error=verdict.error, effects=Effects(breaks=(found,)))


def decide_report(call: Call, report: Report, stamp: Stamp) -> Verdict:
    """Open the break that is asked for; one that is there already stays as it is."""
    about = Subject(
        action="report",
        reference=report.subject,
        player_id=report.player_id,
        asset=report.asset,
        amount=report.amount,
        session_id=report.session_id,
        provider_round_id=report.round_id,
    )
    found = finding(
        call,
        stamp,
        kind=report.kind,
        subject=report.subject,
        explanation=report.explanation,
        about=about,
        owner=report.owner,
    )
    return Verdict(outcome=Outcome(APPROVED, REPORTED, report.subject), effects=Effects(breaks=(found,)))
