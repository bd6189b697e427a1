"""What the demo claims of the operator's wallet: movement by movement, player by player, and in sum by asset."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.demo.own_wallet import Purse
from croupier.demo.wallet_service import WalletProcessFailed, WalletService
from croupier.demo.wallet_trouble import WalletOutage
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/demo/wallet_proofs.sql")
SETTLED_S: Final = 120.0
"""Longer than a wallet's `not_found` takes to be final."""
POLL_S: Final = 0.1
OURS: Final = "wtx_"


class MadeCall(Struct, frozen=True, kw_only=True):
    """A call of ours to the wallet, by its reference there; amounts in minor units."""

    name: str
    player_id: str
    asset: str
    operation: str
    kind: str
    amount: int
    booked: str
    state: str
    moved: int | None
    target: str | None

    @property
    def change(self) -> int:
        """What it changes a balance by, as far as the wallet has told us."""
        is_taken = self.operation == "debit" or (self.operation == "rollback" and self.kind != "bet")
        return (-1 if is_taken else 1) * (self.moved or 0) if self.state == "approved" else 0


class Agreement(Struct, frozen=True):
    """What players have in an asset by the wallet's word and by our books, in minor units."""

    wallet: int
    books: int


class WalletEvidence(Struct, frozen=True, kw_only=True):
    """What became of every call to the operator's wallet.

    `differences` are movements, `wrong` the wallets (`player/asset`) about which the two sides do not agree. `waiting`
    calls are not settled, `overdue` ones neither, and a person has been told. `breaks` are what people have to do about
    the wallet, by kind. `asked_when_killed` calls were under way when a worker was killed.
    """

    calls: dict[str, int]
    faults: dict[str, int]
    unknown_seen: int
    unknown_settled: int
    waiting: int
    overdue: int
    breaks: dict[str, int]
    differences: tuple[str, ...]
    wrong: tuple[str, ...]
    agreement: dict[str, Agreement]
    asked_when_killed: int
    outage: WalletOutage | None
    drained: int

    @property
    def agrees(self) -> bool:
        """Whether wallet and books say the same."""
        is_same = all(one.wallet == one.books for one in self.agreement.values())
        return is_same and not self.differences and not self.wrong

    @property
    def faults_of_agreement(self) -> tuple[str, ...]:
        """Where wallet and books differ, in words."""
        sums = [
            f"players have {one.wallet} minor units of {asset} in the wallet and {one.books} in the books"
            for asset, one in self.agreement.items()
            if one.wallet != one.books
        ]
        return (*sums, *self.differences, *(f"the wallet of {name} differs" for name in self.wrong))


class WalletBook:
    """The wallet's own record of everything it decided, against the calls that were made."""

    def __init__(self, movements: Iterable[Mapping[str, Any]]) -> None:
        self._rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in movements:
            if row["reference"].startswith(OURS):
                self._rows[row["reference"]].append(row)

    def find_differences(self, calls: Sequence[MadeCall]) -> list[str]:
        """What the two do not agree about, reference by reference; calls that nobody has settled are left out."""
        known = {call.name for call in calls}
        undone_by = {call.target: call for call in calls if call.booked == "never"}
        found = [f"{name} is in the wallet's book and was never asked" for name in self._rows.keys() - known]
        for call in calls:
            if call.state == "undone":
                found += self._judge_undone(call, undone_by.get(call.name))
            elif call.booked != "never" and call.state in ("approved", "refused", "not_applied"):
                found += self._judge(call)
        return sorted(found)

    def find_disorder(self, calls: Sequence[MadeCall]) -> list[str]:
        """Which calls the wallet decided before an earlier one of the same player; `calls` are as they were asked."""
        last: Counter[str] = Counter()
        found = []
        for call in calls:
            numbers = [row["number"] for row in self._rows[call.name]]
            if numbers and min(numbers) < last[call.player_id]:
                found.append(f"{call.name} reached the wallet before an earlier call of {call.player_id}")
            last[call.player_id] = max([last[call.player_id], *numbers])
        return found

    def _judge(self, call: MadeCall) -> list[str]:
        rows = self._rows[call.name]
        said = {row["status"] for row in rows}
        if call.state == "not_applied":
            return [f"{call.name} is not applied here, and approved there"] if "approved" in said else []
        if said != {call.state}:
            return [
                f"{call.name} is {call.state} here, and there {' and '.join(sorted(said)) or 'unheard of'}"
            ]
        if {(row["player_id"], row["asset"], row["operation"]) for row in rows} != {
            (call.player_id, call.asset, call.operation)
        }:
            return [f"{call.name} is another movement there"]
        change = self._change_of(call.name)
        return (
            [f"{call.name} changed {call.change} here, and {change} there"] if change != call.change else []
        )

    def _judge_undone(self, call: MadeCall, undoing: MadeCall | None) -> list[str]:
        """Of what was asked and is not wanted any more nothing may be left."""
        if undoing is None:
            return [f"{call.name} is undone, and nothing undoes it"]
        if undoing.state != "approved":
            return []
        left = self._change_of(call.name) + self._change_of(undoing.name)
        return [f"{call.name} is undone, and {left} of it are left there"] if left else []

    def _change_of(self, reference: str) -> int:
        return sum(int(row["change"]) for row in self._rows[reference])


