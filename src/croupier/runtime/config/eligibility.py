"""The sections of who may play: jurisdictions that are served, the self-exclusion check, the location database."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from croupier.runtime.config.forms import (
    AssetChoice,
    Duration,
    HttpUrl,
    KeyId,
    Label,
    PublicId,
    SecretReference,
    seconds_of,
    text_form,
)

Country = Annotated[str, text_form(r"[A-Z]{2}", 'an ISO 3166-1 code, such as "MT"')]


class JurisdictionEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A jurisdiction that is served, and what is enabled there; sessions of any other are refused."""

    id: Annotated[PublicId, Meta(description="The id of its pack; `croupier jurisdiction list` shows them.")]
    providers: Annotated[
        tuple[Annotated[str, text_form(r"\*|[a-z0-9_-]{1,64}", 'a provider\'s id, or "*"')], ...],
        Meta(description='Which provider accounts are enabled there; "*" for all.'),
    ]
    games: Annotated[
        tuple[Annotated[str, text_form(r"\*|[A-Za-z0-9._:-]{1,128}", 'a game\'s id, or "*"')], ...],
        Meta(description='Which games are enabled there; "*" for all.'),
    ]
    assets: Annotated[
        tuple[AssetChoice, ...], Meta(description='Which assets may be played there; "*" for all.')
    ] = ("*",)
    countries: Annotated[
        tuple[Country, ...],
        Meta(description="Players of which countries are served under it; default: those of the pack."),
    ] = ()
    pack: Annotated[
        Label | None,
        Meta(description="A file with a pack of yours, instead of the one built in."),
    ] = None


class SelfExclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's check that a player is not excluded, asked before every launch; no answer means no launch."""

    url: Annotated[HttpUrl | None, Meta(description="Where it is asked by POST.")] = None
    key_id: Annotated[KeyId, Meta(description="What the key is called that signs the questions.")] = (
        "self-exclusion"
    )
    secret: Annotated[
        SecretReference | None, Meta(description="The key itself, for the native signature.")
    ] = None
    timeout: Annotated[Duration, Meta(description="How long an answer may take.")] = "2s"

    @property
    def timeout_s(self) -> int:
        """The duration in seconds."""
        return seconds_of(self.timeout)


class Geo(Struct, frozen=True, forbid_unknown_fields=True):
    """Where players' addresses are looked up."""

    database: Annotated[
        Label | None,
        Meta(description="A MaxMind DB file with countries; needs the extra `geo`."),
    ] = None
