"""Canonical steps: what a provider does, in words that every speaker turns into its protocol's requests."""

from __future__ import annotations

from enum import StrEnum
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace


class Kind(StrEnum):
    """What one move of money, or one question, is."""

    BALANCE = "balance"
    BET = "bet"
    WIN = "win"
    JACKPOT = "jackpot"
    PROMO = "promo"
    ROLLBACK = "rollback"
    CLOSE = "close"
    CHECK = "check"


class Spelling(StrEnum):
    """An amount that no protocol may take, in whatever form the protocol writes amounts."""

    FINER = "finer than the asset"
    EXPONENT = "with an exponent"
    NEGATIVE = "negative"
    TOO_LONG = "longer than 38 digits"
    NOT_A_NUMBER = "not a number"
    OTHER_TYPE = "of another type"
    EMPTY = "empty"
    SPACED = "with a space"


Amount = int | Spelling
"""Minor units of the seat's asset, or a spelling that must be refused."""


class Seat(Struct, frozen=True, kw_only=True):
    """A player in a session: our ids, and what the launch told the provider.

    `session` and `token` are as they stood in the launch; without a launch `session` is our public id.
    """

    player_id: str
    asset: str
    exponent: int
    game_id: str
    session_id: str
    session: str
    token: str | None = None


class Move(Struct, frozen=True, kw_only=True):
    """One transaction. `target` is the bet that a win settles, or what a rollback undoes."""

    kind: Kind
    reference: str = ""
    amount: Amount = 0
    target: Move | None = None
    is_free: bool = False
    contribution: int | None = None
    campaign: str | None = None
    is_proven: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """One request: its moves in order, all of one seat and one round. `is_closing` ends the round with it."""

    seat: Seat
    moves: tuple[Move, ...]
    round_id: str = ""
    is_closing: bool = False

    @property
    def move(self) -> Move:
        """The first move, which is the only one but in a batch."""
        return self.moves[0]


def fresh() -> str:
    """A name never used before, in the form that most protocols ask for."""
    return str(uuid4())


def balance(seat: Seat) -> Step:
    """The provider asks for the balance."""
    return Step(seat=seat, moves=(Move(kind=Kind.BALANCE),))


def check(seat: Seat) -> Step:
    """The provider checks a session, and may get another token for it."""
    return Step(seat=seat, moves=(Move(kind=Kind.CHECK),))


def bet(
    seat: Seat,
    amount: Amount,
    *,
    round_id: str | None = None,
    is_free: bool = False,
    contribution: int | None = None,
    campaign: str | None = None,
) -> Step:
    """A stake, in a new round unless one is named."""
    move = Move(
        kind=Kind.BET,
        reference=fresh(),
        amount=amount,
        is_free=is_free,
        contribution=contribution,
        campaign=campaign,
    )
    return Step(seat=seat, moves=(move,), round_id=round_id or fresh())


def win(of: Step, amount: Amount, *, kind: Kind = Kind.WIN, is_closing: bool = False) -> Step:
    """A win in the round of a bet, for that bet."""
    move = Move(kind=kind, reference=fresh(), amount=amount, target=of.move, is_free=of.move.is_free)
    return Step(seat=of.seat, moves=(move,), round_id=of.round_id, is_closing=is_closing)


def promo(seat: Seat, amount: Amount, *, campaign: str | None = None) -> Step:
    """A promotional win outside any bet."""
    move = Move(kind=Kind.PROMO, reference=fresh(), amount=amount, campaign=campaign)
    return Step(seat=seat, moves=(move,), round_id=fresh())


def batch(*steps: Step, is_closing: bool = False) -> Step:
    """The moves of several steps in one request, in the first one's round."""
    moves = tuple(move for step in steps for move in step.moves)
    return replace(steps[0], moves=moves, is_closing=is_closing)


def rollback(of: Step, *, position: int = 0) -> Step:
    """Undo one move of a step."""
    move = Move(kind=Kind.ROLLBACK, reference=fresh(), target=of.moves[position])
    return Step(seat=of.seat, moves=(move,), round_id=of.round_id)


def close(of: Step, *, is_proven: bool = False) -> Step:
    """The round of a step is over, with a proof of its fairness where there is one."""
    return Step(
        seat=of.seat,
        moves=(Move(kind=Kind.CLOSE, reference=fresh(), is_proven=is_proven),),
        round_id=of.round_id,
        is_closing=True,
    )


def reseat(step: Step, seat: Seat) -> Step:
    """The same request for somebody else."""
    return replace(step, seat=seat)


def reword(step: Step, **changes: object) -> Step:
    """The same request with another first move: the reference stays, what is named changes."""
    return replace(step, moves=(replace(step.move, **changes), *step.moves[1:]))
