"""`croupier provider conformance NAME`: every scenario of the kit against a gateway of its own, or a running one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
import uvloop
from msgspec import Struct
from msgspec.structs import replace

from croupier.cli.acting import read_actor, require_reason
from croupier.cli.api import DEFAULT_TOKEN, anchored
from croupier.cli.conformance_site import own_site
from croupier.cli.conformance_targets import adapter_of, configured_target, find_account, own_target
from croupier.cli.output import EXIT_FAILURE, CommandFailed, Output, output_of
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.conformance.http_wire import HttpWire
from croupier.conformance.launches import LaunchReceiver
from croupier.conformance.operator_client import OperatorClient
from croupier.conformance.report import (
    HEADERS,
    Report,
    count_results,
    encode_report,
    render_document,
    render_rows,
)
from croupier.conformance.run import Advance, run_scenarios
from croupier.conformance.scenario import FAILED, Result
from croupier.conformance.scenarios import SCENARIOS
from croupier.conformance.stage import Target
from croupier.demo.wallet_service import WalletProcessFailed
from croupier.governance.cutover import CutoverRecord, Step, keep_record
from croupier.ids import IdSource
from croupier.runtime.config import Config
from croupier.runtime.going_live import adapter_digest
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.runtime.supervisor import NotReady
from croupier.telemetry.logs import set_up_logs
from croupier_signing import Key, read_key

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

UrlOption = Annotated[
    str | None, typer.Option("--url", help="Base URL of a running deployment; without it one is started.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write the report there, as JSON.")
]
TokenOption = Annotated[
    str, typer.Option(help="With --url: bearer token of the operator API, env:NAME or file:PATH.")
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="SECRET",
        help="With --url: the provider's private key, where the gateway has only the public one.",
    ),
]
ListenOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="With --url: where to take launches; default: the account's base_url, which must be this machine's.",
    ),
]


RecordOption = Annotated[
    bool, typer.Option("--record", help="Keep the result for cut-overs; needs --reason.")
]
RecordReasonOption = Annotated[
    str | None, typer.Option("--reason", help="With --record: why; it goes into the audit log.")
]


class WalletMode(StrEnum):
    """Who keeps the players' money."""

    BUILTIN = "builtin"
    REMOTE = "remote"


WalletOption = Annotated[
    WalletMode,
    typer.Option(help="Without --url: `remote` has the reference wallet keep the players' money."),
]


class Stand(Struct, frozen=True, kw_only=True):
    """A gateway ready to be tried: its address, an operator's token, where launches arrive, and the account."""

    url: str
    receiver: LaunchReceiver
    target: Target
    operator: OperatorClient


def conformance(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An adapter, or a configured provider account.")
    ],
    url: UrlOption = None,
    report: ReportOption = None,
    token: TokenOption = DEFAULT_TOKEN,
    signing_key: KeyOption = None,
    listen: ListenOption = None,
    wallet: WalletOption = WalletMode.BUILTIN,
    record: RecordOption = False,
    reason: RecordReasonOption = None,
) -> None:
    """Play every scenario of the conformance kit as the provider, and report what held.

    Without --url a database and a gateway are started for it and removed afterwards. With --url the account, its keys
    and its games are those of the configuration; players whose names begin with `conformance-` get money, play, and
    stay. Never point it at a deployment that keeps real books. With --record the result is kept in the configured
    database for cut-overs (`croupier provider cutover`). Exit code 1 when a scenario fails.

    Examples:

      croupier provider conformance softswiss_v2

      croupier provider conformance softswiss_v2 --wallet remote

      croupier provider conformance softswiss_v3 --record --reason "before the cut-over, ticket 4712"

      croupier provider conformance studio --url https://gateway.example --report studio.json
    """
    config, output = settings_of(ctx).read_config(), output_of(ctx)
    why = require_reason(reason) if record else ""
    if record and url is not None:
        raise typer.BadParameter("it goes without --url: what is recorded is about the code here")
    try:
        if url is None:
            stand = _own_stand(adapter_of(config, name), wallet)
        else:
            account = find_account(config, name).id
            key = None if signing_key is None else _read_own_key(ctx, signing_key)
            target = configured_target(config, account, key)
            stand = _remote_stand(config, url.rstrip("/"), target, _secret(ctx, token), listen)
        with output.progress(f"{name}:", len(SCENARIOS)) as bar:
            done = uvloop.run(_run(stand, _counting(bar)))
    except (NotReady, WalletProcessFailed) as error:
        raise CommandFailed(str(error)) from None
    if report is not None:
        report.write_bytes(encode_report(done))
    if record:
        _record(ctx, done, why)
    _show(output, done)
    if not done.has_passed:
        raise typer.Exit(EXIT_FAILURE)


