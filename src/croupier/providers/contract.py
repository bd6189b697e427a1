"""The contract between the edge towards providers and one protocol's adapter.

An adapter is a manifest (data) and a handful of pure, synchronous functions. It imports this contract, the
verifiers, the vocabulary (`money`, `ids`, `errors`), the canonical model (`moneypath.commands`,
`moneypath.outcomes`), the strict JSON reader, the problem renderer and the signer, and nothing else: it cannot
reach a database, a clock or the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from msgspec import Struct

from croupier.errors import CroupierError
from croupier.money import AssetRegistry
from croupier.moneypath.commands import Action, Contract, RefuseCredit
from croupier.moneypath.outcomes import Outcome
from croupier.providers.manifest import Manifest
from croupier.providers.strict_json import DEFAULT_LIMITS, JsonLimits
from croupier.providers.verification import Headers, InboundKeys, RawRequest, Verified
from croupier_signing import Key, PrivateKey, SigningKey

if TYPE_CHECKING:
    from croupier.providers.notices import NoticeReader


class ContractLookup(Protocol):
    """Finds the contract in force at a moment, for wins that belong to no session; None if there is none."""

    def __call__(self, *, asset: str, game_id: str | None, at: datetime) -> Contract | None: ...


class ProviderAccount(Struct, frozen=True, kw_only=True):
    """One account at one provider in one environment.

    `window_s` is how far a timestamp may be from our clock, in seconds, both ends included. `pools` are the
    jackpot pools its contracts may use. `settings` are what the protocol calls the operator by: the manifest
    names them, the configuration gives their values. Without `outbound_key` nothing can be sent: the client
    refuses before an adapter writes a request.
    """

    id: str
    adapter: str
    base_url: str
    inbound_keys: InboundKeys
    outbound_key: Key | None
    assets: AssetRegistry
    contract_for: ContractLookup
    window_s: int = 30
    pools: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}

    @property
    def outbound_secret(self) -> SigningKey:
        """The outbound key of a protocol whose manifest says that it is a shared secret."""
        assert isinstance(self.outbound_key, SigningKey), "start-up checks the kind of every key"  # noqa: S101
        return self.outbound_key

    @property
    def outbound_private(self) -> PrivateKey:
        """The outbound key of a protocol whose manifest says that it is a private key."""
        assert isinstance(self.outbound_key, PrivateKey), "start-up checks the kind of every key"  # noqa: S101
        return self.outbound_key


class Operation(Struct, frozen=True, gc=False, kw_only=True):
    """What a path means: a stable name, its method, and the media type its body must have (None: not checked)."""

    name: str
    method: str = "POST"
    media_type: str | None = "application/json"


class Context(Struct, frozen=True, gc=False, kw_only=True):
    """What an adapter may know besides the request: its operation, the account, the bounds on JSON, a fresh token.

    `fresh_token` is random and new with every request, for protocols whose answers carry a new session token.
    """

    operation: Operation
    account: ProviderAccount
    limits: JsonLimits = DEFAULT_LIMITS
    fresh_token: str = ""


class Decoded(Struct, frozen=True, gc=False, kw_only=True):
    """A request in canonical words: actions in order, decided all or none, for one player.

    `token_hash` is the session token it presents, hashed. `echo` is whatever the adapter needs again to answer;
    nobody else looks at it. `oddities` are members and values that the protocol's text does not know, such as
    `bet.type=tip2`: recorded and alerted, and without effect.
    """

    operation: Operation
    player_id: str
    actions: tuple[Action, ...]
    token_hash: str | None = None
    echo: Any = None
    oddities: tuple[str, ...] = ()


class Seat(Struct, frozen=True, gc=False, kw_only=True):
    """Whose session it is: what never changes about one. `session_id` is None when only a reference was found."""

    player_id: str
    asset: str
    session_id: UUID | None = None
    game_id: str | None = None


class Unseated(Struct, frozen=True, gc=False, kw_only=True):
    """A request that does not name its player: its session does, or else a reference that was decided before.

    The edge looks the seat up and goes on with `complete`; without a seat the request is refused (unknown_session),
    with `echo` to answer it and `salvage` for finance, whose player nobody knows (an empty text).
    """

    operation: Operation
    session_id: UUID | None
    complete: Callable[[Seat], Decoded]
    references: tuple[str, ...] = ()
    echo: Any = None
    salvage: RefuseCredit | None = None


class DecodeRefused(CroupierError):
    """A verified request that has no canonical form; `salvage` tells finance of a credit lost with it.

    `echo` is what the adapter could read of the request and needs to answer.
    """

    def __init__(self, error: CroupierError, salvage: RefuseCredit | None, echo: Any = None) -> None:
        super().__init__(
            error.kind,
            error.detail,
            field=error.field,
            reason=error.reason,
            retry_after_s=error.retry_after_s,
        )
        self.salvage = salvage
        self.echo = echo


class Failure(Struct, frozen=True, gc=False, kw_only=True):
    """An error on its way to the provider, and what is known about the request it answers.

    `operation` is None for a path that means nothing, `raw` when the request never arrived whole; `echo` is the
    adapter's own, and None unless the request was verified and read.
    """

    error: CroupierError
    correlation_id: str
    account: ProviderAccount
    operation: Operation | None = None
    raw: RawRequest | None = None
    echo: Any = None


class Reply(Struct, frozen=True, gc=False):
    """An answer to a provider; the edge adds the length, correlation and trace headers."""

    status: int
    body: bytes
    headers: Headers


class LaunchOrder(Struct, frozen=True, kw_only=True):
    """A session to be opened at the provider. `client` is the device class, `ip` the player's address.

    `token` is the session's token, for protocols whose manifest asks for one; the provider presents it in its calls.
    """

    session_id: str
    player_id: str
    game_id: str
    asset: str
    country: str
    correlation_id: str
    locale: str | None = None
    return_url: str | None = None
    client: str | None = None
    ip: str | None = None
    token: str | None = None


class Attempt(Struct, frozen=True, gc=False, kw_only=True):
    """What makes one outbound attempt differ from the next: Unix seconds, and a nonce never used before."""

    timestamp_s: int
    nonce: str


class OutboundRequest(Struct, frozen=True, kw_only=True):
    """A request to a provider, complete and signed: absolute URL, headers, body, deadline in seconds."""

    method: str
    url: str
    headers: Headers
    body: bytes
    deadline_s: float


class TransportFault(Struct, frozen=True, gc=False):
    """No usable reply came: `reason` is a stable word such as `timeout`, `reset`, `not_http`, `too_large`."""

    reason: str


class Launched(Struct, frozen=True, gc=False):
    """The provider opened the session; the game is at `url`."""

    url: str


class LaunchRefused(Struct, frozen=True, gc=False):
    """The provider certainly did not open the session."""

    reason: str


class LaunchUnknown(Struct, frozen=True, gc=False):
    """Nobody can tell from what came back; repeating the launch with the same session id is safe."""

    reason: str


LaunchAnswer = Launched | LaunchRefused | LaunchUnknown


class ListGames(Struct, frozen=True, gc=False):
    """Which games does the provider offer this account?"""


class ShowRound(Struct, frozen=True, gc=False, kw_only=True):
    """What does the provider say about one of its rounds? `session_id` and `player_id` are ours."""

    round_id: str
    session_id: str | None = None
    player_id: str | None = None
    game_id: str | None = None


class EndSession(Struct, frozen=True, gc=False, kw_only=True):
    """Tell the provider that a session is over."""

    session_id: str
    player_id: str


Question = ListGames | ShowRound | EndSession
"""What can be asked of a provider besides a launch; asking twice changes nothing."""


class OfferedGame(Struct, frozen=True, gc=False, kw_only=True):
    """One game of a provider's list; `assets` is empty when the list does not say."""

    id: str
    title: str
    assets: tuple[str, ...] = ()


