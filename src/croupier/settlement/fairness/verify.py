"""Recompute a game from its revealed seeds and compare it with what was committed, shown and paid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from croupier.money import MoneyError, parse_minor
from croupier.settlement.fairness import float_stream, paytable
from croupier.settlement.fairness.hash_chain import (
    ChainLink,
    crash_point_32bit,
    crash_point_52bit,
    link_over_bytes,
    link_over_text,
)

MAX_NONCE = 2**63 - 1
MAX_SEED_LENGTH = 1024

Outcome = dict[str, int | str | list[int]]


@dataclass(frozen=True, slots=True)
class FairnessVerdict:
    """Whether a game is proven fair, why (a stable code and a sentence), and the outcome the seeds give.

    Reasons: `ok`, `commitment_broken`, `unknown_scheme`, `unknown_game`, `bad_seed`, `bad_parameters`,
    `outcome_differs`, `win_differs`. The outcome is empty where it could not be computed.
    """

    is_valid: bool
    reason: str
    detail: str
    outcome: Outcome = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seeds:
    server_seed: str
    client_seed: str
    nonce: int


class _Refused(ValueError):
    """Why no outcome can be computed, as a verdict's reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class _Parameters:
    """Reads a game's parameters strictly: a misspelt name would silently verify less than was claimed."""

    __slots__ = ("_read", "_values")

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def integer(self, name: str, allowed: range) -> int:
        value = self._take(name)
        if type(value) is not int or value not in allowed:
            raise _bad(f"{name} must be a whole number from {allowed[0]} to {allowed[-1]}")
        return value

    def integers(self, name: str, allowed: range) -> tuple[int, ...]:
        values = self._take(name)
        if not isinstance(values, list | tuple) or len(values) > len(allowed):
            raise _bad(f"{name} must be a list of whole numbers")
        for value in values:
            if type(value) is not int or value not in allowed:
                raise _bad(f"{name} must hold whole numbers from {allowed[0]} to {allowed[-1]}")
        return tuple(values)

    def direction(self, name: str) -> paytable.Direction:
        value = self._take(name)
        if value == "over":
            return "over"
        if value == "under":
            return "under"
        raise _bad(f"{name} must be over or under")

    def finish(self) -> None:
        unread = sorted(set(self._values) - self._read)
        if unread:
            raise _bad(f"no such parameter in this game: {_listed(unread)[:200]}")

    def _take(self, name: str) -> object:
        self._read.add(name)
        if name not in self._values:
            raise _bad(f"{name} is missing")
        return self._values[name]


_Draw = Callable[[_Seeds, _Parameters], Outcome]


def verify_outcome(
    scheme: str,
    game: str,
    parameters: Mapping[str, object],
    *,
    server_seed: str,
    server_seed_hash: str,
    client_seed: str,
    nonce: int,
) -> FairnessVerdict:
    """Check the commitment and recompute the outcome; total: every input gets a verdict, none an exception.

    Schemes and their games: `float_stream` with `dice` (optional target_hundredths and direction), `limbo`
    (optional cash_out_hundredths), `mines` (mines, optional revealed_cells), `keno`, `plinko` (rows),
    `roulette`, `wheel` (segments); `crash_chain_32bit`, `crash_chain_52bit_text` and `crash_chain_52bit_raw`
    with `crash` (optional cash_out_hundredths). On a chain the server seed is the game's hash, the commitment
    is the hash of the game before it, and the client seed is the chain's salt. Multipliers, rolls and payouts
    are integers in hundredths; a bet whose parameters say what it bet on also gets `payout_hundredths`.
    """
    seeds = _Seeds(server_seed, client_seed, nonce)
    try:
        _check_seeds(seeds)
        draw = _find_draw(scheme, game)
        _check_commitment(_LINKS[scheme], server_seed, server_seed_hash)
        return FairnessVerdict(True, "ok", "the seed is the committed one", _compute(draw, seeds, parameters))
    except _Refused as refusal:
        return FairnessVerdict(False, refusal.reason, refusal.detail)


