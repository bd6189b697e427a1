"""Identifiers: time-ordered, carrying their bucket, and refused when they are anything else."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.ids import (
    BREAK,
    BUCKETS,
    JOURNAL,
    REQUEST,
    ROUND,
    SESSION,
    IdSource,
    MalformedId,
    bucket_of,
    bucket_of_id,
    first_id,
    parse_id,
    render_id,
)
from model.seeds import REPEATABLE

ID = UUID("0190c6f6-0000-7000-8000-000000000007")


@pytest.fixture
def clock(monkeypatch):
    """A clock in milliseconds that stands still until it is set."""
    reading = {"ms": 1_700_000_000_000}
    monkeypatch.setattr(time, "time_ns", lambda: reading["ms"] * 1_000_000)
    return reading


def test_ids_of_one_source_increase_strictly():
    source = IdSource()
    made = [source.new(n % BUCKETS) for n in range(10_000)]
    assert made == sorted(set(made))


def test_ids_increase_while_the_clock_stands_still(clock):
    source = IdSource()
    made = [source.new(0) for _ in range(5_000)]
    assert made == sorted(set(made))


def test_ids_increase_when_the_clock_steps_back(clock):
    source = IdSource()
    before = source.new(0)
    clock["ms"] -= 60_000
    assert source.new(0) > before


def test_ids_of_different_sources_are_ordered_by_their_millisecond(clock):
    early = IdSource().new(255)
    clock["ms"] += 1
    assert IdSource().new(0) > early


def test_ids_of_different_sources_in_the_same_millisecond_differ(clock):
    assert IdSource().new(0) != IdSource().new(0)


def test_an_id_begins_with_its_milliseconds(clock):
    assert IdSource().new(0).int >> 80 == clock["ms"]


@pytest.mark.parametrize("bucket", range(BUCKETS))
def test_an_id_is_of_version_7_and_says_its_bucket_in_the_last_byte(bucket):
    made = IdSource().new(bucket)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.bytes[-1] == bucket == bucket_of_id(made)


@REPEATABLE
@given(st.text())
def test_a_bucket_is_a_byte_and_always_the_same(text):
    assert 0 <= bucket_of(text) < BUCKETS
    assert bucket_of(text) == bucket_of(text)


@pytest.mark.parametrize(("text", "bucket"), [("", 0x00), ("123456789", 0x26), ("a", 0x43)])
def test_buckets_never_change(text, bucket):
    """CRC-32's published check values."""
    assert bucket_of(text) == bucket


def test_players_spread_over_all_buckets():
    assert len({bucket_of(f"player-{n}") for n in range(5_000)}) == BUCKETS


@REPEATABLE
@given(st.sampled_from([SESSION, ROUND, JOURNAL, BREAK, REQUEST]), st.uuids())
def test_an_id_is_read_back_as_it_was_written(prefix, value):
    assert parse_id(prefix, render_id(prefix, value)) == value


def test_an_id_is_written_with_its_prefix_and_without_dashes():
    assert render_id(SESSION, ID) == "ses_0190c6f6000070008000000000000007"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ses",
        "ses_",
        "_" + ID.hex,
        ID.hex,
        "rnd_" + ID.hex,
        "SES_" + ID.hex,
        "ses-" + ID.hex,
        "ses__" + ID.hex[1:],
        "ses_" + str(ID),
        "ses_" + ID.hex.upper(),
        "ses_" + ID.hex[:-1],
        "ses_" + ID.hex + "0",
        "ses_" + ID.hex[:-1] + "g",
        "ses_" + ID.hex[:-1] + "٣",
        "ses_" + ID.hex[:-1] + " ",
        " ses_" + ID.hex,
        "ses_" + ID.hex + "\n",
        "ses_0x" + ID.hex[2:],
        "ses_{" + ID.hex[:-2] + "}",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(MalformedId, match="ses_"):
        parse_id(SESSION, text)


def test_the_first_id_of_an_instant_divides_the_ids_before_it_from_those_after() -> None:
    source = IdSource()
    before = source.new(255)
    later = datetime.fromtimestamp((before.int >> 80) / 1000 + 1, UTC)
    assert before < first_id(later)
    assert first_id(later - timedelta(seconds=2)) < before
    assert first_id(later).int & ((1 << 80) - 1) == 0
