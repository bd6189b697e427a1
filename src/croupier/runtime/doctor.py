"""`croupier doctor`: everything that is wrong with a set-up, at once, each with what to do about it.

Nothing is changed: no server is started, no table written, no file made.
"""

from __future__ import annotations

import asyncio
import platform
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from croupier.governance.keyring import Unusable
from croupier.runtime.config import (
    ANY,
    Config,
    ConfigProblems,
    ContractBook,
    Provider,
    find_unusable_outbox,
    find_unusable_secrets,
    load_config,
    parse_address,
    served_in,
)
from croupier.runtime.doctor_database import examine_database
from croupier.runtime.doctor_keys import examine_keys
from croupier.runtime.doctor_wallet import examine_wallet
from croupier.runtime.finding import Finding
from croupier.runtime.geolocation import GeoUnusable, open_places
from croupier.runtime.provider_keys import KeyReader, configured_keys

__all__ = ["Finding", "examine"]

OLDEST_PYTHON: Final = (3, 11)
PROBE_TIMEOUT_S: Final = 2.0
MOST_GAPS_SHOWN: Final = 8
REPLY_BYTES: Final = 262_144
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
NOWHERE: Final = "XX"
"""The pack that asks for nothing."""


async def examine(config_path: Path | None, env: Mapping[str, str]) -> list[Finding]:
    """Look at configuration, secrets, ports and database; never raises for what it finds.

    With an unusable configuration only what does not depend on it is examined.
    """
    findings = [_examine_python(platform.python_version_tuple())]
    try:
        config = load_config(config_path, env)
    except ConfigProblems as error:
        return findings + [
            Finding.fail("configuration", f"{problem.where}: {problem.what}", problem.fix)
            for problem in error.problems
        ]
    shown = "defaults and environment only" if config_path is None else str(config_path)
    findings.append(Finding.ok("configuration", shown))
    findings += _examine_secrets(config, env)
    findings += _examine_providers(config)
    findings += _examine_contracts(config, datetime.now(UTC))
    findings += _examine_jurisdictions(config)
    findings += _examine_outbox(config)
    findings += await _examine_ports(config)
    findings += await examine_database(config.database)
    findings += await examine_keys(config)
    findings += await examine_wallet(config, env)
    return findings


def _examine_python(version: Sequence[str]) -> Finding:
    shown = ".".join(version)
    if tuple(int(part) for part in version[:2]) < OLDEST_PYTHON:
        return Finding.fail("python", f"Python {shown} is too old", "install Python 3.11 or newer")
    return Finding.ok("python", f"Python {shown}")


def _find_misfits(config: Config, env: Mapping[str, str]) -> list[Finding]:
    """Keys of the file that their provider's protocol cannot use, such as a shared secret where it wants a key pair."""
    reader = KeyReader(config, env)
    read = [reader.read(key) for key in configured_keys(config, datetime.now(UTC))]
    return [
        Finding.fail(
            "secrets",
            f"key {one.key_id} of provider {one.provider}: {one.because}",
            "docs/how-to/connect-a-provider.md says which side makes which key",
        )
        for one in read
        if isinstance(one, Unusable)
    ]


def _examine_secrets(config: Config, env: Mapping[str, str]) -> list[Finding]:
    problems = [*find_unusable_secrets(config, env), *find_unusable_outbox(config, env)]
    if not problems:
        misfits = _find_misfits(config, env)
        if misfits:
            return misfits
    if not problems:
        return [Finding.ok("secrets", "every reference gives a usable secret")]
    return [Finding.fail("secrets", f"{problem.where}: {problem.what}", problem.fix) for problem in problems]


def _examine_providers(config: Config) -> list[Finding]:
    if not config.providers:
        fix = "add [[providers]] to the configuration, or start from `croupier init DIR`"
        return [Finding.warn("providers", "no provider is configured", fix)]
    wrong = [finding for provider in config.providers for finding in _examine_provider(config, provider)]
    return wrong or [Finding.ok("providers", f"{len(config.providers)} with adapter, keys and games")]


def _examine_provider(config: Config, provider: Provider) -> Iterator[Finding]:
    name = f"provider {provider.id}"
    if not any(key.is_inbound for key in provider.keys):
        fix = 'add a key with direction = "inbound" (or "both") to its keys'
        yield Finding.fail("providers", f"{name} has no key that verifies its calls", fix)
    if provider.base_url is not None and not any(key.is_outbound for key in provider.keys):
        fix = 'add a key with direction = "outbound" (or "both") to its keys, or remove base_url'
        yield Finding.fail("providers", f"{name} has no key that signs our calls", fix)
    if not any(game.provider in (provider.id, provider.replaces) for game in config.games):
        yield Finding.warn(
            "providers", f"{name} has no game", f'add [[games]] with provider = "{provider.id}"'
        )


