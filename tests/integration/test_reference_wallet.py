"""The reference wallet keeps the contract of docs/reference/wallet-contract.md, line by line."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from wallet_caller import JSON, KEY, Caller, item, movement, open_wallet, sign

from croupier.sandbox.wallet.books import SHARDS, PostTaken, Shard, Ticket
from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.orders import Order
from croupier.sandbox.wallet.service import WalletService
from croupier.sandbox.wallet.settings import WalletSettings
from croupier_signing import SigningKey, random_nonce

LARGEST = "9" * 38
LONG_AGO = "2020-01-01T00:00:00Z"
FAR_AHEAD = "2100-01-01T00:00:00Z"


@pytest.fixture
async def wallet(empty_database_url: str) -> AsyncIterator[Caller]:
    """A wallet with 1,000 of p-1 and 1,000 of p-2 in EUR."""
    async with open_wallet(empty_database_url) as caller:
        await caller.deposit(1_000)
        await caller.deposit(1_000, "p-2")
        yield caller


async def test_debits_and_credits_are_answered_as_the_contract_says(wallet: Caller) -> None:
    debit = await wallet.move("debit", "wtx_1", "250")
    assert re.fullmatch(r"w-\d+", debit.pop("wallet_reference"))
    whose = {"reference": "wtx_1", "player_id": "p-1", "asset": "EUR"}
    assert debit == {
        "status": "approved", "code": "ok", **whose, "amount": "250", "balance": "750", "repeat": False,
    }  # fmt: skip
    credit = await wallet.move("credit", "wtx_2", "7")
    assert (credit["amount"], credit["balance"]) == ("7", "757")
    refused = await wallet.move("debit", "wtx_3", "758")
    assert refused == {
        "status": "refused", "code": "insufficient_funds", "reference": "wtx_3", "player_id": "p-1", "asset": "EUR",
        "balance": "757", "repeat": False,
    }  # fmt: skip
    assert (await wallet.move("debit", "wtx_4", "757"))["balance"] == "0"


async def test_a_balance_is_told_or_why_there_is_none(wallet: Caller) -> None:
    question = {"player_id": "p-1", "asset": "EUR"}
    assert await wallet.ask("/balance", question) == (
        200,
        {"status": "approved", **question, "balance": "1000"},
    )
    for whose, code in (({"player_id": "p-9"}, "unknown_player"), ({"asset": "BTC"}, "unknown_asset")):
        expected = {"status": "refused", "code": code, **question, **whose}
        assert await wallet.ask("/balance", question | whose) == (200, expected)


@pytest.mark.parametrize("operation", ["debit", "credit"])
async def test_movements_without_a_wallet_are_refused_for_ever(wallet: Caller, operation: str) -> None:
    for reference, whose, code in (
        ("wtx_1", {"player_id": "p-9"}, "unknown_player"),
        ("wtx_2", {"asset": "BTC"}, "unknown_asset"),
    ):
        answer = await wallet.move(operation, reference, **whose)
        assert (answer["status"], answer["code"], "balance" in answer) == ("refused", code, False)
    await wallet.deposit(1_000, "p-9")
    again = await wallet.move(operation, "wtx_1", player_id="p-9")
    assert (again["code"], again["repeat"]) == ("unknown_player", True)


async def test_a_repeat_gets_the_first_answer_with_the_balance_of_now(wallet: Caller) -> None:
    first = await wallet.move("debit", "wtx_1", "300")
    await wallet.move("debit", "wtx_2", "600")
    assert await wallet.move("debit", "wtx_1", "300") == first | {"balance": "100", "repeat": True}
    refused = await wallet.move("debit", "wtx_3", "101")
    await wallet.deposit(5_000)
    again = await wallet.move("debit", "wtx_3", "101")
    assert again == refused | {"balance": "5100", "repeat": True}


async def test_other_provider_members_do_not_make_it_another_movement(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1")
    other = {"provider": "other", "provider_reference": "z", "round_id": "r-2", "occurred_at": LONG_AGO}
    assert (await wallet.move("debit", "wtx_1", **other))["repeat"]


async def test_fifty_repeats_at_once_are_applied_once(wallet: Caller) -> None:
    answers = await asyncio.gather(*(wallet.move("debit", "wtx_1") for _ in range(50)))
    assert Counter(answer["repeat"] for answer in answers) == {False: 1, True: 49}
    assert {answer["balance"] for answer in answers} == {"900"}
    assert await wallet.balance() == 900


async def test_one_reference_for_many_players_at_once_belongs_to_one_of_them(wallet: Caller) -> None:
    players = [f"q-{number}" for number in range(24)]
    for player in players:
        await wallet.deposit(100, player)
    answers = await asyncio.gather(
        *(
            wallet.ask(
                f"/{operation}", movement("wtx_1", "100", operation, player_id=player, target="wtx_none")
            )
            if operation == "rollback"
            else wallet.ask(f"/{operation}", movement("wtx_1", "100", operation, player_id=player))
            for operation in ("debit", "rollback")
            for player in players
        )
    )
    assert Counter(status for status, _ in answers) == {200: 1, 409: 47}
    assert await wallet.is_balanced()


async def test_crossing_batches_of_references_end_without_a_deadlock(wallet: Caller) -> None:
    players = [f"q-{number}" for number in range(8)]
    for player in players:
        await wallet.deposit(1_000_000, player)

    async def send(turn: int) -> list[Any]:
        items = [
            item("debit", f"wtx_{number}", "1", player_id=players[(number * 3 + turn) % 8])
            for number in range(20)
        ]
        return await wallet.batch(*(items if turn % 2 else reversed(items)))

    answers = [one for results in await asyncio.gather(*map(send, range(8))) for one in results]
    fresh = [one for one in answers if one["status"] == "approved" and not one["repeat"]]
    assert len(fresh) == 20
    assert {one["code"] for one in answers if one["status"] == "error"} == {"reference_conflict"}
    assert await wallet.is_balanced()


@pytest.mark.parametrize(
    "other",
    [
        {"amount": "101"},
        {"asset": "USD"},
        {"player_id": "p-2"},
        {"operation": "credit"},
        {"operation": "rollback", "target": "wtx_9"},
    ],
)
async def test_a_reference_with_anything_else_is_a_conflict_that_moves_nothing(
    wallet: Caller, other: dict[str, Any]
) -> None:
    await wallet.deposit(1_000, "p-1", "USD")
    await wallet.move("debit", "wtx_1")
    other = dict(other)
    operation = other.pop("operation", "debit")
    status, answer = await wallet.ask(f"/{operation}", movement("wtx_1", operation=operation, **other))
    assert (status, answer["code"], answer["applied"]) == (409, "reference_conflict", "no")
    assert len(await wallet.book()) == 4
    assert await wallet.balance() == 900


async def test_a_rollback_with_another_target_is_a_conflict(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1")
    await wallet.move("debit", "wtx_2")
    await wallet.move("rollback", "wtx_3", target="wtx_1")
    status, answer = await wallet.ask("/rollback", movement("wtx_3", operation="rollback", target="wtx_2"))
    assert (status, answer["code"]) == (409, "reference_conflict")
    assert await wallet.balance() == 900


@pytest.mark.parametrize("other", [{"amount": "99"}, {"player_id": "p-2"}, {"asset": "USD"}])
async def test_a_rollback_of_a_target_that_is_not_so_is_a_conflict(
    wallet: Caller, other: dict[str, str]
) -> None:
    await wallet.deposit(1_000, "p-1", "USD")
    await wallet.move("debit", "wtx_1")
    body = movement("wtx_2", operation="rollback", target="wtx_1") | other
    status, answer = await wallet.ask("/rollback", body)
    assert (status, answer["code"], answer["applied"]) == (409, "reference_conflict", "no")
    assert (await wallet.status("wtx_2"))["status"] == "not_found"
    assert (await wallet.move("rollback", "wtx_2", target="wtx_1"))["code"] == "ok"


async def test_a_rollback_of_a_rollback_or_of_itself_is_a_conflict(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1")
    await wallet.move("rollback", "wtx_2", target="wtx_1")
    for reference, target in (("wtx_3", "wtx_2"), ("wtx_4", "wtx_4")):
        body = movement(reference, operation="rollback", target=target)
        assert (await wallet.ask("/rollback", body))[0] == 409
    assert await wallet.balance() == 1_000


async def test_a_rollback_gives_a_bet_back_once(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1", "400")
    first = await wallet.move("rollback", "wtx_2", "400", target="wtx_1")
    assert (first["status"], first["code"], first["amount"], first["balance"]) == (
        "approved",
        "ok",
        "400",
        "1000",
    )
    again = await wallet.move("rollback", "wtx_2", "400", target="wtx_1")
    assert again == first | {"repeat": True}
    other = await wallet.move("rollback", "wtx_3", "400", target="wtx_1")
    assert (other["code"], other["amount"], other["balance"]) == ("already_rolled_back", "0", "1000")
    assert (await wallet.move("debit", "wtx_1", "400"))["status"] == "approved"
    assert await wallet.balance() == 1_000


@pytest.mark.parametrize(("left", "taken"), [(300, "300"), (120, "120"), (0, "0")])
async def test_a_spent_win_is_taken_as_far_as_there_is_money(wallet: Caller, left: int, taken: str) -> None:
    await wallet.move("credit", "wtx_1", "300")
    await wallet.move("debit", "wtx_2", str(1_300 - left))
    answer = await wallet.move("rollback", "wtx_3", "300", target="wtx_1", kind="win")
    assert (answer["code"], answer["amount"], answer["balance"]) == ("ok", taken, str(left - int(taken)))
    await wallet.deposit(500)
    other = await wallet.move("rollback", "wtx_4", "300", target="wtx_1", kind="win")
    assert (other["code"], other["amount"]) == ("already_rolled_back", "0")


async def test_a_spent_win_is_left_alone_where_the_order_says_refuse(wallet: Caller) -> None:
    await wallet.move("credit", "wtx_1", "300")
    await wallet.move("debit", "wtx_2", "1100")
    order = {"target": "wtx_1", "kind": "win", "if_spent": "refuse"}
    refused = await wallet.move("rollback", "wtx_3", "300", **order)
    assert (refused["status"], refused["code"], refused["balance"]) == (
        "refused",
        "insufficient_funds",
        "200",
    )
    await wallet.deposit(100)
    assert (await wallet.move("rollback", "wtx_3", "300", **order))["status"] == "refused"
    assert (await wallet.move("rollback", "wtx_4", "300", **order))["amount"] == "300"
    assert await wallet.balance() == 0


@pytest.mark.parametrize("operation", ["debit", "credit"])
async def test_a_rollback_that_comes_first_leaves_a_tombstone(wallet: Caller, operation: str) -> None:
    early = await wallet.move("rollback", "wtx_2", target="wtx_1")
    assert (early["status"], early["code"], early["amount"]) == ("approved", "nothing_to_roll_back", "0")
    assert (await wallet.status("wtx_1"))["status"] == "not_found"
    late = await wallet.move(operation, "wtx_1")
    assert (late["status"], late["code"], late["repeat"]) == ("refused", "tombstoned", False)
    assert (await wallet.move(operation, "wtx_1"))["repeat"]
    assert (await wallet.status("wtx_1"))["operation"] == operation
    other = await wallet.move("rollback", "wtx_3", target="wtx_1")
    assert (other["code"], other["amount"]) == ("nothing_to_roll_back", "0")
    assert await wallet.balance() == 1_000


async def test_a_tombstone_counts_whoever_comes_late(wallet: Caller) -> None:
    await wallet.move("rollback", "wtx_2", target="wtx_1")
    late = await wallet.move("credit", "wtx_1", "5", player_id="p-2")
    assert late["code"] == "tombstoned"
    assert (await wallet.ask("/debit", movement("wtx_1")))[0] == 409


async def test_a_rollback_without_a_wallet_is_refused_and_still_leaves_a_tombstone(wallet: Caller) -> None:
    refused = await wallet.move("rollback", "wtx_2", target="wtx_1", player_id="p-9")
    assert (refused["status"], refused["code"]) == ("refused", "unknown_player")
    await wallet.deposit(1_000, "p-9")
    assert (await wallet.move("debit", "wtx_1", player_id="p-9"))["code"] == "tombstoned"


async def test_a_bet_and_its_rollback_at_once_end_with_the_money_back(wallet: Caller) -> None:
    await asyncio.gather(
        *(
            wallet.move(operation, reference, "10", **members)
            for number in range(40)
            for operation, reference, members in (
                ("debit", f"wtx_d{number}", {}),
                ("rollback", f"wtx_r{number}", {"target": f"wtx_d{number}"}),
            )
        )
    )
    assert await wallet.balance() == 1_000
    assert await wallet.is_balanced()


async def test_a_refused_bet_has_nothing_to_roll_back(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1", "5000")
    answer = await wallet.move("rollback", "wtx_2", "5000", target="wtx_1")
    assert (answer["code"], answer["amount"], answer["balance"]) == ("nothing_to_roll_back", "0", "1000")
    await wallet.deposit(9_000)
    assert (await wallet.move("debit", "wtx_1", "5000"))["code"] == "insufficient_funds"


async def test_of_many_debits_for_the_last_cent_one_is_approved(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_most", "999")
    answers = await asyncio.gather(*(wallet.move("debit", f"wtx_{number}", "1") for number in range(40)))
    assert Counter(answer["status"] for answer in answers) == {"approved": 1, "refused": 39}
    assert await wallet.balance() == 0
    assert await wallet.is_balanced()


async def test_the_database_alone_keeps_one_player_s_movements_apart(
    wallet: Caller, empty_database_url: str
) -> None:
    """Shards that know nothing of each other get the same players and references."""
    shards = [Shard(empty_database_url, Clock(), lambda _: True) for _ in range(8)]
    work = [asyncio.create_task(shard.work()) for shard in shards]
    tickets = []
    for number in range(60):
        for reference in (f"wtx_own_{number}", "wtx_shared"):
            order = Order(operation="debit", player_id="p-1", asset="EUR", reference=reference, amount="50")
            tickets.append(Ticket(order, None, None))
            shards[number % 8].take(tickets[-1])
    answers = await asyncio.gather(*(ticket.answer for ticket in tickets))
    for shard in shards:
        shard.finish()
    await asyncio.gather(*work)
    await asyncio.gather(*(shard.close() for shard in shards))
    applied = [one for one in answers if one.status == "approved" and not one.is_repeat]
    assert len(applied) == 20
    assert len({one.number for one in applied}) == 20
    assert await wallet.balance() == 0
    assert await wallet.is_balanced()


IN_THE_MIDST = (
    "SELECT reference_wallet.move('wtx_1', 'debit', 'p-2', 'EUR', 100, NULL, NULL, NULL, now(), NULL, NULL)"
)
BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.mark.parametrize("ends_with", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("operation", ["debit", "rollback"])
async def test_a_reference_that_is_being_decided_elsewhere_is_waited_for(
    wallet: Caller,
    empty_database_url: str,
    wait_until: Callable[..., Awaitable[None]],
    operation: str,
    ends_with: str,
) -> None:
    """Another transaction decides about it for another player: as a movement's own reference, or as a target."""
    reference, members = ("wtx_1", {}) if operation == "debit" else ("wtx_2", {"target": "wtx_1"})
    other, observer = [await asyncpg.connect(empty_database_url) for _ in range(2)]
    try:
        await other.execute("BEGIN")
        await other.execute(IN_THE_MIDST)
        body = movement(reference, operation=operation, **members)
        asked = asyncio.create_task(wallet.ask(f"/{operation}", body))
        await wait_until(lambda: observer.fetchval(BLOCKED))
        await other.execute(ends_with)
        status, answer = await asked
    finally:
        await other.close()
        await observer.close()
    expected = (409, "reference_conflict") if ends_with == "COMMIT" else (200, _code_alone(operation))
    assert (status, answer["code"]) == expected
    assert await wallet.is_balanced()


