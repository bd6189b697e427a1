"""Decisions about money and play: facts and a command in, an outcome and its effects out. Pure throughout."""

from croupier.moneypath.decide.call import Answer, decide_call
from croupier.moneypath.decide.verdict import Sending
from croupier.moneypath.decide.wallet import BEHIND, Ask

__all__ = ["BEHIND", "Answer", "Ask", "Sending", "decide_call"]
