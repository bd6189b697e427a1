"""Croupier: the gateway between a casino platform and its game providers."""
