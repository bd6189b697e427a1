"""Accounts whose keys change while requests are served: one immutable mapping replaced by another, no lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar, cast

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.providers.contract import Adapter, Attempt, ProviderAccount
from croupier.providers.verification import RawRequest, Verified
from croupier.runtime.key_uses import KeyUses
from croupier.runtime.provider_keys import NO_KEY
from croupier_signing import SignatureRefused, parse_authorization

Entry: TypeAlias = tuple[ProviderAccount, Adapter]
A = TypeVar("A")
R = TypeVar("R")
Build: TypeAlias = Callable[[A, ProviderAccount, Attempt], R]

_AUTHORIZATION: Final = b"authorization"


class LiveAccounts(Mapping[str, Entry]):
    """Accounts and adapters by provider id, as they are at the moment of each look.

    A request keeps the entry it looked up, which may be as old as its body took to arrive; so the adapters
    verify with the account of the moment of verifying, and a revoked key ends for requests under way too.
    """

    __slots__ = ("_entries", "_known", "_now", "_uses")

    def __init__(self, uses: KeyUses, now: Callable[[], datetime]) -> None:
        self._entries: Mapping[str, Entry] = {}
        self._known: Mapping[str, str] = {}
        self._uses = uses
        self._now = now

    def replace(self, entries: Mapping[str, Entry], known: Mapping[str, str]) -> None:
        """Take these from now on. `known` gives the provider of every key id there ever was."""
        self._known = known
        self._entries = {
            name: (account, cast("Adapter", _WatchedAdapter(adapter, self)))
            for name, (account, adapter) in entries.items()
        }

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The entry, or the default."""
        return self._entries.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def account_now(self, account: ProviderAccount) -> ProviderAccount:
        """What has become of an account looked up earlier."""
        return self._entries[account.id][0]

    def note_verified(self, provider: str, key_id: str, now: datetime) -> None:
        """A call was proven with this key."""
        self._uses.note(provider, key_id, "verified", now)

    def note_refused(self, provider: str, raw: RawRequest, now: datetime) -> None:
        """A call that names one of the provider's keys, revoked ones included, was not proven."""
        key_id = _named_key(raw)
        if key_id is not None and self._known.get(key_id) == provider:
            self._uses.note(provider, key_id, "refused", now)

    def note_signed(self, provider: str, key_id: str) -> None:
        """A call of ours was signed with this key."""
        self._uses.note(provider, key_id, "signed", self._now())


class _WatchedAdapter:
    """An adapter that verifies with the keys of this moment and counts their use; the rest is the adapter's own."""

    def __init__(self, adapter: Adapter, accounts: LiveAccounts) -> None:
        self._accounts = accounts
        self._verify = adapter.verify
        for name in dir(adapter):
            if not name.startswith("_"):
                setattr(self, name, getattr(adapter, name))
        # Assigned, because what was copied above would hide methods of these names.
        self.verify = self._verify_now
        self.build_launch = self._signing(adapter.build_launch)
        self.build_question = self._signing(adapter.build_question)

    def _verify_now(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        accounts = self._accounts
        try:
            verified = self._verify(raw, accounts.account_now(account), now)
        except CroupierError:
            accounts.note_refused(account.id, raw, now)
            raise
        accounts.note_verified(account.id, verified.key_id, now)
        return verified

    def _signing(self, build: Build[A, R]) -> Build[A, R]:
        """The same request, refused while nothing can sign it, and counted."""

        def build_signed(asked: A, account: ProviderAccount, attempt: Attempt) -> R:
            if account.outbound_key.id == NO_KEY:
                detail = (
                    f"no key signs calls to {account.id}; publish and promote an outbound key, then repeat"
                )
                raise CroupierError(UNAVAILABLE, detail, retry_after_s=5)
            self._accounts.note_signed(account.id, account.outbound_key.id)
            return build(asked, account, attempt)

        return build_signed


def _named_key(raw: RawRequest) -> str | None:
    """The key id that a refused native call names, read by the signer's own extractor."""
    for name, value in raw.headers:
        if name == _AUTHORIZATION:
            try:
                return parse_authorization(value).key_id
            except SignatureRefused:
                return None
    return None
