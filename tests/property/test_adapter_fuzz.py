"""Every adapter behind the callbacks: whatever arrives and whatever the money path says, an answer in the protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from croupier.errors import CATALOGUE, INTERNAL, CroupierError, ErrorKind
from croupier.moneypath.commands import Call, CloseRound
from croupier.moneypath.outcomes import (
    ALREADY_ROLLED_BACK,
    APPROVED,
    DECLINE_CODES,
    DECLINED,
    NOTHING_TO_ROLL_BACK,
    OK,
    ROLLED_BACK_IN_PART,
    Outcome,
)
from croupier.providers.arrival import BodyLimits
from croupier.providers.contract import ProviderAccount, Seat
from croupier.providers.registry import find_adapters
from croupier_signing import (
    SignatureRefused,
    sign_canonical_body,
    sign_canonical_query,
    sign_raw_hmac,
    sign_rsa_body,
)
from model.seeds import REPEATABLE
from unit import provider_edge as native
from unit.adapters import (
    evolution_calls,
    hub88_calls,
    slotegrator_gis_calls,
    softswiss_v2_calls,
    swipegames_v1_calls,
)
from unit.adapters.edge_driver import Gateway
from unit.adapters.swipegames_v1_calls import SEAT, Swipe
from unit.provider_edge import Received

ADAPTERS: Final = find_adapters()
INTERNALS: Final = "SELECT secret FROM internals"
"""What no answer may show."""
LONGEST_TEXT: Final = 600
LONGEST_BODY: Final = BodyLimits().max_bytes
EVIDENCE: Final = ("outcome", "fairness")
MOST: Final = 10**38
PROBLEM: Final = "application/problem+json"
Headers = dict[str, str]
Signer = Callable[[bytes, bytes, bytes], tuple[Headers, bytes]]
"""Path below the account, body, query: the headers of the provider, and the query as it is sent."""


class Dialect(Struct, frozen=True):
    """How one protocol is spoken: the account, a legal body for each path, and the provider's signature."""

    account: ProviderAccount
    bodies: Mapping[str, Mapping[str, Any]]
    sign: Signer
    media_type: str = "application/json"
    questions: tuple[str, ...] = ()


def sign_native(path: bytes, body: bytes, query: bytes) -> tuple[Headers, bytes]:
    full = b"/providers/studio" + path
    return {"authorization": native.authorization(body, path=full, query=query).decode()}, query


def sign_softswiss(path: bytes, body: bytes, query: bytes) -> tuple[Headers, bytes]:
    return {"x-request-sign": sign_raw_hmac(softswiss_v2_calls.BEEXAR, body)}, query


def sign_hub88(path: bytes, body: bytes, query: bytes) -> tuple[Headers, bytes]:
    return {"x-hub88-signature": sign_rsa_body(hub88_calls.HUB88, body)}, query


def sign_gis(path: bytes, body: bytes, query: bytes) -> tuple[Headers, bytes]:
    headers = slotegrator_gis_calls.signed_headers(body)
    return {name.lower(): value for name, value in headers.items()}, query


def sign_swipe(path: bytes, body: bytes, query: bytes) -> tuple[Headers, bytes]:
    key = swipegames_v1_calls.SWIPE
    sign = sign_canonical_query(key, query) if path == b"/balance" else sign_canonical_body(key, body)
    return {"x-request-sign": sign}, query


def sign_evolution(path: bytes, body: bytes, query: bytes) -> tuple[Headers, bytes]:
    return {}, b"authToken=" + evolution_calls.AUTH.secret


