"""A change of keys reaches running processes whatever happens to the connection that tells of it (B5, I8)."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from lane_desk import with_address
from msgspec.structs import replace

from croupier.errors import CroupierError
from croupier.governance.audit import load_records, verify_chain
from croupier.governance.keyring import Keyring, Unusable, load_keys, lock_keys, write_step
from croupier.governance.keys import (
    Direction,
    KeyFacts,
    KeyState,
    StepRefused,
    decide_promote,
    decide_publish,
    decide_revoke,
)
from croupier.ids import IdSource
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.providers.callbacks import Callbacks, Edge
from croupier.providers.client import ProviderClient
from croupier.providers.contract import LaunchOrder, LaunchRefused, ListGames
from croupier.providers.verification import RawRequest
from croupier.runtime.accounts import build_accounts
from croupier.runtime.config import Config, ProviderKey, load_config
from croupier.runtime.config.starter import write_starter
from croupier.runtime.database import connect_app, connect_owner
from croupier.runtime.doctor_keys import judge_keys
from croupier.runtime.key_follower import KeyFollower
from croupier.runtime.key_uses import KeyUses
from croupier.runtime.live_keys import LiveAccounts
from croupier.runtime.provider_keys import (
    KeyReader,
    adopt_keys,
    find_unusable,
    load_keyring,
    render_resolved,
)
from croupier.runtime.secrets import resolve_secret
from croupier_signing import MAX_KEYS, Key, SigningKey, random_nonce, sign_native

IN_FORCE_S = 2.0
OLD = "sandbox-in-1"
NEW = "sandbox-in-2"
SECRET = "sixteen-bytes-or-more"
PATH = b"/providers/sandbox/v1/balance"
LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keys-of-a-test'"
WaitUntil = Callable[..., Awaitable[None]]


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(write_starter(tmp_path).config_path, {})


@pytest.fixture
async def connection(database_url: str, config: Config) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database that has adopted the starter's keys."""
    opened = await connect_app(database_url)
    await adopt_keys(opened, config, utc_now(), actor="test")
    yield opened
    await opened.close()


def new_key(key_id: str = NEW, *, direction: str = "inbound", secret: str = "env:NEW_KEY") -> KeyFacts:
    now = utc_now()
    return KeyFacts(
        key_id=key_id,
        provider="sandbox",
        direction=Direction(direction),
        secret=secret,
        state=KeyState.PUBLISHED,
        published_at=now,
        promoted_at=None,
        revoked_at=None,
        due_at=now + timedelta(days=90),
    )


async def publish(connection: asyncpg.Connection, new: KeyFacts) -> None:
    async with connection.transaction():
        keys = await lock_keys(connection)
        step = decide_publish(keys, new, reserved=frozenset(), can_sign=True, can_verify=True)
        await write_step(connection, step, action="key.published", actor="test", reason="test", now=utc_now())


async def promote(connection: asyncpg.Connection, key_id: str) -> None:
    async with connection.transaction():
        step = decide_promote(await lock_keys(connection), key_id, utc_now())
        await write_step(connection, step, action="key.promoted", actor="test", reason="test", now=utc_now())


async def revoke(connection: asyncpg.Connection, key_id: str) -> None:
    async with connection.transaction():
        keys = await lock_keys(connection)
        step = decide_revoke(keys, key_id, utc_now(), unused_for=timedelta(0), is_forced=True)
        await write_step(connection, step, action="key.revoked", actor="test", reason="test", now=utc_now())


class Following:
    """A follower at work, and the keyrings it has told of."""

    def __init__(self, url: str, reader: Any, uses: KeyUses | None = None) -> None:
        self.told: list[Keyring] = []
        self.follower = KeyFollower(
            lambda: connect_app(url, application_name="keys-of-a-test"), reader, self.told.append, uses=uses
        )

    def inbound(self) -> list[str]:
        """Ids of the keys that verify now."""
        return [key.id for key in self.follower.keyring.of("sandbox").inbound]

    async def until_inbound(self, wait_until: WaitUntil, wanted: list[str]) -> None:
        await wait_until(lambda: self.inbound() == wanted, IN_FORCE_S)


