"""Secrets by reference: what is accepted, and that no error shows a value."""

import os
from pathlib import Path

import pytest

from croupier.runtime.secrets import SecretUnavailable, check_reference, resolve_secret

VALUE = "correct-horse-battery-staple"


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_variable_gives_its_bytes() -> None:
    assert resolve_secret("env:KEY", env={"KEY": VALUE}) == VALUE.encode()


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_file_gives_its_bytes_without_one_newline(tmp_path: Path, ending: bytes) -> None:
    path = secret_file(tmp_path, VALUE.encode() + b" \n" + ending)
    expected = VALUE.encode() + (b" \n" if ending else b" ")
    assert resolve_secret(f"file:{path}") == expected


def test_a_link_to_a_private_file_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret_file(tmp_path, VALUE.encode(), 0o400))
    assert resolve_secret(f"file:{link}") == VALUE.encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o602])
def test_a_file_open_to_others_is_refused_with_the_command_that_closes_it(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, VALUE.encode(), mode)
    with pytest.raises(SecretUnavailable) as caught:
        resolve_secret(f"file:{path}")
    assert caught.value.fix == f"run: chmod 600 {path}"
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"fifteen-bytes-.", b"fifteen-bytes-.\n"])
def test_an_empty_or_short_secret_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    path = secret_file(tmp_path, content)
    with pytest.raises(SecretUnavailable) as caught:
        resolve_secret(f"file:{path}")
    assert "fifteen" not in str(caught.value)


def test_sixteen_bytes_are_enough() -> None:
    assert len(resolve_secret("env:KEY", env={"KEY": "0123456789abcdef"})) == 16


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(SecretUnavailable, match="KEY is not set"):
        resolve_secret("env:KEY", env={})


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match="none cannot be read"):
        resolve_secret(f"file:{tmp_path}/none")


def test_a_pipe_or_folder_in_the_place_of_the_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, tmp_path):
        with pytest.raises(SecretUnavailable, match="not a regular file"):
            resolve_secret(f"file:{path}")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match="larger than"):
        resolve_secret(f"file:{secret_file(tmp_path, b'x' * 65_537)}")


@pytest.mark.parametrize(
    "reference",
    ["aws-sm:", "aws-sm:a b", "aws-sm:name#", "aws-sm:a#b#c", "vault:", "vault:path", "vault:path#field",
     "vault:mount/path", "vault:mount/path#", "vault:/path#field", "vault:mount/pa?th#field"],
)  # fmt: skip
def test_a_reference_to_a_store_that_is_not_whole_says_what_one_looks_like(reference: str) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        check_reference(reference)
    assert reference.partition(":")[0] in caught.value.fix


@pytest.mark.parametrize(
    "reference",
    ["aws-sm:casino/studio-1", "aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:studio-AbCdEf#key",
     "vault:secret/studio#key", "vault:kv/casino/keys/studio-1#shared.secret"],
)  # fmt: skip
def test_a_whole_reference_to_a_store_is_accepted_without_asking_it(reference: str) -> None:
    check_reference(reference)


@pytest.mark.parametrize("reference", [VALUE, f"plain:{VALUE}", "env:", f"env:{VALUE} x", "file:", "", ":"])
def test_what_is_no_reference_is_refused_without_showing_it(reference: str) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        resolve_secret(reference, env={VALUE: VALUE})
    assert VALUE not in str(caught.value)
