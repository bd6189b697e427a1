"""One provider account behind the callbacks, without a server: for any protocol, over any money path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from croupier.errors import CroupierError
from croupier.ids import IdSource
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.providers.callbacks import Callbacks, CallRecord, Edge
from croupier.providers.contract import Adapter, ProviderAccount
from croupier_signing import random_token
from unit.provider_edge import Received, exchange

NOW = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]


class Approving:
    """Stands in for the lanes: approves everything, or raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.error: Exception | None = None

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Keep the call and approve it."""
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return tuple(Outcome(APPROVED, OK, getattr(action, "reference", "")) for action in call.actions)


async def nobody_sits(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> None:
    """No seat is looked up by protocols that name their player."""


class Gateway:
    """Sends requests to the callbacks and keeps what telemetry was told."""

    def __init__(self, account: ProviderAccount, adapter: Adapter, submit: Submit) -> None:
        self.account = account
        self.records: list[CallRecord] = []
        self.app = Callbacks(
            Edge(
                accounts={account.id: (account, adapter)},
                submit=submit,
                find_seat=nobody_sits,
                new_token=random_token,
                ids=IdSource(),
                now=lambda: NOW,
                observe=self.records.append,
            )
        )

    async def send(
        self, path: str, body: bytes, headers: dict[str, str], *, query: bytes = b"", method: str = "POST"
    ) -> Received:
        """One request that must be answered."""
        full = f"/providers/{self.account.id}{path}"
        given = {"content-type": "application/json", **headers}
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": full,
            "raw_path": full.encode(),
            "query_string": query,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        received = await exchange(self.app, scope, [{"type": "http.request", "body": body}])
        assert received is not None
        return received


def kind_of(error: BaseException) -> str:
    """The code of a refusal."""
    assert isinstance(error, CroupierError)
    return error.kind.code
