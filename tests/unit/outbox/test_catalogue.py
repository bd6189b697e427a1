"""The catalogue of events: schemas that fit what is written, samples of every type, a page that is up to date."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from croupier.events import EVENT_TYPES, MONEY_MOVED, Envelope, render_event
from croupier.operator.outbox.catalogue import PAGE, describe, render_page, render_schema
from croupier.operator.outbox.post import make_message
from croupier.operator.outbox.samples import render_sample

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)


def sample(type_: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(render_event(type_, NOW, render_sample(type_, NOW)))
    return payload


def judge(type_: str, payload: dict[str, Any]) -> None:
    schema = render_schema(type_)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(payload)


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == render_page(), (
        f"run `python -m croupier.operator.outbox.catalogue > {PAGE}`, or `make docs`"
    )


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_sample_fits_its_schema_and_reads_back(type_: str) -> None:
    judge(type_, sample(type_))
    body: Any = EVENT_TYPES[type_]
    read = msgspec.json.decode(render_event(type_, NOW, render_sample(type_, NOW)), type=Envelope[body])
    assert read.data == render_sample(type_, NOW)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_member_is_described_and_required(type_: str) -> None:
    schema = render_schema(type_)
    assert describe(type_)
    for name, definition in schema["$defs"].items():
        assert set(definition["properties"]) == set(definition["required"]), name
        for member, value in definition["properties"].items():
            described = [value, *value.get("anyOf", ()), *([{"description": "x"}] if "$ref" in value else ())]
            is_list = value.get("type") == "array"
            assert is_list or any(one.get("description") for one in described), f"{type_}: {name}.{member}"


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_members_that_come_later_break_no_receiver_that_validates(type_: str) -> None:
    payload = sample(type_)
    payload["later"] = payload["data"]["later"] = True
    judge(type_, payload)


def test_an_event_of_another_type_does_not_fit() -> None:
    with pytest.raises(jsonschema.ValidationError):
        judge(MONEY_MOVED, sample("round.closed"))


@pytest.mark.parametrize("amount", [250, "2.50", "+1", "01", "-0", ""])
def test_an_amount_is_text_of_whole_minor_units(amount: Any) -> None:
    payload = sample(MONEY_MOVED)
    payload["data"]["amount"]["amount"] = amount
    with pytest.raises(jsonschema.ValidationError):
        judge(MONEY_MOVED, payload)


def test_times_end_in_z() -> None:
    payload = sample(MONEY_MOVED)
    assert payload["timestamp"] == "2026-03-01T12:00:00.123456Z"
    assert payload["data"]["recorded_at"].endswith("Z")


def test_the_postings_of_the_sample_sum_to_zero() -> None:
    postings = sample(MONEY_MOVED)["data"]["postings"]
    assert sum(int(one["amount"]) for one in postings) == 0


@pytest.mark.parametrize(
    ("given", "sent"),
    [("abc-123", "abc-123"), ("a\nb", None), ("\u00e9", None), ("x" * 201, None), (None, None), ("", None)],
)
def test_only_a_correlation_id_that_fits_a_header_becomes_one(given: str | None, sent: str | None) -> None:
    payload = json.dumps({"type": "t", "timestamp": "x", "data": {"correlation_id": given}})
    message = make_message("evt_1", payload)
    assert (message.correlation_id or None) == sent
    assert message.body == payload.encode()
