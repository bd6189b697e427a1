"""Requests that are refused for their form: each with its status, its code, and the word that nothing was applied."""

from __future__ import annotations

from typing import Any, Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import How, render_json
from croupier.conformance.wallet.orders import debit, render_body, rollback, with_members
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

WHY = 'Only `"applied": "no"` lets Croupier tell the provider that nothing happened; all else is unknown, and waits.'
FIX = 'Answer every error as `{"code", "detail", "applied"}` with `application/json`, also those of your framework.'
BAD_REQUEST: Final = {400: ("malformed",)}


@scenario(
    "A path that the contract does not have is 404 in the contract's form",
    why=WHY,
    fix=FIX,
    rule=rules.UNKNOWN_PATH,
)
async def unknown_path(stage: Stage) -> None:
    """Signed like any other."""
    for path in ("/no-such-call", "/debit/now", "/"):
        stage.expect_error(await stage.ask(path, {}), {404: ("unknown_path",)})


@scenario("Another media type is 415 in the contract's form", why=WHY, fix=FIX, rule=rules.TOO_LARGE)
async def other_media_type(stage: Stage) -> None:
    """Text and a form; a charset beside JSON is allowed."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    for media_type in ("text/plain", "application/x-www-form-urlencoded"):
        await stage.reject(order, {415: ("unsupported_media_type",)}, How(media_type=media_type))
    await stage.expect_unheard(order)
    exchange = await stage.move(order, How(media_type="application/json; charset=utf-8"))
    stage.expect_approved(exchange, order)
    await stage.expect_balance(player, before - 100, "after one debit with a charset")


@scenario("What is no JSON object is 400 in the contract's form", why=WHY, fix=FIX, rule=rules.MALFORMED)
async def no_json(stage: Stage) -> None:
    """Nothing, half a text, a list, a number, bytes that are no UTF-8."""
    for body in (b"", b"{", b'{"reference":', b"[]", b"7", b"null", b'{"reference":"\xff"}', b"[" * 5000):
        stage.expect_error(await stage.ask("/debit", body), BAD_REQUEST)


@scenario("A member that is missing or of another type is 400", why=WHY, fix=FIX, rule=rules.MALFORMED)
async def broken_members(stage: Stage) -> None:
    """Every member that a debit cannot do without, left out and replaced."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    for name in ("reference", "player_id", "asset", "amount"):
        body = render_body(order)
        del body[name]
        stage.expect_error(await stage.ask("/debit", body), BAD_REQUEST)
        for value in (None, 7, ["x"], {"x": "y"}):
            stage.expect_error(await stage.ask("/debit", {**render_body(order), name: value}), BAD_REQUEST)
    await stage.expect_unheard(order)
    await stage.expect_balance(player, before, "after broken debits")


@scenario("A rollback without target is 400, and leaves no tombstone", why=WHY, fix=FIX, rule=rules.MALFORMED)
async def broken_rollback(stage: Stage) -> None:
    """Without a target, and with a word for `if_spent` that nobody knows."""
    player = await stage.player()
    stake = debit(player, 100)
    body = render_body(rollback(stake))
    without = {name: value for name, value in body.items() if name != "target_reference"}
    stage.expect_error(await stage.ask("/rollback", without), BAD_REQUEST)
    stage.expect_error(await stage.ask("/rollback", {**body, "if_spent": "perhaps"}), BAD_REQUEST)
    await stage.approve(stake)


@scenario(
    "A member that stands there twice is refused",
    why="Two readers of one text may take different ones: what was signed is then not what is booked.",
    fix="Let the JSON parser refuse repeated keys, or check for them. A wallet that takes one of them gets a remark.",
    rule=rules.MALFORMED,
)
async def repeated_member(stage: Stage) -> None:
    """Two amounts."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    body = render_json(render_body(order)).replace(b"{", b'{"amount":"1",', 1)
    exchange = await stage.ask("/debit", body)
    if exchange.status == 200 and exchange.get("status") == "approved":
        taken = int(exchange.get("amount"))
        stage.remark(f"the wallet takes one of two amounts, {taken}; it should refuse both")
        stage.books.note(order, exchange.get)
        await stage.expect_balance(player, before - taken, f"after a debit of {taken}")
        return
    stage.expect_error(exchange, BAD_REQUEST)
    await stage.expect_unheard(order)
    await stage.expect_balance(player, before, "after a debit with two amounts")


@scenario(
    "An error says so in the contract's form, and the reference stays free",
    why=WHY,
    fix=FIX,
    rule=rules.ERRORS,
)
async def leaves_the_reference_free(stage: Stage) -> None:
    """Refused for its form, then sent as it should be."""
    player = await stage.player()
    order = debit(player, 100)
    for wrong in ("", "0", "x"):
        exchange = await stage.ask("/debit", render_body(with_members(order, amount=wrong)))
        said: Any = exchange.get("applied")
        if exchange.status not in (400, 422) or said != "no":
            raise Failed('400 or 422, with "applied": "no"', told(exchange), exchange)
    await stage.approve(order)
