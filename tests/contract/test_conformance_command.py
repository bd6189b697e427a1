"""`croupier provider conformance` against a running deployment, and what it says when it cannot."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from croupier.conformance.scenarios import SCENARIOS
from e2e.processes import CROUPIER, ask_nobody, environment, free_addresses, running, wait_until_ready


def run(folder: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CROUPIER), *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_running_deployment_is_tried_with_its_own_keys(tmp_path: Path) -> None:
    addresses, log = free_addresses(), tmp_path / "serve.log"
    env, home = environment(addresses), tmp_path / "casino"
    assert run(tmp_path, env, "init", str(home)).returncode == 0
    config = home / "croupier.toml"
    config.write_text(config.read_text().replace("http://127.0.0.1:8702", f"http://{addresses.sandbox}"))
    ask_nobody(config)
    with running([str(CROUPIER), "serve"], home, env, log) as process:
        wait_until_ready(addresses.public, process, log)
        url = f"http://{addresses.public}"
        ended = run(
            home, env, "--json", "provider", "conformance", "sandbox", "--url", url, "--report", "r.json"
        )
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["schema"] == {"name": "croupier.conformance", "version": 1}
    assert told == json.loads((home / "r.json").read_text())
    assert [one["scenario"] for one in told["results"]] == [scenario.name for scenario in SCENARIOS]
    assert told["passed"] == (told["counts"]["failed"] == 0)
    assert ended.returncode == (0 if told["passed"] else 1)
    assert told["counts"]["passed"] > len(SCENARIOS) // 2


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    ended = run(tmp_path, environment(free_addresses()), "provider", "conformance", "acme_v9")
    assert ended.returncode == 1
    assert "croupier_v1" in ended.stderr


def test_the_list_names_every_adapter_and_what_its_signature_leaves_open(tmp_path: Path) -> None:
    ended = run(tmp_path, environment(free_addresses()), "--json", "provider", "list")
    told = {one["adapter"]: one for one in json.loads(ended.stdout)["adapters"]}
    assert told["croupier_v1"]["signing"] == "native"
    assert told["croupier_v1"]["unsigned_parts"]
    assert all(one["capabilities"] for one in told.values())
