"""What the Swipe Games API promises and asks (NOTES.md names the sources)."""

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

CLIENT_ID: Final = Setting("cID", "the client id (a UUID) that Swipe Games gave the operator")
EXTERNAL_CLIENT_ID: Final = Setting(
    "extCID", "the operator's own name at Swipe Games, as agreed at onboarding", default="croupier"
)
LOCALE: Final = Setting("locale", "the game's language when a launch names none", default="en_us")

MANIFEST: Final = Manifest(
    protocol="swipegames",
    version=1,
    title="Swipe Games integration adapter API, version 1",
    capabilities=frozenset(
        {
            Capability.BALANCE,
            Capability.BET,
            Capability.WIN,
            Capability.ROLLBACK,
            Capability.PROMO_WIN,
            Capability.FREE_ROUNDS,
            Capability.LAUNCH,
            Capability.GAME_LIST,
        }
    ),
    amount_notation=Notation.DECIMAL_TEXT,
    amount_scale=1,
    session_ids=IssuedBy.US,
    round_ids=IssuedBy.PROVIDER,
    references=IssuedBy.PROVIDER,
    unsigned_parts=(
        "method",
        "path",
        "headers",
        "the query of POST",
        "the body of GET",
        "timestamp",
        "nonce",
    ),
    freshness=Freshness.NONE,
    timestamp_window_s=None,
    answers_signed=False,
    declines=Declines.STICKY,
    repeat_balance=RepeatBalance.CURRENT,
    request_id=None,
    rollback_reference=RollbackReference.OWN,
    unknown_target=UnknownTarget.APPROVED,
    late_debit=LateDebit.DECLINED,
    spent_win=SpentWin.RECEIVABLE,
    bets_after_close=True,
    game_may_change=False,
    balance_on_refusals=frozenset(),
    status_meaning=StatusMeaning.HTTP_STATUS,
    retries=("win", "refund"),
    deadlines=(
        Deadline("balance", 5.0),
        Deadline("bet", 5.0),
        Deadline("win", 5.0),
        Deadline("refund", 5.0),
        Deadline("launch", 5.0),
        Deadline("list_games", 20.0),
    ),
    opt_outs=(
        OptOut("bet_win", "a call carries one transaction"),
        OptOut("close_round", "the API has no call for the end of a round; its win ends it"),
        OptOut("jackpot_win", "the API has no call for jackpots"),
        OptOut("statement_import", "the API has no statement"),
    ),
    signing="canonical_body",
    settings=(CLIENT_ID, EXTERNAL_CLIENT_ID, LOCALE),
)
