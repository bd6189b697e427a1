"""docs/how-to/bring-your-own-wallet.md and agree-with-your-wallet.md, executed against the reference wallet (K6)."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from croupier.demo.wallet_service import WalletStart, wallet_process
from croupier.runtime.database import ensure_database
from croupier.runtime.embedded import EmbeddedServer
from e2e.executed_pages import MOVED, Executed, execute

HOW_TO: Final = Path(__file__).parents[2] / "docs/how-to"
SECRET: Final = "a secret of the page, long enough"
TOML: Final = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SITE: Final = """
command croupier init . > /dev/null
printf %s '{secret}' > wallet.key && chmod 600 wallet.key
cat wallet.toml >> croupier.toml
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return asyncio.run(_execute(tmp_path_factory.mktemp("own-wallet")))


async def _execute(folder: Path) -> Executed:
    server = EmbeddedServer(folder / "postgres", settings={"fsync": "off"})
    await server.start()
    try:
        order = WalletStart(
            database_url=await ensure_database(server.url(), "reference_wallet"),
            secret="env:WALLET_SECRET",
            environment={"WALLET_SECRET": SECRET},
        )
        async with wallet_process(order) as wallet:
            site = folder / "site"
            site.mkdir()
            page = site / "page.md"
            page.write_text(_settle_names(_read_pages(), wallet.url))
            (section,) = TOML.findall(page.read_text())
            (site / "wallet.toml").write_text(section)
            return await asyncio.to_thread(execute, page, site, MOVED + SITE.format(secret=SECRET))
    finally:
        await server.stop("immediate")


def _read_pages() -> str:
    names = ("bring-your-own-wallet.md", "agree-with-your-wallet.md")
    return "\n".join((HOW_TO / name).read_text(encoding="utf-8") for name in names)


def _settle_names(text: str, url: str) -> str:
    """The page with the names that are its reader's to choose; each must be there."""
    chosen = {
        "https://wallet.test.example/croupier/v1": url,
        "https://wallet.test.example/cashier": f"{url}/cashier",
        "https://wallet.example/croupier/v1": url,
        "WALLET_SECRET=…": f"WALLET_SECRET='{SECRET}'",
        "file:/etc/croupier/wallet.key": "file:wallet.key",
        # Compared hour by hour: a page of an old year need not be one of all the hours since.
        "--from 2026-03-01T12:00:00Z --dry-run": f"--from {datetime.now(UTC) - timedelta(hours=3):%FT%TZ} --dry-run",
        "croupier doctor\ncroupier serve\n```": "croupier doctor\n```\n\n```sh\ncroupier serve &\n```",
    }
    for name, own in chosen.items():
        assert name in text, name
        text = text.replace(name, own)
    return text


def test_every_command_of_the_pages_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_the_contract_is_written_where_the_page_says(page: Executed) -> None:
    assert "schemas" in page.said_by("croupier wallet contract --schemas")


def test_the_kit_judges_the_wallet(page: Executed) -> None:
    assert re.search(
        r"^\d+ passed, 0 failed, 0 remark", page.said_by("croupier wallet conformance"), re.MULTILINE
    )


def test_the_doctor_asks_the_wallet(page: Executed) -> None:
    assert re.search(r"wallet\b.*takes our signature", page.said_by("croupier doctor"))


def test_books_of_nobody_agree(page: Executed) -> None:
    assert "their wallet, our ledger and the providers agree" in page.said_by("croupier reconcile wallet")
