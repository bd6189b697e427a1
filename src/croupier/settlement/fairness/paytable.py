"""What a bet pays, in whole hundredths of its stake, at a house edge of one percent.

Exact integer arithmetic, rounded down once. A verified draw with a wrong pay-table is still a wrong payment,
so the verifier recomputes both. A payout of 0 means the bet lost; 100 gives the stake back.
"""

from collections.abc import Collection
from math import comb
from typing import Literal

from croupier.settlement.fairness.float_stream import DICE_OUTCOMES, MINES_CELLS

DICE_MAX_WINNING_ROLLS = 9_800
CRASH_MIN_CASH_OUT_HUNDREDTHS = 101
CRASH_MAX_CASH_OUT_HUNDREDTHS = 100_000_000

Direction = Literal["over", "under"]

_RETURN_PERCENT = 99


def win_minor(stake_minor: int, payout_hundredths: int) -> int:
    """Multiply a stake by a payout, both integers, rounded down to a whole minor unit."""
    return stake_minor * payout_hundredths // 100


def dice_winning_rolls(target_hundredths: int, direction: Direction) -> int:
    """Count the rolls of 0 to 10 000 that win; a roll equal to the target loses either way."""
    return DICE_OUTCOMES - 1 - target_hundredths if direction == "over" else target_hundredths


def dice_payout_hundredths(roll_hundredths: int, target_hundredths: int, direction: Direction) -> int:
    """Pay a dice bet: 0.99 / probability if the roll is beyond the target.

    Raises ValueError unless 1 to 9 800 of the 10 001 rolls win (more would pay less than 1.01).
    """
    winning = dice_winning_rolls(target_hundredths, direction)
    if not 1 <= winning <= DICE_MAX_WINNING_ROLLS:
        raise ValueError(f"1 to {DICE_MAX_WINNING_ROLLS} rolls may win, not {winning}")
    is_over = roll_hundredths > target_hundredths
    is_under = roll_hundredths < target_hundredths
    is_won = is_over if direction == "over" else is_under
    return _RETURN_PERCENT * DICE_OUTCOMES // winning if is_won else 0


def mines_payout_hundredths(mine_cells: Collection[int], revealed_cells: Collection[int]) -> int:
    """Pay a mines bet that cashed out after revealing these cells: 0.99 / probability, 0 if one is a mine.

    Raises ValueError unless the cells are different, of 0 to 24, and a field without a mine exists for each.
    """
    revealed = set(revealed_cells)
    if len(revealed) != len(revealed_cells) or not revealed <= set(range(MINES_CELLS)):
        raise ValueError(f"revealed cells must be different and of 0 to {MINES_CELLS - 1}")
    safe = MINES_CELLS - len(mine_cells)
    if not 1 <= len(revealed) <= safe:
        raise ValueError(f"1 to {safe} cells can be revealed, not {len(revealed)}")
    if revealed & set(mine_cells):
        return 0
    return _RETURN_PERCENT * comb(MINES_CELLS, len(revealed)) // comb(safe, len(revealed))


def crash_payout_hundredths(crash_hundredths: int, cash_out_hundredths: int) -> int:
    """Pay a crash (or limbo) bet: the chosen multiplier if the game reached it, else 0.

    Raises ValueError unless the multiplier is 1.01 to 1 000 000.00.
    """
    if not CRASH_MIN_CASH_OUT_HUNDREDTHS <= cash_out_hundredths <= CRASH_MAX_CASH_OUT_HUNDREDTHS:
        raise ValueError(f"cash-out of {cash_out_hundredths} hundredths must be 101 to 100000000")
    return cash_out_hundredths if crash_hundredths >= cash_out_hundredths else 0
