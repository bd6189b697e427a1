"""SOFTSWISS-style seamless wallet, a third version in preparation: not correct yet, on purpose (NOTES.md)."""

from croupier.providers.candidates.softswiss_v3.adapter import ADAPTER

__all__ = ["ADAPTER"]
