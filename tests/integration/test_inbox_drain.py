"""Workers of the inbox: retries, poison, fairness, order, clocks that are off, ends (E3, I4, I9, I10, I12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from inbox_desk import InboxDesk, Till, native_accounts, odd_account, open_inbox
from lane_desk import balance_of, open_desk, read_value, require_sound_books
from msgspec import structs
from stored_webhooks import ACCOUNTS, Webhook, jackpot, require_every_delivery_accounted_for
from wire_proxy import WireProxy

from croupier.errors import INTERNAL, OVERLOADED, UNAVAILABLE, CroupierError, ErrorKind
from croupier.inbox.drain import NARROWEST, STEPS, Drain, DrainSettings
from croupier.inbox.process import Patience
from croupier.inbox.queue import Lease, claim_deliveries, insert_turn
from croupier.inbox.worker import Keeping, run_inbox
from croupier.moneypath.lane import LaneSettings
from croupier.providers.notices import Notice
from croupier.runtime.database import connect_app
from model.calls import NOW, PROVIDER

SESSION = UUID(int=0x5E55_0001_0000_7000_8000_0000_0000_0001)
WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def inbox(database_url: str) -> AsyncIterator[InboxDesk]:
    async with open_inbox(database_url) as made:
        yield made


def won(inbox: InboxDesk, reference: str, round_id: str = "r1", **fields: Any) -> Webhook:
    """A jackpot in a round of the usual session."""
    return inbox.mailbox.make(
        "jackpot.won", jackpot(SESSION, "player-1", reference, 5, round_id=round_id, **fields)
    )


async def put_rounds(inbox: InboxDesk, *rounds: str, provider: str = PROVIDER) -> list[UUID]:
    """One jackpot for each of these rounds, in this order."""
    start = inbox.mailbox.make("x", {}).id
    made = [won(inbox, f"{start}-{number}", round_id) for number, round_id in enumerate(rounds)]
    return await inbox.put(*made, provider=provider)


async def test_a_fault_that_may_pass_is_tried_again_and_holds_up_its_round_only(inbox: InboxDesk) -> None:
    ids = await put_rounds(inbox, "r1", "r1", "r2")
    inbox.till.failing[ids[0]] = UNAVAILABLE
    await inbox.drain()
    assert await inbox.said(*ids) == [None, None, ("applied", "ok")]
    row = await inbox.queued(ids[0])
    assert row is not None
    assert (
        row["attempts"],
        row["last_error"],
        row["last_detail"],
        row["first_failed_at"],
        row["is_waiting"],
    ) == (
        1,
        "unavailable",
        "as the test said",
        NOW,
        False,
    )
    assert inbox.clock() <= row["claimable_at"] <= inbox.clock() + timedelta(seconds=1)
    assert inbox.till.begun.count(ids[1]) == 0, "what follows was not even begun"
    del inbox.till.failing[ids[0]]
    inbox.clock.advance(seconds=2)
    await inbox.drain()
    assert await inbox.said(*ids) == [("applied", "ok")] * 3
    result = await inbox.result(ids[0])
    assert result is not None
    assert result["attempts"] == 2
    assert inbox.till.begun.index(ids[1]) > inbox.till.ended.index(ids[0])


@pytest.mark.parametrize("kind", [UNAVAILABLE, OVERLOADED, INTERNAL])
async def test_the_last_attempt_ends_in_a_dead_letter_and_its_round_goes_on(
    inbox: InboxDesk, kind: ErrorKind
) -> None:
    ids = await put_rounds(inbox, "r1", "r1", "r2")
    inbox.till.failing[ids[0]] = kind
    for _ in range(inbox.patience.attempts):
        await inbox.drain()
        inbox.clock.advance(minutes=2)
    await inbox.drain()
    letter = await inbox.dead(ids[0])
    assert letter is not None
    assert (letter["cause"], letter["attempts"], letter["type"], letter["asset"], letter["amount"]) == (
        kind.code,
        3,
        "jackpot.won",
        "EUR",
        5,
    )
    assert inbox.till.begun.count(ids[0]) == 3
    assert await inbox.said(*ids) == [None, ("applied", "ok"), ("applied", "ok")]
    assert await inbox.queued(ids[0]) is None
    await require_every_delivery_accounted_for(inbox.connection)
    retries = [record.result for record in inbox.records if record.code == kind.code]
    assert retries == ["retry", "retry", "dead"]


async def test_a_poisonous_delivery_is_parked_after_its_attempts_and_spoils_nothing_else(
    inbox: InboxDesk,
) -> None:
    rounds = [f"r{number}" for number in range(20)]
    ids = await put_rounds(inbox, *rounds, "r7")

    def read(notice: Notice) -> Notice:
        if notice.round_id == "r7":
            raise ZeroDivisionError("what no adapter may do\0")
        return notice

    inbox.accounts = odd_account(read)
    await inbox.drain()
    healthy = [id_ for id_, round_id in zip(ids, [*rounds, "r7"], strict=True) if round_id != "r7"]
    assert await inbox.said(*healthy) == [("applied", "ok")] * 19
    for _ in range(8):
        inbox.clock.advance(minutes=2)
        await inbox.drain()
    for id_ in (ids[7], ids[20]):
        letter = await inbox.dead(id_)
        assert letter is not None
        assert (letter["cause"], letter["attempts"]) == ("decode_failed", 3)
        assert letter["detail"] == "ZeroDivisionError: what no adapter may do\ufffd"
    await require_every_delivery_accounted_for(inbox.connection)


async def test_a_type_that_nobody_knows_and_a_provider_that_is_not_configured_end_as_dead_letters(
    inbox: InboxDesk,
) -> None:
    unknown = await inbox.put(inbox.mailbox.make("player.sneezed", {"loudly": True}))
    homeless = await put_rounds(inbox, "r1", provider="gone")
    for _ in range(3):
        await inbox.drain()
        inbox.clock.advance(minutes=2)
    causes = [await inbox.dead(id_) for id_ in (*unknown, *homeless)]
    assert [letter["cause"] for letter in causes if letter] == ["unknown_type", "unknown_provider"]
    assert inbox.till.calls == []


async def test_a_body_that_is_not_the_verified_one_is_never_read(inbox: InboxDesk) -> None:
    (id_,) = await put_rounds(inbox, "r1")
    owner = await asyncpg.connect(inbox.url)
    try:
        await owner.execute("SET session_replication_role = replica")
        await owner.execute(
            "UPDATE croupier.delivery SET body = replace(encode(body, 'escape'), '5', '9')::bytea"
        )
    finally:
        await owner.close()
    inbox.patience = structs.replace(inbox.patience, attempts=1)
    await inbox.drain()
    letter = await inbox.dead(id_)
    assert letter is not None
    assert "not the one that was verified" in letter["detail"]
    assert inbox.till.calls == []


async def test_a_delivery_that_ends_every_worker_is_parked_and_its_neighbours_are_not(
    inbox: InboxDesk,
) -> None:
    """What ends a process leaves no word: the claims that were lost in a row are counted instead."""
    ids = await put_rounds(inbox, "r1", "r2", "r3")
    await insert_turn(inbox.connection, PROVIDER)
    for _ in range(inbox.patience.attempts):
        lease = Lease(limit=10, until=inbox.clock() + timedelta(seconds=30))
        assert await claim_deliveries(inbox.connection, PROVIDER, lease, inbox.clock())
        inbox.clock.advance(seconds=31)
    # From here on each is taken alone: the first one ends its worker once more, the others are well.
    lease = Lease(limit=10, until=inbox.clock() + timedelta(seconds=30))
    (first,) = await claim_deliveries(inbox.connection, PROVIDER, lease, inbox.clock())
    assert first.id == ids[0]
    await inbox.connection.execute("UPDATE inbox_queue SET lost = lost - 1 WHERE id <> $1", ids[0])
    inbox.clock.advance(seconds=31)
    await inbox.drain()
    letter = await inbox.dead(ids[0])
    assert letter is not None
    assert (letter["cause"], letter["detail"][0]) == ("worker_lost", "4")
    assert await inbox.said(*ids[1:]) == [("applied", "ok")] * 2
    assert ids[0] not in inbox.till.begun


class Crowd(Till):
    """A till that counts how many calls are before it at once, and takes a moment for each."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.now = 0

    async def submit(self, call: Any) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.002)
        self.now -= 1
        return await super().submit(call)


