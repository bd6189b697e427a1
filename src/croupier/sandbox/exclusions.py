"""The operator's self-exclusion check, as far as trying things out needs one: the player's id says what is answered."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.sandbox.refusals import Refusal

EXCLUDED: Final = "excluded-"
"""Players whose id begins so are excluded."""
UNANSWERED: Final = "unanswered-"
"""About players whose id begins so nothing is said until the caller gives up."""
YOUNG: Final = "young-"
"""Players whose id begins so are 20 years old; all others are 40."""
HANG_S: Final = 60.0


class _Question(Struct, frozen=True):
    player_id: str
    jurisdiction: str


async def answer_check(body: bytes, stopping: asyncio.Event) -> dict[str, Any]:
    """The answer to one question. Raises Refusal for what is no question."""
    try:
        question = msgspec.json.decode(body, type=_Question)
    except msgspec.DecodeError as error:
        raise Refusal(400, "malformed", str(error)) from None
    player = question.player_id
    if player.startswith(UNANSWERED):
        try:
            async with asyncio.timeout(HANG_S):
                await stopping.wait()
        except TimeoutError:
            pass
        raise Refusal(503, "unavailable", "nothing is said about this player, as its id asks for")
    return {
        "status": "excluded" if player.startswith(EXCLUDED) else "clear",
        "player_id": player,
        "reference": f"sandbox-{question.jurisdiction}-{player}"[:128],
        "age": 20 if player.startswith(YOUNG) else 40,
    }
