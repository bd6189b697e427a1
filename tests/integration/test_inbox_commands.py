"""`croupier inbox` on a real database: lists, one webhook's story, dead letters, redrive, status (E1, E4, I4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from inbox_desk import InboxDesk, native_accounts, open_inbox
from lane_desk import Seat, open_desk
from stored_webhooks import Mailbox, clock, completed, jackpot, require_every_delivery_accounted_for
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.errors import INTERNAL, UNAUTHENTICATED, UNAVAILABLE, CroupierError
from croupier.ids import DELIVERY, IdSource, render_id
from croupier.inbox.refusals import Refusals
from croupier.inbox.worker import Keeping, run_inbox
from croupier.providers.arrival import parse_head
from croupier.runtime.config.starter import write_starter

Run = Callable[..., Awaitable[Any]]
SESSION = UUID(int=0x5E55_0001_0000_7000_8000_0000_0000_0001)
REASON = ("--reason", "the studio mended it")


@pytest.fixture
async def inbox(database_url: str) -> AsyncIterator[InboxDesk]:
    async with open_inbox(database_url) as made:
        made.clock.at = clock()
        made.mailbox = Mailbox(database_url, made.clock() - timedelta(minutes=3))
        made.accounts = native_accounts("acme", "other")
        yield made


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a starter's folder on the test's database."""
    write_starter(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)

    async def invoke(*arguments: str) -> Any:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, ["inbox", *arguments], catch_exceptions=False)

    return invoke


async def read(run: Run, *arguments: str) -> Any:
    """The JSON document of a command that succeeds."""
    ended = await run(*arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def shown(id_: UUID) -> str:
    return render_id(DELIVERY, id_)


async def put(inbox: InboxDesk, *rounds: str, provider: str = "acme", **fields: Any) -> list[UUID]:
    """A jackpot of 1250 minor units for each of these rounds."""
    made = []
    for round_id in rounds:
        data = jackpot(SESSION, "player-1", f"j-{provider}-{round_id}", 1250, round_id=round_id, **fields)
        made.append(inbox.mailbox.make("jackpot.won", data, f"{provider}-{round_id}"))
    return await inbox.put(*made, provider=provider)


async def bury(inbox: InboxDesk, *ids: UUID, kind: Any = UNAVAILABLE) -> None:
    """Let deliveries fail until they are dead letters; everything else succeeds."""
    inbox.till.failing |= dict.fromkeys(ids, kind)
    for _ in range(inbox.patience.attempts):
        await inbox.drain()
        inbox.clock.advance(minutes=2)
    inbox.till.failing.clear()


async def test_the_list_tells_what_became_of_each_webhook(inbox: InboxDesk, run: Run) -> None:
    ids = await put(inbox, "r1", "r2", "r3", "r4")
    await bury(inbox, ids[1])
    inbox.till.failing[ids[3]] = UNAVAILABLE
    queued = await put(inbox, "r5", provider="other")
    document = await read(run, "list")
    assert document["schema"] == {"name": "croupier.inbox.list", "version": 1}
    told = [(one["id"], one["state"], one["result"], one["code"]) for one in document["deliveries"]]
    assert told == [
        (shown(queued[0]), "queued", None, None),
        (shown(ids[3]), "done", "applied", "ok"),
        (shown(ids[2]), "done", "applied", "ok"),
        (shown(ids[1]), "dead", None, "unavailable"),
        (shown(ids[0]), "done", "applied", "ok"),
    ]
    first = document["deliveries"][-1]
    assert (first["delivery_id"], first["round_id"], first["amount"], first["asset"]) == (
        "acme-r1",
        "r1",
        "1250",
        "EUR",
    )
    plain = await run("list")
    assert shown(ids[1]) in plain.stdout
    assert "12.50 EUR" in plain.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--state", "done"), ["r3", "r1"]),
        (("--state", "applied"), ["r3", "r1"]),
        (("--state", "dead"), ["r2"]),
        (("--state", "queued"), ["r5"]),
        (("--state", "waiting"), ["r4"]),
        (("--state", "refused"), []),
        (("--provider", "other"), ["r5"]),
        (("--round", "r3"), ["r3"]),
        (("--type", "round.completed"), ["r4"]),
        (("--player", "nobody"), []),
        (("--session", f"ses_{SESSION.hex}", "--limit", "2"), ["r5", "r4"]),
        (("--from", "1h"), ["r5", "r4", "r3", "r2", "r1"]),
        (("--from", "1h", "--to", "30m"), []),
        (("--provider", "acme", "--state", "done", "--limit", "1"), ["r3"]),
    ],
)
async def test_the_list_can_be_narrowed(
    inbox: InboxDesk, run: Run, options: tuple[str, ...], expected: list[str]
) -> None:
    ids = await put(inbox, "r1", "r2", "r3")
    await inbox.put(
        inbox.mailbox.make("round.completed", completed(SESSION, "player-1", "c1", round_id="r4"))
    )
    async with open_desk(inbox.url) as desk:

        async def submit(call: Any) -> Any:
            lanes = desk.lanes if call.actions[0].round_id == "r4" else inbox.till
            return await lanes.submit(call)

        inbox.till.failing[ids[1]] = UNAVAILABLE
        for _ in range(3):
            await inbox.drain(inbox.edge(submit))
            inbox.clock.advance(minutes=2)
    await put(inbox, "r5", provider="other")
    found = await read(run, "list", *options)
    assert [one["round_id"] for one in found["deliveries"]] == expected


