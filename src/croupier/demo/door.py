"""Players who may not play and try: each is refused for a reason of its own, and the refusal is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.demo.platform import Platform
from croupier.demo.providers import game_of
from croupier.demo.settings import NATIVE

GAME: Final = "dice"
TRIES: Final[dict[str, dict[str, str]]] = {
    "self_excluded": {"player_id": "excluded-carl"},
    "exclusion_unanswered": {"player_id": "unanswered-eve"},
    "jurisdiction_unknown": {"country": "DE"},
    "country_not_served": {"country": "DE", "jurisdiction": "MT"},
}
"""What is tried, by the reason it must be refused for."""


class Door(Struct, frozen=True, kw_only=True):
    """How many openings were refused, by reason; `wrong` were not refused, or for another reason."""

    refused: dict[str, int]
    kept: int
    wrong: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What should not have been, in words."""
        unkept = sum(self.refused.values()) - self.kept
        return (*self.wrong, *((f"{unkept} refusals were not kept",) if unkept else ()))


async def try_the_door(platform: Platform, connection: asyncpg.Connection, run: str) -> Door:
    """Try to open a game for each kind of player who may not."""
    refused: Counter[str] = Counter()
    wrong = []
    players = []
    for reason, changes in TRIES.items():
        player = f"{changes.get('player_id', 'somebody')}-{run}"
        body: dict[str, Any] = {
            "game_id": game_of(NATIVE, GAME),
            "asset": NATIVE.assets[-1].code,
            "country": "MT",
            **changes,
            "player_id": player,
        }
        status, answer = await platform.try_session(body)
        players.append(player)
        if status < 400 or answer.get("reason") != reason or not answer.get("player_message"):
            wrong.append(f"a player was to be refused ({reason}): {status} {answer.get('reason')}")
            continue
        refused[reason] += 1
    kept = await connection.fetchval(_KEPT, list(dict.fromkeys(players)))
    return Door(refused=dict(refused), kept=kept, wrong=tuple(wrong))


_KEPT: Final = (
    "SELECT count(*) FROM eligibility_decision WHERE player_id = ANY ($1::text[]) AND NOT is_granted"
)
