"""What the demo plays: how many, with which assets, and how the sandbox misbehaves meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct


class WalletMode(StrEnum):
    """Whose wallet the demo's money is in: Croupier's own, or the operator's."""

    BUILTIN = "builtin"
    REMOTE = "remote"


class DemoSettings(Struct, frozen=True, kw_only=True):
    """The size of a demo; `seed` decides every random choice."""

    players: int = 50
    rounds: int = 40
    seed: int = 1
    workers: int = 2
    wallet: WalletMode = WalletMode.BUILTIN


class PlayedAsset(Struct, frozen=True):
    """An asset of the demo: what every player gets, and the stake of a round, both in minor units."""

    code: str
    deposit: int
    stake: int


EUR: Final = PlayedAsset("EUR", 50_000, 100)
JPY: Final = PlayedAsset("JPY", 5_000_000, 10_000)
BHD: Final = PlayedAsset("BHD", 500_000, 1_000)
ETH: Final = PlayedAsset("ETH", 20 * 10**18, 10**16 + 1)
MBTC: Final = PlayedAsset("mBTC", 5_000_000, 10_000)


class DemoProvider(Struct, frozen=True):
    """A provider account of the demo: its protocol, what is played there, and what the protocol calls us by.

    `signs_with_pairs`: each side has a key pair of its own; otherwise they share a secret for each direction.
    """

    id: str
    protocol: str
    assets: tuple[PlayedAsset, ...] = (EUR, JPY)
    settings: Mapping[str, str] = {}
    signs_with_pairs: bool = False


NATIVE: Final = DemoProvider("sandbox", "croupier_v1", (ETH, BHD, EUR, JPY))
"""Two decimals, none, three and eighteen. ETH stakes end in one wei, which no float would keep."""

SUCCESSOR: Final = DemoProvider("sandbox_v2", "croupier_v1", NATIVE.assets)
"""The account that takes over from the native one during the demo, and gives its players back."""

FOREIGN: Final = (
    DemoProvider("softswiss", "softswiss_v2"),
    # A currency in mixed case, with as many decimals as the protocol can say.
    DemoProvider("hub88", "hub88_v1", (MBTC, EUR, JPY), {"operator_id": "1"}, signs_with_pairs=True),
    DemoProvider("slotegrator", "slotegrator_gis_v1"),
    DemoProvider("swipegames", "swipegames_v1", settings={"cID": "6f1c0c7e-2f4a-4a53-9f63-0f4f3f4a7a11"}),
    DemoProvider("evolution", "evolution_v1", settings={"casino_key": "croupier"}),
)
"""Accounts at the sandbox in the protocols of other vendors; those without an adapter are left out."""

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
    "jackpot": 4,
    "echo": 20,
}
"""How often, in percent: the sandbox's plan of each session draws from this."""

STORM: Final = {
    "duplicate": 25,
    "refiled": 5,
    "webhook_forged": 2,
    "webhook_altered_body": 2,
    "webhook_altered_id": 2,
    "webhook_altered_time": 2,
    "webhook_stale": 2,
    "webhook_reused_id": 2,
    "poison": 1,
}
"""How what the native account held back comes in the end, in percent of that; and one webhook of no known type."""

WALLET_FAULTS: Final = {
    "commit_then_drop": 2,
    "drop": 1,
    "late": 1,
    "late_before": 1,
    "garbage": 1,
    "status_500": 1,
    "unavailable": 1,
    "wrong_amount": 1,
    "wrong_player": 1,
}
"""How often the operator's wallet misbehaves where it is the one, in percent of movements: honestly, so that its books
stay right and whoever asks again hears the truth."""

WALLET_TIMEOUT: Final = "1s"
WALLET_LATE_MS: Final = 1_500
"""How late its late answers are: later than anybody waits."""

COUNTRY: Final = "MT"
MOST_SESSIONS_AT_ONCE: Final = 64
"""Players who play at the same time; more take turns."""
