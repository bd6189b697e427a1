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

pytestmark = pytest.mark.xdist_group("tutorial")

PAGE: Final = Path(__file__).parents[2] / "docs/tutorial/first-session.md"
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S: Final = 300

# The page names the default ports. What it runs is moved to free ones: by the environment where that is
# enough, and here where an address stands in a file or in an option.
MOVED: Final = """
set -euo pipefail
trap 'trap "" TERM; kill 0; wait' EXIT
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
        except (OSError, http.client.HTTPException):
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


def step(tutorial: Outcome, needle: str) -> str:
    """What the one block that holds this text printed."""
    numbers = [
        number for number, block in enumerate(blocks_of(PAGE.read_text(encoding="utf-8"))) if needle in block
    ]
    assert len(numbers) == 1, f"{needle!r} is in the blocks {numbers}"
    return tutorial.printed[numbers[0]]


def answers(tutorial: Outcome, needle: str) -> list[dict[str, Any]]:
    """The JSON documents that the blocks with this text printed."""
    blocks = blocks_of(PAGE.read_text(encoding="utf-8"))
    return [json.loads(said) for said, block in zip(tutorial.printed, blocks, strict=True) if needle in block]


def test_every_command_of_the_page_succeeds(tutorial: Outcome) -> None:
    assert tutorial.status == 0, f"{tutorial.complaints}\n{'=' * 20}\n" + "\n".join(tutorial.printed)


def test_the_doctor_finds_nothing_wrong_with_a_new_configuration(tutorial: Outcome) -> None:
    said = step(tutorial, "croupier init")
    assert "wrote casino/croupier.toml" in said
    assert "FAIL" not in said


def test_the_log_says_when_the_gateway_serves(tutorial: Outcome) -> None:
    assert "serving" in tutorial.complaints


def test_the_same_deposit_twice_is_one_deposit(tutorial: Outcome) -> None:
    first, second = answers(tutorial, "/deposits")
    assert (first["status"], first["repeat"]) == ("approved", False)
    assert (second["status"], second["repeat"]) == ("approved", True)
    assert second["balance"] == first["balance"] == {"amount": "5000", "asset": "EUR"}
    assert second["journal_id"] == first["journal_id"]


def test_a_session_is_opened_at_the_studio_and_played(tutorial: Outcome) -> None:
    (opened,) = answers(tutorial, "tee session.json")
    assert opened["state"] in ("created", "launched")
    assert opened["launch_url"].startswith("http://127.0.0.1:")
    assert re.search(r"^10 rounds; balance now \S+", step(tutorial, "<<'PLAY'"), re.MULTILINE)


def test_the_session_is_settled_at_the_end_of_play(tutorial: Outcome) -> None:
    said = step(tutorial, "croupier session timeline")
    assert re.search(r"pending_settlement|settled", said)
    assert "settled" in said.splitlines()[-1]


def test_the_books_are_proven(tutorial: Outcome) -> None:
    said = step(tutorial, "croupier ledger check")
    assert "BROKEN" not in said
    assert "I1  held" in said
    assert re.search(r"I5  1 sessions, 10 rounds, \d+ events replayed: history equals state", said)


def test_blocks_of_other_languages_are_not_run() -> None:
    assert blocks_of("```sh\none\n```\n\n```python\ntwo\n```\n\n```sh\nthree &\n```\n") == [
        "one\n",
        "three &\n",
    ]


def test_a_failing_command_ends_the_page(tmp_path: Path) -> None:
    script = render_script(["true\n", "false\n", "echo reached\n"], tmp_path / "no-waiter", tmp_path)
    ended = subprocess.run(["bash", "-c", script], check=False, start_new_session=True)
    assert ended.returncode != 0
    assert not (tmp_path / "2.txt").exists()