class GameList(Struct, frozen=True, gc=False):
    """The games of an account."""

    games: tuple[OfferedGame, ...]


class RoundAccount(Struct, frozen=True, gc=False, kw_only=True):
    """A round as the provider tells it: whether it is over, its page, and its answer as JSON text."""

    round_id: str
    is_finished: bool | None
    url: str | None
    details: str


class Done(Struct, frozen=True, gc=False):
    """The provider did what was asked."""


class QuestionRefused(Struct, frozen=True, gc=False):
    """The provider certainly did not do or answer it."""

    reason: str


class QuestionUnanswered(Struct, frozen=True, gc=False):
    """Nothing usable came back; asking again is safe."""

    reason: str


QuestionAnswer = GameList | RoundAccount | Done | QuestionRefused | QuestionUnanswered


class Adapter(Protocol):
    """One protocol in one version. Every function is pure and total: it returns, or raises CroupierError."""

    @property
    def manifest(self) -> Manifest:
        """The data half."""
        ...

    @property
    def notices(self) -> NoticeReader | None:
        """The webhook half; None when the protocol sends none."""
        ...

    def operation(self, method: str, path: bytes) -> Operation:
        """What the path below `/providers/{provider}` means; raises unknown_path or method_not_allowed."""
        ...

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """Prove who sent the request; raises unauthenticated with its reason class."""
        ...

    def decode(self, verified: Verified, context: Context) -> Decoded | Unseated:
        """Read a verified request; raises DecodeRefused."""
        ...

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        """Write the answer: total over outcomes, one for each action."""
        ...

    def encode_failure(self, failure: Failure) -> Reply:
        """Write an error: total over the catalogue."""
        ...

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """Write the request that opens a session at the provider."""
        ...

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """Read what came of a launch; when in doubt, unknown."""
        ...

    def build_question(
        self, question: Question, account: ProviderAccount, attempt: Attempt
    ) -> OutboundRequest | None:
        """Write a question; None when the protocol has no such request (its manifest then lacks the capability)."""
        ...

    def read_answer(self, question: Question, answer: Reply | TransportFault) -> QuestionAnswer:
        """Read what came of a question."""
        ...
