"""Croupier's own protocol, version 1: in-house studios and the sandbox provider."""

from croupier.providers.adapters.croupier_v1.adapter import ADAPTER

__all__ = ["ADAPTER"]
