"""The native header: what is refused, in which order, and what a caller can learn."""

from __future__ import annotations

import hmac
from typing import Literal, TypedDict

import pytest

from croupier_signing import (
    RefusalReason,
    SignatureRefused,
    SignedParts,
    SigningKey,
    canonical_request,
    parse_authorization,
    random_nonce,
    sign_native,
    verify_native,
)
from croupier_signing import native as native_module


class Request(TypedDict):
    method: str
    path: bytes
    query: bytes
    body: bytes


KEY = SigningKey("studio-1", bytes(range(32)))
NOW_S = 1_750_000_000
NONCE = "0123456789abcdef"
REQUEST = Request(method="POST", path=b"/v1/bet%20now", query=b"b=2&a=1", body=b'{"amount":"1250"}')
HEADER = sign_native(KEY, timestamp_s=NOW_S, nonce=NONCE, **REQUEST)


def reason_of(
    header: bytes | str | None,
    *,
    key: SigningKey | None = KEY,
    now_s: int = NOW_S,
    request: Request = REQUEST,
) -> RefusalReason | None:
    try:
        verify_native(parse_authorization(header), key=key, now_s=now_s, **request)
    except SignatureRefused as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [
        (-31, RefusalReason.STALE),
        (-30, None),
        (0, None),
        (30, None),
        (31, RefusalReason.STALE),
    ],
)
def test_window_includes_both_ends(offset_s: int, reason: RefusalReason | None) -> None:
    assert reason_of(HEADER, now_s=NOW_S + offset_s) is reason


def test_window_of_a_provider_replaces_the_default() -> None:
    parts = parse_authorization(HEADER)
    verify_native(parts, key=KEY, now_s=NOW_S + 300, window_s=300, **REQUEST)
    with pytest.raises(SignatureRefused, match="stale"):
        verify_native(parts, key=KEY, now_s=NOW_S + 1, window_s=0, **REQUEST)


def test_every_flipped_bit_of_the_header_is_refused() -> None:
    header = HEADER.encode()
    survivors = []
    for position in range(len(header) * 8):
        flipped = bytearray(header)
        flipped[position // 8] ^= 1 << (position % 8)
        if reason_of(bytes(flipped)) not in (RefusalReason.MALFORMED, RefusalReason.MISMATCH):
            survivors.append(bytes(flipped))
    assert survivors == []


def test_every_truncation_of_the_header_is_refused() -> None:
    reasons = {reason_of(HEADER[:length]) for length in range(len(HEADER))}
    assert reasons == {RefusalReason.MISSING, RefusalReason.MALFORMED}


@pytest.mark.parametrize("part", ["path", "query", "body"])
def test_every_flipped_bit_of_path_query_and_body_is_refused(part: Literal["path", "query", "body"]) -> None:
    survivors = []
    for position in range(len(REQUEST[part]) * 8):
        flipped = bytearray(REQUEST[part])
        flipped[position // 8] ^= 1 << (position % 8)
        changed = REQUEST.copy()
        changed[part] = bytes(flipped)
        if reason_of(HEADER, request=changed) not in (RefusalReason.MALFORMED, RefusalReason.MISMATCH):
            survivors.append(bytes(flipped))
    assert survivors == []


def test_unknown_key_ends_in_mismatch_even_when_stale() -> None:
    assert reason_of(HEADER, key=None) is RefusalReason.MISMATCH
    assert reason_of(HEADER, key=None, now_s=NOW_S + 999) is RefusalReason.MISMATCH


def test_unknown_key_and_wrong_signature_cannot_be_told_apart() -> None:
    forged = HEADER[:-44] + "A" * 43 + '"'
    refusals = []
    for key in (KEY, None):
        with pytest.raises(SignatureRefused) as refusal:
            verify_native(parse_authorization(forged), key=key, now_s=NOW_S + 999, **REQUEST)
        refusals.append((refusal.value.reason, refusal.value.detail, str(refusal.value)))
    assert refusals == [(RefusalReason.MISMATCH, "", "mismatch")] * 2


def test_unknown_key_does_the_same_steps_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int]] = []
    digest, compare = hmac.digest, hmac.compare_digest

    def counted_digest(secret: bytes, message: bytes, name: str) -> bytes:
        steps.append(("digest", len(secret) + len(message)))
        return digest(secret, message, name)

    def counted_compare(left: bytes, right: bytes) -> bool:
        steps.append(("compare", len(left) + len(right)))
        return compare(left, right)

    monkeypatch.setattr(hmac, "digest", counted_digest)
    monkeypatch.setattr(hmac, "compare_digest", counted_compare)
    forged = HEADER[:-44] + "A" * 43 + '"'
    assert reason_of(forged, key=KEY) is RefusalReason.MISMATCH
    known, steps[:] = list(steps), []
    assert reason_of(forged, key=None) is RefusalReason.MISMATCH
    assert steps == known
    assert [name for name, _ in known] == ["digest", "compare"]