def _code_alone(operation: str) -> str:
    return "ok" if operation == "debit" else "nothing_to_roll_back"


async def test_a_status_is_the_movement_s_answer_with_its_operation(wallet: Caller) -> None:
    first = await wallet.move("debit", "wtx_1")
    await wallet.deposit(1)
    expected = first | {"operation": "debit", "repeat": True, "balance": "901"}
    assert await wallet.status("wtx_1") == expected
    await wallet.move("rollback", "wtx_2", target="wtx_1")
    assert (await wallet.status("wtx_1"))["status"] == "approved"
    assert (await wallet.status("wtx_2"))["operation"] == "rollback"
    assert (await wallet.status("wtx_1", "p-2"))["player_id"] == "p-1"
    whose = {"reference": "wtx_3", "player_id": "p-1", "asset": "EUR"}
    assert await wallet.status("wtx_3") == {"status": "not_found", **whose}


async def test_a_status_after_a_lost_request_waits_until_that_is_decided(wallet: Caller) -> None:
    debit = asyncio.create_task(wallet.move("debit", "wtx_1"))
    statuses = []
    while not debit.done():
        statuses.append((await wallet.status("wtx_1"))["status"])
    assert (await debit)["status"] == "approved"
    assert (await wallet.status("wtx_1"))["status"] == "approved"
    assert statuses == sorted(statuses, reverse=True), "not_found never follows approved"


