"""Keys, digests and random tokens."""

from __future__ import annotations

import pytest

from croupier_signing import (
    SigningKey,
    api_key_matches,
    hash_api_key,
    payload_digest,
    random_nonce,
    random_token,
)

NONCE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def test_key_never_shows_its_secret() -> None:
    key = SigningKey("studio-1", b"0123456789abcdef-secret")
    assert repr(key) == str(key) == f"{key}" == "SigningKey(id='studio-1', secret=<masked>)"
    assert "secret-" not in repr([key])
    assert "0123456789" not in repr({"key": key})


def test_empty_and_short_secrets_are_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="the secret is empty"):
        SigningKey("studio-1", b"")
    with pytest.raises(ValueError, match="shorter than 16 bytes") as refusal:
        SigningKey("studio-1", b"hunter2hunter2!")
    assert "hunter2" not in str(refusal.value)
    assert SigningKey("studio-1", b"x" * 16).id == "studio-1"


@pytest.mark.parametrize("key_id", ["", "a" * 65, 'a"b', "a,b", "a b", "a\n", "é", "a/b"])
def test_key_id_that_no_header_can_carry_is_refused(key_id: str) -> None:
    with pytest.raises(ValueError, match="key id"):
        SigningKey(key_id, bytes(16))


def test_key_is_frozen() -> None:
    with pytest.raises(AttributeError):
        SigningKey("studio-1", bytes(16)).secret = b""  # type: ignore[misc]


def test_digest_of_nothing_is_the_known_one() -> None:
    assert payload_digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert payload_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_api_key_is_stored_as_a_hash_and_found_again() -> None:
    token = random_token()
    stored = hash_api_key(token)
    assert stored == "sha256:" + payload_digest(token.encode())
    assert api_key_matches(token, stored)


@pytest.mark.parametrize("stored", ["", "sha256:", "é\ud800", "plain"])
def test_foreign_stored_text_matches_nothing(stored: str) -> None:
    assert not api_key_matches("plain", stored)
    assert not api_key_matches("", stored)


@pytest.mark.parametrize("token", ["", "other", "TOKEN", "token ", "\ud800", "é"])
def test_other_token_does_not_match(token: str) -> None:
    assert not api_key_matches(token, hash_api_key("token"))


def test_empty_api_key_cannot_be_stored() -> None:
    with pytest.raises(ValueError, match="empty"):
        hash_api_key("")


def test_tokens_and_nonces_are_fresh_and_fit_the_header() -> None:
    nonces = {random_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(nonce) == 22 and set(nonce) <= NONCE_CHARACTERS for nonce in nonces)
    assert len({random_token() for _ in range(100)}) == 100
    assert len(random_token()) == 43
