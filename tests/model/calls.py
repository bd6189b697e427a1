"""Builders of actions and calls: what a test does not care about has a value already. Minor units."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final
from uuid import UUID

from msgspec import structs

from croupier.moneypath.commands import (
    OPERATOR,
    OPERATOR_CANCEL,
    Action,
    Bet,
    Call,
    CancelWithdrawal,
    CloseRound,
    CloseSession,
    ConfirmLaunch,
    Contract,
    Deposit,
    FailLaunch,
    LiftRestriction,
    OpenSession,
    Restrict,
    Rollback,
    Win,
    WinKind,
    Withdrawal,
)
from croupier.play.eligibility import Grant, PlayTerms
from croupier.play.session import Opening

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLAYER: Final = "player-1"
OTHER_PLAYER: Final = "player-2"
PROVIDER: Final = "acme"
ASSET: Final = "EUR"
GAME: Final = "dice"
POOL: Final = "mega"
SESSION: Final = UUID(int=0x5E55_0001)
OTHER_SESSION: Final = UUID(int=0x5E55_0002)
EXPIRES: Final = NOW + timedelta(hours=8)
OPERATOR_FUNDED: Final = Contract(jackpot_pool=POOL, promo_source="operator")
PROVIDER_FUNDED: Final = Contract(jackpot_pool=None, promo_source="provider")

OPENING: Final = Opening(
    player_id=PLAYER,
    provider=PROVIDER,
    game_id=GAME,
    asset=ASSET,
    contract_id="contract-1",
    share_bps=1_000,
    jackpot_pool=POOL,
    promo_source="operator",
    expires_at=EXPIRES,
)

_BET: Final = Bet(
    reference="b1",
    player_id=PLAYER,
    asset=ASSET,
    amount=100,
    occurred_at=NOW,
    session_id=SESSION,
    round_id="r1",
    game_id=GAME,
)
_WIN: Final = Win(
    reference="w1",
    player_id=PLAYER,
    asset=ASSET,
    amount=40,
    occurred_at=NOW,
    kind=WinKind.WIN,
    session_id=SESSION,
    round_id="r1",
    game_id=GAME,
)
_ROLLBACK: Final = Rollback(reference="rb1", target_reference="b1", player_id=PLAYER, occurred_at=NOW)
_CLOSE_ROUND: Final = CloseRound(
    reference="c1", session_id=SESSION, round_id="r1", player_id=PLAYER, occurred_at=NOW
)
_DEPOSIT: Final = Deposit(reference="d1", player_id=PLAYER, asset=ASSET, amount=1_000, occurred_at=NOW)
_WITHDRAWAL: Final = Withdrawal(reference="o1", player_id=PLAYER, asset=ASSET, amount=300, occurred_at=NOW)
_CANCEL: Final = CancelWithdrawal(reference="o1", player_id=PLAYER, asset=ASSET, occurred_at=NOW)

RESTRICTION: Final = UUID(int=0x5E55_0003)

_REQUESTS: Final = count(1)


def bet(reference: str = "b1", amount: int = 100, **fields: object) -> Bet:
    """A bet of the usual player, in round r1 of the usual session."""
    return structs.replace(_BET, reference=reference, amount=amount, **fields)


def win(reference: str = "w1", amount: int = 40, **fields: object) -> Win:
    """A win in round r1 of the usual session."""
    return structs.replace(_WIN, reference=reference, amount=amount, **fields)


def jackpot(reference: str = "j1", amount: int = 500, **fields: object) -> Win:
    """A jackpot win in round r1 of the usual session."""
    return win(reference, amount, **{"kind": WinKind.JACKPOT, **fields})


def promo(reference: str = "p1", amount: int = 25, **fields: object) -> Win:
    """A promotional win in round r1 of the usual session."""
    return win(reference, amount, **{"kind": WinKind.PROMO, **fields})


def sessionless(credit: Win, contract: Contract | None = OPERATOR_FUNDED) -> Win:
    """The same win outside any session and round, under a contract of its own."""
    return structs.replace(credit, session_id=None, round_id=None, game_id=None, contract=contract)


def rollback(target: str = "b1", reference: str = "rb1", **fields: object) -> Rollback:
    """A rollback that names its target and its player only."""
    return structs.replace(_ROLLBACK, target_reference=target, reference=reference, **fields)


def close_round(reference: str = "c1", round_id: str = "r1", **fields: object) -> CloseRound:
    """The end of a round of the usual session."""
    return structs.replace(_CLOSE_ROUND, reference=reference, round_id=round_id, **fields)


def deposit(reference: str = "d1", amount: int = 1_000, **fields: object) -> Deposit:
    """A deposit to the usual player's cash."""
    return structs.replace(_DEPOSIT, reference=reference, amount=amount, **fields)


