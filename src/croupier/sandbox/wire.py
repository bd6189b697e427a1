"""What the sandbox must know of a protocol: how launches come in, how calls are written, how answers are judged.

One class per protocol, in `protocols/`, each written from the protocol's text alone. Games, plans, book and
attacks are the same for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace
from yarl import URL

from croupier.iso4217 import EXPONENTS
from croupier.sandbox.calls import Call, Round, Seat
from croupier.sandbox.plan import STALE_BY_S, Attack, Choreography, Flow, Move, NoticeAttack
from croupier.sandbox.replies import Expected, Received, Reply
from croupier_signing import Key, RefusalReason, SignatureRefused, SigningKey

MOST_NONCES: Final = 100_000
CRYPTO_EXPONENTS: Final = {"BTC": 8, "mBTC": 5, "uBTC": 2, "ETH": 18, "USDT": 6}

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Door = Literal["launch", "games"]
"""What an operator may ask a provider for."""


class NoRoom(Exception):
    """A bound was reached; asking again later may help."""


class LaunchMalformed(ValueError):
    """A launch that does not have the shape of its protocol."""


class Account(Struct, frozen=True):
    """One provider account at the gateway: where its callbacks go, and the keys of both directions.

    `callback_key` signs calls to the gateway; `launch_keys` verify the gateway's launches. `exponents` are the
    decimals of assets that are neither ISO 4217 nor well known.
    """

    id: str
    protocol: str
    callback_base: str
    callback_key: Key
    launch_keys: tuple[Key, ...]
    exponents: Mapping[str, int] = {}


class Visit(Struct, frozen=True):
    """An operator's request as it came: path and query are raw bytes as sent, header names are in lower case.

    `tail` is the path below the account's address.
    """

    method: str
    path: bytes
    query: bytes
    tail: str
    headers: Mapping[str, str]
    body: bytes
    now_s: int

    def header(self, name: str) -> bytes | None:
        """A header's bytes, or None."""
        text = self.headers.get(name.lower())
        return None if text is None else text.encode("utf-8", "surrogateescape")


class Launch(Struct, frozen=True):
    """A launch in the words of the native protocol; members that are not here are ignored, as a studio would."""

    session_id: Name
    player_id: Name
    game_id: Name
    asset: Name


class Stamp(Struct, frozen=True):
    """What is new in every attempt: the time in Unix seconds, a fresh nonce, and how often it was tried before."""

    timestamp_s: int
    nonce: str
    attempt: int = 0


class Signed(Struct, frozen=True):
    """A request ready to be sent: path and query below the gateway's origin, headers, body."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"

    def header(self, name: str) -> str | None:
        """A header's value, or None."""
        return dict(self.headers).get(name)


class RetryPolicy(Struct, frozen=True):
    """How patient a caller is; all times in seconds.

    A wait is drawn from 0 to `first_wait_s` doubled per attempt, at most `longest_wait_s`; a `Retry-After` is
    honoured up to `longest_retry_after_s`. Statuses in `answers` end it, whatever they say otherwise.
    """

    attempt_s: float = 5.0
    total_s: float = 60.0
    attempts: int = 60
    first_wait_s: float = 0.05
    longest_wait_s: float = 2.0
    longest_retry_after_s: float = 5.0
    answers: frozenset[int] = frozenset()


