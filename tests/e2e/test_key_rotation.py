"""docs/how-to/rotate-a-key.md on a real gateway with two workers under signed load (B5, I8)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from msgspec import Struct

from croupier_signing import SigningKey, random_nonce, sign_native
from e2e.processes import (
    CROUPIER,
    Addresses,
    ask_nobody,
    environment,
    free_addresses,
    running,
    wait_until,
    wait_until_ready,
)

PATH: Final = "/providers/sandbox/v1/bet"
OLD: Final = "sandbox-in-1"
NEW: Final = "sandbox-in-2"
IN_FORCE_S: Final = 2.0
DEADLINE_S: Final = 20.0
CALLERS: Final = 4


class Told(Struct, frozen=True):
    """One answer: which worker gave it, and when it had come."""

    key_id: str
    worker: int
    status: int
    at_s: float


class Site:
    """A gateway's folder and addresses, its commands, and the secrets of its provider."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "casino"
        self.log = folder / "serve.log"
        self.addresses: Addresses = free_addresses()
        self.env = environment(self.addresses)
        subprocess.run(
            [str(CROUPIER), "init", str(self.home)], env=self.env, check=True, stdout=subprocess.DEVNULL
        )
        config = self.home / "croupier.toml"
        # Sessions are launched by other means than a call, so that no provider has to run.
        config.write_text(re.sub(r"^base_url = .*\n", "", config.read_text(), flags=re.MULTILINE))
        ask_nobody(config)
        self.keys = self.home / ".croupier/keys"

    def key(self, key_id: str) -> SigningKey:
        """A key as the provider holds it."""
        return SigningKey(key_id, (self.keys / f"{key_id}.key").read_bytes().strip())

    def make_key(self, key_id: str) -> str:
        """A fresh secret in a private file; its reference."""
        path = self.keys / f"{key_id}.key"
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
        return f"file:.croupier/keys/{key_id}.key"

    @contextmanager
    def serving(self) -> Iterator[list[int]]:
        """`croupier serve` with two workers, ready; the value is their process ids."""
        with running([str(CROUPIER), "serve", "--workers", "2"], self.home, self.env, self.log) as process:
            wait_until_ready(self.addresses.public, process, self.log)
            wait_until(lambda: len(workers_of(process.pid)) == 2, process, self.log)
            yield workers_of(process.pid)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(
            [str(CROUPIER), *arguments],
            cwd=self.home,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command while the load goes on."""
        return await asyncio.to_thread(self.run, *arguments)

    async def command_succeeds(self, *arguments: str) -> None:
        """Repeat a command whose precondition comes true with time."""
        deadline = time.monotonic() + DEADLINE_S
        while (ended := await self.command(*arguments)).returncode:
            assert time.monotonic() < deadline, ended.stderr

    def open_session(self) -> dict[str, Any]:
        """A player with money and a session, through the operator API."""
        body = '{"amount": "1000000", "reference": "deposit-1"}'
        paid = self.run("api", "POST", "/v1/wallets/alice/EUR/deposits", body)
        assert paid.returncode == 0, paid.stdout + paid.stderr
        order = '{"player_id": "alice", "game_id": "dice", "asset": "EUR", "country": "MT"}'
        opened = self.run("api", "POST", "/v1/sessions", order)
        assert opened.returncode == 0, opened.stdout + opened.stderr
        session: dict[str, Any] = json.loads(opened.stdout)
        return session


def workers_of(pid: int) -> list[int]:
    """The supervisor's workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if b"croupier.runtime.worker" in _command_line(one)]


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Caller:
    """A provider's connection that stays open, and therefore stays at one worker."""

    def __init__(self, site: Site, session: dict[str, Any], worker: int, told: list[Told]) -> None:
        self._site = site
        self._place = {"session_id": session["session_id"], "player_id": "alice", "game_id": "dice"}
        self._told = told
        self.worker = worker
        self.connections = 0
        watch = aiohttp.TraceConfig()
        watch.on_connection_create_end.append(self._count)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=30),
            trace_configs=[watch],
        )

    async def _count(self, *_: object) -> None:
        self.connections += 1

    async def close(self) -> None:
        """Give the one connection back."""
        await self._http.close()
        assert self.connections == 1, "the connection was another one, perhaps at another worker"

    async def bet(self, key: SigningKey) -> Told:
        """One signed bet of one cent."""
        reference = f"bet-{random_nonce()}"
        body = msgspec.json.encode({
            **self._place,
            "reference": reference,
            "round_id": f"round-{reference}",
            "asset": "EUR",
            "amount": "1",
            "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        })  # fmt: skip
        headers = {"Content-Type": "application/json", "Authorization": signed(key, body)}
        url = f"http://{self._site.addresses.public}{PATH}"
        async with self._http.post(url, data=body, headers=headers) as reply:
            await reply.read()
            told = Told(key.id, self.worker, reply.status, time.monotonic())
        self._told.append(told)
        return told


def signed(key: SigningKey, body: bytes) -> str:
    return sign_native(
        key,
        method="POST",
        path=PATH.encode(),
        query=b"",
        body=body,
        timestamp_s=int(time.time()),
        nonce=random_nonce(),
    )


class Load:
    """Callers that bet without end, each with the key that is chosen for it at the moment of signing."""

    def __init__(self, callers: list[Caller], key: SigningKey) -> None:
        self.callers = callers
        self.choose: Callable[[int], SigningKey] = lambda _: key
        self._is_over = False

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._bet_on(number) for number in range(len(self.callers))))

    async def _bet_on(self, number: int) -> None:
        while not self._is_over:
            await self.callers[number].bet(self.choose(number))
            await asyncio.sleep(0.04)

    def stop(self) -> None:
        self._is_over = True


