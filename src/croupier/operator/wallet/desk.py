"""The desk: takes calls to the money path where the operator keeps the wallet, and carries its answers back.

A debit goes twice to the lanes: the first time its intent is committed, then the wallet is asked, then its answer is
decided and committed. A credit goes once, and is brought to the wallet afterwards. Whatever happens in between, what
was committed says how far it came, and `settling` goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog
from msgspec import structs

from croupier.errors import UNKNOWN_PLAYER, WALLET_UNANSWERED, WALLET_UNAVAILABLE, CroupierError
from croupier.ids import IdSource
from croupier.moneypath.commands import (
    Bet,
    Call,
    CloseRound,
    OpenSession,
    ReadBalance,
    Rollback,
    TellWallet,
    Win,
    nonce_alone,
)
from croupier.moneypath.decide import BEHIND, Ask, Sending
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.turns import Turns
from croupier.wallet.calls import WalletCall, order_of
from croupier.wallet.port import (
    NOT_FOUND,
    Approved,
    Balance,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
    Word,
)

_log = structlog.get_logger("croupier.wallet")

Decide = Callable[[Call], Awaitable[tuple[Outcome, ...] | Ask]]

PATIENCE_S: Final = 10.0
"""How long a caller waits that has no deadline of its own."""
MOST_TURNS: Final = 64
"""Most times one call goes to the lanes: an action each, and what is told in between."""
FIRST_LOOK_S: Final = 0.002
LONGEST_LOOK_S: Final = 0.1
"""How soon, and at most how seldom, a call looks whether the money before it has arrived."""
OURS: Final = "croupier"


class RemotePort(Protocol):
    """The operator's wallet as the desk uses it; every `ends_at_s` is by the monotonic clock."""

    async def move(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """Ask for a movement."""
        ...

    async def ask_status(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """What became of a movement; not applied (`not_found`) when the wallet never heard of it."""
        ...

    async def load_balance(
        self, player_id: str, asset: str, *, correlation_id: str, ends_at_s: float
    ) -> Balance | Refused | Unknown:
        """What a player has."""
        ...

    def is_away(self, operation: Operation) -> bool:
        """Whether it is not asked for the moment."""
        ...


class Caller:
    """Whoever waits for an answer, until a time; whatever is said later is for nobody."""

    __slots__ = ("ends_at_s", "fallback", "future")

    def __init__(self, ends_at_s: float) -> None:
        self.ends_at_s = ends_at_s
        self.future: asyncio.Future[tuple[Outcome, ...]] = asyncio.get_running_loop().create_future()
        self.fallback: Ask | None = None

    @classmethod
    def nobody(cls) -> Caller:
        """Whoever asked is gone already."""
        caller = cls(time.monotonic() + PATIENCE_S)
        caller.future.cancel()
        return caller

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits any more."""
        return self.future.done() or time.monotonic() >= self.ends_at_s

    def answer(self, outcomes: tuple[Outcome, ...]) -> None:
        """Give the outcomes to whoever still waits."""
        if not self.future.done():
            self.future.set_result(outcomes)

    def fail(self, error: BaseException) -> None:
        """Raise where somebody still waits."""
        if not self.future.done():
            self.future.set_exception(error)

    def answer_as_decided(self, decided: Ask) -> None:
        """Give what holds whatever the wallet says."""
        if decided.error is not None:
            self.fail(decided.error)
        else:
            self.answer(decided.outcomes or ())

    def give_up(self) -> None:
        """The time is over: what was decided holds, all else is unknown."""
        if self.fallback is not None:
            self.answer_as_decided(self.fallback)
            return
        detail = "the operator's wallet did not answer in time; repeat the same reference"
        self.fail(CroupierError(WALLET_UNANSWERED, detail, reason="timeout", retry_after_s=1))


class WalletDesk:
    """Everything that a process asks of the operator's wallet goes over one desk."""

    def __init__(
        self,
        decide: Decide,
        wallet: RemotePort,
        ids: IdSource,
        *,
        timeout_s: float,
        first_look_s: float = FIRST_LOOK_S,
    ) -> None:
        """`timeout_s` bounds one question to the wallet; `first_look_s` is how soon a held-up call looks again."""
        self._first_look_s = first_look_s
        self._decide = decide
        self.wallet = wallet
        self._ids = ids
        self._timeout_s = timeout_s
        self.turns = Turns()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Decide a call durably, asking the wallet where it must be asked.

        Raises:
            CroupierError: nothing was decided; wallet_unanswered says that nobody knows whether the wallet moved money.
        """
        caller = Caller(call.answer_by_s or time.monotonic() + PATIENCE_S)
        if not any(isinstance(action, Bet | Win | Rollback | CloseRound) for action in call.actions):
            return await self._pass_by(call, caller.ends_at_s)
        task = asyncio.create_task(self._serve(call, caller))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        left_s = max(0.0, caller.ends_at_s - time.monotonic())
        timer = asyncio.get_running_loop().call_later(left_s, caller.give_up)
        try:
            return await caller.future
        finally:
            timer.cancel()

    async def drain(self, patience_s: float) -> None:
        """Wait until everything that was begun is through, or for so long."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience_s)

    async def _serve(self, call: Call, caller: Caller) -> None:
        try:
            async with self.turns.take(call.player_id):
                if caller.is_gone:
                    await self._spend_nonce(call)
                    return
                await self.conduct(call, caller)
        except Exception as error:  # noqa: BLE001 (the worker loop: every caller gets an answer)
            if not isinstance(error, CroupierError):
                _log.error("wallet_call_failed", correlation_id=call.correlation_id, exc_info=error)
            if caller.fallback is not None:
                # It is booked, whatever kept the answer from being recorded.
                caller.answer_as_decided(caller.fallback)
            caller.fail(error)

    async def conduct(self, call: Call, caller: Caller) -> None:
        """Take a call through the lanes and to the wallet, whose player's turn it is."""
        is_away = call.is_wallet_away or self.wallet.is_away(Operation.DEBIT)
        call = structs.replace(call, is_wallet_away=is_away)
        for _ in range(MOST_TURNS):
            call, answer = await self._decide_in_time(call, caller)
            if not isinstance(answer, Ask):
                caller.answer(await self._with_current_balance(call, answer, caller))
                return
            if answer.outcomes is not None or answer.error is not None:
                await self._deliver(answer, caller)
                return
            words = [(one.call.id, await self._ask(one, caller.ends_at_s)) for one in answer.sendings]
            call = structs.replace(call, told=(), words=tuple(words), is_late=caller.is_gone)
        raise AssertionError(f"a call went to the lanes {MOST_TURNS} times")

    async def _decide_in_time(self, call: Call, caller: Caller) -> tuple[Call, tuple[Outcome, ...] | Ask]:
        """What the lanes say, once nothing of this player is under way; the call goes on without its nonce."""
        pause_s = self._first_look_s
        while True:
            try:
                answer = await self._decide(call)
            except CroupierError as error:
                if error.reason != BEHIND or time.monotonic() + pause_s >= caller.ends_at_s:
                    raise
            else:
                return structs.replace(call, nonce=None), answer
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_LOOK_S)
            call = structs.replace(call, nonce=None)

    async def _ask(self, sending: Sending, ends_at_s: float) -> Word:
        """Ask for one movement; of a doubtful one first what became of it, and no answer leaves it unknown."""
        order = order_of(sending.call)
        ends_at_s = min(ends_at_s, time.monotonic() + self._timeout_s)
        if not sending.is_doubtful:
            return await self.wallet.move(order, ends_at_s=ends_at_s)
        word = await self.wallet.ask_status(order, ends_at_s=ends_at_s)
        if isinstance(word, NotApplied) and word.reason == NOT_FOUND:
            word = await self.wallet.move(order, ends_at_s=ends_at_s)
        return Unknown(word.reason) if isinstance(word, NotApplied) else word

    async def _deliver(self, decided: Ask, caller: Caller) -> None:
        """Bring to the wallet what is booked, in order; the answer waits for it as long as its caller does.

        What the wallet says of the balance is recorded before it is told, so that a repeat gets the same.
        """
        caller.fallback = decided
        is_through = True
        for sending in decided.sendings:
            word: Word = NotApplied(BEHIND)
            if is_through:
                word = await self._ask(sending, time.monotonic() + self._timeout_s)
            is_through = is_through and isinstance(word, Approved | Refused)
            is_awaited = not caller.is_gone
            told = await self.tell(sending.call, word, is_awaited=is_awaited)
            if told.balance is not None and is_awaited:
                decided = _with_balance(decided, sending.call, told.balance)
                caller.fallback = decided
        caller.answer_as_decided(decided)

    async def tell(self, made: WalletCall, word: Word, *, is_awaited: bool = False) -> Outcome:
        """Have an answer recorded that no booking waits for; what the player is told to have now, if it says so."""
        command = TellWallet(
            wallet_call_id=made.id,
            player_id=made.player_id,
            reference=made.reference,
            word=word,
            is_awaited=is_awaited,
        )
        call = Call(
            provider=made.provider,
            player_id=made.player_id,
            bucket=made.bucket,
            request_id=self._ids.new(made.bucket),
            correlation_id=made.correlation_id,
            actions=(command,),
            time_source=OURS,
        )
        answer = await self._decide(call)
        assert not isinstance(answer, Ask), "what is told asks nothing"  # noqa: S101 (narrowing)
        return answer[0]

    async def _spend_nonce(self, call: Call) -> None:
        """A request that goes no further spends its nonce all the same, so that it cannot be replayed."""
        alone = nonce_alone(call)
        if alone is not None:
            await self._decide(alone)

    async def _pass_by(self, call: Call, ends_at_s: float) -> tuple[Outcome, ...]:
        """A call that moves nothing. A session begins only where the wallet says what the player has."""
        opening = next((action for action in call.actions if isinstance(action, OpenSession)), None)
        if opening is not None:
            try:
                balance = await self._load_balance(call, opening.opening.asset, ends_at_s)
            except CroupierError:
                await self._spend_nonce(call)
                raise
            call = structs.replace(call, told=((opening.opening.asset, balance),))
        answer = await self._decide(call)
        assert not isinstance(answer, Ask), "only what moves money asks"  # noqa: S101 (narrowing)
        if not any(isinstance(action, ReadBalance) for action in call.actions):
            return answer
        return tuple([await self._with_live_balance(call, outcome, ends_at_s) for outcome in answer])

    async def _with_current_balance(
        self, call: Call, outcomes: tuple[Outcome, ...], caller: Caller
    ) -> tuple[Outcome, ...]:
        """A repeat shows what the player has now, for protocols that tell it.

        While money is under way, what is expected is truer than what the wallet holds.
        """
        asset = next((one.asset for one in outcomes if one.current_balance is not None), None)
        is_expected = any(one.is_expected for one in outcomes)
        if asset is None or is_expected or call.is_wallet_away or caller.is_gone:
            return outcomes
        ends_at_s = min(caller.ends_at_s, time.monotonic() + self._timeout_s)
        said = await self.wallet.load_balance(
            call.player_id, asset, correlation_id=call.correlation_id, ends_at_s=ends_at_s
        )
        if not isinstance(said, Balance):
            return outcomes
        return tuple(
            structs.replace(one, current_balance=said.amount) if one.current_balance is not None else one
            for one in outcomes
        )

    async def _with_live_balance(self, call: Call, outcome: Outcome, ends_at_s: float) -> Outcome:
        if outcome.asset is None or outcome.balance is None or outcome.is_expected:
            return outcome
        balance = await self._load_balance(call, outcome.asset, ends_at_s)
        return structs.replace(outcome, balance=balance)

    async def _load_balance(self, call: Call, asset: str, ends_at_s: float) -> int:
        if self.wallet.is_away(Operation.DEBIT):
            detail = "the operator's wallet is not asked for the moment; try again later"
            raise CroupierError(WALLET_UNAVAILABLE, detail, retry_after_s=1)
        ends_at_s = min(ends_at_s, time.monotonic() + self._timeout_s)
        said = await self.wallet.load_balance(
            call.player_id, asset, correlation_id=call.correlation_id, ends_at_s=ends_at_s
        )
        if isinstance(said, Balance):
            return said.amount
        if isinstance(said, Refused):
            detail = f"the operator's wallet says {said.code} of this player and asset"
            raise CroupierError(UNKNOWN_PLAYER, detail, field="player_id")
        detail = f"the operator's wallet does not say what the player has ({said.reason}); try again later"
        raise CroupierError(WALLET_UNAVAILABLE, detail, reason=said.reason, retry_after_s=1)


def _with_balance(decided: Ask, made: WalletCall, balance: int) -> Ask:
    if decided.outcomes is None:
        return decided
    outcomes = tuple(
        structs.replace(outcome, balance=balance) if outcome.reference == made.reference else outcome
        for outcome in decided.outcomes
    )
    return structs.replace(decided, outcomes=outcomes)
