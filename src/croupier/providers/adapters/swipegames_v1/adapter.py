"""The Swipe Games API's functions in one place; `decode`, `answers` and `outbound` hold the longer ones."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.swipegames_v1 import answers, outbound
from croupier.providers.adapters.swipegames_v1.decode import decode_request
from croupier.providers.adapters.swipegames_v1.manifest import MANIFEST
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
    Unseated,
)
from croupier.providers.manifest import Manifest
from croupier.providers.notices import NoticeReader
from croupier.providers.verification import RawRequest, Verified, verify_canonical_header
from croupier.providers.vocabulary import find_operation

OPERATIONS: Final[dict[bytes, Operation]] = {
    b"/balance": Operation(name="balance", method="GET", media_type=None),
    b"/bet": Operation(name="bet"),
    b"/win": Operation(name="win"),
    b"/refund": Operation(name="refund"),
}
"""What each path below `/providers/{provider}` means."""


class SwipegamesV1:
    """The Swipe Games API; what each function promises is said by `contract.Adapter`."""

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
        """The operation of a path; the path is compared as it was sent, byte by byte."""
        return find_operation(OPERATIONS, method, path)

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """HMAC-SHA256 of the body's bytes, or of the query as canonical JSON; there is neither time nor nonce."""
        return verify_canonical_header(raw, account.inbound_keys, header=outbound.SIGNATURE)

    def decode(self, verified: Verified, context: Context) -> Unseated:
        """Tolerant JSON to one action, once the seat is found."""
        return decode_request(verified, context)

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """200 with our id and the balance, or 400 with the decline."""
        return answers.encode_outcomes(decoded, outcomes, context)

    def encode_failure(self, failure: Failure) -> Reply:
        """4xx for what is final, 500 for what is unknown, 200 for a refund of nobody's bet."""
        return answers.encode_failure(failure)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """`POST {base_url}/create-new-game`, signed with the outbound key."""
        return outbound.build_launch(order, account)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The game's address, a refusal with its code, or unknown."""
        return outbound.read_launch(answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """The game list; the API answers nothing else."""
        return outbound.build_games(account) if isinstance(question, ListGames) else None

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """The games."""
        if isinstance(question, ListGames):
            return outbound.read_games(answer)
        return QuestionUnanswered("not_asked")


ADAPTER: Final[Adapter] = SwipegamesV1()