@asynccontextmanager
async def callers_at_each(
    site: Site, session: dict[str, Any], pids: list[int], count: int
) -> AsyncIterator[tuple[list[Caller], list[Told]]]:
    """So many callers at each worker: nobody else takes a connection while the other workers are stopped."""
    told: list[Told] = []
    callers = [Caller(site, session, pid, told) for pid in pids for _ in range(count)]
    try:
        for caller in callers:
            with only(caller.worker, pids):
                await caller.bet(SigningKey("nobody", b"sixteen-bytes-or-more"))
        told.clear()
        yield callers, told
    finally:
        for caller in callers:
            await caller.close()


@contextmanager
def only(pid: int, pids: list[int]) -> Iterator[None]:
    """One of the processes alone is running."""
    others = [other for other in pids if other != pid]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


@asynccontextmanager
async def loaded(
    site: Site, session: dict[str, Any], pids: list[int]
) -> AsyncIterator[tuple[Load, list[Told]]]:
    """The load, begun; at the end of the block every call has its answer."""
    async with callers_at_each(site, session, pids, CALLERS) as (callers, told):
        load = Load(callers, site.key(OLD))
        task = asyncio.create_task(load.run())
        try:
            yield load, told
        finally:
            load.stop()
            await task


async def until_everywhere(probes: list[Caller], key: SigningKey, status: int) -> float:
    """Ask every worker until each answers with the status; the seconds it took."""
    begun = time.monotonic()
    for probe in probes:
        while (await probe.bet(key)).status != status:
            assert time.monotonic() < begun + IN_FORCE_S, f"{key.id} is not {status} everywhere in time"
    return time.monotonic() - begun


