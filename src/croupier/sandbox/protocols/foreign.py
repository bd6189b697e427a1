"""What the protocols of other vendors have in common for a provider: names, copies, balances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, assert_never
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Item, Round
from croupier.sandbox.plan import Move
from croupier.sandbox.replies import Balance, Decision, Meaning, Received, Reply
from croupier.sandbox.wire import Signed, Wire

JSON_TYPE: Final = ("Content-Type", "application/json")
_NAMES: Final = uuid5(NAMESPACE_URL, "croupier:sandbox")
_PASSING: Final = frozenset({408, 429})


class ForeignWire(Wire):
    """A protocol that is not ours: references are UUIDs, repeats agree in the operator's transaction id.

    `stored_balances`: a repeat tells the balance of the first time, not today's.
    """

    sign_header: ClassVar[str]
    stored_balances: ClassVar[bool] = False

    def name_of(self, text: str) -> str:
        """A UUID for one of our names, the same every time."""
        return str(uuid5(_NAMES, f"{self.account.id}/{text}"))

    def items_of(self, round_: Round, move: Move) -> tuple[Item, ...]:
        """The transactions of a move under UUIDs; the bet's before the win's."""
        return tuple(
            replace(
                item,
                reference=self.name_of(item.reference),
                target_reference=None
                if item.target_reference is None
                else self.name_of(item.target_reference),
            )
            for item in plain_items(round_, move)
        )

    def differences(self, replies: Sequence[Reply], *, is_any_lost: bool) -> list[str]:
        """Copies agree in what was decided and in the operator's ids, and in the balance where that is stored."""
        facts = [[self._facts(decision) for decision in reply.decisions] for reply in replies]
        differ = any(other != facts[0] for other in facts[1:])
        return ["the answers to copies of one call differ"] if differ else []

    def _facts(self, decision: Decision) -> tuple[object, ...]:
        balance = decision.balance if self.stored_balances else None
        return decision.reference, decision.status, decision.code, decision.operator_id, balance

    def strip(self, signed: Signed) -> Signed:
        """Without the signature's header."""
        return replace(signed, headers=tuple(one for one in signed.headers if one[0] != self.sign_header))

    def balance_of(self, call: Call, minor: int) -> Balance:
        """A balance of the call's player."""
        return Balance(str(minor), call.seat.asset)

    def approve(
        self, call: Call, balance: Balance | None, *, code: str = "ok", operator_ids: Sequence[str] = ()
    ) -> tuple[Decision, ...]:
        """A decision for each transaction of the call, approved."""
        ids = [*operator_ids, *[None] * len(call.items)]
        return tuple(
            Decision("approved", code, item.reference, None, balance, None, operator_id)
            for item, operator_id in zip(call.items, ids, strict=False)
        )

    def decline(self, call: Call, code: str, balance: Balance | None) -> tuple[Decision, ...]:
        """A decision for each transaction of the call, declined."""
        return tuple(Decision("declined", code, item.reference, None, balance, None) for item in call.items)


def plain_items(round_: Round, move: Move) -> tuple[Item, ...]:
    """The transactions of a move under our own names."""
    bet = Item("bet", round_.reference("bet"), round_.stake_minor)
    match move:
        case Move.BET:
            return (bet,)
        case Move.WIN:
            return (Item("win", round_.reference("win"), round_.result.win_minor),)
        case Move.BET_WIN:
            win = Item("win", round_.reference("win"), round_.result.win_minor)
            return (bet, win) if win.amount_minor > 0 else (bet,)
        case Move.CLOSE:
            return (Item("close", round_.reference("close"), 0),)
        case Move.ROLLBACK_WIN:
            target, amount = round_.reference("win"), round_.result.win_minor
            return (Item("rollback_win", round_.reference("rollback-win"), amount, target),)
        case Move.ROLLBACK_BET | Move.ROLLBACK_AGAIN | Move.ROLLBACK_SETTLED:
            name = round_.reference(move.value.replace("_", "-"))
            return (Item("rollback_bet", name, round_.stake_minor, bet.reference),)
        case Move.JACKPOT:
            raise ValueError("jackpots are told by webhook, which this protocol does not have")
        case _:
            assert_never(move)


def is_passing(status: int) -> bool:
    """Whether an HTTP status says nothing about the call: the gateway is busy, or failed."""
    return status in _PASSING or status >= 500


def senseless(received: Received, why: str) -> Reply:
    """An answer that is not what the protocol says: nothing may be concluded from it, and it is a finding."""
    finding = f"the answer is not as the protocol says: {why}"
    return Reply(received=received, meaning=Meaning.REPEAT, findings=(finding,))


def encode_json(document: Any) -> bytes:
    """Compact JSON."""
    return msgspec.json.encode(document)


def give_twice(call: Call, member: str, value: bytes) -> Call:
    """The call with a member of its JSON body given once more, in front."""
    return replace(call, body=b'{"' + member.encode() + b'":' + value + b"," + call.body[1:])


def swap_once(call: Call, old: bytes, new: bytes) -> Call:
    """The call with one part of its body changed; raises ValueError if it is not there."""
    if old not in call.body:
        raise ValueError(f"the body has no {old!r}")
    return replace(call, body=call.body.replace(old, new, 1))