def _examine_contracts(config: Config, now: datetime) -> list[Finding]:
    """Every game in every asset that the configuration names needs a contract in force."""
    gaps = list(_contract_gaps(config, now))
    if not gaps:
        return [Finding.ok("contracts", f"a contract covers each of {len(config.games)} games")]
    return [
        Finding.fail(
            "contracts",
            f"no contract is in force for provider {provider}, game group {group}, asset {asset}",
            f'add [[contracts]] with provider = "{provider}" and a `from` that has begun',
        )
        for provider, group, asset in gaps[:MOST_GAPS_SHOWN]
    ] + [
        Finding.fail("contracts", f"{len(gaps) - MOST_GAPS_SHOWN} more gaps", "add contracts for them")
        for _ in gaps[MOST_GAPS_SHOWN : MOST_GAPS_SHOWN + 1]
    ]


def _examine_jurisdictions(config: Config) -> list[Finding]:
    """Without a jurisdiction nobody may play; a pack vouches for nothing, and XX for nobody."""
    if not config.jurisdictions:
        fix = "add [[jurisdictions]]; `croupier jurisdiction list` shows what there is"
        return [Finding.warn("jurisdictions", "none is configured, so that no session can be opened", fix)]
    served = served_in(config)
    findings = [
        Finding.warn(
            "jurisdictions",
            f"{name} is for development: nobody is looked up, and every country is served",
            "remove it before real players play",
        )
        for name in served
        if name == NOWHERE
    ]
    url = urlsplit(config.self_exclusion.url or "https:")
    if url.scheme != "https" and url.hostname not in LOOPBACK:
        findings.append(
            Finding.warn(
                "self_exclusion.url",
                "who plays and who is excluded travels unencrypted",
                "give the check an https:// address",
            )
        )
    try:
        places = open_places(config.geo.database)
        if places is not None:
            places.close()
    except GeoUnusable as error:
        findings.append(Finding.fail("geo.database", error.what, error.fix))
    return findings or [Finding.ok("jurisdictions", f"served: {', '.join(sorted(served))}")]


def _examine_outbox(config: Config) -> list[Finding]:
    """Signatures protect events from change, and only TLS from being read on the way."""
    return [
        Finding.warn(
            "outbox",
            f"events for endpoint {endpoint.id} travel unencrypted",
            f"give it an https:// address, or allow_private = true if {endpoint.url} is inside your network",
        )
        for endpoint in config.outbox.endpoints
        if not endpoint.url.startswith("https://") and not endpoint.allow_private
    ]


def _contract_gaps(config: Config, now: datetime) -> Iterator[tuple[str, str, str]]:
    book = ContractBook(config.contracts)
    named = {asset.code for asset in config.assets} | {contract.asset for contract in config.contracts}
    successors = config.successors()
    needed = {(game.provider, game.group) for game in config.games}
    needed |= {(successors[old], group) for old, group in needed if old in successors}
    for provider, group in sorted(needed):
        for asset in sorted(named - {ANY}) or [ANY]:
            if book.select(provider, group, asset, now) is None:
                yield provider, group, asset


async def _examine_ports(config: Config) -> list[Finding]:
    """A port must be free, or be answered by a running Croupier."""
    return [
        await _examine_port("http.public", config.http.public, path="/healthz", sign=b" 200 "),
        await _examine_port("http.admin", config.http.admin, path="/metrics", sign=b"croupier_"),
    ]


async def _examine_port(key: str, address: str, *, path: str, sign: bytes) -> Finding:
    host, port = parse_address(address)
    reason = _why_not_free(host, port)
    if reason is None:
        return Finding.ok("ports", f"{key}: {address} is free")
    if sign in await _ask(host, port, path):
        return Finding.ok("ports", f"{key}: {address} is answered by a running Croupier")
    variable = f"CROUPIER_{key.replace('.', '_').upper()}"
    return Finding.fail(
        "ports",
        f"{key}: {address} cannot be used ({reason})",
        f"end the program that uses it (`ss -ltnp` shows it), or set {variable} to another address",
    )


def _why_not_free(host: str, port: int) -> str | None:
    """None when we could listen there; the socket is closed again at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the server does, so that connections still ending do not count as a program that listens.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None


async def _ask(host: str, port: int, path: str) -> bytes:
    """The beginning of the answer to one GET; empty when there is none in time."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
                return await _read_bounded(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


async def _read_bounded(reader: asyncio.StreamReader) -> bytes:
    received = b""
    while len(received) < REPLY_BYTES and (chunk := await reader.read(REPLY_BYTES - len(received))):
        received += chunk
    return received