async def test_the_list_goes_on_where_the_last_page_ended(inbox: InboxDesk, run: Run) -> None:
    ids = await put(inbox, *(f"r{number}" for number in range(5)))
    seen: list[str] = []
    options: tuple[str, ...] = ()
    while page := (await read(run, "list", "--limit", "2", *options))["deliveries"]:
        seen += [one["id"] for one in page]
        options = ("--before", page[-1]["id"])
    assert seen == [shown(id_) for id_ in reversed(ids)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--state", "asleep"),
        ("list", "--before", "nonsense"),
        ("list", "--from", "yesterday"),
        ("list", "--refused", "--round", "r1"),
        ("redrive", *REASON),
        ("redrive", "--all"),
        ("redrive", "--all", "--reason", " "),
        ("redrive", "nonsense", *REASON),
    ],
)
async def test_nonsense_and_changes_without_reason_or_selection_are_wrong_usage(
    run: Run, arguments: tuple[str, ...]
) -> None:
    ended = await run(*arguments)
    assert ended.exit_code == 2, ended.output


async def refuse(inbox: InboxDesk, delivery_id: str) -> None:
    """A webhook that was turned away, as intake keeps it."""
    refusals = Refusals(inbox.connection, IdSource())
    head = parse_head({
        "method": "POST", "path": "/webhooks/acme", "raw_path": b"/webhooks/acme", "query_string": b"",
        "headers": [(b"webhook-id", delivery_id.encode()), (b"webhook-signature", b"v1,c2VjcmV0LXNpZ25hdHVyZQ==")],
    })  # fmt: skip
    error = CroupierError(
        UNAUTHENTICATED, "the signature does not match this request and key", reason="mismatch"
    )
    refusals.note("acme", head, b'{"type":"jackpot.won","data":{"player_id":"anna"}}', error, clock())
    await refusals.write()


async def test_refused_webhooks_are_listed_with_the_reason_and_shown_with_what_was_wrong(
    inbox: InboxDesk, run: Run
) -> None:
    await refuse(inbox, "msg-9")
    (listed,) = (await read(run, "list", "--refused"))["refused"]
    assert (
        listed["provider"],
        listed["delivery_id"],
        listed["code"],
        listed["reason"],
        listed["status"],
    ) == (
        "acme",
        "msg-9",
        "unauthenticated",
        "mismatch",
        401,
    )
    assert (await read(run, "list", "--refused", "--provider", "other"))["refused"] == []
    for name in ("msg-9", listed["id"]):
        document = await read(run, "show", name)
        assert document["deliveries"] == []
        (found,) = document["refused"]
        assert found["detail"] == "the signature does not match this request and key"
        assert found["body_bytes"] == 50
        assert "anna" not in json.dumps(document)
        assert "c2VjcmV0LXNpZ25hdHVyZQ" not in json.dumps(document)
    plain = await run("show", "msg-9")
    assert "what was wrong" in plain.stdout
    assert "mismatch" in plain.stdout


