"""Jurisdiction packs: those that come along are whole and say where they are from; what is no pack is refused."""

from __future__ import annotations

from datetime import date

import pytest

from croupier.play.pack import (
    Confidence,
    ExclusionRule,
    IdleCloseRule,
    LocationRule,
    PackUnreadable,
    RecheckRule,
    RetentionRule,
    read_pack,
)
from croupier.runtime.config import built_in_packs

PROMISED = {"GB", "MT", "SE", "DK", "ES", "US-NJ", "CA-ON", "BR"}
WHOLE = """\
id = "AA"
title = "A"
regulator = "somebody"
version = "1"
countries = ["AA"]
[[rules]]
kind = "location"
required = false
source = "https://a.example"
confidence = "read"
[[rules]]
kind = "self_exclusion"
required = false
source = "https://a.example"
confidence = "read"
[[rules]]
kind = "recheck"
after_s = 60
source = "https://a.example"
confidence = "read"
[[rules]]
kind = "retention"
years = 1
session_log_days = 1
source = "https://a.example"
confidence = "read"
"""
CAP = """\
[[rules]]
kind = "stake_cap"
categories = ["slots"]
asset = "AAA"
amount = "{amount}"
from_age = {age}
source = "https://a.example"
confidence = "read"
"""
IDLE = '[[rules]]\nkind = "idle_close"\nafter_s = 60\nsource = "https://a.example"\nconfidence = "read"\n'


def test_every_promised_pack_is_there_and_asks_for_a_look_up() -> None:
    packs = built_in_packs()
    assert packs.keys() == PROMISED | {"XX"}
    for name in PROMISED:
        rule = packs[name].the(ExclusionRule)
        assert rule is not None
        assert (rule.required, bool(rule.register)) == (True, True), name
        assert packs[name].countries, name


@pytest.mark.parametrize("name", sorted(PROMISED | {"XX"}))
def test_every_rule_says_where_it_is_from_and_how_sure_one_may_be(name: str) -> None:
    for rule in built_in_packs()[name].rules:
        assert rule.source.startswith("https://")
        is_verified = rule.confidence is not Confidence.UNVERIFIED
        assert (rule.checked_on is not None) == is_verified
        assert rule.checked_on is None or date(2026, 1, 1) <= rule.checked_on


def test_the_figures_of_the_packs() -> None:
    packs = built_in_packs()
    required = {name for name, pack in packs.items() if (rule := pack.the(LocationRule)) and rule.required}
    assert required == {"US-NJ", "CA-ON"}
    assert (packs["US-NJ"].subdivisions, packs["CA-ON"].subdivisions) == (("NJ",), ("ON",))
    idle = {name: rule.after_s for name, pack in packs.items() if (rule := pack.the(IdleCloseRule))}
    assert idle == {"BR": 1800}
    kept = {name: rule.years for name, pack in packs.items() if (rule := pack.the(RetentionRule))}
    assert kept == dict.fromkeys(PROMISED, 5) | {"ES": 6, "US-NJ": 10, "XX": 10}
    assert {packs[name].least_rtp_bps("slots") for name in ("BR", "MT")} == {8500}
    assert (packs["BR"].least_rtp_bps("table"), packs["MT"].least_rtp_bps("table")) == (8500, None)
    rechecks = [pack.the(RecheckRule) for pack in packs.values()]
    assert {rule.after_s for rule in rechecks if rule} == {14_400, 86_400}


@pytest.mark.parametrize(("age", "cap"), [(None, 200), (0, 200), (18, 200), (24, 200), (25, 500), (99, 500)])
def test_the_cap_of_a_british_slot_follows_the_age(age: int | None, cap: int) -> None:
    pack = built_in_packs()["GB"]
    assert pack.stake_cap("slots", "GBP", age) == cap
    assert pack.stake_cap("table", "GBP", age) is None
    assert pack.stake_cap("slots", "EUR", age) is None
    assert pack.capped_assets("slots") == {"GBP"}


def test_without_an_age_the_lowest_cap_applies_whichever_age_it_is_for() -> None:
    pack = read_pack(WHOLE + CAP.format(amount="500", age=18) + CAP.format(amount="100", age=60))
    assert [pack.stake_cap("slots", "AAA", age) for age in (None, 17, 18, 59, 60)] == [
        100,
        100,
        500,
        500,
        100,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id = ", "Invalid"),
        (WHOLE.replace('"AA"\ntitle', '"aa"\ntitle'), "id"),
        (WHOLE.replace('countries = ["AA"]', 'countries = ["Alpha"]'), "countries"),
        (WHOLE.replace('countries = ["AA"]', 'country = "AA"'), "country"),
        (WHOLE.replace('"read"', '"sure"', 1), "sure"),
        (WHOLE.replace("years = 1", "years = 0"), "years"),
        (WHOLE.replace("after_s = 60", "after_s = 59"), "after_s"),
        (WHOLE.replace('kind = "location"', 'kind = "weather"'), "weather"),
        (WHOLE.replace("https://a.example", "", 1), "source"),
        (WHOLE.replace('kind = "recheck"\nafter_s = 60', 'kind = "idle_close"\nafter_s = 60'), "recheck"),
        (WHOLE + IDLE + IDLE, "more than one rule of kind idle_close"),
        (WHOLE + CAP.format(amount="0", age=0), "amount"),
        (WHOLE + CAP.format(amount="1.5", age=0), "amount"),
        (WHOLE + CAP.format(amount="9" * 39, age=0), "amount"),
        (WHOLE.replace('countries = ["AA"]', 'subdivisions = ["NJ"]'), "subdivisions belong"),
    ],
)
def test_what_is_no_pack_is_refused_and_the_message_says_why(text: str, said: str) -> None:
    assert read_pack(WHOLE).id == "AA"
    with pytest.raises(PackUnreadable, match=said):
        read_pack(text)