async def test_blocked_players_may_not_stake_but_win_and_are_paid_back(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1")
    await wallet.desk("POST", "/cashier/block", {"player_id": "p-1", "is_blocked": True})
    refused = await wallet.move("debit", "wtx_2")
    assert (refused["code"], refused["balance"]) == ("player_blocked", "900")
    assert (await wallet.move("credit", "wtx_3"))["status"] == "approved"
    assert (await wallet.move("rollback", "wtx_4", target="wtx_1"))["code"] == "ok"
    assert (await wallet.move("debit", "wtx_5", player_id="p-2"))["status"] == "approved"
    await wallet.desk("POST", "/cashier/block", {"player_id": "p-1", "is_blocked": False})
    assert (await wallet.move("debit", "wtx_6"))["status"] == "approved"
    assert (await wallet.move("debit", "wtx_2"))["code"] == "player_blocked"


async def test_amounts_of_38_digits_are_exact_and_longer_ones_are_refused(wallet: Caller) -> None:
    await wallet.deposit(LARGEST, "rich")
    assert await wallet.balance("rich") == int(LARGEST)
    status, answer = await wallet.ask("/credit", movement("wtx_1", "1", player_id="rich"))
    assert (status, answer["code"], answer["applied"]) == (422, "amount_not_representable", "no")
    assert (await wallet.status("wtx_1", "rich"))["status"] == "not_found"
    taken = await wallet.move("debit", "wtx_2", LARGEST, player_id="rich")
    assert (taken["amount"], taken["balance"]) == (LARGEST, "0")
    assert (await wallet.move("credit", "wtx_1", "1", player_id="rich"))["balance"] == "1"
    status, answer = await wallet.ask(
        "/rollback", movement("wtx_3", LARGEST, "rollback", target="wtx_2", player_id="rich")
    )
    assert (status, answer["code"]) == (422, "amount_not_representable")
    status, answer = await wallet.ask("/debit", movement("wtx_4", LARGEST + "0"))
    assert (status, answer["code"], answer["applied"]) == (422, "amount_not_representable", "no")
    assert await wallet.is_balanced()


async def test_an_amount_in_another_form_is_malformed(wallet: Caller) -> None:
    texts = ("0", "00", "-1", "+1", "1.0", "01", "1e3", "", " 1", "1 ", "1\n", "٣")
    for amount in (*texts, 1, 1e3, None, True, []):
        status, answer = await wallet.ask("/debit", movement("wtx_1") | {"amount": amount})
        assert (status, answer["code"], answer["applied"]) == (400, "malformed", "no"), amount
    assert await wallet.balance() == 1_000


MISSHAPEN = (
    ("reference", "dep_1"),
    ("reference", "wtx_" + "x" * 61),
    ("reference", "wtx_ä"),
    ("reference", "wtx_1\n"),
    ("player_id", ""),
    ("player_id", "p\0"),
    ("player_id", "\ud800"),
    ("player_id", 1),
    ("player_id", "p" * 256),
    ("asset", None),
    ("kind", "gift"),
    ("occurred_at", "yesterday"),
    ("occurred_at", "2026-01-31T12:00:00"),
    ("session_id", 1),
)


async def test_a_member_in_another_form_is_malformed(wallet: Caller) -> None:
    for member, value in MISSHAPEN:
        status, answer = await wallet.ask("/debit", movement("wtx_1") | {member: value})
        assert (status, answer["code"], answer["applied"]) == (400, "malformed", "no"), (member, value)
    assert await wallet.balance() == 1_000


async def test_a_missing_member_is_malformed(wallet: Caller) -> None:
    for member in ("reference", "player_id", "asset", "amount", "kind", "provider", "occurred_at"):
        body = movement("wtx_1")
        del body[member]
        assert (await wallet.ask("/debit", body))[0] == 400, member


NO_OBJECTS = (
    b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"reference": NaN}',
    b"[" * 60_000,
    b'{"reference": "wtx_1", "player_id": "p-1", "player_id": "p-2", "asset": "EUR"}',
    b'{"reference": "wtx_1", "player_id" : "p-1", "asset": "EUR", "more": {"a": 1, "a": 2}}',
    b'{"reference": "wtx_1", "player_id": "p-1", "asset": "EUR", "more": "\xff"}',
)  # fmt: skip


