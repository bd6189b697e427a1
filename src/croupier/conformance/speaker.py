"""The provider's side of a protocol: canonical steps into signed requests, answers into readings.

A speaker is written from the protocol's text alone. It knows neither the gateway's adapters nor the sandbox, so that
a mistake has to be made twice to go unseen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from croupier.conformance.reading import (
    Cause,
    Reading,
    Request,
    Response,
    Unreadable,
    Verdict,
)
from croupier.conformance.steps import Step
from croupier_signing import Key, PublicKey, SigningKey

_NO_JSON: Final = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'"text"',
    b"\xff\xfe",
    b'{"a":' * 500 + b"1" + b"}" * 500,
    b"{} {}",
)


class Account(Struct, frozen=True, kw_only=True):
    """How the gateway knows this provider: the path of its callbacks, both keys, and the names agreed on.

    `key` signs our calls; `launch_key` verifies the gateway's. `root` is such as `/providers/studio`.
    """

    id: str
    root: bytes
    key: Key
    launch_key: SigningKey | PublicKey
    settings: Mapping[str, str] = {}


class Stamp(Struct, frozen=True):
    """What makes a signature fresh: Unix seconds and a nonce; protocols without freshness ignore it."""

    timestamp_s: int
    nonce: str


class Ending(StrEnum):
    """How a round ends."""

    BY_CALL = "by a call of its own"
    BY_FLAG = "by a flag on its last transaction"
    NEVER = "it is not said"


class Traits(Struct, frozen=True, kw_only=True):
    """What a protocol's text says of it that decides how a scenario is played.

    `bets_needed`: a win names its bet and is refused without it. `one_win_per_bet`: a second win for a bet has no
    effect. `settled_bets_stay`: a paid bet is not rolled back. `rollbacks_never_fail`: whatever it says, a known bet is
    given back, and only what it took. `names_*`: what a call says beside its session.
    """

    ending: Ending
    bets_needed: bool = False
    one_win_per_bet: bool = False
    settled_bets_stay: bool = False
    rolls_wins_back: bool = True
    rollback_names_amount: bool = False
    rollbacks_never_fail: bool = False
    zero_bets: bool = True
    zero_wins: bool = True
    names_player: bool = True
    names_session: bool = True
    names_asset: bool = True
    names_game: bool = True
    names_round: bool = True
    takes_unknown_members: bool = True
    freespins_pay: bool = False
    promos_need_bets: bool = False


class Part(Struct, frozen=True):
    """A part of a request that the signature covers: `body`, `path`, `query`, `method`, or `header:<name>`."""

    name: str

    def of(self, request: Request) -> bytes:
        """The bytes of this part."""
        if self.name.startswith("header:"):
            wanted = self.name.removeprefix("header:").encode()
            return next(value for name, value in request.headers if name == wanted)
        value = getattr(request, self.name)
        return value.encode() if isinstance(value, str) else bytes(value)

    def put(self, request: Request, value: bytes) -> Request:
        """The request with other bytes in this part."""
        if self.name.startswith("header:"):
            wanted = self.name.removeprefix("header:").encode()
            headers = tuple((name, value if name == wanted else old) for name, old in request.headers)
            return replace(request, headers=headers)
        if self.name == "method":
            return replace(request, method=value.decode("latin-1"))
        return replace(request, **{self.name: value})


class Launch(Struct, frozen=True, kw_only=True):
    """What a launch request said; `finding` is what is wrong with it by the protocol's text."""

    player_id: str
    session: str
    asset: str
    game_id: str
    token: str | None = None
    finding: str = ""


class Speaker(ABC):
    """One protocol as its provider speaks it."""

    adapter: ClassVar[str]
    """Protocol and version, as adapters are called."""
    traits: ClassVar[Traits]
    codes: ClassVar[Mapping[Cause, frozenset[str]]]
    """Which codes of the protocol may tell a cause."""
    says: ClassVar[Mapping[str, object]] = {}
    """What the protocol's text says of things that a manifest says too, by the manifest's names."""
    signature: ClassVar[Part]
    """Where the signature is."""
    covered: ClassVar[tuple[Part, ...]]
    """The parts of a bet in which no bit may change, the signature among them."""
    webhook_signed: ClassVar[tuple[Part, ...]] = ()
    """The same of a webhook."""
    webhook_window_s: ClassVar[int] = 0
    """How far a webhook's time may be from the gateway's."""

    def __init__(self, account: Account) -> None:
        self.account = account

    @abstractmethod
    def write(self, step: Step) -> Request:
        """The request for a step, not signed yet."""

    @abstractmethod
    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """The request with its signature, by another key than ours if one is given."""

    @abstractmethod
    def unsign(self, request: Request) -> Request:
        """The request without its signature."""

    @abstractmethod
    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """The answer to a step; raises Unreadable where it is not as the protocol says."""

    @abstractmethod
    def read_launch(self, request: Request) -> Launch:
        """What the gateway asks of us when a session is opened; raises Unreadable."""

    @abstractmethod
    def answer_launch(self, launch: Launch) -> Response:
        """Our answer to a launch: the game is open."""

    @abstractmethod
    def add_member(self, request: Request, name: str, value: str) -> Request:
        """The unsigned request with one more member, which the protocol does not know."""

    @abstractmethod
    def repeat_member(self, request: Request) -> Request:
        """The unsigned request with its first member given twice, with two values."""

    def answer_question(self, request: Request) -> Response | None:
        """Our answer to what the gateway asks beside launches; None for a launch."""
        return None

    def write_webhook(self, step: Step, stamp: Stamp, key: Key | None = None) -> Request | None:
        """The notice of a step, signed; None where the protocol has no webhooks. The nonce is the delivery's id."""
        return None

    def sign_webhook(self, body: bytes, stamp: Stamp, key: Key | None = None) -> Request | None:
        """Any bytes as a webhook, by another key than ours if one is given; None where there are none."""
        return None

    def parse_webhook(self, request: Request, response: Response) -> Reading:
        """The answer to a webhook: approved as `accepted` or `duplicate`, else refused; raises Unreadable."""
        raise Unreadable("the protocol has no webhooks")

    def sign_anyhow(self, request: Request, stamp: Stamp) -> Request:
        """A request that the protocol's own signer may refuse to sign, with the best signature there is."""
        return self.sign(request, stamp)

    def unreadable_bodies(self) -> tuple[bytes, ...]:
        """Bodies that are none of the protocol's, whatever they are signed with."""
        return _NO_JSON

    @abstractmethod
    def distort(self, request: Request) -> tuple[tuple[str, Request], ...]:
        """The unsigned request with each of its members left out or of another type, and what was done to it."""

    def is_equal(self, part: Part, before: bytes, after: bytes) -> str:
        """Why a changed part says the same as before and is therefore no forgery; empty where it does not."""
        return ""

    def read(self, step: Step, request: Request, response: Response) -> Reading:
        """The answer to a step, whatever it is."""
        if response.status == 0:
            return Reading(verdict=Verdict.UNKNOWN, code="no answer", request=request, response=response)
        try:
            return self.parse(step, request, response)
        except Unreadable as error:
            return Reading(verdict=Verdict.SENSELESS, finding=str(error), request=request, response=response)

    def tells(self, cause: Cause, code: str) -> bool:
        """Whether the protocol may say this cause with this code."""
        return code in self.codes[cause]
