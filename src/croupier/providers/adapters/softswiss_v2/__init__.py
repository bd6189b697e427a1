"""SOFTSWISS-style seamless wallet, version 2, as published by Beexar."""

from croupier.providers.adapters.softswiss_v2.adapter import ADAPTER

__all__ = ["ADAPTER"]
