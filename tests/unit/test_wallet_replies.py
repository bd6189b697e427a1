"""What the operator's wallet says, read: what agrees with the order counts, and nothing else ever approves."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from croupier.operator.wallet.replies import (
    REFUSALS,
    Answer,
    Movement,
    Page,
    read_balance,
    read_batch,
    read_movement,
    read_statement,
    read_status,
)
from croupier.operator.wallet.wire import (
    render_balance,
    render_batch,
    render_movement,
    render_statement,
    render_status,
)
from croupier.wallet.port import (
    Approved,
    Balance,
    IfSpent,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
)
from unit.wallet_orders import (
    AT,
    CREDIT,
    DEBIT,
    EACH,
    ROLLBACK,
    UNDOING,
    answer,
    approved,
    error,
    order,
    refused,
)

EVERY = pytest.mark.parametrize("asked", EACH, ids=lambda asked: asked.operation.value)
REMOVED = object()
SPENT_REFUSED = order(Operation.ROLLBACK, if_spent=IfSpent.REFUSE)


def with_(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A body with other members, or without those that are REMOVED."""
    return {name: value for name, value in (body | changes).items() if value is not REMOVED}


@EVERY
def test_an_answer_that_agrees_is_approved(asked: WalletOrder) -> None:
    heard = read_movement(asked, answer(approved(asked, unheard_of=[1, 2.5, None])))
    assert heard.word == Approved(amount=250, balance=9750, code="ok", wallet_reference="w-81")
    assert (heard.has_failed, heard.fits) == (False, True)


@EVERY
def test_what_does_not_concern_money_may_be_left_out(asked: WalletOrder) -> None:
    body = with_(approved(asked), repeat=REMOVED, wallet_reference=REMOVED)
    assert read_movement(asked, answer(body)).word == Approved(amount=250, balance=9750)


@EVERY
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": "wtx_2"}, "other_reference"),
        ({"reference": REMOVED}, "other_reference"),
        ({"player_id": "p-2"}, "other_player"),
        ({"player_id": None}, "other_player"),
        ({"asset": "eur"}, "other_asset"),
        ({"operation": "balance"}, "other_operation"),
        ({"amount": "251"}, "other_amount"),
        ({"amount": "25000"}, "other_amount"),
        ({"amount": REMOVED}, "malformed"),
        ({"amount": 250}, "malformed"),
        ({"amount": "250.0"}, "malformed"),
        ({"amount": "-250"}, "malformed"),
        ({"amount": "0250"}, "malformed"),
        ({"amount": "+250"}, "malformed"),
        ({"amount": "2_50"}, "malformed"),
        ({"amount": " 250"}, "malformed"),
        ({"amount": "250\n"}, "malformed"),
        ({"amount": "٢٥٠"}, "malformed"),
        ({"balance": REMOVED}, "malformed"),
        ({"balance": 9750}, "malformed"),
        ({"balance": True}, "malformed"),
        ({"balance": "97.50"}, "malformed"),
        ({"balance": "-0"}, "malformed"),
        ({"balance": "1e3"}, "malformed"),
        ({"balance": "NaN"}, "malformed"),
        ({"balance": "9" * 39}, "malformed"),
        ({"status": "ok"}, "other_status"),
        ({"status": "Approved"}, "other_status"),
        ({"status": "not_found"}, "other_status"),
        ({"status": "error", "applied": "no"}, "other_status"),
        ({"status": REMOVED}, "malformed"),
        ({"status": True}, "malformed"),
        ({"code": REMOVED}, "malformed"),
        ({"code": "OK"}, "malformed"),
        ({"code": "fine"}, "other_code"),
        ({"wallet_reference": 81}, "malformed"),
        ({"wallet_reference": "w" * 129}, "malformed"),
        ({"repeat": "no"}, "malformed"),
    ],
    ids=lambda value: json.dumps(value, default=lambda _: "removed"),
)
def test_whatever_does_not_agree_is_unknown_and_a_failure(
    asked: WalletOrder, changes: dict[str, Any], reason: str
) -> None:
    heard = read_movement(asked, answer(with_(approved(asked), **changes)))
    assert heard.word == Unknown(reason)
    assert (heard.has_failed, heard.fits) == (True, False)


