"""Verdicts: a game is recomputed from its revealed seeds and compared with what was shown and paid."""

from collections.abc import Mapping

import pytest

from croupier.settlement.fairness import link_over_bytes, link_over_text, verify_outcome, verify_round

SERVER_SEED = "1fa3b8c9d0e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff0011223"
SERVER_SEED_HASH = "1e44650bc2dbe808640d86eb3129fbe8d9ac438172a853ef9ef5cad38254a7c0"
STAKE_TERMINATING = "78a9757d3be42b74a3f70239078ad9317125fe9ee630d5bdada46de963e56752"
STAKE_SALT = "0000000000000000001b34dc6a1e86083f95500b096231436e9b25cbdd0075c4"
STAKE_GAME_1 = "10304c25342b9287bc07e168fd8a245ed86be755ddac8cdab0f07d0bd8898906"
BUSTABIT_TEXT_SALT = "0000000000000000004d6ec16dafe9d8370958664c1dc422f452892264c59526"
BUSTABIT_TEXT_HIGH_GAME = "5d07719b61b0abb6f1c3b17b1d69c838278f87f9b5e75077026e5fedf96c2eb2"
BUSTABIT_RAW_SALT = "00000000000000000001e08b7fd44f95e3e950ac65650a8031a6d5e1750e34be"
BUSTABIT_RAW_LATEST = "4488d92d89d0ed7fbb2ea23b219d569f63207e32fc44b957858838835c1719f1"


def verify(
    game: str = "dice", parameters: Mapping[str, object] | None = None, **changes: object
) -> tuple[bool, str, dict[str, int | str | list[int]]]:
    values: dict[str, object] = {
        "scheme": "float_stream",
        "server_seed": SERVER_SEED,
        "server_seed_hash": SERVER_SEED_HASH,
        "client_seed": "lucky7",
        "nonce": 0,
        **changes,
    }
    scheme = str(values.pop("scheme"))
    verdict = verify_outcome(scheme, game, parameters or {}, **values)  # type: ignore[arg-type]
    assert verdict.detail
    return verdict.is_valid, verdict.reason, verdict.outcome


@pytest.mark.parametrize(
    ("game", "parameters", "outcome"),
    [
        ("dice", {}, {"roll_hundredths": 3152}),
        (
            "dice",
            {"target_hundredths": 5000, "direction": "under"},
            {"roll_hundredths": 3152, "payout_hundredths": 198},
        ),
        ("limbo", {}, {"multiplier_hundredths": 314}),
        ("limbo", {"cash_out_hundredths": 315}, {"multiplier_hundredths": 314, "payout_hundredths": 0}),
        ("mines", {"mines": 3}, {"mine_cells": [7, 8, 4]}),
        (
            "mines",
            {"mines": 3, "revealed_cells": [0, 1, 2]},
            {"mine_cells": [7, 8, 4], "payout_hundredths": 147},
        ),
        ("keno", {}, {"drawn_numbers": [13, 14, 8, 16, 17, 26, 35, 24, 4, 9]}),
        ("plinko", {"rows": 8}, {"path": [0, 0, 0, 0, 0, 1, 1, 1], "slot": 3}),
        ("roulette", {}, {"pocket": 11}),
        ("wheel", {"segments": 30}, {"segment": 9}),
    ],
)
def test_a_game_of_the_stream_is_verified(
    game: str, parameters: Mapping[str, object], outcome: Mapping[str, object]
) -> None:
    assert verify(game, parameters) == (True, "ok", outcome)


