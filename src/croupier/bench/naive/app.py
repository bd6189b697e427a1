"""The FastAPI application: three routes, the native signature, one pool for each process."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from croupier.bench.naive import ENVIRONMENT
from croupier.bench.naive.money import Order, Refused, handle
from croupier.bench.naive.wallet import Wallet, WalletSite
from croupier.bench.naive.wire import Answer, BetBody, CloseBody, Common, WinBody
from croupier.ids import SESSION, IdSource, parse_id
from croupier.runtime.database import create_pool
from croupier_signing import SignatureRefused, SigningKey, parse_authorization, verify_native

POOL: Final = 20
"""Connections of one process; more only wait for the clearing row."""


def make_app(url: str, key: SigningKey, wallet: WalletSite | None = None) -> FastAPI:
    """The application; its pool opens with its lifespan, and so do its connections to the operator's wallet."""
    app = FastAPI(lifespan=_lifespan)
    app.state.url, app.state.key, app.state.ids = url, key, IdSource()
    app.state.wallet_site = wallet
    app.add_api_route("/readyz", _ready, methods=["GET"], response_class=PlainTextResponse)
    for path, route in (("bet", _bet), ("win", _win), ("close-round", _close)):
        app.add_api_route(f"/providers/{{provider}}/v1/{path}", route, methods=["POST"])
    app.add_exception_handler(Refused, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_malformed)
    return app


def from_environment() -> FastAPI:
    """The application as uvicorn's workers make it."""
    settings = json.loads(os.environ[ENVIRONMENT])
    key = SigningKey(settings["key_id"], bytes.fromhex(settings["secret"]))
    wallet = settings["wallet"]
    return make_app(settings["url"], key, None if wallet is None else WalletSite(**wallet))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await create_pool(app.state.url, min_size=POOL, max_size=POOL)
    site: WalletSite | None = app.state.wallet_site
    app.state.wallet = None if site is None else Wallet(site, app.state.ids)
    yield
    if site is not None:
        await app.state.wallet.close()
    await app.state.pool.close()


async def _ready() -> str:
    return "ready"


async def _bet(provider: str, body: BetBody, request: Request) -> Answer:
    signed = await _verify(request)
    money = {"amount": int(body.amount), "asset": body.asset, "game_id": body.game_id}
    return await _run(request, _order(provider, "bet", body, signed, money))


async def _win(provider: str, body: WinBody, request: Request) -> Answer:
    signed = await _verify(request)
    money = {
        "amount": int(body.amount),
        "asset": body.asset,
        "game_id": body.game_id,
        "closes": body.close_round,
    }
    return await _run(request, _order(provider, "win", body, signed, money))


async def _close(provider: str, body: CloseBody, request: Request) -> Answer:
    signed = await _verify(request)
    more = {"outcome": body.outcome, "closes": True}
    return await _run(request, _order(provider, "close_round", body, signed, more))


async def _run(request: Request, order: Order) -> Answer:
    state = request.app.state
    pool: asyncpg.Pool = state.pool
    return await handle(pool, state.ids, order, state.wallet)


async def _verify(request: Request) -> dict[str, Any]:
    """Check the signature of the body as it was sent; raises Refused."""
    key: SigningKey = request.app.state.key
    try:
        parts = parse_authorization(request.headers.get("authorization"))
        verify_native(
            parts,
            key=key,
            method=request.method,
            path=request.scope["raw_path"],
            query=request.scope["query_string"],
            body=await request.body(),
            now_s=int(datetime.now(UTC).timestamp()),
        )
    except SignatureRefused:
        raise Refused(401, "unauthenticated") from None
    return {"key_id": parts.key_id, "nonce": parts.nonce, "timestamp_s": parts.timestamp_s}


def _order(
    provider: str, action: str, body: Common, signed: Mapping[str, Any], more: Mapping[str, Any]
) -> Order:
    fields = {
        "provider": provider,
        "action": action,
        "reference": body.reference,
        "session_id": parse_id(SESSION, body.session_id),
        "round_id": body.round_id,
        "player_id": body.player_id,
        "occurred_at": body.occurred_at,
        "closes": False,
    }
    return Order(**{**fields, **signed, **more})


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused), "registered for it"  # noqa: S101 (narrowing)
    return JSONResponse({"code": error.code}, error.status, media_type="application/problem+json")


async def _refuse_malformed(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"code": "malformed"}, 400, media_type="application/problem+json")
