"""What an answer says about an attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.operator.outbox.answers import (
    LONGEST_ERROR,
    LONGEST_EXCERPT,
    Answer,
    judge_status,
    render_excerpt,
    render_fault,
)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_takes_the_event(status: int) -> None:
    assert judge_status(status) is None


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 401, 404, 410, 429, 500, 503, 999])
def test_nothing_else_does(status: int) -> None:
    assert str(status) in (judge_status(status) or "")


def test_only_410_says_that_the_receiver_is_gone() -> None:
    assert Answer(duration_ms=1, status=410, error=judge_status(410)).is_gone
    assert not Answer(duration_ms=1, status=404, error=judge_status(404)).is_gone
    assert not Answer(duration_ms=1, error="no answer").is_gone


@given(st.binary(max_size=4_000))
def test_an_excerpt_is_one_short_line_that_the_database_takes(body: bytes) -> None:
    excerpt = render_excerpt(body)
    if excerpt is not None:
        assert 0 < len(excerpt) <= LONGEST_EXCERPT
        assert excerpt.isprintable()
        excerpt.encode()


@pytest.mark.parametrize("body", [b"", b"\x00\x00", b" \r\n\t "])
def test_nothing_to_show_is_nothing(body: bytes) -> None:
    assert render_excerpt(body) is None


def test_a_fault_is_told_in_bounded_words() -> None:
    assert render_fault(TimeoutError()) == "TimeoutError"
    assert render_fault(OSError("a\nb")) == "a b"
    assert len(render_fault(OSError("x" * 10_000))) == LONGEST_ERROR
