"""Wallets that take requests they should refuse, or refuse what they should take: amounts, bounds, signatures, form."""

from __future__ import annotations

import json
import time
from decimal import Decimal, InvalidOperation
from typing import Any

from contract.lie_registry import finds
from contract.wallet_proxy import Call, LyingWallet, Reply, error, reply
from croupier.conformance.wallet.scenario import REMARK
from croupier_signing import SignatureRefused, parse_authorization, verify_native

LARGEST = 10**38 - 1
LENIENT = (
    "decimals", "leading_zero", "plus_sign", "exponent", "spaces", "line_break", "separators", "other_digits",
    "json_number", "json_exponent",
)  # fmt: skip


@finds("precision/beyond_doubles", "precision/eighteen_decimals", "precision/thirty_eight_digits")
async def rounds_like_a_double(wallet: LyingWallet, call: Call) -> Reply:
    amount = int(call.document.get("amount", 0))
    if amount > 2**53:
        kept = amount >> (amount.bit_length() - 53) << (amount.bit_length() - 53)
        answer = await wallet.change(call, amount=str(kept))
        return answer.with_members(amount=str(amount))
    return await wallet.pass_on(call)


@finds("precision/eighteen_decimals")
async def wraps_at_64_bits(wallet: LyingWallet, call: Call) -> Reply:
    amount = int(call.document.get("amount", 0))
    if amount >= 2**64:
        return (await wallet.change(call, amount=str(amount % 2**64))).with_members(amount=str(amount))
    return await wallet.pass_on(call)


@finds("precision/eighteen_decimals", "precision/thirty_eight_digits", status=REMARK)
async def has_18_digits(wallet: LyingWallet, call: Call) -> Reply:
    if len(str(call.document.get("amount", ""))) > 18:
        return error(422, "amount_not_representable")
    return await wallet.pass_on(call)


@finds("precision/beyond_38_digits")
async def cuts_long_amounts(wallet: LyingWallet, call: Call) -> Reply:
    amount = call.document.get("amount")
    if isinstance(amount, str) and len(amount) > 38:
        return await wallet.change(call, amount="1")
    return await wallet.pass_on(call)


