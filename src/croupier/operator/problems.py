"""Every fault of a request as `application/problem+json`."""

from __future__ import annotations

from typing import Any, Final

import structlog
from litestar import Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.handlers import BaseRouteHandler

from croupier.errors import (
    INTERNAL,
    MALFORMED,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    UNAUTHENTICATED,
    UNKNOWN_PATH,
    CroupierError,
)
from croupier.operator.exchange import exchange_of
from croupier.operator.intake import public_name
from croupier.providers.arrival import ClientGone
from croupier.providers.problem import render_problem
from croupier_signing import SCHEME

_log = structlog.get_logger("croupier.operator")
_CHALLENGE: Final = (b"www-authenticate", f"Bearer, {SCHEME}".encode())


def answer_problem(request: Any, fault: Exception) -> Response[bytes]:
    """The exception handler of the operator API: total over everything a request can raise."""
    exchange = exchange_of(request.scope)
    error = read_fault(fault, request.scope.get("route_handler"))
    if error.kind is INTERNAL:
        _log.error("operator_request_failed", correlation_id=exchange.correlation_id, exc_info=fault)
    headers: list[tuple[bytes, bytes]] = [_CHALLENGE] if error.kind is UNAUTHENTICATED else []
    if isinstance(fault, MethodNotAllowedException):
        headers.append((b"allow", (fault.headers or {}).get("allow", "").encode()))
    reply = render_problem(error, exchange.correlation_id, tuple(headers))
    named = {name.decode(): value.decode() for name, value in reply.headers if name != b"content-type"}
    return Response(
        reply.body, status_code=reply.status, headers=named, media_type="application/problem+json"
    )


def read_fault(fault: Exception, handler: BaseRouteHandler | None = None) -> CroupierError:
    """Any exception in the words of the catalogue; `handler` knows what callers call its arguments."""
    if isinstance(fault, CroupierError):
        return fault
    if isinstance(fault, ClientGone):
        return CroupierError(REQUEST_TIMEOUT, "the connection ended before the body did; repeat the request")
    if isinstance(fault, NotFoundException):
        return CroupierError(UNKNOWN_PATH, "nothing is here; /docs lists every path")
    if isinstance(fault, MethodNotAllowedException):
        return CroupierError(METHOD_NOT_ALLOWED, "the Allow header lists the methods of this path")
    if isinstance(fault, ValidationException):
        return _read_invalid(fault, handler)
    if isinstance(fault, HTTPException) and fault.status_code < INTERNAL.status:
        return CroupierError(MALFORMED, fault.detail)
    return CroupierError(INTERNAL, "something failed here; repeat the request with the same Idempotency-Key")


def _read_invalid(fault: ValidationException, handler: BaseRouteHandler | None) -> CroupierError:
    first: Any = fault.extra[0] if isinstance(fault.extra, list) and fault.extra else None
    if not isinstance(first, dict):
        return CroupierError(MALFORMED, fault.detail)
    field = str(first.get("key", "")) or None
    argument = None if handler is None else handler.parsed_fn_signature.parameters.get(str(field))
    if argument is not None:
        field = public_name(argument)
    said = str(first.get("message", fault.detail))
    return CroupierError(MALFORMED, f"{field}: {said}" if field else said, field=field)
