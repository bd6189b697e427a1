"""The operator API on a real database, with real lanes, and a studio that launches as scripted."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg
import httpx
from aiohttp import web
from msgspec import structs
from prometheus_client import CollectorRegistry

from croupier.ids import SESSION, IdSource, bucket_of, parse_id
from croupier.money import AssetRegistry
from croupier.moneypath.commands import Action, Call
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.moneypath.outcomes import Outcome
from croupier.operator.app import create_operator_app
from croupier.operator.deps import LaunchRecord, OperatorDeps, OperatorKey, OperatorLimits, OperatorRecord
from croupier.operator.eligibility import EligibilityDesk
from croupier.operator.exclusion import ExclusionQuestion
from croupier.operator.permissions import Role
from croupier.operator.reads import OperatorReads
from croupier.operator.rulings import RulingBook
from croupier.play.eligibility import Enablement, Located, Standing, Unanswered
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.arrival import BodyLimits
from croupier.providers.breakers.desk import Breakers
from croupier.providers.breakers.machine import BreakerSettings
from croupier.providers.client import ClientLimits, ProviderClient
from croupier.providers.contract import ProviderAccount
from croupier.runtime.config import Config, Contract, ContractBook, Game, Provider, built_in_packs
from croupier.runtime.database import connect_app, create_pool
from croupier.runtime.flag_work import Flags
from croupier.telemetry.rollout_metrics import RolloutMetrics
from croupier_signing import MessageRequest, SigningKey, hash_api_key, sign_message, sign_native
from model.calls import bet, close_round, win

PLAYER = "player-1"
TOKENS = {role: f"token-of-{role.value}" for role in Role}
SIGNER = SigningKey("operator-signer", bytes(range(32)))
STUDIO_KEY = SigningKey("to-studio", bytes(range(32, 64)))
OPENING = {"player_id": PLAYER, "game_id": "dice", "asset": "EUR", "country": "MT"}
BODY_LIMIT = 4096
KEYS = (
    *(OperatorKey(id=role.value, role=role, token_hash=hash_api_key(TOKENS[role])) for role in Role),
    OperatorKey(id="other-operator", role=Role.OPERATOR, token_hash=hash_api_key("token-of-another")),
    OperatorKey(id=SIGNER.id, role=Role.OPERATOR, signing_key=SIGNER),
)


@dataclass
class Studio:
    """Answers launches by its script: ok, refuse, hang, drop, garbage, redirect, flood, busy and what Retry-After says.

    Without a script, ok.
    """

    script: deque[str] = field(default_factory=deque)
    address: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def launch(self, request: web.Request) -> web.StreamResponse:
        """One launch."""
        body = await request.json()
        self.seen.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        match self.script.popleft() if self.script else "ok":
            case "refuse":
                return web.json_response({"code": "game_closed"}, status=422)
            case str() as word if word.startswith("busy"):
                asked = word.removeprefix("busy").strip()
                return web.Response(status=503, headers={"Retry-After": asked} if asked else None)
            case "hang":
                await self.released.wait()
            case "drop":
                assert request.transport is not None
                request.transport.close()
            case "garbage":
                return web.Response(body=b"<html>")
            case "redirect":
                raise web.HTTPTemporaryRedirect(f"{self.address}/elsewhere")
            case "flood":
                return web.Response(body=b" " * 70_000)
            case _:
                pass
        return web.json_response(
            {"session_id": body["session_id"], "launch_url": f"https://studio.example/{body['session_id']}"}
        )


@asynccontextmanager
async def open_studio() -> AsyncIterator[Studio]:
    """A studio on a free port of the loopback."""
    studio = Studio()
    app = web.Application()
    app.router.add_post("/v1/launch", studio.launch)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    studio.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield studio
    finally:
        studio.released.set()
        await runner.cleanup()


def account_at(name: str, base_url: str) -> ProviderAccount:
    """A studio's account."""
    return ProviderAccount(
        id=name,
        adapter="croupier_v1",
        base_url=base_url,
        inbound_keys={},
        outbound_key=STUDIO_KEY,
        assets=AssetRegistry(),
        contract_for=lambda *, asset, game_id, at: None,
    )


