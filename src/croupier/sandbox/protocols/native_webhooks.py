"""The native protocol's webhooks, written from its specification and that of Standard Webhooks alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from croupier.sandbox.calls import Call, Seat
from croupier.sandbox.plan import Move, NoticeAttack
from croupier.sandbox.protocols.keys import require_secret
from croupier.sandbox.replies import Expected, Meaning, Received, Reply
from croupier.sandbox.wire import Account, Signed, Webhooks
from croupier_signing import Key, sign_webhook

TYPES: Final = {
    Move.CLOSE: "round.completed",
    Move.ROLLBACK_BET: "round.rolled_back",
    Move.ROLLBACK_WIN: "round.rolled_back",
    Move.ROLLBACK_AGAIN: "round.rolled_back",
    Move.JACKPOT: "jackpot.won",
}
"""What a webhook calls a fact that is otherwise called back; `data` is the body of that call."""

DEPARTURE: Final = "session.closed"
POISON: Final = "round.exploded"
FORTUNE: Final = "1000000"

_MISMATCH: Final = (Expected(401, "unauthenticated", "mismatch"),)
OWED: Final[Mapping[NoticeAttack, tuple[Expected, ...]]] = {
    NoticeAttack.FORGED: _MISMATCH,
    NoticeAttack.ALTERED_BODY: _MISMATCH,
    NoticeAttack.ALTERED_ID: _MISMATCH,
    NoticeAttack.ALTERED_TIME: _MISMATCH,
    NoticeAttack.STALE: (Expected(401, "unauthenticated", "stale"),),
    NoticeAttack.REUSED_ID: (Expected(409, "delivery_id_reused"),),
}
"""The refusal that each attack is owed (native protocol, "Webhooks")."""


class NativeWebhooks(Webhooks):
    """Standard Webhooks to `/webhooks/{provider}`, signed with the secret of the callbacks."""

    attacks = OWED
    types: ClassVar[Mapping[Move, str]] = TYPES

    def __init__(self, account: Account, prefix: str) -> None:
        self._account = account
        self._key = require_secret(account, account.callback_key)
        self._path = f"{prefix.removesuffix(f'/providers/{account.id}')}/webhooks/{account.id}"

    def render_notice(self, call: Call, moment: str) -> tuple[str, bytes]:
        """The call's body under the type of its move."""
        if call.move not in TYPES:
            raise ValueError(f"no webhook tells of {call.name}")
        kind = TYPES[call.move]
        return kind, render_webhook(kind, moment, msgspec.Raw(call.body))

    def render_departure(self, seat: Seat, reference: str, moment: str) -> tuple[str, bytes]:
        """`session.closed`."""
        data = {
            "reference": reference,
            "session_id": seat.session_id,
            "player_id": seat.player_id,
            "reason": "the player left the game",
            "occurred_at": moment,
        }
        return DEPARTURE, render_webhook(DEPARTURE, moment, data)

    def render_fortune(self, seat: Seat, reference: str, moment: str) -> bytes:
        """A `jackpot.won` that nobody won."""
        data = {
            "reference": reference,
            "session_id": seat.session_id,
            "game_id": seat.game_id,
            "player_id": seat.player_id,
            "asset": seat.asset,
            "amount": FORTUNE,
            "kind": "jackpot",
            "occurred_at": moment,
        }
        return render_webhook(TYPES[Move.JACKPOT], moment, data)

    def render_poison(self, moment: str) -> tuple[str, bytes]:
        """A type that the protocol does not have."""
        data = {"wreckage": "everywhere", "occurred_at": moment}
        return POISON, render_webhook(POISON, moment, data)

    def sign(self, webhook_id: str, body: bytes, timestamp_s: int, *, key: Key | None = None) -> Signed:
        """The three headers of Standard Webhooks."""
        signer = self._key if key is None else require_secret(self._account, key)
        headers = (
            ("Content-Type", "application/json"),
            ("webhook-id", webhook_id),
            ("webhook-timestamp", str(timestamp_s)),
            (
                "webhook-signature",
                sign_webhook(signer, webhook_id=webhook_id, timestamp_s=timestamp_s, body=body),
            ),
        )
        return Signed(self._path, headers, body)

    def read_receipt(self, received: Received) -> Reply:
        """Accepted by 202 only."""
        document = received.document
        code = _text(document, "code")
        return Reply(
            received=received,
            meaning=_meaning(received.status, code),
            document=document,
            code=code,
            reason=_text(document, "reason") or None if received.status == 401 else None,
        )


def render_webhook(kind: str, moment: str, data: Any) -> bytes:
    """The body of a webhook; `data` is any JSON value."""
    return msgspec.json.encode({"type": kind, "timestamp": moment, "data": data})


def _meaning(status: int, code: str) -> Meaning:
    """What the sender may conclude; 401 is left to a person, because signing anew would not mend a key."""
    if status == 202:
        return Meaning.DECIDED
    if status in (408, 429) or status >= 500 or (status == 409 and code == "in_flight"):
        return Meaning.REPEAT
    return Meaning.REFUSED if 400 <= status < 500 and status != 401 else Meaning.UNKNOWN


def _text(document: Any, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""
