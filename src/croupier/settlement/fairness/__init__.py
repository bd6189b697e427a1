"""Provably fair games recomputed from their seeds, as the sites that run them published the rules.

Pure functions: seeds and parameters in, integers out. Hashing here decides who won a game and never who may
call; authentication belongs to the signer alone.
"""

from croupier.settlement.fairness.float_stream import (
    draw_dice,
    draw_keno,
    draw_limbo,
    draw_mines,
    draw_plinko,
    draw_roulette,
    draw_wheel,
    stream_words,
)
from croupier.settlement.fairness.hash_chain import (
    ChainLink,
    build_chain,
    crash_point_32bit,
    crash_point_52bit,
    link_over_bytes,
    link_over_text,
    steps_to_terminating,
)
from croupier.settlement.fairness.paytable import (
    Direction,
    crash_payout_hundredths,
    dice_payout_hundredths,
    dice_winning_rolls,
    mines_payout_hundredths,
    win_minor,
)
from croupier.settlement.fairness.seeds import commitment_of, is_commitment_kept
from croupier.settlement.fairness.verify import FairnessVerdict, Outcome, verify_outcome, verify_round

__all__ = [
    "ChainLink",
    "Direction",
    "FairnessVerdict",
    "Outcome",
    "build_chain",
    "commitment_of",
    "crash_payout_hundredths",
    "crash_point_32bit",
    "crash_point_52bit",
    "dice_payout_hundredths",
    "dice_winning_rolls",
    "draw_dice",
    "draw_keno",
    "draw_limbo",
    "draw_mines",
    "draw_plinko",
    "draw_roulette",
    "draw_wheel",
    "is_commitment_kept",
    "link_over_bytes",
    "link_over_text",
    "mines_payout_hundredths",
    "steps_to_terminating",
    "stream_words",
    "verify_outcome",
    "verify_round",
    "win_minor",
]
