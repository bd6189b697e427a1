"""Pages: at most 200 items, and an opaque cursor that says where the next page begins."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

from msgspec import Struct

from croupier.errors import MALFORMED, CroupierError

T = TypeVar("T")

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50
NEWEST: Final = UUID(int=2**128 - 1)
OLDEST: Final = UUID(int=0)

_NUMBER_DIGITS: Final = 9


class PageRequest(Struct, frozen=True):
    """How many items, and from where on."""

    limit: int = DEFAULT_PAGE
    cursor: str | None = None

    def id_or(self, first: UUID) -> UUID:
        """The id after which this page begins; `first` on the first page."""
        raw = _decode(self.cursor)
        if raw is None:
            return first
        if len(raw) != len(first.bytes):
            raise _unusable()
        return UUID(bytes=raw)

    def text_or(self, first: str) -> str:
        """The text after which this page begins; `first` on the first page."""
        raw = _decode(self.cursor)
        try:
            text = first if raw is None else raw.decode()
        except UnicodeDecodeError:
            raise _unusable() from None
        if "\0" in text:
            raise _unusable()
        return text

    def number_or(self, first: int) -> int:
        """The number after which this page begins; `first` on the first page."""
        text = self.text_or(str(first))
        if not text.isascii() or not text.isdigit() or len(text) > _NUMBER_DIGITS:
            raise _unusable()
        return int(text)


def cut(
    found: list[T], page: PageRequest, key: Callable[[T], UUID | str | int]
) -> tuple[list[T], str | None]:
    """The items of a page and the next cursor, out of one item more than the page holds."""
    if len(found) <= page.limit:
        return found, None
    items = found[: page.limit]
    return items, _encode(key(items[-1]))


def _encode(last: UUID | str | int) -> str:
    raw = last.bytes if isinstance(last, UUID) else str(last).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(cursor: str | None) -> bytes | None:
    if cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raise _unusable() from None
    if urlsafe_b64encode(raw).decode().rstrip("=") != cursor:
        raise _unusable()
    return raw


def _unusable() -> CroupierError:
    detail = "cursor: it must be the next_cursor of an earlier page of this list, unchanged"
    return CroupierError(MALFORMED, detail, field="cursor")
