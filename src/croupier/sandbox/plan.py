"""What the sandbox will do, and do wrong, decided before anything is sent: the same seed gives the same plan.

Pure, and the same for every protocol: a wire says which flows and attacks it can express. A round's bet comes
from the seed alone, so a well-behaved and a hostile run of one seed play the same games. A plan has one flow
per round (which calls, in which order), faults per call (duplicated, late, reply not read) and planted attacks.
What is told by webhook is drawn apart from the rest, so rates of it change no call.
"""

import random
from collections.abc import Container, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from croupier.sandbox.games import CrashBet, DiceBet, MinesBet

Game = Literal["dice", "mines", "crash"]
Percent = Annotated[int, Meta(ge=0, le=100)]
Choice = DiceBet | MinesBet | CrashBet

MOST_COPIES: Final = 5
LONGEST_DELAY_MS: Final = 80
STALE_BY_S: Final = 120


class Move(StrEnum):
    """One thing a round tells the gateway: a call, or a jackpot, of which only a webhook tells."""

    BET = "bet"
    WIN = "win"
    BET_WIN = "bet_win"
    CLOSE = "close"
    ROLLBACK_BET = "rollback_bet"
    ROLLBACK_WIN = "rollback_win"
    ROLLBACK_AGAIN = "rollback_again"
    ROLLBACK_SETTLED = "rollback_settled"
    JACKPOT = "jackpot"


AFTER_BET: Final = frozenset({Move.CLOSE, Move.ROLLBACK_BET, Move.ROLLBACK_WIN, Move.ROLLBACK_AGAIN})
"""What may be called back, told by webhook, or both."""


class Flow(StrEnum):
    """Which calls a round makes, and in which order."""

    NORMAL = "normal"
    BET_WIN = "bet_win"
    EARLY_ROLLBACK = "early_rollback"
    LATE_ROLLBACK = "late_rollback"
    WIN_BEFORE_BET = "win_before_bet"
    CLOSE_BEFORE_WIN = "close_before_win"


class Fault(StrEnum):
    """What happens to a call that is right in itself."""

    DUPLICATE = "duplicate"
    DELAY = "delay"
    DROP_REPLY = "drop_reply"


class Attack(StrEnum):
    """A request that must be refused and move nothing."""

    UNSIGNED = "unsigned"
    FORGED_KEY = "forged_key"
    TAMPERED_BODY = "tampered_body"
    TAMPERED_AMOUNT = "tampered_amount"
    TAMPERED_PATH = "tampered_path"
    REPLAYED = "replayed"
    STALE = "stale"
    CONFLICT = "conflict"
    WRONG_GAME = "wrong_game"
    DUPLICATE_KEY = "duplicate_key"
    FLOAT_AMOUNT = "float_amount"


class NoticeAttack(StrEnum):
    """A webhook that must be refused and do nothing."""

    FORGED = "webhook_forged"
    ALTERED_BODY = "webhook_altered_body"
    ALTERED_ID = "webhook_altered_id"
    ALTERED_TIME = "webhook_altered_time"
    STALE = "webhook_stale"
    REUSED_ID = "webhook_reused_id"


class Step(Struct, frozen=True):
    """One call: sent `copies` times at once, after a delay in milliseconds.

    A dropped reply means that the first copy hangs up before it reads and asks again with the same reference.
    A step that is not awaited leaves the next one to overtake it. What is echoed is told by webhook as well, once the
    call was answered.
    """

    move: Move
    copies: int = 1
    delay_ms: int = 0
    drops_reply: bool = False
    is_awaited: bool = True
    is_echoed: bool = False


class RoundPlan(Struct, frozen=True):
    """One round: the player's bet, the calls, and the attacks sent once the bet is acknowledged.

    `closes_with_win`: a win closes the round by itself, before the close call says it again. `feeds_jackpot`: a part
    of the stake is a contribution to the jackpot.
    """

    number: int
    flow: Flow
    choice: Choice
    steps: tuple[Step, ...]
    planted: tuple[Attack, ...]
    closes_with_win: bool = False
    feeds_jackpot: bool = False

    @property
    def sends_zero_win(self) -> bool:
        """Whether a lost round sends a win of nothing, so that there is something to reorder."""
        return self.flow in (Flow.WIN_BEFORE_BET, Flow.CLOSE_BEFORE_WIN)


