"""The catalogue of errors: total, unambiguous, and honest about what happened to money."""

from pathlib import Path

import pytest

from croupier import errors
from croupier.errors import CATALOGUE, CroupierError, ErrorKind, MoneyMoved, Retry
from croupier.moneypath import outcomes
from croupier.operator.error_catalogue import PAGE, WHAT_MONEY_DID, WHAT_TO_DO, render_errors_page

KINDS = [pytest.param(kind, id=kind.code) for kind in CATALOGUE.values()]
PUBLISHED = [
    ("unauthenticated", 401),
    ("malformed", 400),
    ("unknown_session", 404),
    ("unknown_player", 404),
    ("reference_conflict", 409),
    ("session_mismatch", 409),
    ("in_flight", 409),
    ("body_too_large", 413),
    ("amount_not_representable", 422),
    ("unknown_asset", 422),
    ("idempotency_key_missing", 400),
    ("idempotency_key_reused", 422),
]


def says_nothing_about_money(kind):
    return kind.status in (401, 408, 429) or kind.status >= 500 or kind.code == "in_flight"


def test_the_catalogue_has_every_kind_of_the_module_under_its_own_code():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, ErrorKind)]
    assert len(kinds) == len({kind.code for kind in kinds}) == len(CATALOGUE)
    assert all(CATALOGUE[kind.code] is kind for kind in kinds)


@pytest.mark.parametrize(("code", "status"), PUBLISHED)
def test_a_published_code_keeps_its_status(code, status):
    assert CATALOGUE[code].status == status


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_is_lower_case_words(kind):
    assert all(word.isalpha() and word.islower() for word in kind.code.split("_"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_title_says_something_and_names_no_secret(kind):
    assert len(kind.title.split()) >= 3
    assert not kind.title.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_a_client_error_or_a_server_error(kind):
    assert 400 <= kind.status < 600


@pytest.mark.parametrize("kind", KINDS)
def test_only_401_408_409_in_flight_429_and_5xx_say_nothing_about_money(kind):
    wanted = MoneyMoved.UNKNOWN if says_nothing_about_money(kind) else MoneyMoved.NO
    assert kind.money_moved is wanted


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_told_nothing_about_money_may_repeat_and_nobody_else(kind):
    assert kind.retryable == says_nothing_about_money(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_exactly_one_retry_class(kind):
    assert isinstance(kind.retry, Retry)
    assert kind.retryable == (kind.retry in {Retry.SAME_KEY_NOW, Retry.AFTER_WAIT})


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_is_called_like_a_decline(kind):
    assert kind.code not in outcomes.DECLINE_CODES


def test_declines_are_the_published_ones():
    published = {
        "insufficient_funds",
        "session_not_active",
        "round_closed",
        "limit_reached",
        "player_restricted",
        "tombstoned",
    }
    assert published == outcomes.DECLINE_CODES


def test_an_error_says_what_was_wrong_this_time():
    error = CroupierError(errors.UNAUTHENTICATED, "stale", field="ts", reason="stale", retry_after_s=3)
    assert str(error) == "unauthenticated: stale"
    assert (error.kind, error.detail, error.field) == (errors.UNAUTHENTICATED, "stale", "ts")
    assert (error.reason, error.retry_after_s) == ("stale", 3)


def test_a_violation_is_not_an_error_of_the_catalogue():
    assert not issubclass(errors.Violation, CroupierError)


def test_every_class_and_every_word_about_money_is_explained() -> None:
    assert set(WHAT_TO_DO) == set(Retry)
    assert set(WHAT_MONEY_DID) == set(MoneyMoved)


def test_the_reference_page_is_current() -> None:
    written = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")
    assert written == render_errors_page(), "write it again: python -m croupier.cli.reference"
    assert all(f"| `{code}` |" in written for code in CATALOGUE)


def test_what_a_player_is_shown_names_no_machinery() -> None:
    """A player's text says nothing of providers, sessions, breakers or codes."""
    for kind in CATALOGUE.values():
        text = (kind.player_message or "").lower()
        assert not [
            word for word in ("provider", "session", "breaker", "error", "launch", kind.code) if word in text
        ]