@finds("precision/sum_beyond_38_digits")
async def fills_up_to_the_largest(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/credit" and int(call.document["amount"]) == LARGEST:
        room = str(LARGEST - await wallet.balance_of(call))
        return (await wallet.change(call, amount=room)).with_members(amount=str(LARGEST))
    return await wallet.pass_on(call)


@finds(*(f"precision/{name}" for name in LENIENT))
async def reads_whatever_a_number_type_reads(wallet: LyingWallet, call: Call) -> Reply:
    if not call.moves:
        return await wallet.pass_on(call)
    told = json.loads(call.body, parse_float=Decimal)
    try:
        amount = int(Decimal(told["amount"]))
    except (InvalidOperation, TypeError, ValueError):
        return await wallet.pass_on(call)
    return await wallet.tell(call.path, {**told, "amount": str(amount)})


@finds("precision/negative")
async def takes_the_sign_off(wallet: LyingWallet, call: Call) -> Reply:
    amount = call.document.get("amount")
    if isinstance(amount, str) and amount.startswith("-"):
        return await wallet.change(call, amount=amount[1:])
    return await wallet.pass_on(call)


@finds(*(f"precision/{name}" for name in ("zero", "empty", "words", "null", "list")))
async def takes_no_amount_for_a_cent(wallet: LyingWallet, call: Call) -> Reply:
    amount = call.document.get("amount")
    if call.moves and (not isinstance(amount, str) or not amount.strip("-").isdigit() or not int(amount)):
        return await wallet.change(call, amount="1")
    return await wallet.pass_on(call)


@finds("limits/large_body")
async def reads_bodies_of_any_size(wallet: LyingWallet, call: Call) -> Reply:
    if len(call.body) > 200_000:
        call.document.pop("padding")
        return await wallet.change(call)
    return await wallet.pass_on(call)


@finds("limits/unknown_members")
async def refuses_what_it_does_not_know(wallet: LyingWallet, call: Call) -> Reply:
    return error(400, "malformed") if "new_member" in call.document else await wallet.pass_on(call)


@finds("limits/long_references")
async def cuts_references(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/debit":
        cut = await wallet.change(call, reference=call.reference[:63])
        return cut.with_members(reference=call.reference)
    return await wallet.pass_on(call)


@finds("limits/long_references")
async def folds_references(wallet: LyingWallet, call: Call) -> Reply:
    if call.path == "/debit":
        folded = await wallet.change(call, reference=call.reference.lower())
        return folded.with_members(reference=call.reference)
    return await wallet.pass_on(call)


@finds("limits/long_ids")
async def has_short_columns(wallet: LyingWallet, call: Call) -> Reply:
    is_long = any(isinstance(value, str) and len(value) > 100 for value in call.document.values())
    return error(500, "internal", applied="unknown") if is_long else await wallet.pass_on(call)


@finds("limits/unicode_players")
async def folds_player_ids(wallet: LyingWallet, call: Call) -> Reply:
    player = call.document.get("player_id", "")
    if call.path == "/balance" and player != player.lower():
        return (await wallet.change(call, player_id=player.lower())).with_members(player_id=player)
    return await wallet.pass_on(call)


@finds("limits/unicode_players")
async def knows_ascii_only(wallet: LyingWallet, call: Call) -> Reply:
    if call.document.get("player_id", "").isascii():
        return await wallet.pass_on(call)
    return error(400, "malformed")


@finds("limits/asset_case")
async def folds_assets(wallet: LyingWallet, call: Call) -> Reply:
    asset = call.document.get("asset", "")
    if asset != asset.upper():
        return (await wallet.change(call, asset=asset.upper())).with_members(asset=asset)
    return await wallet.pass_on(call)


@finds("limits/other_spelling")
async def signs_what_it_has_parsed(wallet: LyingWallet, call: Call) -> Reply:
    written = json.dumps(call.document, ensure_ascii=False, separators=(",", ":")).encode()
    return error(401, "unauthenticated") if written != call.body else await wallet.pass_on(call)


def _is_signed(wallet: LyingWallet, call: Call, authorization: str = "", **other: Any) -> bool:
    """Whether the header fits the request, apart from what is passed in its place."""
    said = {
        "method": "POST",
        "path": call.path,
        "query": call.query,
        "body": call.body,
        "shift_s": 0,
        **other,
    }
    try:
        parts = parse_authorization(authorization or call.headers.get("authorization"))
        verify_native(
            parts,
            key=wallet.key,
            method=said["method"],
            path=said["path"].encode(),
            query=said["query"].encode(),
            body=said["body"],
            now_s=int(time.time()) + said["shift_s"],
            window_s=said.get("window_s", 30),
        )
    except SignatureRefused:
        return False
    return True


async def _forgive(wallet: LyingWallet, call: Call, is_forgiven: bool) -> Reply:
    answer = await wallet.pass_on(call)
    if answer.status == 401 and is_forgiven:
        return await wallet.tell(call.path, call.body)
    return answer


@finds("signatures/missing")
async def asks_for_no_signature(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, "authorization" not in call.headers)


@finds("signatures/malformed")
async def reads_what_it_understands_of_a_header(wallet: LyingWallet, call: Call) -> Reply:
    known = ", ".join(call.headers.get("authorization", "").split(", ")[:4])
    return await _forgive(wallet, call, _is_signed(wallet, call, known))


@finds("signatures/wrong_key")
async def does_not_ask_which_key(wallet: LyingWallet, call: Call) -> Reply:
    header = call.headers.get("authorization", "").replace('key="nobody-1"', f'key="{wallet.key.id}"')
    return await _forgive(wallet, call, _is_signed(wallet, call, header))


@finds("signatures/wrong_key", "signatures/altered_body")
async def does_not_verify_at_all(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, "sig=" in call.headers.get("authorization", ""))


@finds("signatures/altered_body")
async def strips_bodies_before_it_verifies(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call, body=call.body.strip()))


@finds("signatures/altered_path")
async def does_not_sign_paths(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call, path="/credit"))


@finds("signatures/altered_method")
async def does_not_sign_methods(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call, method="PUT"))


