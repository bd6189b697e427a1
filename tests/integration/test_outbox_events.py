"""Domain events: written in the transaction of their cause, one for each thing that happened, in a session's order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from casino import open_casino, play_everything, play_generated
from lane_desk import IDS, open_desk, read_rows, read_value

from croupier.events import EVENT_TYPES
from croupier.runtime.database import connect_app, connect_owner, create_pool
from croupier.runtime.duties import do_duties
from model.calls import NOW, win

DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in EVENT_TYPES.items()}


async def events_of(url: str, type_: str) -> list[tuple[Any, Any]]:
    """Row and data of every event of a type, in order."""
    rows = await read_rows(url, "SELECT * FROM outbox_event WHERE type = $1 ORDER BY position", type_)
    found = []
    for row in rows:
        envelope = msgspec.json.decode(row["payload"])
        assert envelope["type"] == type_
        found.append((row, DECODERS[type_].decode(msgspec.json.encode(envelope["data"]))))
    return found


async def test_every_entry_is_told_exactly_once_with_its_own_id(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        await play_everything(casino)
        await play_generated(casino, seed=11)
    entries = {row["id"]: row for row in await read_rows(database_url, "SELECT * FROM journal_entry")}
    told = await events_of(database_url, "money.moved")
    assert sorted(row["id"] for row, _ in told) == sorted(entries)
    for row, data in told:
        entry = entries[row["id"]]
        assert (data.kind, data.provider, data.reference) == (
            entry["kind"],
            entry["provider"],
            entry["reference"],
        )
        assert sum(int(one.amount) for one in data.postings) == 0
        wallet = sum(int(one.amount) for one in data.postings if one.account == "player_wallet")
        assert data.amount.amount == str(wallet)


async def test_the_events_of_a_session_come_in_the_order_of_its_history(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        await play_everything(casino)
        await play_generated(casino, seed=12)
    sql = (
        "SELECT session_id, seq, from_state, to_state FROM session_event "
        "WHERE from_state IS DISTINCT FROM to_state ORDER BY session_id, seq"
    )
    history = [tuple(row) for row in await read_rows(database_url, sql)]
    told = [
        (row["session_id"], data.seq, data.from_state, data.to_state)
        for row, data in await events_of(database_url, "session.state_changed")
    ]
    assert sorted(told, key=lambda one: (one[0], one[1])) == history
    for session_id in {one[0] for one in told}:
        seqs = [one[1] for one in told if one[0] == session_id]
        assert seqs == sorted(seqs)


async def test_a_round_that_is_closed_is_told_once_and_a_break_once(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        await play_everything(casino)
    rounds = await events_of(database_url, "round.closed")
    ids = [data.round_id for _, data in rounds]
    assert len(ids) == len(set(ids)) > 0
    breaks = await read_rows(database_url, "SELECT id FROM break_item")
    told = await events_of(database_url, "break.opened")
    assert sorted(row["id"] for row, _ in told) == sorted(row["id"] for row in breaks)
    assert len(told) > 0


async def test_a_bet_that_did_not_come_is_a_break_that_is_told_once(database_url: str) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=2)
    try:
        async with open_desk(database_url) as desk:
            seat = await desk.seat("alice")
            paid = win("w1", 7, player_id=seat.player_id, session_id=seat.session_id)
            assert (await desk.ask(seat.call(paid))).is_approved
            for _ in range(2):
                await do_duties(pool, desk.lanes.submit, IDS, NOW + timedelta(hours=2))
    finally:
        await pool.close()
    ((_, told),) = await events_of(database_url, "break.opened")
    assert (told.kind, told.owner, told.round_id, told.amount) == ("win_without_bet", "finance", "r1", "7")
    assert await read_value(database_url, "SELECT count(*) FROM break_item") == 1


async def test_what_is_not_committed_is_not_told(database_url: str) -> None:
    """A batch that the database refuses leaves neither entry nor event."""
    owner = await connect_owner(database_url)
    await owner.execute(
        "CREATE FUNCTION croupier.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no'; END $$"
    )
    async with open_desk(database_url) as desk:
        seat = await desk.seat("alice")
        before = await read_value(database_url, "SELECT count(*) FROM outbox_event")
        await owner.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON croupier.session_event EXECUTE FUNCTION croupier.refuse()"
        )
        (answer,) = await desk.ask_all([seat.bet("b1")])
        assert answer.kind.code == "internal"  # type: ignore[union-attr]
    await owner.close()
    assert await read_value(database_url, "SELECT count(*) FROM outbox_event") == before


@pytest.mark.parametrize("statement", ["UPDATE outbox_event SET payload = '{}'", "TRUNCATE outbox_event"])
async def test_the_application_cannot_change_what_was_told(database_url: str, statement: str) -> None:
    connection = await connect_app(database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