@dataclass
class House:
    """A running operator API and its callers."""

    client: httpx.AsyncClient
    lanes: Lanes
    pool: asyncpg.Pool
    studio: Studio
    deps: OperatorDeps
    records: list[OperatorRecord]
    launches: list[LaunchRecord]
    flags: Flags
    calls: list[Call] = field(default_factory=list)
    ids: IdSource = field(default_factory=IdSource)
    _keys: int = 0

    async def get(
        self, path: str, role: Role = Role.OPERATOR, headers: dict[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        """A read with a bearer token."""
        sent = {"Authorization": f"Bearer {TOKENS[role]}", **(headers or {})}
        return await self.client.get(path, headers=sent, params=query or None)

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        role: Role = Role.OPERATOR,
    ) -> httpx.Response:
        """A change with a bearer token and a new Idempotency-Key, unless one is given (empty: none at all)."""
        self._keys += 1
        sent = {"Authorization": f"Bearer {TOKENS[role]}", "Content-Type": "application/json"}
        if key != "":
            sent["Idempotency-Key"] = key or f"key-{self._keys}"
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=sent | (headers or {}))

    async def signed(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        *,
        nonce: str,
        signed_body: bytes | None = None,
        **head: str,
    ) -> httpx.Response:
        """A request with a native signature, over other bytes if they are given."""
        parts = urlsplit(url)
        authorization = sign_native(
            SIGNER,
            method=method,
            path=parts.path.encode(),
            query=parts.query.encode(),
            timestamp_s=int(self.deps.now().timestamp()),
            nonce=nonce,
            body=body if signed_body is None else signed_body,
        )
        sent = {"Authorization": authorization, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in head.items()}
        return await self.client.request(method, url, content=body, headers=sent)

    def message(
        self, method: str, url: str, body: bytes = b"", *, scheme: str = "https", **signing: Any
    ) -> dict[str, str]:
        """The headers of a request signed by RFC 9421, with these arguments of `sign_message`."""
        parts = urlsplit(url)
        request = MessageRequest(
            method=method,
            scheme=scheme,
            authority=self.client.base_url.netloc.decode(),
            path=parts.path.encode(),
            query=parts.query.encode(),
            headers=(),
            body=body,
        )
        key = signing.pop("key", SIGNER)
        lines = sign_message(key, request, **{"created_s": int(self.deps.now().timestamp())} | signing)
        return {"Content-Type": "application/json"} | {name.decode(): value.decode() for name, value in lines}

    def wallet(self, tail: str = "", player: str = PLAYER, asset: str = "EUR") -> str:
        """The path of a wallet."""
        return f"/v1/wallets/{quote(player, safe='')}/{asset}{tail}"

    async def deposit(self, reference: str, amount: int, player: str = PLAYER) -> dict[str, Any]:
        """Money for a player."""
        body = {"amount": str(amount), "reference": reference}
        answer = await self.post(self.wallet("/deposits", player), body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def open(self, **fields: Any) -> dict[str, Any]:
        """A session."""
        answer = await self.post("/v1/sessions", OPENING | fields)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def provider_call(
        self, *actions: Action, player: str = PLAYER, provider: str = "studio", **fields: Any
    ) -> tuple[Outcome, ...]:
        """What a provider does, through the same lanes."""
        bucket = bucket_of(player)
        call = Call(
            provider=provider,
            player_id=player,
            bucket=bucket,
            request_id=self.ids.new(bucket),
            correlation_id="cor-provider",
            actions=actions,
            **fields,
        )
        return await self.lanes.submit(call)

    async def play(self, session_id: str, name: str, stake: int = 100, won: int = 0) -> None:
        """One round from bet to close."""
        given: dict[str, Any] = {
            "session_id": parse_id(SESSION, session_id),
            "player_id": PLAYER,
            "round_id": name,
        }
        money = {**given, "asset": "EUR", "game_id": "dice"}
        await self.provider_call(bet(f"{name}-bet", stake, **money))
        await self.provider_call(win(f"{name}-win", won, **money))
        closed = close_round(f"{name}-close", **given)
        await self.provider_call(structs.replace(closed, outcome='{"roll": 4200}'))


ANYWHERE = Enablement(
    pack=built_in_packs()["XX"], countries=(), providers=("*",), games=("*",), assets=("*",)
)


def anywhere_as(name: str) -> Enablement:
    """A jurisdiction that serves one country and asks for nothing."""
    return structs.replace(ANYWHERE, pack=structs.replace(ANYWHERE.pack, id=name), countries=(name,))


@dataclass
class Door:
    """What decides who may play: jurisdictions, where addresses are, what the operator's check says."""

    served: dict[str, Enablement] = field(default_factory=lambda: {"XX": ANYWHERE})
    locate: Callable[[str], Located] | None = None
    ask: Callable[[ExclusionQuestion], Awaitable[Standing | Unanswered]] | None = None


def session_uuid(view: dict[str, Any]) -> UUID:
    """A session's id out of its view."""
    return parse_id(SESSION, view["session_id"])


def flags_of(url: str, successors: tuple[str, ...] = ()) -> Flags:
    """The flags of one process, where these accounts take over from the studio's."""
    accounts = (Provider(id="studio"), *(Provider(id=one, replaces="studio") for one in successors))
    connect = partial(connect_app, url, application_name="croupier-flags")
    return Flags(Config(providers=accounts), connect, RolloutMetrics("test", CollectorRegistry()))


@asynccontextmanager
async def open_house(
    url: str,
    *,
    deadline_s: float = 5.0,
    breakers: BreakerSettings | None = None,
    door: Door | None = None,
    successors: tuple[str, ...] = (),
) -> AsyncIterator[House]:
    """The API with two lanes, a pool for reads, and a studio; everything is closed at the end.

    `successors` are accounts at the same studio that take over from its first.
    """
    ids = IdSource()
    started = datetime.now(UTC)

    def now() -> datetime:
        return datetime.now(UTC)

    def stamp() -> Stamp:
        return Stamp(now(), ids, now() + timedelta(hours=1))

    lanes = Lanes(2, lambda: connect_app(url, lane=True), stamp, LaneSettings())
    pool = await create_pool(url, min_size=1, max_size=2)
    launches = ProviderClient(now, ClientLimits(deadline_s=deadline_s))
    records: list[OperatorRecord] = []
    launched: list[LaunchRecord] = []
    calls: list[Call] = []

    async def submit(call: Call) -> tuple[Outcome, ...]:
        calls.append(call)
        return await lanes.submit(call)

    lanes.start()
    door = door or Door()
    desk = EligibilityDesk(
        door.served,
        ids=ids,
        now=now,
        keep=RulingBook(pool).keep,
        locate=door.locate,
        ask=door.ask,
    )
    flags = flags_of(url, successors)
    await flags.start()
    async with open_studio() as studio:
        deps = OperatorDeps(
            submit=submit,
            reads=OperatorReads(pool),
            assets=AssetRegistry(),
            games={
                "dice": Game(id="dice", provider="studio", name="Dice"),
                "limbo": Game(id="limbo", provider="studio", name="Limbo", group="crash", category="instant"),
                "offline": Game(id="offline", provider="paper", name="By hand"),
            },
            contracts=ContractBook(
                [
                    Contract(
                        provider="studio", starts_at=started - timedelta(days=1), share_bps=1000, asset="EUR"
                    ),
                    Contract(provider="paper", starts_at=started - timedelta(days=1), share_bps=1000),
                    *(
                        Contract(provider=one, starts_at=started - timedelta(days=1), share_bps=900)
                        for one in successors
                    ),
                ]
            ),
            accounts={
                "studio": (account_at("studio", studio.address), ADAPTER),
                "paper": (account_at("paper", ""), ADAPTER),
                **{one: (account_at(one, studio.address), ADAPTER) for one in successors},
            },
            launches=launches,
            breakers=Breakers(pool, breakers or BreakerSettings(), ids, now),
            eligibility=desk,
            flags=flags.launches,
            ids=ids,
            now=now,
            keys=KEYS,
            limits=OperatorLimits(body=BodyLimits(max_bytes=BODY_LIMIT, timeout_s=5.0)),
            observe=records.append,
            observe_launch=launched.append,
        )
        transport = httpx.ASGITransport(app=create_operator_app(deps))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://operator.test") as client:
            yield House(client, lanes, pool, studio, deps, records, launched, flags, calls)
    flags.close()
    await lanes.drain()
    await launches.close()
    await pool.close()
