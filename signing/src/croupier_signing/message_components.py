"""What a message signature covers: the components of a request and their values (RFC 9421, section 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .refusal import RefusalReason, SignatureRefused, malformed
from .structured_fields import Item, parse_item, render_item

MAX_QUERY_FIELDS: Final = 256

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_PRINTABLE: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
# RFC 9421 2.5 lets a tab stand inside a field's value; everything else must be printable ASCII.
_FIELD_VALUE: Final = re.compile(rb"[\t -~]*")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """A request as its receiver sees it.

    `scheme` is http or https, `authority` the Host field's value, `path` and `query` the bytes on the wire, the
    query without its `?`; `headers` have names in lower case, in the order sent; `body` is the bytes as sent.
    """

    method: str
    scheme: str
    authority: str
    path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def parse_component(name: str) -> Item:
    """A component's identifier from its name, or from its written form when it has parameters.

    `@method` and `"@query-param";name="id"` are both understood. SignatureRefused (malformed) otherwise.
    """
    return parse_item(name) if name.startswith('"') else Item(name)


def render_component(component: Item) -> str:
    """The name of a component; its written form when it has parameters. The inverse of `parse_component`."""
    return render_item(component) if component.parameters else str(component.value)


def component_value(request: MessageRequest, component: Item) -> bytes:
    """The value that the signature base holds for a component.

    Raises SignatureRefused: malformed for a component that is not understood here or a value that no signature can
    cover, mismatch for a field or query parameter that the request does not have.
    """
    name = component.value
    if not isinstance(name, str):
        raise malformed("a component's name is not a string")
    if name == "@query-param":
        return _query_parameter(request.query, component)
    if component.parameters:
        raise malformed(f"{render_item(component)}: no parameters of this component are understood")
    if not name.startswith("@"):
        return _field(request, name)
    value = _derived(request, name)
    if _PRINTABLE.fullmatch(value) is None:
        raise malformed(f"{name}: the request's value has bytes that no signature can cover")
    return value


def field_lines(request: MessageRequest, name: bytes) -> bytes | None:
    """The values of all lines of a field, joined as RFC 9421 (2.1) says; None when there is no line."""
    lines = [value.strip(b" \t") for found, value in request.headers if found == name]
    return b", ".join(lines) if lines else None


def _field(request: MessageRequest, name: str) -> bytes:
    if _FIELD_NAME.fullmatch(name) is None:
        raise malformed("a component is not the name of a field in lower case")
    value = field_lines(request, name.encode())
    if value is None:
        raise SignatureRefused(
            RefusalReason.MISMATCH, f"{name} is covered, but the request has no such field"
        )
    if _FIELD_VALUE.fullmatch(value) is None:
        raise malformed(f"{name}: the value has bytes that no signature can cover")
    return value


def _derived(request: MessageRequest, name: str) -> bytes:
    path = request.path or b"/"
    target = path + b"?" + request.query if request.query else path
    match name:
        case "@method":
            if _METHOD.fullmatch(request.method) is None:
                raise malformed("the method is not an HTTP token")
            return request.method.encode()
        case "@scheme":
            return _encode(request.scheme.lower())
        case "@authority":
            authority = request.authority.lower()
            return _encode(authority.removesuffix(_DEFAULT_PORTS.get(request.scheme.lower(), " ")))
        case "@target-uri":
            return _encode(f"{request.scheme}://{request.authority}") + target
        case "@request-target":
            return target
        case "@path":
            return path
        case "@query":
            return b"?" + request.query
        case _:
            raise malformed(f"{name[:64]} is not a component of a request that is understood here")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _query_parameter(query: bytes, component: Item) -> bytes:
    parameters = dict(component.parameters)
    wanted = parameters.get("name")
    if parameters.keys() != {"name"} or not isinstance(wanted, str):
        raise malformed("@query-param has one parameter, name, which is a string")
    fields = query.split(b"&")
    if len(fields) > MAX_QUERY_FIELDS:
        raise malformed(f"the query has more than {MAX_QUERY_FIELDS} fields, so none can be covered by name")
    values = [
        value for name, _, value in (field.partition(b"=") for field in fields if field)
        if _form_encoded(name) == wanted
    ]  # fmt: skip
    if not values:
        raise SignatureRefused(RefusalReason.MISMATCH, f"the query has no parameter {wanted[:64]}")
    if len(values) > 1:
        raise malformed(f"the query has {wanted[:64]} more than once, so it cannot be covered by name")
    return _form_encoded(values[0]).encode()


def _form_encoded(text: bytes) -> str:
    """Decoded as a form's field and encoded again with the form's percent-encode set (RFC 9421, 2.2.8)."""
    decoded = unquote_to_bytes(text.replace(b"+", b" "))
    # The only character that the two encodings treat differently.
    return quote_from_bytes(decoded, safe="*").replace("~", "%7E")
