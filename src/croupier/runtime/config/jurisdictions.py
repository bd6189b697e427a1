"""Jurisdictions as they are served here: the packs, built in or the operator's own, and what is enabled under each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from msgspec import structs

from croupier.money import AssetRegistry
from croupier.play.eligibility import EVERY, Enablement
from croupier.play.pack import (
    MAX_PACK_BYTES,
    ExclusionRule,
    LocationRule,
    Pack,
    PackUnreadable,
    Rule,
    StakeCapRule,
    read_pack,
)
from croupier.runtime.config.eligibility import JurisdictionEntry
from croupier.runtime.config.problems import Problem, render_nearest, render_shown
from croupier.runtime.config.reading import render_place
from croupier.runtime.config.sections import Config

_STANDARD: Final = AssetRegistry()
_FOLDER: Final = resources.files("croupier.play").joinpath("jurisdictions")


def built_in_packs() -> Mapping[str, Pack]:
    """The packs that come with Croupier, by id."""
    files = sorted((file for file in _FOLDER.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    packs = [read_pack(file.read_text(encoding="utf-8")) for file in files]
    return {pack.id: pack for pack in packs}


def served_in(config: Config) -> Mapping[str, Enablement]:
    """What is served here, by jurisdiction id. A configuration that was checked has no other."""
    packs, ledger = built_in_packs(), config.asset_registry()
    return {
        entry.id: _enable(entry, _in_ledger_units(_pack_of(entry, packs), ledger))
        for entry in config.jurisdictions
    }


def _in_ledger_units(pack: Pack, ledger: AssetRegistry) -> Pack:
    """A pack whose caps count in the ledger's minor units, which may be finer than the standard's."""
    return structs.replace(pack, rules=tuple(_finer(rule, ledger) for rule in pack.rules))


def _finer(rule: Rule, ledger: AssetRegistry) -> Rule:
    if not isinstance(rule, StakeCapRule) or rule.asset not in _STANDARD or rule.asset not in ledger:
        return rule
    decimals = ledger.get(rule.asset).exponent - _STANDARD.get(rule.asset).exponent
    return structs.replace(rule, amount=rule.amount + "0" * decimals)


def jurisdiction_problems(config: Config) -> Iterator[Problem]:
    """Every reason why a configured jurisdiction could not be served as it is written down."""
    packs = built_in_packs()
    seen: dict[str, int] = {}
    for number, entry in enumerate(config.jurisdictions):
        place = render_place(("jurisdictions", number))
        if entry.id and seen.setdefault(entry.id, number) != number:
            first = f"{render_shown(entry.id)} is there already (#{seen[entry.id] + 1})"
            yield Problem(f"{place}.id", first, "keep one of them")
        yield from _enablement_problems(config, entry, place)
        if not entry.id:
            continue
        try:
            pack = _pack_of(entry, packs)
        except PackUnreadable as error:
            fix = render_nearest(
                entry.id.upper(),
                packs,
                otherwise=f"built in: {', '.join(packs)}; name a pack of your own with `pack`",
            )
            where = f"{place}.pack" if entry.pack is not None else f"{place}.id"
            yield Problem(where, str(error), fix if entry.pack is None else "repair the file")
            continue
        yield from _need_problems(config, pack, place)


def _enablement_problems(config: Config, entry: JurisdictionEntry, place: str) -> Iterator[Problem]:
    known = {
        "providers": {provider.id for provider in config.providers},
        "games": {game.id for game in config.games},
        "assets": {*config.asset_registry().codes()},
    }
    for key, names in (("providers", entry.providers), ("games", entry.games), ("assets", entry.assets)):
        for position, name in enumerate(names):
            if name and name != EVERY and name not in known[key]:
                what = f"no {key[:-1]} is called {render_shown(name)}"
                listed = ", ".join(sorted(known[key])[:8]) or "none"
                advice = render_nearest(name, sorted(known[key]), otherwise=f"known: {listed}")
                yield Problem(f"{place}.{key} #{position + 1}", what, advice)


def _need_problems(config: Config, pack: Pack, place: str) -> Iterator[Problem]:
    """What a pack asks for and the configuration does not have."""
    exclusion, location = pack.the(ExclusionRule), pack.the(LocationRule)
    if exclusion is not None and exclusion.required and config.self_exclusion.url is None:
        what = (
            f"{pack.id} asks for a look-up in {exclusion.register} before every launch, and nothing is asked"
        )
        yield Problem(place, what, "add [self_exclusion] with url and secret, or remove the jurisdiction")
    if location is not None and location.required and config.geo.database is None:
        what = f"{pack.id} asks for the player's location, and there is no location database"
        yield Problem(place, what, "add [geo] with database, or remove the jurisdiction")


def _enable(entry: JurisdictionEntry, pack: Pack) -> Enablement:
    return Enablement(
        pack=pack,
        countries=entry.countries or pack.countries,
        providers=entry.providers,
        games=entry.games,
        assets=entry.assets,
    )


def _pack_of(entry: JurisdictionEntry, packs: Mapping[str, Pack]) -> Pack:
    """Raises PackUnreadable."""
    if entry.pack is None:
        if entry.id not in packs:
            raise PackUnreadable(f"there is no pack for {entry.id}")
        return packs[entry.id]
    pack = read_pack(_read(Path(entry.pack)))
    if pack.id != entry.id:
        raise PackUnreadable(f"{entry.pack} is a pack for {pack.id}, not for {entry.id}")
    return pack


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PACK_BYTES + 1)
        if len(content) > MAX_PACK_BYTES:
            raise PackUnreadable(f"{path} is larger than {MAX_PACK_BYTES} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise PackUnreadable(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PackUnreadable(f"{path} is not UTF-8 at byte {error.start}") from None
