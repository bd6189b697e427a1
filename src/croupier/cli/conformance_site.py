"""A whole deployment of its own for the conformance kit: database, gateway, keys and an account for each protocol."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from croupier.conformance.launches import LaunchReceiver
from croupier.conformance.operator_client import OperatorClient, RemoteCashier
from croupier.demo.wallet_service import WalletService, WalletStart, wallet_process
from croupier.governance.keyring import lock_keys, write_step
from croupier.governance.keys import decide_revoke
from croupier.providers.manifest import Capability, KeyKind, Manifest
from croupier.providers.registry import find_adapters
from croupier.runtime.config import Config, load_config
from croupier.runtime.database import connect_app, ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.serving import Deployment
from croupier.runtime.supervisor import NotReady
from croupier_signing import Key, hash_api_key, random_token, read_key
from croupier_signing.pairs import make_ed25519_pair, make_rsa_pair

OTHER: Final = "-other"
"""Every protocol has a second account of this ending, which nothing is launched at."""
WALLET_KEY: Final = "wallet.key"
IN_FORCE_S: Final = 2.0
GAMES: Final = ("game-1", "game-2")
NUMBER: Final = "7"
"""What a setting without default is called: some protocols want a number."""


class AccountKeys(Struct, frozen=True, kw_only=True):
    """The provider's halves of an account's keys; `launch` verifies ours, `pair` signs webhooks where there are any."""

    current: Key
    old: Key
    revoked: Key
    launch: Key
    pair: Key | None = None


class OwnSite(Struct, frozen=True, kw_only=True):
    """A running deployment: where it is, its operator token, and the provider's keys by account."""

    url: str
    config: Config
    token: str
    keys: Mapping[str, AccountKeys]
    receiver: LaunchReceiver
    deployment: Deployment
    wallet: WalletService | None = None

    def operator(self) -> OperatorClient:
        """The operator's side of it: its cashier stands where the money is kept."""
        if self.wallet is None:
            return OperatorClient(self.url, self.token)
        return RemoteCashier(self.url, self.token, self.wallet.url)


@asynccontextmanager
async def own_site(
    folder: Path, adapters: Iterable[str], *, has_remote_wallet: bool = False
) -> AsyncIterator[OwnSite]:
    """Start everything in an empty folder and end it again; with a remote wallet, the reference wallet too.

    Raises NotReady, and WalletProcessFailed when that wallet does not start.
    """
    names = sorted(adapters)
    async with LaunchReceiver() as receiver, AsyncExitStack() as stack:
        token, keys = random_token(), {}
        blocks = [_head(_free_addresses(), folder, token)]
        wallet = await stack.enter_async_context(_own_wallet(folder)) if has_remote_wallet else None
        if wallet is not None:
            blocks.append(f'[wallet]\nmode = "remote"\nurl = "{wallet.url}"\nsecret = "file:{WALLET_KEY}"\n')
        for account in [*names, *(f"{name}{OTHER}" for name in names)]:
            manifest = find_adapters()[account.removesuffix(OTHER)].manifest
            keys[account] = _make_keys(folder, account, manifest)
            base_url = None if account.endswith(OTHER) else receiver.base_url(account)
            blocks.append(_account(account, manifest, base_url))
        path = folder / "croupier.toml"
        path.write_text("\n".join(blocks), encoding="utf-8")
        config = load_config(path, {})
        deployment = Deployment(config, path, workers=1, database="conformance", takes_overrides=False)
        async with _serving(deployment):
            await _revoke(deployment, [f"{name}-revoked" for name in names])
            yield OwnSite(
                url=f"http://{config.http.public}",
                config=config,
                token=token,
                keys=keys,
                receiver=receiver,
                deployment=deployment,
                wallet=wallet,
            )


@asynccontextmanager
async def _own_wallet(folder: Path) -> AsyncIterator[WalletService]:
    """The reference wallet as a process of its own, over a server of its own."""
    key = folder / WALLET_KEY
    key.touch(mode=0o600)
    key.write_text(random_token())
    async with EmbeddedServer(folder / "wallet") as server:
        url = await ensure_database(server.url(), "wallet")
        async with wallet_process(WalletStart(database_url=url, secret=f"file:{key}")) as wallet:
            yield wallet


