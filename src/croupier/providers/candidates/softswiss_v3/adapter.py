"""The third version as far as it is: version 2 with five faults that shadow traffic has to find (`planted`)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import structs

from croupier.moneypath.commands import Action, CloseRound, Rollback, Win
from croupier.moneypath.outcomes import INSUFFICIENT_FUNDS, LIMIT_REACHED, Outcome
from croupier.providers.adapters.softswiss_v2 import ADAPTER as VERSION_2
from croupier.providers.candidates.planted import LONGEST_BATCH
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
    Reply,
    TransportFault,
    Unseated,
)
from croupier.providers.manifest import Manifest
from croupier.providers.notices import NoticeReader
from croupier.providers.verification import RawRequest, Verified

HUNDREDTHS: Final = 100
MANIFEST: Final = structs.replace(
    VERSION_2.manifest, version=3, title="SOFTSWISS-style seamless wallet, version 3 (in preparation)"
)


class SoftswissV3:
    """Version 2 but for what is planted; what each function promises is said by `contract.Adapter`."""

    __slots__ = ()

    @property
    def manifest(self) -> Manifest:
        """The data half."""
        return MANIFEST

    @property
    def notices(self) -> NoticeReader | None:
        """No webhooks either."""
        return VERSION_2.notices

    def operation(self, method: str, path: bytes) -> Operation:
        """The paths of version 2."""
        return VERSION_2.operation(method, path)

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """The signature of version 2."""
        return VERSION_2.verify(raw, account, now)

    def decode(self, verified: Verified, context: Context) -> Decoded | Unseated:
        """The bodies of version 2, misread in four ways."""
        decoded = VERSION_2.decode(verified, context)
        if isinstance(decoded, Unseated):
            return decoded
        actions = decoded.actions
        if context.operation.name == "betwin":
            _require_short(actions)
            actions = tuple(action for action in actions if not isinstance(action, CloseRound))
        return structs.replace(decoded, actions=tuple(_misread(action) for action in actions))

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """The answers of version 2, with one wrong code."""
        return VERSION_2.encode(decoded, tuple(_misname(outcome) for outcome in outcomes), context)

    def encode_failure(self, failure: Failure) -> Reply:
        """The errors of version 2."""
        return VERSION_2.encode_failure(failure)

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """The launch of version 2."""
        return VERSION_2.build_launch(order, account, attempt)

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """The launcher's answers of version 2."""
        return VERSION_2.read_launch(order, answer)

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """The questions of version 2."""
        return VERSION_2.build_question(question, account, attempt)

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """The answers to them."""
        return VERSION_2.read_answer(question, answer)


def _require_short(actions: tuple[Action, ...]) -> None:
    money = [action for action in actions if not isinstance(action, CloseRound)]
    if len(money) > LONGEST_BATCH:
        raise IndexError(len(money))


def _misread(action: Action) -> Action:
    if isinstance(action, Win):
        return structs.replace(action, amount=action.amount * HUNDREDTHS)
    if isinstance(action, Rollback):
        return structs.replace(action, target_reference=action.reference)
    return action


def _misname(outcome: Outcome) -> Outcome:
    if outcome.code == INSUFFICIENT_FUNDS:
        return structs.replace(outcome, code=LIMIT_REACHED)
    return outcome


ADAPTER: Final[Adapter] = SoftswissV3()
