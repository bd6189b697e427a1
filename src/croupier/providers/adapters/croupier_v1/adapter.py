"""The native protocol's functions in one place; `decode` and `launch` hold the longer ones."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from croupier.errors import METHOD_NOT_ALLOWED, UNAUTHENTICATED
from croupier.ids import JOURNAL, render_id
from croupier.money import render_minor
from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.croupier_v1 import launch, wire
from croupier.providers.adapters.croupier_v1.decode import decode_request
from croupier.providers.adapters.croupier_v1.manifest import MANIFEST
from croupier.providers.adapters.croupier_v1.notices import NOTICES
from croupier.providers.contract import (
    Adapter,
    Attempt,
    Context,
    Decoded,
    Failure,
    LaunchAnswer,
    LaunchOrder,
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
from croupier.providers.problem import render_problem
from croupier.providers.verification import Headers, RawRequest, Verified, verify_native_or_message
from croupier.providers.vocabulary import find_operation

OPERATIONS: Final[dict[bytes, Operation]] = {
    b"/v1/balance": Operation(name="balance"),
    b"/v1/bet": Operation(name="bet"),
    b"/v1/win": Operation(name="win"),
    b"/v1/bet-win": Operation(name="bet_win"),
    b"/v1/rollback": Operation(name="rollback"),
    b"/v1/close-round": Operation(name="close_round"),
}
"""What each path below `/providers/{provider}` means; all take POST and JSON."""

_JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()
# RFC 9110 asks for these two headers with these two statuses.
_EXTRA_HEADERS: Final[dict[str, Headers]] = {
    UNAUTHENTICATED.code: ((b"www-authenticate", b"CROUPIER1-HMAC-SHA256"),),
    METHOD_NOT_ALLOWED.code: ((b"allow", b"POST"),),
}


class CroupierV1:
    """The native protocol, version 1; what each function promises is said by `contract.Adapter`."""

    __slots__ = ()

    @property
    def manifest(self) -> Manifest:
        """The data half."""
        return MANIFEST

    @property
    def notices(self) -> NoticeReader | None:
        """Standard Webhooks."""
        return NOTICES

    def operation(self, method: str, path: bytes) -> Operation:
        """The operation of a path; the path is compared as it was sent, byte by byte."""
        return find_operation(OPERATIONS, method, path)

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """The native signature, or RFC 9421 for studios whose tools speak that."""
        return verify_native_or_message(raw, account.inbound_keys, now, window_s=account.window_s)

    def decode(self, verified: Verified, context: Context) -> Decoded:
        """Strict JSON to one action, or two for a bet-win."""
        return decode_request(verified, context)

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """200 with one result, or with `results` for a bet-win."""
        if len(outcomes) == 2:
            results = (_render(outcomes[0]), _render(outcomes[1]))
            return Reply(200, _ENCODER.encode(wire.BetWinReplyBody(results)), _JSON)
        return Reply(200, _ENCODER.encode(_render(outcomes[0])), _JSON)

    def encode_failure(self, failure: Failure) -> Reply:
        """A problem document with the error's own status."""
        extra = _EXTRA_HEADERS.get(failure.error.kind.code, ())
        return render_problem(failure.error, failure.correlation_id, extra)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """`POST {base_url}/v1/launch`, signed with the outbound key."""
        return launch.build_launch(order, account, attempt)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The game's address, a refusal with its code, or unknown."""
        return launch.read_launch(order, answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """Nothing: a studio in the house is asked for launches only."""
        return None

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """Nothing was asked."""
        return QuestionUnanswered("not_asked")


def _render(outcome: Outcome) -> wire.ReplyBody:
    balance, asset = outcome.balance, outcome.asset
    return wire.ReplyBody(
        outcome.status,
        outcome.code,
        outcome.reference,
        None if outcome.journal_id is None else render_id(JOURNAL, outcome.journal_id),
        None if balance is None or asset is None else wire.Balance(render_minor(balance), asset),
        outcome.is_repeat,
    )


ADAPTER: Final[Adapter] = CroupierV1()