DIALECTS: Final = {
    "croupier_v1": Dialect(
        native.ACCOUNT,
        {
            "/v1/balance": native.BALANCE,
            "/v1/bet": native.BET,
            "/v1/win": native.WIN,
            "/v1/bet-win": native.BET_WIN,
            "/v1/rollback": native.ROLLBACK,
            "/v1/close-round": native.CLOSE_ROUND,
        },
        sign_native,
    ),
    "evolution_v1": Dialect(evolution_calls.ACCOUNT, evolution_calls.BODIES, sign_evolution),
    "hub88_v1": Dialect(hub88_calls.ACCOUNT, hub88_calls.BODIES, sign_hub88),
    "slotegrator_gis_v1": Dialect(
        slotegrator_gis_calls.ACCOUNT,
        {f"/#{name}": fields for name, fields in slotegrator_gis_calls.ALL.items()},
        sign_gis,
        slotegrator_gis_calls.FORM,
    ),
    "softswiss_v2": Dialect(softswiss_v2_calls.ACCOUNT, softswiss_v2_calls.BODIES, sign_softswiss),
    "swipegames_v1": Dialect(
        swipegames_v1_calls.ACCOUNT,
        {**swipegames_v1_calls.BODIES, "/balance": swipegames_v1_calls.QUERY},
        sign_swipe,
        questions=("/balance",),
    ),
}


class Arrival(Struct, frozen=True):
    """A request as it comes in."""

    path: str
    body: bytes
    query: bytes
    is_signed: bool
    method: str


class Verdict(Struct, frozen=True):
    """What the money path says to a call: an error of the catalogue, a fault, or an outcome for each action."""

    kind: ErrorKind | None
    is_fault: bool
    code: str
    balance: int | None
    asset: str | None
    journal_id: UUID | None
    is_repeat: bool

    def outcome(self, action: object) -> Outcome:
        """The outcome for one action."""
        return Outcome(
            DECLINED if self.code in DECLINE_CODES else APPROVED,
            self.code,
            getattr(action, "reference", None) or "",
            self.journal_id,
            self.balance,
            self.asset,
            self.is_repeat,
            decision_id=self.journal_id,
            current_balance=self.balance,
        )

    @property
    def is_internal(self) -> bool:
        return self.is_fault or self.kind is INTERNAL

    @property
    def is_ours(self) -> bool:
        """Whether what went wrong is nothing the caller should read about."""
        return self.is_fault or (self.kind is not None and self.kind.status >= 500)


class MoneyPath:
    """Stands in for the lanes: keeps what it was asked, and says its verdict."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.calls: list[Call] = []

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Outcomes; raises CroupierError or RuntimeError."""
        self.calls.append(call)
        if self.verdict.is_fault:
            raise RuntimeError(INTERNALS)
        if self.verdict.kind is not None:
            raise CroupierError(self.verdict.kind, INTERNALS, field="player_id", reason="declined")
        return tuple(self.verdict.outcome(action) for action in call.actions)


TEXTS: Final = st.sampled_from(
    [
        "", " ", "\0", "a\0b", "\ud800", "a\n", "\x7f", "é", "💥" * 10, "x" * 129, "x" * 300, "x" * 17_000,
        "close:1", "rollback:x", "debit:a", "ses_" + "0" * 32, native.SESSION_TEXT, swipegames_v1_calls.tx(1),
        "-1", "1e5", "0.0000000001", "01", "1.", ".5", "9" * 39, "9" * 64, "٣", "EUR", "ETH", "eur", "XXX",
        "bet", "win", "rollback", "refund", "freespin", "jackpot", "free", "regular",
    ]
) | st.text(max_size=6)  # fmt: skip
NUMBERS: Final = [0, -1, 1, 2**63, 2**64, 10**37, 10**39, 1.5, 1e300, 1e-9, float("nan")]
LEAVES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from(["5\0", "5\n", "5\ud800", "\u2028"]),
    TEXTS,
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: [[]]),
    st.builds(lambda: {"a": 1}),
)
NAMES: Final = st.sampled_from(
    [
        "x", "amount", "type", "finished", "round_closed", "is_free", "currency", "", "\0", "\ud800", "freespin_id",
        "rollback_transactions[0][x]", "rollback_transactions[9][action]", "rollback_transactions[0][amount]",
    ]
)  # fmt: skip
NOISE: Final = [b"", b"1e999", b"\xff", b'"', b"\\u0000", b"\\ud800", b"{", b"[" * 40, b"NaN", b"9" * 50]


