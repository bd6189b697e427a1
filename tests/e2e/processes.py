"""Croupier's commands as processes: where they listen, what they inherit, how they end."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

BIN: Final = Path(sys.executable).parent
CROUPIER: Final = BIN / "croupier"
READY_S: Final = 90.0
END_S: Final = 60.0
POLL_S: Final = 0.05


class Addresses(Struct, frozen=True):
    """Where one deployment listens, each as "host:port"."""

    public: str
    admin: str
    sandbox: str


def free_addresses() -> Addresses:
    """Three ports that nobody listens on now; they are distinct because they are held together."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return Addresses(*(f"127.0.0.1:{one.getsockname()[1]}" for one in held))


def environment(addresses: Addresses, **more: str) -> dict[str, str]:
    """This process's environment without its own overrides, the commands of this Python first on the path."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CROUPIER_", "PYTEST_")) and name != "DATABASE_URL"
    }
    return inherited | {
        "PATH": f"{BIN}{os.pathsep}{inherited.get('PATH', '')}",
        "CROUPIER_HTTP_PUBLIC": addresses.public,
        "CROUPIER_HTTP_ADMIN": addresses.admin,
        "CROUPIER_SANDBOX_LISTEN": addresses.sandbox,
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@contextmanager
def running(
    command: list[str], folder: Path, env: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own, so that it and its children can be asked to end, and do."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        end_session(process)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to everybody in the process's session, SIGKILL to who does not end in time."""
    _signal_session(process, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        _signal_session(process, signal.SIGKILL)
        process.wait()
        raise


def _signal_session(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


def wait_for_text(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Until the log holds the text; fails with the log when the process ends before, or takes too long."""
    wait_until(lambda: text in log.read_text(), process, log)


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until `/readyz` answers 200."""
    wait_until(lambda: _is_ready(address), process, log)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the condition is true; fails with the log when the process ends before, or takes too long."""
    deadline = time.monotonic() + READY_S
    while not condition():
        assert not _ended(process), f"ended with {process.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not ready within {READY_S:.0f} s:\n{log.read_text()}"


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process ends within a moment: the pause between two looks at a condition."""
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def ask_nobody(config: Path) -> None:
    """Let a starter configuration serve everybody, where no sandbox stands in for the self-exclusion check."""
    text = config.read_text().replace('id = "MT"', 'id = "XX"')
    begin = text.index("[self_exclusion]")
    config.write_text(text[:begin] + text[text.index("\n\n", begin) :])


@contextmanager
def deployment(folder: Path, addresses: Addresses) -> Iterator[Path]:
    """`croupier serve` in a new folder of `croupier init`, ready; the value is its configuration file."""
    env, log = environment(addresses), folder / "serve.log"
    home = folder / "casino"
    subprocess.run([str(CROUPIER), "init", str(home)], env=env, check=True, stdout=subprocess.DEVNULL)
    with running([str(CROUPIER), "serve"], home, env, log) as process:
        wait_until_ready(addresses.public, process, log)
        yield home / "croupier.toml"