async def test_what_is_no_json_object_or_names_a_member_twice_is_malformed(wallet: Caller) -> None:
    for body in NO_OBJECTS:
        status, answer = await wallet.post("/status", body)
        assert (status, answer["code"], answer["applied"]) == (400, "malformed", "no"), body[:80]


async def test_unknown_members_long_ids_and_every_alphabet_are_accepted(wallet: Caller) -> None:
    player = "игрок-🎲-" + "x" * 200
    await wallet.deposit(100, player)
    body = movement("wtx_" + "A" * 60, player_id=player) | {
        "more": {"amount": [1.5e300, None]},
        "note": '": "a',
    }
    status, answer = await wallet.ask("/debit", body)
    assert (status, answer["player_id"], answer["balance"]) == (200, player, "0")


async def test_errors_are_answered_with_what_was_applied(wallet: Caller) -> None:
    body = json.dumps(movement("wtx_1")).encode()
    asked = [
        (404, "unknown_path", await wallet.ask("/nothing", {})),
        (404, "unknown_path", await wallet.send("GET", "/debit", None, _signed("GET", "/debit", b""))),
        (413, "body_too_large", await wallet.post("/debit", b" " * 262_144)),
        (415, "unsupported_media_type", await wallet.post("/debit", body, headers={"Content-Type": "text/plain"})),
        (400, "malformed", await wallet.post("/debit", body, headers={"Content-Encoding": "identity"})),
    ]  # fmt: skip
    for expected, code, (status, answer) in asked:
        assert (status, answer["code"], answer["applied"]) == (expected, code, "no")
        assert set(answer) == {"code", "detail", "applied"}
    assert await wallet.balance() == 1_000


