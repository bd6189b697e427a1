"""Hub88's operator wallet protocol, version 1."""

from croupier.providers.adapters.hub88_v1.adapter import ADAPTER

__all__ = ["ADAPTER"]
