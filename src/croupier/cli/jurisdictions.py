"""`croupier jurisdiction`: the packs of rules, where each rule was taken from, and what is served here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer

from croupier.cli.output import CommandFailed, output_of
from croupier.cli.settings import settings_of
from croupier.play.eligibility import Enablement
from croupier.play.pack import Pack, Rule
from croupier.runtime.config import built_in_packs, served_in
from croupier.runtime.config.problems import render_nearest

commands = typer.Typer(no_args_is_help=True, help="See whom you may serve, and by which rules.")

_OF_EVERY_RULE = ("source", "confidence", "checked_on", "note")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="jurisdiction")


@commands.command("list")
def list_(ctx: typer.Context) -> None:
    """Every pack there is, and which of them are served here.

    Examples:

      croupier jurisdiction list
    """
    served = served_in(settings_of(ctx).read_config())
    packs = {**built_in_packs(), **{name: place.pack for name, place in served.items()}}
    output = output_of(ctx)
    if output.is_json:
        listed = [_summary(pack, served) for _, pack in sorted(packs.items())]
        output.document("jurisdiction.list", {"jurisdictions": listed})
        return
    output.table(
        ("jurisdiction", "title", "regulator", "rules", "served here", "unverified"),
        [
            [
                pack.id,
                pack.title,
                pack.regulator,
                pack.name,
                "yes" if name in served else "",
                f"{sum(rule.confidence == 'unverified' for rule in pack.rules)} of {len(pack.rules)}",
            ]
            for name, pack in sorted(packs.items())
        ],
    )


@commands.command()
def show(
    ctx: typer.Context,
    jurisdiction: Annotated[str, typer.Argument(metavar="JURISDICTION", help="Such as MT or US-NJ.")],
) -> None:
    """One pack, rule by rule, with source, confidence and the day it was last gone over.

    Examples:

      croupier jurisdiction show GB
    """
    served = served_in(settings_of(ctx).read_config())
    packs = {**built_in_packs(), **{name: place.pack for name, place in served.items()}}
    if jurisdiction not in packs:
        advice = render_nearest(jurisdiction, packs, otherwise=f"known: {', '.join(sorted(packs))}")
        raise CommandFailed(f"there is no pack for {jurisdiction}; {advice}")
    pack = packs[jurisdiction]
    output = output_of(ctx)
    if output.is_json:
        rules = [_rule(rule) for rule in pack.rules]
        output.document("jurisdiction.show", {"jurisdiction": _summary(pack, served) | {"rules": rules}})
        return
    output.facts([(name, _said(value)) for name, value in _summary(pack, served).items()])
    output.table(
        ("rule", "says", "confidence", "checked on", "source", "note"),
        [
            [
                str(rule["kind"]),
                "; ".join(
                    f"{name} {_said(value)}"
                    for name, value in rule.items()
                    if name != "kind" and name not in _OF_EVERY_RULE
                ),
                str(rule["confidence"]),
                rule["checked_on"] or "",
                str(rule["source"]),
                str(rule["note"]),
            ]
            for rule in (_rule(one) for one in pack.rules)
        ],
    )


def _said(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return " ".join(str(one) for one in value)
        case _:
            return str(value)


def _rule(rule: Rule) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(rule)
    return found


def _summary(pack: Pack, served: Mapping[str, Enablement]) -> dict[str, Any]:
    place = served.get(pack.id)
    return {
        "id": pack.id,
        "title": pack.title,
        "regulator": pack.regulator,
        "version": pack.version,
        "countries": list(pack.countries if place is None else place.countries),
        "subdivisions": list(pack.subdivisions),
        "served": place is not None,
    }
