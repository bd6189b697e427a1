"""One round of one player, played against the gateway as its plan says."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from croupier.sandbox.attacks import Signed, forge
from croupier.sandbox.book import Book, standing
from croupier.sandbox.calls import Call, Round, Seat, render_call, render_moment
from croupier.sandbox.client import Answer, GatewayClient, RetryPolicy
from croupier.sandbox.crash_table import CrashGame, CrashTable
from croupier.sandbox.games import CrashBet, DiceBet, Played, Seeds, play_dice, play_mines
from croupier.sandbox.plan import (
    Fault,
    Flow,
    Move,
    Planted,
    RoundPlan,
    Step,
    draw_client_seed,
    draw_server_seed,
)
from croupier.sandbox.replies import Decision, Meaning
from croupier.sandbox.tally import Tally

# Well inside the signature's window, so that a replay is refused as a replay and not as stale.
ATTACK_POLICY: Final = RetryPolicy(total_s=20.0)
STOPPING_CODES: Final = frozenset({"session_not_active", "player_restricted", "limit_reached"})
"""Declines after which a session's later bets have no chance either."""

_OWED_OK: Final = frozenset({Move.WIN, Move.CLOSE, Move.ROLLBACK_BET, Move.ROLLBACK_WIN})
_OWED: Final = {
    (Flow.EARLY_ROLLBACK, Move.ROLLBACK_BET): "nothing_to_roll_back",
    (Flow.EARLY_ROLLBACK, Move.BET): "tombstoned",
    (Flow.LATE_ROLLBACK, Move.ROLLBACK_AGAIN): "already_rolled_back",
}


@dataclass(slots=True)
class Stage:
    """What a batch of rounds shares; the stake and the balance (None: not known) are in minor units."""

    client: GatewayClient
    book: Book
    table: CrashTable
    tally: Tally
    seat: Seat
    seed: str
    stake_minor: int
    balance_minor: int | None = None


class Result(Struct, frozen=True):
    """How a call ended for the round; `code` is the decision's or the problem's."""

    kind: Literal["approved", "declined", "refused", "unknown"]
    code: str
    accepted: Signed | None = None

    @property
    def is_approved(self) -> bool:
        """Whether the gateway did what was asked."""
        return self.kind == "approved"

    @property
    def stops_session(self) -> bool:
        """Whether, being a bet's, it makes further rounds of the session pointless."""
        return self.kind in ("refused", "unknown") or self.code in STOPPING_CODES


async def play_round(stage: Stage, plan: RoundPlan, *, tag: str) -> str | None:
    """Play one round to its end; the code that makes further rounds pointless, or None."""
    game = stage.table.join() if isinstance(plan.choice, CrashBet) else None
    hand = _Hand(stage, plan, tag, game)
    stage.tally.rounds += 1
    stage.tally.flows[plan.flow.value] += 1
    async with asyncio.TaskGroup() as group:
        for step in plan.steps:
            await hand.take(step, group)
        await hand.join_bet()
    bet = hand.bet_result
    return bet.code if bet is not None and bet.stops_session else None


def play_alone(plan: RoundPlan, *, seed: str, stake_minor: int) -> Played:
    """The result of a dice or mines round; raises ValueError for crash, which is played at the table."""
    seeds = Seeds(draw_server_seed(seed, plan.number), draw_client_seed(seed))
    if isinstance(plan.choice, CrashBet):
        raise ValueError("crash is played at the table")
    if isinstance(plan.choice, DiceBet):
        return play_dice(seeds, plan.choice, nonce=plan.number, stake_minor=stake_minor)
    return play_mines(seeds, plan.choice, nonce=plan.number, stake_minor=stake_minor)


