"""Agreement with the operator's wallet (I6): their statement, our wallet calls, our ledger and what providers asked.

A movement belongs to a wallet call if it has its reference and was recorded during the call's life: from the moment at
which the call was asked until it was settled, `SKEW` more on either side. A call is compared in the window in which it
was settled, with all movements of its life, wherever they lie; so windows cut nothing in two. A window is complete in
three ways: every call that was settled in it, every movement that was recorded in it (one that belongs to a call which
was settled elsewhere is left to that window), and every entry that was booked in it.
"""

from croupier.settlement.agreement.compare import compare, stray_references
from croupier.settlement.agreement.records import (
    KINDS,
    SKEW,
    Agreement,
    Difference,
    Held,
    Listed,
    Part,
    Sums,
    Unasked,
    Window,
)
from croupier.settlement.agreement.windows import Sides, compare_window

__all__ = [
    "KINDS",
    "SKEW",
    "Agreement",
    "Difference",
    "Held",
    "Listed",
    "Part",
    "Sides",
    "Sums",
    "Unasked",
    "Window",
    "compare",
    "compare_window",
    "stray_references",
]
