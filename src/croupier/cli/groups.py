"""Which module has which commands, so that a command can be run without importing all the others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "demo": ("demo",),
        "deployment": ("init", "serve", "work", "migrate", "doctor"),
        "api": ("api",),
        "ledger": ("ledger",),
        "reconcile": ("reconcile",),
        "sessions": ("session",),
        "rounds": ("round",),
        "stuck": ("stuck",),
        "players": ("player",),
        "jurisdictions": ("jurisdiction",),
        "inbox": ("inbox",),
        "events": ("events",),
        "breakers": ("breakers",),
        "flags": ("flags",),
        "keys": ("keys",),
        "audit": ("audit",),
        "signature": ("sign", "verify-signature"),
        "fairness": ("fairness",),
        "provider": ("provider",),
        "wallet": ("wallet",),
        "sandbox": ("sandbox",),
        "bench": ("bench",),
    }
)
"""Modules of `croupier.cli` and the first words of their commands, in the order of the help."""
