"""The sandbox provider's own games: dice, mines and crash, provably fair and paid in integers.

Pure: seeds and chains come in as arguments, drawn by the caller from a seeded `random.Random`, so a run can
be repeated exactly. Each game returns at most 99 percent of its stakes in the long run, a little less because
wins are rounded down. The `outcome` and `fairness` of a `Played` are those of the native `/close-round`.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from croupier.money import render_minor
from croupier.settlement.fairness import Direction, build_chain, commitment_of, verify_outcome, win_minor

Json = int | str | list[int] | Mapping[str, "Json"]

_SEED_BYTES = 32
_CLIENT_SEED_BYTES = 8


@dataclass(frozen=True, slots=True)
class Seeds:
    """A server seed with the commitment the player saw, and the player's own seed; the nonce counts bets."""

    server_seed: str = field(repr=False)
    client_seed: str

    @property
    def server_seed_hash(self) -> str:
        """The commitment, which is safe to show before play."""
        return commitment_of(self.server_seed)


@dataclass(frozen=True, slots=True)
class DiceBet:
    """A bet that the roll is over or under a target; the target is in hundredths, 0 to 10 000."""

    target_hundredths: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class MinesBet:
    """A bet that none of the revealed cells (0 to 24) hides one of the mines; cashed out after the last."""

    mines: int
    revealed_cells: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CrashBet:
    """A bet that the game does not crash before this multiplier, in hundredths, from 101."""

    cash_out_hundredths: int


@dataclass(frozen=True, slots=True)
class CrashChain:
    """A chain of crash games shared by all players: item 0 of `hashes` is public, item n is game n's."""

    salt: str
    hashes: tuple[str, ...] = field(repr=False)

    @property
    def terminating_hash(self) -> str:
        """The hash that is published before the salt and before the first game."""
        return self.hashes[0]

    @property
    def games(self) -> int:
        """How many games the chain has; they are numbered from 1."""
        return len(self.hashes) - 1


@dataclass(frozen=True, slots=True)
class Played:
    """What one player's bet in one round came to; amounts are minor units of the bet's asset.

    `outcome` has game, parameters, result, stake and win; `fairness` has scheme, server_seed_hash,
    server_seed, client_seed and nonce. Both hold text, integers and lists of integers only.
    """

    stake_minor: int
    win_minor: int
    outcome: dict[str, Json]
    fairness: dict[str, Json]


@dataclass(frozen=True, slots=True)
class _Proof:
    """The members of the native protocol's `fairness` object."""

    scheme: str
    server_seed_hash: str
    server_seed: str
    client_seed: str
    nonce: int


def draw_seeds(source: random.Random) -> Seeds:
    """Draw a new pair of seeds; the server seed is 64 hex digits, the client seed 16."""
    return Seeds(source.randbytes(_SEED_BYTES).hex(), source.randbytes(_CLIENT_SEED_BYTES).hex())


def draw_crash_chain(source: random.Random, games: int) -> CrashChain:
    """Draw a chain first and its salt after it, as a real one would be; raises ValueError for no games."""
    hashes = build_chain(source.randbytes(_SEED_BYTES).hex(), games)
    return CrashChain(salt=source.randbytes(_SEED_BYTES).hex(), hashes=hashes)


def play_dice(seeds: Seeds, bet: DiceBet, *, nonce: int, stake_minor: int) -> Played:
    """Roll once; raises ValueError if the target leaves less than 1 or more than 9 800 winning rolls."""
    parameters: dict[str, Json] = {"target_hundredths": bet.target_hundredths, "direction": bet.direction}
    return _settle("dice", parameters, _stream_proof(seeds, nonce), stake_minor)


def play_mines(seeds: Seeds, bet: MinesBet, *, nonce: int, stake_minor: int) -> Played:
    """Reveal the chosen cells; raises ValueError for repeated cells, cells off the field or no free cell."""
    parameters: dict[str, Json] = {"mines": bet.mines, "revealed_cells": list(bet.revealed_cells)}
    return _settle("mines", parameters, _stream_proof(seeds, nonce), stake_minor)


def play_crash(chain: CrashChain, bet: CrashBet, *, game_number: int, stake_minor: int) -> Played:
    """Play one player's bet in one game of the chain; players of the same game share its fairness object.

    Raises ValueError for a game the chain does not have or a multiplier out of bounds.
    """
    if not 1 <= game_number <= chain.games:
        raise ValueError(f"the chain has games 1 to {chain.games}, not {game_number}")
    proof = _Proof(
        scheme="crash_chain_32bit",
        server_seed_hash=chain.hashes[game_number - 1],
        server_seed=chain.hashes[game_number],
        client_seed=chain.salt,
        nonce=game_number,
    )
    return _settle("crash", {"cash_out_hundredths": bet.cash_out_hundredths}, proof, stake_minor)


def _stream_proof(seeds: Seeds, nonce: int) -> _Proof:
    return _Proof(
        scheme="float_stream",
        server_seed_hash=seeds.server_seed_hash,
        server_seed=seeds.server_seed,
        client_seed=seeds.client_seed,
        nonce=nonce,
    )


def _settle(game: str, parameters: dict[str, Json], proof: _Proof, stake_minor: int) -> Played:
    if stake_minor < 0:
        raise ValueError(f"a stake is not negative: {stake_minor}")
    # The house plays by the rules it is verified with: there is no second implementation to disagree.
    verdict = verify_outcome(
        proof.scheme,
        game,
        parameters,
        server_seed=proof.server_seed,
        server_seed_hash=proof.server_seed_hash,
        client_seed=proof.client_seed,
        nonce=proof.nonce,
    )
    payout = verdict.outcome.get("payout_hundredths")
    if not isinstance(payout, int):
        raise ValueError(f"{game} cannot be played: {verdict.detail}")
    won = win_minor(stake_minor, payout)
    outcome: dict[str, Json] = {
        "game": game,
        "parameters": parameters,
        "result": {**verdict.outcome},
        "stake": render_minor(stake_minor),
        "win": render_minor(won),
    }
    return Played(stake_minor=stake_minor, win_minor=won, outcome=outcome, fairness=asdict(proof))
