"""`croupier.toml` and the environment, read once at the start of a process."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from croupier.runtime.config.checks import outbox_references, plan_problems, secret_references
from croupier.runtime.config.contracts import apply_day_start
from croupier.runtime.config.eligibility import Geo, JurisdictionEntry, SelfExclusion
from croupier.runtime.config.environment import apply_overrides, plan_overrides, plan_unknown_variables
from croupier.runtime.config.jurisdictions import jurisdiction_problems
from croupier.runtime.config.problems import ConfigProblems, Problem
from croupier.runtime.config.queues import Outbox
from croupier.runtime.config.reading import Place, Reader
from croupier.runtime.config.sections import (
    EMBEDDED,
    ApiKey,
    Config,
    Contract,
    Database,
    Provider,
    ProviderKey,
)
from croupier.runtime.config.wallet import Wallet
from croupier.runtime.database import DatabaseUrlError, require_database_url
from croupier.runtime.secrets import SecretUnavailable, resolve_secret

LARGEST_FILE_BYTES: Final = 4 * 1024 * 1024
PASSWORD_PARAMETERS: Final = frozenset({"password", "sslpassword"})


def load_config(path: Path | None, env: Mapping[str, str]) -> Config:
    """The configuration of a file (None: defaults only) overridden by `CROUPIER_…` variables.

    Relative paths count from the file's folder, or from the working directory without a file. Secrets of
    keys stay references (see `resolve_keys`); a reference in a database URL is resolved here. Raises
    ConfigProblems with everything that is wrong.
    """
    document = {} if path is None else _read_document(path)
    overrides = plan_overrides(env)
    reader = Reader({place: name for place, (name, _) in overrides.items()})
    config = reader.read(Config, apply_overrides(document, overrides))
    folder = Path.cwd() if path is None else path.absolute().parent
    config = _anchor_paths(config, folder)
    config = msgspec.structs.replace(
        config,
        contracts=tuple(_anchor_days(config.contracts, reader)),
        database=_resolve_urls(config.database, reader, env=env, folder=folder, overrides=overrides),
    )
    problems = [*reader.problems, *plan_problems(config), *jurisdiction_problems(config)]
    problems += plan_unknown_variables(env, _referenced_variables(config, document))
    if problems:
        raise ConfigProblems(problems)
    return config


def _read_document(path: Path) -> dict[str, object]:
    """The tables of a TOML file; raises ConfigProblems."""
    refuse = partial(_refusal, str(path))
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
        if len(content) > LARGEST_FILE_BYTES:
            raise refuse(f"is larger than {LARGEST_FILE_BYTES} bytes", "name a configuration file")
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise refuse("there is no such file", "run `croupier init DIR`, or name it with --config") from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "make it readable by this user") from None
    except UnicodeDecodeError as error:
        raise refuse(f"is not UTF-8 at byte {error.start}", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise refuse(f"is not TOML: {error}", "repair that line") from None


def _refusal(where: str, what: str, fix: str) -> ConfigProblems:
    return ConfigProblems([Problem(where, what, fix)])


def _anchor_paths(config: Config, folder: Path) -> Config:
    data_dir = str(folder / Path(config.database.data_dir).expanduser())
    return msgspec.structs.replace(
        config,
        database=msgspec.structs.replace(config.database, data_dir=data_dir),
        providers=tuple(_anchor_provider(provider, folder) for provider in config.providers),
        api_keys=tuple(_anchor_api_key(key, folder) for key in config.api_keys),
        outbox=_anchor_outbox(config.outbox, folder),
        self_exclusion=_anchor_check(config.self_exclusion, folder),
        wallet=_anchor_wallet(config.wallet, folder),
        geo=_anchor_geo(config.geo, folder),
        jurisdictions=tuple(_anchor_pack(entry, folder) for entry in config.jurisdictions),
    )


def _anchor_check(check: SelfExclusion, folder: Path) -> SelfExclusion:
    if check.secret is None:
        return check
    return msgspec.structs.replace(check, secret=_anchor_reference(check.secret, folder))


def _anchor_wallet(wallet: Wallet, folder: Path) -> Wallet:
    if wallet.secret is None:
        return wallet
    return msgspec.structs.replace(wallet, secret=_anchor_reference(wallet.secret, folder))


def _anchor_geo(geo: Geo, folder: Path) -> Geo:
    if geo.database is None:
        return geo
    return msgspec.structs.replace(geo, database=str(folder / Path(geo.database).expanduser()))


def _anchor_pack(entry: JurisdictionEntry, folder: Path) -> JurisdictionEntry:
    if entry.pack is None:
        return entry
    return msgspec.structs.replace(entry, pack=str(folder / Path(entry.pack).expanduser()))


def _anchor_outbox(outbox: Outbox, folder: Path) -> Outbox:
    endpoints = tuple(
        msgspec.structs.replace(
            one, secrets=tuple(_anchor_reference(secret, folder) for secret in one.secrets)
        )
        for one in outbox.endpoints
    )
    given = outbox.nats_credentials
    credentials = None if given is None else _anchor_reference(given, folder)
    return msgspec.structs.replace(outbox, endpoints=endpoints, nats_credentials=credentials)


def _anchor_provider(provider: Provider, folder: Path) -> Provider:
    return msgspec.structs.replace(provider, keys=tuple(_anchor_key(key, folder) for key in provider.keys))


def _anchor_key(key: ProviderKey, folder: Path) -> ProviderKey:
    return msgspec.structs.replace(key, secret=_anchor_reference(key.secret, folder))


def _anchor_api_key(key: ApiKey, folder: Path) -> ApiKey:
    if key.secret is None:
        return key
    return msgspec.structs.replace(key, secret=_anchor_reference(key.secret, folder))


def _anchor_reference(reference: str, folder: Path) -> str:
    path = reference.removeprefix("file:")
    return f"file:{folder / path}" if path and path != reference else reference


def _anchor_days(contracts: tuple[Contract, ...], reader: Reader) -> Iterator[Contract]:
    for number, contract in enumerate(contracts):
        try:
            _ = contract.zone
        except (ValueError, KeyError, OSError):
            place = ("contracts", number, "day_zone")
            reader.report(place, "is not an IANA time zone", 'write one such as "Europe/Malta" or "UTC"')
            contract = msgspec.structs.replace(contract, day_zone="UTC")
        try:
            yield apply_day_start(contract)
        except ValueError:  # The reader has reported day_start.
            yield apply_day_start(msgspec.structs.replace(contract, day_start="00:00"))


def _resolve_urls(
    database: Database,
    reader: Reader,
    *,
    env: Mapping[str, str],
    folder: Path,
    overrides: Mapping[Place, object],
) -> Database:
    found: dict[str, str | None] = {"url": database.url, "owner_url": database.owner_url}
    for key, text in found.items():
        place = ("database", key)
        if text is None or (key == "url" and text == EMBEDDED):
            continue
        is_stored = place not in overrides
        try:
            found[key] = _resolve_url(_anchor_reference(text, folder), env, is_stored=is_stored)
        except SecretUnavailable as error:
            reader.report(place, error.what, error.fix)
    return msgspec.structs.replace(database, url=found["url"] or EMBEDDED, owner_url=found["owner_url"])


def _resolve_url(text: str, env: Mapping[str, str], *, is_stored: bool) -> str:
    """A usable URL, read through its reference; a password in the file itself is refused."""
    if text.startswith(("env:", "file:", "aws-sm:", "vault:")):
        text, is_stored = resolve_secret(text, env=env).decode("utf-8", "replace"), False
    if text == EMBEDDED:
        raise SecretUnavailable('"embedded" has one login for everything', "remove owner_url")
    try:
        require_database_url(text)
        has_password = _has_password(text)
    except (DatabaseUrlError, ValueError) as error:
        raise SecretUnavailable(
            str(error), "write postgresql://user@host:5432/croupier, or a reference to it"
        ) from None
    if is_stored and has_password:
        raise SecretUnavailable(
            "a password stands in the file",
            "set the whole URL in CROUPIER_DATABASE_URL (or _OWNER_URL), or write env:NAME or file:PATH here",
        )
    return text


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.password) or not PASSWORD_PARAMETERS.isdisjoint(parse_qs(parts.query))


def _referenced_variables(config: Config, document: Mapping[str, object]) -> frozenset[str]:
    """Names behind `env:` anywhere in the configuration, which are therefore not misspelt overrides."""
    section = document.get("database")
    texts = [*secret_references(config).values(), *outbox_references(config).values()]
    if isinstance(section, dict):
        texts += [value for value in section.values() if isinstance(value, str)]
    return frozenset(text.removeprefix("env:") for text in texts if text.startswith("env:"))