def test_games_of_the_three_chains_are_verified_against_the_game_before() -> None:
    assert verify(
        "crash",
        {"cash_out_hundredths": 148},
        scheme="crash_chain_32bit",
        server_seed=STAKE_GAME_1,
        server_seed_hash=STAKE_TERMINATING,
        client_seed=STAKE_SALT,
    ) == (True, "ok", {"multiplier_hundredths": 148, "payout_hundredths": 148})
    assert verify(
        "crash",
        scheme="crash_chain_52bit_raw",
        server_seed=BUSTABIT_RAW_LATEST,
        server_seed_hash=link_over_bytes(BUSTABIT_RAW_LATEST),
        client_seed=BUSTABIT_RAW_SALT,
    ) == (True, "ok", {"multiplier_hundredths": 146})
    assert verify(
        "crash",
        scheme="crash_chain_52bit_text",
        server_seed=BUSTABIT_TEXT_HIGH_GAME,
        server_seed_hash=link_over_text(BUSTABIT_TEXT_HIGH_GAME),
        client_seed=BUSTABIT_TEXT_SALT,
    ) == (True, "ok", {"multiplier_hundredths": 205_590})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"server_seed_hash": "0" * 64}, "commitment_broken"),
        ({"server_seed": SERVER_SEED.upper()}, "commitment_broken"),
        ({"scheme": "float_streams"}, "unknown_scheme"),
        ({"game": "crash"}, "unknown_game"),
        ({"client_seed": ""}, "bad_seed"),
        ({"client_seed": "\ud800"}, "bad_seed"),
        ({"server_seed": "x" * 1025}, "bad_seed"),
        ({"nonce": -1}, "bad_seed"),
        ({"nonce": True}, "bad_seed"),
        ({"scheme": "crash_chain_52bit_raw", "game": "crash", "server_seed": "no hex"}, "bad_seed"),
        (
            {"scheme": "crash_chain_52bit_text", "game": "crash", "server_seed": "no hex",
             "server_seed_hash": link_over_text("no hex")},
            "bad_parameters",
        ),
        ({"parameters": {"target_hundredths": 5000}}, "bad_parameters"),
        ({"parameters": {"target_hundredths": 5000, "direction": "up"}}, "bad_parameters"),
        ({"parameters": {"target_hundredths": 10_000, "direction": "over"}}, "bad_parameters"),
        ({"parameters": {"target_hundredths": 50.0, "direction": "over"}}, "bad_parameters"),
        ({"parameters": {"targets_hundredths": 5000}}, "bad_parameters"),
        ({"game": "mines"}, "bad_parameters"),
        ({"game": "mines", "parameters": {"mines": 25}}, "bad_parameters"),
        ({"game": "mines", "parameters": {"mines": True}}, "bad_parameters"),
        ({"game": "mines", "parameters": {"mines": 3, "revealed_cells": "1"}}, "bad_parameters"),
        ({"game": "mines", "parameters": {"mines": 3, "revealed_cells": [1, 1]}}, "bad_parameters"),
        ({"game": "mines", "parameters": {"mines": 3, "revealed_cells": [25]}}, "bad_parameters"),
        ({"game": "plinko", "parameters": {"rows": 7}}, "bad_parameters"),
    ],
)  # fmt: skip
def test_what_cannot_be_verified_gets_a_reason_and_no_outcome(
    changes: dict[str, object], reason: str
) -> None:
    changes = dict(changes)
    game = str(changes.pop("game", "dice"))
    parameters = changes.pop("parameters", {})
    assert isinstance(parameters, Mapping)
    assert verify(game, parameters, **changes) == (False, reason, {})


FAIRNESS = {
    "scheme": "float_stream",
    "server_seed": SERVER_SEED,
    "server_seed_hash": SERVER_SEED_HASH,
    "client_seed": "lucky7",
    "nonce": 0,
}
CLOSED_ROUND = {
    "game": "dice",
    "parameters": {"target_hundredths": 5000, "direction": "under"},
    "result": {"roll_hundredths": 3152, "payout_hundredths": 198},
    "stake": "1001",
    "win": "1981",
}


def test_a_closed_round_is_verified_down_to_its_win() -> None:
    verdict = verify_round(CLOSED_ROUND, FAIRNESS)
    assert (verdict.is_valid, verdict.reason) == (True, "ok")


def test_a_closed_round_without_a_claim_is_recomputed() -> None:
    verdict = verify_round({"game": "keno"}, FAIRNESS)
    assert verdict.is_valid
    assert verdict.outcome["drawn_numbers"] == [13, 14, 8, 16, 17, 26, 35, 24, 4, 9]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"result": {"roll_hundredths": 3153}}, "outcome_differs"),
        ({"result": {"roll_hundredths": 3152.0}}, "outcome_differs"),
        ({"result": {"payout_hundredths": 199}}, "outcome_differs"),
        ({"result": {"card": 1}}, "outcome_differs"),
        ({"win": "1982"}, "win_differs"),
        ({"win": 1981}, "bad_parameters"),
        ({"win": "-1"}, "bad_parameters"),
        ({"parameters": {}, "result": {}}, "bad_parameters"),
        ({"parameters": [], "result": {}}, "bad_parameters"),
        ({"result": 5}, "bad_parameters"),
        ({"game": 5}, "bad_parameters"),
    ],
)
def test_a_closed_round_that_differs_from_its_seeds_is_not_valid(
    change: dict[str, object], reason: str
) -> None:
    verdict = verify_round({**CLOSED_ROUND, **change}, FAIRNESS)
    assert (verdict.is_valid, verdict.reason) == (False, reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"server_seed_hash": "1" * 64}, "commitment_broken"),
        ({"nonce": 1}, "outcome_differs"),
        ({"client_seed": "lucky8"}, "outcome_differs"),
        ({"nonce": "0"}, "bad_seed"),
        ({"nonce": None}, "bad_seed"),
        ({"server_seed": None}, "bad_parameters"),
        ({"scheme": "spribe_aviator"}, "unknown_scheme"),
    ],
)
def test_a_closed_round_with_another_proof_is_not_valid(change: dict[str, object], reason: str) -> None:
    verdict = verify_round(CLOSED_ROUND, {**FAIRNESS, **change})
    assert (verdict.is_valid, verdict.reason) == (False, reason)
