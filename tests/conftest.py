"""One PostgreSQL per test run, and no sockets but loopback.

The server is an embedded one in a temporary folder, or the one named by DATABASE_URL (a superuser, or a
login with CREATEROLE and CREATEDB). The process that runs the session names a folder in the environment;
the first test that needs a database starts the server there, workers of pytest-xdist attach, and the
session stops it at its end.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from croupier.runtime.database import with_database
from croupier.runtime.embedded import EmbeddedServer
from model.seeds import REPEATABLE

# Every generated test runs so, whatever else it sets: none is judged by how busy the machine is.
settings.register_profile("repeatable", REPEATABLE)
settings.load_profile("repeatable")

RUN_FOLDER_VARIABLE = "CROUPIER_TEST_RUN_FOLDER"
IS_SESSION_OWNER = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    config.stash[IS_SESSION_OWNER] = not is_worker
    if not is_worker:
        os.environ[RUN_FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="croupier-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not config.stash.get(IS_SESSION_OWNER, False):
        return
    folder = Path(os.environ.pop(RUN_FOLDER_VARIABLE))
    if (folder / "postgres" / "owner").exists():
        asyncio.run(_stop_server(folder / "postgres"))
    elif (folder / "template.made").exists():
        asyncio.run(_drop_template(os.environ["DATABASE_URL"], f"template_of_{folder.name}"))
    shutil.rmtree(folder, ignore_errors=True)


async def _stop_server(folder: Path) -> None:
    """Take the server over from the worker that started it (it has ended by now) and stop it."""
    server = EmbeddedServer(folder)
    await server.start()
    await server.take_over()
    await server.stop("immediate")


async def _drop_template(url: str, name: str) -> None:
    connection = await asyncpg.connect(with_database(url, "postgres"))
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """The folder which all workers of this test run share."""
    return Path(os.environ[RUN_FOLDER_VARIABLE])


@pytest.fixture(autouse=True)
def only_loopback_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave this machine."""
    connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        refuse_outside(self.family, address)
        return connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        refuse_outside(self.family, address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    def guarded_resolve(host: object, *arguments: object, **options: object) -> object:
        refuse_outside(socket.AF_INET, (host, 0))
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)


def refuse_outside(family: int, address: object) -> None:
    """Raise unless the address is on this machine."""
    if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    if host in (None, "", "localhost", "::", "::1", "0.0.0.0") or str(host).startswith("127."):
        return
    raise AssertionError(f"a test tried to reach {host}: tests use loopback only")