def metric(site: Site, key_id: str, result: str) -> int:
    """`croupier_key_requests_total` of one key and result, over both workers."""
    with urllib.request.urlopen(f"http://{site.addresses.admin}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    labels = rf'environment="[^"]*",key="{key_id}",provider="sandbox",result="{result}"'
    found = re.search(rf"^croupier_key_requests_total\{{{labels}\}} (\S+)$", text, re.MULTILINE)
    return 0 if found is None else int(float(found[1]))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_rotation_under_load_loses_no_call_and_a_revoked_key_ends_on_every_process(site: Site) -> None:
    reference = site.make_key(NEW)
    with site.serving() as pids:
        session = await asyncio.to_thread(site.open_session)
        old, new = site.key(OLD), site.key(NEW)
        async with (
            callers_at_each(site, session, pids, 1) as (probes, asked),
            loaded(site, session, pids) as (load, told),
        ):
            await publish(site, reference, probes, new)
            load.choose = lambda number: new if number % 2 else old
            await site.command_succeeds("keys", "promote", NEW, "--reason", "seen verifying")
            await refuse_early_revocation(site)
            load.choose = lambda _: new
            asked_before = len(asked)
            await site.command_succeeds("keys", "revoke", OLD, "--unused-for", "1s", "--reason", "rotated")
            await until_everywhere(probes, old, 401)
            revoked_s = time.monotonic()
            while time.monotonic() < revoked_s + 1:
                for probe in probes:
                    await probe.bet(old)
        assert {(one.status, one.worker) for one in told} == {(200, pid) for pid in pids}
        assert {one.key_id for one in told} == {OLD, NEW}
        late = [one.status for one in asked[asked_before:] if one.at_s > revoked_s]
        assert len(late) >= 2 * len(pids)
        assert set(late) == {401}
        await everything_is_told(site, [*told, *asked])
    with site.serving() as pids:
        await the_revoked_key_stays_revoked(site, session, pids)


async def publish(site: Site, reference: str, probes: list[Caller], new: SigningKey) -> None:
    """Refused until it is published; at both workers within two seconds after it."""
    for probe in probes:
        assert (await probe.bet(new)).status == 401
    arguments = ("--secret", reference, "--direction", "inbound", "--reason", "yearly rotation")
    ended = await site.command("keys", "publish", "sandbox", NEW, *arguments)
    assert ended.returncode == 0, ended.stderr
    early = await site.command("keys", "promote", NEW, "--reason", "too early")
    assert early.returncode == 1
    assert "no call signed with sandbox-in-2 has been verified yet" in early.stderr
    await until_everywhere(probes, new, 200)


async def refuse_early_revocation(site: Site) -> None:
    """The retiring key is in use by half of the callers."""
    ended = await site.command("keys", "revoke", OLD, "--reason", "too early")
    assert ended.returncode == 1
    assert "which is less than 24 h" in ended.stderr


async def everything_is_told(site: Site, told: list[Told]) -> None:
    """Money, audit log, list and metrics agree with what was answered."""
    paid = len([one for one in told if one.status == 200])
    balance = json.loads((await site.command("ledger", "balance", "alice", "--json")).stdout)
    (wallet,) = [one for one in balance["accounts"] if one["kind"] == "player_wallet"]
    assert int(wallet["amount"]) == 1_000_000 - paid
    verified = await site.command("audit", "verify")
    assert verified.returncode == 0, verified.stdout
    records = json.loads((await site.command("audit", "list", "--json")).stdout)["records"]
    steps = [(one["action"], one["subject"]) for one in reversed(records)]
    assert steps[-4:] == [
        ("key.published", f"key:{NEW}"),
        ("key.promoted", f"key:{NEW}"),
        ("key.retired", f"key:{OLD}"),
        ("key.revoked", f"key:{OLD}"),
    ]
    keys = json.loads((await site.command("keys", "list", "--all", "--json")).stdout)["keys"]
    by_id = {one["key_id"]: one for one in keys}
    assert (by_id[OLD]["state"], by_id[NEW]["state"]) == ("revoked", "current")
    deadline = time.monotonic() + DEADLINE_S
    refused = len([one for one in told if (one.key_id, one.status) == (OLD, 401)])
    while metric(site, OLD, "refused") < refused:
        assert time.monotonic() < deadline
    wanted = len([one for one in told if (one.key_id, one.status) == (NEW, 200)])
    assert metric(site, NEW, "verified") == wanted


async def the_revoked_key_stays_revoked(site: Site, session: dict[str, Any], pids: list[int]) -> None:
    """The configuration file names it still."""
    assert OLD in (site.home / "croupier.toml").read_text()
    async with callers_at_each(site, session, pids, 1) as (probes, _):
        for probe in probes:
            assert (await probe.bet(site.key(OLD))).status == 401
            assert (await probe.bet(site.key(NEW))).status == 200
    doctor = await site.command("doctor")
    assert "sandbox-in-1 of the configuration file is revoked" in doctor.stdout
