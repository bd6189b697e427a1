"""`croupier sign` and `verify-signature` in the open standards: what is signed verifies, and what differs is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from croupier.cli.main import app

URL = "https://casino.example/v1/wallets/p-7/EUR/deposits?b=2&a=1"
BODY = '{"reference":"b1","amount":"100"}'
AT = "1750000000"
ED25519_PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""
ED25519_PUBLIC_PEM = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
SECRETS = {
    "SECRET": "a secret of the lobby, long enough",
    "OTHER": "another secret, just as long as it",
    "WHSEC": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "PRIVATE": ED25519_PEM,
    "PUBLIC": ED25519_PUBLIC_PEM,
}


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `croupier.toml` of anybody else, and the secrets in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str) -> Any:
    """The result of a command; a fault of ours is raised."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def signed(scheme: str, *more: str, secret: str = "SECRET", body: str = BODY) -> list[str]:
    """The header lines of a request signed at a fixed time."""
    key = ("--key", "lobby-1", "--secret", f"env:{secret}", "--ts", AT)
    result = run("sign", "POST", URL, "--scheme", scheme, *key, "--body", body, *more)
    assert result.exit_code == 0, result.output
    lines: list[str] = result.stdout.splitlines()
    return lines


def verify(
    scheme: str,
    lines: list[str],
    *more: str,
    method: str = "POST",
    target: str = URL,
    body: str = BODY,
    secret: str = "SECRET",
    at: str = AT,
) -> Any:
    """The result of checking these header lines."""
    Path("headers.txt").write_text("POST / HTTP/1.1\n" + "\n".join(lines) + "\n")
    given = ("--scheme", scheme, "--header-file", "headers.txt", "--body", body, "--at", at)
    return run("verify-signature", method, target, *given, "--secret", f"env:{secret}", *more)


def parts_of(result: Any) -> set[str]:
    """The parts that a failed check names."""
    assert result.exit_code == 1, result.output
    return {found[1] for line in result.stdout.splitlines() if (found := re.match(r"([a-z]+): ", line))}


GOOD = (0, "the signature is good\n")


def test_the_lines_to_add_are_printed_for_curl() -> None:
    names = [line.partition(": ")[0] for line in signed("rfc9421")]
    assert names == ["Content-Digest", "Signature-Input", "Signature"]
    names = [line.partition(": ")[0] for line in signed("standard-webhooks", "--key", "k")]
    assert names == ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"]


@pytest.mark.parametrize(
    ("private", "public"), [("SECRET", "SECRET"), ("PRIVATE", "PUBLIC"), ("PRIVATE", "PRIVATE")]
)
def test_what_is_signed_by_rfc_9421_verifies(private: str, public: str) -> None:
    result = verify("rfc9421", signed("rfc9421", secret=private), secret=public)
    assert (result.exit_code, result.stdout) == GOOD


@pytest.mark.parametrize(
    ("private", "public"), [("SECRET", "SECRET"), ("WHSEC", "WHSEC"), ("PRIVATE", "PUBLIC")]
)
def test_what_is_signed_as_a_webhook_verifies(private: str, public: str) -> None:
    lines = signed("standard-webhooks", secret=private)
    result = verify("standard-webhooks", lines, "--key", "lobby-1", secret=public, at="1750000300")
    assert (result.exit_code, result.stdout) == GOOD


def test_header_lines_may_be_given_one_by_one() -> None:
    lines = [argument for line in signed("rfc9421") for argument in ("--header", line)]
    more = ("--scheme", "rfc9421", "--body", BODY, "--at", AT, "--secret", "env:SECRET")
    result = run("verify-signature", "POST", URL, *lines, *more)
    assert (result.exit_code, result.stdout) == GOOD


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"method": "PUT"}, {"method", "canonical"}),
        ({"target": URL.replace("/v1/", "/public/v1/")}, {"path", "canonical"}),
        ({"target": URL.replace("?b=2&a=1", "")}, {"sig", "canonical"}),
        ({"target": URL + "%20x"}, {"sig", "canonical"}),
        ({"body": BODY + "\n"}, {"body"}),
        ({"secret": "OTHER"}, {"sig", "canonical"}),
        ({"at": "1750000031"}, {"ts"}),
        ({"at": "1749999969"}, {"ts"}),
        ({"method": "PUT", "body": "", "at": "1"}, {"method", "canonical", "body", "ts"}),
    ],
)
def test_the_part_of_a_message_that_differs_is_named(changed: dict[str, str], parts: set[str]) -> None:
    assert parts_of(verify("rfc9421", signed("rfc9421"), **changed)) == parts


