"""Hub88's functions in one place; `decode`, `answers` and `outbound` hold the longer ones."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from croupier.moneypath.outcomes import Outcome
from croupier.providers.adapters.hub88_v1 import outbound
from croupier.providers.adapters.hub88_v1.answers import render_answer, render_failure
from croupier.providers.adapters.hub88_v1.decode import decode_request
from croupier.providers.adapters.hub88_v1.manifest import MANIFEST
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
    Reply,
    TransportFault,
)
from croupier.providers.manifest import Manifest
from croupier.providers.notices import NoticeReader
from croupier.providers.verification import RawRequest, Verified, verify_rsa_header
from croupier.providers.vocabulary import find_operation

OPERATIONS: Final[dict[bytes, Operation]] = {
    b"/user/info": Operation(name="user_info"),
    b"/user/balance": Operation(name="balance"),
    b"/transaction/bet": Operation(name="bet"),
    b"/transaction/win": Operation(name="win"),
    b"/transaction/rollback": Operation(name="rollback"),
}
"""What each path below `/providers/{provider}` means; all take POST and JSON."""


class Hub88V1:
    """Hub88's operator wallet, version 1; what each function promises is said by `contract.Adapter`."""

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
        """RSA over the body. Neither path nor time is signed: the body must say which call it is."""
        return verify_rsa_header(raw, account.inbound_keys, header=outbound.SIGNATURE)

    def decode(self, verified: Verified, context: Context) -> Decoded:
        """JSON to one action, or two when a bet or rollback closes its round."""
        return decode_request(verified, context)

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """200 with the transaction's status and the balance of then."""
        return render_answer(decoded, outcomes, context.account)

    def encode_failure(self, failure: Failure) -> Reply:
        """200 with a status."""
        return render_failure(failure)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """`POST {base_url}/operator/generic/v2/game/url`."""
        return outbound.build_launch(order, account)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The game's address, a refusal, or unknown."""
        return outbound.read_launch(answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """The list of games; nothing else is asked."""
        return outbound.build_game_list(account) if isinstance(question, ListGames) else None

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """The list of games."""
        return outbound.read_game_list(answer)


ADAPTER: Final[Adapter] = Hub88V1()
