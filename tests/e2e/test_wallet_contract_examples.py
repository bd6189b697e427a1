"""docs/reference/wallet-contract-examples.md, executed: its curl calls against the reference wallet, its Python too."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from croupier.demo.wallet_service import WalletStart, wallet_process
from croupier.operator.wallet.contract import read_examples
from croupier.runtime.database import ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier_signing import SigningKey, sign_native
from e2e.executed_pages import Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/reference/wallet-contract-examples.md"
SECRET: Final = "a secret of the examples"
OWN: Final = ("detail", "wallet_reference", "recorded_at", "next_cursor")
HEAD: Final = """
set -euo pipefail
export WALLET_URL={url} WALLET_SECRET='{secret}'
"""
NOW: Final = 1_772_366_400


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return asyncio.run(_execute(tmp_path_factory.mktemp("wallet")))


async def _execute(folder: Path) -> Executed:
    server = EmbeddedServer(folder / "postgres", settings={"fsync": "off"})
    await server.start()
    try:
        url = await ensure_database(server.url(), "reference_wallet")
        order = WalletStart(
            database_url=url, secret="env:WALLET_SECRET", environment={"WALLET_SECRET": SECRET}
        )
        async with wallet_process(order) as wallet:
            await wallet.deposit("p-1", "EUR", 10_000, "first")
            head = HEAD.format(url=wallet.url, secret=SECRET)
            work = folder / "page"
            work.mkdir()
            return await asyncio.to_thread(execute, PAGE, work, head)
    finally:
        await server.stop("immediate")


def without_own(node: Any) -> Any:
    """A reply without what every wallet says in its own way."""
    if isinstance(node, list):
        return [without_own(one) for one in node]
    if isinstance(node, dict):
        return {name: without_own(value) for name, value in node.items() if name not in OWN}
    return node


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_every_call_is_answered_as_the_page_says(page: Executed) -> None:
    answers = [json.loads(printed) for printed in page.printed if printed.strip()]
    wanted = [one["reply"] for one in read_examples()]
    assert without_own(answers) == without_own(wanted)


@pytest.fixture(scope="module")
def sketch() -> dict[str, Any]:
    """The names that the page's Python defines."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def judge(
    sketch: dict[str, Any], authorization: str | None, *, seen: set[str] | None = None, **other: Any
) -> Any:
    """Why the page's function refuses a signature over one debit."""
    spent = set() if seen is None else seen

    def spend(_: str, nonce: str) -> bool:
        is_new = nonce not in spent
        spent.add(nonce)
        return is_new

    said = {
        "path": "/debit",
        "query": "",
        "body": b"{}",
        "secrets_by_id": {"wallet": SECRET.encode()},
        **other,
    }
    return sketch["why_refused"](
        authorization,
        said["path"],
        said["query"],
        said["body"],
        secrets_by_id=said["secrets_by_id"],
        spend=spend,
        now=lambda: NOW,
    )


def signed(*, secret: str = SECRET, shift_s: int = 0, path: bytes = b"/debit") -> str:
    """A header of the library that the gateway signs with."""
    return sign_native(
        SigningKey("wallet", secret.encode()),
        method="POST",
        path=path,
        query=b"",
        timestamp_s=NOW + shift_s,
        nonce="nonce-of-the-page",
        body=b"{}",
    )


def test_the_pages_verifier_takes_what_the_gateway_signs(sketch: dict[str, Any]) -> None:
    assert [judge(sketch, signed(shift_s=shift_s)) for shift_s in (-30, 0, 30)] == [None, None, None]


