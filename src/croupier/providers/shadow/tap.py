"""The live side of a shadow: a copy of an answered call goes out at once, or is lost and counted. Nothing waits."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.manifest import KeyKind
from croupier.providers.shadow.live import LiveCall
from croupier.providers.shadow.sample import render_sample
from croupier_signing import SigningKey

ALL: Final = 100
LOST: Final = ("full", "too_large", "gone", "key_gone", "fault")
"""Why a copy is lost: nobody reads or too slowly, it is too large, the socket or its key is gone, a fault of ours."""

_CHANCE: Final = random.Random()  # noqa: S311 (chooses what is copied, guards nothing)


class TapSettings(Struct, frozen=True, kw_only=True):
    """Whose calls are copied for which candidate: `percent` of them, none larger than `max_bytes`."""

    provider: str
    candidate: str
    percent: int = 100
    max_bytes: int = 65_536


class Tap:
    """Copies the calls of one account into a socket that never blocks.

    `lost` is told why each copy was lost, in a word of `LOST`; the next copy that goes out tells how many there were.
    """

    __slots__ = ("_accounts", "_dropped", "_link", "_lost", "_settings")

    def __init__(
        self,
        link: socket.socket,
        settings: TapSettings,
        accounts: Mapping[str, tuple[ProviderAccount, Adapter]],
        lost: Callable[[str], None],
    ) -> None:
        link.setblocking(False)
        self._link = link
        self._settings = settings
        self._accounts = accounts
        self._lost = lost
        self._dropped = 0

    def offer(self, call: LiveCall) -> None:
        """Copy a call if its turn has come; returns at once, whatever happens."""
        try:
            why = self._send(call) if self._is_chosen() else None
        except Exception:  # noqa: BLE001 (the request edge: a copy that fails is lost, the call it copies is not)
            why = "fault"
        if why is not None:
            self._dropped += 1
            self._lost(why)

    def _is_chosen(self) -> bool:
        percent = self._settings.percent
        return percent >= ALL or _CHANCE.randrange(ALL) < percent

    def _send(self, call: LiveCall) -> str | None:
        settings = self._settings
        account, adapter = self._accounts[settings.provider]
        token = None
        if sends_key(adapter):
            token = find_token(account, call.key_id)
            if token is None:
                return "key_gone"
        datagram = render_sample(
            call,
            provider=settings.provider,
            candidate=settings.candidate,
            token=token,
            dropped=self._dropped,
        )
        if len(datagram) > settings.max_bytes:
            return "too_large"
        try:
            self._link.send(datagram)
        except BlockingIOError:
            return "full"
        except OSError:
            return "gone"
        self._dropped = 0
        return None


def sends_key(adapter: Adapter) -> bool:
    """Whether the protocol's requests carry the key itself."""
    return adapter.manifest.inbound_key is KeyKind.TOKEN


def find_token(account: ProviderAccount, key_id: str) -> bytes | None:
    """The secret of a key that requests carry; None when the account has it no more."""
    key = account.inbound_keys.get(key_id)
    return key.secret if isinstance(key, SigningKey) else None
