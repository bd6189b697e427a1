"""The 38 digits of an account: what would not fit is declined, and never becomes a database error."""

from __future__ import annotations

from collections.abc import Iterable

from croupier.money import MAX_MINOR
from croupier.moneypath.decide.history import books_of
from croupier.moneypath.facts import Facts
from croupier.play.session import Session
from croupier.wallet.accounts import CLEARING, MATERIALISED, AccountKey, Leg


def exceeds_digits(facts: Facts, legs: Iterable[Leg], *, bucket: int, session: Session | None) -> bool:
    """Whether an account that has a balance, or the session's clearing, would need more than 38 digits."""
    moved: dict[AccountKey, int] = {}
    cleared = 0
    for leg in legs:
        if leg.kind in MATERIALISED:
            key = leg.account_in(bucket)
            moved[key] = moved.get(key, facts.balance(key)) + leg.amount
        elif leg.kind == CLEARING:
            cleared += leg.amount
    if session is not None:
        cleared += books_of(session).clearing
    return abs(cleared) > MAX_MINOR or any(abs(balance) > MAX_MINOR for balance in moved.values())