@asynccontextmanager
async def _serving(deployment: Deployment) -> AsyncIterator[None]:
    supervisor = deployment.supervisor
    serving = asyncio.create_task(supervisor.run())
    waiting = asyncio.create_task(supervisor.is_ready.wait())
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await serving
            raise NotReady("the gateway was stopped before it was ready")
        yield
    finally:
        waiting.cancel()
        supervisor.ask_to_stop()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _revoke(deployment: Deployment, key_ids: Iterable[str]) -> None:
    """Revoke keys as `croupier keys revoke --force` does, and wait until that is in force."""
    connection = await connect_app(deployment.supervisor.database_url)
    try:
        for key_id in key_ids:
            async with connection.transaction():
                now = datetime.now(UTC)
                step = decide_revoke(
                    await lock_keys(connection), key_id, now, unused_for=timedelta(0), is_forced=True
                )
                await write_step(
                    connection,
                    step,
                    action="key.revoked",
                    actor="conformance",
                    reason="a revoked key must be refused",
                    now=now,
                )
    finally:
        await connection.close()
    await asyncio.sleep(IN_FORCE_S)


def _free_addresses() -> tuple[str, str, str]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        first, second, third = (f"127.0.0.1:{one.getsockname()[1]}" for one in held)
        return first, second, third


def _make_keys(folder: Path, account: str, manifest: Manifest) -> AccountKeys:
    inbound = {name: _make_key(folder, f"{account}-{name}", manifest.inbound_key) for name in _INBOUND}
    launch = _make_key(folder, f"{account}-out", manifest.outbound_key)
    pair = None
    if Capability.WEBHOOKS in manifest.capabilities:
        theirs, ours = make_ed25519_pair()
        pair = _write_halves(folder, f"{account}-{PAIR}", ours=ours, theirs=theirs)
    return AccountKeys(
        current=inbound["in"], old=inbound["old"], revoked=inbound["revoked"], launch=launch, pair=pair
    )


_INBOUND: Final = ("in", "old", "revoked")
PAIR: Final = "pair"


def _make_key(folder: Path, key_id: str, kind: KeyKind) -> Key:
    """Write the gateway's half into a private file; the provider's half is returned."""
    ours = theirs = random_token().encode()
    if kind is KeyKind.RSA_PUBLIC:
        theirs, ours = make_rsa_pair()
    elif kind is KeyKind.RSA_PRIVATE:
        ours, theirs = make_rsa_pair()
    return _write_halves(folder, key_id, ours=ours, theirs=theirs)


def _write_halves(folder: Path, key_id: str, *, ours: bytes, theirs: bytes) -> Key:
    path = folder / f"{key_id}.key"
    path.touch(mode=0o600)
    path.write_bytes(ours)
    return read_key(key_id, theirs)


def _head(addresses: tuple[str, str, str], folder: Path, token: str) -> str:
    public, admin, sandbox = addresses
    return f"""\
environment = "conformance"
[http]
public = "{public}"
admin = "{admin}"
[database]
url = "embedded"
data_dir = "{folder / "data"}"
[telemetry]
log_format = "json"
log_level = "error"
[sandbox]
listen = "{sandbox}"
[[api_keys]]
id = "conformance"
role = "operator"
token_hash = "{hash_api_key(token)}"
[[jurisdictions]]
id = "XX"
providers = ["*"]
games = ["*"]
"""


def _account(account: str, manifest: Manifest, base_url: str | None) -> str:
    keys = "\n".join(
        f'    {{ id = "{account}-{name}", secret = "file:{account}-{name}.key", direction = "{direction}" }},'
        for name, direction in (*((name, "inbound") for name in _inbound_of(manifest)), ("out", "outbound"))
    )
    address = "" if base_url is None else f'base_url = "{base_url}"\n'
    settings = ", ".join(f'{name} = "{value}"' for name, value in settings_of(manifest).items())
    games = "".join(
        f'[[games]]\nid = "{account}-{game}"\nprovider = "{account}"\nname = "{game}"\n' for game in GAMES
    )
    return f"""\
[[providers]]
id = "{account}"
adapter = "{manifest.id}"
{address}settings = {{ {settings} }}
keys = [
{keys}
]
{games}[[contracts]]
provider = "{account}"
from = 2025-01-01
share_bps = 1000
"""


def _inbound_of(manifest: Manifest) -> tuple[str, ...]:
    return (*_INBOUND, PAIR) if Capability.WEBHOOKS in manifest.capabilities else _INBOUND


def settings_of(manifest: Manifest) -> dict[str, str]:
    """A value for every setting of a protocol."""
    return {setting.name: setting.default or NUMBER for setting in manifest.settings}
