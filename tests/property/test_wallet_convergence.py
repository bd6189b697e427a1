"""Whatever the operator's wallet does to its replies, in the end it and the books agree, and no answer was untrue."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from croupier.errors import CroupierError
from croupier.ids import IdSource, bucket_of
from croupier.moneypath.commands import Action, Call, Rules, SpentWin
from croupier.moneypath.decide import Ask, decide_call
from croupier.moneypath.facts import Facts, Stamp
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.desk import WalletDesk
from croupier.operator.wallet.settling import Settling, SettlingParts
from croupier.wallet.accounts import WALLET, wallet_of
from croupier.wallet.calls import WalletTerms
from croupier.wallet.port import NotApplied, Unknown
from model.calls import NOW, bet, call, close_round, open_session, rollback, win
from model.town_wallet import TownWallet, Trouble

PLAYERS = ("player-1", "player-2")
PURSE = 500
TERMS = WalletTerms()
SOUND = (
    Trouble(is_applied=True, word=Unknown("reset")),
    Trouble(is_applied=True, word=Unknown("timeout")),
    Trouble(is_applied=False, word=Unknown("timeout")),
    Trouble(is_applied=False, word=NotApplied("unreachable")),
)
"""What may become of a reply of a wallet that keeps the contract."""


class Step(Struct, frozen=True):
    """One thing that happens: a call of a player, or time that passes, with what goes wrong at the wallet."""

    kind: str
    player: int
    number: int
    amount: int
    troubles: tuple[int, ...]


steps = st.builds(
    Step,
    kind=st.sampled_from(
        (
            "bet",
            "bet",
            "win",
            "rollback",
            "roll_back_win",
            "both",
            "two",
            "close",
            "wait",
            "down",
            "up",
            "cashier",
        )
    ),
    player=st.integers(0, 1),
    number=st.integers(0, 4),
    amount=st.integers(1, 400),
    troubles=st.lists(st.integers(0, len(SOUND)), max_size=3).map(tuple),
)


class Town:
    """A gateway without a database, and the wallet that it asks."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.facts = Facts(TERMS)
        self.wallet = TownWallet()
        self.ids = IdSource()
        self.now: datetime = NOW
        self.desk = WalletDesk(self.decide, self.wallet, self.ids, timeout_s=1.0, first_look_s=60.0)
        parts = SettlingParts(
            pool=None,  # type: ignore[arg-type]  # What is open is looked up in memory.
            desk=self.desk,
            ids=self.ids,
            now=lambda: self.now,
            terms=TERMS,
            timeout_s=1.0,
        )
        self.settling = Settling(parts)
        self.told: dict[str, str] = {}
        self.outside: Counter[str] = Counter()
        self.sessions = {player: self.ids.new(bucket_of(player)) for player in PLAYERS}

    async def decide(self, request: Call) -> tuple[Outcome, ...] | Ask:
        """What a lane does."""
        stamp = Stamp(self.now, self.ids, self.now + timedelta(hours=1))
        answer = decide_call(self.facts, request, stamp)
        if isinstance(answer, CroupierError):
            raise answer
        return answer

    async def open(self) -> None:
        """Both players have money and sit down."""
        for player in PLAYERS:
            self.wallet.deposit(player, PURSE)
            self.facts.players.add(player)
            await self.say(player, open_session(self.sessions[player], player_id=player))

    async def say(self, player: str, *actions: Action) -> None:
        """A provider's call; what it is told must stay true."""
        request = structs.replace(
            call(*actions),
            player_id=player,
            bucket=bucket_of(player),
            request_id=self.ids.new(bucket_of(player)),
            rules=self.rules,
        )
        try:
            outcomes = await self.desk.submit(request)
        except CroupierError:
            return
        if len(outcomes) > 1 and not all(outcome.is_approved for outcome in outcomes):
            return
        for outcome in outcomes:
            if not outcome.reference.startswith("ses_"):
                known = self.told.setdefault(outcome.reference, outcome.status)
                assert known == outcome.status, f"{outcome.reference} was {known} and is {outcome.status}"

    async def settle(self) -> None:
        """Go through everything that is due, oldest first, as a background process does."""
        for player in PLAYERS:
            for open_call in self.open_calls(player):
                if open_call.next_at is None or open_call.next_at > self.now:
                    break
                if not await self.settling.settle_one(open_call):
                    break

    def open_calls(self, player: str) -> list[Any]:
        """A player's calls that are not settled, in order."""
        mine = [one for one in self.facts.wallet_calls.values() if one.is_open and one.player_id == player]
        return sorted(mine, key=lambda one: one.id)

    def require_told(self) -> None:
        """What a player is told to have is what the wallet says, once nothing is under way."""
        for player in PLAYERS:
            on_the_way = self.open_calls(player)
            if self.outside[player] or any(
                one.state != "queued" or one.booked == "never" for one in on_the_way
            ):
                continue
            told = self.facts.balance(wallet_of(player, "EUR"))
            assert told == self.wallet.balance(player) + sum(one.unsent for one in on_the_way), player

    def flowed(self, player: str) -> int:
        """What the books moved for a player."""
        return sum(
            one.leg.amount
            for posted in self.facts.posted.values()
            for one in posted
            if one.leg.kind == WALLET and one.leg.owner == player
        )


