"""The operator's wallet, the ledger and the providers agree, or a break says why (I6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from agreement_stage import DEADLINE, OWNER, AgreementStage, now, open_agreement_stage
from lane_desk import IDS, read_rows, read_value
from msgspec import structs
from wallet_stage import ask_in_vain

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.ids import WALLET_CALL, bucket_of, render_id
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.sender import StatementUnreadable
from croupier.runtime.agreement_work import LEASE, MARGIN, compare_next, keep_agreement, tell_levels
from croupier.settlement.agreement import KINDS, Agreement, Window
from croupier.settlement.agreement.sides import DatabaseSides
from croupier.telemetry.agreement_metrics import WALLET
from croupier.telemetry.metrics import Metrics
from croupier.wallet.port import Approved, Operation, WalletOrder


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[AgreementStage]:
    async with open_agreement_stage(database_url) as opened:
        yield opened


class Killed(BaseException):
    """The end of a process, as far as anybody in it can tell."""


async def play(stage: AgreementStage) -> None:
    """Some of everything, between two players."""
    first, second = await stage.guest("player-1"), await stage.guest("player-2")
    for guest in (first, second):
        kept = await stage.bet(guest, 300)
        await stage.win(guest, kept, 450)
        undone = await stage.bet(guest, 70)
        await stage.roll_back(guest, undone)
        paid = await stage.win(guest, kept, 20)
        await stage.roll_back(guest, paid)
    refused = await stage.stage.ask(first.bet("too-much", 1_000_000))
    assert not refused.is_approved
    await stage.stage.desk.drain(5)


async def test_what_was_played_well_agrees_to_the_last_unit(stage: AgreementStage) -> None:
    await play(stage)
    found = await stage.compare()
    assert found.differences == []
    assert (found.calls, found.agreed, found.movements, found.under_way) == (13, 13, 12, 0)
    sums = found.sums["EUR"]
    assert (sums.theirs, sums.ours, sums.ledger, sums.difference) == (300, 300, 300, 0)
    totals = await stage.service.totals()
    assert int(totals["EUR"]["balance"]) == 20_000 + sums.theirs


@pytest.mark.parametrize(
    "fault",
    ["drop", "commit_then_drop", "garbage", "status_500", "unavailable", "refuse", "wrong_amount",
     "wrong_player", "wrong_reference", "wrong_balance"],
)  # fmt: skip
async def test_a_wallet_that_misbehaves_and_keeps_its_books_right_agrees(
    stage: AgreementStage, fault: str
) -> None:
    guest = await stage.guest()
    kept = await stage.bet(guest)
    for operation in ("debit", "credit"):
        if (fault, operation) == ("refuse", "credit"):
            continue
        await stage.misbehave(**{fault: {"next": 1, "operations": [operation]}})
        if operation == "debit":
            await stage.stage.ask(guest.bet("trouble", 40))
        else:
            await stage.win(guest, kept)
        await stage.stage.settle()
    await stage.behave()
    found = await stage.compare()
    assert found.differences == []
    assert found.sums["EUR"].difference == 0


async def test_what_nobody_knew_and_was_undone_agrees(stage: AgreementStage) -> None:
    guest = await stage.guest()
    await stage.bet(guest)
    for fault, reference in (("commit_then_drop", "applied"), ("drop", "never")):
        await stage.misbehave(**{fault: {"percent": 100, "operations": ["debit", "status"]}})
        await ask_in_vain(lambda reference=reference: stage.stage.ask(guest.bet(reference, 40)))
        await stage.behave()
        assert (await stage.roll_back(guest, reference)).is_approved
        await stage.stage.settle()
    states = [
        row["state"]
        for row in await stage.stage.fetch("SELECT state FROM wallet_call WHERE booked = 'never'")
    ]
    assert states == ["approved", "approved"]
    found = await stage.compare()
    assert found.differences == []
    assert (found.sums["EUR"].theirs, found.sums["EUR"].ledger) == (-100, -100)


async def test_a_wallet_that_applies_twice_is_found(stage: AgreementStage) -> None:
    guest = await stage.guest()
    kept = await stage.bet(guest)
    await stage.misbehave(duplicate=1)
    twice = await stage.win(guest, kept, 77)
    await stage.behave()
    (found,) = (await stage.compare()).differences
    assert (found.kind, found.subject) == ("wallet_moved_twice", await stage.name_of(twice))
    assert (found.amount, found.gaps, found.player_id) == (77, (("EUR", 77),), guest.player_id)


async def test_a_wallet_that_forgets_is_found(stage: AgreementStage) -> None:
    guest = await stage.guest()
    kept = await stage.bet(guest)
    await stage.misbehave(forget=1)
    forgotten = await stage.win(guest, kept, 77)
    await stage.behave()
    (found,) = (await stage.compare()).differences
    assert (found.kind, found.subject) == ("wallet_lacks_movement", await stage.name_of(forgotten))
    assert found.gaps == (("EUR", -77),)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("moved = 99, change = -99", "wallet_moved_another_amount"),
        ("player_id = 'player-9'", "wallet_other_player_or_asset"),
        ("asset = 'BTC'", "wallet_other_player_or_asset"),
    ],
)
async def test_a_wallet_that_books_otherwise_than_it_said_is_found(
    stage: AgreementStage, change: str, kind: str
) -> None:
    guest = await stage.guest()
    reference = await stage.bet(guest)
    await stage.bet(guest)
    await stage.alter_wallet(reference, change)
    assert await stage.found() == [(kind, await stage.name_of(reference))]


async def test_a_movement_that_was_never_asked_is_found(stage: AgreementStage) -> None:
    guest = await stage.guest()
    await stage.bet(guest)
    stranger = WalletOrder(
        reference=render_id(WALLET_CALL, IDS.new(bucket_of(guest.player_id))),
        operation=Operation.DEBIT,
        player_id=guest.player_id,
        asset="EUR",
        amount=5,
        kind="bet",
        provider="acme",
        provider_reference="b",
        occurred_at=now(),
        correlation_id="c",
    )
    ends_at_s = asyncio.get_running_loop().time() + 5
    assert isinstance(await stage.stage.wallet.move(stranger, ends_at_s=ends_at_s), Approved)
    assert await stage.found() == [("wallet_has_unknown_movement", stranger.reference)]


async def test_a_credit_that_was_refused_has_one_break(stage: AgreementStage) -> None:
    guest = await stage.guest()
    kept = await stage.bet(guest)
    await stage.misbehave(refuse=1)
    await stage.win(guest, kept, 77)
    await stage.behave()
    await stage.stage.settle()
    (found,) = (await stage.compare()).differences
    assert (found.kind, found.amount, found.gaps) == ("wallet_refused_credit", 77, (("EUR", -77),))
    assert [one["subject"] for one in await stage.breaks()] == [found.subject]
    await stage.work()
    assert len(await stage.breaks()) == 1


async def test_what_they_moved_and_nobody_has_settled_is_found_past_its_deadline(
    stage: AgreementStage,
) -> None:
    guest = await stage.guest()
    await stage.bet(guest)
    await stage.misbehave(commit_then_drop={"percent": 100, "operations": ["debit", "status"]})
    await ask_in_vain(lambda: stage.stage.ask(guest.bet("lost", 40)))
    await stage.behave()
    assert await stage.found() == [("wallet_moved_unsettled", await stage.name_of("lost"))]
    young = structs.replace(stage, parts=structs.replace(stage.parts, now=earlier(stage)))
    found = await young.compare()
    assert (found.differences, found.under_way) == ([], 1)


def earlier(stage: AgreementStage) -> Any:
    """A clock by which what was just played is minutes old and not yet past its deadline."""
    return lambda: stage.stage.clock.now + timedelta(minutes=5)


async def test_an_entry_that_nobody_asked_the_wallet_for_is_found(database_url: str) -> None:
    # The ids of entries are made by the real time: here everybody plays now, and it is compared later.
    async with open_agreement_stage(database_url, ago=timedelta()) as stage:
        guest = await stage.guest()
        await stage.bet(guest)
        await plant_entry(stage, guest.player_id, "unasked", 60)
        (done, *_) = await stage.work(now=lambda: now() + timedelta(hours=3))
        assert done.kinds == {"ledger_has_unasked_entry": 1}
        (found,) = await stage.breaks()
        assert (found["subject"], found["amount"], found["asset"]) == ("acme:unasked", "60", "EUR")


async def test_an_entry_of_what_was_undone_is_one_that_nobody_asked_for(database_url: str) -> None:
    async with open_agreement_stage(database_url, ago=timedelta()) as stage:
        guest = await stage.guest()
        await stage.misbehave(commit_then_drop={"percent": 100, "operations": ["debit", "status"]})
        await ask_in_vain(lambda: stage.stage.ask(guest.bet("lost", 40)))
        await stage.behave()
        await stage.roll_back(guest, "lost")
        await stage.stage.settle()
        await plant_entry(stage, guest.player_id, "lost", -40)
        (done, *_) = await stage.work(now=lambda: now() + timedelta(hours=3))
        assert done.kinds == {"ledger_has_unasked_entry": 1}
        assert [one["subject"] for one in await stage.breaks()] == ["acme:lost"]


async def plant_entry(stage: AgreementStage, player_id: str, reference: str, change: int) -> None:
    """An entry that no decision made."""
    bucket, at = bucket_of(player_id), now()
    entry = IDS.new(bucket)
    await read_rows(
        stage.url,
        "INSERT INTO journal_entry (bucket, id, kind, provider, reference, player_id, asset, cause, occurred_at, "
        "recorded_at, correlation_id) VALUES ($1, $2, 'bet', 'acme', $3, $4, 'EUR', 'bet', $5, $5, 'c')",
        *(bucket, entry, reference, player_id, at),
    )
    await read_rows(
        stage.url,
        "INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, amount) VALUES "
        "($1, $2, 1, 'player_wallet', $3, 'EUR', 'cash', $4), ($1, $2, 2, 'operator_cash', '', 'EUR', 'cash', -$4)",
        *(bucket, entry, player_id, change),
    )


async def test_a_slice_ends_between_two_moments(stage: AgreementStage) -> None:
    guest = await stage.guest()
    for _ in range(3):
        await stage.bet(guest)
    rows = await stage.stage.fetch("SELECT settled_at FROM wallet_call ORDER BY settled_at")
    first, second, third = (row["settled_at"] for row in rows)
    sides = DatabaseSides(stage.parts.pool)
    window = Window(first, third + timedelta(hours=1))
    ends = [await sides.load_slice_end(window, calls) for calls in range(4)]
    assert ends == [second, second, third, window.ends_at]


async def test_differences_become_breaks_once_with_owner_and_money(stage: AgreementStage) -> None:
    guest = await stage.guest()
    kept = await stage.bet(guest)
    await stage.misbehave(duplicate=2)
    names = [await stage.name_of(await stage.win(guest, kept, amount)) for amount in (11, 12)]
    await stage.behave()
    for _ in range(2):
        await stage.work()
    rows = await stage.breaks()
    assert [(row["kind"], row["subject"], row["owner"], row["amount"], row["asset"]) for row in rows] == [
        ("wallet_moved_twice", name, OWNER, amount, "EUR")
        for name, amount in sorted(zip(names, ("11", "12"), strict=True))
    ]
    assert all(row["player_id"] == guest.player_id and row["provider"] == "acme" for row in rows)
    done = await read_rows(stage.url, "SELECT * FROM wallet_agreement ORDER BY starts_at")
    assert all(row["finished_at"] is not None for row in done)
    assert sum(row["differences"] for row in done) == 2
    assert sum(row["calls"] for row in done) == 3


async def test_windows_follow_each_other_without_a_gap_and_rest_first(stage: AgreementStage) -> None:
    await stage.bet(await stage.guest())
    done = await stage.work()
    rows = await read_rows(stage.url, "SELECT starts_at, ends_at FROM wallet_agreement ORDER BY starts_at")
    assert len(rows) == len(done) >= 2
    for before, after in pairwise(rows):
        assert before["ends_at"] == after["starts_at"]
    assert now() - DEADLINE - MARGIN - timedelta(hours=1) < rows[-1]["ends_at"] <= now() - DEADLINE - MARGIN


async def test_processes_share_the_hours_and_compare_each_once(stage: AgreementStage) -> None:
    await stage.bet(await stage.guest())
    found = await asyncio.gather(*(compare_next(stage.parts) for _ in range(4)))
    assert len([one for one in found if one is not None]) == 1
    rows = await read_rows(stage.url, "SELECT finished_at FROM wallet_agreement")
    assert len(rows) == 1


async def test_an_hour_whose_process_died_is_compared_again_when_its_lease_ends(
    stage: AgreementStage,
) -> None:
    guest = await stage.guest()
    kept = await stage.bet(guest)
    await stage.misbehave(duplicate=3)
    for _ in range(3):
        await stage.win(guest, kept)
    await stage.behave()
    opened = 0

    async def die_after_two(request: Call) -> tuple[Outcome, ...]:
        nonlocal opened
        if opened == 2:
            raise Killed
        opened += 1
        return await stage.parts.submit(request)

    with pytest.raises(Killed):
        await compare_until_due(
            structs.replace(stage, parts=structs.replace(stage.parts, submit=die_after_two))
        )
    async with asyncio.timeout(10):
        # Those that were under way when the process died.
        while len(await stage.breaks()) < 2:  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0.01)
    assert len(await stage.breaks()) == 2
    assert await compare_next(stage.parts) is None
    await stage.work(now=lambda: now() + LEASE + timedelta(seconds=1))
    assert len(await stage.breaks()) == 3


async def compare_until_due(stage: AgreementStage) -> None:
    """Compare hour by hour, each break by itself."""
    while await compare_next(stage.parts) is not None:
        continue


async def test_a_wallet_that_does_not_answer_leaves_the_hour_to_the_next_time(stage: AgreementStage) -> None:
    await stage.bet(await stage.guest())
    await stage.service.control(faults={"garbage": {"percent": 100, "operations": ["statement"]}})
    with pytest.raises(StatementUnreadable):
        await compare_next(stage.parts)
    await stage.behave()
    assert await compare_next(stage.parts) is not None


async def test_a_break_that_cannot_be_opened_leaves_the_hour_to_the_next_time(stage: AgreementStage) -> None:
    guest = await stage.guest()
    await stage.misbehave(duplicate=1)
    await stage.bet(guest)
    await stage.behave()

    async def refuse(request: Call) -> tuple[Outcome, ...]:
        raise CroupierError(UNAVAILABLE, "the lanes are away")

    with pytest.raises(CroupierError):
        await stage.work(submit=refuse)
    await stage.work()
    assert [one["kind"] for one in await stage.breaks()] == ["wallet_moved_twice"]


async def test_who_is_told_to_end_gives_the_hour_back(stage: AgreementStage) -> None:
    guest = await stage.guest()
    await stage.misbehave(duplicate=1)
    await stage.bet(guest)
    await stage.behave()
    begun = asyncio.Event()

    async def hang(request: Call) -> tuple[Outcome, ...]:
        begun.set()
        return await asyncio.Future[tuple[Outcome, ...]]()

    task = asyncio.create_task(stage.work(submit=hang))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await compare_next(stage.parts) is not None
    assert [one["kind"] for one in await stage.breaks()] == ["wallet_moved_twice"]


async def test_the_first_hour_is_the_one_in_which_the_books_began(stage: AgreementStage) -> None:
    since = now() - timedelta(hours=5)
    await read_rows(stage.url, "INSERT INTO wallet_mode (mode, since) VALUES ('remote', $1)", since)
    done = await stage.work()
    first = await read_value(stage.url, "SELECT min(starts_at) FROM wallet_agreement")
    assert first == since.replace(minute=0, second=0, microsecond=0)
    assert len(done) in (4, 5)
    assert all(one == Agreement() for one in done)


async def test_nothing_is_compared_before_there_is_anything(stage: AgreementStage) -> None:
    assert await stage.work() == []
    metrics = Metrics("test")
    await tell_levels(stage.parts, metrics.agreement)
    labels = {"environment": "test"}
    assert metrics.registry.get_sample_value("croupier_wallet_agreement_age_seconds", labels) == 0


async def test_the_work_goes_on_by_itself_and_tells_how_far_it_is(
    stage: AgreementStage, wait_until: Any
) -> None:
    guest = await stage.guest()
    await stage.misbehave(duplicate=1)
    await stage.bet(guest)
    await stage.behave()
    metrics, stop = Metrics("test"), asyncio.Event()
    registry = metrics.registry
    task = asyncio.create_task(keep_agreement(stage.parts, metrics.agreement, stop, look_s=0.01))
    labels = {"environment": "test", "provider": WALLET, "kind": "wallet_moved_twice"}
    await wait_until(lambda: registry.get_sample_value("croupier_reconciliation_breaks", labels) == 1)
    stop.set()
    await task
    await tell_levels(stage.parts, metrics.agreement)
    age_s = registry.get_sample_value("croupier_wallet_agreement_age_seconds", {"environment": "test"})
    assert age_s is not None
    assert (DEADLINE + MARGIN).total_seconds() <= age_s < 3 * 3600
    for kind in set(KINDS) - {"wallet_moved_twice"}:
        assert registry.get_sample_value("croupier_reconciliation_breaks", {**labels, "kind": kind}) == 0


async def test_small_slices_find_the_same(stage: AgreementStage) -> None:
    await play(stage)
    await stage.misbehave(forget=1)
    await stage.bet(await stage.guest("player-3"))
    await stage.behave()
    whole = await stage.compare()
    small = await structs.replace(stage, parts=structs.replace(stage.parts, slice_calls=1)).compare()
    assert small == whole
    assert whole.kinds == {"wallet_lacks_movement": 1}


async def test_what_was_compared_is_kept(stage: AgreementStage) -> None:
    await stage.bet(await stage.guest())
    await stage.work()
    with pytest.raises(Exception, match="append-only"):
        await read_value(stage.url, "DELETE FROM wallet_agreement")
