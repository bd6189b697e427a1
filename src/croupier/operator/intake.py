"""Requests as the operator API reads them: bounded, strict, path and query decoded exactly once."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, cast
from urllib.parse import unquote_to_bytes
from uuid import UUID

import msgspec
from litestar import Request
from litestar.params import QueryParameter
from litestar.typing import FieldDefinition

from croupier.errors import IDEMPOTENCY_KEY_MISSING, MALFORMED, UNKNOWN_ASSET, CroupierError
from croupier.ids import SESSION, MalformedId, parse_id
from croupier.money import AssetRegistry, UnknownAsset
from croupier.operator.bodies import MAX_NAME, NAME_PATTERN
from croupier.operator.exchange import Exchange, exchange_of
from croupier.operator.paging import MAX_PAGE
from croupier.providers.arrival import Receive, check_media_type, read_body
from croupier.providers.strict_json import decode_strict
from croupier_signing import payload_digest

MAX_IDEMPOTENCY_KEY: Final = 255
_UNREAD: Final[Any] = object()

_CURSOR_PATTERN: Final = r"^[A-Za-z0-9_-]+(?![\s\S])"

QueryName = Annotated[str, QueryParameter(min_length=1, max_length=MAX_NAME, pattern=NAME_PATTERN)]
OptionalName = Annotated[str | None, QueryParameter(min_length=1, max_length=MAX_NAME, pattern=NAME_PATTERN)]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Most items of the page.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=512,
        pattern=_CURSOR_PATTERN,
        description="The next_cursor of the page before.",
    ),
]


class OperatorRequest(Request[Any, Any, Any]):
    """A request whose body is read within bounds and as strict JSON of the type its handler declares."""

    _bytes: Any = _UNREAD

    @property
    def exchange(self) -> Exchange:
        """Who sent this, and the way into the money path."""
        return exchange_of(self.scope)

    async def body(self) -> bytes:
        """The bytes as sent; raises body_too_large or request_timeout."""
        if self._bytes is _UNREAD:
            exchange = self.exchange
            receive = cast("Receive", self.receive)
            self._bytes = await read_body(receive, exchange.head.content_length, exchange.deps.limits.body)
            exchange.is_body_read = True
        return bytes(self._bytes)

    async def json(self) -> Any:
        """The body as the handler's `data` declares it; raises malformed or unsupported_media_type."""
        field = self.route_handler.parsed_data_field
        return await self.read(Any if field is None else field.annotation)

    async def read(self, kind: Any) -> Any:
        """The body as a type; raises malformed or unsupported_media_type."""
        exchange = self.exchange
        check_media_type(exchange.head, "application/json")
        return decode_strict(_decoder(kind), await self.body(), exchange.deps.limits.json)

    async def fingerprint(self) -> str:
        """The digest that tells whether two requests under one Idempotency-Key are the same."""
        head = self.exchange.head
        return payload_digest(b"\n".join((head.method.encode(), head.path, await self.body())))


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def idempotency_key_of(exchange: Exchange) -> str:
    """The request's Idempotency-Key: 1 to 255 printable ASCII characters, given once."""
    values = [value for name, value in exchange.head.headers if name == b"idempotency-key"]
    if not values or not values[0]:
        detail = "send an Idempotency-Key header of your own choice, new for each new intention"
        raise CroupierError(IDEMPOTENCY_KEY_MISSING, detail, field="Idempotency-Key")
    value = values[0]
    is_printable = all(0x20 <= byte <= 0x7E for byte in value)
    if len(values) > 1 or len(value) > MAX_IDEMPOTENCY_KEY or not is_printable:
        detail = f"Idempotency-Key: one header of at most {MAX_IDEMPOTENCY_KEY} printable ASCII characters"
        raise CroupierError(MALFORMED, detail, field="Idempotency-Key")
    return value.decode()


def public_name(field: FieldDefinition) -> str:
    """What callers call an argument of a handler."""
    return getattr(field.kwarg_definition, "name", None) or field.name


def path_name(field: str, raw: str) -> str:
    """A name out of the path, percent-decoded once; raises malformed."""
    try:
        return msgspec.convert(unquote_to_bytes(raw).decode(), PathName)
    except (UnicodeDecodeError, msgspec.ValidationError):
        detail = f"{field}: 1 to {MAX_NAME} characters of UTF-8, percent-encoded, without control characters"
        raise CroupierError(MALFORMED, detail, field=field) from None


PathName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, pattern=NAME_PATTERN)]


def path_id(prefix: str, field: str, text: str) -> UUID:
    """An id of ours out of the path or query; raises malformed."""
    try:
        return parse_id(prefix, text)
    except MalformedId as error:
        raise CroupierError(MALFORMED, f"{field}: {error}", field=field) from None


def session_id_of(text: str) -> UUID:
    """A session's id; raises malformed."""
    return path_id(SESSION, "session_id", text)


def asset_of(assets: AssetRegistry, code: str) -> str:
    """The code of a known asset; raises unknown_asset with the nearest known one."""
    try:
        return assets.get(code).code
    except UnknownAsset as error:
        raise CroupierError(UNKNOWN_ASSET, str(error), field="asset") from None
