"""Secrets behind a network: a real AWS-compatible server (moto), and Vault's KV version 2 as its API is published."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import PublicKey, read_key

VALUE = "correct-horse-battery-staple"
TOKEN = "a-token-of-vault"
LONGEST_S = 15.0


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    """A running AWS-compatible server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


@pytest.fixture
def aws(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The environment as AWS's own tools read it, and a client that makes secrets."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return boto3.session.Session().client("secretsmanager")


def why_not(reference: str, env: dict[str, str] | None = None) -> SecretUnavailable:
    """What is said of a reference without a usable secret; never a value."""
    with pytest.raises(SecretUnavailable) as caught:
        resolve_secret(reference, env=env)
    assert VALUE not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return caught.value


def test_a_text_a_member_and_bytes_are_read_from_aws(aws: Any) -> None:
    aws.create_secret(Name="casino/text", SecretString=VALUE + "\n")
    aws.create_secret(Name="casino/members", SecretString=json.dumps({"key": VALUE, "number": 5}))
    aws.create_secret(Name="casino/bytes", SecretBinary=b"\x00\x01" * 16)
    assert resolve_secret("aws-sm:casino/text") == VALUE.encode()
    assert resolve_secret("aws-sm:casino/members#key") == VALUE.encode()
    assert resolve_secret("aws-sm:casino/bytes") == b"\x00\x01" * 16


def test_the_newest_version_counts_in_aws(aws: Any) -> None:
    aws.create_secret(Name="casino/changing", SecretString="the one before this one")
    aws.put_secret_value(SecretId="casino/changing", SecretString=VALUE)
    assert resolve_secret("aws-sm:casino/changing") == VALUE.encode()


def test_a_pem_key_of_many_lines_survives_aws(aws: Any, rsa_public_pem: bytes) -> None:
    aws.create_secret(Name="casino/public", SecretString=rsa_public_pem.decode())
    assert isinstance(read_key("studio-1", resolve_secret("aws-sm:casino/public")), PublicKey)


@pytest.mark.parametrize("member", ["missing", "number"])
def test_a_member_that_is_missing_or_no_text_is_named(aws: Any, member: str) -> None:
    aws.create_secret(Name=f"casino/{member}", SecretString=json.dumps({"key": VALUE, "number": 5}))
    assert f"no JSON object with a text member {member}" in why_not(f"aws-sm:casino/{member}#{member}").what


def test_a_secret_that_aws_does_not_have_is_named(aws: Any) -> None:
    told = why_not("aws-sm:casino/nothing")
    assert told.what.endswith("aws-sm:casino/nothing: ResourceNotFoundException")
    assert "create it" in told.fix


def test_a_short_secret_of_aws_is_refused(aws: Any) -> None:
    aws.create_secret(Name="casino/short", SecretString="short")
    assert "shorter than 16 bytes" in why_not("aws-sm:casino/short").what


def test_an_aws_that_cannot_be_reached_is_said_in_time(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        begun = time.monotonic()
        assert "could not be asked" in why_not("aws-sm:casino/text").what
        assert time.monotonic() - begun < LONGEST_S
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert "NoRegionError" in why_not("aws-sm:casino/text").what


class Vault(BaseHTTPRequestHandler):
    """KV version 2 at the mount `secret`, in the shape of Vault's published HTTP API."""

    protocol_version = "HTTP/1.1"
    secrets: ClassVar[dict[str, dict[str, Any]]] = {}
    is_sealed = False

    def do_GET(self) -> None:
        """Read the newest version of a secret."""
        path = self.path.partition("?")[0].removeprefix("/v1/secret/data/")
        if self.is_sealed:
            return self._answer(503, {"errors": ["Vault is sealed"]})
        if self.headers.get("X-Vault-Token") != TOKEN:
            return self._answer(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
        if path == "deleted":
            gone = {"created_time": "2026-01-01T00:00:00Z", "deletion_time": "2026-01-02T00:00:00Z"}
            metadata = gone | {"custom_metadata": None, "destroyed": False, "version": 1}
            return self._answer(404, _envelope({"data": None, "metadata": metadata}))
        if path not in self.secrets:
            return self._answer(404, {"errors": []})
        metadata = {
            "created_time": "2026-01-01T00:00:00Z",
            "custom_metadata": None,
            "deletion_time": "",
            "destroyed": False,
            "version": 3,
        }
        return self._answer(200, _envelope({"data": self.secrets[path], "metadata": metadata}))

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": "c92f7c3e-0000-0000-0000-000000000000",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }


@pytest.fixture
def vault() -> Iterator[dict[str, str]]:
    """A Vault with three secrets; the value is the environment that finds it."""
    handler = type("HandlerOfThisTest", (Vault,), {})
    handler.secrets = {"casino/studio": {"key": VALUE, "number": 5}, "casino/short": {"key": "short"}}  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {"VAULT_ADDR": f"http://127.0.0.1:{server.server_port}", "VAULT_TOKEN": TOKEN}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_member_is_read_from_vault(vault: dict[str, str]) -> None:
    assert resolve_secret("vault:secret/casino/studio#key", env=vault) == VALUE.encode()


@pytest.mark.parametrize(
    ("reference", "what", "fix"),
    [
        ("vault:secret/casino/nothing#key", "InvalidPath", "without /data/"),
        ("vault:secret/deleted#key", "InvalidPath", "deleted"),
        ("vault:secret/casino/studio#other", "no text member other", "after #"),
        ("vault:secret/casino/studio#number", "no text member number", "after #"),
        ("vault:secret/casino/short#key", "shorter than 16 bytes", "random"),
    ],
)
def test_what_vault_does_not_have_is_named(
    vault: dict[str, str], reference: str, what: str, fix: str
) -> None:
    told = why_not(reference, vault)
    assert what in told.what
    assert fix in told.fix


def test_a_token_that_vault_refuses_is_not_shown(vault: dict[str, str]) -> None:
    told = why_not("vault:secret/casino/studio#key", vault | {"VAULT_TOKEN": "another-token-of-vault"})
    assert told.what == "Vault refused vault:secret/casino/studio: Forbidden"
    assert "another-token" not in str(told)


def test_a_sealed_vault_says_so(vault: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vault, "is_sealed", True)
    assert why_not("vault:secret/casino/studio#key", vault).fix == "unseal Vault"


@pytest.mark.parametrize("name", ["VAULT_ADDR", "VAULT_TOKEN"])
def test_what_vault_needs_is_named(vault: dict[str, str], name: str) -> None:
    env = {key: value for key, value in vault.items() if key != name}
    assert f"{name}, which is not set" in why_not("vault:secret/casino/studio#key", env).what


def test_a_vault_that_cannot_be_reached_or_does_not_answer_is_said_in_time(vault: dict[str, str]) -> None:
    begun = time.monotonic()
    with silent_server() as address:
        silent = vault | {"VAULT_ADDR": f"http://{address}"}
        assert "ReadTimeout" in why_not("vault:secret/casino/studio#key", silent).what
    assert "ConnectionError" in why_not("vault:secret/casino/studio#key", silent).what
    assert time.monotonic() - begun < LONGEST_S


@pytest.mark.parametrize(
    ("module", "reference", "extra"),
    [("boto3", "aws-sm:casino/text", "aws"), ("hvac", "vault:secret/casino/studio#key", "vault")],
)
def test_without_its_library_a_store_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, reference: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    told = why_not(reference, {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": TOKEN})
    assert f"needs {module}, which is not installed" in told.what
    assert told.fix.endswith(f"the extra {extra}")


@contextmanager
def silent_server() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def rsa_public_pem() -> bytes:
    """The public half of a fresh RSA key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    public = rsa.generate_private_key(65537, 2048).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
