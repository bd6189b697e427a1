"""Loading: one statement that spends nonces, locks the players of a batch in order and brings every fact it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from croupier.moneypath.commands import (
    OPERATOR,
    Bet,
    Call,
    CancelWithdrawal,
    CloseRound,
    Deposit,
    IssueToken,
    OpenSession,
    ReadBalance,
    Rollback,
    TellWallet,
    Win,
    WinKind,
)
from croupier.moneypath.facts import Facts, StoredAnswer, Token, as_legs
from croupier.moneypath.rows import (
    read_account,
    read_noticed,
    read_posting,
    read_reference,
    read_round,
    read_session,
    read_terms,
    read_told,
    read_wallet_call,
)
from croupier.play.restriction import Restriction
from croupier.wallet.accounts import CASH_FUND, NO_FUND, POOL, WALLET
from croupier.wallet.calls import WalletTerms


class Connection(Protocol):
    """The part of a database connection that the money path uses."""

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """Run a statement and return its one row."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement without result."""


_COLUMNS: Final = (
    "SELECT accounts, replayed, refs, undone, sessions, rounds, answers, tokens, noticed, paid, "
    "load_restrictions($3) AS restrictions, load_play_terms(sessions) AS terms"
)
_SOURCE: Final = " FROM load_facts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
_LOAD: Final = _COLUMNS + _SOURCE
_LOAD_REMOTE: Final = (
    _COLUMNS + ", load_wallet_calls($3, $5, $14) AS wallet_calls, load_told($3) AS told" + _SOURCE
)
"""Where the operator keeps the wallet: what is under way with it, too."""


class Wanted:
    """What a batch of calls needs to know, without repetition and in the order in which it is locked."""

    __slots__ = (
        "answers",
        "ensure",
        "is_deep",
        "nonces",
        "noticed",
        "owners",
        "references",
        "rounds",
        "sessions",
        "tokens",
        "told",
        "unseated",
        "wallet_calls",
    )

    def __init__(self, calls: Iterable[Call]) -> None:
        self.ensure: set[tuple[int, str, str, str, str]] = set()
        self.owners: set[tuple[int, str]] = set()
        self.nonces: list[tuple[int, str, str, UUID, Any]] = []
        self.references: set[tuple[str, str]] = set()
        self.sessions: set[tuple[int, UUID]] = set()
        self.rounds: set[tuple[int, UUID, str]] = set()
        self.answers: set[tuple[int, str, str]] = set()
        self.tokens: set[tuple[int, str]] = set()
        self.unseated: set[tuple[int, str, str, str | None]] = set()
        self.noticed: set[tuple[int, UUID, str]] = set()
        self.told: set[tuple[int, UUID, str]] = set()
        self.wallet_calls: set[tuple[int, UUID]] = set()
        self.is_deep = False
        for call in calls:
            self._add(call)

    def _add(self, call: Call) -> None:
        self.owners.add((call.bucket, call.player_id))
        if call.nonce is not None:
            nonce = call.nonce
            self.nonces.append((nonce.bucket, nonce.key_id, nonce.nonce, call.request_id, nonce.expires_at))
        if call.idempotency is not None:
            wanted = call.idempotency
            self.answers.add((wanted.bucket, wanted.api_key_id, wanted.key))
        if call.token_hash is not None:
            self.tokens.add((call.bucket, call.token_hash))
        for wallet_call_id, _ in call.words:
            self.wallet_calls.add((call.bucket, wallet_call_id))
        for action in call.actions:
            self._add_action(call, action)

    def _add_action(self, call: Call, action: Any) -> None:
        bucket = call.bucket
        reference = getattr(action, "reference", None)
        if reference is not None:
            self.references.add((call.provider, reference))
        match action:
            case Rollback():
                self.references.add((call.provider, action.target_reference))
                if action.settled_by is not None:
                    self.references.add((call.provider, action.settled_by))
                self.is_deep = self.is_deep or call.rules.undoes_rollbacks
            case IssueToken(replaces=str() as token):
                self.tokens.add((bucket, token))
            case Win(target_reference=str() as target) | CloseRound(target_reference=str() as target):
                self.references.add((call.provider, target))
            case CancelWithdrawal():
                self.references.add((OPERATOR, action.reference))
            case Deposit():
                self.ensure.add((bucket, call.player_id, WALLET, action.asset, action.fund))
            case TellWallet():
                self.wallet_calls.add((bucket, action.wallet_call_id))
            case OpenSession():
                self.ensure.add((bucket, call.player_id, WALLET, action.opening.asset, CASH_FUND))
            case _:
                pass
        session_id = getattr(action, "session_id", None)
        round_id = getattr(action, "round_id", None)
        if session_id is not None:
            self.sessions.add((bucket, session_id))
            if round_id is not None:
                self.rounds.add((bucket, session_id, round_id))
                if isinstance(action, Win):
                    self._add_fact(call, action, (bucket, session_id, round_id))
        elif isinstance(action, Bet | Win | CloseRound | ReadBalance):
            self.unseated.add((bucket, action.player_id, call.provider, round_id))
        self._add_pools(call, action)

    def _add_fact(self, call: Call, win: Win, round_key: tuple[int, UUID, str]) -> None:
        """What may have been paid before, by callback or by notice. Notices tell of no plain wins."""
        if call.notice is not None:
            self.told.add(round_key)
        elif win.kind is not WinKind.WIN:
            self.noticed.add(round_key)

    def _add_pools(self, call: Call, action: Any) -> None:
        asset = getattr(action, "asset", None)
        for pool in call.pools:
            self.owners.add((call.bucket, pool))
            if asset is not None and isinstance(action, Bet | Win):
                self.ensure.add((call.bucket, pool, POOL, asset, NO_FUND))

    def arguments(self) -> Sequence[Any]:
        """The arguments of `load_facts`, every array sorted."""
        return (
            sorted({bucket for bucket, _ in self.owners}),
            sorted(self.ensure),
            sorted(self.owners),
            sorted(self.nonces, key=lambda nonce: nonce[:3]),
            sorted(self.references),
            sorted(self.sessions),
            sorted(self.rounds),
            sorted(self.answers),
            sorted(self.tokens),
            sorted(self.unseated, key=str),
            sorted(self.noticed),
            sorted(self.told),
            self.is_deep,
        )


