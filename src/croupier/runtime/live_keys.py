"""Accounts whose keys change while requests are served: one immutable mapping replaced by another, no lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.verification import RawRequest
from croupier.runtime.key_uses import KeyUses
from croupier_signing import SignatureRefused, parse_authorization

Entry: TypeAlias = tuple[ProviderAccount, Adapter]

_AUTHORIZATION: Final = b"authorization"


class LiveAccounts(Mapping[str, Entry]):
    """Accounts and adapters by provider id, as they are at the moment of each look; counts the uses of their keys."""

    __slots__ = ("_entries", "_known", "_now", "_uses")

    def __init__(self, uses: KeyUses, now: Callable[[], datetime]) -> None:
        self._entries: Mapping[str, Entry] = {}
        self._known: Mapping[str, str] = {}
        self._uses = uses
        self._now = now

    def replace(self, entries: Mapping[str, Entry], known: Mapping[str, str]) -> None:
        """Take these from now on. `known` gives the provider of every key id there ever was."""
        self._known = known
        self._entries = entries

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def note_key(self, provider: str, raw: RawRequest, key_id: str | None) -> None:
        """A call was proven with a key; or was not, and then it counts for the key it names, a revoked one too."""
        if key_id is not None:
            self._uses.note(provider, key_id, "verified", raw.received_at)
            return
        named = _named_key(raw)
        if named is not None and self._known.get(named) == provider:
            self._uses.note(provider, named, "refused", raw.received_at)

    def note_signed(self, provider: str, key_id: str) -> None:
        """A call of ours was signed with this key."""
        self._uses.note(provider, key_id, "signed", self._now())


def _named_key(raw: RawRequest) -> str | None:
    """The key id that a refused native call names, read by the signer's own extractor."""
    for name, value in raw.headers:
        if name == _AUTHORIZATION:
            try:
                return parse_authorization(value).key_id
            except SignatureRefused:
                return None
    return None
