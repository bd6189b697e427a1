"""One call, one transaction: lock the wallet, look, decide, write row by row, commit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.bench.naive.wire import Answer, Balance
from croupier.ids import JOURNAL, IdSource, bucket_of, render_id
from croupier.runtime.statements import load_statements

SQL: Final = {name: one.sql for name, one in load_statements("croupier/bench/naive/queries.sql").items()}
OPEN: Final = ("created", "launched", "active")


class Refused(Exception):
    """The call is refused with an HTTP status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Order(Struct, frozen=True, kw_only=True):
    """One verified call. `amount` is in minor units, None for a close; `asset` too."""

    provider: str
    action: str
    reference: str
    session_id: UUID
    round_id: str
    player_id: str
    occurred_at: datetime
    key_id: str
    nonce: str
    timestamp_s: int
    closes: bool
    amount: int | None = None
    asset: str | None = None
    game_id: str | None = None
    outcome: dict[str, Any] | None = None

    @property
    def bucket(self) -> int:
        """Where the player's rows are."""
        return bucket_of(self.player_id)

    @property
    def moved(self) -> int:
        """What the wallet gains, in minor units."""
        return -(self.amount or 0) if self.action == "bet" else self.amount or 0


class Asker(Protocol):
    """The operator's own wallet, asked while the transaction waits."""

    async def move(self, order: Order) -> int | None:
        """What the player has after the movement; None when the wallet did not approve it."""
        ...


async def handle(pool: asyncpg.Pool, ids: IdSource, order: Order, wallet: Asker | None = None) -> Answer:
    """Decide one call durably; raises Refused, after the commit that spends the nonce."""
    async with pool.acquire() as connection, connection.transaction():
        answer = await _decide(connection, ids, order, wallet)
    if isinstance(answer, Refused):
        raise answer
    return answer


async def _decide(
    connection: Any, ids: IdSource, order: Order, wallet_service: Asker | None
) -> Answer | Refused:
    expires_at = datetime.fromtimestamp(order.timestamp_s, UTC) + timedelta(minutes=2)
    nonce = (bucket_of(order.nonce), order.key_id, order.nonce, ids.new(order.bucket), expires_at)
    if await connection.fetchval(SQL["insert_nonce"], *nonce) is None:
        return Refused(401, "unauthenticated")
    wallet = await connection.fetchrow(SQL["lock_wallet"], order.bucket, order.session_id)
    if wallet is None:
        return Refused(404, "unknown_session")
    known = await connection.fetchrow(SQL["load_reference"], order.provider, order.reference)
    if known is not None:
        return _repeat(order, known)
    session = await connection.fetchrow(SQL["load_session"], order.bucket, order.session_id)
    bound = (order.player_id, order.provider, order.asset or session["asset"])
    if (session["player_id"], session["provider"], session["asset"]) != bound:
        return Refused(409, "session_mismatch")
    state = await connection.fetchval(SQL["load_round"], order.bucket, order.session_id, order.round_id)
    balance, asset = int(wallet["balance"]), wallet["asset"]
    code = _decline_code(order, session, state, balance)
    if code is None and wallet_service is not None and order.moved:
        said = await wallet_service.move(order)
        code, balance = ("insufficient_funds", balance) if said is None else (None, said - order.moved)
    if code is not None:
        await _insert_reference(connection, ids, order, asset, "declined", code, None, balance)
        return _answer(order, "declined", code, None, balance, asset, is_repeat=False)
    return await _approve(connection, ids, order, session, state, balance)


def _repeat(order: Order, known: Any) -> Answer | Refused:
    pairs = (
        (known["action"], order.action),
        (known["player_id"], order.player_id),
        (known["amount"], order.amount),
        (known["provider_round_id"], order.round_id),
        (known["game_id"], order.game_id),
    )
    if any(before != now and before is not None and now is not None for before, now in pairs):
        return Refused(409, "reference_conflict")
    return _answer(
        order, known["status"], known["code"], known["journal_id"], int(known["balance"]), known["asset"],
        is_repeat=True,
    )  # fmt: skip


