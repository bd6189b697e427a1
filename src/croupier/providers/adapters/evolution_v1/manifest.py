"""What Evolution's One Wallet promises and asks (NOTES.md names the sources)."""

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

PLACES: Final = 6
"""How many decimals every amount in an answer has."""

CASINO_KEY: Final = "casino_key"
BRAND_ID: Final = "brand_id"

MANIFEST: Final = Manifest(
    protocol="evolution",
    version=1,
    title="Evolution One Wallet, version 1",
    capabilities=frozenset(
        {
            Capability.BALANCE,
            Capability.BET,
            Capability.WIN,
            Capability.ROLLBACK,
            Capability.JACKPOT_WIN,
            Capability.PROMO_WIN,
            Capability.LAUNCH,
            Capability.ROUND_DETAILS,
            Capability.SESSION_CHECK,
        }
    ),
    amount_notation=Notation.DECIMAL_NUMBER,
    amount_scale=None,
    session_ids=IssuedBy.US,
    round_ids=IssuedBy.PROVIDER,
    references=IssuedBy.PROVIDER,
    unsigned_parts=("method", "path", "query", "every header", "body", "time of sending"),
    freshness=Freshness.NONE,
    timestamp_window_s=None,
    answers_signed=False,
    declines=Declines.STICKY,
    repeat_balance=RepeatBalance.CURRENT,
    request_id=None,
    rollback_reference=RollbackReference.SHARES_THE_TARGETS,
    unknown_target=UnknownTarget.ERROR,
    late_debit=LateDebit.DECLINED,
    spent_win=SpentWin.RECEIVABLE,
    game_may_change=True,
    bets_after_close=True,
    balance_on_refusals=DECLINE_CODES,
    status_meaning=StatusMeaning.BODY,
    retries=("credit", "cancel", "promo_payout"),
    deadlines=(
        Deadline("check", 5.0),
        Deadline("balance", 5.0),
        Deadline("debit", 5.0),
        Deadline("credit", 10.0),
        Deadline("cancel", 10.0),
        Deadline("promo_payout", 10.0),
        Deadline("launch", 5.0),
    ),
    opt_outs=(
        OptOut(
            "close_round", "the protocol does not say when a round is over: a bet is settled, not a round"
        ),
        OptOut("contribution", "the protocol has no jackpot contributions"),
        OptOut("free_rounds", "free rounds are paid by promo_payout; no bet is announced for them"),
        OptOut("statement_import", "there is no statement in what is public of the protocol"),
    ),
    signing="static_token",
    inbound_key=KeyKind.TOKEN,
    outbound_key=KeyKind.TOKEN,
    strict_tokens=True,
    session_token=True,
    settings=(
        Setting(CASINO_KEY, "the casino's key, a part of the launch address"),
        Setting(BRAND_ID, "the brand's id in Evolution's configuration; empty: the casino's only one", ""),
    ),
)