def find_wrong_wallets(
    deposited: Mapping[Purse, int], mirrors: Mapping[Purse, int], held: Mapping[Purse, int]
) -> list[str]:
    """The wallets, as `player/asset`, that hold something else than came in by the cashier and flowed through us."""
    purses = sorted(deposited.keys() | mirrors.keys() | held.keys())
    return [
        "/".join(purse)
        for purse in purses
        if held.get(purse, 0) != deposited.get(purse, 0) + mirrors.get(purse, 0)
    ]


async def wait_settled(connection: asyncpg.Connection) -> None:
    """Wait until every call is settled or with a person, or for so long; what is left is judged."""
    deadline = time.monotonic() + SETTLED_S
    while time.monotonic() < deadline:
        row = await connection.fetchrow(_SQL["unsettled_calls"].sql)
        if row["waiting"] == 0:
            return
        await asyncio.sleep(POLL_S)


async def load_wallet_evidence(
    connection: asyncpg.Connection,
    wallet: WalletService,
    *,
    deposited: Mapping[Purse, int],
    outage: WalletOutage | None,
    asked_when_killed: int,
) -> WalletEvidence:
    """Everything that both sides have written down, compared."""
    calls = [_read_call(row) for row in await connection.fetch(_SQL["made_calls"].sql)]
    mirrors = {
        (row["owner"], row["asset"]): int(row["flow"]) for row in await connection.fetch(_SQL["mirrors"].sql)
    }
    book = WalletBook(await wallet.book())
    queued = set(outage.queued) if outage is not None else set()
    waited = [call for call in calls if call.name in queued]
    unknown = await connection.fetchrow(_SQL["unknown_calls"].sql)
    unsettled = await connection.fetchrow(_SQL["unsettled_calls"].sql)
    held = {purse: await _load_balance(wallet, purse) for purse in deposited.keys() | mirrors.keys()}
    faults: Counter[str] = Counter()
    for name, count in (await wallet.control())["done"].items():
        faults[name.partition(":")[0]] += count
    return WalletEvidence(
        calls={row["state"]: row["calls"] for row in await connection.fetch(_SQL["calls_by_state"].sql)},
        faults=dict(faults),
        unknown_seen=unknown["seen"],
        unknown_settled=unknown["settled"],
        waiting=unsettled["waiting"],
        overdue=unsettled["overdue"],
        breaks={row["kind"]: row["breaks"] for row in await connection.fetch(_SQL["wallet_breaks"].sql)},
        differences=(*book.find_differences(calls), *book.find_disorder(waited)),
        wrong=tuple(find_wrong_wallets(deposited, mirrors, held)),
        agreement=sum_up(await wallet.totals(), deposited, mirrors),
        asked_when_killed=asked_when_killed,
        outage=outage,
        drained=sum(call.state in ("approved", "refused") for call in waited),
    )


def sum_up(
    totals: Mapping[str, Mapping[str, Any]],
    deposited: Mapping[Purse, int],
    mirrors: Mapping[Purse, int],
) -> dict[str, Agreement]:
    """What players have by asset: the wallet's totals, and what came by the cashier and through us."""
    books: Counter[str] = Counter()
    for (_, asset), brought in deposited.items():
        books[asset] += brought
    for (_, asset), flow in mirrors.items():
        books[asset] += flow
    held = {asset: int(total["balance"]) for asset, total in totals.items()}
    return {
        asset: Agreement(held.get(asset, 0), books[asset]) for asset in sorted(held.keys() | books.keys())
    }


async def _load_balance(wallet: WalletService, purse: Purse) -> int:
    try:
        return await wallet.balance(*purse)
    except WalletProcessFailed:
        # There is no such wallet, and so nothing in it.
        return 0


def _read_call(row: Mapping[str, Any]) -> MadeCall:
    moved = row["moved"]
    return MadeCall(
        name=row["name"],
        player_id=row["player_id"],
        asset=row["asset"],
        operation=row["operation"],
        kind=row["kind"],
        amount=int(row["amount"]),
        booked=row["booked"],
        state=row["state"],
        moved=None if moved is None else int(moved),
        target=row["target"],
    )
