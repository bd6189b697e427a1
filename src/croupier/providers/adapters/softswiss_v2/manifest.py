"""What the Beexar contract promises and asks (NOTES.md names the sources)."""

from __future__ import annotations

from typing import Final

from croupier.moneypath.outcomes import INSUFFICIENT_FUNDS, LIMIT_REACHED
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
    Setting,
    SpentWin,
    StatusMeaning,
    UnknownTarget,
)

BODY_BYTES: Final = 64 * 1024

MANIFEST: Final = Manifest(
    protocol="softswiss",
    version=2,
    title="SOFTSWISS-style seamless wallet, version 2 (Beexar contract)",
    capabilities=frozenset(
        {
            Capability.BALANCE,
            Capability.BET,
            Capability.WIN,
            Capability.BET_WIN,
            Capability.ROLLBACK,
            Capability.CLOSE_ROUND,
            Capability.LAUNCH,
            Capability.GAME_LIST,
            Capability.BATCH,
        }
    ),
    amount_notation=Notation.DECIMAL_TEXT,
    amount_scale=1,
    session_ids=IssuedBy.US,
    round_ids=IssuedBy.PROVIDER,
    references=IssuedBy.PROVIDER,
    unsigned_parts=("method", "path", "query", "headers", "timestamp", "nonce"),
    freshness=Freshness.NONE,
    timestamp_window_s=None,
    answers_signed=False,
    declines=Declines.STICKY,
    repeat_balance=RepeatBalance.STORED,
    request_id=None,
    rollback_reference=RollbackReference.OWN,
    unknown_target=UnknownTarget.APPROVED,
    late_debit=LateDebit.DECLINED,
    spent_win=SpentWin.CLAMP,
    game_may_change=False,
    balance_on_refusals=frozenset({INSUFFICIENT_FUNDS, LIMIT_REACHED}),
    status_meaning=StatusMeaning.HTTP_STATUS,
    retries=("betwin", "rollback", "finish"),
    deadlines=(
        Deadline("balance", 15.0),
        Deadline("betwin", 15.0),
        Deadline("rollback", 15.0),
        Deadline("finish", 15.0),
        Deadline("launch", 5.0),
        Deadline("list_games", 10.0),
    ),
    opt_outs=(
        OptOut("free_rounds", "the contract has no call for free rounds"),
        OptOut("jackpot_win", "the contract has no call for jackpots"),
        OptOut("promo_win", "the contract has no call for promotions"),
        OptOut("statement_import", "the contract has no statement"),
    ),
    signing="raw_hmac",
    body_bytes=BODY_BYTES,
    settings=(
        Setting("casino_id", "the operator's slug at Beexar, as given at onboarding", default="croupier"),
    ),
)
