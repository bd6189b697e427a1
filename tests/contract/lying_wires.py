"""Gateways that lie in the native protocol, or say nothing in any: the kit must not be satisfied with them."""

from __future__ import annotations

import json
from typing import Any

from croupier.conformance.http_wire import HttpWire
from croupier.conformance.reading import NO_ANSWER, Request, Response

CORRELATION = (b"x-correlation-id", b"req_0")


class ApprovingWire(HttpWire):
    """Approves whatever comes, with an empty wallet, and books nothing."""

    async def send(self, request: Request) -> Response:
        """An approval under the reference that was sent."""
        try:
            document: dict[str, Any] = json.loads(request.body)
            parts = [document[name] for name in ("bet", "win") if isinstance(document.get(name), dict)]
            results = [_approval(part.get("reference", "")) for part in parts or [document]]
        except (ValueError, AttributeError):
            results = [_approval("")]
        body = {"results": results} if len(results) > 1 else results[0]
        return Response(
            status=200,
            headers=((b"content-type", b"application/json"), CORRELATION),
            body=json.dumps(body).encode(),
        )


def _approval(reference: str) -> dict[str, Any]:
    return {
        "status": "approved",
        "code": "ok",
        "reference": reference,
        "journal_id": "jrn_0",
        "balance": {"amount": "0", "asset": "EUR"},
        "repeat": False,
    }


class RefusingWire(HttpWire):
    """Calls everything malformed."""

    async def send(self, request: Request) -> Response:
        """A problem."""
        problem = {"code": "malformed", "status": 400, "money_moved": "no"}
        headers = ((b"content-type", b"application/problem+json"), CORRELATION)
        return Response(status=400, headers=headers, body=json.dumps(problem).encode())


class MuteWire(HttpWire):
    """Never answers."""

    async def send(self, request: Request) -> Response:
        """Nothing."""
        return NO_ANSWER
