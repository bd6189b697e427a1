"""From a stored delivery to the call that a replay submits, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.ids import render_id
from croupier.inbox.process import (
    DECODE_FAILED,
    UNKNOWN_PROVIDER,
    NoticeFault,
    Source,
    read_notice,
    render_call,
)
from croupier.inbox.replay.window import Delivery
from croupier.moneypath.commands import Call, NoticeTerms
from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.strict_json import DEFAULT_LIMITS, JsonLimits
from croupier.providers.verification import StoredDelivery
from croupier_signing import payload_digest

REPLAY: Final = "rpl"
"""The prefix of a replay's id."""

BODY_ALTERED: Final = "body_altered"

Accounts = Mapping[str, tuple[ProviderAccount, Adapter]]

_log = structlog.get_logger("croupier.inbox.replay")


class Unusable(Struct, frozen=True, gc=False):
    """Why a delivery cannot be replayed: a stable cause, and what was found this time."""

    cause: str
    detail: str


class Reader(Struct, frozen=True, kw_only=True):
    """Reads deliveries for one replay: with its id, for the provider accounts as they are configured now."""

    replay: UUID
    accounts: Accounts
    limits: JsonLimits = DEFAULT_LIMITS

    @property
    def via(self) -> str:
        """How the entries of this replay say they came."""
        return f"replay:{render_id(REPLAY, self.replay)}"

    def read(self, delivery: Delivery) -> Call | Unusable:
        """The call that a stored delivery stands for, the same one every time this replay asks.

        What refers to something unknown opens no finding here: the first processing has done that, or still will.
        """
        account, adapter = self.accounts.get(delivery.provider, (None, None))
        if account is None or adapter is None:
            return Unusable(UNKNOWN_PROVIDER, f"no provider {delivery.provider} is configured")
        if payload_digest(delivery.body) != delivery.body_digest:
            return Unusable(BODY_ALTERED, "the stored body is not the one that was verified")
        try:
            notice = read_notice(_stored(delivery), account, adapter, self.limits)
        except NoticeFault as fault:
            return Unusable(fault.cause, fault.detail)
        except CroupierError as error:
            # Its first processing tells finance of a credit that is lost with it: a replay leaves it to that.
            return Unusable(error.kind.code, error.detail)
        except Exception as error:  # noqa: BLE001 (the worker loop: an adapter's fault is one delivery's trouble)
            _log.warning("notice_not_decoded", correlation_id=delivery.correlation_id, exc_info=error)
            return Unusable(DECODE_FAILED, f"the adapter failed: {type(error).__name__}")
        terms = NoticeTerms(via=self.via, may_wait=True)
        return render_call(self._source(delivery), notice, account, adapter, terms)

    def _source(self, delivery: Delivery) -> Source:
        return Source(
            id=delivery.id,
            correlation_id=delivery.correlation_id,
            trace_id=delivery.trace_id,
            replay=self.replay,
        )


def _stored(delivery: Delivery) -> StoredDelivery:
    return StoredDelivery(
        delivery_id=delivery.delivery_id,
        path=delivery.path,
        body=delivery.body,
        body_digest=delivery.body_digest,
        key_id=delivery.key_id,
        signed_at_s=int(delivery.signed_at.timestamp()),
        received_at=delivery.received_at,
    )
