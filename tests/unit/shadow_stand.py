"""A provider account behind the callbacks whose calls are copied, and a candidate that tries the copies: no process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from croupier.ids import IdSource
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import APPROVED, DECLINED, OK, Outcome
from croupier.providers.callbacks import Callbacks, Edge
from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.shadow.live import LiveCall
from croupier.providers.shadow.sample import Sample, read_sample, render_sample
from croupier.providers.shadow.tally import Kind, Tally, Tried
from croupier.providers.shadow.tap import find_token, sends_key
from croupier.providers.shadow.trial import Bench, Trial, try_call
from croupier.providers.strict_json import JsonLimits
from unit.adapters.edge_driver import NOW, nobody_sits
from unit.provider_edge import exchange


class Stand:
    """Keeps what the edge hands over; `decline` is the code that money calls get instead of approval."""

    def __init__(self, account: ProviderAccount, adapter: Adapter) -> None:
        self.account, self.adapter = account, adapter
        self.calls: list[LiveCall] = []
        self.copy: Callable[[LiveCall], None] = self.calls.append
        self.decline: str | None = None
        self.error: Exception | None = None
        edge = Edge(
            accounts={account.id: (account, adapter)},
            submit=self.submit,
            find_seat=nobody_sits,
            new_token=lambda: "fresh-token-of-the-session",
            ids=IdSource(),
            now=lambda: NOW,
            observe=lambda record: None,
            copies={account.id: lambda call: self.copy(call)},
        )
        self.app = Callbacks(edge)

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Decide every action in the same way."""
        if self.error is not None:
            raise self.error
        status, code = (APPROVED, OK) if self.decline is None else (DECLINED, self.decline)
        return tuple(
            Outcome(status, code, getattr(action, "reference", None) or "", balance=700, asset="EUR")
            for action in call.actions
        )

    async def send(self, path: str, body: bytes, headers: dict[str, str], query: bytes = b"") -> int:
        """One request; its status."""
        full = f"/providers/{self.account.id}{path}"
        given = {"content-type": "application/json", **headers}
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": full,
            "raw_path": full.encode(),
            "query_string": query,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        received = await exchange(self.app, scope, [{"type": "http.request", "body": body}])
        assert received is not None
        return received.status

    def sample(self, candidate: str) -> Sample:
        """The newest call as it travels."""
        call = self.calls[-1]
        token = find_token(self.account, call.key_id) if sends_key(self.adapter) else None
        datagram = render_sample(call, provider=self.account.id, candidate=candidate, token=token, dropped=0)
        assert token is None or token not in datagram
        return read_sample(datagram)

    def try_with(self, candidate: Adapter) -> Trial:
        """What a candidate makes of the newest call."""
        sample = self.sample(candidate.manifest.id)
        token = find_token(self.account, sample.key_id) if sends_key(self.adapter) else None
        bench = Bench(candidate=candidate, live=self.adapter, account=self.account, limits=JsonLimits())
        return try_call(sample, bench, token)


def kinds_of(operation: str, trial: Trial) -> set[Kind]:
    """The kinds of differences of one call."""
    tally = Tally()
    tally.note(Tried(operation=operation, correlation_id="c", at=NOW, request="", trial=trial))
    return set(tally.groups)
