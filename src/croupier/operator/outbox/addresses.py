"""Which addresses events may be sent to. What resolves to an address inside must not be reached by configuration alone.

A receiver's name is resolved here, every address it has is judged, and the connection goes to exactly those.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

Address = IPv4Address | IPv6Address

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(one)
    # Anycast relays, special registries and documentation that the standard library calls global.
    for one in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20")
)


class AddressRefused(OSError):
    """The receiver's address is not public; the text names it and what would permit it."""


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach this address; an IPv4 address inside an IPv6 one is judged itself."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return not any(address.version == net.version and address in net for net in _NOT_PUBLIC)


def _embedded(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def require_public(host: str, text: str) -> None:
    """Raise AddressRefused unless the address in `text`, which `host` has, is public."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise AddressRefused(f"{host} resolves to {text!r}, which is no address") from None
    if not is_public(address):
        shown = f"{host} is" if host == text else f"{host} resolves to {text}, which is"
        raise AddressRefused(
            f"refused: {shown} not a public address (allow_private of the endpoint permits it, "
            "--allow-private permits a sample)"
        )


def require_public_literal(host: str) -> None:
    """The same for a host that is an address itself, which nobody resolves; anything else passes."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    require_public(host, host)


class GuardedResolver(AbstractResolver):
    """Resolves names as the operating system does and refuses a name with any address that is not public."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of a name; raises AddressRefused, and OSError for a name without any."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        results: list[ResolveResult] = []
        for family_, _, proto, _, where in found:
            address = str(where[0])
            if not self._allow_private:
                require_public(host, address)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=family_,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is held."""