def _signed(method: str, path: str, body: bytes) -> dict[str, str]:
    return JSON | {"Authorization": sign(path, body, method=method)}


async def test_a_wrong_signature_is_refused_before_anything_is_read(wallet: Caller) -> None:
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"ago_s": 31}, "stale"),
        ({"ago_s": -33}, "stale"),
        ({"key": SigningKey("wallet", b"x" * 32)}, "mismatch"),
        ({"key": SigningKey("other", KEY.secret)}, "mismatch"),
        ({"method": "PUT"}, "mismatch"),
    )
    for signing, reason in wrong:
        for path, body in (("/debit", json.dumps(movement("wtx_1")).encode()), ("/nothing", b"{")):
            status, answer = await wallet.post(path, body, **signing)
            expected = {"code": "unauthenticated", "detail": reason, "applied": "no"}
            assert (status, answer) == (401, expected), signing
    assert await wallet.balance() == 1_000


async def test_signatures_are_for_one_body_path_and_query(wallet: Caller) -> None:
    body = json.dumps(movement("wtx_1")).encode()
    for path, sent in (("/debit", body + b" "), ("/credit", body), ("/debit?a=1", body)):
        headers = JSON | {"Authorization": sign("/debit", body)}
        assert (await wallet.send("POST", path, sent, headers))[0] == 401
    for headers in (JSON, JSON | {"Authorization": "Bearer x"}, JSON | {"Authorization": ""}):
        assert (await wallet.send("POST", "/debit", body, headers))[0] == 401
    assert (await wallet.post("/debit?b=1&a=%7e", body))[0] == 200


