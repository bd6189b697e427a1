"""A call as it was answered: what the edge hands to those who read along."""

from __future__ import annotations

from msgspec import Struct

from croupier.errors import CroupierError
from croupier.moneypath.outcomes import Outcome
from croupier.providers.contract import Decoded, Reply, Seat
from croupier.providers.verification import RawRequest


class LiveCall(Struct, frozen=True, gc=False, kw_only=True):
    """A verified request, what the live adapter made of it, and the answer that has gone out.

    `decoded` is None when it was refused before it had a canonical form; `error` is then why. `seat` is what was
    looked up for a request that does not name its player.
    """

    raw: RawRequest
    key_id: str
    correlation_id: str
    operation: str
    decoded: Decoded | None
    seat: Seat | None
    fresh_token: str
    outcomes: tuple[Outcome, ...]
    error: CroupierError | None
    reply: Reply