@pytest.mark.parametrize("balance", ["0", "-1", "9" * 38, "-" + "9" * 38])
def test_a_balance_may_be_as_long_as_the_ledgers_and_negative(balance: str) -> None:
    said = read_movement(DEBIT, answer(approved(DEBIT, balance=balance))).word
    assert said == Approved(amount=250, balance=int(balance), wallet_reference="w-81")


def test_an_amount_may_be_as_long_as_the_ledgers() -> None:
    asked = order(amount=10**38 - 1)
    said = read_movement(asked, answer(approved(asked))).word
    assert said == Approved(amount=10**38 - 1, balance=9750, wallet_reference="w-81")


@pytest.mark.parametrize(
    ("asked", "code", "amount", "is_taken"),
    [
        (ROLLBACK, "ok", "250", True),
        (ROLLBACK, "ok", "249", True),
        (ROLLBACK, "ok", "0", True),
        (ROLLBACK, "ok", "251", False),
        (ROLLBACK, "nothing_to_roll_back", "0", True),
        (ROLLBACK, "nothing_to_roll_back", "250", False),
        (ROLLBACK, "already_rolled_back", "0", True),
        (ROLLBACK, "already_rolled_back", "1", False),
        (SPENT_REFUSED, "ok", "250", True),
        (SPENT_REFUSED, "ok", "249", False),
        (UNDOING, "ok", "250", True),
        (UNDOING, "ok", "249", False),
        (UNDOING, "nothing_to_roll_back", "0", True),
        (DEBIT, "nothing_to_roll_back", "0", False),
        (CREDIT, "already_rolled_back", "0", False),
        (DEBIT, "ok", "249", False),
        (CREDIT, "ok", "0", False),
    ],
)
def test_only_what_can_have_been_spent_is_taken_in_part(
    asked: WalletOrder, code: str, amount: str, is_taken: bool
) -> None:
    word = read_movement(asked, answer(approved(asked, code=code, amount=amount))).word
    if is_taken:
        assert word == Approved(amount=int(amount), balance=9750, code=code, wallet_reference="w-81")
    else:
        assert word in (Unknown("other_amount"), Unknown("other_code"))


@EVERY
@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_a_refusal_keeps_its_code_and_balance(asked: WalletOrder, code: str) -> None:
    heard = read_movement(asked, answer(refused(asked, code=code)))
    assert heard.word == Refused(code=code, balance=120)
    assert not heard.has_failed
    without = with_(refused(asked, code=code), balance=REMOVED)
    assert read_movement(asked, answer(without)).word == Refused(code=code)


@EVERY
def test_a_refusal_for_a_reason_of_the_houses_own_blocks_the_player(asked: WalletOrder) -> None:
    word = read_movement(asked, answer(refused(asked, code="on_holiday"))).word
    assert word == Refused(code="player_blocked", balance=120)


@EVERY
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": "wtx_2"}, "other_reference"),
        ({"player_id": "p-2"}, "other_player"),
        ({"asset": "USD"}, "other_asset"),
        ({"code": "On Holiday"}, "malformed"),
        ({"code": REMOVED}, "malformed"),
        ({"balance": 120}, "malformed"),
    ],
)
def test_a_refusal_that_does_not_agree_is_none(
    asked: WalletOrder, changes: dict[str, Any], reason: str
) -> None:
    assert read_movement(asked, answer(with_(refused(asked), **changes))).word == Unknown(reason)


@EVERY
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"approved"',
        b"<html>approved</html>",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b'{"status":"approved"}{"status":"approved"}',
    ],
)
def test_what_is_no_json_object_is_malformed(asked: WalletOrder, body: bytes) -> None:
    for read in (read_movement, read_status):
        assert read(asked, answer(body)).word == Unknown("malformed")
    assert read_batch((asked, asked), answer(body)) == (read_movement(asked, answer(body)),) * 2


