"""Round details at Evolution: asked for with HTTP Basic, and passed on as they come."""

from __future__ import annotations

from base64 import b64decode

import pytest
from evolution_calls import ACCOUNT

from croupier.providers.adapters.evolution_v1 import ADAPTER
from croupier.providers.contract import (
    Attempt,
    ListGames,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    RoundAccount,
    ShowRound,
    TransportFault,
)

ATTEMPT = Attempt(timestamp_s=1, nonce="n")
QUESTION = ShowRound(round_id="round 1&x")


def test_the_round_is_named_and_the_casino_proves_itself() -> None:
    request = ADAPTER.build_question(QUESTION, ACCOUNT, ATTEMPT)
    assert request is not None
    assert request.url.endswith("/api/render/v1/details?gameId=round%201%26x")
    ((name, value),) = request.headers
    user, _, password = b64decode(value.removeprefix(b"Basic ")).partition(b":")
    assert (name, user.decode()) == (b"authorization", ACCOUNT.settings["casino_key"])
    assert password == ACCOUNT.outbound_secret.secret


def test_nothing_else_can_be_asked() -> None:
    assert ADAPTER.build_question(ListGames(), ACCOUNT, ATTEMPT) is None


def test_a_page_is_passed_on_as_json_text() -> None:
    told = ADAPTER.read_answer(QUESTION, Reply(200, b"<p>\xff</p>", ()))
    assert told == RoundAccount(
        round_id="round 1&x", is_finished=None, url=None, details='"<p>\N{REPLACEMENT CHARACTER}</p>"'
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_one(status: int) -> None:
    assert ADAPTER.read_answer(QUESTION, Reply(status, b"", ())) == QuestionRefused(f"status_{status}")


@pytest.mark.parametrize("answer", [Reply(500, b"", ()), Reply(302, b"", ()), TransportFault("timeout")])
def test_whatever_else_comes_is_no_answer(answer: Reply | TransportFault) -> None:
    assert isinstance(ADAPTER.read_answer(QUESTION, answer), QuestionUnanswered)
