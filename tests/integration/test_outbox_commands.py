"""`croupier events` on a real database and real sockets: what it prints, refuses, and how it ends."""

import asyncio
import base64
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from outbox_stage import Clock, Receiver, Stage, endpoint_at, open_stage, outbox_of, receiving
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.events import BREAK_OPENED, EVENT_TYPES
from croupier.operator.outbox.catalogue import render_schema
from croupier.runtime.config.starter import write_starter

ROOT = Path(__file__).parents[2]
SECRET = b"thirty-two-bytes-of-a-new-secret"
WHSEC = "whsec_" + base64.b64encode(SECRET).decode()
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        opened.clock = Clock(datetime.now(UTC).replace(microsecond=0))
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
def run(database_url: str, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a starter's folder whose configuration has the endpoint `platform` and NATS."""
    write_starter(tmp_path)
    (tmp_path / "events.key").write_text(WHSEC)
    (tmp_path / "events.key").chmod(0o600)
    with (tmp_path / "croupier.toml").open("a") as file:
        file.write(
            f'[outbox]\nnats_url = "nats://127.0.0.1:1"\n[[outbox.endpoints]]\nid = "platform"\n'
            f'url = "{receiver.url}"\nsecrets = ["file:events.key"]\nallow_private = true\n'
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)

    async def invoke(*arguments: str) -> Any:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), catch_exceptions=False)

    return invoke


