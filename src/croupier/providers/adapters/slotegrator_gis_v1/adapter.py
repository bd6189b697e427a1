"""GIS's functions in one place; `form`, `decode`, `answers` and `outbound` hold the longer ones."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from croupier.errors import UNAUTHENTICATED, CroupierError
from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.slotegrator_gis_v1 import answers, outbound
from croupier.providers.adapters.slotegrator_gis_v1.decode import decode_request
from croupier.providers.adapters.slotegrator_gis_v1.manifest import MANIFEST
from croupier.providers.contract import (
    Adapter,
    Attempt,
    Context,
    Decoded,
    Failure,
    LaunchAnswer,
    LaunchOrder,
    ListGames,
    Operation,
    OutboundRequest,
    ProviderAccount,
    Question,
    QuestionAnswer,
    QuestionUnanswered,
    Reply,
    TransportFault,
)
from croupier.providers.manifest import Manifest
from croupier.providers.notices import NoticeReader
from croupier.providers.verification import (
    FormHeaders,
    RawRequest,
    Verified,
    find_header,
    verify_form_headers,
)
from croupier.providers.vocabulary import find_operation

CALLBACK: Final = Operation(name="callback", media_type="application/x-www-form-urlencoded")
"""The only path; what a call means is said by its field `action`."""
OPERATIONS: Final = {b"/": CALLBACK}

_HEADERS: Final = FormHeaders(
    merchant=outbound.MERCHANT_ID,
    timestamp=outbound.TIMESTAMP,
    nonce=outbound.NONCE,
    signature=outbound.SIGN,
)
_MERCHANT_HEADER: Final = outbound.MERCHANT_ID.lower().encode()
_NONCE: Final = re.compile(r"[!-~]{1,128}")


class SlotegratorGisV1:
    """GIS; what each function promises is said by `contract.Adapter`."""

    __slots__ = ()

    @property
    def manifest(self) -> Manifest:
        """The data half."""
        return MANIFEST

    @property
    def notices(self) -> NoticeReader | None:
        """The protocol sends no webhooks."""
        return None

    def operation(self, method: str, path: bytes) -> Operation:
        """`POST /` and nothing else."""
        return find_operation(OPERATIONS, method, path)

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """HMAC-SHA1 over the sorted form and three headers; the merchant that they name must be ours."""
        verified = verify_form_headers(
            raw, account.inbound_keys, now, names=_HEADERS, window_s=account.window_s
        )
        if find_header(raw, _MERCHANT_HEADER) != outbound.merchant_of(account).encode():
            raise CroupierError(UNAUTHENTICATED, "X-Merchant-Id names another merchant", reason="mismatch")
        if _NONCE.fullmatch(verified.nonce or "") is None:
            raise CroupierError(
                UNAUTHENTICATED, "X-Nonce must be 1 to 128 visible ASCII characters", reason="malformed"
            )
        return verified

    def decode(self, verified: Verified, context: Context) -> Decoded:
        """A form to one action, to two when a bet or refund ends its round, or to one for each reversal."""
        return decode_request(verified, context)

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """200 with the balance and our id, or with one of the two error codes."""
        return answers.encode_outcomes(decoded, outcomes, context)

    def encode_failure(self, failure: Failure) -> Reply:
        """INTERNAL_ERROR: with HTTP 200 when nothing was applied, with 500 when that is not known."""
        return answers.encode_failure(failure)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """`POST {base_url}/games/init`, signed as callbacks are."""
        return outbound.build_launch(order, account, attempt)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The game's address, a refusal with its name, or unknown."""
        return outbound.read_launch(answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """The game list."""
        return outbound.build_games(account, attempt) if isinstance(question, ListGames) else None

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """The games."""
        if isinstance(question, ListGames):
            return outbound.read_games(answer)
        return QuestionUnanswered("not_asked")


ADAPTER: Final[Adapter] = SlotegratorGisV1()
