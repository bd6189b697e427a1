"""The demo as a whole: a deployment, a sandbox process, the players, a crash and an outage half way, the judgement."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from croupier.demo.brownout import brown_out, choose_sick
from croupier.demo.door import try_the_door
from croupier.demo.inbox import Inbox
from croupier.demo.outage import count_webhooks, weather
from croupier.demo.own_wallet import WalletPlatform
from croupier.demo.platform import Platform
from croupier.demo.play import Play
from croupier.demo.proofs import (
    Evidence,
    count_nonces,
    count_sessions,
    find_missing_bets,
    find_unaccounted,
    read_book,
)
from croupier.demo.providers import choose_providers
from croupier.demo.reading_along import Caller, read_along
from croupier.demo.rollout import roll_out
from croupier.demo.settings import NATIVE, SUCCESSOR, DemoSettings
from croupier.demo.studio import Studio, sandbox_process
from croupier.demo.summary import build_summary, merge_counts
from croupier.demo.wallet_proofs import WalletEvidence, load_wallet_evidence, wait_settled
from croupier.demo.wallet_service import WalletService
from croupier.demo.wallet_trouble import WalletTrouble
from croupier.runtime.config import Config
from croupier.runtime.config.starter import CONFIG_NAME, KEYS_FOLDER
from croupier.runtime.database import connect_app, connect_owner
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.serving import Deployment
from croupier.runtime.supervisor import DATABASE
from croupier.settlement.audit import check_ledger, replay_sessions

FINAL_S: Final = 60.0
POLL_S: Final = 0.1
MOST_EXAMPLES: Final = 10


class Demo:
    """One demo in one folder; with a wallet, the operator's, that keeps the players' money."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        settings: DemoSettings,
        console: Console,
        wallet: WalletService | None = None,
    ) -> None:
        self._config = config
        self.folder = folder
        self.assets = config.asset_registry()
        self._settings = settings
        self._console = console
        self._wallet = wallet
        self._run = os.urandom(3).hex()
        self._crashes = 0
        self._is_half_over = False
        self._half_way: list[asyncio.Task[None]] = []
        self._gateway = f"http://{config.http.public}"
        self._sandbox = f"http://{config.sandbox.listen}"
        self.console_url = f"http://{config.http.admin}"
        self.deployment = Deployment(config, folder / "croupier.toml", workers=settings.workers)

    async def play(self) -> dict[str, Any]:
        """Play, judge, and return the summary. The deployment must be running."""
        token = (self.folder / KEYS_FOLDER / "operator.key").read_text().strip()
        async with (
            sandbox_process(self._config, self.folder, self._settings),
            self._open_platform(token) as platform,
            aiohttp.ClientSession() as http,
        ):
            studio = Studio(self._sandbox, http)
            trouble = self._prepare_trouble(platform)
            started = time.monotonic()
            play = await self._play_with_progress(platform, studio, trouble)
            played_s = time.monotonic() - started
            evidence = await self._gather(play, platform, studio, http, trouble)
        summary = build_summary(
            self._settings,
            play.reports,
            evidence,
            played_s=played_s,
            crashes=self._crashes,
            console_url=self.console_url,
        )
        if self.deployment.console is not None:
            self.deployment.console.summary = summary
        return summary

    async def forget_earlier_run(self) -> None:
        """Every demo begins with empty books; those of the one before it are removed. Call before it is deployed."""
        if not self._config.database.is_embedded:
            return
        async with EmbeddedServer(self._config.database.embedded_folder) as server:
            connection = await connect_owner(server.url())
            try:
                await connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
            finally:
                await connection.close()

    def _open_platform(self, token: str) -> Platform:
        if self._wallet is None:
            return Platform(self._gateway, token)
        return WalletPlatform(self._gateway, token, self._wallet)

    def _prepare_trouble(self, platform: Platform) -> WalletTrouble | None:
        if self._wallet is None or not isinstance(platform, WalletPlatform):
            return None
        return WalletTrouble(
            self._wallet,
            platform,
            database_url=self.deployment.supervisor.database_url,
            metrics_url=f"{self.console_url}/metrics",
            run=self._run,
            seed=self._settings.seed,
            tell=self._console.print,
        )

    async def _play_with_progress(
        self, platform: Platform, studio: Studio, trouble: WalletTrouble | None
    ) -> Play:
        total = self._settings.players * self._settings.rounds
        columns = (
            TextColumn("playing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rounds"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as bar:
            task = bar.add_task("play", total=total)
            done = 0

            def advance(rounds: int) -> None:
                nonlocal done
                done += rounds
                bar.advance(task, rounds)
                if trouble is not None and done * 3 >= total:
                    trouble.go_away()
                if not self._is_half_over and done * 2 >= total:
                    self._is_half_over = True
                    self._begin_second_half(studio, trouble)

            if trouble is not None:
                await trouble.begin()
            play = Play(self._settings, platform, self._run, advance)
            await play.run()
        await asyncio.gather(*self._half_way)
        return play

    def _begin_second_half(self, studio: Studio, trouble: WalletTrouble | None) -> None:
        if trouble is None:
            self._kill_a_worker()
        else:
            self._half_way.append(asyncio.create_task(self._kill_while_asked(trouble)))
        self._console.print(f"{NATIVE.id} goes dark: what follows a bet is held back")
        self._half_way.append(asyncio.create_task(studio.go_dark()))

    async def _kill_while_asked(self, trouble: WalletTrouble) -> None:
        await trouble.until_asked()
        self._kill_a_worker()
        await trouble.be_quick()

    def _kill_a_worker(self) -> None:
        """SIGKILL, half way: the supervisor starts another one, and the sandbox repeats what was not answered."""
        worker = self.deployment.supervisor.workers[0]
        if worker.pid is not None:
            self._crashes += 1
            self._console.print(f"killing worker {worker.pid} (SIGKILL) while it serves")
            os.kill(worker.pid, signal.SIGKILL)

    async def _gather(
        self,
        play: Play,
        platform: Platform,
        studio: Studio,
        http: aiohttp.ClientSession,
        trouble: WalletTrouble | None,
    ) -> Evidence:
        connection = await connect_app(self.deployment.supervisor.database_url)
        try:
            inbox = Inbox(connection, self.folder / CONFIG_NAME)
            self._console.print(f"{NATIVE.id} is back: its webhooks arrive all at once")
            storm = await weather(connection, studio, inbox, seed=self._settings.seed)
            if trouble is not None:
                await trouble.recover()
            self._console.print(f"{choose_sick().id} opens no games for a while")
            brownout = await brown_out(platform, studio, connection, self._run)
            self._console.print(
                f"{SUCCESSOR.id} takes over from {NATIVE.id}, step by step, and gives its players back"
            )
            rolled = await roll_out(platform, connection, self._run)
            reading = await read_along(
                platform, Caller(http, self._gateway, self.folder), connection, self._run
            )
            play.wallets.add_deposit(reading.left.player_id, reading.left.asset, reading.left.amount)
            self._console.print("players who may not play try to open games")
            door = await try_the_door(platform, connection, self._run)
            unresolved = await studio.settle_unresolved()
            sessions = await self._wait_final(connection)
            if trouble is not None:
                await wait_settled(connection)
            self._console.print("redriving dead letters, replaying every webhook")
            await inbox.drain()
            redriven = await inbox.redrive(NATIVE.id)
            replayed = await inbox.replay()
            await inbox.drain()
            webhooks = await count_webhooks(studio, inbox, storm, redriven=redriven)
            acknowledged, unaccounted = await self._account_for_all(http, connection, play, platform)
            return Evidence(
                ledger=await check_ledger(connection),
                replay=await replay_sessions(connection),
                acknowledged=acknowledged,
                unaccounted=tuple(unaccounted),
                repeat_violations=sum(report["repeat_violations"] for report in play.reports),
                unexpected=sum(report["unexpected"] for report in play.reports) + webhooks.unexpected,
                planted=dict(merge_counts(play.reports, "attacks", "planted")) | webhooks.planted,
                refused=dict(merge_counts(play.reports, "attacks", "refused")) | webhooks.refused,
                nonces_spent=await count_nonces(connection),
                unresolved=unresolved,
                sessions=sessions,
                examples=(*play.examples(), *webhooks.examples)[:MOST_EXAMPLES],
                webhooks=webhooks,
                replay_of_webhooks=replayed,
                brownout=brownout,
                door=door,
                rolled=rolled,
                reading=reading,
                wallet=await self._judge_wallet(connection, platform, trouble),
            )
        finally:
            await connection.close()

    async def _account_for_all(
        self, http: aiohttp.ClientSession, connection: Any, play: Play, platform: Platform
    ) -> tuple[int, list[str]]:
        """How many decisions were acknowledged, and which of them, or whose wallets, the books do not bear out."""
        acknowledged, unaccounted = 0, []
        for provider in choose_providers():
            find = find_unaccounted if provider is NATIVE else find_missing_bets
            async for page in read_book(http, self._sandbox, provider.id):
                acknowledged += len(page)
                play.wallets.add_page(page)
                unaccounted += await find(connection, provider.id, page)
        if isinstance(platform, WalletPlatform):
            for (player_id, asset), amount in platform.purses.items():
                play.wallets.add_deposit(player_id, asset, amount)
            wrong = await play.wallets.find_wrong(connection, elsewhere=platform.deposited)
        else:
            wrong = await play.wallets.find_wrong(connection)
        return acknowledged, unaccounted + wrong

    async def _judge_wallet(
        self, connection: Any, platform: Platform, trouble: WalletTrouble | None
    ) -> WalletEvidence | None:
        if self._wallet is None or trouble is None or not isinstance(platform, WalletPlatform):
            return None
        return await load_wallet_evidence(
            connection,
            self._wallet,
            deposited=platform.deposited,
            outage=await trouble.come_back(),
            asked_when_killed=trouble.asked_when_killed,
        )

    async def _wait_final(self, connection: Any) -> dict[str, int]:
        deadline = time.monotonic() + FINAL_S
        while True:
            sessions = await count_sessions(connection)
            open_ones = set(sessions) - {"settled", "cancelled", "failed"}
            if not open_ones or time.monotonic() > deadline:
                return sessions
            await asyncio.sleep(POLL_S)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Write the document to a file, with its schema."""
    document = {"schema": {"name": "croupier.demo", "version": 1}, **summary}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
