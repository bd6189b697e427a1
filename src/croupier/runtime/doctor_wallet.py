"""The part of `croupier doctor` that asks the operator's wallet one question, and looks at how it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from croupier.operator.wallet.client import (
    NAME_NOT_FOUND,
    TIMEOUT,
    TLS_FAILED,
    UNREACHABLE,
    Lost,
    WalletClient,
)
from croupier.operator.wallet.replies import Answer, Heard, read_balance
from croupier.operator.wallet.wire import BALANCE, render_balance
from croupier.runtime.config import Config, ConfigProblems
from croupier.runtime.finding import Finding
from croupier.runtime.wallet import wallet_settings
from croupier.wallet.port import Balance, Refused, Unknown
from croupier_signing import WINDOW_S

CHECK: Final = "wallet"
NOBODY: Final = "croupier-doctor-nobody"
"""A player that no operator has: the question moves nothing and tells nothing."""
ASSET: Final = "EUR"
SKEW_S: Final = 5.0
"""A clock that is further off is told of: what is signed there or here is refused at 30 s."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

Told = Balance | Refused | Unknown
_ADVICE: Final[Mapping[str, str]] = {
    UNREACHABLE: "start it, or set wallet.url to where it listens",
    NAME_NOT_FOUND: "set wallet.url to a host that the name service knows",
    TLS_FAILED: "give it a certificate for its host name from an authority that this machine trusts",
    TIMEOUT: "look why it is slow, or raise wallet.timeout",
    "unauthenticated": "give it the key id and secret of [wallet], and compare the clocks",
    "unknown_path": "set wallet.url to the base of its paths: /balance follows it",
}
_OTHERWISE: Final = "compare its answers with docs/reference/wallet-contract.md"


async def examine_wallet(config: Config, env: Mapping[str, str]) -> list[Finding]:
    """Whether the operator's wallet is reached, takes our signature and keeps time; nothing where there is none."""
    try:
        settings = wallet_settings(config, env)
    except ConfigProblems:
        return []  # The findings about secrets say why.
    if settings is None:
        return []
    return [*_examine_settings(config), *await _ask(WalletClient(settings, _now), settings.timeout_s)]


def _now() -> datetime:
    return datetime.now(UTC)


def _examine_settings(config: Config) -> Iterator[Finding]:
    url = urlsplit(config.wallet.url or "")
    if url.scheme != "https" and url.hostname not in LOOPBACK:
        detail = "answers are not signed, and travel where anybody may change them"
        yield Finding.warn("wallet.url", detail, "give the wallet an https:// address")
    if config.wallet.owner not in config.owners:
        fix = f"add [owners.{config.wallet.owner}] with its contacts, or name another team"
        yield Finding.warn("wallet.owner", f"no team is called {config.wallet.owner}", fix)


async def _ask(client: WalletClient, timeout_s: float) -> list[Finding]:
    came: list[tuple[Answer, datetime]] = []

    def read(answer: Answer) -> tuple[Heard[Told]]:
        came.append((answer, _now()))
        return (read_balance(NOBODY, ASSET, answer),)

    began_s = time.monotonic()
    try:
        heard = await client.post(
            BALANCE,
            render_balance(NOBODY, ASSET),
            correlation_id="croupier-doctor",
            ends_at_s=began_s + timeout_s,
            read=read,
        )
    finally:
        await client.close()
    took_ms = round((time.monotonic() - began_s) * 1000)
    if isinstance(heard, Lost):
        return [Finding.fail(CHECK, f"it gives no answer: {heard.reason}", _advice(heard.reason))]
    return [_judge(heard[0].word, took_ms), *(one for got in came for one in _examine_clock(*got, took_ms))]


def _judge(word: Told, took_ms: int) -> Finding:
    if isinstance(word, Unknown):
        return Finding.fail(CHECK, f"it does not say what a player has: {word.reason}", _advice(word.reason))
    return Finding.ok(CHECK, f"it answers in {took_ms} ms, and takes our signature")


def _examine_clock(answer: Answer, came_at: datetime, took_ms: int) -> Iterator[Finding]:
    """Where the answer has a date, which is of whole seconds and of some time since the question was sent."""
    try:
        at = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return
    off_s = (at if at.tzinfo else at.replace(tzinfo=UTC)) - came_at
    skew_s = abs(off_s.total_seconds()) - 1 - took_ms / 1000
    if skew_s <= SKEW_S:
        return
    verdict: Callable[[str, str, str], Finding] = Finding.fail if skew_s >= WINDOW_S else Finding.warn
    detail = (
        f"its clock is {abs(off_s.total_seconds()):.0f} s off ours; signatures are refused at {WINDOW_S} s"
    )
    yield verdict("wallet.clock", detail, "let both machines follow a time server")


def _advice(reason: str) -> str:
    return _ADVICE.get(reason, _OTHERWISE)