def containers(value: Any) -> Iterator[Any]:
    """Every object and array in a document."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def spoil(draw: st.DrawFn, container: Any) -> None:
    """Change, drop or add one member."""
    if isinstance(container, list):
        container[:] = [draw(LEAVES), *container[1:]]
        return
    name = draw(st.one_of(st.just("amount"), NAMES, st.sampled_from(sorted(container) or ["x"])))
    if draw(st.integers(0, 4)) == 0:
        container.pop(name, None)
    else:
        container[name] = draw(LEAVES)


def spell(document: dict[str, Any], dialect: Dialect, is_ascii: bool) -> bytes:
    """A document in the protocol's own notation."""
    if dialect.media_type == slotegrator_gis_calls.FORM:
        return spell_query(document)
    text = json.dumps(document, ensure_ascii=is_ascii, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def spell_query(document: dict[str, Any]) -> bytes:
    """A flat document as a form or a query."""
    return urlencode(document, errors="surrogatepass").encode()


@st.composite
def arrivals(draw: st.DrawFn, dialect: Dialect) -> Arrival:
    """Requests of a protocol: legal ones with something spoilt, or any bytes."""
    name = draw(st.sampled_from(sorted(dialect.bodies)))
    other = draw(st.sampled_from([name] * 19 + sorted(dialect.bodies)))
    document = json.loads(json.dumps(dialect.bodies[other]))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        spoil(draw, draw(st.sampled_from(list(containers(document)))))
    is_question = name in dialect.questions
    data = spell_query(document) if is_question else spell(document, dialect, draw(st.booleans()))
    data = draw_noise(draw, data)
    method = "GET" if is_question else "POST"
    return Arrival(
        path=draw(st.sampled_from([name.partition("#")[0]] * 19 + ["/nowhere"])),
        body=b"" if is_question else data,
        query=data if is_question else draw(st.sampled_from([b""] * 18 + [b"x=%ff", b"\xff&="])),
        is_signed=draw(st.sampled_from([True] * 7 + [False])),
        method=draw(st.sampled_from([method] * 19 + ["PUT"])),
    )


def draw_noise(draw: st.DrawFn, data: bytes) -> bytes:
    """Mostly the same bytes; now and then a piece is replaced, or all of it."""
    share = draw(st.integers(0, 19))
    if share == 0:
        return draw(st.binary(max_size=60))
    if share <= 2:
        at = draw(st.integers(0, len(data)))
        return data[:at] + draw(st.sampled_from(NOISE)) + data[at + draw(st.integers(0, 2)) :]
    return data


VERDICTS: Final = st.builds(
    Verdict,
    kind=st.none() | st.none() | st.sampled_from(list(CATALOGUE.values())),
    is_fault=st.sampled_from([False] * 9 + [True]),
    code=st.sampled_from(
        [OK] * 5 + [NOTHING_TO_ROLL_BACK, ALREADY_ROLLED_BACK, ROLLED_BACK_IN_PART, *sorted(DECLINE_CODES)]
    ),
    balance=st.sampled_from([None, 0, 1, 356, 10**37, MOST - 1]),
    asset=st.sampled_from([None, "EUR", "ETH"]),
    journal_id=st.sampled_from([None, UUID(int=5)]),
    is_repeat=st.booleans(),
)
SEATS: Final = st.sampled_from([SEAT, SEAT, SEAT, None, Seat(player_id="p", asset="ETH")])


def gateway_of(name: str, money: MoneyPath, seat: Seat | None) -> Gateway:
    """The callbacks with one account; whoever is looked up sits as given."""

    async def sits(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> Seat | None:
        return seat

    gateway = Gateway(DIALECTS[name].account, ADAPTERS[name], money.submit)
    if name == "swipegames_v1":
        swipe = Swipe(money.submit, sits)
        gateway.app, gateway.records = swipe.app, swipe.records
    return gateway


def headers_of(dialect: Dialect, arrival: Arrival) -> tuple[Headers, bytes]:
    """What the provider signs with; nothing where it was told not to, or could not sign such bytes."""
    plain = {"content-type": dialect.media_type}
    if not arrival.is_signed:
        return plain, arrival.query
    try:
        signed, query = dialect.sign(arrival.path.encode(), arrival.body, arrival.query)
    except SignatureRefused:
        return plain, arrival.query
    return {**plain, **signed}, query


def require_polite(received: Received, verdict: Verdict) -> None:
    """A document without what is ours alone; the native problem carries the sentence of a catalogue error."""
    assert json.loads(received.body)
    is_sentence = received.headers["content-type"] == PROBLEM and not verdict.is_fault
    assert is_sentence or not verdict.is_ours or INTERNALS.encode() not in received.body


def require_storable(value: Any, longest: int = LONGEST_TEXT) -> None:
    """No value that a database column refuses: NUL, half a surrogate pair, an endless text or number.

    What is kept as evidence is as long as its sender made it, within one body.
    """
    if isinstance(value, str):
        assert "\0" not in value
        assert len(value.encode()) <= 4 * longest
        assert len(value) <= longest
    elif isinstance(value, int):
        assert abs(value) < MOST
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            is_evidence = isinstance(value, CloseRound) and name in EVIDENCE
            require_storable(getattr(value, name), LONGEST_BODY if is_evidence else LONGEST_TEXT)
    elif isinstance(value, tuple | list):
        for inner in value:
            require_storable(inner)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples."""
    with asyncio.Runner() as made:
        yield made


def test_every_adapter_is_spoken_to() -> None:
    assert set(DIALECTS) == set(ADAPTERS)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_whatever_arrives_is_answered_and_nothing_internal_is_shown(
    name: str, runner: asyncio.Runner
) -> None:
    dialect = DIALECTS[name]

    @settings(REPEATABLE, max_examples=400)
    @given(arrivals(dialect), VERDICTS, SEATS)
    def check(arrival: Arrival, verdict: Verdict, seat: Seat | None) -> None:
        money = MoneyPath(verdict)
        gateway = gateway_of(name, money, seat)
        headers, query = headers_of(dialect, arrival)
        received = runner.run(
            gateway.send(arrival.path, arrival.body, headers, query=query, method=arrival.method)
        )
        (record,) = gateway.records
        require_polite(received, verdict)
        assert record.code != INTERNAL.code or (verdict.is_internal and money.calls)
        assert arrival.is_signed or not money.calls
        require_storable([[call.actions, call.nonce, call.token_hash] for call in money.calls])

    check()


def test_long_evidence_is_kept_whole(runner: asyncio.Runner) -> None:
    # Generated once: two long texts in one outcome, which no bound of a single text covers.
    dialect = DIALECTS["croupier_v1"]
    path = next(name for name in dialect.bodies if "close-round" in name)
    outcome = {"amount": "x" * 300, "path": ["x" * 300, {"target": 2}], "roll": 4200}
    document = dialect.bodies[path] | {"outcome": outcome}
    body = spell(document, dialect, is_ascii=True)
    arrival = Arrival(path=path, body=body, query=b"", is_signed=True, method="POST")
    money = MoneyPath(Verdict(None, False, OK, None, None, None, False))
    headers, query = headers_of(dialect, arrival)
    gateway = gateway_of("croupier_v1", money, None)
    runner.run(gateway.send(path, arrival.body, headers, query=query, method="POST"))
    (call,) = money.calls
    (closed,) = call.actions
    assert isinstance(closed, CloseRound)
    assert json.loads(closed.outcome or "") == outcome
    require_storable(list(call.actions))