@pytest.mark.parametrize(
    ("rounds", "claim", "most"), [(30, 500, NARROWEST), (160, 500, 160 // STEPS), (160, 160, 160)]
)
async def test_what_is_due_without_a_backlog_is_decided_a_few_at_a_time(
    inbox: InboxDesk, rounds: int, claim: int, most: int
) -> None:
    """Money calls feel the webhooks beside them least so; a claim that is full means that more is behind it."""
    ids = await put_rounds(inbox, *(f"r{number}" for number in range(rounds)))
    crowd = Crowd()
    await inbox.drain(inbox.edge(crowd.submit, settings={"claim": claim}))
    assert crowd.most == most
    assert set(crowd.ended) == set(ids)


async def test_a_decision_that_hangs_does_not_hold_up_what_is_decided_after_it(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    ids = await put_rounds(inbox, *(f"r{number}" for number in range(10)))
    gate = asyncio.Event()

    async def submit(call: Any) -> Any:
        if call.request_id in ids[:3]:
            await gate.wait()
        return await inbox.till.submit(call)

    async with inbox.working(inbox.edge(submit)):
        try:
            await wait_until(lambda: len(inbox.till.ended) == 7)
        finally:
            gate.set()
        await wait_until(lambda: len(inbox.till.ended) == 10)
    assert await inbox.said(*ids) == [("applied", "ok")] * 10


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_flood_of_one_provider_does_not_hold_up_another(
    inbox: InboxDesk, wait_until: WaitUntil, workers: int
) -> None:
    inbox.accounts = native_accounts("flood", "quiet")
    flood = await put_rounds(inbox, *(f"r{number}" for number in range(3_000)), provider="flood")
    slow = Till()

    async def submit(call: Any) -> Any:
        # Four hundred decisions a second, as if lanes were behind it.
        await asyncio.sleep(0.1)
        return await slow.submit(call)

    edges = [inbox.edge(submit, settings={"claim": 20, "in_hand": 120}) for _ in range(workers)]
    async with inbox.working(*edges) as stop:
        await wait_until(lambda: len(slow.ended) > 100)
        quiet = await put_rounds(inbox, "r1", "r2", provider="quiet")
        before = len(slow.ended)
        await wait_until(lambda: set(quiet) <= set(slow.ended))
        meanwhile = slow.ended.index(quiet[0]) - before
        assert meanwhile < 600 * workers, "the quiet one had to wait for a turn or two, not for the flood"
        assert len(slow.ended) < len(flood)
        stop.set()


async def test_a_provider_whose_every_delivery_fails_does_not_hold_up_another(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    def read(_: Notice) -> Notice:
        raise ValueError("broken")

    inbox.accounts = {**odd_account(read, "sick"), **native_accounts("well")}
    sick = await put_rounds(inbox, *(f"r{number}" for number in range(300)), provider="sick")
    well = await put_rounds(inbox, *(f"r{number}" for number in range(300)), provider="well")

    async def is_done() -> bool:
        return await inbox.said(*well) == [("applied", "ok")] * 300

    async with inbox.working():
        await wait_until(is_done)
    assert await inbox.said(*sick) == [None] * 300


async def test_a_fault_of_the_worker_itself_stays_with_its_provider(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    class Accounts(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            if name == "sick":
                raise RuntimeError("what nobody thought of")
            return super().get(name, default)

    inbox.accounts = Accounts(native_accounts("well"))
    (sick,) = await put_rounds(inbox, "r1", provider="sick")
    async with inbox.working():
        for _ in range(5):
            (well,) = await put_rounds(inbox, "r1", provider="well")
            await wait_until(lambda well=well: inbox.result(well))
    row = await inbox.queued(sick)
    assert row is not None
    assert row["leased_until"] is not None, "it is left to its lease"


async def is_empty_after(inbox: InboxDesk, **span: float) -> bool:
    """Whether nothing is queued; time passes with every look."""
    inbox.clock.advance(**span)
    return not await inbox.connection.fetchval("SELECT count(*) FROM inbox_queue")


async def test_several_workers_keep_every_round_in_order(inbox: InboxDesk, wait_until: WaitUntil) -> None:
    """Each decision takes its own time, some fail at first, and four workers are at it."""
    rounds = [f"r{number * 7 % 13}" for number in range(400)]
    ids = await put_rounds(inbox, *rounds)
    history: list[tuple[UUID, str]] = []
    failing = {id_ for id_ in ids if id_.int % 11 == 0}

    async def submit(call: Any) -> Any:
        id_ = call.request_id
        history.append((id_, "begun"))
        await asyncio.sleep((id_.int % 7) / 1000)
        if id_ in failing:
            failing.discard(id_)
            history.append((id_, "failed"))
            raise CroupierError(UNAVAILABLE, "away")
        history.append((id_, "ended"))
        return await inbox.till.submit(call)

    retried = frozenset(failing)
    assert retried
    inbox.patience = structs.replace(inbox.patience, retry_s=0.01)
    async with inbox.working(*(inbox.edge(submit, settings={"claim": 7}) for _ in range(4))):
        await wait_until(lambda: is_empty_after(inbox, milliseconds=20), timeout_s=60)
    for round_id in set(rounds):
        own = [id_ for id_, name in zip(ids, rounds, strict=True) if name == round_id]
        steps = [
            (id_, step)
            for id_ in own
            for step in (*(("begun", "failed") if id_ in retried else ()), "begun", "ended")
        ]
        assert [one for one in history if one[0] in own] == steps, "one after the other, from first to last"
    assert await inbox.said(*ids) == [("applied", "ok")] * 400


async def test_a_worker_that_slept_through_its_lease_says_nothing_that_counts(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    """The first worker decides and is held up before it can tell; another one finishes; the first one wakes up."""
    (id_,) = await put_rounds(inbox, "r1")
    sleeper, waker = Till(), inbox.till
    sleeper.gate = asyncio.Event()
    sleeper.failing[id_] = INTERNAL
    patience = Patience(attempts=1)
    # It is asleep: it does not look for work either.
    asleep = inbox.edge(sleeper.submit, settings={"patience": patience, "idle_s": 60})
    async with inbox.working(asleep):
        await wait_until(lambda: sleeper.begun)
        inbox.clock.advance(seconds=31)
        try:
            async with inbox.working(inbox.edge(waker.submit)):
                await wait_until(lambda: inbox.result(id_))
        finally:
            sleeper.gate.set()
        await wait_until(lambda: sleeper.ended)
    assert await inbox.said(id_) == [("applied", "ok")]
    assert await inbox.dead(id_) is None
    await require_every_delivery_accounted_for(inbox.connection)


async def test_workers_whose_clocks_are_off_by_minutes_do_everything_once(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    async with open_desk(inbox.url, lanes=2) as desk:
        seats = [await desk.seat(f"player-{number}") for number in range(20)]
        webhooks = [
            inbox.mailbox.make(
                "jackpot.won",
                jackpot(seat.session_id, seat.player_id, f"j{number}-{turn}", 1, round_id=f"r{turn}"),
            )
            for turn in range(20)
            for number, seat in enumerate(seats)
        ]
        ids = await inbox.put(*webhooks)
        # Everything came a quarter of an hour ago, so that the slowest clock sees it too.
        inbox.clock.advance(minutes=15)
        clocks = [inbox.clock.behind(minutes=minutes) for minutes in (-10, 0, 10)]
        edges = [
            inbox.edge(desk.lanes.submit, now=clock, settings={"claim": 9, "lease_s": 1}) for clock in clocks
        ]
        async with inbox.working(*edges):
            await wait_until(lambda: is_empty_after(inbox, milliseconds=50), timeout_s=60)
        said = await inbox.said(*ids)
        assert said == [("applied", "ok")] * len(ids), "a redo is the same decision"
        assert [await balance_of(inbox.url, seat.player_id) for seat in seats] == [1_020] * 20
    assert await read_value(inbox.url, "SELECT sum(moved) FROM delivery_result") == 400
    await require_every_delivery_accounted_for(inbox.connection)
    await require_sound_books(inbox.url)


async def test_what_a_lane_decides_again_because_a_commit_was_not_answered_still_says_what_it_moved(
    inbox: InboxDesk,
) -> None:
    async with open_desk(inbox.url) as desk:
        seat = await desk.seat("player-1")
        won = jackpot(seat.session_id, seat.player_id, "j-1", 5, round_id="r1")
        (id_,) = await inbox.put(inbox.mailbox.make("jackpot.won", won))

        async def submit(call: Any) -> Any:
            # The lane's own redo: the same request once more, because nobody can tell whether it was committed.
            await desk.lanes.submit(call)
            return await desk.lanes.submit(call)

        await inbox.drain(inbox.edge(submit))
        assert await balance_of(inbox.url, seat.player_id) == 1_005
    result = await inbox.result(id_)
    assert result is not None
    assert (result["result"], result["moved"]) == ("applied", 5)
    await require_sound_books(inbox.url)


async def test_a_worker_that_is_told_to_stop_finishes_what_is_being_decided_and_takes_nothing_more(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    await put_rounds(inbox, *(f"r{number}" for number in range(100)), *["late"] * 100)
    inbox.till.gate = asyncio.Event()
    stop = asyncio.Event()
    edge = inbox.edge(settings={"claim": 30})
    task = asyncio.create_task(Drain(edge).run(stop))
    await wait_until(lambda: len(inbox.till.begun) >= 90)
    stop.set()
    inbox.till.gate.set()
    async with asyncio.timeout(5):
        await task
    decided = len(inbox.till.ended)
    assert decided == len(inbox.till.begun)
    assert decided < 150
    counted = await inbox.connection.fetchval("SELECT count(*) FROM delivery_result")
    assert counted == decided, "what was decided was told"
    inbox.clock.advance(seconds=31)
    await inbox.drain()
    assert await inbox.connection.fetchval("SELECT count(*) FROM delivery_result") == 200
    assert len(inbox.till.ended) == 200, "nothing was decided twice"


async def test_a_worker_that_is_cancelled_ends_at_once_whatever_its_lanes_do(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    ids = await put_rounds(inbox, "r1", "r2")
    inbox.till.gate = asyncio.Event()
    task = asyncio.create_task(Drain(inbox.edge()).run(asyncio.Event()))
    await wait_until(lambda: len(inbox.till.begun) == 2)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({task})
    assert task.cancelled()
    assert await inbox.leased() == 2, "what it had in hand is left to its lease"
    assert await inbox.said(*ids) == [None, None]


async def test_a_database_that_goes_away_and_comes_back_costs_nothing_but_time(
    inbox: InboxDesk, wait_until: WaitUntil
) -> None:
    ids = await put_rounds(inbox, *(f"r{number}" for number in range(600)))
    async with WireProxy(inbox.url) as proxy:
        edge = inbox.edge(connect=lambda: connect_app(proxy.url, lane=True), settings={"claim": 20})
        async with inbox.working(edge):
            for share in (100, 300):
                await wait_until(lambda share=share: len(inbox.till.ended) > share)
                proxy.go_down()
                await wait_until(lambda: proxy.turned_away >= 2)
                proxy.turned_away = 0
                proxy.come_back()
            await wait_until(lambda: is_empty_after(inbox, seconds=1), timeout_s=60)
    assert await inbox.said(*ids) == [("applied", "ok")] * 600
    await require_every_delivery_accounted_for(inbox.connection)


async def test_everything_runs_together_and_levels_are_told(inbox: InboxDesk, wait_until: WaitUntil) -> None:
    inbox.accounts = {**ACCOUNTS, **native_accounts("other")}
    await put_rounds(inbox, "r1", "r2", provider="other")
    ids = await put_rounds(inbox, *(f"r{number}" for number in range(50)))
    stop, told = asyncio.Event(), []
    task = asyncio.create_task(
        run_inbox(inbox.edge(), Keeping(), stop, observe_levels=lambda levels: told.append(levels))
    )

    async def is_done() -> bool:
        return bool(told) and await inbox.said(*ids) == [("applied", "ok")] * 50

    try:
        await wait_until(is_done)
    finally:
        stop.set()
        await task
    assert {level.provider for level in told[-1]} <= {PROVIDER, "other"}
    assert {record.provider for record in inbox.records} == {PROVIDER, "other"}


async def test_an_idle_worker_looks_a_few_times_a_second_and_no_more(inbox: InboxDesk) -> None:
    asked: list[str] = []
    connection = await connect_app(inbox.url, lane=True)
    stop = asyncio.Event()

    class Counting:
        terminate = staticmethod(connection.terminate)

        async def fetch(self, query: str, *arguments: Any) -> Any:
            asked.append(query)
            if len(asked) >= 5:
                stop.set()
            return await connection.fetch(query, *arguments)

    async def connect() -> Any:
        return Counting()

    begun = asyncio.get_running_loop().time()
    await Drain(inbox.edge(connect=connect, settings={"idle_s": 0.2})).run(stop)
    assert asyncio.get_running_loop().time() - begun >= 0.7
    assert len(asked) == 5


def test_what_a_worker_may_have_in_hand_fits_into_its_lanes() -> None:
    assert DrainSettings().in_hand < LaneSettings().queue
