"""The bodies of the native protocol as they are on the wire.

Names are 1 to 128 characters without control characters, compared code point by code point: nothing is
trimmed, folded or normalised. Unknown members are refused. `docs/reference/provider-protocol.md` is the text
for readers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from croupier.providers.vocabulary import MAX_GAME_URL, Name

MAX_REASON: Final = 256
MAX_PROOF: Final = 4096


Amount = Annotated[
    str,
    Meta(
        description="Whole minor units of the asset, at most 38 digits.",
        extra_json_schema={"pattern": "^(0|[1-9][0-9]*)$", "maxLength": 38},
        examples=["1250"],
    ),
]
# The grammar is read by `money`, because an amount that is too long has a code of its own.

Contribution = Annotated[
    str,
    Meta(
        description="Decimal text in minor units; a fraction is kept as a statistic and moves nothing.",
        extra_json_schema={"pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "maxLength": 64},
        examples=["12", "0.35"],
    ),
]
SessionId = Annotated[
    str, Meta(description="As it was given at launch.", extra_json_schema={"pattern": "^ses_[0-9a-f]{32}$"})
]
Kind = Annotated[str, Meta(extra_json_schema={"enum": ["win", "jackpot", "promo"]})]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.")]
FreeObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
ProofText = Annotated[str, Meta(max_length=MAX_PROOF)]


class BalanceBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST …/balance`"""

    session_id: SessionId
    player_id: Name
    asset: Name


class BetBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST …/bet`"""

    reference: Name
    session_id: SessionId
    round_id: Name
    game_id: Name
    player_id: Name
    asset: Name
    amount: Amount
    occurred_at: Moment
    jackpot_contribution: Contribution | None = None


class WinBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST …/win`: `session_id` and `round_id` may be left out for jackpot and promo wins."""

    reference: Name
    game_id: Name
    player_id: Name
    asset: Name
    amount: Amount
    occurred_at: Moment
    session_id: SessionId | None = None
    round_id: Name | None = None
    kind: Kind = "win"
    close_round: bool = False


class Part(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One half of a bet-win."""

    reference: Name
    amount: Amount


class BetWinBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST …/bet-win`: both or none."""

    bet: Part
    win: Part
    session_id: SessionId
    round_id: Name
    game_id: Name
    player_id: Name
    asset: Name
    occurred_at: Moment
    jackpot_contribution: Contribution | None = None
    close_round: bool = False


class RollbackBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST …/rollback`: what is given besides the target must agree with it."""

    reference: Name
    target_reference: Name
    player_id: Name
    occurred_at: Moment
    session_id: SessionId | None = None
    round_id: Name | None = None
    asset: Name | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON)] | None = None


class Fairness(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What lets anybody recompute the outcome; `server_seed_hash` was shown before the bet."""

    scheme: Name
    server_seed_hash: ProofText
    server_seed: ProofText
    client_seed: ProofText
    nonce: Annotated[int, Meta(ge=0)]


class CloseRoundBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST …/close-round`: `outcome` is kept as evidence, byte for byte."""

    reference: Name
    session_id: SessionId
    round_id: Name
    player_id: Name
    occurred_at: Moment
    outcome: FreeObject
    fairness: Fairness | None = None


class RoundCompletedData(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`round.completed`: as `/close-round`."""

    session_id: SessionId
    round_id: Name
    player_id: Name
    occurred_at: Moment
    outcome: FreeObject
    reference: Name | None = None
    fairness: Fairness | None = None


class RoundRolledBackData(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`round.rolled_back`: as `/rollback`."""

    target_reference: Name
    player_id: Name
    occurred_at: Moment
    reference: Name | None = None
    session_id: SessionId | None = None
    round_id: Name | None = None
    asset: Name | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON)] | None = None


class JackpotWonData(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`jackpot.won`: as `/win`, whose kind is jackpot."""

    game_id: Name
    player_id: Name
    asset: Name
    amount: Amount
    occurred_at: Moment
    reference: Name | None = None
    session_id: SessionId | None = None
    round_id: Name | None = None
    kind: Literal["jackpot"] = "jackpot"
    close_round: bool = False


class SessionClosedData(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`session.closed`: the studio ended play; the session settles once its rounds are over."""

    session_id: SessionId
    player_id: Name
    occurred_at: Moment
    reference: Name | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON)] | None = None


class StatementReadyData(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`statement.ready`: a statement of the studio can be fetched."""

    statement_id: Name
    occurred_at: Moment
    period_from: Moment
    period_to: Moment
    url: Annotated[str, Meta(max_length=2048)] | None = None


class NoticeBody(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`POST /webhooks/{provider}`: what `data` holds follows from `type`."""

    type: Name
    timestamp: Moment
    data: FreeObject


class Balance(Struct, frozen=True, gc=False):
    """A wallet's balance in minor units."""

    amount: str
    asset: str


class ReplyBody(Struct, frozen=True, gc=False):
    """The answer to one action. `reference` is empty for `/balance`; `balance` is null only if unknown."""

    status: str
    code: str
    reference: str
    journal_id: str | None
    balance: Balance | None
    repeat: bool


class BetWinReplyBody(Struct, frozen=True, gc=False):
    """The answer to a bet-win: the bet's, then the win's."""

    results: tuple[ReplyBody, ReplyBody]


class LaunchBody(Struct, frozen=True, gc=False, omit_defaults=True):
    """`POST {base_url}/v1/launch`, sent by us. Members that are not known are left out."""

    session_id: str
    player_id: str
    game_id: str
    asset: str
    country: str
    locale: str | None = None
    return_url: str | None = None
    client: str | None = None
    ip: str | None = None


class LaunchReplyBody(Struct, frozen=True, gc=False):
    """The studio's 200 or 201: where the game is, and for which session. Other members are ignored."""

    session_id: str
    launch_url: Annotated[str, Meta(max_length=MAX_GAME_URL)]