async def play(script: list[Step], rules: Rules) -> Town:
    """Play a script, then let everything heal and settle."""
    town = Town(rules)
    await town.open()
    for step in script:
        await perform(town, step)
        town.require_told()
    town.wallet.is_down = False
    town.wallet.troubles.clear()
    town.wallet.status_troubles.clear()
    for _ in range(200):
        if not any(town.open_calls(player) for player in PLAYERS):
            town.require_told()
            return town
        town.now += timedelta(seconds=61)
        await town.settle()
    raise AssertionError(f"it never settles: {[town.open_calls(player) for player in PLAYERS]}")


async def perform(town: Town, step: Step) -> None:
    """One step of a script."""
    player = PLAYERS[step.player]
    name = f"{player}-{step.number}"
    town.wallet.troubles.extend(SOUND[number] for number in step.troubles if number < len(SOUND))
    session = {"player_id": player, "session_id": town.sessions[player], "round_id": f"round-{name}"}
    stake = bet(f"b-{name}", step.amount, **session)
    match step.kind:
        case "bet":
            await town.say(player, stake)
        case "win":
            await town.say(player, win(f"w-{name}", step.amount, **session))
        case "rollback":
            await town.say(player, rollback(f"b-{name}", f"rb-{name}", player_id=player))
        case "roll_back_win":
            await town.say(player, rollback(f"w-{name}", f"rw-{name}", player_id=player))
        case "both":
            await town.say(player, stake, win(f"w-{name}", step.amount // 2 + 1, **session))
        case "two":
            await town.say(player, stake, bet(f"c-{name}", step.amount, **session))
        case "close":
            await town.say(
                player,
                close_round(
                    f"c-{name}-end", f"round-{name}", player_id=player, session_id=town.sessions[player]
                ),
            )
        case "wait":
            town.now += timedelta(seconds=step.amount)
            await town.settle()
        case "cashier":
            town.wallet.deposit(player, step.amount)
            town.outside[player] += step.amount
        case "down" | "up":
            town.wallet.is_down = step.kind == "down"


@given(st.lists(steps, max_size=25), st.sampled_from(list(SpentWin)))
@settings(max_examples=300)
def test_wallet_and_books_agree_whatever_was_lost(script: list[Step], spent_win: SpentWin) -> None:
    town = asyncio.run(play(script, Rules(spent_win=spent_win)))
    for player in PLAYERS:
        expected = PURSE + town.outside[player] + town.flowed(player)
        assert town.wallet.balance(player) == expected, player
        assert town.wallet.balance(player) >= 0
    for reference, status in town.told.items():
        stored = town.facts.references[("acme", reference)]
        assert stored.status == status, reference
    breaks = {found.kind for effects in town.facts.applied for found in effects.breaks}
    assert not breaks & {
        "wallet_refused_credit",
        "wallet_moved_another_amount",
        "wallet_contradicts_itself",
    }, breaks
