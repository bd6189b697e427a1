"""What GIS promises and asks (NOTES.md names the sources)."""

from __future__ import annotations

from typing import Final

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
PLACES: Final = 4
"""Decimals of every balance we answer with."""

MERCHANT: Final = Setting(
    "merchant_id", "the merchant id given by the aggregator: what X-Merchant-Id says both ways", "croupier"
)

MANIFEST: Final = Manifest(
    protocol="slotegrator_gis",
    version=1,
    title="Slotegrator GIS aggregator, version 1",
    capabilities=frozenset(
        {
            Capability.BALANCE,
            Capability.BET,
            Capability.WIN,
            Capability.ROLLBACK,
            Capability.CLOSE_ROUND,
            Capability.JACKPOT_WIN,
            Capability.PROMO_WIN,
            Capability.FREE_ROUNDS,
            Capability.LAUNCH,
            Capability.GAME_LIST,
        }
    ),
    amount_notation=Notation.DECIMAL_TEXT,
    amount_scale=None,
    session_ids=IssuedBy.US,
    round_ids=IssuedBy.PROVIDER,
    references=IssuedBy.PROVIDER,
    unsigned_parts=(
        "method",
        "path",
        "query",
        "headers but X-Merchant-Id, X-Timestamp and X-Nonce",
        "the order of the fields and their percent-encoding",
    ),
    freshness=Freshness.TIMESTAMP_AND_NONCE,
    timestamp_window_s=30,
    answers_signed=False,
    declines=Declines.STICKY,
    repeat_balance=RepeatBalance.CURRENT,
    request_id=None,
    rollback_reference=RollbackReference.OWN,
    unknown_target=UnknownTarget.APPROVED,
    late_debit=LateDebit.DECLINED,
    spent_win=SpentWin.RECEIVABLE,
    game_may_change=False,
    balance_on_refusals=frozenset(),
    status_meaning=StatusMeaning.BODY,
    retries=("bet", "win", "refund", "rollback"),
    deadlines=(
        Deadline("balance", 5.0),
        Deadline("bet", 5.0),
        Deadline("win", 5.0),
        Deadline("refund", 5.0),
        Deadline("rollback", 5.0),
        Deadline("launch", 5.0),
        Deadline("list_games", 10.0),
    ),
    opt_outs=(OptOut("statement_import", "the protocol has no statement"),),
    signing="sorted_form",
    undoes_rollbacks=True,
    body_bytes=BODY_BYTES,
    settings=(MERCHANT,),
)
