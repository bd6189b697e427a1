"""What the operator sends. Members that are not listed are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from croupier.play.restriction import RestrictionKind

MAX_NAME: Final = 128
# JSON Schema reads patterns as ECMA-262 does, and `$` alone would let a last line feed through in Python.
NAME_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]+(?![\s\S])"

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=NAME_PATTERN)]
"""A reference or an id that is not ours."""

Amount = Annotated[
    str,
    Meta(
        description="Whole minor units of the asset, more than 0, at most 38 digits.",
        extra_json_schema={"pattern": "^[1-9][0-9]*$", "maxLength": 38},
        examples=["1250"],
    ),
]
# The grammar is read by `money`, because an amount that is too long has a code of its own.


class OpenSessionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who plays what, in which asset, and from where. What is optional is passed on to the provider."""

    player_id: Name
    game_id: Name
    asset: Name
    country: Annotated[
        str, Meta(pattern=r"^[A-Z]{2}(?![\s\S])", description="ISO 3166-1 alpha-2.", examples=["MT"])
    ]
    jurisdiction: Name | None = None
    ip: Annotated[str, Meta(max_length=45, description="The player's IPv4 or IPv6 address.")] | None = None
    locale: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{2,35}(?![\s\S])", examples=["en-GB"])] | None = None
    return_url: Annotated[str, Meta(max_length=2048, pattern=r"^https?://[!-~]+(?![\s\S])")] | None = None
    client: Annotated[Name, Meta(description="The device class.", examples=["mobile"])] | None = None


class CashBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A deposit or a withdrawal; the reference is yours, unique for ever."""

    amount: Amount
    reference: Name


class CloseBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why play ends; kept in the session's history."""

    reason: Annotated[Name, Meta(examples=["player_logged_out"])]


class RestrictionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why a player may not stake, and for how long."""

    kind: RestrictionKind
    reason: Annotated[Name, Meta(description="Kept with it, for support and the regulator.")]
    until: (
        Annotated[datetime, Meta(tz=True, description="When it ends by itself; null for when it is lifted.")]
        | None
    ) = None


class LiftBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why a player may stake again."""

    reason: Annotated[Name, Meta(description="Kept with the restriction.")]


class CancelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A cancellation says everything in its path: an empty body, or `{}`."""
