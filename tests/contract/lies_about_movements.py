"""Wallets that move what they should not, each in one way: balances, debits, credits, repeats and conflicts."""

from __future__ import annotations

from contract.lie_registry import finds
from contract.wallet_proxy import LEFT_OUT, Call, LyingWallet, Reply, error, reply


@finds("balance/follows_movements")
async def remembers_an_old_balance(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path != "/balance" or answer.status != 200:
        return answer
    kept: Reply = wallet.memory.setdefault(call.document["player_id"], answer)
    return kept


@finds("balance/moves_nothing")
async def takes_a_fee_for_questions(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/balance" and answer.document["status"] == "approved":
        await wallet.shift(call, -1)
    return answer


@finds("balance/unknown_player", "balance/unknown_asset")
async def answers_404_for_strangers(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    is_first = not wallet.memory
    wallet.memory["is_past_the_first_look"] = True
    if call.path == "/balance" and answer.document["status"] == "refused" and not is_first:
        return error(404, "unknown_player")
    return answer


@finds("debits/takes_the_amount", "debits/takes_everything")
async def takes_one_more(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/debit" and answer.document.get("status") == "approved":
        await wallet.shift(call, 1 if answer.document["balance"] == "0" else -1)
    return answer


@finds("debits/takes_the_amount")
async def tells_another_amount(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/debit" and answer.status == 200:
        return answer.with_members(amount=answer.document["amount"] + "0")
    return answer


@finds("debits/takes_the_amount")
async def tells_the_balance_before(wallet: LyingWallet, call: Call) -> Reply:
    before = await wallet.balance_of(call)
    answer = await wallet.pass_on(call)
    return answer.with_members(balance=str(before)) if call.path == "/debit" else answer


@finds("debits/takes_the_amount")
async def names_another_player(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(player_id="somebody") if call.path == "/debit" else answer


@finds("debits/takes_the_amount")
async def tells_amounts_as_numbers(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(amount=1) if call.path == "/debit" else answer


@finds("debits/own_reference")
async def has_one_id_for_all(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(wallet_reference="w-1") if call.path == "/debit" else answer


@finds("debits/takes_everything")
async def keeps_the_last_cent(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/debit" and int(call.document["amount"]) == await wallet.balance_of(call):
        about = {name: call.document[name] for name in ("reference", "player_id", "asset")}
        return reply(200, {"status": "refused", "code": "insufficient_funds", **about, "repeat": False})
    return await wallet.pass_on(call)


@finds("debits/one_too_many")
async def lends_a_cent(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/debit" and int(call.document["amount"]) == 1 + await wallet.balance_of(call):
        await wallet.shift(call, 1)
    return await wallet.pass_on(call)


@finds("debits/unknown_player")
async def answers_404_for_a_strangers_debit(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    is_strange = call.path == "/debit" and answer.document.get("code") == "unknown_player"
    return error(404, "unknown_player") if is_strange else answer


@finds("debits/kinds", "credits/kinds")
async def knows_no_kind_rollback(wallet: LyingWallet, call: Call) -> Reply:
    return error(400, "malformed") if call.document.get("kind") == "rollback" else await wallet.pass_on(call)


@finds("debits/nulls")
async def wants_a_session(wallet: LyingWallet, call: Call) -> Reply:
    is_bare = call.moves and call.document["session_id"] is None
    return error(400, "malformed") if is_bare else await wallet.pass_on(call)


@finds("debits/late_report")
async def wants_recent_times(wallet: LyingWallet, call: Call) -> Reply:
    is_old = call.moves and call.document["occurred_at"] < "2025"
    return error(400, "malformed") if is_old else await wallet.pass_on(call)


@finds("credits/adds_the_amount", "concurrency/mixed")
async def gives_twice(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/credit":
        await wallet.shift(call, int(call.document["amount"]))
    return answer


@finds("credits/to_an_empty_wallet")
async def wants_a_balance_before_a_win(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/credit" and await wallet.balance_of(call) == 0:
        return error(422, "amount_not_representable")
    return await wallet.pass_on(call)


@finds("credits/without_a_stake")
async def wants_a_stake_before_a_win(wallet: LyingWallet, call: Call) -> Reply:
    staked = wallet.memory.setdefault("staked", set())
    if call.path == "/debit":
        staked.add(call.document["player_id"])
    if call.path == "/credit" and call.document["player_id"] not in staked:
        return error(400, "malformed")
    return await wallet.pass_on(call)


def _repeated(path: str, wallet: LyingWallet, call: Call) -> bool:
    """Whether a reference came on this path before."""
    seen: set[str] = wallet.memory.setdefault("seen", set())
    if call.path != path:
        return False
    is_repeated = call.reference in seen
    seen.add(call.reference)
    return is_repeated


@finds("repeats/debit_many_times")
async def takes_repeats_again(wallet: LyingWallet, call: Call) -> Reply:
    if _repeated("/debit", wallet, call):
        return (await wallet.again(call)).with_members(repeat=True)
    return await wallet.pass_on(call)


@finds("repeats/debit_many_times")
async def refuses_repeats(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if _repeated("/debit", wallet, call):
        return answer.with_members(status="refused", code="limit_reached", amount=LEFT_OUT)
    return answer


@finds("repeats/debit_many_times")
async def does_not_say_that_it_repeats(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(repeat=False) if call.path == "/debit" else answer


@finds("repeats/credit_many_times")
async def pays_repeats_again(wallet: LyingWallet, call: Call) -> Reply:
    if _repeated("/credit", wallet, call):
        return (await wallet.again(call)).with_members(repeat=True)
    return await wallet.pass_on(call)


@finds("repeats/rollback_many_times")
async def refunds_repeats_again(wallet: LyingWallet, call: Call) -> Reply:
    if _repeated("/rollback", wallet, call):
        await wallet.shift(call, int(call.document["amount"]))
    return await wallet.pass_on(call)


@finds("repeats/at_once")
async def looks_before_it_inserts(wallet: LyingWallet, call: Call) -> Reply:
    if not call.moves or call.reference in wallet.memory:
        return await wallet.pass_on(call)
    # The look-up found nothing; the insert of another attempt may come in between.
    known = (await wallet.status_of(call, call.reference))["status"]
    answer = await (wallet.again(call) if known == "not_found" else wallet.pass_on(call))
    if known == "not_found" and call.reference not in wallet.memory:
        wallet.memory[call.reference] = True
        await wallet.shift(call, int(call.document["amount"]) * (1 if call.path == "/debit" else -1))
        return await wallet.pass_on(call)
    return answer


@finds("repeats/other_connections")
async def keeps_references_by_connection(wallet: LyingWallet, call: Call) -> Reply:
    if call.path != "/debit":
        return await wallet.pass_on(call)
    homes: dict[str, object] = wallet.memory
    home = homes.setdefault(call.reference, call.transport)
    return await (wallet.pass_on(call) if home is call.transport else wallet.again(call))


@finds("repeats/after_refusal")
async def forgets_refusals(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/debit" and answer.document["status"] == "refused" and answer.document["repeat"]:
        return (await wallet.again(call)).with_members(repeat=True)
    return answer


@finds("repeats/balance_is_of_now")
async def keeps_whole_answers(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if not call.moves:
        return answer
    kept: Reply = wallet.memory.setdefault(call.reference, answer)
    return kept if kept is answer else kept.with_members(repeat=True)


@finds("repeats/other_details")
async def compares_whole_bodies(wallet: LyingWallet, call: Call) -> Reply:
    told = {name: call.document.get(name) for name in ("round_id", "provider_reference")}
    if call.moves and wallet.memory.setdefault(call.reference, told) != told:
        return error(409, "reference_conflict")
    return await wallet.pass_on(call)


@finds("repeats/after_rollback")
async def takes_what_was_rolled_back_again(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/rollback":
        wallet.memory[call.document["target_reference"]] = True
    if call.path == "/debit" and call.reference in wallet.memory:
        return (await wallet.again(call)).with_members(repeat=True)
    return await wallet.pass_on(call)


def _compares_not(member: str) -> None:
    async def lie(wallet: LyingWallet, call: Call) -> Reply:
        if not call.moves:
            return await wallet.pass_on(call)
        first = wallet.memory.setdefault(call.reference, dict(call.document))
        if first.get(member) == call.document.get(member):
            return await wallet.pass_on(call)
        answer = await wallet.change(call, **{member: first[member]})
        is_echo = member in ("player_id", "asset")
        return answer.with_members(**{member: call.document[member]}) if is_echo else answer

    lie.__name__ = f"does_not_compare_{member}"
    scenario = {"player_id": "player", "target_reference": "target"}.get(member, member)
    finds(f"conflicts/other_{scenario}")(lie)


for one in ("amount", "asset", "player_id", "target_reference"):
    _compares_not(one)


@finds("conflicts/other_operation")
async def keeps_references_by_path(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    first = wallet.memory.setdefault(call.reference, call.path)
    return await wallet.again(call) if call.moves and first != call.path else answer


@finds("conflicts/after_refusal")
async def frees_refused_references(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.path == "/debit" and answer.status == 409:
        return await wallet.again(call)
    return answer


@finds("conflicts/two_players_at_once")
async def keeps_references_by_player(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/debit" and call.reference in wallet.memory:
        is_other = wallet.memory[call.reference] != call.document["player_id"]
        return await (wallet.again(call) if is_other else wallet.pass_on(call))
    if call.path == "/debit":
        wallet.memory[call.reference] = call.document["player_id"]
    return await wallet.pass_on(call)
