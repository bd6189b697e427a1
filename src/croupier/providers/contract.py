"""The contract between the edge towards providers and one protocol's adapter.

An adapter is a manifest (data) and a handful of pure, synchronous functions. It imports this contract, the
vocabulary (`money`, `ids`, `errors`), the canonical model (`moneypath.commands`, `moneypath.outcomes`), the
strict JSON reader, the problem renderer and the signer, and nothing else: it cannot reach a database, a clock
or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn, Protocol, final

from msgspec import Struct

from croupier.errors import UNAUTHENTICATED, CroupierError
from croupier.money import AssetRegistry
from croupier.moneypath.commands import Action, Contract, RefuseCredit
from croupier.moneypath.outcomes import Outcome
from croupier.providers.manifest import Manifest
from croupier.providers.strict_json import DEFAULT_LIMITS, JsonLimits
from croupier_signing import RefusalReason, SignatureRefused, SigningKey, parse_authorization, verify_native

Headers = tuple[tuple[bytes, bytes], ...]
"""Header names in lower case with their values, in the order they were sent, repeats kept."""


class RawRequest(Struct, frozen=True, gc=False, kw_only=True):
    """A request as it arrived on the public side; nothing in it is proven. `received_at` is in UTC."""

    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: bytes
    received_at: datetime


@final
class Verified:
    """A request whose sender is proven: the only thing `decode` accepts, made by verifiers here only.

    `nonce`, `timestamp_s` (Unix seconds) and `window_s` are None where a protocol has none.
    """

    __slots__ = ("key_id", "nonce", "raw", "timestamp_s", "window_s")

    raw: RawRequest
    key_id: str
    nonce: str | None
    timestamp_s: int | None
    window_s: int | None

    def __init__(self, *_: object, **__: object) -> None:
        """Refuse: there is no way to state that a request is verified, only to verify it."""
        raise TypeError("Verified is made by a verifier only")

    def __init_subclass__(cls, **_: object) -> NoReturn:
        raise TypeError("Verified has no subclasses")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Verified is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Verified is frozen")

    def __reduce_ex__(self, _: object) -> NoReturn:
        """Refuse copying and pickling, which would make one without a verifier."""
        raise TypeError("Verified is made by a verifier only")


def _seal(
    raw: RawRequest, *, key_id: str, nonce: str | None, timestamp_s: int | None, window_s: int | None
) -> Verified:
    verified: Verified = object.__new__(Verified)
    put = object.__setattr__
    put(verified, "raw", raw)
    put(verified, "key_id", key_id)
    put(verified, "nonce", nonce)
    put(verified, "timestamp_s", timestamp_s)
    put(verified, "window_s", window_s)
    return verified


class ContractLookup(Protocol):
    """Finds the contract in force at a moment, for wins that belong to no session; None if there is none."""

    def __call__(self, *, asset: str, game_id: str | None, at: datetime) -> Contract | None: ...


class ProviderAccount(Struct, frozen=True, kw_only=True):
    """One account at one provider in one environment.

    `inbound_keys` are by key id: two or more are valid while a key is rotated. `window_s` is how far a
    timestamp may be from our clock, in seconds, both ends included. `pools` are the jackpot pools its
    contracts may use.
    """

    id: str
    adapter: str
    base_url: str
    inbound_keys: Mapping[str, SigningKey]
    outbound_key: SigningKey
    assets: AssetRegistry
    contract_for: ContractLookup
    window_s: int = 30
    pools: tuple[str, ...] = ()


class Operation(Struct, frozen=True, gc=False, kw_only=True):
    """What a path means: a stable name, and the media type its body must have (None: not checked)."""

    name: str
    media_type: str | None = "application/json"


class Context(Struct, frozen=True, gc=False, kw_only=True):
    """What `decode` may know besides the request: its operation, the account, the bounds on JSON."""

    operation: Operation
    account: ProviderAccount
    limits: JsonLimits = DEFAULT_LIMITS


class Decoded(Struct, frozen=True, gc=False, kw_only=True):
    """A request in canonical words: actions in order, decided all or none, for one player."""

    operation: Operation
    player_id: str
    actions: tuple[Action, ...]


class DecodeRefused(CroupierError):
    """A verified request that has no canonical form; `salvage` tells finance of a credit lost with it."""

    def __init__(self, error: CroupierError, salvage: RefuseCredit | None) -> None:
        super().__init__(
            error.kind,
            error.detail,
            field=error.field,
            reason=error.reason,
            retry_after_s=error.retry_after_s,
        )
        self.salvage = salvage


class Reply(Struct, frozen=True, gc=False):
    """An answer to a provider; the edge adds the length, correlation and trace headers."""

    status: int
    body: bytes
    headers: Headers


class LaunchOrder(Struct, frozen=True, kw_only=True):
    """A session to be opened at the provider. `client` is the device class, `ip` the player's address."""

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
    """No usable reply came: `reason` is a stable word such as `timeout`, `connect`, `reset`, `too_large`."""

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


