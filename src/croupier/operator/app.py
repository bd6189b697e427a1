"""The operator API as one ASGI application; everything it uses comes in through `OperatorDeps`."""

from __future__ import annotations

import time
from typing import Any, Final, cast

import msgspec
from litestar import Litestar, Response, get
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp

from croupier.errors import CATALOGUE, UNKNOWN_PATH, CroupierError
from croupier.operator import cash, catalogue, history, restrictions, rulings, sessions
from croupier.operator.deps import OperatorDeps, OperatorRecord
from croupier.operator.exchange import SCOPE_KEY, Exchange
from croupier.operator.guard import admit
from croupier.operator.intake import OperatorRequest
from croupier.operator.openapi import describe_api, render_docs, render_error_page
from croupier.operator.problems import answer_problem
from croupier.providers.arrival import Head, Message, Receive, Scope, Send, parse_head

HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (
    sessions.open_session,
    sessions.list_sessions,
    sessions.read_session,
    sessions.read_timeline,
    sessions.close_session,
    cash.read_wallet,
    cash.deposit,
    cash.withdraw,
    cash.cancel_withdrawal,
    restrictions.restrict_player,
    restrictions.list_restrictions,
    restrictions.lift_restriction,
    rulings.list_eligibility,
    history.list_rounds,
    history.read_round,
    history.list_journal,
    history.list_breaks,
    catalogue.list_games,
    catalogue.read_meta,
)
"""Every operation of `/v1`."""

_PAGE_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def create_operator_app(deps: OperatorDeps) -> ASGIApp:
    """Build the application: `/v1`, `/openapi.json`, `/docs`. It opens nothing and needs no lifespan."""
    api = create_api()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Visit(deps, scope).run(api, receive, send)

    return cast("ASGIApp", app)


def create_api() -> Litestar:
    """The routes alone, without a way to the money path."""
    return Litestar(
        route_handlers=[*HANDLERS, *_documentation()],
        guards=[admit],
        request_class=OperatorRequest,
        exception_handlers={HTTPException: answer_problem, Exception: answer_problem},
        openapi_config=None,
        logging_config=None,
    )


def _documentation() -> list[HTTPRouteHandler]:
    document = describe_api(HANDLERS)
    described = msgspec.json.encode(document)
    page = render_docs(document).encode()

    @get("/openapi.json", include_in_schema=False, media_type="application/json")
    async def openapi() -> bytes:
        return described

    @get("/docs", include_in_schema=False)
    async def docs() -> Response[bytes]:
        return Response(page, media_type="text/html", headers=_PAGE_HEADERS)

    @get("/docs/errors/{code:str}", include_in_schema=False)
    async def error_page(code: FromPath[str]) -> Response[bytes]:
        kind = CATALOGUE.get(code)
        if kind is None:
            raise CroupierError(UNKNOWN_PATH, "no error has this code; /docs lists them")
        return Response(render_error_page(kind).encode(), media_type="text/html", headers=_PAGE_HEADERS)

    return [openapi, docs, error_page]


class _Visit:
    """One request on its way: adds what every answer carries, spends a nonce left over, tells telemetry."""

    def __init__(self, deps: OperatorDeps, scope: Scope) -> None:
        head = parse_head(scope)
        self._deps = deps
        self._exchange = Exchange(deps, head)
        # Routes are matched on the path as sent: a name may hold an encoded slash, and is decoded once.
        self._scope = {**scope, "path": head.path.decode("latin-1"), SCOPE_KEY: self._exchange}
        self._status = 0

    async def run(self, api: Litestar, receive: Receive, send: Send) -> None:
        started = time.perf_counter()

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._finish(message)
            await send(message)

        await api(cast("Any", self._scope), cast("Any", receive), cast("Any", finish))
        self._deps.observe(self._record(time.perf_counter() - started))

    async def _finish(self, message: Message) -> None:
        self._status = message["status"]
        message["headers"] = [*message.get("headers", ()), *_headers(self._exchange, self._exchange.head)]
        try:
            await self._exchange.spend_nonce()
        except CroupierError:
            # The request is refused already, for another reason; whether its nonce is new changes nothing.
            return

    def _record(self, duration_s: float) -> OperatorRecord:
        exchange = self._exchange
        return OperatorRecord(
            route=str(self._scope.get("path_template", "unknown")),
            method=exchange.head.method,
            status=self._status,
            duration_s=duration_s,
            key_id=None if exchange.caller is None else exchange.caller.key.id,
            correlation_id=exchange.correlation_id,
            trace_id=exchange.head.trace_id,
        )


def _headers(exchange: Exchange, head: Head) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-correlation-id", exchange.correlation_id.encode()), (b"cache-control", b"no-store")]
    if head.traceparent is not None:
        headers.append((b"traceparent", head.traceparent))
    if not exchange.is_body_read:
        # The rest of the body may still be on its way, and it is not a next request.
        headers.append((b"connection", b"close"))
    return headers
