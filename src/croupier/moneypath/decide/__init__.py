"""Decisions about money and play: facts and a command in, an outcome and its effects out. Pure throughout."""

from croupier.moneypath.decide.call import Answer, decide_call

__all__ = ["Answer", "decide_call"]
