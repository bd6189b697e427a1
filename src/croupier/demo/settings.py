"""What the demo plays: how many, with which assets, and how the sandbox misbehaves meanwhile."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class DemoSettings(Struct, frozen=True, kw_only=True):
    """The size of a demo; `seed` decides every random choice."""

    players: int = 50
    rounds: int = 40
    seed: int = 1
    workers: int = 2


class PlayedAsset(Struct, frozen=True):
    """An asset of the demo: what every player gets, and the stake of a round, both in minor units."""

    code: str
    deposit: int
    stake: int


ASSETS: Final = (
    PlayedAsset("EUR", 50_000, 100),
    PlayedAsset("JPY", 5_000_000, 10_000),
    PlayedAsset("BHD", 500_000, 1_000),
    PlayedAsset("ETH", 20 * 10**18, 10**16 + 1),
)
"""Two decimals, none, three and eighteen. ETH stakes end in one wei, which no float would keep."""

GAMES: Final = ("dice", "mines", "crash")

MISBEHAVIOUR: Final = {
    "bet_win": 15,
    "early_rollback": 4,
    "late_rollback": 4,
    "win_before_bet": 4,
    "close_before_win": 6,
    "duplicate": 12,
    "delay": 5,
    "drop_reply": 4,
    "unsigned": 1,
    "forged_key": 2,
    "tampered_body": 2,
    "tampered_amount": 2,
    "tampered_path": 1,
    "replayed": 3,
    "stale": 2,
    "conflict": 3,
    "wrong_game": 1,
    "duplicate_key": 1,
    "float_amount": 1,
}
"""How often, in percent: the sandbox's plan of each session draws from this."""

COUNTRY: Final = "MT"
MOST_SESSIONS_AT_ONCE: Final = 64
"""Players who play at the same time; more take turns."""
