"""What `croupier doctor` finds when it asks the operator's wallet one question."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from rogue_wallet import KEY, RogueWallet, answer, hang_up, hold, is_signed, open_wallet
from tls_papers import Authority

from croupier.runtime.config import load_config
from croupier.runtime.doctor_wallet import examine_wallet
from croupier.runtime.finding import Finding
from unit.wallet_orders import error

ENV = {"S": KEY.secret.decode()}


@pytest.fixture
async def wallet() -> AsyncIterator[RogueWallet]:
    async with open_wallet() as opened:
        yield opened


async def examine(
    folder: Path, url: str, *, more: str = "[owners.finance]\ncontacts = ['x']\n"
) -> list[Finding]:
    path = folder / "croupier.toml"
    path.write_text(f'[wallet]\nmode = "remote"\nurl = "{url}"\nsecret = "env:S"\ntimeout = "1s"\n{more}')
    return await examine_wallet(load_config(path, ENV), ENV)


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.status) for finding in findings]


async def test_a_wallet_that_answers_is_well(wallet: RogueWallet, tmp_path: Path) -> None:
    (found,) = await examine(tmp_path, wallet.address + "/v1")
    assert (found.check, found.status) == ("wallet", "ok")
    assert "takes our signature" in found.detail
    (asked,) = wallet.asked
    assert is_signed(asked, "/v1/balance", int(datetime.now(UTC).timestamp()))
    assert asked.body == {"player_id": "croupier-doctor-nobody", "asset": "EUR"}


async def test_a_wallet_that_knows_no_such_player_is_well(wallet: RogueWallet, tmp_path: Path) -> None:
    gone = {
        "status": "refused",
        "code": "unknown_player",
        "player_id": "croupier-doctor-nobody",
        "asset": "EUR",
    }
    wallet.then("/balance", answer(200, gone))
    assert told(await examine(tmp_path, wallet.address)) == [("wallet", "ok")]


@pytest.mark.parametrize(
    ("behave", "detail", "fix"),
    [
        (answer(401, error("unauthenticated", "no")), "unauthenticated", "compare the clocks"),
        (answer(404, error("unknown_path", "no")), "unknown_path", "the base of its paths"),
        (answer(200, b"<html>", media_type="text/html"), "content_type", "wallet-contract.md"),
        (hang_up(), "reset", "wallet-contract.md"),
        (hold, "timeout", "raise wallet.timeout"),
    ],
)
async def test_a_wallet_that_does_not_answer_is_told_with_what_to_do(
    wallet: RogueWallet, tmp_path: Path, behave: object, detail: str, fix: str
) -> None:
    wallet.then("/balance", behave)  # type: ignore[arg-type]
    (found,) = await examine(tmp_path, wallet.address)
    assert found.status == "fail"
    assert detail in found.detail
    assert fix in found.fix


async def test_nobody_there_is_told(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        (found,) = await examine(tmp_path, f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert (found.status, found.detail) == ("fail", "it gives no answer: unreachable")


async def test_a_certificate_that_nobody_should_trust_is_told(tmp_path: Path) -> None:
    async with open_wallet(Authority(tmp_path).certify()) as wallet:
        (found,) = await examine(tmp_path, wallet.address)
    assert (found.status, found.detail) == ("fail", "it gives no answer: tls_failed")
    assert wallet.asked == []


async def test_tls_that_is_right_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    async with open_wallet(authority.certify()) as wallet:
        assert told(await examine(tmp_path, wallet.address)) == [("wallet", "ok")]


@pytest.mark.parametrize(
    ("off_s", "expected"), [(0, None), (-4, None), (12, "warn"), (-12, "warn"), (45, "fail"), (-3600, "fail")]
)
async def test_a_clock_that_is_off_is_told(
    wallet: RogueWallet, tmp_path: Path, off_s: int, expected: str | None
) -> None:
    at = datetime.now(UTC) + timedelta(seconds=off_s)
    wallet.date = format_datetime(at, usegmt=True).encode()
    found = await examine(tmp_path, wallet.address)
    assert told(found) == [("wallet", "ok")] + ([] if expected is None else [("wallet.clock", expected)])


async def test_a_date_that_is_none_is_passed_over(wallet: RogueWallet, tmp_path: Path) -> None:
    wallet.date = b"yesterday"
    assert told(await examine(tmp_path, wallet.address)) == [("wallet", "ok")]


async def test_answers_that_anybody_may_change_are_told(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        found = await examine(tmp_path, f"http://127.0.0.2:{unused.getsockname()[1]}")
    assert told(found) == [("wallet.url", "warn"), ("wallet", "fail")]


async def test_a_team_that_nobody_can_reach_is_told(wallet: RogueWallet, tmp_path: Path) -> None:
    assert told(await examine(tmp_path, wallet.address, more="")) == [
        ("wallet.owner", "warn"),
        ("wallet", "ok"),
    ]


async def test_the_wallet_that_is_built_in_is_not_asked(tmp_path: Path) -> None:
    assert await examine_wallet(load_config(None, {}), {}) == []
