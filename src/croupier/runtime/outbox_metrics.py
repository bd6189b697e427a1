"""From what the delivery of events tells about itself to the metrics of this process."""

from __future__ import annotations

from typing import assert_never

from croupier.operator.outbox.records import AttemptRecord, LagRecord, LevelRecord, Observe, Record
from croupier.telemetry.outbox_metrics import OutboxMetrics


def observe_with(metrics: OutboxMetrics) -> Observe:
    """A function that counts and measures with these metrics."""

    def observe(record: Record) -> None:
        match record:
            case AttemptRecord():
                metrics.note_attempt(
                    consumer=record.consumer,
                    type_=record.type,
                    result=record.result,
                    duration_s=record.duration_s,
                )
            case LevelRecord():
                metrics.note_level(
                    consumer=record.consumer,
                    pending=record.pending,
                    oldest_s=record.oldest_s,
                    is_disabled=record.is_disabled,
                )
            case LagRecord():
                metrics.note_lag(record.oldest_s)
            case _:
                assert_never(record)

    return observe