@EVERY
@pytest.mark.parametrize(
    "more",
    [
        '"amount":"250"',
        '"amoun\\u0074":"250"',
        '"x":NaN',
        '"x":Infinity',
        '"x":1e999',
        '"x":"\\u0000"',
        '"x":' + "[" * 20 + "]" * 20,
        '"x":1' + "0" * 50,
    ],
)
def test_what_two_parsers_may_read_differently_is_malformed(asked: WalletOrder, more: str) -> None:
    whole = json.dumps(approved(asked))
    body = f"{whole[:-1]},{more}}}".encode()
    assert read_movement(asked, answer(body)).word == Unknown("malformed")


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (301, {}, "redirected"),
        (307, {}, "redirected"),
        (201, {}, "status_201"),
        (204, {}, "status_204"),
        (200, {"content_type": "text/html"}, "content_type"),
        (200, {"content_type": ""}, "content_type"),
        (200, {"content_type": "application/jsonp"}, "content_type"),
        (200, {"content_encoding": "gzip"}, "compressed"),
        (200, {"content_encoding": "br"}, "compressed"),
        (404, {}, "status_404"),
        (500, {"content_type": "text/plain"}, "status_500"),
        (503, {}, "status_503"),
    ],
)
def test_an_approval_in_another_guise_is_none(status: int, headers: dict[str, str], reason: str) -> None:
    heard = read_movement(DEBIT, answer(approved(DEBIT), status, **headers))
    assert heard.word == Unknown(reason)
    assert (heard.has_failed, heard.fits) == (True, False)


