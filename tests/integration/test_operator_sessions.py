"""Sessions through the operator API: opening, what becomes of a launch, history, closing."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from operator_house import OPENING, PLAYER, STUDIO_KEY, House, account_at, open_house, session_uuid

from croupier.operator.permissions import Role
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier_signing import parse_authorization, verify_native
from model.calls import bet

UNKNOWN = "ses_0195500000007000800000000000002a"


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url) as opened:
        yield opened


@pytest.fixture
async def hasty_house(database_url: str) -> AsyncIterator[House]:
    """A house that waits a fifth of a second for the studio."""
    async with open_house(database_url, deadline_s=0.2) as opened:
        yield opened


async def test_an_opened_session_is_launched_and_says_where_the_game_is(house: House) -> None:
    answer = await house.post("/v1/sessions", OPENING)
    assert answer.status_code == 201
    session = answer.json()
    assert session["state"] == "launched"
    assert session["launch_url"] == f"https://studio.example/{session['session_id']}"
    assert (session["provider"], session["game_id"], session["player_id"], session["asset"]) == (
        "studio",
        "dice",
        PLAYER,
        "EUR",
    )
    assert session["expires_at"].endswith("Z")
    life = datetime.fromisoformat(session["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < life < timedelta(hours=25)
    assert answer.headers["location"] == f"/v1/sessions/{session['session_id']}"
    assert (await house.get(answer.headers["location"])).json() == session
    assert [record.result for record in house.launches] == ["launched"]


async def test_the_studio_gets_what_was_asked_for_signed_and_correlated(house: House) -> None:
    wish = OPENING | {
        "locale": "en-GB",
        "ip": "2001:db8::1",
        "client": "mobile",
        "return_url": "https://casino.example/lobby",
        "jurisdiction": "XX",
    }
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-Correlation-Id": "cor-7", "traceparent": trace}
    session = (await house.post("/v1/sessions", wish, headers=headers)).json()
    (sent,) = house.studio.seen
    del wish["jurisdiction"]
    assert sent == wish | {"session_id": session["session_id"]}
    (head,) = house.studio.headers
    assert (head["x-correlation-id"], head["traceparent"]) == ("cor-7", trace)
    verify_native(
        parse_authorization(head["authorization"]),
        key=STUDIO_KEY,
        method="POST",
        path=b"/v1/launch",
        query=b"",
        body=json.dumps(sent, separators=(",", ":")).encode(),
        now_s=int(datetime.now(UTC).timestamp()),
    )


async def test_a_repeat_gets_the_same_session_and_launches_nothing(house: House) -> None:
    first = await house.post("/v1/sessions", OPENING, key="one")
    again = await house.post("/v1/sessions", OPENING, key="one")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(house.studio.seen) == 1


async def test_another_key_opens_another_session(house: House) -> None:
    assert (await house.open())["session_id"] != (await house.open())["session_id"]


@pytest.mark.parametrize("fault", ["drop", "garbage", "redirect", "flood"])
async def test_an_unknown_launch_stays_created_until_a_repeat_launches_it(house: House, fault: str) -> None:
    house.studio.script.append(fault)
    first = await house.post("/v1/sessions", OPENING, key="one")
    assert first.status_code == 201
    assert (first.json()["state"], first.json()["launch_url"]) == ("created", None)
    again = await house.post("/v1/sessions", OPENING, key="one")
    assert again.json()["state"] == "launched"
    assert again.headers["idempotent-replayed"] == "true"
    sessions = {launch["session_id"] for launch in house.studio.seen}
    assert sessions == {first.json()["session_id"]} == {again.json()["session_id"]}
    assert [record.result for record in house.launches] == ["unknown", "launched"]


async def test_a_studio_that_is_gone_refuses_a_first_launch_and_leaves_a_repeated_one_open(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.studio.script.append("drop")
    opened = (await house.post("/v1/sessions", OPENING, key="one")).json()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = account_at("studio", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setitem(house.deps.accounts, "studio", (gone, ADAPTER))  # type: ignore[arg-type]
        again = await house.post("/v1/sessions", OPENING, key="one")
        # What is learned, that nobody knows yet, stands in the session's history.
        touched = {"last_activity_at": again.json()["last_activity_at"]}
        assert (again.status_code, again.json()) == (201, opened | touched)
        assert (await house.post("/v1/sessions", OPENING, key="two")).status_code == 409
    assert [(one.result, one.reason) for one in house.launches[1:]] == [
        ("unknown", "unreachable"),
        ("refused", "unreachable"),
    ]


async def test_a_studio_that_does_not_answer_is_given_up_at_the_deadline(hasty_house: House) -> None:
    hasty_house.studio.script.append("hang")
    session = await hasty_house.open()
    assert (session["state"], session["launch_url"]) == ("created", None)
    (record,) = hasty_house.launches
    assert (record.result, record.reason) == ("unknown", "timeout")


async def test_a_refused_launch_fails_the_session_for_good(house: House) -> None:
    house.studio.script.append("refuse")
    for _ in range(2):
        answer = await house.post("/v1/sessions", OPENING, key="one")
        assert answer.status_code == 409
        assert answer.json()["money_moved"] == "no"
    assert len(house.studio.seen) == 1
    (session,) = (await house.get("/v1/sessions", player_id=PLAYER)).json()["sessions"]
    assert session["state"] == "failed"
    assert session["session_id"] in answer.json()["detail"]
    (_, failed) = (await house.get(f"/v1/sessions/{session['session_id']}/timeline")).json()["events"]
    assert (failed["cause"], failed["code"]) == ("launch_failed", "game_closed")


async def test_play_that_begins_before_the_launch_answer_keeps_the_session(house: House) -> None:
    house.studio.script.append("drop")
    await house.deposit("d-1", 500)
    session = (await house.post("/v1/sessions", OPENING, key="one")).json()
    stake = bet("b-1", 100, session_id=session_uuid(session), player_id=PLAYER)
    await house.provider_call(stake)
    again = (await house.post("/v1/sessions", OPENING, key="one")).json()
    assert (again["state"], again["launch_url"]) == ("active", None)
    assert len(house.studio.seen) == 1


async def test_an_account_without_an_address_is_launched_by_other_means(house: House) -> None:
    session = await house.open(game_id="offline")
    assert (session["state"], session["launch_url"], session["provider"]) == ("created", None, "paper")


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"game_id": "chess"}, 404, "unknown_game", "game_id"),
        ({"asset": "EURO"}, 422, "unknown_asset", "asset"),
        ({"asset": "eur"}, 422, "unknown_asset", "asset"),
        ({"asset": "USD"}, 409, "contract_missing", "game_id"),
        ({"country": "Malta"}, 400, "malformed", "country"),
        ({"country": "mt"}, 400, "malformed", "country"),
        ({"ip": "300.1.1.1"}, 400, "malformed", "ip"),
        ({"return_url": "javascript:alert(1)"}, 400, "malformed", "return_url"),
        ({"locale": "en_GB"}, 400, "malformed", "locale"),
        ({"player_id": ""}, 400, "malformed", "player_id"),
        ({"balance": "5"}, 400, "malformed", "balance"),
    ],
)
async def test_a_session_that_cannot_be_is_refused_before_anything_happens(
    house: House, change: dict[str, str], status: int, code: str, field: str
) -> None:
    answer = await house.post("/v1/sessions", OPENING | change)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, field)
    assert not house.calls
    assert not house.studio.seen


async def test_an_unknown_session_is_a_problem_everywhere(house: House) -> None:
    for answer in (
        await house.get(f"/v1/sessions/{UNKNOWN}"),
        await house.get(f"/v1/sessions/{UNKNOWN}/timeline"),
        await house.post(f"/v1/sessions/{UNKNOWN}/close", {"reason": "x"}),
        await house.get("/v1/journal", session_id=UNKNOWN),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")


async def test_a_session_nobody_played_is_cancelled_by_closing_it(house: House) -> None:
    session = await house.open()
    path = f"/v1/sessions/{session['session_id']}/close"
    closed = await house.post(path, {"reason": "player_left"}, key="c")
    assert (closed.status_code, closed.json()["state"]) == (200, "cancelled")
    again = await house.post(path, {"reason": "player_left"}, key="c")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == closed.json()
    anew = await house.post(path, {"reason": "player_left"})
    assert (anew.status_code, anew.json()["state"]) == (200, "cancelled")
    timeline = (await house.get(f"/v1/sessions/{session['session_id']}/timeline")).json()
    assert [event["cause"] for event in timeline["events"]] == ["created", "launch_confirmed", "closed"]
    assert timeline["events"][-1]["code"] == "player_left"


async def test_a_played_session_settles_when_it_is_closed_and_tells_its_story(house: House) -> None:
    await house.deposit("d-1", 1_000)
    session = await house.open()
    await house.play(session["session_id"], "r1", stake=100, won=40)
    closed = await house.post(f"/v1/sessions/{session['session_id']}/close", {"reason": "done"})
    assert (closed.json()["state"], closed.json()["rounds_open"]) == ("settled", 0)
    assert closed.json()["staked"] == {"amount": "100", "asset": "EUR"}
    assert closed.json()["won"] == {"amount": "40", "asset": "EUR"}
    events = (await house.get(f"/v1/sessions/{session['session_id']}/timeline")).json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    path = [(event["from"], event["to"]) for event in events if event["from"] != event["to"]]
    assert path == [
        (None, "created"),
        ("created", "launched"),
        ("launched", "active"),
        ("active", "pending_settlement"),
        ("pending_settlement", "settled"),
    ]
    stake = next(event for event in events if event["reference"] == "r1-bet")
    assert stake["money"] == {"staked": {"amount": "100", "asset": "EUR"}}
    assert stake["provider_round_id"] == "r1"
    assert stake["round_id"].startswith("rnd_")
    assert [one[:4] for one in stake["journal_ids"]] == ["jrn_"]
    assert (stake["time_source"], events[0]["time_source"]) == ("provider", "croupier")
    settlement = events[-1]["money"]
    assert settlement == {
        "share_posted": {"amount": "6", "asset": "EUR"},
        "revenue_posted": {"amount": "54", "asset": "EUR"},
    }


async def test_sessions_of_a_player_come_newest_first_and_by_state(house: House) -> None:
    opened = [(await house.open())["session_id"] for _ in range(5)]
    await house.open(player_id="somebody-else")
    await house.post(f"/v1/sessions/{opened[1]}/close", {"reason": "x"})
    first = (await house.get("/v1/sessions", player_id=PLAYER, limit=3)).json()
    assert [one["session_id"] for one in first["sessions"]] == opened[:1:-1]
    rest = (await house.get("/v1/sessions", player_id=PLAYER, limit=3, cursor=first["next_cursor"])).json()
    assert [one["session_id"] for one in rest["sessions"]] == opened[1::-1]
    assert rest["next_cursor"] is None
    cancelled = (await house.get("/v1/sessions", player_id=PLAYER, state="cancelled")).json()
    assert [one["session_id"] for one in cancelled["sessions"]] == [opened[1]]


async def test_a_long_timeline_comes_in_pages_without_a_gap(house: House) -> None:
    await house.deposit("d-1", 1_000)
    session = await house.open()
    for number in range(3):
        await house.play(session["session_id"], f"r{number}")
    path = f"/v1/sessions/{session['session_id']}/timeline"
    seqs: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(10):
        page = (await house.get(path, Role.SUPPORT, limit=2, **cursor)).json()
        seqs += [event["seq"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seqs == list(range(1, 12))
