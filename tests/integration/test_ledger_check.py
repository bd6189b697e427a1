"""`croupier ledger check`: silent about healthy books; each way of breaking them is found by its check."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from casino import Casino, open_casino, play_everything, play_generated, tampering
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.ids import bucket_of
from croupier.runtime.database import connect_app, redact_url
from croupier.settlement.audit import LedgerReport, check_ledger, load_ledger_totals
from croupier.settlement.audit.ledger import CHECKS, MOST_OFFENDERS
from model import calls

ENTRY_OF = "(SELECT journal_id FROM money_reference WHERE reference = '{}' AND journal_id IS NOT NULL)"
SESSION_OF = "(SELECT session_id FROM money_reference WHERE reference = '{}')"

NEW_ENTRY = """
INSERT INTO journal_entry (bucket, id, kind, provider, reference, player_id, asset, cause, occurred_at,
                           recorded_at, correlation_id)
SELECT bucket, {id}, '{kind}', provider, '{reference}', player_id, asset, cause, occurred_at, recorded_at, ''
  FROM journal_entry WHERE reference = 'd1'"""
NEW_POSTING = """
INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, amount)
SELECT bucket, {id}, {seq}, 'operator_cash', '', 'EUR', '', {amount}
  FROM journal_entry WHERE reference = 'd2'"""
GHOST = "'00000000-0000-7000-8000-0000000000ff'::uuid"


def new_entry(kind: str, reference: str, *amounts: int) -> list[str]:
    """Statements that add an entry whose postings touch nothing but cash."""
    postings = [NEW_POSTING.format(id=GHOST, seq=seq, amount=amount) for seq, amount in enumerate(amounts, 1)]
    return [NEW_ENTRY.format(id=GHOST, kind=kind, reference=reference), *postings]


FORGOTTEN_CALL = f"""
INSERT INTO wallet_call (bucket, id, player_id, asset, operation, amount, action, kind, provider, reference,
                         occurred_at, correlation_id, booked, request_id, asked_at, deadline, owner, state,
                         attempts, next_at, is_late, is_overdue)
VALUES (7, {GHOST}, 'alice', 'EUR', 'rollback', 5, 'undo', 'bet', 'acme', 'forgotten', now(), '', 'never', {GHOST},
        now() - interval '1 day', now() - interval '1 hour', 'finance', 'queued', 3, now(), false, false)"""

OVERDRAFT = [
    "ALTER TABLE account DROP CONSTRAINT wallet_is_never_negative",
    f"""INSERT INTO money_reference (provider, reference, bucket, action, player_id, asset, amount, status,
            code, journal_id, request_id, recorded_at)
        SELECT 'operator', 'overdraft', bucket, 'withdrawal', owner, asset, balance + 5, 'approved',
               'ok', {GHOST}, {GHOST}, now() FROM account WHERE owner = 'alice' AND kind = 'player_wallet'""",
    NEW_ENTRY.format(id=GHOST, kind="withdrawal", reference="overdraft"),
    f"""INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, amount, balance_after)
        SELECT bucket, {GHOST}, 1, kind, owner, asset, fund, -balance - 5, -5
          FROM account WHERE owner = 'alice' AND kind = 'player_wallet'""",
    f"""INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, amount)
        SELECT bucket, {GHOST}, 2, 'operator_cash', '', asset, '', balance + 5
          FROM account WHERE owner = 'alice' AND kind = 'player_wallet'""",
    "UPDATE account SET balance = -5 WHERE owner = 'alice' AND kind = 'player_wallet'",
]


def cash(reference: str, by: int) -> str:
    """Change what a deposit took from the operator's cash."""
    entry = ENTRY_OF.format(reference)
    return f"UPDATE posting SET amount = amount + {by} WHERE entry_id = {entry} AND kind = 'operator_cash'"


DELIVERY = """
INSERT INTO delivery (bucket, provider, delivery_id, id, type, path, headers, body, body_digest, key_id, verified_as,
    signed_at, received_at, correlation_id)
VALUES (0, 'acme', 'msg-1', '00000000-0000-7000-8000-0000000000ff', 'round.completed', '/webhooks/acme', '{}', '', '',
    'key-1', 'standard_webhooks', now(), now(), '')"""
