"""The audit log on a real database: append-only, one chain, and every edit or gap is found."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from casino import tampering

from croupier.governance.audit import (
    GENESIS,
    Entry,
    Head,
    insert_record,
    load_head,
    load_records,
    verify_chain,
)
from croupier.runtime.database import connect_app, connect_owner

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
APPEND_ONLY = "CR003"
EDITS = ("UPDATE audit_record SET reason = 'other'", "DELETE FROM audit_record", "TRUNCATE audit_record")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect_app(database_url)
    yield opened
    await opened.close()


async def append(connection: asyncpg.Connection, number: int, **details: Any) -> None:
    entry = Entry(
        actor="cli:alice", action="key.published", subject=f"key:k{number}", reason="why ✓", details=details
    )
    async with connection.transaction():
        await insert_record(connection, entry, NOW)


async def test_records_form_one_chain_from_the_first_on(connection: asyncpg.Connection) -> None:
    assert await load_head(connection) == Head(0, GENESIS)
    for number in range(3):
        await append(connection, number, before=None, count=10**30, deep={"b": [1, True], "a": "ü"})
    records = list(reversed(await load_records(connection)))
    assert [one.seq for one in records] == [1, 2, 3]
    assert [one.previous_hash for one in records] == [GENESIS, records[0].hash, records[1].hash]
    report = await verify_chain(connection)
    assert report.is_whole
    assert (report.records, report.head) == (3, Head(3, records[2].hash))


async def test_a_record_and_its_act_are_there_together_or_not_at_all(connection: asyncpg.Connection) -> None:
    with pytest.raises(ValueError, match="in the transaction"):
        await insert_record(connection, Entry(actor="a", action="b", subject="c", reason="d"), NOW)
    transaction = connection.transaction()
    await transaction.start()
    await insert_record(connection, Entry(actor="a", action="b", subject="c", reason="d"), NOW)
    await transaction.rollback()
    assert await load_head(connection) == Head(0, GENESIS)


@pytest.mark.parametrize("details", [{"share": 0.5}, {"at": NOW}, {"text": "nul \0"}])
async def test_details_without_one_exact_form_are_refused(
    connection: asyncpg.Connection, details: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="details hold"):
        await append(connection, 1, **details)


async def test_writers_at_once_make_one_chain(database_url: str) -> None:
    async def write(writer: int) -> None:
        opened = await connect_app(database_url)
        for number in range(10):
            await append(opened, writer * 100 + number)
        await opened.close()

    await asyncio.gather(*(write(writer) for writer in range(4)))
    opened = await connect_app(database_url)
    report = await verify_chain(opened)
    await opened.close()
    assert report.is_whole
    assert report.records == 40


@pytest.mark.parametrize("edit", EDITS)
async def test_nobody_edits_the_log_by_accident(
    database_url: str, connection: asyncpg.Connection, edit: str
) -> None:
    await append(connection, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(edit)
    owner = await connect_owner(database_url)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await owner.execute(edit)
    await owner.close()
    assert refused.value.sqlstate == APPEND_ONLY


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        ("UPDATE audit_record SET reason = 'another' WHERE seq = 2", "record 2: its content does not fit"),
        ("UPDATE audit_record SET actor = 'cli:bob' WHERE seq = 2", "record 2: its content does not fit"),
        ("UPDATE audit_record SET at = at + interval '1 microsecond' WHERE seq = 2", "record 2: its content"),
        ('UPDATE audit_record SET details = \'{"after": "revoked"}\' WHERE seq = 2', "record 2: its content"),
        ("UPDATE audit_record SET hash = repeat('0', 64) WHERE seq = 2", "record 3: it does not continue"),
        ("DELETE FROM audit_record WHERE seq = 2", "record 3: records 2 to 2 are missing before it"),
        ("DELETE FROM audit_record WHERE seq = 1", "record 2: records 1 to 1 are missing before it"),
    ],
)
async def test_an_edit_past_every_guard_is_found(
    database_url: str, connection: asyncpg.Connection, edit: str, fault: str
) -> None:
    for number in range(4):
        await append(connection, number, after="current")
    async with tampering(database_url) as tamperer:
        await tamperer.execute(edit)
    report = await verify_chain(connection)
    assert any(one.startswith(fault) for one in report.faults), report.faults


async def test_a_chain_that_was_cut_off_is_found_by_a_head_noted_earlier(
    database_url: str, connection: asyncpg.Connection
) -> None:
    for number in range(4):
        await append(connection, number)
    noted = await load_head(connection)
    assert (await verify_chain(connection, noted)).is_whole
    async with tampering(database_url) as tamperer:
        await tamperer.execute("DELETE FROM audit_record WHERE seq = 4")
    assert (await verify_chain(connection)).is_whole, "the chain alone cannot show it"
    assert "cut off" in (await verify_chain(connection, noted)).faults[0]
