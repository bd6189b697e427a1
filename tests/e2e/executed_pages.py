"""Pages of the documentation as programs: their shell blocks in order, in one shell, in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from e2e.processes import end_session, environment, free_addresses

BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S: Final = 480

MOVED: Final = """
set -euo pipefail
trap 'trap "" TERM; kill 0; wait' EXIT
croupier() {
    local gateway="http://$CROUPIER_HTTP_PUBLIC"
    case "${1-} ${2-}" in
        "sandbox serve") command croupier "$@" --listen "$CROUPIER_SANDBOX_LISTEN" --gateway "$gateway" ;;
        "sandbox webhook") command croupier "$@" --gateway "$gateway" ;;
        *) command croupier "$@" ;;
    esac
    if [ "${1-}" = init ]; then
        sed -i "s|127.0.0.1:8702|$CROUPIER_SANDBOX_LISTEN|" "$2/croupier.toml"
    fi
}
curl() { command curl "${@/127.0.0.1:8702/$CROUPIER_SANDBOX_LISTEN}"; }
"""
"""Pages name the default ports. What they run is moved to free ones: by the environment where that is enough, and here
where an address stands in a file or in an option."""

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
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    else:
        sys.exit(f"nobody answers at {address}")
"""


class Executed(Struct, frozen=True):
    """What every step of a page printed, in order, and what the whole ended with."""

    blocks: tuple[str, ...]
    printed: tuple[str, ...]
    status: int
    complaints: str

    def said_by(self, needle: str) -> str:
        """What the one block that holds this text printed."""
        (said,) = self.all_said_by(needle)
        return said

    def all_said_by(self, needle: str) -> list[str]:
        """What the blocks that hold this text printed."""
        return [said for said, block in zip(self.printed, self.blocks, strict=True) if needle in block]


def blocks_of(page: str) -> list[str]:
    """The shell blocks of a Markdown page."""
    return BLOCK.findall(page)


def render_script(head: str, blocks: list[str], waiter: Path, out: Path) -> str:
    """One shell script: every block prints into a file of its own, and a server that is started is waited for."""
    lines = [head]
    for number, block in enumerate(blocks):
        lines += [f"exec >{out}/{number}.txt", block]
        if re.search(r"croupier (serve|sandbox serve).*&\n\Z", block, re.DOTALL):
            address = "$CROUPIER_SANDBOX_LISTEN" if "croupier sandbox" in block else "$CROUPIER_HTTP_PUBLIC"
            lines.append(f'{sys.executable} {waiter} /readyz "{address}"')
    return "\n".join(lines)


def execute(page: Path, folder: Path, head: str) -> Executed:
    """Run a page from its first command to its last; `head` prepares the shell."""
    waiter, blocks = folder / "wait.py", blocks_of(page.read_text(encoding="utf-8"))
    waiter.write_text(WAITER)
    with (folder / "complaints.txt").open("w") as complaints:
        shell = subprocess.Popen(
            ["bash", "-c", render_script(head, blocks, waiter, folder)],
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
    return Executed(tuple(blocks), said, status, (folder / "complaints.txt").read_text())