QUEUED = f"""
INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
VALUES (0, {GHOST}, 'acme', 'r1', now(), now())"""
FINISHED = f"""
INSERT INTO delivery_result (bucket, id, replay, provider, result, code, attempts, finished_at)
VALUES (0, {GHOST}, '00000000-0000-0000-0000-000000000000', 'acme', 'applied', 'ok', 1, now())"""

TAMPERINGS: list[tuple[str, set[str], list[str]]] = [
    ("deliveries_are_accounted_for", set(), [DELIVERY]),
    ("deliveries_are_accounted_for", set(), [DELIVERY, QUEUED, FINISHED]),
    ("unfinished_sessions_have_a_timer", set(), ["DELETE FROM session_timer"]),
    (
        "mirrors_follow_wallet_calls",
        set(),
        ["UPDATE account SET is_mirror = true WHERE kind = 'player_wallet' AND owner = 'bob'"],
    ),
    ("open_wallet_calls_have_somebody", set(), [FORGOTTEN_CALL]),
    ("entries_sum_to_zero", set(), [cash("d1", 1), cash("d2", -1)]),
    (
        "entries_have_postings",
        set(),
        [NEW_POSTING.format(id=GHOST, seq=seq, amount=3 - 2 * seq) for seq in (1, 2)],
    ),
    ("entries_have_postings", set(), new_entry("settlement", "empty")),
    # A sum that is off in the whole is off in some entry too.
    ("ledger_sums_to_zero", {"entries_sum_to_zero"}, [cash("d1", 1)]),
    # A chain ends at the balance, so a wrong balance breaks it as well.
    (
        "balances_equal_postings",
        {"balance_chains_are_unbroken"},
        ["UPDATE account SET balance = balance + 1 WHERE owner = 'alice' AND kind = 'player_wallet'"],
    ),
    (
        "balances_equal_postings",
        {"balance_chains_are_unbroken"},
        ["DELETE FROM account WHERE owner = 'bob' AND kind = 'player_receivable'"],
    ),
    ("wallets_are_never_negative", set(), OVERDRAFT),
    (
        "balance_chains_are_unbroken",
        set(),
        [f"UPDATE posting SET balance_after = 7 WHERE entry_id = {ENTRY_OF.format('d1')} AND seq = 2"],
    ),
    (
        "balance_chains_are_unbroken",
        set(),
        [f"UPDATE posting SET balance_after = NULL WHERE entry_id = {ENTRY_OF.format('d1')} AND seq = 2"],
    ),
    (
        "finished_sessions_hold_no_clearing",
        set(),
        [f"UPDATE session SET state = 'settled' WHERE id = {SESSION_OF.format('b10')}"],
    ),
    (
        "session_books_equal_postings",
        set(),
        [f"UPDATE session SET staked = staked + 1, won = won + 1 WHERE id = {SESSION_OF.format('w1')}"],
    ),
    (
        "session_books_equal_postings",
        set(),
        [
            "UPDATE session SET revenue_posted = revenue_posted + 1, contributed = contributed - 1 "
            f"WHERE id = {SESSION_OF.format('b10')}"
        ],
    ),
    (
        "provider_shares_follow_the_contract",
        set(),
        [f"UPDATE session SET share_bps = 9000 WHERE id = {SESSION_OF.format('w1')}"],
    ),
    ("references_move_money_once", set(), new_entry("deposit", "d1", 1, -1)),
    ("references_and_entries_agree", set(), new_entry("deposit", "nobody", 1, -1)),
    (
        "references_and_entries_agree",
        set(),
        [f"UPDATE money_reference SET journal_id = {GHOST} WHERE reference = 'c1'"],
    ),
    (
        "references_and_entries_agree",
        set(),
        [
            """INSERT INTO money_reference (provider, reference, bucket, action, player_id, asset, amount,
                   status, code, request_id, recorded_at)
               SELECT provider, 'unmoved', bucket, action, player_id, asset, 5, status, code, request_id,
                      recorded_at
                 FROM money_reference WHERE reference = 'd1'"""
        ],
    ),
    (
        "effects_equal_references",
        set(),
        ["UPDATE money_reference SET amount = amount + 1 WHERE reference = 'd1'"],
    ),
    (
        "rollbacks_mirror_once",
        set(),
        ["UPDATE money_reference SET rolled_back_by = NULL WHERE reference = 'o1' AND provider = 'operator'"],
    ),
    (
        "rollbacks_mirror_once",
        set(),
        ["UPDATE money_reference SET rolled_back_by = 'nobody' WHERE reference = 'p1'"],
    ),
    (
        "rollbacks_mirror_once",
        set(),
        [
            "UPDATE posting SET owner = 'x' "
            f"WHERE entry_id = {ENTRY_OF.format('rb-p2')} AND kind = 'promo_expense'"
        ],
    ),
    (
        "rounds_equal_references",
        set(),
        [
            "UPDATE round SET won = won + 1 WHERE provider_round_id = 'r1' "
            f"AND session_id = {SESSION_OF.format('w1')}"
        ],
    ),
    (
        "rounds_equal_references",
        set(),
        [f"DELETE FROM round WHERE session_id = {SESSION_OF.format('w1')} AND provider_round_id = 'r1'"],
    ),
    (
        "open_rounds_are_counted",
        set(),
        [f"UPDATE session SET rounds_open = 2 WHERE id = {SESSION_OF.format('b10')}"],
    ),
    (
        "histories_have_no_gaps",
        set(),
        [f"DELETE FROM session_event WHERE session_id = {SESSION_OF.format('w1')} AND seq = 2"],
    ),
    (
        "histories_have_no_gaps",
        set(),
        ["DELETE FROM session_event WHERE session_id = (SELECT id FROM session WHERE state = 'cancelled')"],
    ),
    (
        "histories_name_their_entries",
        set(),
        ["UPDATE session_event SET journal_ids = '{}' WHERE details ->> 'reference' = 'b1'"],
    ),
]


