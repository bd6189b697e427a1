"""The section of the players' wallet: whose it is, and how the operator's own is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from croupier.runtime.config.forms import Duration, HttpUrl, KeyId, SecretReference, Slug, seconds_of


class Wallet(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose wallet is the source of truth, and how the operator's own is asked."""

    mode: Annotated[
        Literal["builtin", "remote"],
        Meta(description="`remote` asks the operator's own wallet (docs/reference/wallet-contract.md)."),
    ] = "builtin"
    url: Annotated[HttpUrl | None, Meta(description="The base URL of the operator's wallet.")] = None
    key_id: Annotated[KeyId, Meta(description="What the key is called that signs the calls.")] = "wallet"
    secret: Annotated[
        SecretReference | None, Meta(description="The key itself, for the native signature.")
    ] = None
    timeout: Annotated[
        Duration,
        Meta(description="How long one attempt may take; the deadline of a provider's call may be shorter."),
    ] = "2s"
    connections: Annotated[
        int, Meta(ge=1, le=1024, description="Most requests to it at once, for each process.")
    ] = 64
    queue: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Most calls that wait for a connection; more are not applied."),
    ] = 4096
    batch: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Most movements that travel together while every connection is busy; 1 sends each alone.",
        ),
    ] = 1
    deadline: Annotated[
        Duration, Meta(description="When an outcome that nobody knows becomes a person's.")
    ] = "10m"
    breaker_open_cap: Annotated[
        Duration,
        Meta(description="The longest a breaker of it stays open, in the place of `breakers.open_cap`."),
    ] = "15s"
    owner: Annotated[Slug, Meta(description="The team that such outcomes belong to.")] = "finance"

    @property
    def is_remote(self) -> bool:
        """Whether the operator keeps the players' money."""
        return self.mode == "remote"

    @property
    def timeout_s(self) -> int:
        """The duration in seconds."""
        return seconds_of(self.timeout)

    @property
    def breaker_open_cap_s(self) -> int:
        """The duration in seconds."""
        return seconds_of(self.breaker_open_cap)

    @property
    def deadline_s(self) -> int:
        """The duration in seconds."""
        return seconds_of(self.deadline)
