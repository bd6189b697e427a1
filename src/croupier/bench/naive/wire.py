"""The bodies, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Amount = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,37})$")]
SessionText = Annotated[str, StringConstraints(pattern=r"^ses_[0-9a-f]{32}$")]


class Common(BaseModel):
    """What every call names."""

    model_config = ConfigDict(extra="forbid")

    reference: Name
    session_id: SessionText
    round_id: Name
    player_id: Name
    occurred_at: datetime


class BetBody(Common):
    """A stake."""

    game_id: Name
    asset: Name
    amount: Amount
    jackpot_contribution: str | None = None


class WinBody(Common):
    """A win."""

    game_id: Name
    asset: Name
    amount: Amount
    kind: Literal["win"] = "win"
    close_round: bool = False


class CloseBody(Common):
    """The end of a round."""

    outcome: dict[str, Any]
    fairness: dict[str, Any] | None = None


class Balance(BaseModel):
    """A wallet's balance in minor units."""

    amount: str
    asset: str


class Answer(BaseModel):
    """The answer to every call."""

    status: str
    code: str
    reference: str
    journal_id: str | None
    balance: Balance | None
    repeat: bool