class Rates(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often, in whole percent: flows, attacks and jackpots of all rounds, faults of all calls, echoes of what may
    be told by webhook.

    The five flows exclude each other and share 100 percent; the rest of the rounds is normal.
    Raises ValueError when they come to more.
    """

    bet_win: Percent = 0
    early_rollback: Percent = 0
    late_rollback: Percent = 0
    win_before_bet: Percent = 0
    close_before_win: Percent = 0
    duplicate: Percent = 0
    delay: Percent = 0
    drop_reply: Percent = 0
    unsigned: Percent = 0
    forged_key: Percent = 0
    tampered_body: Percent = 0
    tampered_amount: Percent = 0
    tampered_path: Percent = 0
    replayed: Percent = 0
    stale: Percent = 0
    conflict: Percent = 0
    wrong_game: Percent = 0
    duplicate_key: Percent = 0
    float_amount: Percent = 0
    jackpot: Percent = 0
    echo: Percent = 0

    def __post_init__(self) -> None:
        total = sum(self.of(flow) for flow in Flow if flow is not Flow.NORMAL)
        if total > 100:
            raise ValueError(f"the flows come to {total} percent of the rounds; at most 100 is possible")

    def of(self, kind: Flow | Fault | Attack) -> int:
        """The rate of one kind, in percent."""
        rate: int = getattr(self, kind.value)
        return rate


WELL_BEHAVED: Final = Rates()
EVERYTHING: Final = Rates(
    bet_win=15,
    early_rollback=8,
    late_rollback=8,
    win_before_bet=10,
    close_before_win=8,
    duplicate=12,
    delay=5,
    drop_reply=3,
    unsigned=3,
    forged_key=3,
    tampered_body=3,
    tampered_amount=3,
    tampered_path=3,
    replayed=5,
    stale=3,
    conflict=4,
    wrong_game=3,
    duplicate_key=3,
    float_amount=3,
    jackpot=10,
    echo=20,
)
PRESETS: Final = {"none": WELL_BEHAVED, "everything": EVERYTHING}
"""Rates by name, wherever rates can be given."""

Score = Sequence[tuple[Move, bool]]
"""The moves of one flow in order; the flag says whether the reply is awaited before the next one."""

Choreography = Mapping[Flow, Sequence[Score]]
"""The scores of each flow that a protocol has; of several, rounds take turns."""


def in_turn(*moves: Move) -> Score:
    """Moves of which each waits for the reply to the one before it."""
    return tuple((move, True) for move in moves)


def overtaken(first: Move, *others: Move) -> Score:
    """The same, but the second does not wait for the first."""
    return ((first, False), *in_turn(*others))


EVERY_MOVE: Final[Choreography] = {
    Flow.NORMAL: (in_turn(Move.BET, Move.WIN, Move.CLOSE),),
    Flow.BET_WIN: (in_turn(Move.BET_WIN, Move.CLOSE),),
    Flow.EARLY_ROLLBACK: (in_turn(Move.ROLLBACK_BET, Move.BET),),
    # The win goes first: undoing the bet alone would leave a win without a bet, which is another matter.
    Flow.LATE_ROLLBACK: (
        in_turn(Move.BET, Move.WIN, Move.CLOSE, Move.ROLLBACK_WIN, Move.ROLLBACK_BET, Move.ROLLBACK_AGAIN),
    ),
    Flow.WIN_BEFORE_BET: (overtaken(Move.BET, Move.WIN, Move.CLOSE),),
    Flow.CLOSE_BEFORE_WIN: (in_turn(Move.BET, Move.CLOSE, Move.WIN),),
}
"""All flows, for a protocol with every move."""


def plan_round(
    seed: str,
    rates: Rates,
    game: Game,
    number: int,
    *,
    choreography: Choreography = EVERY_MOVE,
    attacks: Container[Attack] = frozenset(Attack),
) -> RoundPlan:
    """Plan one round; it depends on the arguments only, not on the rounds before it.

    Flows that the choreography does not have are played normally; attacks that are not named are left out.
    """
    source = _source(seed, number, "misbehaviour")
    flow = _draw_flow(source, rates, game)
    flow = flow if flow in choreography else Flow.NORMAL
    scores = choreography[flow]
    score = scores[number % len(scores)]
    steps = tuple(_draw_step(source, rates, move, is_awaited=is_awaited) for move, is_awaited in score)
    drawn = [kind for kind in Attack if _happens(source, rates.of(kind))]
    planted = tuple(kind for kind in drawn if kind in attacks)
    closes_with_win = flow is Flow.NORMAL and _happens(source, 25)
    return RoundPlan(
        number=number,
        flow=flow,
        choice=draw_choice(seed, game, number),
        steps=_draw_notices(_source(seed, number, "notices"), rates, flow, steps),
        planted=planted,
        closes_with_win=closes_with_win,
        feeds_jackpot=rates.jackpot > 0,
    )


def plan_rounds(
    seed: str, rates: Rates, game: Game, *, first_number: int, rounds: int
) -> tuple[RoundPlan, ...]:
    """Plan a batch of rounds, numbered upwards from the first."""
    return tuple(plan_round(seed, rates, game, first_number + index) for index in range(rounds))


def draw_choice(seed: str, game: Game, number: int) -> Choice:
    """Draw what the player bets on: dice that often win, few mines, or an early cash-out."""
    source = _source(seed, number, "choice")
    if game == "dice":
        return DiceBet(source.randrange(3_000, 7_000), source.choice(("over", "under")))
    if game == "mines":
        return MinesBet(source.randrange(1, 6), tuple(source.sample(range(25), source.randrange(1, 5))))
    return CrashBet(source.randrange(110, 301))


def draw_server_seed(seed: str, number: int) -> str:
    """Draw a round's server seed, 64 hex digits; a real house would never derive it from a plan."""
    return _source(seed, number, "server seed").randbytes(32).hex()


def draw_client_seed(seed: str) -> str:
    """Draw the player's own seed, 16 hex digits, the same in every round."""
    return _source(seed, 0, "client seed").randbytes(8).hex()


def _source(seed: str, number: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}\n{number}\n{purpose}")  # noqa: S311 (repeatable, not secret)


def _happens(source: random.Random, percent: int) -> bool:
    return source.randrange(100) < percent


def _draw_flow(source: random.Random, rates: Rates, game: Game) -> Flow:
    drawn = source.randrange(100)
    for flow in Flow:
        if flow is Flow.NORMAL:
            continue
        drawn -= rates.of(flow)
        if drawn < 0:
            # Whoever bets on crash does not know the result yet: there is nothing to send in one step.
            return Flow.NORMAL if game == "crash" and flow is Flow.BET_WIN else flow
    return Flow.NORMAL


def _draw_step(source: random.Random, rates: Rates, move: Move, *, is_awaited: bool) -> Step:
    copies, delay_ms = source.randint(2, MOST_COPIES), source.randint(1, LONGEST_DELAY_MS)
    return Step(
        move,
        copies=copies if _happens(source, rates.duplicate) else 1,
        delay_ms=delay_ms if _happens(source, rates.delay) else 0,
        drops_reply=_happens(source, rates.drop_reply),
        is_awaited=is_awaited,
    )


def _draw_notices(
    source: random.Random, rates: Rates, flow: Flow, steps: tuple[Step, ...]
) -> tuple[Step, ...]:
    """The same steps, some of them echoed, and a jackpot before or after the last one of a round that stands."""
    echoed = [
        replace(step, is_echoed=step.move in AFTER_BET and _happens(source, rates.echo)) for step in steps
    ]
    is_won = _happens(source, rates.jackpot)
    if is_won and flow not in (Flow.EARLY_ROLLBACK, Flow.LATE_ROLLBACK):
        # Not sooner: a bet that its win is to overtake would be waited for.
        echoed.insert(source.randint(2, len(echoed)), Step(Move.JACKPOT))
    return tuple(echoed)
