"""The tests that touch PostgreSQL, on a server that somebody else packaged.

CROUPIER_TEST_POSTGRES_BIN names the folder of its programs; arguments go to pytest. The server listens on a
free port of 127.0.0.1, keeps nothing, and is stopped at the end. Root may not run PostgreSQL, so root starts
it as the package's account or as nobody.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[2]
BIN_VARIABLE: Final = "CROUPIER_TEST_POSTGRES_BIN"
LOGIN: Final = "suite"
ACCOUNTS: Final = ("postgres", "nobody")
START_S: Final = 60
LONGEST_S: Final = 2700

SUITE: Final = ("tests/integration", "tests/property")
LEFT_OUT: Final = {
    "tests/integration/test_embedded_server.py": "starts servers of its own, whatever DATABASE_URL says",
}

# Nothing here must survive, and parallel tests hold many connections.
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}


class Account(Struct, frozen=True):
    """Who runs the server; None is whoever runs this."""

    user: int | None = None
    group: int | None = None

    def run(self, *command: str | Path) -> None:
        """Run a program of PostgreSQL as this account; raises CalledProcessError."""
        groups: list[int] | None = None if self.user is None else []
        subprocess.run(
            [str(part) for part in command],
            check=True,
            cwd="/",
            user=self.user,
            group=self.group,
            extra_groups=groups,
            stdout=subprocess.DEVNULL,
        )

    def own(self, path: Path) -> None:
        """Give it a file or a folder."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def choose_account() -> Account:
    """The account itself, unless it is root's."""
    if os.geteuid() != 0:
        return Account()
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise SystemExit(f"root may not run PostgreSQL, and none of the accounts {', '.join(ACCOUNTS)} is here")


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def temporary_server(programs: Path) -> Iterator[str]:
    """The URL of a new server's superuser; the server and its folder are gone at the end."""
    account, folder = choose_account(), Path(tempfile.mkdtemp(prefix="croupier-other-server-"))
    try:
        account.own(folder)
        password = _initialise(programs, account, folder)
        port = free_port()
        options = " ".join(f"-c {name}='{value}'" for name, value in {**SETTINGS, "port": port}.items())
        control = (programs / "pg_ctl", "-D", folder / "data", "-s", "-w", "-t", str(START_S))
        try:
            account.run(*control, "-l", folder / "log", "-o", options, "start")
            yield f"postgresql://{LOGIN}:{password}@127.0.0.1:{port}/postgres?sslmode=disable"
        except subprocess.CalledProcessError:
            with contextlib.suppress(FileNotFoundError):
                sys.stderr.write((folder / "log").read_text())
            raise
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                account.run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(programs: Path, account: Account, folder: Path) -> str:
    """A data folder whose superuser has a new password, which is returned."""
    password, file = secrets.token_hex(16), folder / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    account.own(file)
    login = ("-U", LOGIN, "-A", "scram-sha-256", f"--pwfile={file}")
    account.run(programs / "initdb", "-D", folder / "data", "-E", "UTF8", "--locale=C", "--no-sync", *login)
    return password


def run_suite(url: str, arguments: list[str]) -> int:
    """The suite's exit code on that server."""
    left_out = [f"--ignore={path}" for path in LEFT_OUT]
    command = [sys.executable, "-m", "pytest", *SUITE, *left_out, "-m", "not system", "--dist", "loadfile"]
    ended = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=False,
        timeout=LONGEST_S,
    )
    return ended.returncode


def main(arguments: list[str]) -> int:
    """Start the server, run the suite, stop the server; the suite's exit code."""
    programs = Path(os.environ[BIN_VARIABLE])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for path, reason in LEFT_OUT.items():
        print(f"left out: {path}: {reason}")
    with temporary_server(programs) as url:
        print(f"the suite on the server of {programs}", flush=True)
        return run_suite(url, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
