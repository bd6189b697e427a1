"""Speakers write what the protocols' texts show, and read exactly what is written."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.conformance import steps
from croupier.conformance.reading import (
    Exact,
    Request,
    Response,
    Unreadable,
    Verdict,
    read_decimal,
    write_decimal,
)
from croupier.conformance.speaker import Account, Part, Speaker, Stamp
from croupier.conformance.speakers import find_speakers
from croupier.conformance.speakers.spelling import spell_decimal, spell_minor, spell_number, spell_scaled
from croupier.conformance.steps import Kind, Seat, Spelling
from croupier_signing import Key, SigningKey, read_key
from croupier_signing.pairs import make_rsa_pair

SECRET = SigningKey("studio-1", bytes(range(48, 80)))
PRIVATE = read_key("studio-1", make_rsa_pair()[0])
OTHER = read_key("studio-2", make_rsa_pair()[0])
STAMP = Stamp(1_750_000_000, "0123456789abcdef0123456789abcdef")
SEAT = Seat(
    player_id="alice",
    asset="EUR",
    exponent=2,
    game_id="dice",
    session_id="ses_" + "0" * 32,
    session="ses_" + "0" * 32,
    token="token-1",
)
NAMES = sorted(find_speakers())
EXPONENTS = st.integers(0, 18)
MINOR = st.integers(0, 10**38 - 1)


def key_of(name: str) -> Key:
    return PRIVATE if name == "hub88_v1" else SECRET


def speaker(name: str) -> Speaker:
    settings = {"merchant_id": "merchant", "casino_key": "casino"}
    account = Account(
        id="studio", root=b"/providers/studio", key=key_of(name), launch_key=SECRET, settings=settings
    )
    return find_speakers()[name](account)


def bet_of(name: str) -> dict[str, Any]:
    """The body of a bet of 12.50, as what a receiver would read."""
    request = speaker(name).write(steps.bet(SEAT, 1_250))
    if name == "slotegrator_gis_v1":
        return dict(parse_qsl(request.body.decode()))
    found: dict[str, Any] = json.loads(request.body, parse_float=str)
    return found


def amount_of(name: str, body: dict[str, Any]) -> object:
    if name == "softswiss_v2":
        return body["transactions"][0]["amount"]
    return body["transaction"]["amount"] if name == "evolution_v1" else body["amount"]


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("croupier_v1", "1250"),
        ("softswiss_v2", "12.50"),
        ("swipegames_v1", "12.50"),
        ("hub88_v1", 1_250_000),
        ("evolution_v1", "12.50"),
        ("slotegrator_gis_v1", "12.50"),
    ],
)
def test_a_stake_is_written_as_the_protocol_writes_money(name: str, amount: object) -> None:
    assert amount_of(name, bet_of(name)) == amount


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spelling", list(Spelling))
def test_no_bad_spelling_is_the_good_one(name: str, spelling: Spelling) -> None:
    protocol = speaker(name)
    bad = protocol.write(steps.bet(SEAT, spelling)).body
    assert bad
    assert b"1250" not in bad.replace(SEAT.player_id.encode(), b"")


@pytest.mark.parametrize("name", NAMES)
def test_a_signature_can_be_taken_off_and_is_that_of_the_key(name: str) -> None:
    protocol = speaker(name)
    request = protocol.write(steps.bet(SEAT, 100))
    signed = protocol.sign(request, STAMP)
    assert protocol.signature.of(signed)
    again = protocol.sign(signed, STAMP)
    assert protocol.signature.of(again) == protocol.signature.of(signed)
    other = OTHER if name == "hub88_v1" else SigningKey("studio-2", bytes(range(80, 112)))
    assert protocol.signature.of(protocol.sign(request, STAMP, other)) != protocol.signature.of(signed)
    bare = protocol.unsign(signed)
    assert protocol.signature.of(signed) not in (*(value for _, value in bare.headers), bare.query)


@pytest.mark.parametrize("name", NAMES)
def test_every_covered_part_is_there_and_can_be_changed(name: str) -> None:
    protocol = speaker(name)
    signed = protocol.sign(protocol.write(steps.bet(SEAT, 100)), STAMP)
    for part in protocol.covered:
        assert part.of(signed)
        assert part.of(part.put(signed, b"changed")) == b"changed"
        assert part.put(signed, part.of(signed)) == signed


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_is_none_is_unknown_and_one_that_is_nonsense_is_senseless(name: str) -> None:
    protocol, step = speaker(name), steps.bet(SEAT, 100)
    request = protocol.sign(protocol.write(step), STAMP)
    assert protocol.read(step, request, Response(status=0)).verdict is Verdict.UNKNOWN
    for body in (b"", b"[]", b"{}", b'{"status":"maybe"}', b"<html>", b'{"balance":true}'):
        reading = protocol.read(step, request, Response(status=200, body=body))
        assert reading.verdict is Verdict.SENSELESS
        assert reading.finding


@pytest.mark.parametrize("name", NAMES)
def test_every_distortion_is_another_request(name: str) -> None:
    protocol = speaker(name)
    request = protocol.write(steps.bet(SEAT, 100))
    distorted = protocol.distort(request)
    assert len(distorted) > 20
    assert all(one.body != request.body for _, one in distorted)
    assert all(one.path == request.path for _, one in distorted)


def test_letter_case_of_percent_encoding_is_the_only_equal_of_a_form() -> None:
    protocol, body = speaker("slotegrator_gis_v1"), Part("body")
    assert protocol.is_equal(body, b"a=%5B", b"a=%5b") == "percent-encoding in another letter case"
    assert not protocol.is_equal(body, b"a=b", b"a=c")
    assert not protocol.is_equal(body, b"a=b", b"a=%")
    assert not protocol.is_equal(Part("header:x-nonce"), b"a", b"a")


def test_evolution_reads_exists_already_as_done_only_for_what_was_asked_before() -> None:
    protocol, step = speaker("evolution_v1"), steps.bet(SEAT, 100)
    first = protocol.write(step)
    uuid = json.loads(first.body)["uuid"]
    body = f'{{"status":"BET_ALREADY_EXIST","balance":1.000000,"bonus":0.000000,"uuid":"{uuid}"}}'.encode()
    answer = Response(status=200, body=body)
    assert protocol.read(step, first, answer).verdict is Verdict.APPROVED
    other = steps.reword(step, amount=200)
    protocol.write(other)
    assert protocol.read(other, first, answer).verdict is Verdict.REFUSED


def test_evolution_insists_on_six_decimals() -> None:
    protocol, step = speaker("evolution_v1"), steps.balance(SEAT)
    request = protocol.write(step)
    uuid = json.loads(request.body)["uuid"]
    for money, verdict in (
        ("1.000000", Verdict.APPROVED),
        ("1.00", Verdict.SENSELESS),
        ("1", Verdict.SENSELESS),
    ):
        body = f'{{"status":"OK","balance":{money},"bonus":0.000000,"uuid":"{uuid}"}}'.encode()
        assert protocol.read(step, request, Response(status=200, body=body)).verdict is verdict


def test_a_win_names_the_bet_it_settles_where_the_protocol_does() -> None:
    bet = steps.bet(SEAT, 100)
    win = steps.win(bet, 50)
    credit = json.loads(speaker("evolution_v1").write(win).body)["transaction"]
    assert (credit["id"], credit["refId"]) == (win.move.reference, bet.move.reference)
    paid = json.loads(speaker("hub88_v1").write(win).body)
    assert paid["reference_transaction_uuid"] == bet.move.reference


def test_evolution_cancels_a_debit_with_both_its_ids() -> None:
    bet = steps.bet(SEAT, 100)
    cancel = json.loads(speaker("evolution_v1").write(steps.rollback(bet)).body)["transaction"]
    assert cancel["id"] == cancel["refId"] == bet.move.reference


def test_slotegrator_refunds_bets_and_lists_what_else_it_rolls_back() -> None:
    protocol, bet = speaker("slotegrator_gis_v1"), steps.bet(SEAT, 100)
    refund = dict(parse_qsl(protocol.write(steps.rollback(bet)).body.decode()))
    assert (refund["action"], refund["bet_transaction_id"], refund["amount"]) == (
        "refund",
        bet.move.reference,
        "1.00",
    )
    win = steps.win(bet, 50)
    undone = dict(parse_qsl(protocol.write(steps.rollback(win)).body.decode()))
    assert undone["action"] == "rollback"
    assert undone["rollback_transactions[0][action]"] == "win"
    assert undone["rollback_transactions[0][transaction_id]"] == win.move.reference


def test_swipe_games_asks_for_a_balance_by_get_and_names_nothing_but_the_session() -> None:
    protocol = speaker("swipegames_v1")
    asked = protocol.write(steps.balance(SEAT))
    assert (asked.method, asked.query) == ("GET", b"sessionID=" + SEAT.session.encode())
    body = json.loads(protocol.write(steps.bet(SEAT, 100)).body)
    assert set(body) == {"type", "sessionID", "amount", "txID", "roundID"}
    assert list(body) == sorted(body)


def test_softswiss_calls_the_round_by_another_name_in_a_rollback() -> None:
    protocol, bet = speaker("softswiss_v2"), steps.bet(SEAT, 100)
    assert json.loads(protocol.write(bet).body)["round_id"] == bet.round_id
    undone = json.loads(protocol.write(steps.rollback(bet)).body)
    assert undone["round_id_provider"] == bet.round_id
    assert "amount" not in undone["transactions"][0]


@given(MINOR, EXPONENTS)
def test_decimal_text_is_read_as_it_was_written(minor: int, exponent: int) -> None:
    text = write_decimal(minor, exponent)
    assert read_decimal(text, exponent) == minor
    assert read_decimal(f"{text}{'' if exponent else '.'}00", exponent) == minor
    assert spell_decimal(minor, exponent) == text
    assert bytes(spell_number(minor, exponent)) == text.encode()


@given(MINOR, st.integers(0, 5))
def test_scaled_numbers_are_exact(minor: int, exponent: int) -> None:
    assert int(bytes(spell_scaled(minor, exponent, 100_000))) * 10**exponent == minor * 100_000


@given(MINOR)
def test_minor_units_are_plain_digits(minor: int) -> None:
    assert spell_minor(minor) == str(minor)


@pytest.mark.parametrize("text", ["", ".", "1.", "-1", "+1", "01", "1e2", " 1", "1.x", "١", "NaN", "1.001"])
def test_what_is_no_balance_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable):
        read_decimal(Exact(text), 2)


def test_moves_of_a_batch_keep_their_order() -> None:
    bet = steps.bet(SEAT, 100)
    both = steps.batch(bet, steps.win(bet, 50))
    assert [move.kind for move in both.moves] == [Kind.BET, Kind.WIN]
    told = json.loads(speaker("softswiss_v2").write(both).body)["transactions"]
    assert [one["type"] for one in told] == ["bet", "win"]


def test_a_request_line_has_the_query_only_if_there_is_one() -> None:
    assert Request(method="GET", path=b"/a").target == b"/a"
    assert Request(method="GET", path=b"/a", query=b"b=c").target == b"/a?b=c"
