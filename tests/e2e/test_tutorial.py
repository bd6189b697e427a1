"""docs/tutorial/first-session.md, executed: its shell blocks in order, in one shell, in an empty folder."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from e2e.processes import end_session, environment, free_addresses

PAGE: Final = Path(__file__).parents[2] / "docs/tutorial/first-session.md"
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S: Final = 300

# The page names the default ports. What it runs is moved to free ones: by the environment where that is
# enough, and here where an address stands in a file or in an option.
MOVED: Final = """
set -euo pipefail
croupier() {
    if [ "${1-}" = sandbox ]; then
        command croupier "$@" --listen "$CROUPIER_SANDBOX_LISTEN" --gateway "http://$CROUPIER_HTTP_PUBLIC"
    else
        command croupier "$@"
    fi
    if [ "${1-}" = init ]; then
        sed -i "s|^base_url = .*|base_url = \\"http://$CROUPIER_SANDBOX_LISTEN\\"|" "$2/croupier.toml"
    fi
}
"""

WAITER: Final = """
import http.client, sys, time
path, addresses = sys.argv[1], sys.argv[2:]
deadline = time.monotonic() + 90
for address in addresses:
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection(address, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status != 503:
                break
        except OSError:
            time.sleep(0.05)
    else:
        sys.exit(f"nobody answers at {address}")
"""


class Outcome(Struct, frozen=True):
    """What every step of the page printed, in order, and what the whole ended with."""

    printed: tuple[str, ...]
    status: int
    complaints: str


def blocks_of(page: str) -> list[str]:
    """The shell blocks of a Markdown page."""
    return BLOCK.findall(page)


def render_script(blocks: list[str], waiter: Path, out: Path) -> str:
    """One shell script: every block prints into a file of its own, and what runs on is waited for."""
    lines = [MOVED]
    for number, block in enumerate(blocks):
        lines += [f"exec >{out}/{number}.txt", block]
        if block.rstrip().endswith("&"):
            address = "$CROUPIER_SANDBOX_LISTEN" if "croupier sandbox" in block else "$CROUPIER_HTTP_PUBLIC"
            lines.append(f'{sys.executable} {waiter} /readyz "{address}"')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The page, run from its first command to its last."""
    folder = tmp_path_factory.mktemp("tutorial")
    waiter, blocks = folder / "wait.py", blocks_of(PAGE.read_text(encoding="utf-8"))
    waiter.write_text(WAITER)
    script = render_script(blocks, waiter, folder)
    with (folder / "complaints.txt").open("w") as complaints:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment(free_addresses()),
            stderr=complaints,
            start_new_session=True,
        )
    try:
        status = shell.wait(LONGEST_S)
    finally:
        end_session(shell)
    printed = [folder / f"{number}.txt" for number in range(len(blocks))]
    said = tuple(path.read_text() if path.exists() else "" for path in printed)
    return Outcome(said, status, (folder / "complaints.txt").read_text())