def _record(ctx: typer.Context, done: Report, reason: str) -> None:
    counts = count_results(done.results)
    record = CutoverRecord(
        subject=done.manifest.id,
        step=Step.CONTRACT_SUITE,
        digest=adapter_digest(done.manifest.id),
        is_good=done.has_passed,
        detail=", ".join(f"{count} {status}" for status, count in counts.items()),
        actor=read_actor(),
        reason=reason,
        at=datetime.now(UTC),
    )
    read_database(ctx, lambda connection: keep_record(connection, record, IdSource()))


def _counting(bar: Callable[[int, str], None]) -> Advance:
    played = 0

    def advance(result: Result) -> None:
        nonlocal played
        played += 1
        bar(played, result.scenario)

    return advance


async def _run(stand: contextlib.AbstractAsyncContextManager[Stand], advance: Advance) -> Report:
    async with stand as ready, ready.operator as operator:
        wire = HttpWire(ready.url)
        try:
            results = await run_scenarios(ready.target, operator, wire, ready.receiver, advance=advance)
        finally:
            wire.close()
        return Report(
            account=ready.target.speaker.account.id,
            manifest=ready.target.manifest,
            url=ready.url,
            at=datetime.now(UTC).isoformat(),
            results=results,
        )


@asynccontextmanager
async def _own_stand(adapter: str, wallet: WalletMode) -> AsyncIterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="croupier-conformance-") as folder, ExitStack() as stack:
        # What the gateway's own processes log is not the result.
        set_up_logs(
            log_format="json", level="error", file=stack.enter_context((Path(folder) / "log").open("w"))
        )
        is_remote = wallet is WalletMode.REMOTE
        async with own_site(Path(folder), [adapter], has_remote_wallet=is_remote) as site:
            target = own_target(site, adapter)
            yield Stand(url=site.url, receiver=site.receiver, target=target, operator=site.operator())


@asynccontextmanager
async def _remote_stand(
    config: Config, url: str, target: Target, token: str, listen: str | None
) -> AsyncIterator[Stand]:
    account = target.speaker.account
    host, port = _listening(config, account.id, listen)
    prefix = urlsplit(url).path.encode()
    speaker = type(target.speaker)(replace(account, root=prefix + account.root))
    async with LaunchReceiver(host, port) as receiver:
        yield Stand(
            url=url,
            receiver=receiver,
            target=replace(target, speaker=speaker),
            operator=OperatorClient(url, token),
        )


def _listening(config: Config, account: str, listen: str | None) -> tuple[str, int]:
    """Where launches of this account arrive; any free port of the loopback when it is launched by other means."""
    if listen is not None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit():
            raise typer.BadParameter("an address is HOST:PORT", param_hint="--listen")
        return host, int(port)
    base_url = next(one.base_url for one in config.providers if one.id == account)
    if base_url is None:
        return "127.0.0.1", 0
    parts = urlsplit(base_url)
    if parts.hostname not in LOOPBACK:
        raise CommandFailed(
            f"{account} is launched at {base_url}, which is not this machine: point base_url at it, or say --listen"
        )
    return parts.hostname or "127.0.0.1", parts.port or 80


def _secret(ctx: typer.Context, reference: str) -> str:
    return _resolve(ctx, reference).decode("utf-8", "replace")


def _read_own_key(ctx: typer.Context, reference: str) -> Key:
    try:
        return read_key("provider", _resolve(ctx, reference))
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def _resolve(ctx: typer.Context, reference: str) -> bytes:
    """A secret; a relative file counts from the configuration's folder, as in the configuration."""
    reference = anchored(reference, settings_of(ctx).effective_config_path)
    try:
        return resolve_secret(reference, env=os.environ)
    except SecretUnavailable as error:
        raise CommandFailed(f"{reference} cannot be read: {error.what}; {error.fix}") from None


def _show(output: Output, report: Report) -> None:
    if output.is_json:
        output.document("conformance", render_document(report))
        return
    output.table(HEADERS, render_rows(report))
    for result in report.results:
        if result.status == FAILED:
            output.say(f"\n{result.scenario}: {result.claim}\n{result.why}", "bold")
            output.say(f"{_indent(result.request)}\n\n{_indent(result.answer)}")
    counts = count_results(report.results)
    output.say("\n" + ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items()))


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