class Adapter(Protocol):
    """One protocol in one version. Every function is pure and total: it returns, or raises CroupierError."""

    @property
    def manifest(self) -> Manifest:
        """The data half."""
        ...

    def operation(self, method: str, path: bytes) -> Operation:
        """What the path below `/providers/{provider}` means; raises unknown_path or method_not_allowed."""
        ...

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """Prove who sent the request; raises unauthenticated with its reason class."""
        ...

    def decode(self, verified: Verified, context: Context) -> Decoded:
        """Read a verified request; raises DecodeRefused."""
        ...

    def encode(self, decoded: Decoded, outcomes: tuple[Outcome, ...]) -> Reply:
        """Write the answer: total over outcomes, one for each action."""
        ...

    def encode_failure(self, error: CroupierError, raw: RawRequest | None, correlation_id: str) -> Reply:
        """Write an error: total over the catalogue; `raw` is None when the request never arrived whole."""
        ...

    def build_launch(self, order: LaunchOrder, account: ProviderAccount, attempt: Attempt) -> OutboundRequest:
        """Write the request that opens a session at the provider."""
        ...

    def read_launch(self, order: LaunchOrder, answer: Reply | TransportFault) -> LaunchAnswer:
        """Read what came of a launch; when in doubt, unknown."""
        ...


_AUTHORIZATION = b"authorization"
_REFUSALS = {
    RefusalReason.MISSING: "the request has no Authorization header; sign it",
    RefusalReason.MALFORMED: "the Authorization header (once), method, path or query cannot be read",
    RefusalReason.STALE: "the timestamp is outside the window; set the clock and sign anew",
    RefusalReason.MISMATCH: "the signature does not match this request and key; sign the bytes that are sent",
}


def verify_native_signature(raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
    """Check the native scheme (docs/reference/signature.md): the verifier of every protocol that uses it.

    Raises CroupierError (unauthenticated) with reason missing, malformed, mismatch or stale. An unknown key
    and a wrong signature cannot be told apart. The nonce is only claimed here; whoever commits the call
    spends it.
    """
    try:
        parts = parse_authorization(_authorization(raw.headers))
        verify_native(
            parts,
            key=account.inbound_keys.get(parts.key_id),
            method=raw.method,
            path=raw.path,
            query=raw.query,
            body=raw.body,
            now_s=int(now.timestamp()),
            window_s=account.window_s,
        )
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(
        raw,
        key_id=parts.key_id,
        nonce=parts.nonce,
        timestamp_s=parts.timestamp_s,
        window_s=account.window_s,
    )


def _authorization(headers: Headers) -> bytes | None:
    found: bytes | None = None
    for name, value in headers:
        if name == _AUTHORIZATION:
            if found is not None:
                raise SignatureRefused(RefusalReason.MALFORMED, "there are two Authorization headers")
            found = value
    return found


def _unauthenticated(reason: RefusalReason) -> CroupierError:
    return CroupierError(UNAUTHENTICATED, _REFUSALS[reason], reason=reason.value)
