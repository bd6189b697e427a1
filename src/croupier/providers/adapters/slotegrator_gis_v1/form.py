"""A verified form's fields by name, with the nested list of reversals taken apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, structs

from croupier.errors import CroupierError
from croupier.providers.adapters.slotegrator_gis_v1 import wire
from croupier.providers.strict_json import MAX_ODDITIES, ROOT
from croupier.providers.vocabulary import malformed
from croupier_signing import read_form

S = TypeVar("S", bound=Struct)

LIST: Final = "rollback_transactions"

_SHOWN: Final = 64
_ELEMENT: Final = re.compile(rf"{LIST}\[([0-9]{{1,4}})\]\[([^\[\]]+)\](\[.*)?")
_PATH: Final = re.compile(r"at `\$\.?([^`]*)`")
_MEMBER: Final = re.compile(r"missing required field `([^`]*)`")
_KNOWN: Final[dict[type[Struct], frozenset[str]]] = {
    form: frozenset({"action", *(field.encode_name for field in structs.fields(form))})
    for form in (wire.BalanceForm, wire.BetForm, wire.WinForm, wire.RefundForm, wire.RollbackForm)
}
_KNOWN_OF_ELEMENT: Final = frozenset(field.encode_name for field in structs.fields(wire.Undoing))


class Form(Struct, frozen=True, gc=False):
    """What a form says: plain fields by name, reversals in the order sent, names that stand nowhere."""

    fields: Mapping[str, str]
    elements: tuple[Mapping[str, str], ...]
    strays: tuple[str, ...]


def read_fields(body: bytes) -> Form:
    """Take a verified body apart; the signer's bounds on fields, names and depth hold. Total over verified bodies."""
    fields: dict[str, str] = {}
    elements: dict[str, dict[str, str]] = {}
    strays: list[str] = []
    for name, value in read_form(body):
        if "[" not in name:
            # PHP drops what is null; an empty text is how other writers say so. A flag is never empty.
            if value or name == "finished":
                fields[name] = value
            continue
        element = _ELEMENT.fullmatch(name)
        if element is None or element[3] is not None:
            strays.append(name)
        elif value:
            elements.setdefault(element[1], {})[element[2]] = value
    return Form(fields, tuple(elements.values()), tuple(strays))


def convert(form: Form, kind: type[S]) -> S:
    """The fields as a struct; raises CroupierError (malformed) that names the field."""
    given: Mapping[str, object] = form.fields
    if kind is wire.RollbackForm:
        given = {**form.fields, LIST: form.elements}
        # A reversal that is spelled in another way must not get lost among unknown fields.
        if any(_ELEMENT.fullmatch(name) is None and name.startswith(LIST) for name in form.strays):
            raise malformed(LIST, "it must be spelled rollback_transactions[0][transaction_id]")
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None


def find_oddities(form: Form, kind: type[Struct]) -> tuple[str, ...]:
    """Names that the protocol's text does not know, sorted, shortened and few."""
    unknown = form.fields.keys() - _KNOWN[kind]
    nested = {name for element in form.elements for name in element}
    if kind is wire.RollbackForm:
        nested -= _KNOWN_OF_ELEMENT
    if not unknown and not nested and not form.strays:
        return ()
    odd = {*unknown, *(f"{LIST}.{name}" for name in nested), *form.strays}
    return tuple(name[:_SHOWN] for name in sorted(odd)[:MAX_ODDITIES])


def _refused(message: str) -> CroupierError:
    said, _, _ = message.partition(" - at `")
    path, member = _PATH.search(message), _MEMBER.search(message)
    parts = [part for part in (path and path[1], member and member[1]) if part]
    return malformed(".".join(parts)[:_SHOWN] or ROOT, said)
