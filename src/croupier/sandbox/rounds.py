"""One round of one player, played against the gateway as its plan says."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from croupier.sandbox.attacks import forge
from croupier.sandbox.book import standing
from croupier.sandbox.calls import Call, Round, assume, render_moment
from croupier.sandbox.crash_table import CrashGame
from croupier.sandbox.games import CrashBet, DiceBet, Played, Seeds, play_dice, play_mines
from croupier.sandbox.jackpots import contribution_of
from croupier.sandbox.plan import (
    Attack,
    Fault,
    Flow,
    Move,
    RoundPlan,
    Step,
    draw_client_seed,
    draw_server_seed,
)
from croupier.sandbox.replies import Meaning, Reply
from croupier.sandbox.settling import Result, Stage, settle_call
from croupier.sandbox.wire import RetryPolicy, Signed

# Well inside the signature's window, so that a replay is refused as a replay and not as stale.
ATTACK_POLICY: Final = RetryPolicy(total_s=20.0)

OVERTAKING_S: Final = 10.0
"""How long a win is repeated while its bet is on its way: where wins need their bets, a lost bet's is never taken."""


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
    hand.finish()
    bet = hand.bet_result
    # A refusal was owed to a bet that came after its rollback.
    is_owed = plan.flow is Flow.EARLY_ROLLBACK and bet is not None and bet.kind == "refused"
    return bet.code if bet is not None and bet.stops_session and not is_owed else None


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
        self._calls: dict[Move, Call] = {}
        self._results: dict[Move, Result] = {}
        self._effects: dict[str, int] = {}
        self._untold: list[Call] = []
        self._is_over = False
        self._is_purse_held = False
        self._bet_on_its_way: asyncio.Task[None] | None = None
        self._round = Round(
            seat=stage.seat,
            round_id=tag if game is None else game.round_id,
            tag=tag,
            stake_minor=stage.stake_minor,
            occurred_at=render_moment(datetime.now(UTC)),
            closes_with_win=plan.closes_with_win,
            contribution_minor=contribution_of(stage.stake_minor) if plan.feeds_jackpot else 0,
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
            return self._round.result.win_minor > 0 or self._sends_zero_win
        if move is Move.CLOSE:
            return not self._is_over
        if move is Move.JACKPOT:
            stage = self._stage
            return stage.notices.holds(move) and stage.jackpots.holds(stage.seat.asset)
        needed = {
            Move.ROLLBACK_WIN: Move.WIN,
            Move.ROLLBACK_AGAIN: Move.ROLLBACK_BET,
            Move.ROLLBACK_SETTLED: Move.WIN,
        }.get(move)
        return needed is None or self._was_made(needed)

    @property
    def _sends_zero_win(self) -> bool:
        zero_wins = self._stage.wire.zero_wins
        return zero_wins == "always" or (zero_wins == "planned" and self._plan.sends_zero_win)

    def _was_made(self, move: Move) -> bool:
        result = self._results.get(move)
        return result is not None and result.is_made

    async def _perform(self, step: Step) -> None:
        if self._stage.notices.holds(step.move):
            self._tell(step.move)
            return
        self._count_faults(step)
        if step.delay_ms:
            await asyncio.sleep(step.delay_ms / 1000)
        stage = self._stage
        call = assume(stage.wire.render_call(self._round, step.move), self._effects)
        if step.move is Move.ROLLBACK_BET:
            self._release_purse()
        stage.purse.enter()
        within_s = OVERTAKING_S if step.move is Move.WIN and self._bet_on_its_way is not None else None
        answers = await asyncio.gather(
            *(
                stage.client.call(call, drops_reply=step.drops_reply and copy == 0, within_s=within_s)
                for copy in range(step.copies)
            )
        )
        result = settle_call(stage, call, answers)
        self._calls[step.move], self._results[step.move] = call, result
        self._judge_balance(call, result)
        self._remember(call, result)
        self._check_owed(step.move, result)
        if step.is_echoed and result.is_approved:
            stage.notices.echo(call)

    def _tell(self, move: Move) -> None:
        """Leave a move to a webhook. A jackpot's is sent now, the others wait until the round is over."""
        self._results[move] = Result("told", "told")
        if move is Move.JACKPOT:
            jackpot_minor = self._stage.jackpots.pay(self._stage.seat.asset)
            self._round = replace(self._round, jackpot_minor=jackpot_minor)
            self._stage.notices.tell(self._stage.wire.render_call(self._round, move))
            return
        self._untold.append(self._stage.wire.render_call(self._round, move))
        if self._is_purse_held:
            # Whether the bet that is undone was decided cannot be seen before its rollback is told.
            self._is_purse_held = False
            self._stage.purse.leave(None, None)

    def finish(self) -> None:
        """Hand over what webhooks tell of the round, and give the jackpot its part of a bet that stands."""
        for call in self._untold:
            target = call.items[0].target_reference
            self._stage.notices.tell(assume(call, self._effects))
            if target is not None:
                self._effects.pop(target, None)
                self._forget_unresolved(target)
        if self._round.reference("bet") in self._effects:
            self._stage.jackpots.feed(self._stage.seat.asset, self._round.contribution_minor)

    def _judge_balance(self, call: Call, result: Result) -> None:
        """Compare what was told with what the player should have now."""
        is_bet = call.move in (Move.BET, Move.BET_WIN)
        is_doubtful = is_bet and (result.kind == "unknown" or result.is_to_undo)
        if is_doubtful and self._plan.flow is not Flow.EARLY_ROLLBACK:
            # It counts as under way until its rollback, which makes nothing of it whether it was decided or not.
            self._is_purse_held = True
            return
        balance = result.reply.balance if result.reply is not None else None
        effect = 0 if is_doubtful else result.effect_minor
        wrong = self._stage.purse.leave(effect, None if balance is None else int(balance.amount))
        if wrong is not None:
            self._stage.tally.add_unexpected(f"{call.name}: {wrong}")

    def _release_purse(self) -> None:
        if self._is_purse_held:
            self._is_purse_held = False
            self._stage.purse.leave(0, None)

    def _remember(self, call: Call, result: Result) -> None:
        """Keep what moved money, by reference, until it is rolled back."""
        if result.reply is None or not result.is_approved:
            return
        for item, decision in standing(call, result.reply.decisions):
            if item.target_reference is not None:
                self._effects.pop(item.target_reference, None)
            elif decision.code == "ok":
                self._effects[item.reference] = item.amount_minor
        self._is_over = self._is_over or (call.ends_round and self._stage.wire.closes_once)

    def _count_faults(self, step: Step) -> None:
        present = {
            Fault.DUPLICATE: step.copies > 1,
            Fault.DELAY: step.delay_ms > 0,
            Fault.DROP_REPLY: step.drops_reply,
        }
        self._stage.tally.faults.update(fault.value for fault, is_present in present.items() if is_present)

    def _check_owed(self, move: Move, result: Result) -> None:
        """Compare a decision with what the order rules owe this flow."""
        if self._is_compensated or self._untold:
            return
        where = f"{self._round.tag} {move.value}"
        if result.kind == "refused" and move not in (Move.BET, Move.BET_WIN):
            self._stage.tally.add_unexpected(f"{where}: refused with {result.code}")
        if result.kind not in ("approved", "declined"):
            return
        owed = self._stage.wire.owed_codes(self._plan.flow, move)
        if owed is not None and result.code not in owed:
            self._stage.tally.add_unexpected(f"{where}: expected {' or '.join(owed)}, got {result.code}")
        elif (
            owed is None
            and move is Move.BET
            and self._plan.flow is Flow.EARLY_ROLLBACK
            and result.is_approved
        ):
            self._stage.tally.add_unexpected(f"{where}: accepted after its rollback")

    @property
    def _is_compensated(self) -> bool:
        bet = self.bet_result
        return self._plan.flow is not Flow.EARLY_ROLLBACK and bet is not None and not bet.is_approved

    async def _after_bet(self) -> None:
        bet = self.bet_result
        assert bet is not None, "a bet that was performed has a result"  # noqa: S101 (narrowing)
        if bet.accepted is not None and (bet.is_approved or self._stage.wire.attacks_declined_bets):
            await self._attack(bet, bet.accepted)
        if self._plan.flow is Flow.EARLY_ROLLBACK:
            self._forget_lost(bet, Move.BET)
        elif not bet.is_approved:
            await self._compensate(bet)
            self._release_purse()

    async def _compensate(self, bet: Result) -> None:
        """Undo what may stand of a round whose bet was not approved: every part of which it is not known."""
        is_whole = Move.BET_WIN in self._results
        win = self._results.get(Move.WIN)
        is_win_to_undo = is_whole if win is None else win.kind in ("approved", "unknown")
        is_doubtful = bet.kind == "unknown" or bet.is_to_undo
        if is_win_to_undo and (is_doubtful or not is_whole):
            await self._undo(Move.ROLLBACK_WIN, Move.WIN)
        if is_doubtful:
            await self._undo(Move.ROLLBACK_BET, Move.BET)
            self._forget_lost(bet, Move.BET_WIN if is_whole else Move.BET)

    def _forget_lost(self, bet: Result, move: Move) -> None:
        """Where a lost bet is ordinary, play goes on once it is rolled back, and nobody asks for it again."""
        is_doubtful = bet.kind == "unknown" or bet.is_to_undo
        is_ordinary = is_doubtful and self._stage.wire.undoes_lost_bets_and_goes_on
        if is_ordinary and self._was_made(Move.ROLLBACK_BET):
            self._results[move] = Result("undone", "rolled_back")
            self._drop_unresolved(move)

    async def _undo(self, rollback: Move, target: Move) -> None:
        if not self._stage.wire.can(rollback):
            return
        await self._perform(Step(rollback))
        self._drop_unresolved(target)

    def _drop_unresolved(self, move: Move) -> None:
        """From here on the rollback is what must arrive; the target must not be asked for again."""
        call = self._calls.get(move) or (self._calls.get(Move.BET_WIN) if move is Move.BET else None)
        if call is not None:
            self._forget_unresolved(call.items[0].reference)

    def _forget_unresolved(self, reference: str) -> None:
        if self._stage.book.drop_unresolved(reference):
            self._stage.tally.unresolved -= 1

    async def _attack(self, bet: Result, accepted: Signed) -> None:
        await asyncio.gather(*(self._send_attack(kind, bet, accepted) for kind in self._plan.planted))

    async def _send_attack(self, kind: Attack, bet: Result, accepted: Signed) -> None:
        stage = self._stage
        tag = self._round.reference(f"attack-{kind.value}")
        judged = self._calls[Move.BET_WIN if Move.BET_WIN in self._calls else Move.BET]
        if kind is not Attack.REPLAYED:
            judged = stage.wire.render_call(self._round, Move.BET)
        owed = stage.wire.attacks[kind]
        answer = await stage.client.persist(
            lambda attempt: forge(
                kind, stage.wire, self._round, accepted, stage.client.stamp(attempt), tag=tag
            ),
            stage.client.reader_of(judged),
            replace(ATTACK_POLICY, answers=frozenset(one.status for one in owed)),
        )
        stage.tally.add_answers([answer], is_money=False)
        if owed:
            stage.tally.add_attack(kind, owed, answer.reply)
        else:
            stage.tally.add_replay(judged.name, self._difference(bet.reply, answer.reply))

    def _difference(self, first: Reply | None, replayed: Reply | None) -> str | None:
        if first is None or replayed is None or replayed.meaning is not Meaning.DECIDED:
            return "a replay was not answered as the original was"
        # The first answer may have been a repeat itself, of an attempt whose reply was lost.
        found = self._stage.wire.differences([first, replayed], is_any_lost=True)
        return found[0] if found else None
