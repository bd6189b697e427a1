"""Domain events: what Croupier tells the operator happened, as it is written beside its cause and sent.

Amounts are texts of minor units beside an asset code, ids are public texts, times are in UTC. Members are only ever
added. Nothing here knows where events are kept or how they travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

_HEX: Final = "[0-9a-f]{32}"

SessionId: TypeAlias = Annotated[str, Meta(pattern=f"^ses_{_HEX}$", description="A session of ours.")]
RoundId: TypeAlias = Annotated[str, Meta(pattern=f"^rnd_{_HEX}$", description="A round of ours.")]
JournalId: TypeAlias = Annotated[
    str, Meta(pattern=f"^jrn_{_HEX}$", description="The journal entry; it never changes.")
]
BreakId: TypeAlias = Annotated[
    str, Meta(pattern=f"^brk_{_HEX}$", description="The break, as `/v1/breaks` shows it.")
]
PlayerId: TypeAlias = Annotated[str, Meta(description="The operator's id of the player.")]
ProviderId: TypeAlias = Annotated[
    str, Meta(description="The provider account; `operator` and `croupier` are not providers' but our own.")
]
ProviderRoundId: TypeAlias = Annotated[str, Meta(description="The provider's own id of the round.")]
GameId: TypeAlias = Annotated[str, Meta(description="The game, as the catalogue names it.")]
AssetCode: TypeAlias = Annotated[str, Meta(description="The asset that amounts beside it are in.")]
Minor: TypeAlias = Annotated[
    str, Meta(pattern=r"^(0|-?[1-9][0-9]*)$", description="Minor units as text; exact at any size.")
]
CorrelationId: TypeAlias = Annotated[
    str, Meta(description="The same from the player's launch to this event.")
]
Occurred: TypeAlias = Annotated[
    datetime, Meta(tz=True, description="When it happened by the clock of who told us.")
]
Recorded: TypeAlias = Annotated[datetime, Meta(tz=True, description="When it was recorded, by our clock.")]


class Money(Struct, frozen=True, gc=False):
    """Minor units of an asset."""

    amount: Minor
    asset: AssetCode


class PostingTold(Struct, frozen=True, gc=False):
    """One side of a journal entry; the sides of an entry sum to zero in its asset."""

    account: Annotated[
        str, Meta(description="The kind of account: `player_wallet`, `operator_clearing`, `jackpot_pool`, …")
    ]
    owner: Annotated[
        str, Meta(description="Player, provider or pool; empty for the operator's own accounts.")
    ]
    fund: Annotated[str, Meta(description="`cash` or another fund of a wallet; empty for other accounts.")]
    amount: Annotated[Minor, Meta(description="Positive increases what the account holds for its owner.")]


class SessionStateChanged(
    Struct, frozen=True, gc=False, kw_only=True, rename={"from_state": "from", "to_state": "to"}
):
    """A session was created, launched, played for the first time, ended, settled or reversed."""

    session_id: SessionId
    player_id: PlayerId
    provider: ProviderId
    game_id: GameId
    asset: AssetCode
    from_state: Annotated[str | None, Meta(description="The state before; null when it was created.")]
    to_state: Annotated[
        str,
        Meta(
            description="`created`, `launched`, `active`, `pending_settlement`, `settled`, `cancelled`, `failed`, "
            "`reversed`."
        ),
    ]
    cause: Annotated[str, Meta(description="What made it change, such as `bet`, `closed` or `settlement`.")]
    code: Annotated[str, Meta(description="`ok`, or why.")]
    staked: Annotated[Minor, Meta(description="All stakes so far, less what was rolled back.")]
    won: Annotated[Minor, Meta(description="All wins so far, less what was rolled back.")]
    seq: Annotated[int, Meta(ge=1, description="The line of the session's history; it only grows.")]
    occurred_at: Occurred
    recorded_at: Recorded
    correlation_id: CorrelationId


class RoundClosed(Struct, frozen=True, gc=False, kw_only=True):
    """A round is over: its provider said so, or its session ended with it. Late money may still follow.

    A round of which nothing is left, because every bet was rolled back and nothing won, may end without one.
    """

    round_id: RoundId
    provider_round_id: ProviderRoundId
    session_id: SessionId
    player_id: PlayerId
    provider: ProviderId
    game_id: GameId
    asset: AssetCode
    staked: Annotated[Minor, Meta(description="The round's stakes, less what was rolled back.")]
    won: Annotated[Minor, Meta(description="The round's wins, less what was rolled back.")]
    bets: Annotated[int, Meta(ge=0, description="How many bets were approved, rolled back ones included.")]
    closed_at: Annotated[datetime, Meta(tz=True, description="When it was closed, by our clock.")]
    correlation_id: CorrelationId


class MoneyMoved(Struct, frozen=True, gc=False, kw_only=True):
    """A journal entry was written: exactly one of these for each entry."""

    journal_id: JournalId
    kind: Annotated[
        str,
        Meta(
            description="`bet`, `win`, `jackpot_win`, `promo_win`, `rollback`, `deposit`, `withdrawal`, "
            "`withdrawal_cancel` or `settlement`."
        ),
    ]
    provider: ProviderId
    reference: Annotated[str, Meta(description="The caller's reference, unique for its provider for ever.")]
    player_id: PlayerId
    session_id: SessionId | None
    round_id: ProviderRoundId | None
    amount: Annotated[Money, Meta(description="How the player's wallet changed; `0` for a settlement.")]
    balance: Annotated[Minor | None, Meta(description="The wallet afterwards; null if it was not touched.")]
    postings: Annotated[tuple[PostingTold, ...], Meta(min_length=1)]
    cause: Annotated[str, Meta(description="The way it came: `callback`, `operator`, `webhook`, …")]
    occurred_at: Occurred
    recorded_at: Recorded
    correlation_id: CorrelationId


class BreakOpened(Struct, frozen=True, gc=False, kw_only=True):
    """Something needs a person: a difference, a debt, a refused credit, an endpoint that was switched off."""

    break_id: BreakId
    kind: Annotated[str, Meta(description="What is wrong, such as `refused_credit` or `win_without_bet`.")]
    subject: Annotated[str, Meta(description="Names the finding within its kind; one break is open of it.")]
    owner: Annotated[
        str, Meta(description="The team that has to act, as the configuration's `[owners]` name it.")
    ]
    provider: ProviderId
    player_id: PlayerId | None
    session_id: SessionId | None
    round_id: ProviderRoundId | None
    asset: AssetCode | None
    amount: Annotated[
        str | None, Meta(description="What it is about, as text; as it was written if it was refused.")
    ]
    explanation: Annotated[str, Meta(description="For the person who has to act.")]
    opened_at: Annotated[datetime, Meta(tz=True, description="By our clock.")]
    correlation_id: CorrelationId | None


class BreakerOpened(Struct, frozen=True, gc=False, kw_only=True):
    """Calls to a provider are held back: too many of them failed or were slow, a probe failed, or a person said so."""

    provider: ProviderId
    operation: Annotated[str, Meta(description="What is held back, such as `launch`.")]
    cause: Annotated[str, Meta(description="Why, in words.")]
    failures: Annotated[int, Meta(ge=0, description="How many calls of its window failed or were slow.")]
    opened_at: Annotated[datetime, Meta(tz=True, description="By our clock.")]
    retry_at: (
        Annotated[
            datetime, Meta(tz=True, description="When the first calls are let through to see; null: never.")
        ]
        | None
    )


class RolloutHalted(Struct, frozen=True, gc=False, kw_only=True):
    """A guard stopped a rollout: no more players go to the account that takes over; sessions there go on."""

    provider: Annotated[str, Meta(description="The account that was taking over.")]
    cause: Annotated[str, Meta(description="What its guards found, in words.")]
    share_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="The share of players that it had, in basis points.")
    ]
    launches: Annotated[int, Meta(ge=0, description="Launches there that were looked at.")]
    failed: Annotated[int, Meta(ge=0, description="How many of them failed.")]
    late_settlements: Annotated[
        int, Meta(ge=0, description="Sessions there that wait for their settlement for too long.")
    ]
    mismatches: Annotated[int, Meta(ge=0, description="Breaks of it that are open.")]
    halted_at: Annotated[datetime, Meta(tz=True, description="By our clock.")]


class EndpointDisabled(Struct, frozen=True, gc=False, kw_only=True):
    """An endpoint gets no more events until it is switched on again; they wait for it."""

    endpoint: Annotated[str, Meta(description="Its id in the configuration.")]
    because: Annotated[str, Meta(description="Why, in words.")]
    failing_since: (
        Annotated[datetime, Meta(tz=True, description="The first failure after the last success.")] | None
    )
    last_error: Annotated[str | None, Meta(description="What the last attempt ended with.")]
    disabled_at: Annotated[datetime, Meta(tz=True, description="By our clock.")]


EventData: TypeAlias = (
    SessionStateChanged
    | RoundClosed
    | MoneyMoved
    | BreakOpened
    | BreakerOpened
    | RolloutHalted
    | EndpointDisabled
)

SESSION_STATE_CHANGED: Final = "session.state_changed"
ROUND_CLOSED: Final = "round.closed"
MONEY_MOVED: Final = "money.moved"
BREAK_OPENED: Final = "break.opened"
BREAKER_OPENED: Final = "breaker.opened"
ROLLOUT_HALTED: Final = "rollout.halted"
ENDPOINT_DISABLED: Final = "endpoint.disabled"

EVENT_TYPES: Final[Mapping[str, type[EventData]]] = MappingProxyType(
    {
        SESSION_STATE_CHANGED: SessionStateChanged,
        ROUND_CLOSED: RoundClosed,
        MONEY_MOVED: MoneyMoved,
        BREAK_OPENED: BreakOpened,
        BREAKER_OPENED: BreakerOpened,
        ROLLOUT_HALTED: RolloutHalted,
        ENDPOINT_DISABLED: EndpointDisabled,
    }
)
"""Every type there is, with the shape of its `data`."""

D = TypeVar("D")


class Envelope(Struct, Generic[D], frozen=True, gc=False):
    """An event as it is sent: Standard Webhooks' three members. Its id travels beside it, as `webhook-id`."""

    type: Annotated[str, Meta(description="What happened; it names the shape of `data`.")]
    timestamp: Annotated[
        datetime, Meta(tz=True, description="When the event was recorded; the same in every attempt.")
    ]
    data: D


_ENCODER: Final = msgspec.json.Encoder()


def render_event(type_: str, timestamp: datetime, data: EventData) -> str:
    """The payload of an event as JSON text. Times must be in UTC: this runs for every money call and checks nothing."""
    return _ENCODER.encode(Envelope(type_, timestamp, data)).decode()