def verify_round(outcome: Mapping[str, object], fairness: Mapping[str, object]) -> FairnessVerdict:
    """Check the `outcome` and `fairness` objects of a closed round, as the native protocol carries them.

    The outcome has `game` and `parameters`, and optionally `result` (each member must be what the seeds give)
    and `stake` with `win` (text of minor units; the win must be the stake times the payout, rounded down).
    """
    try:
        verdict = verify_outcome(
            _text(fairness, "scheme"),
            _text(outcome, "game"),
            _mapping(outcome, "parameters"),
            server_seed=_text(fairness, "server_seed"),
            server_seed_hash=_text(fairness, "server_seed_hash"),
            client_seed=_text(fairness, "client_seed"),
            nonce=_nonce(fairness),
        )
        return _compare(outcome, verdict) if verdict.is_valid else verdict
    except _Refused as refusal:
        return FairnessVerdict(False, refusal.reason, refusal.detail)


def _compare(claimed: Mapping[str, object], verdict: FairnessVerdict) -> FairnessVerdict:
    for name, value in _mapping(claimed, "result").items():
        computed = verdict.outcome.get(name)
        # A boolean or a float that happens to be equal is not what the seeds give.
        if type(value) is not type(computed) or value != computed:
            detail = f"result {name[:64]!r} is not what the seeds give: {computed!r}"
            return FairnessVerdict(False, "outcome_differs", detail, verdict.outcome)
    if "stake" not in claimed and "win" not in claimed:
        return verdict
    return _compare_win(_minor(claimed, "stake"), _minor(claimed, "win"), verdict)


def _compare_win(stake_minor: int, claimed_minor: int, verdict: FairnessVerdict) -> FairnessVerdict:
    payout = verdict.outcome.get("payout_hundredths")
    if not isinstance(payout, int):
        raise _bad("a win can be checked only if the parameters say what was bet on")
    expected = paytable.win_minor(stake_minor, payout)
    if expected == claimed_minor:
        return verdict
    detail = f"win is {claimed_minor}, stake and payout give {expected}"
    return FairnessVerdict(False, "win_differs", detail, verdict.outcome)


def _compute(draw: _Draw, seeds: _Seeds, parameters: Mapping[str, object]) -> Outcome:
    reader = _Parameters(parameters)
    try:
        outcome = draw(seeds, reader)
    except _Refused:
        raise
    except ValueError as refusal:
        raise _bad(str(refusal)) from refusal
    reader.finish()
    return outcome