def test_even_the_stand_in_secret_for_unknown_keys_opens_nothing() -> None:
    stand_in = SigningKey("studio-1", native_module._NOBODY.secret)
    header = sign_native(stand_in, timestamp_s=NOW_S, nonce=NONCE, **REQUEST)
    assert reason_of(header, key=None) is RefusalReason.MISMATCH


def test_right_secret_under_another_key_id_is_a_mismatch() -> None:
    assert reason_of(HEADER, key=SigningKey("studio-2", KEY.secret)) is RefusalReason.MISMATCH


def test_unsignable_path_is_malformed_for_known_and_unknown_keys() -> None:
    broken = Request(method="POST", path=b"/%", query=b"", body=b"")
    assert reason_of(HEADER, request=broken) is RefusalReason.MALFORMED
    assert reason_of(HEADER, key=None, request=broken) is RefusalReason.MALFORMED


def test_parts_are_read_in_any_order_and_spacing() -> None:
    parts = parse_authorization(HEADER)
    scheme, _, rest = HEADER.partition(" ")
    shuffled = f"{scheme} {' ,'.join(reversed(rest.split(', ')))}"
    assert parse_authorization(shuffled) == parts
    assert parse_authorization(shuffled.encode()) == parts


def test_longest_possible_header_is_read() -> None:
    key = SigningKey("k" * 64, bytes(16))
    header = sign_native(key, timestamp_s=999_999_999_999, nonce="n" * 64, **REQUEST)
    assert parse_authorization(header).key_id == key.id
    padded = header.replace(", ts", "," + " " * (1024 - len(header) + 1) + "ts")
    assert len(padded) == 1024
    assert parse_authorization(padded).key_id == key.id
    with pytest.raises(SignatureRefused, match="longer than 1024"):
        parse_authorization(padded.replace(", nonce", ",  nonce"))


@pytest.mark.parametrize("nonce", ["", "a" * 15, "a" * 65, "a" * 15 + "\n", "a" * 15 + "é"])
def test_signing_with_a_nonce_nobody_would_accept_is_an_error(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        sign_native(KEY, timestamp_s=NOW_S, nonce=nonce, **REQUEST)


@pytest.mark.parametrize("timestamp_s", [-1, 10**12])
def test_signing_with_a_timestamp_nobody_would_accept_is_an_error(timestamp_s: int) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        sign_native(KEY, timestamp_s=timestamp_s, nonce=NONCE, **REQUEST)


def test_hand_made_parts_with_a_foreign_signature_are_a_mismatch() -> None:
    parts = SignedParts(KEY.id, NOW_S, NONCE, "é\ud800")
    with pytest.raises(SignatureRefused, match="mismatch"):
        verify_native(parts, key=KEY, now_s=NOW_S, **REQUEST)


def test_parts_are_frozen() -> None:
    with pytest.raises(AttributeError):
        parse_authorization(HEADER).nonce = "x"  # type: ignore[misc]


def test_query_order_and_escape_spelling_do_not_matter() -> None:
    same = Request(method="post", path=b"/%761/bet%20now", query=b"%61=1&&b=%32", body=REQUEST["body"])
    assert reason_of(HEADER, request=same) is None


def test_canonical_request_has_seven_lines_and_no_last_newline() -> None:
    message = canonical_request(timestamp_s=NOW_S, nonce=random_nonce(), **REQUEST)
    assert len(message.split(b"\n")) == 7
    assert not message.endswith(b"\n")
