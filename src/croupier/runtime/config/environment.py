"""`CROUPIER_…` environment variables over the file: one rule, from section and key to the variable's name.

A key of a plain section is overridden by `CROUPIER_<SECTION>_<KEY>`, a key outside them by `CROUPIER_<KEY>`.
Lists (`[[providers]]`, `outbox.schedule`, …) and named tables (`[owners.<team>]`, `[timeouts.<state>]`) belong
to the file alone. An empty variable counts as absent. A variable that begins like a section and names no key of
it, or is one slip away from a known one, is an error unless a secret is referenced by that name; others are left
alone, because secrets and tools have `CROUPIER_…` variables of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from msgspec import inspect

from croupier.runtime.config.problems import Problem, render_nearest
from croupier.runtime.config.reading import Place, shape_of
from croupier.runtime.config.sections import Config

PREFIX: Final = "CROUPIER_"
SLIP_CUTOFF: Final = 0.85

_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")


def variables() -> dict[str, Place]:
    """Every variable that overrides something, with the place it sets."""
    return {f"{PREFIX}{'_'.join(map(str, place)).upper()}": place for place, _ in _scalars()}


def _scalars() -> Iterator[tuple[Place, inspect.Type]]:
    for field in _fields(inspect.type_info(Config)):
        kind = shape_of(field.type).kind
        if isinstance(kind, inspect.StructType):
            for inner in kind.fields:
                inner_kind = shape_of(inner.type).kind
                if not isinstance(inner_kind, inspect.VarTupleType):
                    yield (field.encode_name, inner.encode_name), inner_kind
        elif not isinstance(kind, inspect.VarTupleType | inspect.DictType):
            yield (field.encode_name,), kind


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    return kind.fields if isinstance(kind, inspect.StructType) else ()


def plan_overrides(env: Mapping[str, str]) -> dict[Place, tuple[str, object]]:
    """Place → (variable, value) of what the environment sets; digits become numbers where one is asked."""
    kinds = dict(_scalars())
    return {
        place: (name, _convert(env[name], kinds[place]))
        for name, place in variables().items()
        if env.get(name)
    }


def _convert(text: str, kind: inspect.Type) -> object:
    return int(text) if isinstance(kind, inspect.IntType) and _WHOLE.fullmatch(text) else text


def apply_overrides(
    document: Mapping[str, object], overrides: Mapping[Place, tuple[str, object]]
) -> dict[str, object]:
    """The document with the environment's values in it; a section that is no table is left to be reported."""
    merged = dict(document)
    for place, (_, value) in overrides.items():
        if len(place) == 1:
            merged[str(place[0])] = value
            continue
        section, key = map(str, place)
        table = merged.get(section, {})
        if isinstance(table, dict):
            merged[section] = {**table, key: value}
    return merged


def plan_unknown_variables(env: Mapping[str, str], referenced: frozenset[str]) -> list[Problem]:
    """A problem for each variable that looks like an override and is none."""
    known = variables()
    suspects = sorted(name for name in env if name.startswith(PREFIX) and env[name])
    return [
        Problem(name, "unknown variable", render_nearest(name, known, otherwise="remove it"))
        for name in suspects
        if name not in known and name not in referenced and _looks_like_override(name, known)
    ]


def _looks_like_override(name: str, known: Mapping[str, Place]) -> bool:
    rest = name.removeprefix(PREFIX)
    sections = {str(place[0]).upper() for place in known.values() if len(place) > 1}
    if any(rest.startswith(f"{section}_") for section in sections):
        return True
    candidates = [variable.removeprefix(PREFIX) for variable in known]
    return bool(get_close_matches(rest[:60], candidates, n=1, cutoff=SLIP_CUTOFF))