async def test_one_webhook_is_shown_with_its_proof_its_body_and_what_moved(
    inbox: InboxDesk, run: Run
) -> None:
    async with open_desk(inbox.url) as desk:
        seat: Seat = await desk.seat("player-1")
        data = jackpot(seat.session_id, "player-1", "j1", 500)
        (id_,) = await inbox.put(inbox.mailbox.make("jackpot.won", data, "msg-77"))
        await inbox.drain(inbox.edge(desk.lanes.submit))
    (by_id,) = (await read(run, "show", shown(id_)))["deliveries"]
    (by_sender,) = (await read(run, "show", "msg-77"))["deliveries"]
    assert by_id == by_sender
    assert (by_id["state"], by_id["queue"], by_id["dead"]) == ("done", None, None)
    (result,) = by_id["results"]
    assert (result["result"], result["moved"], result["asset"], result["replay"]) == (
        "applied",
        "500",
        "EUR",
        None,
    )
    assert result["journal_id"].startswith("jrn_")
    assert by_id["body"]["data"] == data
    assert by_id["verified"]["key_id"] == "acme-1"
    headers = dict(by_id["headers"])
    assert headers["webhook-id"] == "msg-77"
    assert headers["webhook-signature"].endswith("***")
    assert len(headers["webhook-signature"]) == 11
    plain = (await run("show", "msg-77")).stdout
    assert "moved 5.00 EUR" in plain
    assert '"reference": "j1"' in plain
    assert result["journal_id"] in plain


async def test_a_webhook_that_is_being_tried_is_shown_with_its_next_attempt(
    inbox: InboxDesk, run: Run
) -> None:
    (id_,) = await put(inbox, "r1")
    inbox.till.failing[id_] = UNAVAILABLE
    await inbox.drain()
    (found,) = (await read(run, "show", shown(id_)))["deliveries"]
    assert (found["state"], found["queue"]["attempts"], found["queue"]["last_error"]) == (
        "queued",
        1,
        "unavailable",
    )
    assert found["queue"]["next_attempt_at"] > found["received_at"]
    plain = (await run("show", shown(id_))).stdout
    assert "unavailable: as the test said" in plain
    await bury(inbox, id_)
    (found,) = (await read(run, "show", shown(id_)))["deliveries"]
    assert (found["state"], found["dead"]["cause"], found["dead"]["attempts"]) == ("dead", "unavailable", 3)
    assert "dead since" in (await run("show", shown(id_))).stdout


async def test_what_nobody_knows_is_said_so(run: Run) -> None:
    ended = await run("show", "dlv_" + "0" * 32)
    assert ended.exit_code == 1
    assert "no webhook is known by" in ended.stderr


async def test_dead_letters_are_grouped_with_count_age_money_and_what_to_do(
    inbox: InboxDesk, run: Run
) -> None:
    first = await put(inbox, "r1", "r2", "r3")
    await bury(inbox, first[0], first[1])
    yen = await put(inbox, "r4", asset="JPY")
    await bury(inbox, *yen)
    other = await put(inbox, "r5", provider="other")
    await bury(inbox, *other, kind=INTERNAL)
    groups = (await read(run, "dead"))["groups"]
    told = [
        (one["provider"], one["cause"], one["type"], one["count"], one["example"], one["stakes"])
        for one in groups
    ]
    assert told == [
        (
            "acme",
            "unavailable",
            "jackpot.won",
            3,
            shown(first[0]),
            [
                {"asset": "EUR", "amount": "2500", "without_amount": 0},
                {"asset": "JPY", "amount": "1250", "without_amount": 0},
            ],
        ),
        (
            "other",
            "internal",
            "jackpot.won",
            1,
            shown(other[0]),
            [{"asset": "EUR", "amount": "1250", "without_amount": 0}],
        ),
    ]
    assert 170 < groups[0]["oldest_age_s"] < 400
    assert groups[0]["detail"] == "as the test said"
    assert "redrive" in groups[0]["advice"]
    assert [one["provider"] for one in (await read(run, "dead", "--provider", "other"))["groups"]] == [
        "other"
    ]
    plain = (await run("dead")).stdout
    assert "25.00 EUR, 1250 JPY" in plain
    assert f"croupier inbox show {shown(first[0])}" in plain


