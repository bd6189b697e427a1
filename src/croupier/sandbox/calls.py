"""What is said to a gateway, whatever the protocol: who plays, the round on its way, the call to make."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from croupier.sandbox.games import Played
from croupier.sandbox.plan import Game, Move


class Seat(Struct, frozen=True):
    """Who plays what: the facts of a launch that every call repeats.

    `session_id` is the launch's own text. `credential` is what calls carry instead, in protocols where the
    operator may hand out another one when play begins.
    """

    session_id: str
    player_id: str
    game_id: str
    game: Game
    asset: str
    credential: str | None = None

    @property
    def token(self) -> str:
        """The text that identifies the session in calls now."""
        return self.session_id if self.credential is None else self.credential


class Round(Struct, frozen=True):
    """One player's round on its way: `tag` is unique to it and starts all its references.

    The stake is in minor units, and so are `contribution_minor`, the part of it that goes to the jackpot, and
    `jackpot_minor`, what was won of that; `played` is None until the result may be known.
    """

    seat: Seat
    round_id: str
    tag: str
    stake_minor: int
    occurred_at: str
    played: Played | None = None
    closes_with_win: bool = False
    contribution_minor: int = 0
    jackpot_minor: int = 0

    @property
    def result(self) -> Played:
        """The result; raises ValueError while there is none."""
        if self.played is None:
            raise ValueError(f"round {self.round_id} has no result yet")
        return self.played

    def reference(self, name: str) -> str:
        """The name of one of the round's transactions."""
        return f"{self.tag}-{name}"


class Item(Struct, frozen=True):
    """One referenced transaction within a call; the amount, in minor units, of a rollback is its target's.

    `is_standing`: of a rollback, whether its target has an effect by what this provider was told.
    """

    action: str
    reference: str
    amount_minor: int
    target_reference: str | None = None
    is_standing: bool = True


class Call(Struct, frozen=True):
    """A call to make: its facts stay the same however often it is sent. A question about money has no items.

    `move` is None for a question. `path` counts from the account's callback address. `ends_round`: nothing
    more is said about the round after it.
    """

    move: Move | None
    path: str
    body: bytes
    items: tuple[Item, ...]
    seat: Seat
    round_id: str
    method: str = "POST"
    ends_round: bool = False

    @property
    def name(self) -> str:
        """What to call it in a report."""
        return self.items[0].reference if self.items else self.path


def render_moment(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def assume(call: Call, effects: dict[str, int]) -> Call:
    """The call with each rollback marked by whether its target is among the references that moved money."""
    items = tuple(
        item if item.target_reference is None else replace(item, is_standing=item.target_reference in effects)
        for item in call.items
    )
    return replace(call, items=items)