async def check(url: str) -> LedgerReport:
    """The report of a connection with the application's rights."""
    connection = await connect_app(url)
    try:
        return await check_ledger(connection)
    finally:
        await connection.close()


def broken(report: LedgerReport) -> dict[str, tuple[str, ...]]:
    """What is broken and who breaks it."""
    return {found.name: found.offenders for found in report.checks if found.status == "broken"}


async def run_check(url: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of the command."""
    arguments = ["ledger", "check", "--json", *options]
    result = await asyncio.to_thread(
        CliRunner().invoke, app, arguments, env={"CROUPIER_DATABASE_URL": url}, catch_exceptions=False
    )
    return result.exit_code, json.loads(result.stdout)


async def test_healthy_books_pass_every_check(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        await play_everything(casino)
    report = await check(database_url)
    assert broken(report) == {}
    assert report.is_held
    assert [found.name for found in report.checks] == list(CHECKS)
    assert report.invariants() == dict.fromkeys(("I1", "I2", "I5", "I4", "I6", "I10"), "held")
    assert report.totals.assets["EUR"]["operator_clearing"] == "5", (
        "only the active session's stake is in clearing"
    )
    assert int(report.totals.assets["EUR"]["player_receivable"]) < 0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_generated_play_passes_every_check(database_url: str, seed: int) -> None:
    async with open_casino(database_url) as casino:
        await play_generated(casino, seed)
    report = await check(database_url)
    assert broken(report) == {}
    assert report.totals.entries > 50


async def test_one_pool_fed_from_two_buckets_in_one_batch_keeps_two_balances(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        # Both buckets are even, hence of one lane; calls put together are decided together.
        players = [name for name in map("player-{}".format, range(40)) if bucket_of(name) % 2 == 0][:2]
        sessions = [await casino.open(player) for player in players]
        await asyncio.gather(*(casino.put(calls.deposit(f"d-{one}", 100, player_id=one)) for one in players))
        bets = [
            calls.bet(f"b-{player}", 50, contribution=3, session_id=session, player_id=player)
            for player, session in zip(players, sessions, strict=True)
        ]
        await asyncio.gather(*map(casino.put, bets))
    assert broken(await check(database_url)) == {}


async def test_an_empty_ledger_is_whole(database_url: str) -> None:
    report = await check(database_url)
    assert report.is_held
    assert report.totals.assets == {}


@pytest.mark.parametrize(
    ("name", "also", "statements"), TAMPERINGS, ids=[f"{one[0]}-{at}" for at, one in enumerate(TAMPERINGS)]
)
async def test_tampering_is_found_by_the_check_meant_for_it(
    database_url: str, name: str, also: set[str], statements: list[str]
) -> None:
    async with open_casino(database_url) as casino:
        await play_everything(casino)
    async with tampering(database_url) as connection:
        for statement in statements:
            assert not (await connection.execute(statement)).endswith(" 0"), (
                f"nothing was changed by {statement}"
            )
    exit_code, document = await run_check(database_url)
    found = {one["name"]: one for one in document["checks"] if one["status"] == "broken"}
    assert found.keys() == {name} | also
    assert exit_code == 3
    assert document["held"] is False
    assert found[name]["count"] == len(found[name]["offenders"]) > 0
    assert document["invariants"][CHECKS[name]].startswith("broken: ")


def test_every_check_is_broken_once_by_these_tests() -> None:
    assert {name for name, _, _ in TAMPERINGS} == CHECKS.keys()


async def test_offenders_are_named_in_words_and_bounded(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        for number in range(MOST_OFFENDERS + 5):
            await play_one_deposit(casino, number)
    async with tampering(database_url) as connection:
        await connection.execute("UPDATE account SET balance = balance + 1 WHERE kind = 'player_wallet'")
    report = await check(database_url)
    (found,) = [one for one in report.checks if one.name == "balances_equal_postings"]
    assert found.count == MOST_OFFENDERS + 5
    assert len(found.offenders) == MOST_OFFENDERS
    assert found.offenders[0].endswith("in EUR (cash): the balance is 101, its postings sum to 100")


async def play_one_deposit(casino: Casino, number: int) -> None:
    """A deposit of 100 by a guest."""
    await casino.put(calls.deposit(f"deposit-{number}", 100, player_id=f"guest-{number}"))


async def test_the_command_prints_a_verdict_for_people(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        await play_everything(casino)
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["ledger", "check"], env={"CROUPIER_DATABASE_URL": database_url}
    )
    assert result.exit_code == 0, result.output
    assert "I1  held    Every entry sums to zero in each of its assets" in result.stdout
    assert "EUR\toperator_clearing\t0.05 EUR" in result.stdout
    assert "\x1b" not in result.output, "a pipe gets no colour"


async def test_the_digest_changes_with_the_books_and_only_then(database_url: str) -> None:
    connection = await connect_app(database_url)
    try:
        async with open_casino(database_url) as casino:
            await play_everything(casino)
            before = await load_ledger_totals(connection)
            await play_everything_again(casino)
            assert await load_ledger_totals(connection) == before, "repeats change nothing"
            await play_one_deposit(casino, 1)
        after = await load_ledger_totals(connection)
    finally:
        await connection.close()
    assert after.digest != before.digest
    assert after.entries == before.entries + 1
    assert after.postings == before.postings + 2


async def play_everything_again(casino: Casino) -> None:
    """Repeats of what `play_everything` did."""
    await casino.put(calls.deposit("d1", 5_000, player_id="alice"))
    await casino.put(calls.withdrawal("o1", 300, player_id="alice"))


async def test_a_database_without_schema_is_explained(empty_database_url: str) -> None:
    exit_code, document = await run_check(empty_database_url)
    assert exit_code == 1
    assert document["schema"]["name"] == "croupier.error"
    assert "croupier migrate" in document["error"]
    assert redact_url(empty_database_url) in document["error"] or "schema" in document["error"]
