"""What Hub88's wallet protocol promises and asks (NOTES.md names the sources)."""

from __future__ import annotations

from typing import Final

from croupier.moneypath.outcomes import DECLINE_CODES
from croupier.providers.manifest import (
    Capability,
    Deadline,
    Declines,
    Freshness,
    IssuedBy,
    KeyKind,
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

SCALE: Final = 100_000
"""How many wire units one unit of a currency has."""

OPERATOR_ID: Final = "operator_id"

MANIFEST: Final = Manifest(
    protocol="hub88",
    version=1,
    title="Hub88 operator wallet, version 1",
    capabilities=frozenset(
        {
            Capability.BALANCE,
            Capability.BET,
            Capability.WIN,
            Capability.ROLLBACK,
            Capability.CLOSE_ROUND,
            Capability.PROMO_WIN,
            Capability.FREE_ROUNDS,
            Capability.LAUNCH,
            Capability.GAME_LIST,
        }
    ),
    amount_notation=Notation.SCALED_INTEGER,
    amount_scale=SCALE,
    session_ids=IssuedBy.US,
    round_ids=IssuedBy.PROVIDER,
    references=IssuedBy.PROVIDER,
    unsigned_parts=("method", "path", "query", "every header", "time of sending"),
    freshness=Freshness.NONE,
    timestamp_window_s=None,
    answers_signed=False,
    declines=Declines.STICKY,
    repeat_balance=RepeatBalance.STORED,
    request_id="request_uuid",
    rollback_reference=RollbackReference.OWN,
    unknown_target=UnknownTarget.APPROVED,
    late_debit=LateDebit.DECLINED,
    spent_win=SpentWin.RECEIVABLE,
    game_may_change=True,
    balance_on_refusals=DECLINE_CODES,
    status_meaning=StatusMeaning.BODY,
    retries=("win", "rollback"),
    deadlines=(
        Deadline("user_info", 5.0),
        Deadline("balance", 5.0),
        Deadline("bet", 5.0),
        Deadline("win", 10.0),
        Deadline("rollback", 10.0),
        Deadline("launch", 5.0),
        Deadline("game_list", 30.0),
    ),
    opt_outs=(
        OptOut("statement_import", "transactions/list is not asked yet"),
        OptOut("jackpot_win", "the protocol does not mark jackpot wins"),
        OptOut("contribution", "the protocol has no jackpot contributions"),
    ),
    signing="rsa_body",
    inbound_key=KeyKind.RSA_PUBLIC,
    outbound_key=KeyKind.RSA_PRIVATE,
    session_token=True,
    settings=(Setting(OPERATOR_ID, "the operator's number in Hub88's back office"),),
)
