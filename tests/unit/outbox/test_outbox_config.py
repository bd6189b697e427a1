"""The outbox in the configuration: what is refused, and how secrets become keys."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from croupier.runtime.config import (
    Config,
    ConfigProblems,
    Problem,
    find_unusable_outbox,
    load_config,
    read_webhook_key,
    resolve_outbox,
)
from croupier.runtime.doctor import examine
from croupier_signing import PrivateKey, SigningKey

SECRET = "correct-horse-battery-staple"
ENDPOINT = '[[outbox.endpoints]]\nid = "platform"\nurl = "https://example.com/events"\n'


def load(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Config:
    path = folder / "croupier.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, env or {})


def only_problem(folder: Path, text: str) -> Problem:
    with pytest.raises(ConfigProblems) as caught:
        load(folder, text)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (ENDPOINT, "outbox.endpoints #1.secrets", "name one, two while it is replaced"),
        (ENDPOINT + f"secrets = {9 * ['env:S']}", "outbox.endpoints #1.secrets", "8 at most"),
        (
            (ENDPOINT + 'secrets = ["env:S"]\n').replace("platform", "nats"),
            "outbox.endpoints #1.id",
            "give the endpoint another id",
        ),
        (2 * (ENDPOINT + 'secrets = ["env:S"]\n'), "outbox.endpoints #2.id", "is there already (#1)"),
        (
            ENDPOINT + 'secrets = ["env:S"]\nevents = ["money.movd"]',
            "outbox.endpoints #1.events #1",
            'did you mean "money.moved"?',
        ),
        (
            ENDPOINT + 'secrets = ["env:S"]\nevents = ["zzz.zzz"]',
            "outbox.endpoints #1.events #1",
            "known: break.opened, breaker.opened",
        ),
        (ENDPOINT + 'secrets = ["plain-text-secret"]', "outbox.endpoints #1.secrets #1", "it must be"),
        (ENDPOINT + 'secrets = ["env:not a name"]', "outbox.endpoints #1.secrets #1", "write env:NAME"),
        (
            ENDPOINT + 'secrets = ["env:S"]\nallow_private = "yes"',
            "outbox.endpoints #1.allow_private",
            "it must be true or false",
        ),
        ('[outbox]\nnats_credentials = "env:S"', "outbox.nats_credentials", "add it, or remove the login"),
        ('[outbox]\nnats_url = "nats://u:p@host"', "outbox.nats_url", "without credentials"),
        (f"[outbox]\nschedule = {51 * ['5s']}", "outbox.schedule", "50 at most"),
        ('[outbox]\nschedule = ["soon"]', "outbox.schedule #1", "a duration such as"),
    ],
)
def test_what_cannot_work_is_refused_with_what_would(
    tmp_path: Path, text: str, where: str, says: str
) -> None:
    problem = only_problem(tmp_path, text)
    assert problem.where == where
    assert says in str(problem)
    assert "plain-text-secret" not in str(problem)


def test_everything_that_is_configured_reaches_the_delivery(tmp_path: Path) -> None:
    text = (
        '[outbox]\nschedule = ["1s", "2m"]\ndisable_after = "2d"\nkeep = "7d"\n'
        'nats_url = "nats://127.0.0.1:4222"\nnats_credentials = "env:LOGIN"\n'
        + ENDPOINT
        + 'secrets = ["env:ONE", "file:two.key"]\nevents = ["break.opened"]\ntimeout_s = 3\nallow_private = true\n'
    )
    (tmp_path / "two.key").write_text(SECRET + "2\n")
    (tmp_path / "two.key").chmod(0o600)
    env = {"ONE": SECRET, "LOGIN": "croupier:a-long-password"}
    outbox = resolve_outbox(load(tmp_path, text, env), env)
    (endpoint,) = outbox.endpoints
    assert (endpoint.id, endpoint.url, endpoint.types) == (
        "platform",
        "https://example.com/events",
        ("break.opened",),
    )
    assert (endpoint.timeout_s, endpoint.allow_private) == (3, True)
    assert [key.secret for key in endpoint.keys if isinstance(key, SigningKey)] == [
        SECRET.encode(),
        SECRET.encode() + b"2",
    ]
    assert outbox.jetstream is not None
    assert (outbox.jetstream.user, outbox.jetstream.password) == ("croupier", "a-long-password")
    assert (outbox.schedule_s, outbox.disable_after_s, outbox.keep_s) == ((1, 120), 172_800, 604_800)
    assert SECRET not in repr(outbox)
    assert "a-long-password" not in repr(outbox)


def test_without_a_section_nobody_is_sent_anything() -> None:
    outbox = resolve_outbox(load_config(None, {}), {})
    assert (outbox.endpoints, outbox.jetstream) == ((), None)


def pem_of(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_secret_is_a_whsec_text_another_shared_secret_or_an_ed25519_private_key() -> None:
    secret = b"twenty-four-random-bytes"
    whsec = b"whsec_" + base64.b64encode(secret)
    assert read_webhook_key("k", whsec) == SigningKey("k", secret)
    assert read_webhook_key("k", secret) == SigningKey("k", secret)
    assert isinstance(read_webhook_key("k", pem_of(ed25519.Ed25519PrivateKey.generate())), PrivateKey)


@pytest.mark.parametrize(
    "material",
    [
        b"whsec_not base64",
        b"whsec_" + base64.b64encode(b"short"),
        pem_of(rsa.generate_private_key(65_537, 2048)),
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_nothing_else_signs_events(material: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"key k: |a webhook secret is"):
        read_webhook_key("k", material)
    path = tmp_path / "wrong.key"
    path.write_bytes(material)
    path.chmod(0o600)
    config = load(tmp_path, ENDPOINT + 'secrets = ["file:wrong.key"]')
    (problem,) = find_unusable_outbox(config, {})
    assert problem.where == "outbox.endpoints #1.secrets #1"
    assert material.decode("latin-1") not in str(problem)


def test_every_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    text = (
        '[outbox]\nnats_url = "nats://localhost:4222"\nnats_credentials = "env:LOGIN"\n'
        + ENDPOINT
        + 'secrets = ["env:A", "env:B"]\n'
    )
    config = load(tmp_path, text, {})
    with pytest.raises(ConfigProblems) as caught:
        resolve_outbox(config, {"B": SECRET, "LOGIN": "sixteen characters"})
    assert [problem.where for problem in caught.value.problems] == [
        "outbox.endpoints #1.secrets #1",
        "outbox.nats_credentials",
    ]


def test_a_variable_that_a_secret_names_is_no_misspelt_override(tmp_path: Path) -> None:
    text = ENDPOINT + 'secrets = ["env:CROUPIER_OUTBOX_SECRET"]'
    config = load(tmp_path, text, {"CROUPIER_OUTBOX_SECRET": SECRET})
    assert resolve_outbox(config, {"CROUPIER_OUTBOX_SECRET": SECRET}).endpoints


async def test_the_doctor_warns_of_events_that_travel_unencrypted_outside(tmp_path: Path) -> None:
    text = (ENDPOINT + 'secrets = ["env:S"]\n').replace("https:", "http:")
    path = tmp_path / "croupier.toml"
    path.write_text(text + text.replace("platform", "inside") + "allow_private = true\n")
    found = [one for one in await examine(path, {"S": SECRET}) if one.check == "outbox"]
    assert [one.status for one in found] == ["warn"]
    assert "endpoint platform" in found[0].detail


async def test_the_doctor_tells_of_secrets_that_sign_nothing(tmp_path: Path) -> None:
    path = tmp_path / "croupier.toml"
    path.write_text(ENDPOINT + 'secrets = ["env:S"]\n')
    found = [one for one in await examine(path, {}) if one.check == "secrets"]
    assert [(one.status, one.detail.partition(":")[0]) for one in found] == [
        ("fail", "outbox.endpoints #1.secrets #1")
    ]
