"""Bounds: what is long and still allowed, and what is too long."""

from __future__ import annotations

from typing import Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import render_json
from croupier.conformance.wallet.orders import Player, debit, fresh_reference, render_body, with_members
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

LARGE: Final = 256 * 1024 + 1
REFERENCE_CHARACTERS: Final = 64
NAMES: Final = ("Ünï-Çødé", "玩家-7", "игрок/42", "emoji-🎲", "a b+c%20&d=e", "O'Brien\"\\", "İı-ß")


@scenario(
    "A body of more than 256 KiB is refused as `body_too_large`",
    why="Nothing that the contract has is so long; a wallet that reads on can be filled up.",
    fix="Limit the size of bodies to 256 KiB in your server, and answer 413 in the contract's form.",
    rule=rules.TOO_LARGE,
)
async def large_body(stage: Stage) -> None:
    """A debit with a long member that nobody knows; a wallet that hangs up has refused it too."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    exchange = await stage.caller.call(order.path, render_body(with_members(order, padding="x" * LARGE)))
    if exchange.status == 0:
        stage.exchanges.append(exchange)
        stage.remark("the wallet hangs up on a large body; 413 would say that nothing was applied")
    else:
        stage.expect_error(stage.require(exchange), {413: ("body_too_large",)})
    await stage.expect_balance(player, before, "after a body that was too large")
    await stage.expect_unheard(order)


@scenario(
    "Members that the contract does not have are ignored",
    why="Later versions of Croupier add some.",
    fix="Read the members that you know and leave the others alone.",
    rule=rules.UNKNOWN_MEMBERS,
)
async def unknown_members(stage: Stage) -> None:
    """In a debit, a status and a balance."""
    player = await stage.player()
    order = debit(player, 100)
    more = {"new_member": {"deep": [1, None, "x"]}, "amount_major": "1.00"}
    await stage.approve(with_members(order, **more))
    about = {"player_id": player.id, "asset": player.asset}
    stage.expect(
        await stage.ask("/status", {"reference": order.reference, **about, **more}), status="approved"
    )
    stage.expect(await stage.ask("/balance", {**about, **more}), status="approved")


@scenario(
    "References of 64 characters are told apart to the last one",
    why="A column that cuts them makes two movements one.",
    fix="Make the column of references at least 64 characters long, and let it refuse instead of cut.",
    rule=rules.REFERENCES,
)
async def long_references(stage: Stage) -> None:
    """Two that differ in the last character, and two that differ in its case."""
    player = await stage.player()
    before = await stage.balance(player)
    stem = fresh_reference().ljust(REFERENCE_CHARACTERS - 1, "_")
    for last in ("a", "b", "A"):
        await stage.approve(debit(player, 10, reference=stem + last))
    await stage.expect_balance(player, before - 30, "after three debits with long references")


@scenario(
    "Long ids of providers, sessions, rounds and games are taken",
    why="Providers choose them; some are long.",
    fix="Use text without a length, or at least 255 characters.",
    rule=rules.NULLS,
)
async def long_ids(stage: Stage) -> None:
    """128 characters each, not all of them ASCII."""
    player = await stage.player()
    long = "ü" + "x" * 126 + "ß"
    names = dict.fromkeys(("provider_reference", "session_id", "round_id", "game_id"), long)
    await stage.approve(with_members(debit(player, 10), **names))


@scenario(
    "Player ids are compared as they are: any script, any sign, upper and lower case",
    why="They are the operator's own; Croupier passes them on unchanged.",
    fix="Compare ids bytewise, without folding case and without normalising, and never build SQL or URLs of them.",
    rule=rules.NO_SUCH_WALLET,
)
async def unicode_players(stage: Stage) -> None:
    """Names of strangers, and a real one in capitals, asked for and named in the answer."""
    player = await stage.player()
    names = (*(f"{player.id}-{name}" for name in NAMES), player.id.upper(), "ﬀ" + player.id, player.id + " ")
    for name in names:
        exchange = await stage.ask("/balance", {"player_id": name, "asset": player.asset})
        is_nobody = exchange.get("code") == "unknown_player" or exchange.get("balance") == "0"
        if name != player.id and not (exchange.status == 200 and is_nobody):
            raise Failed(
                "200 with a refusal `unknown_player`", told(exchange, ("status", "balance")), exchange
            )
        stage.expect(exchange, player_id=name, asset=player.asset)


@scenario(
    "An asset is compared as it is",
    why="`eur` is not `EUR`: Croupier's assets are told apart by case.",
    fix="Compare assets bytewise.",
    rule=rules.NO_SUCH_WALLET,
)
async def asset_case(stage: Stage) -> None:
    """The asset with its case swapped."""
    player = await stage.player()
    if player.asset.swapcase() == player.asset:
        return
    before = await stage.balance(player)
    await stage.refuse(
        debit(Player(player.id, player.asset.swapcase()), 1),
        "unknown_asset",
        "unknown_player",
        "insufficient_funds",
    )
    await stage.expect_balance(player, before, "of the asset as it is written")


@scenario(
    "A body may be written with spaces and escapes",
    why="JSON has many spellings; the signature covers the bytes, not their meaning.",
    fix="Check the signature over the bytes as they came, then parse them with a JSON library.",
    rule=rules.SIGNED,
)
async def other_spelling(stage: Stage) -> None:
    """Line breaks, and a letter as an escape."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 10)
    body = render_json(render_body(order)).replace(b",", b",\r\n\t ").replace(b'"amount"', b'"\\u0061mount"')
    exchange = await stage.ask(order.path, body)
    stage.expect_approved(exchange, order)
    stage.books.note(order, exchange.get)
    await stage.expect_balance(player, before - 10, "after a debit in another spelling")