def withdrawal(reference: str = "o1", amount: int = 300, **fields: object) -> Withdrawal:
    """A withdrawal from the usual player's cash."""
    return structs.replace(_WITHDRAWAL, reference=reference, amount=amount, **fields)


def cancel(reference: str = "o1", **fields: object) -> CancelWithdrawal:
    """The cancellation of a withdrawal."""
    return structs.replace(_CANCEL, reference=reference, **fields)


def open_session(session_id: UUID = SESSION, **terms: object) -> OpenSession:
    """A session under the usual contract, except for the terms given."""
    opening = structs.replace(OPENING, **terms)
    return OpenSession(session_id=session_id, opening=opening, grant=grant_for(session_id))


def grant_for(session_id: UUID, **terms: object) -> Grant:
    """Leave to open a session, on terms that ask for nothing except for those given."""
    return Grant(
        id=session_id,
        decided_at=NOW,
        expires_at=NOW + timedelta(days=36_500),
        terms=structs.replace(PlayTerms(jurisdiction="XX", rules="XX/1"), **terms),
        evidence="{}",
    )


def confirm(session_id: UUID = SESSION, player_id: str = PLAYER) -> ConfirmLaunch:
    """The provider's answer to a launch."""
    return ConfirmLaunch(session_id=session_id, player_id=player_id, launch_url="https://games.example/1")


def fail(session_id: UUID = SESSION, player_id: str = PLAYER) -> FailLaunch:
    """The provider's refusal of a launch."""
    return FailLaunch(session_id=session_id, player_id=player_id, reason="refused")


def close_session(session_id: UUID = SESSION, player_id: str = PLAYER) -> CloseSession:
    """The end of play."""
    return CloseSession(session_id=session_id, player_id=player_id, reason="operator")


def restrict(restriction_id: UUID = RESTRICTION, **fields: object) -> Restrict:
    """The usual player may not stake any more."""
    restriction = Restrict(
        restriction_id=restriction_id, player_id=PLAYER, kind="block", reason="asked to", placed_by="key-1"
    )
    return structs.replace(restriction, **fields)


def lift(restriction_id: UUID = RESTRICTION, **fields: object) -> LiftRestriction:
    """The usual player may stake again, as far as this restriction goes."""
    lifting = LiftRestriction(
        restriction_id=restriction_id, player_id=PLAYER, reason="a mistake", lifted_by="key-2"
    )
    return structs.replace(lifting, **fields)


def call(*actions: Action, **fields: object) -> Call:
    """A request of its own with these actions, made by the operator or the provider, whichever does so."""
    operators = isinstance(
        actions[0],
        Deposit
        | Withdrawal
        | CancelWithdrawal
        | OpenSession
        | ConfirmLaunch
        | FailLaunch
        | CloseSession
        | Restrict
        | LiftRestriction,
    )
    request = Call(
        provider=_namespace(actions[0]) if operators else PROVIDER,
        player_id=getattr(actions[0], "player_id", PLAYER),
        bucket=7,
        request_id=UUID(int=next(_REQUESTS)),
        correlation_id="correlation-1",
        actions=actions,
        time_source="operator" if operators else "provider",
    )
    return structs.replace(request, **fields)


def _namespace(action: Action) -> str:
    return OPERATOR_CANCEL if isinstance(action, CancelWithdrawal) else OPERATOR
