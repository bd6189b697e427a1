"""Every bench runs at a tiny size and reports in the agreed form; the comparison gateway answers as ours does.

Nothing here asserts a speed: that is what `croupier bench` is for.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from croupier.bench.callbacks import CallbacksPlan, bench_callbacks
from croupier.bench.children import ChildFailed
from croupier.bench.growth import GrowthPlan, bench_growth
from croupier.bench.inbox import DRAINED, InboxPlan, bench_inbox
from croupier.bench.ledger import LedgerPlan, bench_ledger
from croupier.bench.load import is_whole
from croupier.bench.memory import MemoryPlan, bench_memory
from croupier.bench.naive.app import make_app
from croupier.bench.naive.serve import prepare_naive
from croupier.bench.pgbench import read_summary
from croupier.bench.remote_wallet import (
    RemoteWalletPlan,
    added_ms,
    bench_remote_wallet,
    cost_ms,
    possible_per_second,
)
from croupier.bench.report import (
    Document,
    Samples,
    check_at_least,
    check_at_most,
    median_ratio,
    p99_of,
    percentile_us,
    rate_of,
    render_markdown,
    run_of,
)
from croupier.bench.seats import ASSET, GAME, PROVIDER, PURSE, Seat, open_lanes, open_seats, utc_now
from croupier.bench.stage import SQL
from croupier.cli.bench import tell_document
from croupier.cli.output import Output
from croupier.cli.settings import Settings
from croupier.ids import SESSION, render_id
from croupier.money import Asset, AssetRegistry
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.callbacks import Callbacks, Edge
from croupier.providers.contract import ProviderAccount
from croupier.providers.contract import Seat as FoundSeat
from croupier.runtime.database import connect_owner
from croupier_signing import SigningKey, random_nonce, sign_native

KEY = SigningKey("bench-in-1", b"thirty-two bytes of a test key..")
KEYS_OF_A_DOCUMENT = {"bench", "machine", "runs", "ratio", "floor", "goal", "verdict"}
KEYS_OF_A_RUN = {"design", "per_second", "p50_ms", "p99_ms", "errors"}
Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def stay_silent(_: str) -> None:
    """Take a line of progress."""


def read_back(document: Document, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Print the document as `--json` does and check what every document must have."""
    settings = Settings()
    settings.is_json = True
    tell_document(Output(settings), document)
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed["schema"] == {"name": "croupier.bench", "version": 1}
    assert printed.keys() > KEYS_OF_A_DOCUMENT
    assert printed["machine"]["settings"]["fsync"] == "on"
    assert printed["machine"]["settings"]["synchronous_commit"] == "on"
    assert printed["machine"]["commit_p50_ms"] > 0
    assert printed["verdict"] in ("goal", "floor", "below")
    again = msgspec.convert(printed, Document)
    assert render_markdown(again) == render_markdown(document)
    for run in printed["runs"]:
        assert run.keys() >= KEYS_OF_A_RUN
        assert run["per_second"] > 0, run
        assert run["errors"] == 0, (run, printed["notes"])
    return printed


async def test_the_ledger_bench_reports_every_design(capsys: pytest.CaptureFixture[str]) -> None:
    plan = LedgerPlan(seconds=0.5, rounds=1, wallets=40, callers=8, warmup_s=0.2)
    printed = read_back(await bench_ledger(plan, stay_silent), capsys)
    assert [run["design"].split()[0] for run in printed["runs"]] == [
        "lanes", "lanes", "lanes", "lanes-hot", "pgbench", "idle", "idle:",
    ]  # fmt: skip
    assert printed["ratio"].keys() == {"per_second", "p99", "hot_per_spread", "idle_per_commit"}


async def test_the_callbacks_bench_reports_both_gateways(capsys: pytest.CaptureFixture[str]) -> None:
    plan = CallbacksPlan(seconds=1.0, rounds=1, wallets=40, connections=4, warmup_s=0.2)
    printed = read_back(await bench_callbacks(plan, stay_silent), capsys)
    assert len(printed["runs"]) == 2
    assert printed["ratio"]["per_second"] > 0


