"""`kill -9` of workers and PostgreSQL while the operator's wallet is asked and misbehaves (K6, I1-I6, FT1, FT6)."""

import asyncio
import os
import random
import secrets
from collections import Counter

from crash_books import read_book, require_all_final, require_everything_acknowledged, require_sound_books
from crash_load import CrashLoad
from crash_site import CrashSite, until
from crash_wallet import WalletLoad, is_settled, own_wallet, require_agreement
from test_kill import kill_database, kill_worker, progress

from croupier.demo.wallet_service import WalletService

WORKER_KILLS = 10
DATABASE_KILLS = 2
OUTAGES = 2
SETTLED_S = 120.0
HONEST_FAULTS = {
    "commit_then_drop": 4,
    "drop": 3,
    "late": 1,
    "late_before": 1,
    "garbage": 3,
    "status_500": 3,
    "unavailable": 3,
    "wrong_reference": 1,
    "wrong_amount": 1,
    "wrong_player": 1,
    "wrong_asset": 1,
}
"""What a wallet does to its replies while its books are right, in percent of its calls."""


async def test_books_and_wallet_agree_after_workers_and_database_were_killed_in_the_middle(
    site: CrashSite,
) -> None:
    seed = int(os.environ.get("CROUPIER_CRASH_SEED", "0")) or secrets.randbits(32)
    print(f"CROUPIER_CRASH_SEED={seed} repeats this schedule")
    source = random.Random(seed)
    async with own_wallet(site) as wallet:
        await site.serve()
        await wallet.control(faults=HONEST_FAULTS, late_ms=1_500, seed=str(seed))
        async with site.sandbox_process(seed=seed), WalletLoad(site, wallet, players=8) as load:
            load.start()
            done = await wreak_havoc(site, load, wallet, source)
            await wallet.control(reset=True)
            await load.stop()
            book = await read_book(load.http, site.sandbox)
            connection = await site.connect()
            try:
                await until(lambda: is_settled(connection), "the wallet is settled with", within_s=SETTLED_S)
                await require_sound_books(connection)
                await require_everything_acknowledged(connection, book)
                await require_agreement(connection, wallet, load.deposited)
                await require_all_final(connection)
                calls = await connection.fetch(
                    "SELECT state, count(*) AS calls, max(attempts) AS most FROM wallet_call GROUP BY state"
                )
            finally:
                await connection.close()
    assert done == {"worker": WORKER_KILLS, "database": DATABASE_KILLS, "outage": OUTAGES}
    assert len(book) > 300, "there was load"
    assert max(row["most"] for row in calls) > 1, "some answers were lost"
    faults = [fault for report in load.reports for fault in report["wrong"]]
    assert faults == [], "every repeat equalled its original, every attack got its refusal"


async def wreak_havoc(
    site: CrashSite, load: CrashLoad, wallet: WalletService, source: random.Random
) -> Counter[str]:
    """Kill in random order, each time after a random number of further acknowledgements."""
    plan = ["worker"] * WORKER_KILLS + ["database"] * DATABASE_KILLS + ["outage"] * OUTAGES
    source.shuffle(plan)
    done: Counter[str] = Counter()
    for what in plan:
        await progress(load, source.randint(10, 30), f"load after {dict(done)}")
        if what == "database":
            await kill_database(site)
        elif what == "worker":
            await kill_worker(site, source)
        else:
            await wallet.control(is_down=True)
            await asyncio.sleep(source.uniform(0.5, 2.0))  # The outage itself: its length is the fault.
            await wallet.control(is_down=False)
        done[what] += 1
    await progress(load, 20, f"load after the last of {dict(done)}")
    return done