async def test_no_dead_letters_are_said_so(run: Run) -> None:
    assert (await run("dead")).stdout == "no dead letters\n"
    ended = await run("redrive", "--all", *REASON)
    assert ended.exit_code == 1
    assert "no dead letter is like that" in ended.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--cause", "unavailable"), [0, 1, 2]),
        (("--cause", "unavailable", "--limit", "2"), [0, 1]),
        (("--provider", "other"), [3]),
        (("--cause", "unavailable", "--provider", "other"), []),
        (("--type", "jackpot.won"), [0, 1, 2, 3]),
        (("--all",), [0, 1, 2, 3]),
        (("--all", "--limit", "3"), [0, 1, 2]),
    ],
)
async def test_dead_letters_go_back_by_filter_and_are_processed(
    inbox: InboxDesk, run: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], expected: list[int]
) -> None:
    monkeypatch.setattr("croupier.inbox.dead.REDRIVE_BATCH", 2)
    ids = await put(inbox, "r1", "r2", "r3")
    await bury(inbox, *ids)
    ids += await put(inbox, "r4", provider="other")
    await bury(inbox, ids[3], kind=INTERNAL)
    ended = await run("redrive", *options, *REASON)
    assert ended.exit_code == (0 if expected else 1), ended.output
    rows = await inbox.connection.fetch("SELECT id, attempts, fence, order_key FROM inbox_queue ORDER BY id")
    # Ids of two senders in one millisecond have no order.
    assert [row["id"] for row in rows] == sorted(ids[place] for place in expected)
    assert {row["attempts"] for row in rows} <= {0}
    assert {row["fence"] for row in rows} <= {3}, (
        "a worker that slept cannot mistake the new lease for its own"
    )
    await require_every_delivery_accounted_for(inbox.connection)
    await inbox.drain()
    said = await inbox.said(*ids)
    assert said == [("applied", "ok") if place in expected else None for place in range(4)]


async def test_a_redrive_by_id_says_what_was_none_and_stands_in_the_audit_log(
    inbox: InboxDesk, run: Run
) -> None:
    ids = await put(inbox, "r1", "r2", "r3")
    await bury(inbox, *ids[:2])
    document = await read(run, "redrive", shown(ids[0]), shown(ids[2]), *REASON)
    assert (document["redriven"], document["ids"], document["not_dead"]) == (
        1,
        [shown(ids[0])],
        [shown(ids[2])],
    )
    assert await inbox.dead(ids[1]) is not None
    record = await inbox.connection.fetchrow(
        "SELECT action, reason, actor, details::text AS details FROM audit_record"
    )
    assert (record["action"], record["reason"]) == ("inbox.redriven", REASON[1])
    assert record["actor"].startswith("cli:")
    details = json.loads(record["details"])
    assert (details["redriven"], details["ids"]) == (1, [shown(ids[0]), shown(ids[2])])


async def test_the_status_tells_depth_lag_rate_and_that_nobody_works(inbox: InboxDesk, run: Run) -> None:
    ids = await put(inbox, "r1", "r2")
    await bury(inbox, ids[0])
    await put(inbox, "r3", "r4", "r5")
    (level,) = (await read(run, "status"))["providers"]
    assert (level["provider"], level["queued"], level["waiting"], level["dead"]) == ("acme", 3, 0, 1)
    assert 170 < level["lag_s"] < 400
    assert level["measured_age_s"] is None
    assert "nothing works on the queue" in (await run("status")).stdout
    inbox.clock.at = clock()
    stop, told = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        run_inbox(inbox.edge(), Keeping(), stop, observe_levels=lambda levels: told.set() if levels else None)
    )
    async with asyncio.timeout(10):
        await told.wait()
    stop.set()
    await task
    plain = await run("status")
    assert "nothing works on the queue" not in plain.stdout
    (level,) = (await read(run, "status", "--provider", "acme"))["providers"]
    assert level["measured_age_s"] < 60