class _Hand:
    """The state of one round while it is played."""

    def __init__(self, stage: Stage, plan: RoundPlan, tag: str, game: CrashGame | None) -> None:
        self._stage = stage
        self._plan = plan
        self._game = game
        self._results: dict[Move, Result] = {}
        self._bet_on_its_way: asyncio.Task[None] | None = None
        self._round = Round(
            seat=stage.seat,
            round_id=tag if game is None else game.round_id,
            tag=tag,
            stake_minor=stage.stake_minor,
            occurred_at=render_moment(datetime.now(UTC)),
            closes_with_win=plan.closes_with_win,
        )
        if game is None:
            played = play_alone(plan, seed=stage.seed, stake_minor=stage.stake_minor)
            self._round = replace(self._round, played=played)

    @property
    def bet_result(self) -> Result | None:
        """How the bet ended, alone or together with its win."""
        return self._results.get(Move.BET) or self._results.get(Move.BET_WIN)

    async def take(self, step: Step, group: asyncio.TaskGroup) -> None:
        """Make one step of the plan if it is due after what happened so far."""
        if step.move is not Move.WIN:
            await self.join_bet()
        if step.move in (Move.WIN, Move.CLOSE, Move.ROLLBACK_WIN):
            await self._learn_result()
        if not self._is_due(step.move):
            return
        if not step.is_awaited and self._can_afford():
            self._bet_on_its_way = group.create_task(self._perform(step))
            return
        await self._perform(step)
        if step.move in (Move.BET, Move.BET_WIN):
            await self._after_bet()

    async def join_bet(self) -> None:
        """Wait for a bet that was overtaken, if there is one."""
        if self._bet_on_its_way is not None:
            task, self._bet_on_its_way = self._bet_on_its_way, None
            await task
            await self._after_bet()

    async def _learn_result(self) -> None:
        if self._game is None or self._round.played is not None:
            return
        await self._game.started.wait()
        assert isinstance(self._plan.choice, CrashBet)  # noqa: S101 (narrowing)
        played = self._game.result(self._plan.choice, self._round.stake_minor)
        self._round = replace(self._round, played=played)

    def _can_afford(self) -> bool:
        """Whether a bet may be overtaken by its win: not if it is likely to be declined."""
        balance = self._stage.balance_minor
        return balance is not None and balance >= self._round.stake_minor

    def _is_due(self, move: Move) -> bool:
        if move in (Move.BET, Move.BET_WIN) or self._plan.flow is Flow.EARLY_ROLLBACK:
            return True
        bet = self.bet_result
        if bet is not None and not bet.is_approved:
            return False
        if move is Move.WIN:
            return self._round.result.win_minor > 0 or self._plan.sends_zero_win
        needed = {Move.ROLLBACK_WIN: Move.WIN, Move.ROLLBACK_AGAIN: Move.ROLLBACK_BET}.get(move)
        return needed is None or self._was_approved(needed)

    def _was_approved(self, move: Move) -> bool:
        result = self._results.get(move)
        return result is not None and result.is_approved

    async def _perform(self, step: Step) -> None:
        self._count_faults(step)
        if step.delay_ms:
            await asyncio.sleep(step.delay_ms / 1000)
        call = render_call(self._round, step.move)
        client = self._stage.client
        answers = await asyncio.gather(
            *(
                client.call(call.path, call.body, drops_reply=step.drops_reply and copy == 0)
                for copy in range(step.copies)
            )
        )
        result = settle_call(self._stage, call, answers)
        self._results[step.move] = result
        self._check_owed(step.move, result)

    def _count_faults(self, step: Step) -> None:
        present = {
            Fault.DUPLICATE: step.copies > 1,
            Fault.DELAY: step.delay_ms > 0,
            Fault.DROP_REPLY: step.drops_reply,
        }
        self._stage.tally.faults.update(fault.value for fault, is_present in present.items() if is_present)

    def _check_owed(self, move: Move, result: Result) -> None:
        """Compare a decision with what the order rules owe this flow."""
        owed = _OWED.get((self._plan.flow, move)) or ("ok" if move in _OWED_OK else None)
        if result.kind not in ("approved", "declined") or owed is None or self._is_compensated:
            return
        if result.code != owed:
            where = f"{self._round.tag} {move.value}"
            self._stage.tally.add_unexpected(f"{where}: expected {owed}, got {result.code}")

    @property
    def _is_compensated(self) -> bool:
        bet = self.bet_result
        return self._plan.flow is not Flow.EARLY_ROLLBACK and bet is not None and not bet.is_approved

    async def _after_bet(self) -> None:
        bet = self.bet_result
        assert bet is not None, "a bet that was performed has a result"  # noqa: S101 (narrowing)
        if bet.accepted is not None:
            await self._attack(bet.accepted)
        if self._plan.flow is not Flow.EARLY_ROLLBACK and not bet.is_approved:
            await self._compensate(bet)

    async def _compensate(self, bet: Result) -> None:
        """Undo what may stand of a round whose bet was not approved: every part of which it is not known."""
        is_whole = Move.BET_WIN in self._results
        win = self._results.get(Move.WIN)
        is_win_to_undo = is_whole if win is None else win.kind in ("approved", "unknown")
        is_unknown = bet.kind == "unknown"
        if is_win_to_undo and (is_unknown or not is_whole):
            await self._undo(Move.ROLLBACK_WIN, Move.WIN)
        if is_unknown:
            await self._undo(Move.ROLLBACK_BET, Move.BET)

    async def _undo(self, rollback: Move, target: Move) -> None:
        await self._perform(Step(rollback))
        # From here on the rollback is what must arrive; the target must not be asked for again.
        name = "bet" if target is Move.BET else "win"
        if self._stage.book.drop_unresolved(self._round.reference(name)):
            self._stage.tally.unresolved -= 1

    async def _attack(self, accepted: Signed) -> None:
        await asyncio.gather(*(self._send_attack(planted, accepted) for planted in self._plan.planted))

    async def _send_attack(self, planted: Planted, accepted: Signed) -> None:
        client = self._stage.client
        tag = self._round.reference(f"attack-{planted.kind.value}")
        answer = await client.persist(
            lambda: forge(planted.kind, accepted, client.pen(), tag=tag), ATTACK_POLICY
        )
        self._stage.tally.add_answers([answer], is_money=False)
        self._stage.tally.add_attack(planted, answer.reply)


