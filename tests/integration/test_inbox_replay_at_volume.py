"""A replay of fifty thousand deliveries, twice: the second one leaves every digest as it was (E5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
from casino import Casino, open_casino
from lane_desk import require_sound_books
from replay_desk import START, open_replay_desk
from stored_webhooks import Mailbox, id_at, jackpot, require_every_delivery_accounted_for

from croupier.ids import bucket_of
from croupier.settlement.audit import load_ledger_totals
from model import calls

FACTS: Final = 5_000
TELLINGS: Final = 10
"""Under how many delivery ids each fact is told."""
LOST: Final = 500
"""Facts that no callback told."""
PLAYERS: Final = 100


async def test_fifty_thousand_deliveries_replayed_twice_with_equal_digests(database_url: str) -> None:
    async with open_casino(database_url) as casino, open_replay_desk(database_url) as desk:
        await _play(casino, Mailbox(database_url, START))
        connection = desk.site.connection
        await _tell_again(connection)
        first = await desk.replay()
        assert first.state == "finished", first.proof
        deliveries = FACTS * TELLINGS
        assert first.progress.results == {"applied": LOST, "repeat": deliveries - LOST}
        assert first.proof is not None
        assert first.proof["effects"]["equal"]
        assert first.proof["effects"]["applied"]["money"]["EUR"]["net"] == str(LOST)
        assert not await connection.fetchval("SELECT count(*) FROM inbox_queue")
        before = await load_ledger_totals(connection)
        second = await desk.replay()
        assert second.progress.results == {"repeat": deliveries}
        assert second.proof is not None
        ledger = second.proof["ledger"]
        assert ledger["before"] == ledger["after"] == first.proof["ledger"]["after"]
        assert await load_ledger_totals(connection) == before
        await require_every_delivery_accounted_for(connection)
    await require_sound_books(database_url)


async def _play(casino: Casino, mail: Mailbox) -> None:
    """Facts that a callback told, those it lost, and one delivery about each."""
    sessions = dict(await asyncio.gather(*(_seat(casino, f"p{number}") for number in range(PLAYERS))))
    told, paid = [], []
    for number in range(FACTS):
        player, name, round_id = f"p{number % PLAYERS}", f"j{number}", f"r{number}"
        session = sessions[player]
        told.append(mail.make("jackpot.won", jackpot(session, player, name, 1, round_id=round_id)))
        if number >= LOST:
            paid.append(
                calls.jackpot(
                    name, 1, session_id=session, player_id=player, round_id=round_id, game_id="dice"
                )
            )
    await mail.store(*told)
    for start in range(0, len(paid), 500):
        await asyncio.gather(*(casino.put(one) for one in paid[start : start + 500]))


async def _seat(casino: Casino, player: str) -> tuple[str, UUID]:
    await casino.put(calls.deposit(f"d-{player}", 100, player_id=player))
    return player, await casino.open(player)


async def _tell_again(connection: asyncpg.Connection) -> None:
    """Every delivery nine times more, each under an id of its own, a little later."""
    rows = await connection.fetch("SELECT bucket, provider, delivery_id, received_at FROM delivery")
    columns = [list(column) for column in zip(*_copies(rows), strict=True)]
    await connection.execute(
        """
        WITH copy AS (
            INSERT INTO delivery
            SELECT c.bucket, d.provider, c.delivery_id, c.id, d.type, d.player_id, d.session_id, d.provider_round_id,
                   d.reference, d.asset, d.amount, d.occurred_at, d.path, d.headers, d.body, d.body_digest, d.key_id,
                   d.verified_as, d.signed_at, c.received_at, d.correlation_id || '-' || c.delivery_id, d.trace_id
              FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::timestamptz[], $5::smallint[], $6::text[])
                AS c (bucket, id, delivery_id, received_at, of_bucket, of_delivery_id)
              JOIN delivery d ON d.bucket = c.of_bucket AND d.delivery_id = c.of_delivery_id
            RETURNING bucket, id, provider, received_at)
        INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
        SELECT bucket, id, provider, id::text, received_at, received_at FROM copy
        """,
        *columns,
    )


def _copies(rows: list[asyncpg.Record]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        for number in range(1, TELLINGS):
            name = f"{row['delivery_id']}-{number}"
            at = row["received_at"] + timedelta(minutes=number)
            bucket = bucket_of(name)
            yield bucket, id_at(at, bucket), name, at, row["bucket"], row["delivery_id"]
