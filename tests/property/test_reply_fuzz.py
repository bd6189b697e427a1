"""Replies are untrusted: whatever bytes come, every adapter has an answer, and no address but a usable one."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import croupier.providers.adapters as adapters_package
from croupier.providers.contract import (
    GameList,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    ListGames,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    RoundAccount,
    ShowRound,
)
from croupier.providers.registry import find_adapters

FOLDER = Path(next(iter(adapters_package.__path__)))
EVERY = pytest.mark.parametrize("adapter", sorted(find_adapters()))
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 403, 404, 422, 429, 500, 503]) | st.integers(
    100, 999
)
USABLE = re.compile(r"(?:https?://[^/?#@\\\s]+|/(?!/))[!-~]*")
REASON = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,128}")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("https://games.example/"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Any JSON."""


@cache
def bodies_of(adapter: str) -> list[dict[str, Any]]:
    """Every recorded reply to a call of ours."""
    names = ("launch.json", "list_games.json", "game_list.json")
    found = [
        json.loads((FOLDER / adapter / "fixtures" / name).read_text(encoding="utf-8"))
        for name in names
        if (FOLDER / adapter / "fixtures" / name).exists()
    ]
    return [one["reply"]["body"] for one in found]


@st.composite
def mangled(draw: st.DrawFn, adapter: str) -> bytes:
    """A recorded reply with another member, cut, doubled or with other bytes in it; or anything at all."""
    recorded = draw(st.sampled_from(bodies_of(adapter)))
    match draw(st.sampled_from(["member", "cut", "bytes", "anything", "noise"])):
        case "member" if isinstance(recorded, dict):
            name = draw(st.sampled_from(sorted(recorded)) | st.text(max_size=8))
            return json.dumps(recorded | {name: draw(VALUES)}).encode()
        case "cut":
            body = json.dumps(recorded).encode()
            return body[: draw(st.integers(0, len(body)))]
        case "bytes":
            body = json.dumps(recorded).encode()
            at = draw(st.integers(0, len(body)))
            return body[:at] + draw(st.binary(max_size=8)) + body[at + draw(st.integers(0, 8)) :]
        case "noise":
            return draw(st.binary(max_size=200))
        case _:
            return json.dumps(draw(VALUES)).encode()


@cache
def order_of(adapter: str) -> LaunchOrder:
    recorded = json.loads((FOLDER / adapter / "fixtures" / "launch.json").read_text(encoding="utf-8"))
    return LaunchOrder(**recorded["order"])


@EVERY
@examples(max_examples=100)
@given(st.data())
def test_every_reply_to_a_launch_has_an_answer(adapter: str, data: st.DataObject) -> None:
    reply = Reply(data.draw(STATUSES), data.draw(mangled(adapter)), ())
    match find_adapters()[adapter].read_launch(order_of(adapter), reply):
        case Launched(url=url):
            assert reply.status in (200, 201)
            assert USABLE.fullmatch(url)
        case LaunchRefused(reason=reason) | LaunchUnknown(reason=reason):
            assert REASON.fullmatch(reason)


@EVERY
@examples(max_examples=100)
@given(st.data())
def test_every_reply_to_a_question_has_an_answer(adapter: str, data: st.DataObject) -> None:
    reply = Reply(data.draw(STATUSES), data.draw(mangled(adapter)), ())
    question = data.draw(st.sampled_from([ListGames(), ShowRound(round_id="round-1")]))
    told = find_adapters()[adapter].read_answer(question, reply)
    assert isinstance(told, GameList | RoundAccount | QuestionRefused | QuestionUnanswered)
    assert reply.status == 200 or not isinstance(told, GameList | RoundAccount)
    if isinstance(told, RoundAccount):
        assert isinstance(json.loads(told.details), str)