def settle_call(stage: Stage, call: Call, answers: list[Answer]) -> Result:
    """Count and write down what became of a call, from the answers to all its copies."""
    reference = call.items[0].reference
    stage.tally.add_answers(answers, is_money=call.move is not Move.CLOSE)
    stage.tally.add_copies(reference, answers)
    for answer in answers:
        if answer.meaning is Meaning.DECIDED and answer.reply is not None:
            return _settle_decided(stage, call, answer.reply.decisions, answer.signed)
    for answer in answers:
        if answer.meaning is Meaning.REFUSED and answer.reply is not None:
            stage.tally.refused[answer.reply.code] += 1
            stage.book.drop_unresolved(reference)
            return Result("refused", answer.reply.code)
    stage.tally.unresolved += 1
    stage.book.keep_unresolved(call)
    return Result("unknown", "unresolved")


def _settle_decided(stage: Stage, call: Call, decisions: tuple[Decision, ...], signed: Signed) -> Result:
    answered = [decision.reference for decision in decisions]
    if answered != [item.reference for item in call.items]:
        stage.tally.add_unexpected(f"{call.items[0].reference}: the answer is about {answered}")
        return Result("unknown", "other_references")
    stage.book.record(call, decisions)
    for item, decision in standing(call, decisions):
        stage.tally.add_decision(item.action, decision)
        if decision.balance is not None:
            stage.balance_minor = int(decision.balance.amount)
    declined = next((decision for decision in decisions if decision.status != "approved"), None)
    if declined is not None:
        return Result("declined", declined.code, signed)
    return Result("approved", decisions[0].code, signed)
