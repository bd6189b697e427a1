"""`croupier demo --wallet remote`: a wallet that misbehaves and goes away, and books that agree with it (K6)."""

import subprocess
from pathlib import Path

import msgspec

from e2e.processes import CROUPIER, environment, free_addresses

LONGEST_S = 280


def test_books_and_wallet_agree_at_the_end(tmp_path: Path) -> None:
    command = [str(CROUPIER), "demo", "--wallet", "remote", "--once", "--players", "16", "--rounds", "16"]
    done = subprocess.run(
        [*command, "--json", "out.json"],
        cwd=tmp_path,
        env=environment(free_addresses()),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    document = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    wallet = document["wallet"]
    assert wallet["agrees"] is True
    assert wallet["mode"] == "remote"
    assert wallet["differences"] == []
    assert set(wallet["calls"]) <= {"approved", "refused", "not_applied", "undone"}
    assert wallet["unknown"]["seen"] == wallet["unknown"]["settled"]
    assert wallet["outage"]["launches_refused"] == wallet["outage"]["launches_tried"] > 0
    assert wallet["outage"]["drained"] == wallet["outage"]["queued"]
    assert sum(wallet["faults"].values()) > 0
    assert all(side["wallet"] == side["books"] for side in wallet["agreement"].values())
    assert set(document["invariants"].values()) == {"held"}
