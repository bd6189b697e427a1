"""What Croupier's own protocol promises (docs/reference/provider-protocol.md)."""

from __future__ import annotations

from typing import Final

from croupier.moneypath.outcomes import DECLINE_CODES
from croupier.providers.manifest import (
    Capability,
    Deadline,
    Declines,
    Freshness,
    IssuedBy,
    LateDebit,
    Manifest,
    Notation,
    OptOut,
    RepeatBalance,
    RollbackReference,
    SpentWin,
    StatusMeaning,
    UnknownTarget,
)

MANIFEST: Final = Manifest(
    protocol="croupier",
    version=1,
    title="Croupier native protocol, version 1",
    capabilities=frozenset(
        {
            Capability.BALANCE,
            Capability.BET,
            Capability.WIN,
            Capability.BET_WIN,
            Capability.ROLLBACK,
            Capability.CLOSE_ROUND,
            Capability.JACKPOT_WIN,
            Capability.PROMO_WIN,
            Capability.CONTRIBUTION,
            Capability.LAUNCH,
            Capability.WEBHOOKS,
            Capability.FAIRNESS,
        }
    ),
    amount_notation=Notation.MINOR_TEXT,
    amount_scale=None,
    session_ids=IssuedBy.US,
    round_ids=IssuedBy.PROVIDER,
    references=IssuedBy.PROVIDER,
    unsigned_parts=("every header but Authorization", "scheme and host"),
    freshness=Freshness.TIMESTAMP_AND_NONCE,
    timestamp_window_s=30,
    answers_signed=False,
    declines=Declines.STICKY,
    repeat_balance=RepeatBalance.STORED,
    request_id=None,
    rollback_reference=RollbackReference.OWN,
    unknown_target=UnknownTarget.APPROVED,
    late_debit=LateDebit.DECLINED,
    spent_win=SpentWin.RECEIVABLE,
    game_may_change=False,
    balance_on_refusals=DECLINE_CODES,
    status_meaning=StatusMeaning.HTTP_STATUS,
    retries=("bet", "win", "bet_win", "rollback", "close_round"),
    deadlines=(
        Deadline("balance", 5.0),
        Deadline("bet", 5.0),
        Deadline("win", 10.0),
        Deadline("bet_win", 5.0),
        Deadline("rollback", 10.0),
        Deadline("close_round", 10.0),
        Deadline("launch", 5.0),
    ),
    opt_outs=(
        OptOut("free_rounds", "the protocol has no free rounds; a promo win pays for them"),
        OptOut("statement_import", "a studio in the house is reconciled by its callbacks and webhooks"),
    ),
)
