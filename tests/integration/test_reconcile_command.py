"""`croupier reconcile` on a real database and a wallet in a process of its own (K1, I6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agreement_commands import Site, open_command_site
from agreement_stage import AGO, OWNER, SECRET, now
from lane_desk import IDS, read_value

from croupier.runtime.agreement_site import agreement_part
from croupier.runtime.config import Config, load_config
from croupier.telemetry.metrics import Metrics


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_command_site(database_url, tmp_path) as opened:
        yield opened


async def test_agreement_is_told_by_asset_and_ends_well(site: Site) -> None:
    guest = await site.stage.guest()
    await site.stage.win(guest, await site.stage.bet(guest, 300), 450)
    ended = await site.reconcile()
    assert ended.exit_code == 0, ended.output
    assert "2 calls, 2 movements, 2 agreed" in ended.stdout
    assert "EUR\t1.50 EUR\t1.50 EUR\t1.50 EUR\t0.00 EUR\t0.00 EUR" in ended.stdout
    found = await site.document(0)
    assert found["schema"] == {"name": "croupier.reconcile.wallet", "version": 1}
    assert (found["agrees"], found["differences"], found["kinds"]) == (True, [], {})
    assert found["assets"]["EUR"] == {
        "theirs": "150", "ours": "150", "ledger": "150", "under_way": "0", "difference": "0",
    }  # fmt: skip


async def test_a_difference_is_told_with_age_money_and_owner_and_opened_once(site: Site) -> None:
    guest = await site.stage.guest()
    await site.stage.misbehave(duplicate=1)
    name = await site.stage.name_of(await site.stage.bet(guest, 300))
    ended = await site.reconcile()
    assert ended.exit_code == 3, ended.output
    line = next(one for one in ended.stdout.splitlines() if one.startswith("wallet_moved_twice"))
    assert line.split("\t")[:5] == ["wallet_moved_twice", name, "3.00 EUR", "3 h", OWNER]
    found = await site.document(3)
    (one,) = found["differences"]
    assert (one["kind"], one["subject"], one["amount"], one["gaps"], one["owner"]) == (
        "wallet_moved_twice", name, "300", {"EUR": "-300"}, OWNER,
    )  # fmt: skip
    assert found["assets"]["EUR"]["difference"] == "-300"
    assert len(await site.stage.breaks()) == 1


async def test_a_dry_run_opens_nothing(site: Site) -> None:
    guest = await site.stage.guest()
    await site.stage.misbehave(forget=1)
    await site.stage.bet(guest)
    await site.stage.service.control(reset=True, clock_skew_s=0)
    starts = (now() - AGO - timedelta(minutes=30)).isoformat()
    ended = await site.run("reconcile", "wallet", "--from", starts, "--dry-run", "--limit", "0")
    assert ended.exit_code == 3, ended.output
    assert "1 differences" in ended.stdout
    assert "… and 1 more" in ended.stdout
    assert "no breaks were opened" in ended.stdout
    assert await site.stage.breaks() == []


async def test_a_wallet_that_cannot_be_asked_is_a_failure_and_no_difference(site: Site) -> None:
    await site.stage.bet(await site.stage.guest())
    await site.stage.service.control(is_down=True)
    starts = (now() - timedelta(hours=1)).isoformat()
    ended = await site.run("reconcile", "wallet", "--from", starts)
    assert ended.exit_code == 1
    assert "the operator's wallet cannot be asked" in ended.output
    await site.stage.service.control(is_down=False)


async def test_a_built_in_wallet_has_nobody_to_agree_with(site: Site) -> None:
    site.config.write_text('environment = "test"\n')
    ended = await site.run("reconcile", "wallet", "--from", "2026-03-01T00:00:00Z")
    assert ended.exit_code == 1
    assert "the wallet is built in" in ended.output


@pytest.mark.parametrize(
    ("starts", "ends"),
    [("yesterday", None), ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"), ("2026-03-01T00:00:00Z", "now")],
)
async def test_a_period_that_is_none_is_refused(site: Site, starts: str, ends: str | None) -> None:
    until = now().isoformat() if ends == "now" else ends
    more = [] if until is None else ["--to", until]
    assert (await site.run("reconcile", "wallet", "--from", starts, *more)).exit_code == 2


async def test_a_background_process_compares_where_the_wallet_is_the_operators(
    site: Site, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    guest = await site.stage.guest()
    await site.stage.misbehave(forget=1)
    await site.stage.bet(guest)
    await site.stage.service.control(reset=True, clock_skew_s=0)
    monkeypatch.setenv("WALLET_KEY", SECRET)
    given: dict[str, Any] = {
        "submit": site.stage.parts.submit,
        "ids": IDS,
        "metrics": Metrics("test"),
        "stop": asyncio.Event(),
    }
    assert agreement_part(Config(), site.stage.parts.pool, **given) == {}
    (part,) = agreement_part(load_config(site.config, {}), site.stage.parts.pool, **given).values()
    task = asyncio.create_task(part)
    await wait_until(lambda: read_value(site.stage.url, "SELECT count(*) > 0 FROM break_item"))
    given["stop"].set()
    await task
    (found,) = await site.stage.breaks()
    assert (found["kind"], found["owner"]) == ("wallet_lacks_movement", OWNER)


async def test_open_breaks_are_listed_with_age_money_and_owner(site: Site) -> None:
    guest = await site.stage.guest()
    await site.stage.misbehave(duplicate=1)
    name = await site.stage.name_of(await site.stage.bet(guest, 300))
    await site.reconcile()
    ended = await site.run("reconcile", "breaks")
    assert ended.exit_code == 0, ended.output
    (line,) = [one for one in ended.stdout.splitlines() if one.startswith("brk_")]
    assert line.split("\t")[1:4] == ["wallet_moved_twice", name, "3.00 EUR"]
    assert line.split("\t")[5] == OWNER
    assert "1 open" in ended.stdout
    ended = await site.run("--json", "reconcile", "breaks", "--kind", "win_without_bet")
    assert json.loads(ended.stdout)["breaks"] == []
    document = json.loads((await site.run("--json", "reconcile", "breaks")).stdout)
    assert document["schema"] == {"name": "croupier.reconcile.breaks", "version": 1}
    (one,) = document["breaks"]
    assert (one["subject"], one["amount"], one["owner"], one["player_id"]) == (
        name, "300", OWNER, guest.player_id,
    )  # fmt: skip
    await read_value(site.stage.url, "UPDATE break_item SET resolved_at = now(), resolution = 'paid back'")
    assert json.loads((await site.run("--json", "reconcile", "breaks")).stdout)["count"] == 0