async def document(run: Run, *arguments: str) -> Any:
    ended = await run(*arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


async def deliver(
    stage: Stage, receiver: Receiver, *statuses: int, schedule_s: tuple[int, ...] = (60,)
) -> None:
    """Give new events to the endpoint and make what is due."""
    receiver.statuses = list(statuses)
    outbox = outbox_of(endpoint_at(receiver.url), schedule_s=schedule_s)
    await stage.fan_out(outbox)
    async with stage.delivering(outbox.endpoints[0], outbox) as drain:
        await drain()


async def test_the_catalogue_has_every_type_with_its_schema(run: Run) -> None:
    assert (await run("events", "catalogue")).stdout.count("\n") == len(EVENT_TYPES) + 1
    types = (await document(run, "events", "catalogue"))["types"]
    assert {one["type"]: one["schema"] for one in types} == {
        type_: render_schema(type_) for type_ in EVENT_TYPES
    }


async def test_the_list_says_where_each_event_is(run: Run, stage: Stage, receiver: Receiver) -> None:
    delivered, failing = await stage.add_events(2)
    await deliver(stage, receiver, 204, 500)
    fresh = await stage.add_event(type_=BREAK_OPENED)
    lines = (await run("events", "list")).stdout.splitlines()[1:]
    assert [line.partition("\t")[0] for line in lines] == [fresh, failing, delivered]
    assert lines[0].endswith("not given to anybody yet")
    assert {lines[1].rpartition("\t")[2], lines[2].rpartition("\t")[2]} == {
        "platform: waiting after 1 attempt",
        "platform: delivered",
    }
    waiting = (await document(run, "events", "list", "--undelivered"))["events"]
    assert [one["event_id"] for one in waiting][:1] == [fresh]
    assert len(waiting) == 2
    only = (await document(run, "events", "list", "--type", BREAK_OPENED))["events"]
    assert [(one["event_id"], one["given"]) for one in only] == [(fresh, False)]
    older = (await document(run, "events", "list", "--before", failing))["events"]
    assert [one["event_id"] for one in older] == [delivered]
    session = only[0]["session_id"]
    assert len((await document(run, "events", "list", "--session", session))["events"]) == 3


async def test_one_event_is_shown_with_payload_and_every_attempt(
    run: Run, stage: Stage, receiver: Receiver
) -> None:
    event_id = await stage.add_event()
    await deliver(stage, receiver, 500)
    stage.clock.advance(minutes=1)
    await deliver(stage, receiver, 204)
    shown = await document(run, "events", "show", event_id)
    assert shown["payload"]["data"]["player_id"] == "sample-player"
    assert [(one["attempt"], one["result"], one["status"]) for one in shown["attempts"]] == [
        (1, "failed", 500),
        (2, "delivered", 204),
    ]
    text = (await run("events", "show", event_id)).stdout
    assert "answered 500" in text
    assert '"type": "money.moved"' in text
    missing = await run("events", "show", "evt_" + 32 * "0")
    assert missing.exit_code == 1
    assert "there is no event" in missing.stderr


async def test_endpoints_tell_their_state_and_why(run: Run, stage: Stage, receiver: Receiver) -> None:
    found = {one["endpoint"]: one for one in (await document(run, "events", "endpoints"))["endpoints"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "platform": "nothing_sent_yet",
        "nats": "nothing_sent_yet",
    }
    await stage.add_events(2)
    await deliver(stage, receiver, 503, 503)
    await stage.pool.execute("INSERT INTO outbox_endpoint (bucket, endpoint) VALUES (1, 'forgotten')")
    found = {one["endpoint"]: one for one in (await document(run, "events", "endpoints"))["endpoints"]}
    platform = found["platform"]
    assert (platform["state"], platform["waiting"], platform["last_error"]) == ("failing", 2, "answered 503")
    assert platform["url"] == receiver.url
    assert found["forgotten"]["state"] == "not_configured"
    assert "failing" in (await run("events", "endpoints")).stdout


async def test_an_endpoint_is_switched_off_and_on_with_a_reason(
    run: Run, stage: Stage, receiver: Receiver
) -> None:
    ended = await run("events", "disable", "platform", "--reason", "maintenance")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines() == ["platform: disabled", "0 events wait"]
    await stage.add_event()
    await deliver(stage, receiver)
    assert not receiver.got
    assert (await document(run, "events", "disable", "platform", "--reason", "again"))["changed"] is False
    (state,) = [
        one
        for one in (await document(run, "events", "endpoints"))["endpoints"]
        if one["endpoint"] == "platform"
    ]
    assert state["state"] == "disabled"
    assert re.fullmatch(r"maintenance \(cli:.+\)", state["disabled_because"])
    enabled = await document(run, "events", "enable", "platform", "--reason", "done")
    # The event about the switching itself waits too.
    assert (enabled["changed"], enabled["waiting"]) == (True, 2)
    await deliver(stage, receiver)
    assert len(receiver.got) == 2
    records = (await document(run, "audit", "list", "--subject", "endpoint:platform"))["records"]
    assert [(one["action"], one["reason"]) for one in records] == [
        ("endpoint.enabled", "done"),
        ("endpoint.disabled", "maintenance"),
    ]


async def test_named_events_are_sent_again_and_attempts_go_on_counting(
    run: Run, stage: Stage, receiver: Receiver
) -> None:
    event_id, other = await stage.add_events(2)
    await deliver(stage, receiver)
    sent = await document(
        run, "events", "redeliver", event_id, event_id, "--endpoint", "platform", "--reason", "x"
    )
    assert sent["deliveries"] == 1
    stage.clock.at = datetime.now(UTC) + timedelta(seconds=1)
    await deliver(stage, receiver)
    assert sorted(receiver.ids) == sorted([event_id, event_id, other])
    shown = await document(run, "events", "show", event_id)
    assert [(one["attempt"], one["result"]) for one in shown["attempts"]] == [
        (1, "delivered"),
        (2, "delivered"),
    ]
    (record,) = (await document(run, "audit", "list", "--action", "events.redelivered"))["records"]
    assert record["details"]["events"] == [event_id]


async def test_an_event_that_waits_for_its_next_attempt_is_due_at_once_and_its_schedule_begins_anew(
    run: Run, stage: Stage, receiver: Receiver
) -> None:
    event_id = await stage.add_event()
    await deliver(stage, receiver, 500, schedule_s=(3600,))
    assert (await document(run, "events", "redeliver", event_id, "--endpoint", "platform", "--reason", "x"))[
        "deliveries"
    ] == 1
    stage.clock.at = datetime.now(UTC) + timedelta(seconds=1)
    await deliver(stage, receiver, 500, schedule_s=(3600,))
    shown = await document(run, "events", "show", event_id)
    assert [(one["attempt"], one["result"]) for one in shown["attempts"]] == [(1, "failed"), (2, "failed")]
    assert shown["consumers"][0]["state"] == "waiting"


async def test_events_that_were_given_up_are_sent_again_once(
    run: Run, stage: Stage, receiver: Receiver
) -> None:
    await stage.add_events(2)
    await deliver(stage, receiver, 500, 204, schedule_s=())
    (lost,) = [one for one in receiver.ids if await is_given_up(run, one)]
    for expected in (1, 0):
        sent = await document(
            run, "events", "redeliver", "--given-up", "--endpoint", "platform", "--reason", "it is back"
        )
        assert sent["deliveries"] == expected
    stage.clock.at = datetime.now(UTC) + timedelta(seconds=1)
    await deliver(stage, receiver)
    assert receiver.ids.count(lost) == 2
    nothing = await document(run, "events", "redeliver", "--given-up", "--reason", "to all")
    assert nothing["deliveries"] == 0


async def is_given_up(run: Run, event_id: str) -> bool:
    consumers = (await document(run, "events", "show", event_id))["consumers"]
    return any(one["state"] == "given_up" for one in consumers)


async def test_a_window_is_sent_to_one_endpoint_also_what_it_never_got(
    run: Run, stage: Stage, receiver: Receiver
) -> None:
    noon = stage.clock.now() - timedelta(minutes=5)
    wanted = [
        await stage.add_event(recorded_at=noon + timedelta(seconds=second), player_id=f"player-{second}")
        for second in range(5)
    ]
    await stage.add_event(recorded_at=noon + timedelta(seconds=60))
    await stage.fan_out(outbox_of())
    shown = [f"{at:%Y-%m-%dT%H:%M:%S}Z" for at in (noon, noon + timedelta(seconds=5))]
    sent = await document(
        run,
        "events",
        "redeliver",
        "--endpoint",
        "platform",
        "--from",
        shown[0],
        "--to",
        shown[1],
        "--reason",
        "x",
    )
    assert sent["deliveries"] == len(wanted)
    stage.clock.at = datetime.now(UTC) + timedelta(seconds=1)
    await deliver(stage, receiver)
    assert sorted(receiver.ids) == sorted(wanted)


@pytest.mark.parametrize(
    "arguments",
    [
        ("enable", "platform"),
        ("enable", "platform", "--reason", " "),
        ("redeliver", "--reason", "x"),
        ("redeliver", "--reason", "x", "--given-up", "evt_" + 32 * "0"),
        ("redeliver", "--reason", "x", "--from", "2026-03-01T12:00Z", "--to", "2026-03-01T13:00Z"),
        ("redeliver", "--reason", "x", "--endpoint", "platform", "--from", "2026-03-01T12:00Z"),
        (
            "redeliver",
            "--reason",
            "x",
            "--endpoint",
            "platform",
            "--from",
            "noon",
            "--to",
            "2026-03-01T13:00Z",
        ),
        (
            *("redeliver", "--reason", "x", "--endpoint", "platform"),
            *("--from", "2026-03-01T13:00Z", "--to", "2026-03-01T12:00Z"),
        ),
        ("redeliver", "--reason", "x", "dlv_" + 32 * "0"),
        ("list", "--type", "money.movd"),
        ("trigger", "money.moved"),
        ("trigger", "money.movd", "--endpoint", "platform"),
        ("trigger", "money.moved", "--endpoint", "platform", "--url", "http://127.0.0.1:1/"),
        ("trigger", "money.moved", "--endpoint", "platform", "--secret", "env:S"),
    ],
)
async def test_nonsense_and_changes_without_reason_are_wrong_usage(
    run: Run, arguments: tuple[str, ...]
) -> None:
    ended = await run("events", *arguments)
    assert ended.exit_code == 2, ended.output


async def test_an_unknown_endpoint_is_refused_with_the_nearest(run: Run) -> None:
    ended = await run("events", "disable", "plattform", "--reason", "x")
    assert ended.exit_code == 1
    assert 'did you mean "platform"?' in ended.stderr


async def test_a_sample_is_sent_like_a_real_event_and_the_answer_is_told(
    run: Run, receiver: Receiver
) -> None:
    sent = await document(run, "events", "trigger", "break.opened", "--endpoint", "platform")
    assert (sent["delivered"], sent["status"]) == (True, 204)
    (got,) = receiver.got
    assert got.verified_with(SECRET) == sent["payload"]
    receiver.statuses = [401]
    ended = await run("events", "trigger", "break.opened", "--endpoint", "platform")
    assert ended.exit_code == 1
    assert "answered 401" in ended.stdout
    assert "the answer" in ended.stdout


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "192.168.1.1", "[fd00::1]", "[::ffff:10.0.0.1]"]
)
async def test_a_sample_is_not_sent_into_the_network_unless_that_is_asked_for(run: Run, host: str) -> None:
    ended = await run("events", "trigger", "money.moved", "--url", f"http://{host}/events")
    assert ended.exit_code == 1
    assert "not a public address" in ended.stdout
    assert "--allow-private" in ended.stdout


