"""Wallets that decide rightly and say it in a form of their own: found by the contract's schemas alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from contract.lie_registry import finds
from contract.wallet_proxy import LEFT_OUT, Call, LyingWallet, Reply


@finds("debits/takes_the_amount")
async def calls_json_text(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return replace(answer, media_type="text/plain") if call.path == "/debit" else answer


@finds("debits/takes_the_amount")
async def says_one_member_twice(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    twice = b'{"amount": "1", ' + answer.body[1:]
    return replace(answer, body=twice) if call.path == "/debit" else answer


@finds("debits/takes_the_amount")
async def has_no_ids(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(wallet_reference=LEFT_OUT) if call.path == "/debit" else answer


@finds("debits/one_too_many")
async def shouts_its_codes(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if answer.document.get("status") != "refused" or call.path != "/debit":
        return answer
    return answer.with_members(code="INSUFFICIENT_FUNDS")


@finds("errors/unknown_path", "signatures/missing")
async def explains_no_error(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(detail=LEFT_OUT) if answer.status != 200 else answer


@finds("statement/lists_movements")
async def tells_local_times(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path != "/statement":
        return answer
    lines: list[dict[str, Any]] = answer.document["movements"]
    local = [{**one, "recorded_at": f"{one['recorded_at'][:19]}+02:00"} for one in lines]
    return answer.with_members(movements=local)