def test_the_pages_verifier_refuses_everything_else(sketch: dict[str, Any]) -> None:
    good = signed()
    assert judge(sketch, None) == "missing"
    assert judge(sketch, good, body=b"{} ") == "mismatch"
    assert judge(sketch, good, path="/credit") == "mismatch"
    assert judge(sketch, good, query="x=1") == "mismatch"
    assert judge(sketch, good, secrets_by_id={}) == "mismatch"
    assert judge(sketch, signed(secret="another one entirely")) == "mismatch"
    assert [judge(sketch, signed(shift_s=shift_s)) for shift_s in (-31, 31)] == ["stale", "stale"]
    for broken in (
        "Bearer x",
        good + ', more="1"',
        good.rpartition(",")[0],
        good.replace('"', ""),
        "x" * 2000,
    ):
        assert judge(sketch, broken) == "malformed"
    seen: set[str] = set()
    assert [judge(sketch, good, seen=seen) for _ in range(2)] == [None, "replayed"]


class Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Threads(WSGIServer):
    """A thread for each request, so that debits meet each other."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer apart from the loop that accepts."""
        threading.Thread(target=self.process_request_thread, args=(request, client_address)).start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer and close."""
        self.finish_request(request, client_address)
        self.shutdown_request(request)


@pytest.fixture
def address(sketch: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """Where the page's application listens, over a file in which p-1 has 100."""
    file = str(tmp_path / "wallet.db")
    with_money = sketch["open_books"](file)
    with_money.execute("INSERT INTO accounts VALUES ('p-1', 'EUR', '100')")
    with_money.close()
    application = sketch["make_application"](file, {"wallet": SECRET.encode()})
    with make_server("127.0.0.1", 0, application, server_class=Threads, handler_class=Quiet) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def ask(sketch: dict[str, Any], address: str, reference: str, amount: str, **more: Any) -> tuple[int, Any]:
    order = {"reference": reference, "player_id": "p-1", "asset": "EUR", "amount": amount, **more}
    key = {"key_id": "wallet", "secret": SECRET.encode(), **more.pop("key", {})}
    status, answer = sketch["call"](address, more.pop("path", "/debit"), order, **key)
    return status, answer


def test_the_pages_debit_keeps_a_reference_for_ever(sketch: dict[str, Any], address: str) -> None:
    first = ask(sketch, address, "wtx_1", "30")
    again = ask(sketch, address, "wtx_1", "30")
    assert first[0] == again[0] == 200
    assert (first[1]["balance"], first[1]["repeat"]) == ("70", False)
    assert (again[1]["balance"], again[1]["repeat"], again[1]["amount"]) == ("70", True, "30")
    assert ask(sketch, address, "wtx_1", "31") == (
        409,
        {"code": "reference_conflict", "detail": "another movement has it", "applied": "no"},
    )
    refused = [ask(sketch, address, "wtx_2", "71")[1] for _ in range(2)]
    assert [(one["code"], one["balance"], one["repeat"]) for one in refused] == [
        ("insufficient_funds", "70", False),
        ("insufficient_funds", "70", True),
    ]
    assert ask(sketch, address, "wtx_3", "1", player_id="nobody")[1]["code"] == "unknown_player"


def test_the_pages_debit_is_exact_when_many_come_at_once(sketch: dict[str, Any], address: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: ask(sketch, address, f"wtx_r{number}", "10"), range(16)))
        repeats = list(pool.map(lambda _: ask(sketch, address, "wtx_r0", "10"), range(16)))
    assert sorted(answer["status"] for _, answer in answers) == ["approved"] * 10 + ["refused"] * 6
    assert {answer["repeat"] for _, answer in repeats} == {True}


@pytest.mark.parametrize("amount", ["0", "-1", "1.0", "01", "1\n", "", "9" * 39])
def test_the_pages_debit_refuses_what_is_no_amount(sketch: dict[str, Any], address: str, amount: str) -> None:
    assert ask(sketch, address, "wtx_1", amount)[0] == 400


def test_the_pages_application_refuses_other_paths_and_keys(sketch: dict[str, Any], address: str) -> None:
    order = {"reference": "wtx_1", "player_id": "p-1", "asset": "EUR", "amount": "1"}
    key = {"key_id": "wallet", "secret": SECRET.encode()}
    assert sketch["call"](address, "/credit", order, **key)[0] == 404
    assert sketch["call"](address, "/debit", order, key_id="wallet", secret=os.urandom(32))[0] == 401
