"""The reference wallet decides as a second, much simpler one does, whatever comes in whatever order."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from wallet_caller import Caller, item, open_wallet

PLAYERS = ("p-1", "p-2", "p-none")
START = 500


@dataclass
class Model:
    """A wallet in a few lines of dictionaries; answers are (status, code, amount, balance, repeat)."""

    held: dict[str, int] = field(default_factory=lambda: {"p-1": START, "p-2": START})
    decided: dict[str, tuple[tuple[Any, ...], tuple[str, str, int | None]]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)

    def decide(self, order: dict[str, Any]) -> tuple[Any, ...]:
        """What is to be answered."""
        print_of = _print(order)
        reference, player = order["reference"], order["player_id"]
        known = self.decided.get(reference)
        is_its_own_target = order.get("target_reference") == reference
        if is_its_own_target or (known is not None and known[0] != print_of):
            return ("error", "reference_conflict", None, None, None)
        answer = known[1] if known is not None else self._first(order)
        if answer[0] != "error":
            self.decided[reference] = (print_of, answer)
            return (*answer, self.held.get(player), known is not None)
        return (*answer, None, None)

    def _first(self, order: dict[str, Any]) -> tuple[str, str, int | None]:
        reference, player, amount = order["reference"], order["player_id"], int(order["amount"])
        if reference in self.dead:
            return ("refused", "tombstoned", None)
        if order["operation"] == "rollback":
            return self._undo(order, player)
        if player not in self.held:
            return ("refused", "unknown_player", None)
        if order["operation"] == "debit" and self.held[player] < amount:
            return ("refused", "insufficient_funds", None)
        self.held[player] += amount if order["operation"] == "credit" else -amount
        return ("approved", "ok", amount)

    def _undo(self, order: dict[str, Any], player: str) -> tuple[str, str, int | None]:
        target = order["target_reference"]
        aim = self.decided.get(target)
        if aim is not None:
            operation, whose, asset, asked, _ = aim[0]
            same = (whose, asset, asked) == (player, order["asset"], order["amount"])
            if operation == "rollback" or not same:
                return ("error", "reference_conflict", None)
        else:
            self.dead.add(target)
        if player not in self.held:
            return ("refused", "unknown_player", None)
        if aim is None or aim[1][0] == "refused":
            return ("approved", "nothing_to_roll_back", 0)
        if target in self.undone:
            return ("approved", "already_rolled_back", 0)
        amount = int(order["amount"])
        if aim[0][0] == "credit":
            if amount > self.held[player] and order["if_spent"] == "refuse":
                return ("refused", "insufficient_funds", None)
            amount = min(amount, self.held[player])
        self.held[player] += -amount if aim[0][0] == "credit" else amount
        self.undone.add(target)
        return ("approved", "ok", amount)


def _print(order: dict[str, Any]) -> tuple[Any, ...]:
    names = ("operation", "player_id", "asset", "amount", "target_reference")
    return tuple(order.get(name) for name in names)


def _draw(chance: random.Random) -> dict[str, Any]:
    """Few references, players and amounts, so that most orders meet an earlier one."""
    operation = chance.choice(["debit", "debit", "credit", "rollback", "rollback"])
    target = {"target": f"wtx_{chance.randrange(60)}"} if operation == "rollback" else {}
    player = chance.choices(PLAYERS, [5, 5, 1])[0]
    spent = {"if_spent": chance.choice(["refuse", "take_what_is_left"])} if operation == "rollback" else {}
    amount = chance.choice(["100", "100", "100", "300"])
    return item(operation, f"wtx_{chance.randrange(60)}", amount, player_id=player, **target, **spent)


def _shape(answer: dict[str, Any]) -> tuple[Any, ...]:
    amount, balance = answer.get("amount"), answer.get("balance")
    return (
        answer["status"],
        answer["code"],
        None if amount is None else int(amount),
        None if balance is None else int(balance),
        answer.get("repeat"),
    )


@pytest.mark.parametrize("seed", range(8))
async def test_the_wallet_and_its_model_agree_on_every_answer(empty_database_url: str, seed: int) -> None:
    chance, model = random.Random(seed), Model()
    async with open_wallet(empty_database_url) as wallet:
        for player in model.held:
            await wallet.deposit(START, player)
        for _ in range(20):
            orders = [_draw(chance) for _ in range(chance.randrange(1, 40))]
            for order, answer in zip(orders, await _send(wallet, orders), strict=True):
                assert _shape(answer) == model.decide(order), (seed, order)
        for player, held in model.held.items():
            assert await wallet.balance(player) == held
        assert await wallet.is_balanced()


async def _send(wallet: Caller, orders: list[dict[str, Any]]) -> list[Any]:
    """One batch for each stretch of one player: only within a player is an order promised."""
    answers: list[Any] = []
    stretch: list[dict[str, Any]] = []
    for order in orders:
        if stretch and stretch[-1]["player_id"] != order["player_id"]:
            answers += await wallet.batch(*stretch)
            stretch = []
        stretch.append(order)
    return answers + await wallet.batch(*stretch)