async def test_the_remote_wallet_bench_reports_every_design_at_every_latency(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = RemoteWalletPlan(
        seconds=1.0, rounds=1, wallets=40, connections=4, warmup_s=0.2, latencies_ms=(1, 20)
    )
    printed = read_back(await bench_remote_wallet(plan, stay_silent), capsys)
    assert len(printed["runs"]) == 2 * (3 + 2 + 3)
    for run in printed["runs"]:
        assert run["p50_ms"] >= (20 if ", 20 ms, " in run["design"] else 1), run
    assert printed["ratio"]["added_bet_p50_ms_one_connection_at_20_ms"] > 0
    assert len(printed["checks"]) == 1 + 2 * 2 + 3


def test_what_is_possible_is_bounded_by_the_wallet_or_by_what_its_time_leaves_of_the_connections() -> None:
    assert possible_per_second(direct=900.0, connections=64, latency_ms=50) == 900.0
    assert round(possible_per_second(direct=9_000.0, connections=64, latency_ms=50)) == 1208
    assert round(possible_per_second(direct=9_000.0, connections=64, latency_ms=1)) == 9_000


def test_added_latency_is_compared_within_a_turn_and_by_kind() -> None:
    def turn(bet_us: int, win_us: int) -> Samples:
        kinds = {"bet": [bet_us] * 3, "win": [win_us] * 3}
        return Samples(
            calls=6, errors=0, seconds=1.0, latencies_us=[*kinds["bet"], *kinds["win"]], kinds_us=kinds
        )

    ours = [turn(5_000, 4_000), turn(90_000, 80_000), turn(7_000, 4_500)]
    direct = [turn(2_000, 1_000), turn(80_000, 79_000), turn(3_000, 2_000)]
    assert added_ms(ours, direct, "bet") == 4.0
    assert added_ms(ours, direct, "win") == 2.5


def test_what_a_call_costs_is_its_share_of_a_turn_beside_the_wallets() -> None:
    def turn(calls: int) -> Samples:
        return Samples(calls=calls, errors=0, seconds=2.0, latencies_us=[1] * calls)

    assert cost_ms([turn(1000), turn(500), turn(800)], [turn(4000), turn(4000), turn(2000)]) == 1.5
    assert cost_ms([turn(0)], [turn(10)]) == math.inf


async def test_the_inbox_bench_keeps_floods_and_drains(capsys: pytest.CaptureFixture[str]) -> None:
    plan = InboxPlan(
        seconds=1.0,
        rounds=1,
        callers=4,
        wallets=20,
        backlog=200,
        calls_per_second=20,
        webhooks_per_second=50,
        warmup_s=0.2,
    )
    printed = read_back(await bench_inbox(plan, stay_silent), capsys)
    assert len(printed["runs"]) == 7
    assert {run["design"]: run["errors"] for run in printed["runs"]}[DRAINED] == 0
    assert all(run["per_second"] > 0 for run in printed["runs"])


def test_the_yardstick_reads_what_pgbench_prints() -> None:
    printed = "number of transactions actually processed: 2400\ntps = 1200.500000 (without initial connection time)\n"
    read = read_summary(printed)
    assert read.calls == 2400
    assert round(rate_of(read), 1) == 1200.5
    with pytest.raises(ChildFailed, match="no rate"):
        read_summary("pgbench: error")


async def test_the_memory_bench_reads_a_worker_after_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    plan = MemoryPlan(calls=300, wallets=20, connections=4)
    printed = read_back(await bench_memory(plan, stay_silent), capsys)
    readings = printed["machine"]["readings"]
    assert [reading["calls"] for reading in readings][:3] == [0, 30, 60]
    assert all(reading["resident_mib"] > 10 for reading in readings)


async def test_the_growth_bench_loads_a_past_and_compares(capsys: pytest.CaptureFixture[str]) -> None:
    plan = GrowthPlan(entries=1000, seconds=0.5, rounds=1, wallets=40, callers=8, warmup_s=0.2)
    printed = read_back(await bench_growth(plan, stay_silent), capsys)
    assert [run["design"] for run in printed["runs"]] == ["empty", "after 1,000 entries"]


def test_targets_are_judged_in_their_direction() -> None:
    assert check_at_least("rate", 3.0, floor=1.5, goal=3.0).verdict == "goal"
    assert check_at_least("rate", 2.9, floor=1.5, goal=3.0).verdict == "floor"
    assert check_at_least("rate", 1.4, floor=1.5, goal=3.0).verdict == "below"
    assert check_at_most("latency", 0.1, floor=0.25, goal=0.1).verdict == "goal"
    assert check_at_most("latency", 0.26, floor=0.25, goal=0.1).verdict == "below"
    # A goal that is easier than its floor does not excuse missing the floor.
    assert check_at_most("latency", 3.0, floor=2.0, goal=4.0).verdict == "below"


def test_medians_are_taken_over_turns_and_ratios_within_them() -> None:
    ours = [Samples(calls=n, errors=0, seconds=1.0, latencies_us=[n]) for n in (10, 60, 20)]
    theirs = [Samples(calls=n, errors=0, seconds=1.0, latencies_us=[2]) for n in (10, 10, 10)]
    assert run_of("ours", ours).per_second == 20.0
    assert median_ratio(ours, theirs, rate_of) == 2.0
    assert median_ratio(ours, theirs, p99_of) == 10.0
    assert percentile_us(list(range(100)), 0.99) == 99


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_answer_in_pieces_is_whole_only_at_its_end(cut: int) -> None:
    answer = b'HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{"status":"approved"}'
    assert is_whole(answer)
    assert not is_whole(answer[:-cut])


async def find_nobody(_: str, __: UUID | None, ___: tuple[str, ...]) -> FoundSeat | None:
    """No seat: a native call says itself whose session it is about."""
    return None


@asynccontextmanager
async def our_gateway(url: str) -> AsyncIterator[Asgi]:
    """The callbacks over real lanes."""
    account = ProviderAccount(
        id=PROVIDER,
        adapter="croupier_v1",
        base_url="",
        inbound_keys={KEY.id: KEY},
        outbound_key=KEY,
        assets=AssetRegistry([Asset(ASSET, 2)]),
        contract_for=lambda *, asset, game_id, at: None,
    )
    async with open_lanes(url, 1) as (lanes, ids):
        edge = Edge(
            accounts={PROVIDER: (account, ADAPTER)},
            submit=lanes.submit,
            find_seat=find_nobody,
            new_token=random_nonce,
            ids=ids,
            now=utc_now,
            observe=lambda _: None,
        )
        yield Callbacks(edge)


@asynccontextmanager
async def their_gateway(url: str) -> AsyncIterator[Asgi]:
    """The comparison, in the same process."""
    app = make_app(url, KEY)
    async with app.router.lifespan_context(app):
        yield app


async def exchange(app: Asgi, operation: str, body: dict[str, Any], *, nonce: str = "") -> tuple[int, Any]:
    """Send one signed request; the status and the decoded body."""
    path = f"/providers/{PROVIDER}/v1/{operation}".encode()
    content = msgspec.json.encode(body)
    signature = sign_native(
        KEY,
        method="POST",
        path=path,
        query=b"",
        timestamp_s=int(datetime.now(UTC).timestamp()),
        nonce=nonce or random_nonce(),
        body=content,
    )
    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        (b"authorization", signature.encode()),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path.decode(), "raw_path": path, "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], msgspec.json.decode(b"".join(message.get("body", b"") for message in sent))


def script(run: str, seat: Seat) -> Sequence[tuple[str, dict[str, Any], str]]:
    """Operation, body and nonce of each request: what happens in play, and what must not happen."""
    common = {
        "session_id": render_id(SESSION, seat.session_id),
        "player_id": seat.player_id,
        "round_id": f"{run}-1",
        "occurred_at": "2026-01-01T00:00:00+00:00",
    }
    money = {**common, "game_id": GAME, "asset": ASSET}
    bet = {**money, "reference": f"{run}-b1", "amount": "100"}
    close = {**common, "reference": f"{run}-c1", "outcome": {"face": 4}}
    return (
        ("bet", bet, ""),
        ("bet", bet, ""),
        ("bet", {**bet, "amount": "101"}, ""),
        ("bet", {**money, "reference": f"{run}-b2", "amount": str(PURSE)}, ""),
        ("bet", {**money, "reference": f"{run}-b2", "amount": str(PURSE)}, ""),
        ("win", {**money, "reference": f"{run}-w1", "amount": "50"}, ""),
        ("win", {**money, "reference": f"{run}-w2", "amount": "0"}, ""),
        ("win", {**money, "reference": f"{run}-w1", "amount": "50"}, ""),
        ("close-round", close, ""),
        ("close-round", close, ""),
        ("bet", {**money, "reference": f"{run}-b3", "amount": "1"}, ""),
        ("win", {**money, "reference": f"{run}-w3", "amount": "7"}, ""),
        ("bet", {**money, "reference": f"{run}-b4", "round_id": f"{run}-2", "amount": "1"}, f"{run}-once-is-enough"),
        ("bet", {**money, "reference": f"{run}-b4", "round_id": f"{run}-2", "amount": "1"}, f"{run}-once-is-enough"),
        ("bet", {**money, "reference": f"{run}-b5", "amount": "01"}, ""),
        ("bet", {**money, "reference": f"{run}-b6", "session_id": "ses_" + "0" * 32, "amount": "1"}, ""),
    )  # fmt: skip


def comparable(run: str, status: int, body: dict[str, Any]) -> tuple[Any, ...]:
    """An answer without what differs by nature: the run's name and the journal's id."""
    if status != 200:
        return status, body["code"]
    fields = dict(
        body, reference=body["reference"].removeprefix(run), journal_id=body["journal_id"] is not None
    )
    return status, fields


async def rows_of(url: str, seat: Seat) -> list[Any]:
    """How many rows of each kind a player has, and what session and rounds add up to."""
    connection = await connect_owner(url)
    try:
        record = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM money_reference WHERE player_id = $1) AS refs,"
            " (SELECT count(*) FROM journal_entry WHERE player_id = $1) AS entries,"
            " (SELECT count(*) FROM posting p JOIN journal_entry e ON e.bucket = p.bucket AND e.id = p.entry_id"
            "   WHERE e.player_id = $1) AS postings,"
            " (SELECT count(*) FROM session_event WHERE session_id = $2) AS events,"
            " (SELECT balance FROM account WHERE owner = $1 AND kind = 'player_wallet') AS balance,"
            " (SELECT array_agg((state, bets, live_bets, staked, won) ORDER BY provider_round_id)::text FROM round"
            "   WHERE session_id = $2) AS rounds,"
            " (SELECT (state, seq, rounds_open, staked, won)::text FROM session WHERE id = $2) AS session",
            seat.player_id,
            seat.session_id,
        )
    finally:
        await connection.close()
    return list(record)


async def test_the_comparison_gives_the_same_answers_and_writes_the_same_rows(database_url: str) -> None:
    connection = await connect_owner(database_url)
    await connection.execute(SQL["create_bench_schema"].sql)
    await connection.close()
    await prepare_naive(database_url)
    answers: dict[str, list[Any]] = {}
    rows: dict[str, list[Any]] = {}
    for run, gateway in (("ours", our_gateway), ("naive", their_gateway)):
        (seat,) = await open_seats(database_url, 1, prefix=run)
        async with gateway(database_url) as app:
            replies = [
                await exchange(app, name, body, nonce=nonce) for name, body, nonce in script(run, seat)
            ]
        answers[run] = [comparable(run, *reply) for reply in replies]
        rows[run] = await rows_of(database_url, seat)
    assert answers["naive"] == answers["ours"]
    assert rows["naive"] == rows["ours"]
    codes = [answer[1] if answer[0] != 200 else answer[1]["code"] for answer in answers["ours"]]
    assert codes == [
        "ok", "ok", "reference_conflict", "insufficient_funds", "insufficient_funds", "ok", "ok", "ok", "ok", "ok",
        "round_closed", "ok", "ok", "unauthenticated", "malformed", "unknown_session",
    ]  # fmt: skip