@asynccontextmanager
async def following(url: str, reader: Any, uses: KeyUses | None = None) -> AsyncIterator[Following]:
    one = Following(url, reader, uses)
    await one.follower.start()
    task = asyncio.create_task(one.follower.run())
    try:
        yield one
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_keys_of_the_file_are_adopted_once_whoever_starts(
    database_url: str, config: Config
) -> None:
    async def start() -> int:
        opened = await connect_app(database_url)
        try:
            return await adopt_keys(opened, config, utc_now(), actor="croupier serve")
        finally:
            await opened.close()

    assert sorted(await asyncio.gather(*(start() for _ in range(4)))) == [0, 0, 0, 2]
    opened = await connect_app(database_url)
    keys = {key.key_id: key for key in await load_keys(opened)}
    records = await load_records(opened, action="key.adopted")
    assert (await verify_chain(opened)).is_whole
    await opened.close()
    assert {key.state for key in keys.values()} == {KeyState.CURRENT}
    assert keys[OLD].due_at - keys[OLD].published_at == timedelta(days=90)
    assert {one.subject for one in records} == {f"key:{OLD}", "key:sandbox-out-1"}


async def test_a_key_of_the_file_for_which_there_is_no_room_is_left_out_and_told_of(
    connection: asyncpg.Connection, config: Config
) -> None:
    await publish(connection, new_key(direction="outbound"))
    others = [f"sandbox-more-{number}" for number in range(MAX_KEYS - 1)]
    for key_id in others:
        await publish(connection, new_key(key_id))
    (provider,) = config.providers
    late = ProviderKey(id="late", secret="env:NEW_KEY", direction="inbound")
    fuller = replace(config, providers=(replace(provider, keys=(*provider.keys, late)),))
    assert await adopt_keys(connection, fuller, utc_now(), actor="test") == 0
    keyring = await load_keyring(connection, fuller, {"NEW_KEY": SECRET})
    assert len(keyring.of("sandbox").inbound) == MAX_KEYS
    (problem,) = find_unusable(fuller, keyring)
    assert problem.where == "key late of sandbox"
    assert "was not adopted" in problem.what
    await revoke(connection, others[0])
    assert await adopt_keys(connection, fuller, utc_now(), actor="test") == 1
    assert not find_unusable(fuller, await load_keyring(connection, fuller, {"NEW_KEY": SECRET}))


async def test_a_change_is_in_force_at_once(
    database_url: str, connection: asyncpg.Connection, config: Config, wait_until: WaitUntil
) -> None:
    async with following(database_url, KeyReader(config, {"NEW_KEY": SECRET})) as one:
        assert one.inbound() == [OLD]
        await publish(connection, new_key())
        await one.until_inbound(wait_until, [OLD, NEW])
        await revoke(connection, OLD)
        await one.until_inbound(wait_until, [NEW])
        assert (await load_keyring(connection, config, {"NEW_KEY": SECRET})).of("sandbox").inbound == (
            SigningKey(NEW, SECRET.encode()),
        )


async def test_a_change_that_nobody_announced_is_in_force_within_two_seconds(
    database_url: str, connection: asyncpg.Connection, config: Config, wait_until: WaitUntil
) -> None:
    revoke_silently = "UPDATE provider_key SET state = 'revoked', revoked_at = now() WHERE key_id = $1"
    async with following(database_url, KeyReader(config, {})) as one:
        await connection.execute(revoke_silently, OLD)
        await one.until_inbound(wait_until, [])


async def test_a_lost_connection_does_not_stop_the_following(
    database_url: str, connection: asyncpg.Connection, config: Config, wait_until: WaitUntil
) -> None:
    owner = await connect_owner(database_url)
    async with following(database_url, KeyReader(config, {"NEW_KEY": SECRET})) as one:
        assert await owner.fetch(LISTENERS)
        await publish(connection, new_key())
        await one.until_inbound(wait_until, [OLD, NEW])
        assert await owner.fetch(LISTENERS)
        await revoke(connection, OLD)
        await one.until_inbound(wait_until, [NEW])
    await owner.close()


class FreezingProxy:
    """Passes bytes on to PostgreSQL until it freezes: then its connections stay open, and nobody says a word."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._url = url
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = with_address(self._url, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._pass_on(source, sink)))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        try:
            while chunk := await source.read(65_536):
                if task not in self._frozen:
                    sink.write(chunk)
        except ConnectionError:
            return
        finally:
            sink.close()

    def freeze(self) -> None:
        """Every connection there is falls silent; new ones are not."""
        self._frozen = set(self._tasks)


async def test_a_connection_that_falls_silent_does_not_stop_the_following(
    database_url: str, connection: asyncpg.Connection, config: Config, wait_until: WaitUntil
) -> None:
    async with (
        FreezingProxy(database_url) as proxy,
        following(proxy.url, KeyReader(config, {})) as one,
    ):
        proxy.freeze()
        await revoke(connection, OLD)
        await one.until_inbound(wait_until, [])


class SlowReader:
    """Reads the file's keys at once, and others when it is let."""

    def __init__(self, reader: KeyReader) -> None:
        self._reader = reader
        self.may_answer = threading.Event()

    def read(self, key: KeyFacts) -> Key | Unusable:
        if key.key_id == NEW:
            self.may_answer.wait(20)
        return self._reader.read(key)