@finds("signatures/altered_query")
async def does_not_sign_queries(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call, query=""))


@finds("signatures/altered_header")
async def compares_signatures_as_bytes(wallet: LyingWallet, call: Call) -> Reply:
    header = call.headers.get("authorization", "")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(header[-2]) ^ 1]
    return await _forgive(wallet, call, _is_signed(wallet, call, f'{header[:-2]}{last}"'))


@finds("signatures/stale")
async def has_a_window_of_a_minute(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call, window_s=60, shift_s=10))


@finds("signatures/future")
async def looks_back_only(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call, window_s=86_400, shift_s=86_400))


@finds("signatures/within_the_window")
async def has_a_window_of_ten_seconds(wallet: LyingWallet, call: Call) -> Reply:
    is_close = _is_signed(wallet, call, window_s=10)
    return await wallet.pass_on(call) if is_close else error(401, "unauthenticated")


@finds("signatures/replayed", "signatures/nonce_used_elsewhere")
async def keeps_no_nonces(wallet: LyingWallet, call: Call) -> Reply:
    return await _forgive(wallet, call, _is_signed(wallet, call))


@finds("signatures/nonce_used_elsewhere")
async def keeps_nonces_by_path(wallet: LyingWallet, call: Call) -> Reply:
    nonce = parse_authorization(call.headers.get("authorization")).nonce
    is_known = (call.path, nonce) in wallet.memory
    wallet.memory[call.path, nonce] = True
    return await _forgive(wallet, call, not is_known and _is_signed(wallet, call))


@finds("signatures/before_the_body")
async def parses_before_it_verifies(wallet: LyingWallet, call: Call) -> Reply:
    return await wallet.pass_on(call) if call.document else error(400, "malformed")


@finds("signatures/missing", "signatures/stale")
async def cannot_tell_whether_it_applied(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return answer.with_members(applied="unknown") if answer.status == 401 else answer


@finds("errors/unknown_path")
async def answers_pages(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return Reply(404, b"<h1>Not Found</h1>", "text/html") if answer.status == 404 else answer


@finds("errors/other_media_type")
async def reads_any_media_type(wallet: LyingWallet, call: Call) -> Reply:
    call.headers["content-type"] = "application/json"
    return await wallet.pass_on(call)


@finds("errors/other_media_type")
async def knows_no_charset(wallet: LyingWallet, call: Call) -> Reply:
    is_plain = call.headers["content-type"] == "application/json"
    return await wallet.pass_on(call) if is_plain else error(415, "unsupported_media_type")


@finds("errors/no_json")
async def fails_on_what_is_no_object(wallet: LyingWallet, call: Call) -> Reply:
    return await wallet.pass_on(call) if call.document else error(500, "internal", applied="unknown")


@finds("errors/no_json", "errors/broken_members")
async def has_errors_of_its_own_form(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    return reply(400, {"error": "bad request"}) if answer.status == 400 else answer


@finds("errors/broken_members")
async def makes_texts_of_everything(wallet: LyingWallet, call: Call) -> Reply:
    if call.moves and isinstance(call.document.get("amount"), int):
        return await wallet.change(call, amount=str(call.document["amount"]))
    return await wallet.pass_on(call)


@finds("errors/broken_rollback")
async def reads_if_spent_as_it_likes(wallet: LyingWallet, call: Call) -> Reply:
    if call.document.get("if_spent") == "perhaps":
        return await wallet.change(call, if_spent="refuse")
    return await wallet.pass_on(call)


@finds("errors/repeated_member", status=REMARK)
async def takes_the_last_of_two(wallet: LyingWallet, call: Call) -> Reply:
    is_twice = call.body.count(b'"amount"') == 2
    return await (wallet.change(call) if is_twice else wallet.pass_on(call))


@finds("errors/leaves_the_reference_free")
async def keeps_references_of_broken_requests(wallet: LyingWallet, call: Call) -> Reply:
    answer = await wallet.pass_on(call)
    if call.moves and call.reference in wallet.memory:
        return error(409, "reference_conflict")
    if call.moves and answer.status == 400:
        wallet.memory[call.reference] = True
    return answer
