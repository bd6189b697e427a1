"""What every request passes before its handler: authentication, permission, parameters, a readable body."""

from __future__ import annotations

from collections import Counter
from typing import cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from croupier.errors import FORBIDDEN, MALFORMED, METHOD_NOT_ALLOWED, CroupierError
from croupier.operator.authenticate import (
    Caller,
    authorization_of,
    find_bearer,
    find_message_signer,
    find_signer,
    is_message_signed,
    is_signed,
)
from croupier.operator.intake import OperatorRequest, idempotency_key_of, public_name
from croupier.operator.permissions import PERMISSIONS, PUBLIC

_NOT_IN_QUERY = frozenset({"request", "data"})


async def admit(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Let a request through to its handler, or raise what it lacks.

    A route that is in no table answers nobody.
    """
    request = cast("OperatorRequest", connection)
    route = (request.method, str(request.scope["path_template"]))
    if route in PUBLIC:
        return
    roles = PERMISSIONS.get(route)
    if roles is None:
        raise CroupierError(METHOD_NOT_ALLOWED, "/docs lists the methods of every path")
    caller = await _authenticate(request)
    request.exchange.admit(caller)
    if request.method == "GET":
        await request.exchange.spend_nonce()
    if caller.key.role not in roles:
        detail = f"a key of role {caller.key.role} may not do this; {', '.join(sorted(roles))} may"
        raise CroupierError(FORBIDDEN, detail)
    _check_query(request, handler)
    if request.method == "POST":
        idempotency_key_of(request.exchange)
        if handler.parsed_data_field is not None:
            await request.json()


async def _authenticate(request: OperatorRequest) -> Caller:
    exchange = request.exchange
    deps = exchange.deps
    if is_message_signed(exchange.head):
        return find_message_signer(exchange.head, await request.body(), deps.keys, deps.now())
    authorization = authorization_of(exchange.head)
    if is_signed(authorization):
        body = await request.body()
        return find_signer(authorization, exchange.head, body, deps.keys, deps.now())
    return find_bearer(authorization, deps.keys)


def _check_query(request: OperatorRequest, handler: BaseRouteHandler) -> None:
    """A parameter that is misspelt or given twice is refused: the answer would be to another question."""
    fields = handler.parsed_fn_signature.parameters.values()
    named = {public_name(field): field for field in fields if field.name not in _NOT_IN_QUERY}
    for name in request.path_params:
        del named[name]
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        if name not in named:
            known = ", ".join(sorted(named)) or "none"
            raise CroupierError(MALFORMED, f"unknown query parameter; known here: {known}", field=name[:64])
        if times > 1:
            raise CroupierError(MALFORMED, f"{name}: it may be given once", field=name)
    for name, field in named.items():
        if field.is_required and name not in given:
            raise CroupierError(MALFORMED, f"{name}: this query parameter is required", field=name)
