"""What is kept of a refused webhook: total over any bytes, useful to read, and without anything worth stealing (E1)."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_edge import KEY, to_bytes
from webhook_edge import DATA, JACKPOT, sign, webhook

from croupier.inbox.redaction import (
    EXCERPT_BYTES,
    MASK,
    find_delivery_id,
    mask_body,
    render_kept_headers,
)

SHORT = st.integers(-(10**12) + 1, 10**12 - 1)
Json: Any = st.recursive(
    st.none() | st.booleans() | SHORT | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def kept_headers(**headers: str) -> dict[str, str]:
    given = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return dict(json.loads(render_kept_headers(given)))


def test_a_body_keeps_its_shape_its_type_and_its_time() -> None:
    shown = json.loads(mask_body(to_bytes(webhook("jackpot.won"))))
    assert (shown["type"], shown["timestamp"]) == ("jackpot.won", "2026-03-01T11:59:59.25Z")
    assert shown["data"] == dict.fromkeys(JACKPOT, MASK)


@pytest.mark.parametrize("kind", sorted(DATA))
def test_no_text_of_a_body_is_shown_but_its_type_and_time(kind: str) -> None:
    shown = mask_body(to_bytes(webhook(kind)))
    for value in DATA[kind].values():
        assert not isinstance(value, str) or value not in shown.replace(webhook(kind)["timestamp"], "")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":"x","type":"t","b":"y"}', '{"a":"***","type":"t","b":"***"}'),
        (b'{ "type" : "t" , "n" : -12 , "ok":true}', '{ "type" : "t" , "n" : -12 , "ok":true}'),
        (b'{"type":"a \\" b","x":"\\\\"}', '{"type":"a \\" b","x":"***"}'),
        (b'{"type":["a","b"]}', '{"type":["a","***"]}'),
        (b'{"x":"cut off', '{"x":"***'),
        (b'{"type":"cut off', '{"type":"***'),
        (b'{"type":"' + b"t" * 65 + b'"}', '{"type":"***"}'),
        (b'{"card":4111111111111111}', '{"card":***}'),
        (b"player=bob&amount=12", "***=***&***=12"),
        (b"{'player': 'bob'}", "{'***': '***'}"),
        (b"<amount>12</amount>", "<***>12</***>"),
        ('{"é":"ü",ß:1}'.encode(), '{"é":"***",***:1}'),
        (b"\xff\x00\xfe", "\ufffd\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_only_structure_names_and_short_numbers_stay(body: bytes, shown: str) -> None:
    assert mask_body(body) == shown


def test_no_more_than_the_beginning_is_kept() -> None:
    assert len(mask_body(b"-" * 10 * EXCERPT_BYTES)) == EXCERPT_BYTES


@pytest.mark.parametrize("piece", [b'"', b"\\", b'"\\', b'{"a":', b"a", b'"a" ', b'" ', b'"\\"'])
def test_masking_takes_no_longer_for_bytes_that_are_meant_to_hurt(piece: bytes) -> None:
    begun = time.process_time()
    for _ in range(20):
        mask_body(piece * EXCERPT_BYTES)
    assert time.process_time() - begun < 1


@given(st.binary(max_size=300))
def test_any_bytes_give_text_that_the_database_takes(body: bytes) -> None:
    shown = mask_body(body)
    assert "\0" not in shown
    shown.encode()


@given(Json)
def test_texts_of_any_json_are_hidden_and_the_rest_stays(value: Any) -> None:
    body = json.dumps({"v": value}, ensure_ascii=False).encode()
    shown = mask_body(body)
    if len(body) <= EXCERPT_BYTES and not {"type", "timestamp"} & set(re.findall(r"\w+", shown)):
        assert json.loads(shown) == {"v": without_texts(value)}


def without_texts(value: Any) -> Any:
    """The same document with every text hidden."""
    if isinstance(value, str):
        return MASK
    if isinstance(value, list):
        return [without_texts(item) for item in value]
    if isinstance(value, dict):
        return {name: without_texts(item) for name, item in value.items()}
    return value


def test_of_a_signature_only_the_beginning_is_kept() -> None:
    line = sign(b"body", keys=[KEY, KEY])["webhook-signature"]
    shown = kept_headers(webhook_signature=line)["webhook-signature"]
    first, second = line.split(" ")
    assert shown == f"{first[:8]}*** {second[:8]}***"
    assert kept_headers(webhook_signature="short")["webhook-signature"] == "short***"


def test_only_headers_that_help_are_kept_and_none_is_long() -> None:
    shown = kept_headers(cookie="secret", authorization="secret", user_agent="u" * 10_000, webhook_id="d-1")
    assert set(shown) == {"user-agent", "webhook-id"}
    assert len(shown["user-agent"]) == 512
    many = tuple((b"user-agent", b"x") for _ in range(1000))
    assert len(json.loads(render_kept_headers(many))) == 18


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([b"d-1"], "d-1"),
        ([], None),
        ([b"d-1", b"d-1"], None),
        ([b""], None),
        ([b"a b"], None),
        ([b"x" * 257], None),
        ([b"\xff"], None),
        ([b"a\n"], None),
    ],
)
def test_a_claimed_id_is_kept_if_anybody_could_read_it(values: list[bytes], found: str | None) -> None:
    assert find_delivery_id(tuple((b"webhook-id", value) for value in values)) == found
