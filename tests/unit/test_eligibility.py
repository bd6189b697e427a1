"""Eligibility: closed wherever something is not known, and every refusal with its own reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from croupier.play.eligibility import (
    PLAYER_MESSAGES,
    AskStanding,
    Decision,
    Enablement,
    GameFacts,
    Granted,
    Located,
    Reason,
    Refused,
    Standing,
    Unanswered,
    Wish,
    decide,
)
from croupier.play.pack import ExclusionRule, LocationRule
from croupier.runtime.config import built_in_packs

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SLOT = GameFacts(id="book", provider="studio", category="slots", rtp_bps=9600)
WISH = Wish(game=SLOT, asset="EUR", country="MT")
CLEAR = Standing(is_excluded=False, reference="chk-1")


def place(name: str, **changes: Any) -> Enablement:
    """A jurisdiction with everything enabled, except for what is given."""
    pack = built_in_packs()[name]
    whole = Enablement(pack=pack, countries=pack.countries, providers=("*",), games=("*",), assets=("*",))
    return structs.replace(whole, **changes)


def served(*names: str) -> dict[str, Enablement]:
    """Jurisdictions by id."""
    return {name: place(name) for name in names}


def judge(
    wish: Wish,
    places: dict[str, Enablement],
    *,
    located: Located | None = None,
    standing: Standing | Unanswered | None = CLEAR,
) -> Decision | AskStanding:
    """A decision now."""
    return decide(wish, places, located=located, standing=standing, now=NOW)


def refused(*arguments: Any, **more: Any) -> Reason:
    """Why not."""
    decision = judge(*arguments, **more)
    assert isinstance(decision, Refused), decision
    return decision.reason


def wish(**changes: Any) -> Wish:
    """What the usual player wants, except for what is given."""
    return structs.replace(WISH, **changes)


def game(**changes: Any) -> Wish:
    """The usual wish for a game that is different."""
    return wish(game=structs.replace(SLOT, **changes))


def test_a_player_who_fulfils_everything_is_let_in_on_the_terms_of_the_place() -> None:
    decision = judge(WISH, served("MT"))
    assert isinstance(decision, Granted)
    assert decision.expires_at == NOW + timedelta(days=1)
    terms = decision.terms
    assert (terms.jurisdiction, terms.rules, terms.stake_cap, terms.idle_close_s) == (
        "MT",
        "MT/1",
        None,
        None,
    )


def test_caps_and_idle_times_come_from_the_pack() -> None:
    britain = judge(wish(asset="GBP", country="GB"), served("GB"), standing=structs.replace(CLEAR, age=40))
    brazil = judge(wish(asset="BRL", country="BR"), served("BR"))
    assert isinstance(britain, Granted)
    assert isinstance(brazil, Granted)
    assert (britain.terms.stake_cap, brazil.terms.idle_close_s) == (500, 1800)


@pytest.mark.parametrize(
    ("said", "places", "reason"),
    [
        (WISH, {}, Reason.JURISDICTION_UNKNOWN),
        (wish(country="KP"), served("MT", "GB"), Reason.JURISDICTION_UNKNOWN),
        (wish(jurisdiction="XY"), served("MT"), Reason.JURISDICTION_UNKNOWN),
        (wish(jurisdiction="GB"), served("MT", "GB"), Reason.COUNTRY_NOT_SERVED),
        (
            wish(country="US"),
            {"US-NJ": place("US-NJ"), "XX": place("XX")},
            Reason.JURISDICTION_AMBIGUOUS,
        ),
        (WISH, {"MT": place("MT", providers=())}, Reason.PROVIDER_NOT_ENABLED),
        (WISH, {"MT": place("MT", providers=("other",))}, Reason.PROVIDER_NOT_ENABLED),
        (WISH, {"MT": place("MT", games=("other",))}, Reason.GAME_NOT_ENABLED),
        (WISH, {"MT": place("MT", assets=("SEK",))}, Reason.ASSET_NOT_ALLOWED),
        (game(assets=("SEK",)), served("MT"), Reason.ASSET_NOT_ALLOWED),
        (wish(country="GB"), served("GB"), Reason.ASSET_NOT_ALLOWED),
        (game(rtp_bps=8499), served("MT"), Reason.RETURN_TOO_LOW),
        (game(rtp_bps=None), served("MT"), Reason.RETURN_TOO_LOW),
    ],
)
def test_what_is_not_plainly_allowed_is_refused(
    said: Wish, places: dict[str, Enablement], reason: Reason
) -> None:
    assert refused(said, places) is reason
    # Nobody is asked about a player who would be refused anyway.
    assert refused(said, places, standing=None) is reason


def test_what_is_just_allowed_is_allowed() -> None:
    for said, places in (
        (game(rtp_bps=8500), served("MT")),
        (game(category="table", rtp_bps=None), served("MT")),
        (game(assets=("EUR",)), served("MT")),
        (wish(country="FI"), {"MT": place("MT", countries=("MT", "FI"))}),
        (wish(country="GB", game=structs.replace(SLOT, category="table")), served("GB")),
        (wish(country="KP"), served("XX")),
        (WISH, {"MT": place("MT", providers=("studio",), games=("book",), assets=("EUR",))}),
    ):
        assert isinstance(judge(said, places), Granted), said


@pytest.mark.parametrize(
    ("country", "name", "located", "has_address", "reason"),
    [
        ("US", "US-NJ", None, True, Reason.LOCATION_REQUIRED),
        ("US", "US-NJ", Located(None), False, Reason.LOCATION_REQUIRED),
        ("US", "US-NJ", Located(None), True, Reason.LOCATION_UNKNOWN),
        ("US", "US-NJ", Located("US"), True, Reason.LOCATION_MISMATCH),
        ("US", "US-NJ", Located("US", ("NY",)), True, Reason.LOCATION_MISMATCH),
        ("US", "US-NJ", Located("CA", ("NJ",)), True, Reason.LOCATION_MISMATCH),
        ("US", "US-NJ", Located("US", ("NJ",)), True, None),
        ("MT", "MT", None, True, None),
        ("MT", "MT", Located(None), False, None),
        ("MT", "MT", Located(None), True, Reason.LOCATION_UNKNOWN),
        ("MT", "MT", Located("IT"), True, Reason.LOCATION_MISMATCH),
        ("MT", "MT", Located("MT"), True, None),
    ],
)
def test_an_address_must_agree_with_the_claim_and_must_be_known_where_that_is_asked_for(
    country: str, name: str, located: Located | None, has_address: bool, reason: Reason | None
) -> None:
    decision = judge(wish(country=country, has_address=has_address), served(name), located=located)
    assert (decision.reason if isinstance(decision, Refused) else None) is reason


def test_the_operator_is_asked_last_and_no_answer_is_a_refusal() -> None:
    asked = judge(WISH, served("DK") | {"DK": place("DK", countries=("MT",))}, standing=None)
    assert asked == AskStanding("DK", "ROFUS")
    assert refused(WISH, served("MT"), standing=Unanswered("timeout")) is Reason.EXCLUSION_UNANSWERED
    excluded = Standing(is_excluded=True, reference="chk-2", age=40)
    assert refused(WISH, served("MT"), standing=excluded) is Reason.SELF_EXCLUDED
    assert isinstance(judge(WISH, served("XX"), standing=None), Granted)


def test_no_message_for_players_tells_that_somebody_is_excluded() -> None:
    assert PLAYER_MESSAGES.keys() == set(Reason)
    for message in PLAYER_MESSAGES.values():
        assert "exclu" not in message.lower()
        assert message.endswith(".")


@given(
    country=st.sampled_from(["MT", "GB", "US", "CA", "BR", "KP"]),
    jurisdiction=st.sampled_from([None, "MT", "GB", "US-NJ", "CA-ON", "BR", "XX", "YY"]),
    names=st.sets(st.sampled_from(sorted(built_in_packs()))),
    located=st.sampled_from(
        [None, Located(None), Located("MT"), Located("US", ("NJ",)), Located("CA", ("ON",)), Located("GB")]
    ),
    has_address=st.booleans(),
    standing=st.sampled_from([None, CLEAR, Unanswered("timeout"), Standing(is_excluded=True, reference="x")]),
    asset=st.sampled_from(["EUR", "GBP", "BRL"]),
    rtp_bps=st.sampled_from([None, 8000, 8500, 9600]),
)
def test_whoever_is_let_in_fulfils_every_rule_of_one_place(
    country: str,
    jurisdiction: str | None,
    names: set[str],
    located: Located | None,
    has_address: bool,
    standing: Standing | Unanswered | None,
    asset: str,
    rtp_bps: int | None,
) -> None:
    said = Wish(
        game=structs.replace(SLOT, rtp_bps=rtp_bps),
        asset=asset,
        country=country,
        jurisdiction=jurisdiction,
        has_address=has_address,
    )
    decision = judge(said, served(*names), located=located, standing=standing)
    if not isinstance(decision, Granted):
        return
    pack = built_in_packs()[decision.terms.jurisdiction]
    exclusion, location = pack.the(ExclusionRule), pack.the(LocationRule)
    assert exclusion is not None
    assert location is not None
    assert pack.id in names
    assert jurisdiction in (None, pack.id)
    assert not pack.countries or country in pack.countries
    assert not exclusion.required or standing == CLEAR
    is_placed = located is not None and has_address
    assert not location.required or is_placed
    assert not is_placed or (located is not None and located.country == country)
    assert (rtp_bps or 0) >= (pack.least_rtp_bps("slots") or 0)
    assert not pack.capped_assets("slots") or decision.terms.stake_cap is not None
