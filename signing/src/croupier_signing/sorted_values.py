"""Values in the order of their names (Groove): HMAC-SHA256 over the values of a query run together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from .coverage import Coverage
from .hmac_form import hmac_form
from .keys import SigningKey
from .matching import take_keys
from .refusal import malformed
from .urlencoded import encode_text, require_distinct

COVERAGE: Final = Coverage(
    scheme="sorted_values",
    covered=("query",),
    uncovered=(
        "method",
        "path",
        "body",
        "headers",
        "timestamp",
        "nonce",
        "the names of the parameters and where one value ends",
        "parameters left out by the protocol",
    ),
    is_weak=True,
    weakness="values run together without names or separators: characters may move from one value to the next",
)
MAX_VALUES: Final = 256

_FORM: Final = hmac_form("sha256", "hex")
_NO_RENAMES: Final[Mapping[str, str]] = MappingProxyType({})


def join_sorted_values(
    fields: Sequence[tuple[str, str]],
    *,
    leave_out: Collection[str] = (),
    order_as: Mapping[str, str] = _NO_RENAMES,
) -> bytes:
    """The bytes that are signed: the UTF-8 values of the decoded parameters, sorted bytewise by name, unseparated.

    `leave_out` names parameters that do not take part, `order_as` the name under which one is sorted (Groove sorts
    `nogsgameid` as `gameid`); both differ by operation there, because its samples contradict its text. Raises
    SignatureRefused (malformed): more than `MAX_VALUES`, an empty or repeated name, two names sorted as one.
    """
    if len(fields) > MAX_VALUES:
        raise malformed(f"there are more than {MAX_VALUES} parameters")
    require_distinct(tuple(fields))
    taking_part = tuple(
        [(order_as.get(name, name), value) for name, value in fields if name not in leave_out]
    )
    require_distinct(taking_part)
    ordered = sorted([(encode_text(name), encode_text(value)) for name, value in taking_part])
    return b"".join([value for _, value in ordered])


def sign_sorted_values(
    key: SigningKey,
    fields: Sequence[tuple[str, str]],
    *,
    leave_out: Collection[str] = (),
    order_as: Mapping[str, str] = _NO_RENAMES,
) -> str:
    """HMAC-SHA256 of `join_sorted_values`, lower-case hex; errors as there, TypeError for a key that is no secret."""
    return _FORM.sign(key, join_sorted_values(fields, leave_out=leave_out, order_as=order_as))


def verify_sorted_values(
    keys: Iterable[SigningKey],
    fields: Sequence[tuple[str, str]],
    signature: bytes | None,
    *,
    leave_out: Collection[str] = (),
    order_as: Mapping[str, str] = _NO_RENAMES,
) -> str:
    """The id of the key that signed; SignatureRefused missing, malformed (signature, fields) or mismatch.

    TypeError for a key that is not a shared secret, ValueError for more than `MAX_KEYS`: before the request is looked
    at.
    """
    held = take_keys(keys, SigningKey)
    presented = _FORM.read(signature)
    message = join_sorted_values(fields, leave_out=leave_out, order_as=order_as)
    return _FORM.match(held, message, presented)
