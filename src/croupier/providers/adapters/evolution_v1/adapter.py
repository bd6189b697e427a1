"""Evolution's functions in one place; `decode`, `answers` and `launch` hold the longer ones."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.evolution_v1 import launch, rounds
from croupier.providers.adapters.evolution_v1.answers import render_answer, render_failure
from croupier.providers.adapters.evolution_v1.decode import decode_request
from croupier.providers.adapters.evolution_v1.manifest import MANIFEST
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
    ShowRound,
    TransportFault,
)
from croupier.providers.manifest import Manifest
from croupier.providers.notices import NoticeReader
from croupier.providers.verification import RawRequest, Verified, verify_query_token
from croupier.providers.vocabulary import find_operation

TOKEN: Final = b"authToken"
OPERATIONS: Final[dict[bytes, Operation]] = {
    b"/check": Operation(name="check"),
    b"/balance": Operation(name="balance"),
    b"/debit": Operation(name="debit"),
    b"/credit": Operation(name="credit"),
    b"/cancel": Operation(name="cancel"),
    b"/promo_payout": Operation(name="promo_payout"),
}
"""What each path below `/providers/{provider}` means; all take POST and JSON. `/sid` is for test environments only."""


class EvolutionV1:
    """Evolution's One Wallet, version 1; what each function promises is said by `contract.Adapter`."""

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
        """The static token of the query: it says who calls and proves nothing of what is asked."""
        return verify_query_token(raw, account.inbound_keys, name=TOKEN)

    def decode(self, verified: Verified, context: Context) -> Decoded:
        """JSON to one action."""
        return decode_request(verified, context)

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """200 with a status."""
        return render_answer(decoded, outcomes, context.account)

    def encode_failure(self, failure: Failure) -> Reply:
        """200 with a status; 401 for a wrong token."""
        return render_failure(failure)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """`POST {base_url}/ua/v1/{casino_key}/{casino_token}`."""
        return launch.build_launch(order, account, attempt)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The game's address below the account's, a refusal with its code, or unknown."""
        return launch.read_launch(answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """The details of a round; nothing else is offered."""
        return rounds.build_details(question, account) if isinstance(question, ShowRound) else None

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """The page of a round."""
        if isinstance(question, ShowRound):
            return rounds.read_details(question, answer)
        return QuestionUnanswered("not_asked")


ADAPTER: Final[Adapter] = EvolutionV1()
