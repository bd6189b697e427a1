"""Evolution's One Wallet protocol, version 1."""

from croupier.providers.adapters.evolution_v1.adapter import ADAPTER

__all__ = ["ADAPTER"]
