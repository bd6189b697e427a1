"""Croupier: the gateway between a casino platform and its game providers."""

from typing import Final

__version__: Final = "0.1.0"