def test_what_a_message_leaves_open_is_named() -> None:
    thin = signed("rfc9421", "--component", "@method")
    assert "coverage: sig1: @path is not covered" in verify("rfc9421", thin).stdout
    host = signed("rfc9421", "--component", "@method", "--component", "@target-uri")
    assert verify("rfc9421", host).exit_code == 0
    moved = verify("rfc9421", host, target=URL.replace("https", "http"))
    assert "authority: https was signed as the scheme; here it is http" in moved.stdout


def test_a_header_that_is_covered_is_taken_from_the_lines() -> None:
    accept = ("--header", "Accept: text/plain")
    lines = signed(
        "rfc9421", *accept, *(f"--component={name}" for name in ("@method", "@path", "@query", "accept"))
    )
    assert verify("rfc9421", ["Accept:  text/plain", *lines]).exit_code == 0
    assert parts_of(verify("rfc9421", ["Accept: text/html", *lines])) == {"sig", "canonical"}
    assert "accept is covered, but the request has no such field" in verify("rfc9421", lines).stdout


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"body": BODY + "\n"}, {"body", "canonical"}),
        ({"body": BODY + "x"}, {"sig", "canonical"}),
        ({"secret": "OTHER"}, {"sig", "canonical"}),
        ({"at": "1750000301"}, {"ts"}),
    ],
)
def test_the_part_of_a_webhook_that_differs_is_named(changed: dict[str, str], parts: set[str]) -> None:
    lines = signed("standard-webhooks")
    assert parts_of(verify("standard-webhooks", lines, "--key", "lobby-1", **changed)) == parts


def test_a_webhook_secret_used_as_text_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AS_TEXT", SECRETS["WHSEC"].removeprefix("whsec_"))
    lines = signed("standard-webhooks", secret="AS_TEXT")
    result = verify("standard-webhooks", lines, "--key", "lobby-1", secret="WHSEC")
    assert parts_of(result) == {"secret", "canonical"}
    assert "base64 text of the secret" in result.stdout


def test_an_unreadable_or_missing_signature_is_explained() -> None:
    assert verify("rfc9421", ["Accept: x"]).stdout.startswith("header: there is no Signature-Input")
    broken = ["Signature-Input: sig1=(", "Signature: sig1=:AA==:"]
    assert parts_of(verify("rfc9421", broken)) == {"header"}
    assert parts_of(verify("standard-webhooks", ["Webhook-Id: a.b"], "--key", "k")) == {"header"}


def test_an_unknown_key_is_told_and_a_webhook_needs_one_named() -> None:
    Path("headers.txt").write_text("\n".join(signed("rfc9421")))
    given = ("--header-file", "headers.txt", "--body", BODY, "--at", AT)
    result = run("verify-signature", "POST", URL, "--scheme", "rfc9421", *given)
    assert result.stdout == "key: no key 'lobby-1' is known here\n"
    other = verify("rfc9421", signed("rfc9421"), "--key", "lobby-2")
    assert "key: the signature names key 'lobby-1', checked with 'lobby-2'" in other.stdout
    assert "name it with --key" in verify("standard-webhooks", signed("standard-webhooks")).stderr


def test_a_key_of_the_wrong_kind_is_a_mistake_of_usage() -> None:
    for scheme in ("native", "rfc9421", "standard-webhooks"):
        result = run("sign", "POST", URL, "--scheme", scheme, "--key", "k", "--secret", "env:PUBLIC")
        assert result.exit_code == 2, scheme
    assert "public key cannot sign" in result.stderr.replace("\n", " ")


def test_both_schemes_have_machine_output_without_the_secret() -> None:
    key = ("--key", "lobby-1", "--secret", "env:SECRET", "--ts", AT, "--body", BODY, "--json")
    for scheme, first in (("rfc9421", '"@method": POST\n'), ("standard-webhooks", "msg-1.1750000000.{")):
        result = run("sign", "POST", URL, "--scheme", scheme, *key, "--nonce", "msg-1")
        document = json.loads(result.stdout)
        assert document["schema"] == {"name": "croupier.sign", "version": 1}
        assert document["scheme"] == scheme
        assert document["canonical"].startswith(first)
        assert len(document["headers"]) == 3
        assert SECRETS["SECRET"] not in result.stdout