async def load_facts(
    connection: Connection, calls: Sequence[Call], wallet: WalletTerms | None = None
) -> tuple[Facts, frozenset[UUID]]:
    """Lock and load. Returns the facts, and the ids of the requests whose nonce another request spent before.

    `wallet` are the terms of the operator's own wallet, None where Croupier's is the one. Waits for players locked by
    other processes; the connection's lock timeout bounds the wait.
    """
    wanted = Wanted(calls)
    if wallet is None:
        row = await connection.fetchrow(_LOAD, *wanted.arguments())
    else:
        row = await connection.fetchrow(_LOAD_REMOTE, *wanted.arguments(), sorted(wanted.wallet_calls))
    facts = _read(row, wallet)
    facts.has_notices = any(call.notice is not None for call in calls)
    return facts, frozenset(nonce[3] for nonce in row["replayed"] or ())


def _read_wallet(facts: Facts, row: Any) -> None:
    for found in row["wallet_calls"] or ():
        facts.note_wallet_call(read_wallet_call(found))
    for told in row["told"] or ():
        key, balance, pending = read_told(told)
        facts.note_told(key, balance)
        facts.pending[key] = pending


def _read(row: Any, wallet: WalletTerms | None) -> Facts:
    facts = Facts(wallet)
    if wallet is not None:
        _read_wallet(facts, row)
    for account in row["accounts"] or ():
        key, balance = read_account(account)
        facts.balances[key] = balance
        if key.kind != POOL:
            facts.players.add(key.owner)
    for stored in row["refs"] or ():
        reference = read_reference(stored)
        facts.references[reference.provider, reference.reference] = reference
    facts.legs = as_legs(read_posting(posting) for posting in row["undone"] or ())
    for loaded in row["sessions"] or ():
        session = read_session(loaded)
        facts.sessions[session.id] = session
    for loaded in row["rounds"] or ():
        round_ = read_round(loaded)
        facts.rounds[round_.session_id, round_.provider_round_id] = round_
    for answer in row["answers"] or ():
        facts.answers[answer[1], answer[2]] = StoredAnswer(*answer)
    for token in row["tokens"] or ():
        facts.tokens[token[1]] = Token(*token)
    for known in row["noticed"] or ():
        noticed = read_noticed(known)
        facts.noticed[noticed.fact] = noticed.reference
    for standing in row["restrictions"] or ():
        restriction = Restriction(*standing)
        known = facts.restrictions.get(restriction.player_id, ())
        facts.restrictions[restriction.player_id] = (*known, restriction)
    facts.terms = dict(read_terms(terms) for terms in row["terms"] or ())
    for paid in row["paid"] or ():
        facts.note_paid(read_reference(paid))
    facts.settle_loading()
    return facts
