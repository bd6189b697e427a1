"""The Beexar contract's functions in one place; `decode`, `answers` and `outbound` hold the longer ones."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.softswiss_v2 import answers, outbound
from croupier.providers.adapters.softswiss_v2.decode import decode_request
from croupier.providers.adapters.softswiss_v2.manifest import MANIFEST
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
from croupier.providers.verification import RawRequest, Verified, verify_hmac_header
from croupier.providers.vocabulary import find_operation

OPERATIONS: Final[dict[bytes, Operation]] = {
    b"/balance": Operation(name="balance"),
    b"/betwin": Operation(name="betwin"),
    b"/rollback": Operation(name="rollback"),
    b"/finish": Operation(name="finish"),
}
"""What each path below `/providers/{provider}` means; all take POST and JSON."""


class SoftswissV2:
    """The Beexar contract; what each function promises is said by `contract.Adapter`."""

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
        """HMAC-SHA256 of the body's bytes in lower-case hex; the protocol has neither time nor nonce."""
        return verify_hmac_header(raw, account.inbound_keys, header=outbound.SIGNATURE)

    def decode(self, verified: Verified, context: Context) -> Decoded:
        """Tolerant JSON to one action, or to a batch in order."""
        return decode_request(verified, context)

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """200 with our ids and the balance, or 400 with the decline that stopped the batch."""
        return answers.encode_outcomes(decoded, outcomes, context)

    def encode_failure(self, failure: Failure) -> Reply:
        """400 for what is final, 500 for what is unknown."""
        return answers.encode_failure(failure)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """`POST {base_url}/api/v1/softswiss/launcher/real`, signed with the outbound key."""
        return outbound.build_launch(order, account)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The game's address, a refusal with its api_code, or unknown."""
        return outbound.read_launch(answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """The game list; the contract answers nothing else."""
        return outbound.build_games(account) if isinstance(question, ListGames) else None

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """The games."""
        if isinstance(question, ListGames):
            return outbound.read_games(answer)
        return QuestionUnanswered("not_asked")


ADAPTER: Final[Adapter] = SoftswissV2()