def _draw_dice(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    roll = float_stream.draw_dice(seeds.server_seed, seeds.client_seed, seeds.nonce)
    outcome: Outcome = {"roll_hundredths": roll}
    if "target_hundredths" in parameters or "direction" in parameters:
        target = parameters.integer("target_hundredths", range(float_stream.DICE_OUTCOMES))
        direction = parameters.direction("direction")
        outcome["payout_hundredths"] = paytable.dice_payout_hundredths(roll, target, direction)
    return outcome


def _draw_limbo(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    point = float_stream.draw_limbo(seeds.server_seed, seeds.client_seed, seeds.nonce)
    return _with_cash_out(point, parameters)


def _draw_mines(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    mines = parameters.integer("mines", range(1, float_stream.MINES_CELLS))
    cells = float_stream.draw_mines(seeds.server_seed, seeds.client_seed, seeds.nonce, mines)
    outcome: Outcome = {"mine_cells": list(cells)}
    if "revealed_cells" in parameters:
        revealed = parameters.integers("revealed_cells", range(float_stream.MINES_CELLS))
        outcome["payout_hundredths"] = paytable.mines_payout_hundredths(cells, revealed)
    return outcome


def _draw_keno(seeds: _Seeds, _parameters: _Parameters) -> Outcome:
    return {"drawn_numbers": list(float_stream.draw_keno(seeds.server_seed, seeds.client_seed, seeds.nonce))}


def _draw_plinko(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    rows = parameters.integer("rows", float_stream.PLINKO_ROWS)
    path = float_stream.draw_plinko(seeds.server_seed, seeds.client_seed, seeds.nonce, rows)
    return {"path": list(path), "slot": sum(path)}


def _draw_roulette(seeds: _Seeds, _parameters: _Parameters) -> Outcome:
    return {"pocket": float_stream.draw_roulette(seeds.server_seed, seeds.client_seed, seeds.nonce)}


def _draw_wheel(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    segments = parameters.integer("segments", float_stream.WHEEL_SEGMENTS)
    return {"segment": float_stream.draw_wheel(seeds.server_seed, seeds.client_seed, seeds.nonce, segments)}


def _draw_crash_32bit(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    return _with_cash_out(crash_point_32bit(seeds.server_seed, seeds.client_seed), parameters)


def _draw_crash_52bit(seeds: _Seeds, parameters: _Parameters) -> Outcome:
    return _with_cash_out(crash_point_52bit(seeds.server_seed, seeds.client_seed), parameters)


def _with_cash_out(point: int, parameters: _Parameters) -> Outcome:
    outcome: Outcome = {"multiplier_hundredths": point}
    if "cash_out_hundredths" in parameters:
        allowed = range(paytable.CRASH_MIN_CASH_OUT_HUNDREDTHS, paytable.CRASH_MAX_CASH_OUT_HUNDREDTHS + 1)
        cash_out = parameters.integer("cash_out_hundredths", allowed)
        outcome["payout_hundredths"] = paytable.crash_payout_hundredths(point, cash_out)
    return outcome


_DRAWS: Mapping[str, Mapping[str, _Draw]] = {
    "float_stream": {
        "dice": _draw_dice,
        "limbo": _draw_limbo,
        "mines": _draw_mines,
        "keno": _draw_keno,
        "plinko": _draw_plinko,
        "roulette": _draw_roulette,
        "wheel": _draw_wheel,
    },
    "crash_chain_32bit": {"crash": _draw_crash_32bit},
    "crash_chain_52bit_text": {"crash": _draw_crash_52bit},
    "crash_chain_52bit_raw": {"crash": _draw_crash_52bit},
}

# A commitment to a seed and a link of a text chain are the same hash.
_LINKS: Mapping[str, ChainLink] = {
    "float_stream": link_over_text,
    "crash_chain_32bit": link_over_text,
    "crash_chain_52bit_text": link_over_text,
    "crash_chain_52bit_raw": link_over_bytes,
}


def _find_draw(scheme: str, game: str) -> _Draw:
    games = _DRAWS.get(scheme)
    if games is None:
        raise _Refused("unknown_scheme", f"no scheme {scheme[:64]!r}: known are {_listed(tuple(_DRAWS))}")
    if game not in games:
        raise _Refused("unknown_game", f"{scheme} has no game {game[:64]!r}: it has {_listed(tuple(games))}")
    return games[game]


def _check_seeds(seeds: _Seeds) -> None:
    for text in (seeds.server_seed, seeds.client_seed):
        if not 1 <= len(text) <= MAX_SEED_LENGTH or not _is_encodable(text):
            raise _Refused("bad_seed", f"a seed is text of 1 to {MAX_SEED_LENGTH} characters")
    if type(seeds.nonce) is not int or not 0 <= seeds.nonce <= MAX_NONCE:
        raise _Refused("bad_seed", "the nonce is a whole number from 0")


def _check_commitment(link: ChainLink, server_seed: str, server_seed_hash: str) -> None:
    try:
        actual = link(server_seed)
    except ValueError as refusal:
        raise _Refused("bad_seed", "the hash of a game on this chain is hex") from refusal
    if actual != server_seed_hash.lower():
        detail = f"the revealed seed hashes to {actual}, committed was {server_seed_hash[:64]!r}"
        raise _Refused("commitment_broken", detail)


def _is_encodable(text: str) -> bool:
    # JSON may carry half of a surrogate pair, which no hash can take.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise _bad(f"{name} must be text")
    return value


def _nonce(values: Mapping[str, object]) -> int:
    value = values.get("nonce")
    if type(value) is not int:
        raise _Refused("bad_seed", "the nonce is a whole number from 0")
    return value


def _mapping(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = values.get(name, {})
    if not isinstance(value, Mapping):
        raise _bad(f"{name} must be an object")
    return value


def _minor(values: Mapping[str, object], name: str) -> int:
    try:
        return parse_minor(_text(values, name))
    except MoneyError as refusal:
        raise _bad(f"{name}: {refusal}") from refusal


def _bad(detail: str) -> _Refused:
    return _Refused("bad_parameters", detail)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
