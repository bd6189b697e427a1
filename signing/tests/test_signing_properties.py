"""Generated requests: what is signed verifies, what is changed does not, and no input breaks the reader."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from signing_plain import plain_canonical, plain_signature

from croupier_signing import (
    SCHEME,
    RefusalReason,
    SignatureRefused,
    SignedParts,
    SigningKey,
    canonical_request,
    normalise_path,
    normalise_query,
    parse_authorization,
    render_authorization,
    sign_native,
    verify_native,
)
from croupier_signing import native as native_module

NONCE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
PIECES = st.sampled_from(
    [
        b"a",
        b"B",
        b"1",
        b"/",
        b"=",
        b"+",
        b"-",
        b".",
        b"~",
        b"%41",
        b"%7e",
        b"%2f",
        b"%2F",
        b"%c3%A9",
        b"%25",
        b"%00",
        b" ",
        b"?",
    ]
)
NONCES = st.text(NONCE_CHARACTERS, min_size=16, max_size=64)
TIMESTAMPS = st.integers(0, 10**12 - 1)
PATHS = st.lists(PIECES, max_size=12).map(b"".join)
QUERIES = st.lists(st.one_of(PIECES, st.just(b"&")), max_size=20).map(b"".join)
METHODS = st.sampled_from(["GET", "POST", "PUT", "delete", "M-SEARCH"])
BODIES = st.binary(max_size=60)
KEYS = st.builds(
    SigningKey, st.text(NONCE_CHARACTERS + ".:", min_size=1, max_size=64), st.binary(min_size=16, max_size=90)
)


class Sent(NamedTuple):
    method: str
    path: bytes
    query: bytes
    timestamp_s: int
    nonce: str
    body: bytes


SENT = st.builds(Sent, METHODS, PATHS, QUERIES, TIMESTAMPS, NONCES, BODIES)


def verify(header: bytes | str, key: SigningKey, sent: Sent) -> None:
    verify_native(
        parse_authorization(header),
        key=key,
        method=sent.method,
        path=sent.path,
        query=sent.query,
        body=sent.body,
        now_s=sent.timestamp_s,
    )


def change_byte(data: bytes, position: int, mask: int) -> bytes:
    changed = bytearray(data)
    changed[position % len(changed)] ^= mask
    return bytes(changed)


def canonical_or_none(sent: Sent) -> bytes | None:
    try:
        return canonical_request(**sent._asdict())
    except (SignatureRefused, ValueError):
        return None


def changed_request(sent: Sent, part: str, position: int, mask: int) -> Sent:
    match part:
        case "method":
            return sent._replace(method=change_byte(sent.method.encode(), position, mask).decode("latin-1"))
        case "path":
            return sent._replace(path=change_byte(sent.path or b"/", position, mask))
        case "query":
            return sent._replace(query=change_byte(sent.query or b"a", position, mask))
        case _:
            return sent._replace(body=change_byte(sent.body or b"a", position, mask))


@given(SENT, KEYS)
def test_what_is_signed_verifies(sent: Sent, key: SigningKey) -> None:
    verify(sign_native(key, **sent._asdict()), key, sent)


@given(SENT, KEYS)
def test_signature_agrees_with_a_literal_reading(sent: Sent, key: SigningKey) -> None:
    canonical = plain_canonical(
        method=sent.method,
        path=sent.path.decode("latin-1"),
        query=sent.query.decode("latin-1"),
        ts=sent.timestamp_s,
        nonce=sent.nonce,
        body=sent.body,
    )
    assert canonical_request(**sent._asdict()) == canonical
    header = sign_native(key, **sent._asdict())
    assert parse_authorization(header).signature == plain_signature(key.secret, canonical)


@given(SENT, KEYS, st.sampled_from(["method", "path", "query", "body"]), st.integers(0), st.integers(1, 255))
def test_one_changed_byte_is_refused_unless_it_means_the_same(
    sent: Sent, key: SigningKey, part: str, position: int, mask: int
) -> None:
    header = sign_native(key, **sent._asdict())
    changed = changed_request(sent, part, position, mask)
    if canonical_or_none(changed) == canonical_request(**sent._asdict()):
        verify(header, key, changed)
        return
    with pytest.raises(SignatureRefused) as refusal:
        verify(header, key, changed)
    assert refusal.value.reason in (RefusalReason.MISMATCH, RefusalReason.MALFORMED)


@given(SENT, KEYS, st.integers(0), st.integers(1, 255))
def test_one_changed_byte_of_the_header_is_refused_or_reads_the_same(
    sent: Sent, key: SigningKey, position: int, mask: int
) -> None:
    header = sign_native(key, **sent._asdict()).encode()
    changed = change_byte(header, position, mask)
    try:
        verify(changed, key, sent)
    except SignatureRefused as refusal:
        assert refusal.reason in (RefusalReason.MISMATCH, RefusalReason.MALFORMED)  # noqa: PT017
    else:
        assert parse_authorization(changed) == parse_authorization(header)


@given(SENT, KEYS, TIMESTAMPS, NONCES)
def test_timestamp_and_nonce_are_covered(sent: Sent, key: SigningKey, timestamp_s: int, nonce: str) -> None:
    assume((timestamp_s, nonce) != (sent.timestamp_s, sent.nonce))
    parts = parse_authorization(sign_native(key, **sent._asdict()))
    moved = render_authorization(SignedParts(parts.key_id, timestamp_s, nonce, parts.signature))
    with pytest.raises(SignatureRefused, match="mismatch"):
        verify(moved, key, sent._replace(timestamp_s=timestamp_s))


@given(PATHS)
def test_normalising_a_path_twice_changes_nothing(path: bytes) -> None:
    once = normalise_path(path)
    assert normalise_path(once) == once


@given(QUERIES)
def test_normalising_a_query_twice_changes_nothing(query: bytes) -> None:
    once = normalise_query(query)
    assert normalise_query(once) == once


@given(st.lists(st.lists(PIECES, min_size=1, max_size=4).map(b"".join), max_size=6), st.randoms())
def test_order_of_query_parts_does_not_matter(parts: list[bytes], random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert normalise_query(b"&".join(shuffled)) == normalise_query(b"&".join(parts))


@given(st.binary(max_size=40))
def test_any_bytes_as_target_are_normalised_to_clean_bytes_or_refused(target: bytes) -> None:
    for normalise in (normalise_path, normalise_query):
        try:
            result = normalise(target)
        except SignatureRefused as refusal:
            assert refusal.reason is RefusalReason.MALFORMED  # noqa: PT017
        else:
            assert re.fullmatch(rb"([\x20-\x24\x26-\x7e]|%[0-9A-F]{2})*", result)


TOKENS = st.sampled_from(
    [
        SCHEME,
        " ",
        ", ",
        ",",
        '"',
        "=",
        "key",
        "ts",
        "nonce",
        "sig",
        '="',
        "0",
        "1750000000",
        "a" * 16,
        "A" * 43,
        "\n",
        "é",
        "\t",
    ]
)


@given(
    st.one_of(
        st.none(), st.binary(max_size=200), st.text(max_size=200), st.lists(TOKENS, max_size=30).map("".join)
    )
)
@example(f'{SCHEME} key="a", ts="1", nonce="{"a" * 16}", sig="{"A" * 43}"')
@example("\ud800" * 5)
@example(b"\xff" * 2000)
def test_reader_is_total(value: bytes | str | None) -> None:
    try:
        parts = parse_authorization(value)
    except SignatureRefused as refusal:
        assert refusal.reason in (RefusalReason.MISSING, RefusalReason.MALFORMED)  # noqa: PT017
    else:
        assert parse_authorization(render_authorization(parts)) == parts


@given(
    st.lists(TOKENS, max_size=30).map("".join)
    | SENT.flatmap(lambda sent: KEYS.map(lambda key: sign_native(key, **sent._asdict())))
)
def test_quick_reader_agrees_with_the_general_one(header: str) -> None:
    quick = native_module._AS_RENDERED.fullmatch(header)
    if quick is not None:
        general = native_module._parse_parameters(header.removeprefix(SCHEME + " "))
        assert general == dict(zip(("key", "ts", "nonce", "sig"), quick.groups(), strict=True))
