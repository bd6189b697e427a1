"""The stage of one scenario: players with money and sessions, calls in a protocol's words, and what must hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct

from croupier.conformance import steps
from croupier.conformance.expectations import Expectations
from croupier.conformance.http_wire import HttpWire
from croupier.conformance.launches import LaunchReceiver
from croupier.conformance.operator_client import OperatorClient
from croupier.conformance.reading import Cause, Reading, Request, Response, Unreadable, Verdict
from croupier.conformance.speaker import Launch, Speaker, Stamp, Traits
from croupier.conformance.steps import Seat, Step
from croupier.providers.contract import Question, QuestionAnswer
from croupier.providers.manifest import Manifest
from croupier_signing import Key, random_nonce

ASSET: Final = "EUR"
COUNTRY: Final = "MT"
SETTLE_S: Final = 10.0
POLL_S: Final = 0.05

LEAKS: Final = (
    b"Traceback",
    b"asyncpg",
    b"psycopg",
    b"sqlstate",
    b"SELECT ",
    b"postgres",
    b"croupier.",
    b"msgspec",
    b'File "',
    b'.py"',
    b" at 0x",
)
"""What no answer may hold: traces of the inside."""


class ScenarioFailed(Exception):
    """Something that must hold does not; the text says what."""

    def __init__(self, why: str, reading: Reading | None = None) -> None:
        super().__init__(why)
        self.reading = reading


class NotPlayable(Exception):
    """The deployment lacks what the scenario needs; the text says what."""


class Target(Struct, frozen=True, kw_only=True):
    """One provider account of a running gateway, and what the kit holds of it.

    `games` are launched at it, `foreign_game` at another account. `old_key` is valid beside the speaker's own,
    `pair_key` for webhooks as well, `revoked_key` no more, `strange_key` never was. `assets` are codes with their
    exponents. `ask` puts a question to the provider as the gateway would.
    """

    speaker: Speaker
    manifest: Manifest
    games: tuple[str, ...]
    assets: Mapping[str, int]
    strange_key: Key
    old_key: Key | None = None
    revoked_key: Key | None = None
    pair_key: Key | None = None
    foreign_key: Key | None = None
    foreign_game: str | None = None
    window_s: int = 30
    body_bytes: int = 262_144
    prefix: str = "conformance"
    most_flips: int = 2000
    ask: Callable[[Question], Awaitable[QuestionAnswer]] | None = None


class Stage:
    """One scenario's own players; everything it says is kept until it is judged."""

    def __init__(
        self, target: Target, operator: OperatorClient, wire: HttpWire, launches: LaunchReceiver
    ) -> None:
        self.target = target
        self.operator = operator
        self.wire = wire
        self.launches = launches
        self.expect = Expectations(target.manifest, target.speaker.traits)
        self.notes: list[str] = []
        self.last: Reading | None = None
        self.secrets: set[str] = set()

    @property
    def speaker(self) -> Speaker:
        return self.target.speaker

    @property
    def traits(self) -> Traits:
        return self.target.speaker.traits

    def stamp(self, *, offset_s: int = 0) -> Stamp:
        """The time now, or so many seconds away, and a fresh nonce."""
        return Stamp(int(time.time()) + offset_s, random_nonce())

    async def seat(
        self,
        deposit: int = 10_000,
        *,
        asset: str = ASSET,
        player_id: str = "",
        game_id: str = "",
    ) -> Seat:
        """A player with money, launched into a game; another session of the same player if one is named."""
        player = player_id or f"{self.target.prefix}-{steps.fresh()[:18]}"
        if deposit:
            await self.operator.deposit(player, asset, deposit)
        game = game_id or self.target.games[0]
        session = await self.operator.open_session(player, game, asset, COUNTRY)
        launch = self.launches.latest(self.speaker.account.id, player)
        return self._seat(session["session_id"], player, asset, game, launch)

    def _seat(self, session_id: str, player: str, asset: str, game: str, launch: Launch | None) -> Seat:
        if launch is not None and launch.token is not None:
            self.secrets.add(launch.token)
        return Seat(
            player_id=player,
            asset=asset,
            exponent=self.target.assets[asset],
            game_id=game,
            session_id=session_id,
            session=session_id if launch is None else launch.session,
            token=None if launch is None else launch.token,
        )

    def build(self, step: Step, *, key: Key | None = None, offset_s: int = 0) -> Request:
        """A step's request, signed now."""
        request = self.speaker.sign(self.speaker.write(step), self.stamp(offset_s=offset_s), key)
        self.secrets.add(self.speaker.signature.of(request).decode("latin-1"))
        return request

    async def say(self, step: Step, *, key: Key | None = None, offset_s: int = 0) -> Reading:
        """Say a step; the reading of the answer, which must be in the protocol's form."""
        return await self.send(step, self.build(step, key=key, offset_s=offset_s))

    async def send(self, step: Step, request: Request) -> Reading:
        """Send a request that stands for a step; the answer must be in the protocol's form and tell nothing inside."""
        reading = await self.send_as_it_is(step, request)
        if reading.verdict is Verdict.SENSELESS:
            raise ScenarioFailed(f"the answer is not as the protocol says: {reading.finding}", reading)
        if reading.response.status == 0:
            raise ScenarioFailed("there was no answer", reading)
        return reading

    async def send_as_it_is(self, step: Step, request: Request) -> Reading:
        """Send what may not even be HTTP; the reading may be senseless, but nothing inside may show."""
        reading = self.speaker.read(step, request, await self.wire.send(request))
        self.last = reading
        self._require_discreet(reading)
        return reading

    def _require_discreet(self, reading: Reading) -> None:
        answer = reading.response
        for leak in LEAKS:
            if leak in answer.body:
                raise ScenarioFailed(f"the answer tells {leak.decode()!r} of the inside", reading)
        if answer.header(b"server") is not None:
            raise ScenarioFailed("the answer says which server it is", reading)

    async def approved(self, step: Step, balance: int | None = None) -> Reading:
        """Say a step that must be approved, and show this balance."""
        reading = await self.say(step)
        self.require_approved(reading, balance)
        return reading

    async def refused(self, step: Step, *causes: Cause) -> Reading:
        """Say a step that must be refused for one of these causes."""
        reading = await self.say(step)
        self.require_refused(reading, *causes)
        return reading

    def require_approved(self, reading: Reading, balance: int | None = None) -> None:
        """The provider takes it as done, and sees this balance."""
        if reading.verdict is not Verdict.APPROVED:
            raise ScenarioFailed(f"it is {reading.verdict} ({reading.code}) instead of approved", reading)
        if balance is not None and reading.balance != balance:
            raise ScenarioFailed(f"it shows the balance {reading.balance} instead of {balance}", reading)

    def require_refused(self, reading: Reading, *causes: Cause, balance: int | None = None) -> None:
        """The provider takes it that nothing moved, for one of these causes, and sees the balance where it must."""
        if not reading.is_final_no and Cause.SIGNATURE not in causes:
            raise ScenarioFailed(f"it is {reading.verdict} ({reading.code}) instead of refused", reading)
        if reading.verdict is Verdict.APPROVED:
            raise ScenarioFailed("it is approved instead of refused", reading)
        if not any(self.speaker.tells(cause, reading.code) for cause in causes):
            named = " or ".join(causes)
            raise ScenarioFailed(f"the protocol does not say {named} with {reading.code!r}", reading)
        must_show = all(self.expect.shows_balance(cause) for cause in causes)
        if balance is not None and must_show and reading.balance != balance:
            raise ScenarioFailed(f"it shows the balance {reading.balance} instead of {balance}", reading)

    def require(self, holds: bool, why: str) -> None:
        """Fail with the last answer unless this holds."""
        if not holds:
            raise ScenarioFailed(why, self.last)

    async def wallet_is(self, seat: Seat, minor: int) -> None:
        """The operator's books hold exactly this much for the player."""
        held = await self.operator.balance(seat.player_id, seat.asset)
        self.require(held == minor, f"the wallet holds {held} instead of {minor}")

    async def holds_until(self, condition: Callable[[], Awaitable[bool]], why: str) -> None:
        """Wait for what comes true soon; fail after `SETTLE_S` seconds."""
        deadline = time.monotonic() + SETTLE_S
        while not await condition():
            self.require(time.monotonic() < deadline, why)
            await asyncio.sleep(POLL_S)

    async def raw(self, request: Request) -> Response:
        """Send bytes that stand for no step."""
        response = await self.wire.send(request)
        self.last = Reading(verdict=Verdict.SENSELESS, request=request, response=response)
        return response

    async def notify(self, request: Request) -> Reading:
        """Send a webhook; the answer must be in the protocol's form and tell nothing inside."""
        response = await self.wire.send(request)
        if response.status == 0:
            raise ScenarioFailed("there was no answer")
        self.last = Reading(verdict=Verdict.SENSELESS, request=request, response=response)
        try:
            self.last = self.speaker.parse_webhook(request, response)
        except Unreadable as error:
            raise ScenarioFailed(f"the answer is not as the protocol says: {error}", self.last) from None
        self._require_discreet(self.last)
        return self.last

    def note(self, text: str) -> None:
        """Something the report says of a scenario that passed."""
        self.notes.append(text)
