"""The sections of shadows: which candidate reads along with which account, and what it may use."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from croupier.runtime.config.forms import Duration, Slug, seconds_of, text_form

MEBIBYTE = 1024 * 1024


class Shadow(Struct, frozen=True, forbid_unknown_fields=True):
    """A candidate that reads along with an account: nothing of what it makes of a call is done."""

    provider: Annotated[Slug, Meta(description="The id of a provider above; one shadow each.")]
    adapter: Annotated[
        str,
        text_form(r"[a-z][a-z0-9_]*_v[0-9]+", 'a protocol and its version, such as "softswiss_v3"'),
        Meta(description="The candidate: an adapter, or one that is in preparation."),
    ]
    sample_percent: Annotated[
        int, Meta(ge=1, le=100, description="How many of the account's calls it reads, in percent.")
    ] = 100
    max_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=131_072,
            description="Largest copy of a call with its answer; a larger one is dropped.",
        ),
    ] = 65_536
    queue: Annotated[
        int, Meta(ge=1, le=10_000, description="Most copies waiting for the candidate; more are dropped.")
    ] = 256
    deadline: Annotated[
        Duration, Meta(description="How long it may take for one call; then its process is replaced.")
    ] = "2s"
    memory_mb: Annotated[
        int, Meta(ge=64, le=8192, description="How much memory its process may take, in MiB of data.")
    ] = 256
    at_least: Annotated[
        int,
        Meta(ge=1, le=1_000_000_000, description="Fewest calls compared before its verdict can be green."),
    ] = 1000

    @property
    def deadline_s(self) -> int:
        return seconds_of(self.deadline)

    @property
    def memory_bytes(self) -> int:
        return self.memory_mb * MEBIBYTE