def _decline_code(order: Order, session: Any, round_state: str | None, balance: int) -> str | None:
    if order.action != "bet":
        return None
    if session["state"] not in OPEN or session["expires_at"] <= datetime.now(UTC):
        return "session_not_active"
    if round_state not in (None, "open"):
        return "round_closed"
    return "insufficient_funds" if balance < (order.amount or 0) else None


async def _approve(
    connection: Any, ids: IdSource, order: Order, session: Any, round_state: str | None, balance: int
) -> Answer:
    now = datetime.now(UTC)
    after, asset = balance + order.moved, str(session["asset"])
    entry = await _post(connection, ids, order, asset, after, now) if order.moved else None
    await _insert_reference(connection, ids, order, asset, "approved", "ok", entry, after)
    closes = order.closes and round_state in (None, "open")
    new_state = "closed" if closes else round_state or "open"
    staked, won = max(-order.moved, 0), max(order.moved, 0)
    await connection.execute(
        SQL["upsert_round"], order.bucket, order.session_id, order.round_id, ids.new(order.bucket), new_state,
        int(order.action == "bet"), staked, won, None if order.outcome is None else json.dumps(order.outcome),
        now, now if closes else None,
    )  # fmt: skip
    held = int(new_state == "open") - int(round_state == "open")
    state = "active" if order.action != "close_round" else session["state"]
    await connection.execute(
        SQL["update_session"], order.bucket, order.session_id, state, staked, won, held, now
    )
    details = _details(order, staked, won, held)
    await connection.execute(
        SQL["insert_event"], order.bucket, order.session_id, session["seq"] + 1, session["state"], state,
        order.action, order.round_id, [] if entry is None else [entry], order.occurred_at, now, order.nonce,
        json.dumps(details),
    )  # fmt: skip
    return _answer(order, "approved", "ok", entry, after, asset, is_repeat=False)


def _details(order: Order, staked: int, won: int, held: int) -> dict[str, Any]:
    money = {"staked": str(staked), "won": str(won)}
    return {"code": "ok", "reference": order.reference, **money, "rounds_open": held, "round": money}


async def _post(connection: Any, ids: IdSource, order: Order, asset: str, after: int, now: datetime) -> UUID:
    entry = ids.new(order.bucket)
    await connection.execute(SQL["update_wallet"], order.bucket, order.player_id, asset, after)
    await connection.execute(SQL["update_clearing"], asset, -order.moved)
    await connection.execute(
        SQL["insert_entry"], order.bucket, entry, order.action, order.provider, order.reference,
        order.player_id, order.session_id, order.round_id, asset, order.occurred_at, now, order.nonce,
    )  # fmt: skip
    await connection.execute(
        SQL["insert_postings"],
        order.bucket,
        entry,
        order.player_id,
        asset,
        order.moved,
        after,
        order.session_id,
    )
    return entry


async def _insert_reference(
    connection: Any, ids: IdSource, order: Order, asset: str, status: str, code: str, entry: UUID | None,
    balance: int,
) -> None:  # fmt: skip
    await connection.execute(
        SQL["insert_reference"], order.provider, order.reference, order.bucket, order.action, order.player_id,
        asset, order.amount, order.session_id, order.round_id, order.game_id, status, code, entry, balance,
        ids.new(order.bucket), datetime.now(UTC),
    )  # fmt: skip


def _answer(
    order: Order, status: str, code: str, entry: UUID | None, balance: int, asset: str, *, is_repeat: bool
) -> Answer:
    return Answer(
        status=status,
        code=code,
        reference=order.reference,
        journal_id=None if entry is None else render_id(JOURNAL, entry),
        balance=Balance(amount=str(balance), asset=asset),
        repeat=is_repeat,
    )