async def test_a_revocation_waits_for_no_secret_store(
    database_url: str, connection: asyncpg.Connection, config: Config, wait_until: WaitUntil
) -> None:
    reader = SlowReader(KeyReader(config, {"NEW_KEY": SECRET}))
    async with following(database_url, reader) as one:
        await publish(connection, new_key())
        await wait_until(lambda: len(one.told) > 1)
        await revoke(connection, OLD)
        await one.until_inbound(wait_until, [])
        reader.may_answer.set()
        await one.until_inbound(wait_until, [NEW])


async def test_a_secret_that_a_process_cannot_read_holds_the_promotion_and_is_tried_again(
    database_url: str,
    connection: asyncpg.Connection,
    config: Config,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("croupier.runtime.key_follower.READ_AGAIN_S", 0.2)
    env: dict[str, str] = {}

    async def has_told(column: str) -> bool:
        return bool(await connection.fetchval(f"SELECT {column} FROM key_use WHERE key_id = $1", "out-2"))

    async with following(database_url, KeyReader(config, env)) as one:
        await publish(connection, new_key("out-2", direction="outbound"))
        await wait_until(lambda: has_told("last_unusable"))
        with pytest.raises(StepRefused, match="NEW_KEY is not set"):
            await promote(connection, "out-2")
        assert [found.key_id for found in one.follower.keyring.unusable] == ["out-2"]
        env["NEW_KEY"] = SECRET
        await wait_until(lambda: has_told("last_loaded"))
        await connection.execute("UPDATE key_use SET last_unusable = last_unusable - interval '1 minute'")
        await promote(connection, "out-2")
        signer = SigningKey("out-2", SECRET.encode())
        await wait_until(lambda: one.follower.keyring.of("sandbox").outbound == signer, IN_FORCE_S)


async def test_uses_are_told_and_added_up_over_processes(
    database_url: str, connection: asyncpg.Connection, config: Config, wait_until: WaitUntil
) -> None:
    counts = [KeyUses(), KeyUses()]
    now = utc_now()

    async def has_all() -> bool:
        (key,) = [one for one in await load_keys(connection) if one.key_id == OLD]
        return (key.ok, key.refused, key.last_seen_ok) == (6, 2, now)

    reader = KeyReader(config, {})
    async with following(database_url, reader, counts[0]), following(database_url, reader, counts[1]):
        for uses in counts:
            for _ in range(3):
                uses.note("sandbox", OLD, "verified", now)
            uses.note("sandbox", OLD, "refused", now)
        await wait_until(has_all)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE provider_key SET state = 'current', revoked_at = NULL, promoted_at = now()",
        "UPDATE provider_key SET secret = 'env:OTHER'",
        "DELETE FROM provider_key",
        "TRUNCATE provider_key",
    ],
)
async def test_a_revoked_key_cannot_be_brought_back_by_anybody(
    database_url: str, connection: asyncpg.Connection, statement: str
) -> None:
    await revoke(connection, OLD)
    owner = await connect_owner(database_url)
    for one in (connection, owner):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await one.execute(statement)
        assert refused.value.sqlstate in ("42501", "CR003", "CR005")
    await owner.close()
    with pytest.raises(StepRefused, match="can never come back"):
        await publish(connection, new_key(OLD))
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO provider_key (key_id, provider, direction, secret, state, published_at, due_at) "
            "VALUES ($1, 'sandbox', 'inbound', 'env:OTHER', 'published', now(), now())",
            OLD,
        )


async def test_no_secret_is_in_the_database(connection: asyncpg.Connection, config: Config) -> None:
    secrets = [resolve_secret(key.secret).decode() for key in config.providers[0].keys]
    dump = str(await connection.fetch("SELECT provider_key::text FROM provider_key"))
    dump += str(await connection.fetch("SELECT audit_record::text FROM audit_record"))
    assert OLD in dump
    assert not any(secret in dump for secret in secrets)


def live(config: Config, keyring: Keyring, uses: KeyUses) -> LiveAccounts:
    accounts = LiveAccounts(uses, utc_now)
    take(accounts, config, keyring)
    return accounts


def take(accounts: LiveAccounts, config: Config, keyring: Keyring) -> None:
    known = {key.key_id: key.provider for key in keyring.facts}
    accounts.replace(build_accounts(config, render_resolved(config, keyring, {})), known)


