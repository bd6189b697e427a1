"""The contract's sentences that scenarios try, as they stand on its page; a test compares them with the page."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

PAGE: Final = "docs/reference/wallet-contract.md"


class Rule(Struct, frozen=True):
    """A sentence of the contract, and the heading under which it stands there."""

    anchor: str
    text: str


UNKNOWN_MEMBERS: Final = Rule("calls", "all `POST`, `application/json`, UTF-8, unknown members ignored")
SIGNED: Final = Rule("calls", "over method, path, query and body")
SIGNATURE: Final = Rule(
    "calls",
    "The wallet refuses a wrong one, a time more than 30 s from its clock, and a nonce that it has seen, with 401 and"
    ' `"applied": "no"`, before it reads anything else.',
)
AMOUNTS: Final = Rule(
    "calls",
    "**Amounts** are strings of minor units without sign, exponent or leading zero: `^(0|[1-9][0-9]{0,37})$`, and never"
    ' `"0"` in a debit, credit or rollback.',
)
REFERENCES: Final = Rule(
    "calls",
    "**References** are Croupier's, begin with `wtx_`, have at most 64 characters of `A-Za-z0-9_`, and are unique for"
    " ever over debits, credits and rollbacks.",
)
READS: Final = Rule("calls", "tells what a player has in one asset")
TAKES: Final = Rule("calls", "takes an amount, if it is there")
ADDS: Final = Rule("calls", "adds an amount")
UNDOES: Final = Rule("calls", "undoes one earlier debit or credit")
KINDS: Final = Rule(
    "requests",
    "why: `bet`, `win`, `jackpot_win`, `promo_win`, or `rollback` where an earlier rollback is itself undone",
)
NULLS: Final = Rule("requests", "where it belongs; each may be `null`")
COMPARISON: Final = Rule("requests", "`amount` (the target's, for comparison)")
IF_SPENT: Final = Rule(
    "requests",
    "`if_spent` (`take_what_is_left` or `refuse`: what to do with a credit that the player has spent)",
)
BATCH_SIZE: Final = Rule("requests", "`/batch`: `items`, 1 to 256 objects")
BATCH_ORDER: Final = Rule("requests", "Items of one player are applied in their order.")
BATCH_ALONE: Final = Rule(
    "requests", "Each stands alone: one that is refused or fails takes nothing with it."
)
STATEMENT: Final = Rule(
    "requests",
    "`from` and `to` (from ≤ recorded < to), `limit` (1 to 1000), `cursor` (`null` for the first page)",
)
APPROVED: Final = Rule(
    "answers", "`amount` is what was moved, `balance` what the player has after it (in a repeat: now)"
)
WALLET_REFERENCE: Final = Rule("answers", "`wallet_reference` the wallet's own id of the movement")
REFUSED: Final = Rule(
    "answers",
    "One that was refused for a reason of the wallet's, and will be for ever under this reference",
)
INSUFFICIENT: Final = Rule(
    "answers", "a debit, or a rollback with `if_spent = refuse`, is larger than the balance"
)
NO_SUCH_WALLET: Final = Rule("answers", "there is no such wallet")
TOMBSTONED: Final = Rule("answers", "a rollback of this reference came first")
TAKEN_BACK: Final = Rule("answers", "a credit was spent, and `take_what_is_left` took the rest")
NOTHING: Final = Rule(
    "answers",
    "the target is unknown or was refused. **From now on its reference is `tombstoned`:** if it comes after all, it is"
    " refused",
)
ALREADY: Final = Rule("answers", "another rollback undid it")
STATUS: Final = Rule(
    "answers",
    "`/status` answers as the movement itself did, with `operation` beside it and `balance` as it is now, or, when the"
    " wallet has never decided about the reference",
)
BATCH_RESULTS: Final = Rule(
    "answers",
    "as many as items and in their order: each what the single call would have answered with 200, or",
)
STATEMENT_LINES: Final = Rule(
    "answers",
    "`amount` (moved, without sign), `change` (of the balance, signed), `wallet_reference`, `recorded_at`.",
)
STATEMENT_ONLY: Final = Rule("answers", "Refusals and rollbacks that moved nothing are not listed.")
STATEMENT_PAGES: Final = Rule(
    "answers", "Pages are in the order of `recorded_at`; `next_cursor` is the `cursor` of the next page."
)
IDEMPOTENT: Final = Rule(
    "idempotency",
    "The same reference with the same operation, player, asset, amount and target gets the first answer again, with"
    " `repeat` true, however often and from however many connections at once.",
)
CONFLICT: Final = Rule("idempotency", "With anything else it is 409 `reference_conflict`, and nothing moves.")
ERRORS: Final = Rule(
    "errors", 'Every other status has the body `{"code": "…", "detail": "…", "applied": "no" | "unknown"}`.'
)
MALFORMED: Final = Rule("errors", "| 400 | `malformed` | `no` |")
UNKNOWN_PATH: Final = Rule("errors", "| 404 | `unknown_path` | `no` |")
TOO_LARGE: Final = Rule("errors", "| 413, 415 | `body_too_large`, `unsupported_media_type` | `no` |")
NOT_REPRESENTABLE: Final = Rule("errors", "| 422 | `amount_not_representable` | `no` |")
SETTLED: Final = Rule(
    "errors", "Whatever else comes, or does not come, is *unknown*, and is settled by `/status`."
)
IN_TIME: Final = Rule("deadlines", "within 1 s at the 99th percentile")
