"""Webhooks for the benches: jackpots of one minor unit about players at the tables, as deliveries and as requests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from croupier.bench.seats import ASSET, GAME, PROVIDER, Seat, utc_now
from croupier.ids import SESSION, IdSource, bucket_of, render_id
from croupier.inbox.deliveries import Delivery
from croupier.providers.notices import NoticeType
from croupier_signing import SigningKey, payload_digest, sign_webhook


class Notices:
    """Endless notices, each with an id, a reference and a round of its own."""

    def __init__(self, seats: Sequence[Seat]) -> None:
        run = uuid4().hex
        names = (f"{run}-{number}" for number in itertools.count())
        self._turns: Iterator[tuple[Seat, str]] = zip(itertools.cycle(seats), names, strict=False)
        self._ids = IdSource()

    def body(self) -> tuple[str, Seat, bytes]:
        """Delivery id, whom it is about, and the body."""
        seat, name = next(self._turns)
        at = datetime.now(UTC).isoformat()
        data = (
            f'{{"reference":"jp-{name}","session_id":"{render_id(SESSION, seat.session_id)}",'
            f'"round_id":"r-{name}","game_id":"{GAME}","player_id":"{seat.player_id}",'
            f'"asset":"{ASSET}","amount":"1","occurred_at":"{at}"}}'
        )
        text = f'{{"type":"{NoticeType.JACKPOT_WON}","timestamp":"{at}","data":{data}}}'
        return name, seat, text.encode()

    def delivery(self) -> Delivery:
        """A notice as the intake stores it."""
        name, seat, body = self.body()
        now, bucket = utc_now(), bucket_of(name)
        round_id = f"r-{name}"
        return Delivery(
            bucket,
            PROVIDER,
            name,
            self._ids.new(bucket),
            NoticeType.JACKPOT_WON.value,
            seat.player_id,
            seat.session_id,
            round_id,
            f"jp-{name}",
            ASSET,
            "1",
            now,
            f"/webhooks/{PROVIDER}",
            '[["content-type","application/json"]]',
            body,
            payload_digest(body),
            "bench-in-1",
            "standard_webhooks",
            now,
            now,
            name,
            None,
            f"{seat.session_id}:{round_id}",
        )

    def request(self, key: SigningKey, host: str, port: int) -> bytes:
        """A notice as a provider sends it, signed now."""
        name, _, body = self.body()
        now_s = int(time.time())
        signature = sign_webhook(key, webhook_id=name, timestamp_s=now_s, body=body)
        head = (
            f"POST /webhooks/{PROVIDER} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\n"
            f"webhook-id: {name}\r\nwebhook-timestamp: {now_s}\r\nwebhook-signature: {signature}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