class NonceMemory:
    """Nonces that were spent, each kept as long as its timestamp would be accepted."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, str], int] = OrderedDict()

    def spend(self, nonce: tuple[str, str], *, now_s: int, keep_s: int) -> None:
        """Remember a nonce; raises SignatureRefused (replayed) for a known one, NoRoom for too many."""
        while self._until and next(iter(self._until.values())) < now_s:
            self._until.popitem(last=False)
        if nonce in self._until:
            raise SignatureRefused(RefusalReason.REPLAYED)
        if len(self._until) >= MOST_NONCES:
            raise NoRoom("too many launches at once")
        self._until[nonce] = now_s + keep_s


class Webhooks(ABC):
    """What a protocol tells by webhook, for one account. Moments are RFC 3339 in UTC.

    `attacks`: the refusals that each attack is owed. A key other than the account's makes a forgery.
    """

    attacks: ClassVar[Mapping[NoticeAttack, tuple[Expected, ...]]]

    @abstractmethod
    def render_notice(self, call: Call, moment: str) -> tuple[str, bytes]:
        """Type and body that tell what a call tells; raises ValueError for a move that no webhook tells of."""

    @abstractmethod
    def render_departure(self, seat: Seat, reference: str, moment: str) -> tuple[str, bytes]:
        """Type and body: the studio ended the session."""

    @abstractmethod
    def render_fortune(self, seat: Seat, reference: str, moment: str) -> bytes:
        """A body that would make the player rich: what a thief would write."""

    @abstractmethod
    def render_poison(self, moment: str) -> tuple[str, bytes]:
        """Type and body of a genuine webhook that no text of the protocol explains."""

    @abstractmethod
    def sign(self, webhook_id: str, body: bytes, timestamp_s: int, *, key: Key | None = None) -> Signed:
        """One attempt at a delivery."""

    @abstractmethod
    def read_receipt(self, received: Received) -> Reply:
        """What an answer means, decided being accepted for good; total."""


class Wire(ABC):
    """One protocol of one account.

    `zero_wins`: whether a lost round sends a win of nothing: `always` where a win ends the round, `planned`
    when there is something to reorder. `tombstone_codes`: what a bet after its rollback may be declined with;
    None where the protocol names no code and any refusal will do. An attack that is owed nothing is a replay
    without nonces: it is owed the first answer again. `webhooks`: None where the protocol has none.
    """

    protocol: ClassVar[str]
    choreography: ClassVar[Choreography]
    attacks: ClassVar[Mapping[Attack, tuple[Expected, ...]]]
    doors: ClassVar[Mapping[tuple[str, str], Door]]
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "planned"
    tombstone_codes: ClassVar[frozenset[str] | None] = None
    closes_once: ClassVar[bool] = True
    codes_that_say_nothing: ClassVar[frozenset[str]] = frozenset()
    """Refusals by which nobody can tell whether the gateway decided."""
    undoes_lost_bets_and_goes_on: ClassVar[bool] = True
    attacks_declined_bets: ClassVar[bool] = False

    def __init__(self, account: Account) -> None:
        self.account = account
        self.prefix = URL(account.callback_base).raw_path.rstrip("/")
        self.webhooks: Webhooks | None = None

    @abstractmethod
    def read_launch(self, visit: Visit) -> Launch:
        """A genuine launch; raises SignatureRefused, LaunchMalformed or NoRoom."""

    @abstractmethod
    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """The answer to a launch as a JSON value; the page is at `path` below the provider's `address`."""

    @abstractmethod
    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """HTTP status and JSON value of an error, in this protocol's words for a native status and code."""

    def admit_games(self, visit: Visit) -> None:
        """Return if the operator may see the list of games; raises SignatureRefused or LaunchMalformed."""
        raise LaunchMalformed(f"{self.protocol} has no list of games")

    def render_games(self, games: Mapping[str, str]) -> Any:
        """The list of games as a JSON value."""
        return {"games": [{"game_id": game, "name": name} for game, name in games.items()]}

    @abstractmethod
    def render_balance(self, seat: Seat) -> Call:
        """The question about a balance."""

    @abstractmethod
    def render_call(self, round_: Round, move: Move) -> Call:
        """The call of one move of a round; raises ValueError for a move that the choreography does not have."""

    def render_opening(self, seat: Seat) -> Call | None:
        """What is asked once before the first round of a session, if anything."""
        return None

    def admit_opening(self, seat: Seat, reply: Reply) -> Seat:
        """The seat as the operator's answer to the opening wants it."""
        return seat

    @abstractmethod
    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """One attempt of a call, signed by the account's key unless told otherwise."""

    @abstractmethod
    def read_reply(self, call: Call, received: Received) -> Reply:
        """What an answer to a call means; total."""

    def patience(self, call: Call, policy: RetryPolicy) -> RetryPolicy:
        """How patient this protocol is with such a call."""
        return policy

    @abstractmethod
    def differences(self, replies: Sequence[Reply], *, is_any_lost: bool) -> list[str]:
        """What is wrong among decided answers to copies of one call; empty if nothing is."""

    @abstractmethod
    def strip(self, signed: Signed) -> Signed:
        """The request without its proof of who sends it."""

    @abstractmethod
    def spoil(self, kind: Attack, call: Call) -> Call:
        """A bet whose body breaks the protocol as the attack says: a member twice, or an amount of another type."""

    def make_stale(self, call: Call, stamp: Stamp) -> Signed:
        """A call signed too long ago."""
        return self.sign(call, replace(stamp, timestamp_s=stamp.timestamp_s - STALE_BY_S))

    def misdirect(self, call: Call, accepted: Signed, stamp: Stamp) -> Signed:
        """A bet, new or accepted before, sent to the path of a win with the bet's signature.

        Raises ValueError where the protocol has no paths to confuse.
        """
        raise ValueError(f"{self.protocol} has nothing to misdirect")

    def stranger(self) -> Key:
        """A key of the right kind and id that the gateway has never seen."""
        return SigningKey(self.account.callback_key.id, b"not the secret of this key")

    def exponent_of(self, asset: str) -> int:
        """The decimals of an asset; 2 if nobody says."""
        known = {**EXPONENTS, **CRYPTO_EXPONENTS, **self.account.exponents}
        return known.get(asset, 2)

    def door(self, method: str, tail: str) -> Door | None:
        """What an operator asks for with this request, if anything."""
        return self.doors.get((method, tail))

    def can(self, move: Move) -> bool:
        """Whether the protocol has a move at all."""
        scores = (score for flow in self.choreography.values() for score in flow)
        return any(move is known for score in scores for known, _ in score)

    def owed_codes(self, flow: Flow, move: Move) -> frozenset[str] | None:
        """The decision codes that the order rules allow; None if they do not say."""
        if flow is Flow.EARLY_ROLLBACK:
            return _NOTHING if move is Move.ROLLBACK_BET else self.tombstone_codes
        if move is Move.ROLLBACK_AGAIN:
            return _NOTHING
        return None if move in (Move.BET, Move.BET_WIN) else _OK


_OK: Final = frozenset({"ok"})
_NOTHING: Final = frozenset({"nothing_to_roll_back", "already_rolled_back"})
