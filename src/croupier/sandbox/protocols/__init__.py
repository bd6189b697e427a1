"""The protocols the sandbox speaks as the provider, one module each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.sandbox.protocols.evolution_v1 import EvolutionWire
from croupier.sandbox.protocols.hub88_v1 import Hub88Wire
from croupier.sandbox.protocols.native import NativeWire
from croupier.sandbox.protocols.slotegrator_gis_v1 import SlotegratorWire
from croupier.sandbox.protocols.softswiss_v2 import SoftswissWire
from croupier.sandbox.protocols.swipegames_v1 import SwipeGamesWire
from croupier.sandbox.wire import Account, Wire

WIRES: Final[Mapping[str, type[Wire]]] = {
    wire.protocol: wire
    for wire in (
        NativeWire,
        SoftswissWire,
        Hub88Wire,
        SlotegratorWire,
        SwipeGamesWire,
        EvolutionWire,
    )
}
"""Every protocol there is, by protocol and version."""


def open_wire(account: Account) -> Wire:
    """The wire of an account; raises ValueError for an unknown protocol or keys of the wrong kind."""
    if account.protocol not in WIRES:
        raise ValueError(f"{account.id}: there is no protocol {account.protocol!r}, only {', '.join(WIRES)}")
    return WIRES[account.protocol](account)
