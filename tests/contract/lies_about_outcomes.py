"""Wallets that are wrong about what became of something: rollbacks, status, lost answers, and many at once."""

from __future__ import annotations

import asyncio
import re

from contract.lie_registry import finds
from contract.wallet_proxy import LEFT_OUT, Call, LyingWallet, Reply, reply
from croupier.conformance.wallet.scenario import REMARK


def _nothing(call: Call, code: str, amount: str = "0", **more: object) -> Reply:
    """An approved rollback of our own."""
    about = {name: call.document[name] for name in ("reference", "player_id", "asset")}
    return reply(
        200, {"status": "approved", "code": code, **about, "amount": amount, "repeat": False, **more}
    )


@finds("rollbacks/of_a_debit", "rollbacks/of_a_credit")
async def keeps_a_cent_of_every_rollback(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/rollback":
        await wallet.shift(call, -1)
    return answer


@finds("rollbacks/before_its_debit", "rollbacks/before_its_credit", "status/tombstoned")
async def forgets_tombstones(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback":
        target = await wallet.status_of(call, call.document["target_reference"])
        if target["status"] == "not_found":
            return _nothing(call, "nothing_to_roll_back")
    return await wallet.pass_on(call)


@finds("rollbacks/race_with_its_debit")
async def forgets_tombstones_under_load(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback":
        target = await wallet.status_of(call, call.document["target_reference"])
        if target["status"] == "not_found":
            return _nothing(call, "nothing_to_roll_back")
    if call.path == "/debit":
        await asyncio.sleep(0.02)
    return await wallet.pass_on(call)


@finds("rollbacks/by_another_reference", "rollbacks/at_once")
async def undoes_once_for_each_reference(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/rollback" and answer.document.get("code") == "already_rolled_back":
        await wallet.shift(call, int(call.document["amount"]))
        return answer.with_members(code="ok", amount=call.document["amount"], wallet_reference="w-1")
    return answer


@finds("rollbacks/spent_refuses")
async def always_takes_what_is_left(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback":
        return await wallet.change(call, if_spent="take_what_is_left")
    return await wallet.pass_on(call)


@finds("rollbacks/spent_takes_what_is_left")
async def always_refuses_what_is_spent(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback":
        return await wallet.change(call, if_spent="refuse")
    return await wallet.pass_on(call)


@finds("rollbacks/spent_takes_what_is_left")
async def says_that_it_took_everything(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(amount=call.document["amount"]) if call.path == "/rollback" else answer


@finds("rollbacks/spent_with_nothing_left")
async def does_not_mark_what_it_could_not_take(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback" and await wallet.balance_of(call) == 0:
        return _nothing(call, "ok", balance="0", wallet_reference="w-0")
    return await wallet.pass_on(call)


@finds("rollbacks/of_a_refused_debit")
async def gives_back_what_it_refused(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/rollback" and answer.document["code"] == "nothing_to_roll_back":
        await wallet.shift(call, int(call.document["amount"]))
    return answer


@finds("rollbacks/of_another_player")
async def does_not_ask_whose_it_is(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/rollback" and answer.status != 200:
        await wallet.shift(call, int(call.document["amount"]))
    return answer


@finds("rollbacks/of_another_amount")
async def undoes_the_amount_that_is_named(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/rollback" and answer.status != 200:
        await wallet.shift(call, int(call.document["amount"]))
        return _nothing(call, "ok", call.document["amount"], balance="1", wallet_reference="w-1")
    return answer


@finds("status/approved")
async def tells_no_balance_of_now(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.moves and answer.status == 200:
        wallet.memory.setdefault(call.reference, answer.document.get("balance"))
    if call.path == "/status" and call.reference in wallet.memory:
        return answer.with_members(balance=wallet.memory[call.reference])
    return answer


@finds("status/refused")
async def does_not_keep_refusals_for_status(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/status" and answer.document["status"] == "refused":
        about = {name: call.document[name] for name in ("reference", "player_id", "asset")}
        return reply(200, {"status": "not_found", **about})
    return answer


@finds("status/not_found")
async def decides_by_being_asked(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/status" and answer.document["status"] == "not_found":
        wallet.memory[call.reference] = True
    if call.path == "/debit" and call.reference in wallet.memory:
        return answer.with_members(status="refused", code="tombstoned", amount=LEFT_OUT)
    return answer


@finds("status/of_a_rollback")
async def tells_rollbacks_as_debits(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(operation="debit") if call.path == "/status" else answer


@finds("status/after_rollback")
async def tells_what_was_undone_as_refused(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/rollback":
        wallet.memory[call.document["target_reference"]] = True
    if call.path == "/status" and call.reference in wallet.memory:
        return answer.with_members(status="refused", code="tombstoned", amount=LEFT_OUT)
    return answer


@finds("lost_replies/of_a_debit", "lost_replies/of_a_credit", "lost_replies/with_a_repeat_at_once")
async def knows_only_what_it_could_answer(wallet: LyingWallet, call: Call) -> Reply:
    if call.path in ("/debit", "/credit") and await _has_left(call):
        return await wallet.again(call)
    return await wallet.pass_on(call)


@finds("lost_replies/of_a_rollback")
async def refunds_and_forgets_what_it_could_not_answer(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback" and await _has_left(call):
        await wallet.shift(call, int(call.document["amount"]))
        return _nothing(call, "ok", call.document["amount"])
    return await wallet.pass_on(call)


@finds("lost_replies/of_a_debit")
async def takes_back_what_it_could_not_answer(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/debit" and await _has_left(call):
        await wallet.shift(call, int(call.document["amount"]))
    return answer


async def _has_left(call: Call) -> bool:
    """Whether the other side has hung up, as far as it shows in a moment."""
    for _ in range(20):
        if call.transport is None or call.transport.is_closing():
            return True
        await asyncio.sleep(0.001)
    return False


@finds("lost_replies/half_a_request")
async def completes_half_requests(wallet: LyingWallet, call: Call) -> Reply:
    text = call.body.decode()
    if call.path == "/debit" and not call.document and (name := re.search(r"wtx_\w+", text)):
        player, asset = re.search(r'"player_id":"([^"]+)","asset":"(\w+)"', text).groups()  # type: ignore[union-attr]
        call.document.update(player_id=player, asset=asset, reference=name[0])
        await wallet.shift(call, -100)
        return _nothing(call, "ok", "100")
    return await wallet.pass_on(call)


@finds("concurrency/last_cent")
async def reads_the_balance_before_it_locks(wallet: LyingWallet, call: Call) -> Reply:
    if call.path != "/debit":
        return await wallet.pass_on(call)
    had = await wallet.balance_of(call)
    answer = await wallet.pass_on(call)
    if answer.document.get("code") == "insufficient_funds" and had >= int(call.document["amount"]):
        return _nothing(call, "ok", call.document["amount"], balance="0", wallet_reference="w-1")
    return answer


@finds("concurrency/mixed")
async def writes_the_balance_that_it_read(wallet: LyingWallet, call: Call) -> Reply:
    if call.path not in ("/debit", "/credit"):
        return await wallet.pass_on(call)
    before = await wallet.balance_of(call)
    answer = await wallet.pass_on(call)
    change = int(call.document["amount"]) * (-1 if call.path == "/debit" else 1)
    await wallet.shift(call, before + change - await wallet.balance_of(call))
    return answer


@finds("concurrency/players_are_independent", status=REMARK)
async def serves_one_after_the_other(wallet: LyingWallet, call: Call) -> Reply:
    async with wallet.lock:
        if call.path == "/debit":
            await asyncio.sleep(0.03)
        return await wallet.pass_on(call)