async def test_a_sample_to_an_endpoint_has_the_endpoints_own_limits(run: Run) -> None:
    ended = await run("events", "trigger", "money.moved", "--endpoint", "platform", "--allow-private")
    assert ended.exit_code == 2
    assert "go with --url" in ended.stderr


async def test_no_sample_goes_to_nats(run: Run) -> None:
    ended = await run("events", "trigger", "money.moved", "--endpoint", "nats")
    assert ended.exit_code == 1
    assert "not published to NATS" in ended.stderr


@asynccontextmanager
async def listening(folder: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The command in a process of its own, and the address it listens on."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "croupier.cli.main", "events", "listen", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=folder, env=dict(os.environ),
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(20):
            greeting = (await process.stderr.readline()).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/", greeting)
        assert found, greeting
        yield process, found[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_receiver_at_a_desk_verifies_and_prints_what_trigger_sends(run: Run, tmp_path: Path) -> None:
    async with listening(tmp_path, "--secret", "file:events.key", "--once", "2", "--json") as (process, url):
        unsigned = await run("events", "trigger", "money.moved", "--url", url)
        assert unsigned.exit_code == 1
        assert "answered 401" in unsigned.stdout
        for type_ in ("money.moved", "round.closed"):
            ended = await run("events", "trigger", type_, "--url", url, "--secret", "file:events.key")
            assert ended.exit_code == 0, ended.output
        async with asyncio.timeout(10):
            output, _ = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in output.decode().splitlines()]
    assert {line["schema"]["name"] for line in lines} == {"croupier.events.listen"}
    assert [line["signature"] for line in lines] == ["mismatch", "ok", "ok"]
    assert [line["payload"]["type"] for line in lines[1:]] == ["money.moved", "round.closed"]


async def test_a_receiver_without_a_secret_checks_nothing_and_ends_on_ctrl_c(
    run: Run, tmp_path: Path
) -> None:
    async with listening(tmp_path) as (process, url):
        assert (await run("events", "trigger", "money.moved", "--url", url)).exit_code == 0
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            output, _ = await process.communicate()
    assert process.returncode == 0
    assert "money.moved  (unchecked)" in output.decode()


async def test_the_python_of_the_how_to_takes_what_is_sent_and_nothing_else(
    run: Run, receiver: Receiver
) -> None:
    text = (ROOT / "docs/how-to/receive-events.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    await document(run, "events", "trigger", "round.closed", "--endpoint", "platform")
    (got,) = receiver.got
    assert names["take"](WHSEC, got.body, got.headers)["type"] == "round.closed"
    assert names["take"](WHSEC, got.body + b" ", got.headers) is None
