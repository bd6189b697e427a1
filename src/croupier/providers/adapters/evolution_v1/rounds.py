"""What Evolution shows of a round: `GET {base_url}/api/render/v1/details?gameId=…`, HTTP Basic."""

from __future__ import annotations

from base64 import b64encode
from typing import Final
from urllib.parse import quote

import msgspec

from croupier.providers.adapters.evolution_v1.manifest import CASINO_KEY, MANIFEST
from croupier.providers.contract import (
    OutboundRequest,
    ProviderAccount,
    QuestionAnswer,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    RoundAccount,
    ShowRound,
    TransportFault,
)

DEADLINE_S: Final = MANIFEST.deadline_s("round_details") or 10.0

_REFUSED: Final = frozenset({400, 401, 403, 404})


def build_details(question: ShowRound, account: ProviderAccount) -> OutboundRequest:
    """The casino's key and token are user and password, as they are parts of the launch's address."""
    user = f"{account.settings[CASINO_KEY]}:".encode() + account.outbound_secret.secret
    return OutboundRequest(
        method="GET",
        url=f"{account.base_url.rstrip('/')}/api/render/v1/details?gameId={quote(question.round_id, safe='')}",
        headers=((b"authorization", b"Basic " + b64encode(user)),),
        body=b"",
        deadline_s=DEADLINE_S,
    )


def read_details(question: ShowRound, answer: Reply | TransportFault) -> QuestionAnswer:
    """The page as it came: its form is not public, so nothing is read out of it."""
    if isinstance(answer, TransportFault):
        return QuestionUnanswered(answer.reason)
    if answer.status in _REFUSED:
        return QuestionRefused(f"status_{answer.status}")
    if answer.status != 200:
        return QuestionUnanswered(f"status_{answer.status}")
    page = msgspec.json.encode(answer.body.decode("utf-8", "replace")).decode()
    return RoundAccount(round_id=question.round_id, is_finished=None, url=None, details=page)
