"""Amounts: exact to the last digit, or refused."""

from __future__ import annotations

from typing import Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import render_json
from croupier.conformance.wallet.orders import Order, Player, credit, debit, render_body, with_members
from croupier.conformance.wallet.scenario import Scenario, scenario
from croupier.conformance.wallet.stage import MALFORMED, Stage, told
from croupier.conformance.wallet.verdicts import Failed

EXACT = "Keep amounts as NUMERIC(38) or as integers of any size, never as a double, and read them from text."
STRICT = "Match `amount` with `^[1-9][0-9]{0,37}$` before anything else is done with it."
LARGEST: Final = 10**38 - 1
NOT_TAKEN: Final = {400: ("malformed",), 422: ("amount_not_representable",)}

TEXTS: Final = (
    ("zero", '"0"', "0"),
    ("negative", '"-1"', "-1"),
    ("decimals", '"1.0"', "1.0"),
    ("leading_zero", '"01"', "01"),
    ("plus_sign", '"+1"', "+1"),
    ("exponent", '"1e3"', "1e3"),
    ("spaces", '" 1"', "a number after a space"),
    ("line_break", '"1\\n"', "a number before a line break"),
    ("separators", '"1_000"', "1_000"),
    ("other_digits", '"١٢"', "digits of another script"),
    ("empty", '""', "an empty text"),
    ("words", '"NaN"', "NaN"),
    ("json_number", "1", "a JSON number"),
    ("json_exponent", "1e3", "a JSON number with an exponent"),
    ("null", "null", "null"),
    ("list", '["1"]', "a list"),
)


async def _count_exactly(stage: Stage, player: Player, amount: int) -> None:
    """Give it, take one less, take the one."""
    before = await stage.balance(player)
    await stage.approve(credit(player, amount))
    await stage.expect_balance(player, before + amount, f"after a credit of {amount}")
    await stage.approve(debit(player, amount - 1))
    await stage.expect_balance(player, before + 1, f"after a debit of {amount - 1}")
    await stage.approve(debit(player, 1))


@scenario(
    "Amounts beyond what a double can hold are exact",
    why="A double rounds from 2^53 on: the 17th digit of an amount is somebody's money.",
    fix=EXACT,
    rule=rules.AMOUNTS,
)
async def beyond_doubles(stage: Stage) -> None:
    """2^53 + 1, and its neighbours."""
    player = await stage.player()
    for amount in (2**53 - 1, 2**53 + 1):
        await _count_exactly(stage, player, amount)


@scenario(
    "Assets with 18 decimals are exact",
    why="One unit of such an asset is a 19-digit number of minor units, beyond 64 bits from ten units on.",
    fix=EXACT,
    rule=rules.AMOUNTS,
)
async def eighteen_decimals(stage: Stage) -> None:
    """1.000000000000000001, and a hundred units and one."""
    player = await stage.player()
    for amount in (10**18 + 1, 10**20 + 1):
        if not await _is_taken(stage, player, amount):
            return
        await _count_exactly(stage, player, amount)


@scenario(
    "Amounts of 38 digits are exact, or refused as not representable",
    why="It is the longest that the contract allows.",
    fix=f"{EXACT} A wallet that cannot hold so much answers 422 `amount_not_representable`.",
    rule=rules.AMOUNTS,
)
async def thirty_eight_digits(stage: Stage) -> None:
    """A credit whose every digit counts, into an account that it fits."""
    player = await stage.player()
    amount = 12_345_678_901_234_567_890_123_456_789_012_345_678
    if await _is_taken(stage, player, amount):
        await _count_exactly(stage, player, amount)


async def _is_taken(stage: Stage, player: Player, amount: int) -> bool:
    """Whether the wallet can hold so much; a remark when it says that it cannot."""
    before = await stage.balance(player)
    order = credit(player, amount)
    exchange = await stage.decide(order)
    if exchange.status == 200:
        stage.expect_approved(exchange, order)
        await stage.approve(debit(player, amount))
        return True
    stage.expect_error(exchange, {422: ("amount_not_representable",)})
    await stage.expect_balance(player, before, "after an amount that was not representable")
    stage.remark(f"the wallet cannot hold {len(str(amount))} digits: amounts of such assets will fail")
    return False


@scenario(
    "Amounts beyond 38 digits are refused",
    why="Nobody asks for so much, but a number that wraps around pays it.",
    fix=STRICT,
    rule=rules.NOT_REPRESENTABLE,
)
async def beyond_38_digits(stage: Stage) -> None:
    """39 digits, and a thousand."""
    player = await stage.player()
    for amount in (10**38, 10**999):
        await _expect_not_taken(stage, player, f'"{amount}"')


@scenario(
    "A balance never grows beyond 38 digits, and never wraps",
    why="A sum that does not fit must be refused, not cut.",
    fix="Let the column's own limit refuse it, and answer 422 `amount_not_representable` when it does.",
    rule=rules.NOT_REPRESENTABLE,
)
async def sum_beyond_38_digits(stage: Stage) -> None:
    """The largest amount of all on top of some money."""
    player = await stage.player()
    before = await stage.balance(player)
    exchange = await stage.decide(credit(player, LARGEST))
    if exchange.status == 200 and exchange.get("status") == "approved":
        raise Failed("422 `amount_not_representable`, or a refusal", told(exchange), exchange)
    if exchange.status != 200:
        stage.expect_error(exchange, NOT_TAKEN)
    await stage.expect_balance(player, before, "after a credit that does not fit")


def raw_amount(order: Order, text: str) -> bytes:
    """The body with these characters as its amount, which may be no text of JSON."""
    body = render_json(render_body(with_members(order, amount="@amount@")))
    return body.replace(b'"@amount@"', text.encode())


async def _expect_not_taken(stage: Stage, player: Player, text: str) -> None:
    before = await stage.balance(player)
    for order in (debit(player, 1), credit(player, 1)):
        exchange = await stage.ask(order.path, raw_amount(order, text))
        stage.expect_error(exchange, MALFORMED)
        await stage.expect_unheard(order)
    await stage.expect_balance(player, before, "after amounts that no wallet may take")


def _malformed(name: str, text: str, shown: str) -> Scenario:
    @scenario(
        f"An amount that is {shown} is refused",
        why="Read leniently, a typing mistake becomes another amount.",
        fix=STRICT,
        rule=rules.AMOUNTS,
        name=name,
    )
    async def play(stage: Stage) -> None:
        await _expect_not_taken(stage, await stage.player(), text)

    return play


MALFORMED_AMOUNTS: Final = tuple(_malformed(*one) for one in TEXTS)
