"""The reference page of the configuration: `python -m croupier.runtime.config.reference` writes it out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from msgspec import NODEFAULT, inspect

from croupier.runtime.config.environment import variables
from croupier.runtime.config.reading import LATER, Place, Shape, render_place, shape_of
from croupier.runtime.config.sections import Config

PAGE: Final = "docs/reference/configuration.md"

_NAMED_BY: Final = {"timeouts": "state", "owners": "team"}

_HEAD: Final = """\
# Configuration

Generated from the code by `python -m croupier.runtime.config.reference`; do not edit.

Croupier reads one TOML file, named by `--config` (`croupier init DIR` writes a commented one). Every key
has a default unless it says *required*. An unknown key is an error that names the nearest known one, a wrong
value is an error that says what would be right, and all of them are reported at once; `croupier doctor` shows
them with the rest of its findings. Relative paths count from the file's folder.

## Environment variables

`CROUPIER_<SECTION>_<KEY>` overrides a key of a section in single brackets, `CROUPIER_<KEY>` a key outside
sections; the names are listed below. Lists (`[[…]]`) and named tables (`[….<name>]`) are set in the file
only. An empty variable counts as absent. A variable that begins like a section and names no key of it, or is
one slip away from a known one, is an error unless a secret is referenced by that name; other `CROUPIER_…`
variables are left alone.

## Secrets

No secret stands in the file. A key's `secret` is a reference:

| reference | where the value is |
|---|---|
| `env:NAME` | in the environment variable `NAME` |
| `file:PATH` | in a file whose mode gives group and others nothing (`chmod 600`) |
| `aws-sm:NAME`, `aws-sm:NAME#FIELD` | in AWS Secrets Manager, or a member of its JSON; needs the extra `aws` |
| `vault:PATH#FIELD` | in a field of a HashiCorp Vault secret (KV version 2); needs the extra `vault` |

One newline at the end is removed; what remains must be at least 16 bytes, or a PEM key. A database URL with a
password is set in `CROUPIER_DATABASE_URL`, or referenced in the same way; a password in the file is refused.
"""

_CONTRACTS: Final = """\
The contract of a game is the most specific that has begun: by group and asset, then by group, then by asset,
then neither; among equals the latest `from`. Its id is `provider/game_group/asset/from`, with `from` in UTC.
"""

_LATER: Final = """\
## Not available in this version

These names are agreed and refused for now, because accepting them would promise something:
"""


def render_configuration_reference() -> str:
    """The whole page as Markdown."""
    return _HEAD + "".join(_sections()) + "\n" + _LATER + "\n" + "".join(_later())


def _sections() -> Iterator[str]:
    fields = _fields(inspect.type_info(Config))
    plain = [field for field in fields if _item(shape_of(field.type)) is None]
    yield _render_section("Outside sections", "", plain, ())
    for field in fields:
        shape = shape_of(field.type)
        if (item := _item(shape)) is not None:
            yield from _render_item(field.encode_name, shape, item)


def _render_item(name: str, shape: Shape, item: inspect.StructType) -> Iterator[str]:
    """A section and the tables inside it, each under a title as it stands in the file."""
    place: Place | None = None
    match shape.kind:
        case inspect.StructType():
            title, place = f"`[{name}]`", (name,)
        case inspect.DictType():
            title = f"`[{name}.<{_NAMED_BY[name]}>]`"
        case _:
            title = f"`[[{name}]]`"
    yield _render_section(title, _first_line(item.cls), item.fields, place)
    if name == "contracts":
        yield "\n" + _CONTRACTS
    for field in item.fields:
        inner = shape_of(field.type)
        if (nested := _item(inner)) is not None:
            yield from _render_item(f"{name}.{field.encode_name}", inner, nested)


def _item(shape: Shape) -> inspect.StructType | None:
    """The struct a section holds, itself or in a list or named tables; None for a plain value."""
    kind = shape.kind
    if isinstance(kind, inspect.VarTupleType):
        kind = shape_of(kind.item_type).kind
    elif isinstance(kind, inspect.DictType):
        kind = shape_of(kind.value_type).kind
    return kind if isinstance(kind, inspect.StructType) else None


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    return kind.fields if isinstance(kind, inspect.StructType) else ()


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


def _render_section(
    title: str, purpose: str, fields: tuple[inspect.Field, ...] | list[inspect.Field], place: Place | None
) -> str:
    """One table; sections that the environment reaches (a place is given) have a column for the variable."""
    head = ["key", "value", "default", "meaning"] + ["variable"] * (place is not None)
    rows = [head, ["---"] * len(head)] + [_row(field, place) for field in fields]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"\n## {title}\n\n" + (f"{purpose}\n\n" if purpose else "") + table


def _row(field: inspect.Field, place: Place | None) -> list[str]:
    names = {at: name for name, at in variables().items()}
    cells = [f"`{field.encode_name}`", _value(field), _default(field), _meaning(field.type)]
    if place is None:
        return cells
    name = names.get((*place, field.encode_name))  # Lists are set in the file only.
    return [*cells, "" if name is None else f"`{name}`"]


def _value(field: inspect.Field) -> str:
    return shape_of(field.type).form.replace("|", "\\|")


def _default(field: inspect.Field) -> str:
    if field.required:
        return "*required*"
    value = field.default if field.default is not NODEFAULT else ()
    match value:
        case None:
            return "none"
        case ():
            return "`[]`"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f'`"{value}"`'
        case tuple():
            return f"`[{', '.join(_quoted(one) for one in value)}]`"
        case _:
            return f"`{value}`"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _meaning(kind: inspect.Type) -> str:
    """The description beside a field; it is on the outermost annotation."""
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def _later() -> Iterator[str]:
    for place, meaning in LATER.items():
        yield f"- `{render_place(place)}`: {meaning}\n"


if __name__ == "__main__":
    sys.stdout.write(render_configuration_reference())