def signed_call(key: SigningKey) -> RawRequest:
    header = sign_native(
        key,
        method="POST",
        path=PATH,
        query=b"",
        body=b"{}",
        timestamp_s=int(time.time()),
        nonce=random_nonce(),
    )
    return RawRequest(
        method="POST",
        path=PATH,
        query=b"",
        headers=((b"authorization", header.encode()),),
        body=b"{}",
        received_at=utc_now(),
    )


class Caller:
    """One signed call to the callbacks, whose body arrives when `body_comes` lets it."""

    def __init__(self, accounts: LiveAccounts) -> None:
        self.statuses: list[int] = []
        edge = Edge(
            accounts=accounts,
            submit=approve,
            find_seat=nobody_sits,
            new_token=random_nonce,
            ids=IdSource(),
            now=utc_now,
            observe=lambda record: self.statuses.append(record.status),
            note_key=accounts.note_key,
        )
        self._app = Callbacks(edge)

    async def call(self, raw: RawRequest, body_comes: Callable[[], Awaitable[None]]) -> int:
        async def receive() -> dict[str, Any]:
            await body_comes()
            return {"type": "http.request", "body": raw.body}

        async def send(message: Any) -> None:
            """The status is what telemetry is told."""

        headers = [*raw.headers, (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": raw.method,
            "path": raw.path.decode(),
            "raw_path": raw.path,
            "query_string": b"",
            "headers": headers,
        }
        await self._app(scope, receive, send)
        return self.statuses[-1]


async def approve(call: Call) -> tuple[Outcome, ...]:
    return tuple(Outcome(APPROVED, OK, "") for _ in call.actions)


async def nobody_sits(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> None:
    """The native protocol names its player."""


async def at_once() -> None:
    """The body is there already."""


async def test_a_call_under_way_does_not_outlive_its_key(
    connection: asyncpg.Connection, config: Config
) -> None:
    """Its account was looked up while its key was good, and its body took its time."""
    uses = KeyUses()
    accounts = live(config, await load_keyring(connection, config, {}), uses)
    key = accounts["sandbox"][0].inbound_keys[OLD]
    assert isinstance(key, SigningKey)
    caller = Caller(accounts)

    async def once_it_is_revoked() -> None:
        await revoke(connection, OLD)
        take(accounts, config, await load_keyring(connection, config, {}))

    # Verified, and then not decodable: what counts here is that it was verified.
    assert await caller.call(signed_call(key), at_once) == 400
    assert await caller.call(signed_call(key), once_it_is_revoked) == 401
    (use,) = uses.take()
    assert (use.key_id, use.ok, use.refused) == (OLD, 1, 1)


async def test_calls_that_name_no_key_of_the_provider_are_counted_for_nobody(
    connection: asyncpg.Connection, config: Config
) -> None:
    uses = KeyUses()
    accounts = live(config, await load_keyring(connection, config, {}), uses)
    caller = Caller(accounts)
    unsigned = replace(signed_call(SigningKey("nobody", SECRET.encode())), headers=())
    malformed = replace(unsigned, headers=((b"authorization", b"nonsense"),))
    for raw in (unsigned, malformed, signed_call(SigningKey("nobody", SECRET.encode()))):
        assert await caller.call(raw, at_once) == 401
    assert uses.take() == []


async def test_without_an_outbound_key_nothing_is_sent_and_the_operator_is_told_what_to_do(
    connection: asyncpg.Connection, config: Config
) -> None:
    uses = KeyUses()
    order = LaunchOrder(
        session_id="ses_1", player_id="alice", game_id="dice", asset="EUR", country="MT", correlation_id="c"
    )
    accounts = live(config, await load_keyring(connection, config, {}), uses)
    client = ProviderClient(utc_now, note_signed=accounts.note_signed)
    account, adapter = accounts["sandbox"]
    nowhere = replace(account, base_url="http://127.0.0.1:9")
    assert await client.launch(nowhere, adapter, order) == LaunchRefused("unreachable")
    assert [use.key_id for use in uses.take()] == ["sandbox-out-1"]
    await revoke(connection, "sandbox-out-1")
    keyring = await load_keyring(connection, config, {})
    take(accounts, config, keyring)
    for ask in (client.launch(*accounts["sandbox"], order), client.ask(*accounts["sandbox"], ListGames())):
        with pytest.raises(CroupierError, match="publish and promote an outbound key") as refused:
            await ask
        assert refused.value.kind.status == 503
    await client.close()
    assert uses.take() == []
    told = {finding.detail for finding in judge_keys(config, keyring.facts, utc_now())}
    assert "sandbox-out-1 of the configuration file is revoked, and stays revoked" in told
    assert "provider sandbox has no key that signs our calls" in told
    late = judge_keys(config, keyring.facts, utc_now() + timedelta(days=91))
    assert any(OLD in finding.detail and "was due on" in finding.detail for finding in late)