async def test_a_signature_within_the_window_is_accepted(wallet: Caller) -> None:
    for ago_s in (29, -29):
        question = {"player_id": "p-1", "asset": "EUR"}
        assert (await wallet.ask("/balance", question, ago_s=ago_s))[0] == 200


async def test_a_nonce_is_spent_once_also_over_a_restart(empty_database_url: str) -> None:
    nonce = random_nonce()
    async with open_wallet(empty_database_url) as wallet:
        await wallet.deposit(1_000)
        assert (await wallet.ask("/debit", movement("wtx_1"), nonce=nonce))[0] == 200
        status, answer = await wallet.ask("/debit", movement("wtx_2"), nonce=nonce)
        assert (status, answer["detail"]) == (401, "replayed")
    async with open_wallet(empty_database_url) as wallet:
        status, answer = await wallet.ask("/debit", movement("wtx_2"), nonce=nonce)
        assert (status, answer["detail"]) == (401, "replayed")
        assert (await wallet.move("debit", "wtx_1"))["repeat"]
        assert await wallet.balance() == 900


async def test_a_second_process_on_the_same_books_is_refused(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("croupier.sandbox.wallet.books.POST_WITHIN_S", 0.1)
    async with open_wallet(empty_database_url):
        with pytest.raises(PostTaken):
            await WalletService(WalletSettings(database_url=empty_database_url, key=KEY, port=0)).__aenter__()


async def test_items_of_a_batch_are_applied_in_order_and_stand_alone(wallet: Caller) -> None:
    results = await wallet.batch(
        item("debit", "wtx_1", "1000"),
        item("debit", "wtx_2", "1"),
        item("credit", "wtx_3", "5", player_id="p-2"),
        item("credit", "wtx_4", "50"),
        item("rollback", "wtx_5", "1000", target="wtx_1"),
        item("debit", "wtx_1", "999"),
        item("debit", "wtx_6", "-1"),
        {"operation": "status", "reference": "wtx_7"},
        item("debit", "wtx_8", LARGEST + "1"),
        item("debit", "wtx_1", "1000"),
        {"reference": 7},
    )
    assert [(one["status"], one["code"], one.get("balance")) for one in results] == [
        ("approved", "ok", "0"),
        ("refused", "insufficient_funds", "0"),
        ("approved", "ok", "1005"),
        ("approved", "ok", "50"),
        ("approved", "ok", "1050"),
        ("error", "reference_conflict", None),
        ("error", "malformed", None),
        ("error", "malformed", None),
        ("error", "amount_not_representable", None),
        ("approved", "ok", "1050"),
        ("error", "malformed", None),
    ]
    assert results[9]["repeat"]
    references = [one["reference"] for one in results]
    assert references == [*(f"wtx_{number}" for number in (1, 2, 3, 4, 5, 1, 6, 7, 8, 1)), None]
    assert {one["applied"] for one in results if one["status"] == "error"} == {"no"}


async def test_a_batch_has_1_to_256_items(wallet: Caller) -> None:
    many = [item("debit", f"wtx_{number}", "1") for number in range(257)]
    for items in ([], many):
        status, answer = await wallet.ask("/batch", {"items": items})
        assert (status, answer["code"], answer["applied"]) == (400, "malformed", "no")
    assert len(await wallet.batch(*many[:256])) == 256
    assert await wallet.balance() == 744


async def test_a_statement_lists_what_was_moved_once_and_in_pages(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1", "10")
    await wallet.move("debit", "wtx_2", "5000")
    await wallet.move("credit", "wtx_3", "20")
    await wallet.move("rollback", "wtx_4", "10", target="wtx_1")
    await wallet.move("rollback", "wtx_5", "10", target="wtx_1")
    await wallet.move("rollback", "wtx_6", "10", target="wtx_none")
    pages, listed = await _read_statement(wallet, LONG_AGO, FAR_AHEAD, limit=2)
    assert pages == 2
    shown = ("reference", "operation", "target_reference", "amount", "change")
    assert [tuple(one[name] for name in shown) for one in listed] == [
        ("wtx_1", "debit", None, "10", "-10"),
        ("wtx_3", "credit", None, "20", "20"),
        ("wtx_4", "rollback", "wtx_1", "10", "10"),
    ]  # fmt: skip
    assert set(listed[0]) == {
        "reference", "operation", "target_reference", "player_id", "asset", "amount", "change",
        "wallet_reference", "recorded_at",
    }  # fmt: skip
    times = [one["recorded_at"] for one in listed]
    assert times == sorted(times)
    _, from_second = await _read_statement(wallet, times[1], times[2])
    assert [one["reference"] for one in from_second] == ["wtx_3"], "from <= recorded < to"


async def test_a_statement_misses_nothing_while_movements_go_on(wallet: Caller) -> None:
    await wallet.deposit(10_000)
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    movements = asyncio.gather(
        *(
            wallet.move("debit", f"wtx_{number}", "1", player_id=f"p-{1 + number % 2}")
            for number in range(300)
        )
    )
    seen: list[str] = []
    cursor: str | None = None
    while not movements.done():
        page = await _load_page(wallet, LONG_AGO, ends_at, cursor, limit=7)
        seen += [one["reference"] for one in page["movements"]]
        cursor = page["next_cursor"] or cursor
        if page["next_cursor"] is None:
            seen, cursor = [], None
    await movements
    while True:
        page = await _load_page(wallet, LONG_AGO, ends_at, cursor, limit=7)
        seen += [one["reference"] for one in page["movements"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"wtx_{number}" for number in range(300))


async def test_a_page_waits_for_what_is_being_decided_and_ends_when_it_was_asked_for(
    wallet: Caller, empty_database_url: str, wait_until: Callable[..., Awaitable[None]]
) -> None:
    slow, quick = (next(n for n in map(str, range(99)) if hash(n) % SHARDS == shard) for shard in range(2))
    for player in (slow, quick):
        await wallet.deposit(1_000, player)
    holder, observer = [await asyncpg.connect(empty_database_url) for _ in range(2)]
    try:
        await holder.execute("BEGIN")
        await holder.execute(f"SELECT FROM reference_wallet.wallet WHERE player_id = '{slow}' FOR UPDATE")
        held = asyncio.create_task(wallet.move("debit", "wtx_held", player_id=slow))
        await wait_until(lambda: observer.fetchval(BLOCKED))
        page = asyncio.create_task(_load_page(wallet, LONG_AGO, FAR_AHEAD, None))
        await asyncio.wait({page}, timeout=0.3)
        await wallet.move("debit", "wtx_later", player_id=quick)
        await holder.execute("COMMIT")
        listed = [one["reference"] for one in (await page)["movements"]]
        await held
    finally:
        await holder.close()
        await observer.close()
    assert listed == ["wtx_held"]


async def _load_page(
    wallet: Caller, starts_at: str, ends_at: str, cursor: str | None, *, limit: int = 1_000
) -> Any:
    body = {"from": starts_at, "to": ends_at, "limit": limit, "cursor": cursor}
    status, page = await wallet.ask("/statement", body)
    assert status == 200, page
    return page


async def _read_statement(
    wallet: Caller, starts_at: str, ends_at: str, *, limit: int = 1_000
) -> tuple[int, list[Any]]:
    pages, listed, cursor = 0, [], None
    while pages == 0 or cursor is not None:
        page = await _load_page(wallet, starts_at, ends_at, cursor, limit=limit)
        pages, cursor = pages + 1, page["next_cursor"]
        listed += page["movements"]
    return pages, listed


async def test_an_impossible_statement_is_malformed(wallet: Caller) -> None:
    others: tuple[dict[str, Any], ...] = (
        {"limit": 0},
        {"limit": 1_001},
        {"cursor": "1"},
        {"from": FAR_AHEAD, "to": LONG_AGO},
        {"from": "2026-01-01"},
        {"to": None},
    )
    for other in others:
        body = {"from": LONG_AGO, "to": FAR_AHEAD, "limit": 10, "cursor": None} | other
        status, answer = await wallet.ask("/statement", body)
        assert (status, answer["code"], answer["applied"]) == (400, "malformed", "no"), other


async def test_the_cashier_is_idempotent_by_reference_and_never_overdraws(wallet: Caller) -> None:
    cash = {"player_id": "p-1", "asset": "EUR", "amount": "600", "reference": "c-1"}
    for is_repeat in (False, True):
        answer = await wallet.desk("POST", "/cashier/withdraw", cash)
        assert (answer["status"], answer["balance"], answer["repeat"]) == ("approved", "400", is_repeat)
    refused = await wallet.desk("POST", "/cashier/withdraw", cash | {"reference": "c-2"})
    assert (refused["status"], refused["code"]) == ("refused", "insufficient_funds")
    missing = await wallet.desk("POST", "/cashier/withdraw", cash | {"reference": "c-3", "player_id": "p-9"})
    assert missing["code"] == "unknown_player"
    found = await wallet.desk("GET", "/cashier/balance?player_id=p-1&asset=EUR")
    assert found["balance"] == "400"
    body = json.dumps(cash | {"reference": "wtx_1"}).encode()
    assert (await wallet.send("POST", "/cashier/deposit", body, JSON))[0] == 400
    assert (await wallet.send("POST", "/cashier/deposit", body, {"Content-Type": "text/plain"}))[0] == 415


async def test_the_book_holds_every_decision_and_the_totals_agree_with_it(wallet: Caller) -> None:
    await wallet.move("debit", "wtx_1", "10")
    await wallet.move("debit", "wtx_2", "5000")
    await wallet.move("rollback", "wtx_3", target="wtx_4")
    book = await wallet.book()
    decided = [(one["reference"], one["status"], one["change"]) for one in book[2:]]
    assert sorted(decided) == [
        ("wtx_1", "approved", "-10"),
        ("wtx_2", "refused", "0"),
        ("wtx_3", "approved", "0"),
        ("wtx_4", "tombstone", "0"),
    ]
    total = (await wallet.desk("GET", "/totals"))["assets"]["EUR"]
    assert (total["balance"], total["is_balanced"]) == ("1990", True)
    assert total["changes"] == {"debit": "-10", "deposit": "2000"}
    rest = await wallet.desk("GET", f"/book?after={book[2]['number']}")
    assert len(rest["movements"]) == 3


async def test_a_database_that_drops_its_connections_loses_nothing(
    wallet: Caller, empty_database_url: str
) -> None:
    killer = await asyncpg.connect(empty_database_url)
    try:
        for number in range(5):
            calls = [wallet.ask("/debit", movement(f"wtx_{number}_{call}", "1")) for call in range(20)]
            cut = killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = $1 AND datname = current_database()",
                "croupier-reference-wallet",
            )
            answers = (await asyncio.gather(*calls, cut))[:-1]
            assert {status for status, _ in answers} <= {200, 500, 503}
            for call in range(20):
                assert (await wallet.move("debit", f"wtx_{number}_{call}", "1"))["status"] == "approved"
    finally:
        await killer.close()
    assert await wallet.balance() == 900
    assert await wallet.is_balanced()


async def test_the_correlation_id_is_kept_with_the_movement(wallet: Caller) -> None:
    await wallet.post("/debit", json.dumps(movement("wtx_1")).encode(), headers={"x-correlation-id": "c-7"})
    assert (await wallet.book())[-1]["correlation_id"] == "c-7"
