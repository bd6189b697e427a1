"""Swipe Games integration adapter API, version 1."""

from croupier.providers.adapters.swipegames_v1.adapter import ADAPTER

__all__ = ["ADAPTER"]