@pytest.mark.parametrize("named", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_media_type_may_be_written_in_full(named: str) -> None:
    assert isinstance(read_movement(DEBIT, answer(approved(DEBIT), content_type=named)).word, Approved)


@pytest.mark.parametrize(
    ("status", "code", "applied", "has_failed", "may_pass"),
    [
        (400, "malformed", "no", False, False),
        (401, "unauthenticated", "no", True, False),
        (404, "unknown_path", "no", True, False),
        (409, "reference_conflict", "no", False, False),
        (409, "in_flight", "unknown", False, False),
        (413, "body_too_large", "no", False, False),
        (415, "unsupported_media_type", "no", False, False),
        (422, "amount_not_representable", "no", False, False),
        (429, "overloaded", "no", True, True),
        (503, "unavailable", "no", True, True),
        (503, "unavailable", "unknown", True, True),
        (500, "internal", "unknown", True, True),
    ],
)
def test_an_error_says_whether_anything_was_applied(
    status: int, code: str, applied: str, has_failed: bool, may_pass: bool
) -> None:
    heard = read_movement(DEBIT, answer(error(code, applied), status, retry_after="7"))
    assert heard.word == (NotApplied(code) if applied == "no" else Unknown(code))
    assert (heard.has_failed, heard.may_pass, heard.fits) == (has_failed, may_pass, True)
    assert heard.retry_after == ("7" if may_pass else None)
    assert read_status(DEBIT, answer(error(code, applied), status)).word == Unknown(code)
    assert read_balance("p-1", "EUR", answer(error(code, applied), status)).word == Unknown(code)


@pytest.mark.parametrize(
    "body",
    [
        {"code": "unavailable", "detail": "x"},
        {"applied": "no"},
        error("unavailable", "No"),
        error("unavailable", "yes"),
        error("Un available", "no"),
        [error("unavailable", "no")],
        error("unavailable", "no", detail=7),
        b'{"code":"unavailable","applied":"no","applied":"unknown"}',
        b"unavailable",
    ],
)
def test_an_error_that_is_not_in_form_proves_nothing(body: Any) -> None:
    heard = read_movement(DEBIT, answer(body, 503))
    assert heard.word == Unknown("status_503")
    assert (heard.has_failed, heard.fits) == (True, False)


def test_an_error_about_another_reference_is_none_of_ours() -> None:
    said = error("unavailable", "no", reference="wtx_2")
    assert read_movement(DEBIT, answer(said, 503)).word == Unknown("other_reference")
    mine = error("unavailable", "no", reference="wtx_1")
    assert read_movement(DEBIT, answer(mine, 503)).word == NotApplied("unavailable")


@EVERY
def test_a_status_says_what_the_movement_itself_did(asked: WalletOrder) -> None:
    named = {"operation": asked.operation.value}
    assert read_status(asked, answer(approved(asked, **named))).word == Approved(
        amount=250, balance=9750, wallet_reference="w-81"
    )
    assert read_status(asked, answer(refused(asked, **named))).word == Refused(
        code="insufficient_funds", balance=120
    )


@EVERY
def test_a_status_of_another_operation_or_of_none_is_unknown(asked: WalletOrder) -> None:
    others = {one.value for one in Operation} - {asked.operation.value}
    for body in (approved(asked), *(refused(asked, operation=other) for other in others)):
        assert read_status(asked, answer(body)).word == Unknown("other_operation")


@EVERY
def test_a_reference_that_the_wallet_never_heard_of_was_not_applied(asked: WalletOrder) -> None:
    said = {"status": "not_found", "reference": "wtx_1", "player_id": "p-1", "asset": "EUR"}
    heard = read_status(asked, answer(said))
    assert (heard.word, heard.has_failed, heard.fits) == (NotApplied("not_found"), False, True)
    for name, reason in (("reference", "reference"), ("player_id", "player"), ("asset", "asset")):
        assert read_status(asked, answer(said | {name: "x"})).word == Unknown(f"other_{reason}")
    assert read_movement(asked, answer(said)).word != NotApplied("not_found")


ORDERS = tuple(order(reference=f"wtx_{n}", player_id=f"p-{n}") for n in range(4))


def results(*bodies: Any) -> Answer:
    return answer({"results": list(bodies)})


def test_each_result_of_a_batch_is_judged_by_itself() -> None:
    said = results(
        approved(ORDERS[0]),
        refused(ORDERS[1]),
        {"status": "error", "reference": "wtx_2"} | error("unavailable", "no"),
        {"status": "error", "reference": "wtx_3"} | error("internal", "unknown"),
    )
    heard = read_batch(ORDERS, said)
    assert [one.word for one in heard] == [
        Approved(amount=250, balance=9750, wallet_reference="w-81"),
        Refused(code="insufficient_funds", balance=120),
        NotApplied("unavailable"),
        Unknown("internal"),
    ]
    assert [one.has_failed for one in heard] == [False, False, True, True]
    assert all(one.fits for one in heard)


def test_a_batch_is_matched_by_place_and_by_reference() -> None:
    mixed = [approved(ORDERS[0]), approved(ORDERS[2]), approved(ORDERS[1]), approved(ORDERS[3])]
    words = [one.word for one in read_batch(ORDERS, results(*mixed))]
    assert words[1:3] == [Unknown("other_reference")] * 2
    assert all(isinstance(word, Approved) for word in (words[0], words[3]))


def test_one_result_that_cannot_be_read_spoils_no_other() -> None:
    for spoilt in (None, 7, [], {}, approved(ORDERS[1], amount=250), {"status": "error"}):
        words = [
            one.word
            for one in read_batch(ORDERS[:3], results(approved(ORDERS[0]), spoilt, refused(ORDERS[2])))
        ]
        assert isinstance(words[0], Approved)
        assert isinstance(words[1], Unknown)
        assert isinstance(words[2], Refused)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_batch_with_more_or_fewer_results_says_nothing_of_any(count: int) -> None:
    bodies = [approved(ORDERS[n % 4]) for n in range(count)]
    assert [one.word for one in read_batch(ORDERS, results(*bodies))] == [Unknown("other_count")] * 4


def test_a_batch_that_was_not_taken_says_so_of_each() -> None:
    heard = read_batch(ORDERS, answer(error("overloaded", "no"), 429))
    assert [one.word for one in heard] == [NotApplied("overloaded")] * 4


def test_a_balance_names_whose_it_is() -> None:
    said = {"status": "approved", "player_id": "p-1", "asset": "EUR", "balance": "-7"}
    assert read_balance("p-1", "EUR", answer(said)).word == Balance(-7)
    assert read_balance("p-2", "EUR", answer(said)).word == Unknown("other_player")
    assert read_balance("p-1", "USD", answer(said)).word == Unknown("other_asset")
    assert read_balance("p-1", "EUR", answer(said | {"balance": 7})).word == Unknown("malformed")
    assert read_balance("p-1", "EUR", answer(said | {"status": "fine"})).word == Unknown("other_status")
    gone = {"status": "refused", "code": "unknown_player", "player_id": "p-1", "asset": "EUR"}
    assert read_balance("p-1", "EUR", answer(gone)).word == Refused(code="unknown_player")


LINE = {
    "reference": "wtx_1",
    "operation": "debit",
    "target_reference": None,
    "player_id": "p-1",
    "asset": "EUR",
    "amount": "250",
    "change": "-250",
    "wallet_reference": "w-81",
    "recorded_at": "2026-03-01T12:00:00Z",
}


def lines(*changes: dict[str, Any], cursor: str | None = None) -> Answer:
    return answer({"movements": [LINE | one for one in changes], "next_cursor": cursor})


def test_a_page_of_a_statement_is_read_whole() -> None:
    undone = {"operation": "rollback", "target_reference": "wtx_1", "reference": "wtx_2", "change": "250"}
    (heard,) = read_statement(lines({}, undone, cursor="c-2"))
    assert isinstance(heard.word, Page)
    assert heard.word.next_cursor == "c-2"
    assert heard.word.movements[0] == Movement(
        reference="wtx_1",
        operation=Operation.DEBIT,
        target_reference=None,
        player_id="p-1",
        asset="EUR",
        amount=250,
        change=-250,
        wallet_reference="w-81",
        recorded_at=AT,
    )
    assert heard.word.movements[1].change == 250


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"change": "250"}, "other_amount"),
        ({"change": "-249"}, "other_amount"),
        ({"amount": "0", "change": "0"}, "other_amount"),
        ({"operation": "credit"}, "other_amount"),
        ({"operation": "rollback"}, "other_amount"),
        ({"target_reference": "wtx_0"}, "other_amount"),
        ({"amount": 250}, "malformed"),
        ({"recorded_at": "2026-03-01T12:00:00"}, "malformed"),
        ({"recorded_at": 7}, "malformed"),
        ({"operation": "deposit"}, "malformed"),
    ],
)
def test_one_wrong_line_spoils_a_page(changes: dict[str, Any], reason: str) -> None:
    (heard,) = read_statement(lines({}, changes))
    assert heard.word == Unknown(reason)


