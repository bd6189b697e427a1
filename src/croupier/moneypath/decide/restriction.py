"""Stopping play: restrictions are placed and lifted on the same path as money, so that no bet slips in between."""

from __future__ import annotations

from msgspec import structs

from croupier.errors import MALFORMED, UNKNOWN_RESTRICTION, CroupierError
from croupier.ids import RESTRICTION, render_id
from croupier.moneypath.commands import Call, LiftRestriction, Restrict
from croupier.moneypath.decide.verdict import Verdict, refuse
from croupier.moneypath.facts import Effects, Facts, Stamp
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.play.restriction import Restriction


def decide_restrict(facts: Facts, call: Call, command: Restrict, stamp: Stamp) -> Verdict:
    """From this decision on the player's bets are declined. A redo of the same command finds it placed."""
    outcome = Outcome(APPROVED, OK, render_id(RESTRICTION, command.restriction_id))
    if _find(facts, command.player_id, command) is not None:
        return Verdict(outcome=structs.replace(outcome, is_repeat=True))
    if command.until is not None and command.until <= stamp.now:
        # Here and not at the door: a repeat under its key is answered as before, however late it comes.
        return refuse(CroupierError(MALFORMED, "until: it must be in the future, or left out", field="until"))
    placed = Restriction(
        bucket=call.bucket,
        player_id=command.player_id,
        id=command.restriction_id,
        kind=command.kind,
        reason=command.reason,
        placed_by=command.placed_by,
        placed_at=stamp.now,
        until=command.until,
    )
    return Verdict(outcome=outcome, effects=Effects(restriction=placed))


def decide_lift(facts: Facts, command: LiftRestriction, stamp: Stamp) -> Verdict:
    """The restriction ends; others of the same player stand."""
    standing = _find(facts, command.player_id, command)
    if standing is None or not standing.is_in_force(stamp.now):
        name = render_id(RESTRICTION, command.restriction_id)
        detail = f"{name} does not stand against this player; it was lifted, has ended, or never was"
        return refuse(CroupierError(UNKNOWN_RESTRICTION, detail, field="restriction_id"))
    lifted = structs.replace(
        standing, lifted_at=stamp.now, lifted_by=command.lifted_by, lift_reason=command.reason
    )
    outcome = Outcome(APPROVED, OK, render_id(RESTRICTION, standing.id))
    return Verdict(outcome=outcome, effects=Effects(restriction=lifted))


def _find(facts: Facts, player_id: str, command: Restrict | LiftRestriction) -> Restriction | None:
    known = facts.restrictions.get(player_id, ())
    return next((one for one in known if one.id == command.restriction_id), None)
