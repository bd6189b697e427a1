"""The command line as people and scripts meet it: help, exit codes, JSON, signatures that differ in one part."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from croupier import __version__
from croupier.cli.entry import module_of
from croupier.cli.groups import COMMANDS
from croupier.cli.main import GROUPS, app
from croupier.cli.reference import PAGE, render_reference
from croupier.cli.root import make_app
from croupier.settlement.fairness import commitment_of, verify_outcome

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the studio, long enough"
OTHER_SECRET = "another secret, just as long as it"
TARGET = "/providers/studio/v1/bet?b=2&a=1"
BODY = '{"reference":"b1","amount":"100"}'
NONCE = "nonce-of-sixteen-chars"

CONFIG = """
[[providers]]
id = "studio"
keys = [{ id = "studio-1", secret = "env:STUDIO_SECRET", direction = "both" }]
"""


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `croupier.toml` of anybody else, and the secrets in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDIO_SECRET", SECRET)
    monkeypatch.setenv("OTHER_SECRET", OTHER_SECRET)


def run(*arguments: str, text: str | None = None) -> Any:
    """The result of a command; a fault of ours is raised."""
    return CliRunner().invoke(app, list(arguments), input=text, catch_exceptions=False)


def document_of(*arguments: str, text: str | None = None) -> dict[str, Any]:
    """The one JSON document that a command prints."""
    document: dict[str, Any] = json.loads(run(*arguments, "--json", text=text).stdout)
    return document


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    waiting: list[tuple[str, Any]] = [("croupier", get_command(app))]
    while waiting:
        path, command = waiting.pop()
        yield path, command
        waiting += [(f"{path} {name}", child) for name, child in getattr(command, "commands", {}).items()]


def leaves() -> list[tuple[str, Any]]:
    """Every command that does something."""
    return [(path, command) for path, command in commands() if not hasattr(command, "commands")]


def test_every_command_explains_itself_with_an_example() -> None:
    for path, command in leaves():
        assert command.help, path
        assert "Example" in command.help, path
        assert path in command.help, f"{path} shows how it is called"


def test_every_command_and_group_has_help() -> None:
    for path, _ in commands():
        result = run(*path.split()[1:], "--help")
        assert result.exit_code == 0, path
        assert "Usage: croupier" in result.stdout.replace("Usage: root", "Usage: croupier")
        assert "\x1b" not in result.stdout, "a pipe gets no colour"


def test_every_module_has_the_commands_it_is_looked_up_by() -> None:
    for group, (name, words) in zip(GROUPS, COMMANDS.items(), strict=True):
        single = make_app([group])
        assert group.__name__ == f"croupier.cli.{name}"
        assert tuple(typer.main.get_command(single).commands) == words


@pytest.mark.parametrize(
    ("typed", "module"),
    [
        ("serve --workers 2", "deployment"),
        ("--json --yes --config a.toml session list", "sessions"),
        ("--config=a.toml verify-signature", "signature"),
        ("provider list --json", "provider"),
        ("--config session", None),
        ("--help", None),
        ("--version", None),
        ("--help serve", None),
        ("sessoin list", None),
        ("", None),
    ],
)
def test_a_command_that_is_typed_is_found_without_importing_the_others(
    typed: str, module: str | None
) -> None:
    assert module_of(typed.split()) == module


def test_global_options_are_taken_before_and_after_the_command() -> None:
    arguments = ["sign", "GET", "/", "--key", "k", "--secret", "env:STUDIO_SECRET"]
    for placed in (["--json", *arguments], [*arguments, "--json"]):
        assert json.loads(run(*placed).stdout)["schema"] == {"name": "croupier.sign", "version": 1}
    for path, command in leaves():
        names = {name for parameter in command.params for name in parameter.opts}
        assert names >= {"--config", "--json", "--yes"}, path


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"croupier {__version__}\n"


def test_an_unknown_command_names_the_nearest_one() -> None:
    result = run("legder", "check")
    assert result.exit_code == 2
    assert "Did you mean 'ledger'" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["ledger", "check", "--nonsense"],
        ["session", "replay"],
        ["session", "replay", "--all", "ses_1"],
        ["session", "list", "--state", "flying"],
        ["session", "list", "--before", "nothing"],
        ["ledger", "journal", "--limit", "0"],
        ["sign", "GET", "/"],
        ["sign", "GET", "no-path", "--key", "k", "--secret", "env:STUDIO_SECRET"],
        ["sign", "GET", "/#part", "--key", "k", "--secret", "env:STUDIO_SECRET"],
        ["sign", "GET", "/%zz", "--key", "k", "--secret", "env:STUDIO_SECRET"],
        ["sign", "GET", "/", "--key", "k", "--secret", "env:STUDIO_SECRET", "--nonce", "short"],
        ["sign", "GET", "/", "--key", "spaces are wrong", "--secret", "env:STUDIO_SECRET"],
        [
            "sign",
            "GET",
            "/",
            "--key",
            "k",
            "--secret",
            "env:STUDIO_SECRET",
            "--body",
            "a",
            "--body-file",
            "b",
        ],
        ["sign", "GET", "/", "--key", "k", "--secret", "env:STUDIO_SECRET", "--body-file", "missing.json"],
        ["verify-signature", "GET", "/"],
        ["fairness", "verify", "missing.json"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


def test_a_missing_database_is_a_failure_in_words() -> None:
    result = run("ledger", "check")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "there is no database" in result.stderr
    document = document_of("ledger", "check")
    assert document["schema"] == {"name": "croupier.error", "version": 1}
    assert "there is no database" in document["error"]
    assert not Path(".croupier").exists(), "looking makes nothing"


def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CROUPIER_DATABASE_URL", "postgresql://somebody:hidden@127.0.0.1:1/croupier")
    result = run("session", "list")
    assert result.exit_code == 1
    assert "127.0.0.1:1/croupier cannot be used" in result.stderr
    assert "hidden" not in result.output


def test_a_wrong_configuration_is_told_in_full(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text('[http]\npubic = "127.0.0.1:1"\n[lanes]\ncount = 0\n')
    result = run("--config", "wrong.toml", "ledger", "check")
    assert result.exit_code == 1
    assert 'did you mean "public"?' in result.stderr
    assert "lanes.count" in result.stderr
    assert "there is no such file" in run("ledger", "check", "--config", "missing.toml").stderr


def sign(*arguments: str) -> str:
    """A header signed now, or as the arguments say."""
    signed = run(
        "sign",
        "POST",
        TARGET,
        "--key",
        "studio-1",
        "--secret",
        "env:STUDIO_SECRET",
        "--body",
        BODY,
        *arguments,
    )
    assert signed.exit_code == 0, signed.output
    name, _, header = signed.stdout.strip().partition(": ")
    assert name == "Authorization"
    return str(header)


def verify(header: str, *arguments: str, method: str = "POST", target: str = TARGET, body: str = BODY) -> Any:
    """The result of checking a header, with the right secret unless the arguments name another."""
    secret = () if "--secret" in arguments else ("--secret", "env:STUDIO_SECRET")
    return run(
        "verify-signature", method, target, "--authorization", header, "--body", body, *secret, *arguments
    )


def test_what_is_signed_verifies() -> None:
    result = verify(sign())
    assert (result.exit_code, result.stdout) == (0, "the signature is good\n")
    reordered = verify(sign(), target="https://gateway.example/providers/studio/v1/bet?a=1&b=2")
    assert reordered.exit_code == 0, "the order of a query is not part of what is signed"


def test_the_header_is_accepted_with_its_name_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "header.txt").write_text(f"authorization: {sign()}\n")
    (tmp_path / "body.json").write_text(BODY)
    arguments = ("--header-file", "header.txt", "--secret", "env:STUDIO_SECRET", "--body-file")
    assert run("verify-signature", "POST", TARGET, *arguments, "body.json").exit_code == 0
    assert run("verify-signature", "POST", TARGET, *arguments, "-", text=BODY).exit_code == 0


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"method": "PUT"}, "method"),
        ({"target": TARGET.replace("/v1/", "/v1//")}, None),
        ({"target": "/public" + TARGET}, "path"),
        ({"target": TARGET.replace("a=1", "a=2")}, None),
        ({"body": BODY + "\n"}, "body"),
    ],
)
def test_the_part_that_differs_is_named(changed: dict[str, str], part: str | None) -> None:
    result = verify(sign(), **changed)
    assert result.exit_code == 1
    named = {line.partition(":")[0] for line in result.stdout.splitlines()}
    assert "canonical" in named
    assert (part or "sig") in named


def test_a_query_signed_in_the_order_sent_is_recognised() -> None:
    lines = ("CROUPIER1-HMAC-SHA256", "POST", "/providers/studio/v1/bet", "b=2&a=1", "1750000000", NONCE)
    message = "\n".join((*lines, hashlib.sha256(BODY.encode()).hexdigest()))
    digest = hmac.digest(SECRET.encode(), message.encode(), "sha256")
    sig = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    header = f'CROUPIER1-HMAC-SHA256 key="studio-1", ts="1750000000", nonce="{NONCE}", sig="{sig}"'
    result = verify(header, "--at", "1750000000")
    assert result.exit_code == 1
    assert (
        "query: the query was signed in the order sent" in result.stdout or "signed as sent" in result.stdout
    )


def test_a_stale_timestamp_is_told_with_its_distance() -> None:
    header = sign("--ts", "1750000000", "--nonce", NONCE)
    assert verify(header, "--at", "1750000030").exit_code == 0
    result = verify(header, "--at", "1750000031")
    assert (result.exit_code, result.stdout.partition(":")[0]) == (1, "ts")
    assert "31 s behind" in result.stdout
    assert verify(header, "--at", "1750000090", "--window", "90").exit_code == 0
    assert "ts: " in verify(header).stdout, "without --at the clock of this machine judges"
    assert abs(int(sign().split('ts="')[1].split('"')[0]) - time.time()) < 30


def test_an_unknown_key_and_another_secret_are_told_apart(tmp_path: Path) -> None:
    unknown = run("verify-signature", "POST", TARGET, "--authorization", sign(), "--body", BODY)
    assert unknown.exit_code == 1
    assert "key: no key 'studio-1' is known here" in unknown.stdout
    other = verify(sign(), "--secret", "env:OTHER_SECRET")
    assert "the secret differs" in other.stdout
    assert (
        "key: the header names key 'studio-1', checked with 'lobby-1'"
        in verify(sign(), "--key", "lobby-1").stdout
    )
    (tmp_path / "croupier.toml").write_text(CONFIG)
    assert run("verify-signature", "POST", TARGET, "--authorization", sign(), "--body", BODY).exit_code == 0
    assert run("sign", "GET", "/", "--key", "studio-1").exit_code == 0
    assert "no key 'nobody' is configured" in run("sign", "GET", "/", "--key", "nobody").stderr


def test_a_header_that_is_not_one_is_explained() -> None:
    result = verify("Bearer abc")
    assert result.exit_code == 1
    assert result.stdout == "header: the scheme is not CROUPIER1-HMAC-SHA256\n"


def test_findings_are_machine_readable_and_hold_no_secret() -> None:
    document = document_of(
        "verify-signature",
        "PUT",
        TARGET,
        "--authorization",
        sign(),
        "--body",
        BODY,
        "--secret",
        "env:STUDIO_SECRET",
    )
    assert document["schema"] == {"name": "croupier.verify-signature", "version": 1}
    assert document["valid"] is False
    assert [finding["part"] for finding in document["findings"]] == ["method", "canonical"]
    assert SECRET not in json.dumps(document)


def test_a_secret_is_named_and_never_given() -> None:
    result = run("sign", "GET", "/", "--key", "k", "--secret", SECRET)
    assert result.exit_code == 1
    assert "never the value itself" in result.stderr
    assert SECRET not in result.output


def test_a_secret_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o644)
    arguments = ("sign", "GET", "/", "--key", "k", "--secret", f"file:{file}")
    assert "chmod 600" in run(*arguments).stderr
    file.chmod(0o600)
    assert run(*arguments).exit_code == 0


def fair_round() -> dict[str, Any]:
    """A round of dice that its seeds prove."""
    seeds = {"server_seed": "the server's seed", "client_seed": "lucky", "nonce": 7}
    proof = {"scheme": "float_stream", "server_seed_hash": commitment_of(str(seeds["server_seed"])), **seeds}
    verdict = verify_outcome(
        "float_stream", "dice", {}, server_seed="the server's seed", client_seed="lucky", nonce=7,
        server_seed_hash=str(proof["server_seed_hash"]),
    )  # fmt: skip
    return {"outcome": {"game": "dice", "parameters": {}, "result": verdict.outcome}, "fairness": proof}


def test_a_fair_round_is_proven(tmp_path: Path) -> None:
    (tmp_path / "round.json").write_text(json.dumps(fair_round()))
    result = run("fairness", "verify", "round.json")
    assert result.exit_code == 0, result.output
    assert "round 1: fair" in result.stdout
    rounds = {"rounds": [{"provider_round_id": "r1", **fair_round()}, fair_round()]}
    document = document_of("fairness", "verify", "-", text=json.dumps(rounds))
    assert document["fair"] is True
    assert [one["round"] for one in document["rounds"]] == ["round 1 (r1)", "round 2"]


@pytest.mark.parametrize(
    ("member", "name", "value", "reason"),
    [
        ("outcome", "result", {"roll_hundredths": 1}, "outcome_differs"),
        ("fairness", "server_seed", "another seed", "commitment_broken"),
        ("fairness", "client_seed", "unlucky", "outcome_differs"),
        ("outcome", "game", "chess", "unknown_game"),
    ],
)
def test_an_unfair_round_exits_with_1(member: str, name: str, value: object, reason: str) -> None:
    round_ = fair_round()
    round_[member][name] = value
    document = document_of("fairness", "verify", "-", text=json.dumps([fair_round(), round_]))
    assert [one["verdict"]["reason"] for one in document["rounds"]] == ["ok", reason]
    assert run("fairness", "verify", "-", text=json.dumps(round_)).exit_code == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '{"rounds": []}', "[" * 100_000])
def test_what_holds_no_round_is_a_failure_in_words(text: str) -> None:
    result = run("fairness", "verify", "-", text=text)
    assert result.exit_code == 1
    assert result.stderr.startswith("croupier: ")


def test_a_round_without_proof_is_not_proven() -> None:
    result = run("fairness", "verify", "-", text='{"outcome": null, "fairness": null}')
    assert result.exit_code == 1
    assert "no_proof" in result.stdout


def test_the_reference_page_is_current() -> None:
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    assert written == render_reference(app), "write it again: python -m croupier.cli.reference"