def test_a_page_says_where_the_next_one_begins_or_that_there_is_none() -> None:
    (heard,) = read_statement(answer({"movements": [LINE]}))
    assert heard.word == Unknown("malformed")


def test_what_is_sent_has_the_members_of_the_contract() -> None:
    debit = json.loads(render_movement(DEBIT))
    assert debit == {
        "reference": "wtx_1",
        "player_id": "p-1",
        "asset": "EUR",
        "amount": "250",
        "kind": "bet",
        "provider": "studio",
        "provider_reference": "t-1",
        "session_id": "ses_1",
        "round_id": "r-1",
        "game_id": "dice",
        "occurred_at": "2026-03-01T12:00:00Z",
    }
    rollback = json.loads(render_movement(ROLLBACK))
    assert rollback.keys() - debit.keys() == {"target_reference", "if_spent"}
    assert (rollback["target_reference"], rollback["if_spent"]) == ("wtx_0", "take_what_is_left")
    assert json.loads(render_movement(UNDOING))["if_spent"] == "take_what_is_left"
    assert json.loads(render_movement(SPENT_REFUSED))["if_spent"] == "refuse"
    asked = json.loads(render_status(DEBIT))
    assert asked == {"reference": "wtx_1", "player_id": "p-1", "asset": "EUR"}
    assert json.loads(render_balance("p-1", "EUR")) == {"player_id": "p-1", "asset": "EUR"}
    assert json.loads(render_statement(AT, AT + timedelta(hours=1), None)) == {
        "from": "2026-03-01T12:00:00Z",
        "to": "2026-03-01T13:00:00Z",
        "limit": 1000,
        "cursor": None,
    }


def test_the_items_of_a_batch_are_the_single_bodies_with_their_operation() -> None:
    body = render_batch([(one.operation, render_movement(one)) for one in EACH])
    assert json.loads(body) == {
        "items": [{"operation": one.operation.value} | json.loads(render_movement(one)) for one in EACH]
    }


def test_what_is_local_time_here_is_sent_in_utc() -> None:
    elsewhere = msgspec.structs.replace(DEBIT, occurred_at=AT.astimezone(tz=None))
    assert json.loads(render_movement(elsewhere))["occurred_at"] == "2026-03-01T12:00:00Z"
