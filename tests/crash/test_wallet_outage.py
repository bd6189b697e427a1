"""The operator's wallet is away under load, for as long as you like, and comes back (K6, F2, F3, I1-I6)."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import Any

from crash_books import read_book, require_all_final, require_everything_acknowledged, require_sound_books
from crash_site import CrashSite, until
from crash_wallet import WalletLoad, is_settled, own_wallet, require_agreement
from test_kill import progress

from croupier.demo.wallet_service import WalletService

OUTAGE_S = float(os.environ.get("CROUPIER_OUTAGE_S", "20"))
"""How long the wallet is away; 600 for the ten minutes that a restore of a wallet may take."""
PLAYERS = 16
BEFORE = 60
AFTER = 60
CAUGHT_UP_S = 150.0
"""Within which everything that waited has arrived, whatever the outage took: 15 s until the wallet is asked again, as
long until each call is, and 90 s for what waits behind a stake that never arrived, until no attempt can be fresh."""
SETTLED_S = 120.0
"""Within which every bet that was unknown is found out."""
STATES = "SELECT state, count(*) AS calls FROM wallet_call WHERE settled_at IS NULL GROUP BY state"
QUEUED = "SELECT id FROM wallet_call WHERE settled_at IS NULL AND booked = 'before' ORDER BY id"
LAST_BET = "SELECT max(asked_at) FROM wallet_call WHERE operation = 'debit'"
ARRIVED = (
    "SELECT id, player_id, settled_at FROM wallet_call WHERE id = ANY($1) ORDER BY player_id, settled_at, id"
)


async def test_what_waited_for_the_wallet_arrives_in_order_when_it_returns(site: CrashSite) -> None:
    async with own_wallet(site) as wallet:
        await site.serve()
        load = WalletLoad(site, wallet, players=PLAYERS, patience_s=OUTAGE_S + CAUGHT_UP_S + SETTLED_S)
        async with site.sandbox_process(), load:
            load.start()
            await progress(load, BEFORE, "load before the outage")
            connection = await site.connect()
            try:
                queued = await be_away(connection, wallet)
                last = await connection.fetchval(LAST_BET)
                await progress(load, AFTER, "load after the outage")
                await load.stop()
                await until(lambda: is_settled(connection), "the wallet is settled with", within_s=SETTLED_S)
                arrived = await connection.fetch(ARRIVED, queued)
                book = await read_book(load.http, site.sandbox)
                await require_sound_books(connection)
                await require_everything_acknowledged(connection, book)
                await require_agreement(connection, wallet, load.deposited)
                await require_all_final(connection)
                assert await connection.fetchval(LAST_BET) > last, "bets are taken again"
            finally:
                await connection.close()
    assert queued, "credits were taken in while nobody could deliver them"
    assert [row["id"] for row in arrived] == [row["id"] for row in sorted(arrived, key=by_player)]
    faults = [fault for report in load.reports for fault in report["wrong"]]
    assert faults == [], "every repeat equalled its original, every attack got its refusal"


def by_player(row: Any) -> tuple[str, Any]:
    """Each player's calls in the order in which they were booked."""
    return row["player_id"], row["id"]


async def be_away(connection: Any, wallet: WalletService) -> list[Any]:
    """The outage; the ids of what was queued when it ended, once all of that has arrived."""
    await wallet.control(is_down=True)
    most = await watch(connection)
    queued = [row["id"] for row in await connection.fetch(QUEUED)]
    await wallet.control(is_down=False)
    back_s = time.monotonic()
    await until(lambda: has_arrived(connection, queued), "what waited arrives", within_s=CAUGHT_UP_S)
    took_s = time.monotonic() - back_s
    print(
        f"away {OUTAGE_S:g} s, at most {dict(most)} open; {len(queued)} queued, arrived after {took_s:.1f} s"
    )
    return queued


async def watch(connection: Any) -> Counter[str]:
    """The most calls that were open in each state at any moment of the outage."""
    most: Counter[str] = Counter()
    ends_at_s = time.monotonic() + OUTAGE_S
    while (left_s := ends_at_s - time.monotonic()) > 0:
        for row in await connection.fetch(STATES):
            most[row["state"]] = max(most[row["state"]], row["calls"])
        await asyncio.sleep(min(left_s, 1.0))
    return most


async def has_arrived(connection: Any, waiting: list[Any]) -> bool:
    """Whether each of these calls is settled."""
    open_now = "SELECT count(*) FROM wallet_call WHERE id = ANY($1) AND settled_at IS NULL"
    return bool(await connection.fetchval(open_now, waiting) == 0)
