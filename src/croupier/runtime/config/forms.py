"""The forms of single values: a pattern, and beside it a form in words, because nobody should have to read a regular
expression in an error.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

SECRET_FIELD = {"is_secret": True}
"""Marks fields whose value no error may show: somebody will write the secret itself there."""


def text_form(pattern: str, form: str) -> Meta:
    """A text of this pattern, which errors describe by `form`."""
    return Meta(pattern=rf"^(?:{pattern})\Z", extra={"form": form})


Address = Annotated[str, text_form(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}", 'text as "host:port"')]
Slug = Annotated[str, text_form(r"[a-z0-9_-]{1,64}", "1 to 64 of a-z 0-9 _ -")]
KeyId = Annotated[str, text_form(r"[A-Za-z0-9._:-]{1,64}", "1 to 64 of A-Z a-z 0-9 . _ : -")]
PublicId = Annotated[str, text_form(r"[A-Za-z0-9._:-]{1,128}", "1 to 128 of A-Z a-z 0-9 . _ : -")]
AssetCode = Annotated[str, text_form(r"[A-Za-z0-9_]{2,16}", "2 to 16 of A-Z a-z 0-9 _")]
AssetChoice = Annotated[str, text_form(r"\*|[A-Za-z0-9_]{2,16}", 'an asset code, or "*"')]
GroupChoice = Annotated[str, text_form(r"\*|[a-z0-9_-]{1,64}", 'a game group, or "*"')]
SecretReference = Annotated[
    str,
    Meta(
        pattern=r"^(?:env|file|aws-sm|vault):",
        extra={"form": '"env:NAME", "file:PATH", "aws-sm:NAME" or "vault:PATH#FIELD"', **SECRET_FIELD},
    ),
]
TokenHash = Annotated[
    str,
    Meta(pattern=r"^sha256:[0-9a-f]{64}\Z", extra={"form": '"sha256:" and 64 hex digits', **SECRET_FIELD}),
]
HttpUrl = Annotated[
    str, text_form(r"https?://[^\s/?#@]+(/[^\s?#]*)?", "an http:// or https:// URL without query")
]
TimeOfDay = Annotated[str, text_form(r"([01][0-9]|2[0-3]):[0-5][0-9]", 'a time of day as "HH:MM"')]
Duration = Annotated[
    str, text_form(r"[1-9][0-9]{0,5}[smhd]", 'a duration such as "90s", "15m", "24h" or "7d"')
]
Name = Annotated[str, text_form(r"[a-z][a-z0-9_]{0,63}", "a name of a-z 0-9 _")]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000)]
Label = Annotated[str, Meta(min_length=1, max_length=200, extra={"form": "1 to 200 characters"})]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(duration: str) -> int:
    """A `Duration` in seconds."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]
