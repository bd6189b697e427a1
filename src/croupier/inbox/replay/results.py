"""What became of a delivery in a replay, told from the money path's answer."""

from __future__ import annotations

from typing import Final, assert_never

from croupier.errors import CroupierError
from croupier.inbox.process import (
    APPLIED,
    NOTHING,
    REFUSED,
    REPEAT,
    UNMATCHED,
    Finish,
    Setback,
    Wait,
    judge_error,
    judge_outcomes,
)
from croupier.inbox.replay.reading import Unusable
from croupier.moneypath.decide import Answer

FAILED: Final = "failed"
"""It could not be read, or not be decided."""

FINISHED: Final = frozenset({APPLIED, REPEAT, NOTHING, REFUSED})
"""After these nothing is left to do: the delivery needs no queue and is no dead letter.

What is `unmatched` in a replay goes on waiting where it is, and becomes work for a person from there.
"""


def judge(answer: Answer | Unusable) -> Finish:
    """The result of one delivery, by the rules of its first processing."""
    if isinstance(answer, Unusable):
        return Finish(result=FAILED, code=answer.cause, detail=answer.detail)
    if not isinstance(answer, CroupierError):
        return judge_outcomes(answer)
    verdict = judge_error(answer, may_wait=True)
    match verdict:
        case Finish():
            return verdict
        case Wait(code=code, detail=detail):
            return Finish(result=UNMATCHED, code=code, detail=detail)
        case Setback(cause=cause, detail=detail):
            return Finish(result=FAILED, code=cause, detail=detail)
        case _:
            assert_never(verdict)
