"""The wallet's replies are untrusted: no bytes approve an order but those that agree with all of it."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from croupier.operator.wallet.replies import (
    NOTHING_MOVED,
    REFUSALS,
    Answer,
    read_balance,
    read_batch,
    read_movement,
    read_statement,
    read_status,
)
from croupier.wallet.port import (
    NOT_FOUND,
    Approved,
    Balance,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
)
from unit.wallet_orders import DEBIT, EACH, UNDOING, approved, error, order, refused

ORDERS = st.sampled_from([*EACH, UNDOING])
STATUSES = st.sampled_from([200] * 6 + [201, 204, 301, 400, 401, 409, 422, 429, 500, 503]) | st.integers(
    100, 999
)
TYPES = st.sampled_from(["application/json"] * 5 + ["application/json; charset=utf-8", "text/html", ""])
ENCODINGS = st.sampled_from([None] * 5 + ["gzip", "identity", "br"])
REASON = re.compile(r"[a-z][a-z0-9_]{0,63}")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["approved", "refused", "ok", "not_found", "error", "no", "wtx_1", "wtx_2", "p-1", "p-2"])
    | st.sampled_from(["EUR", "USD", "250", "251", "0", "-1", "250.0", 250, "debit", "credit"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
NAMES = [
    "status", "code", "reference", "player_id", "asset", "amount", "balance", "operation", "applied", "repeat",
]  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn, asked: WalletOrder) -> bytes:
    """A right answer, whole or with another member, cut, doubled, or with other bytes in it; or anything at all."""
    honest = draw(
        st.sampled_from(
            [
                approved(asked),
                approved(asked, operation=asked.operation.value),
                refused(asked, operation=asked.operation.value),
                approved(asked, code="nothing_to_roll_back", amount="0"),
                error("unavailable", "no"),
                {"status": "not_found", "reference": "wtx_1", "player_id": "p-1", "asset": "EUR"},
            ]
        )
    )
    whole = json.dumps(honest).encode()
    match draw(
        st.sampled_from(["whole", "members", "removed", "cut", "bytes", "twice", "anything", "noise"])
    ):
        case "members":
            more = draw(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), VALUES, max_size=3))
            return json.dumps(honest | more).encode()
        case "removed":
            gone = draw(st.sampled_from(sorted(honest)))
            return json.dumps({name: value for name, value in honest.items() if name != gone}).encode()
        case "cut":
            return whole[: draw(st.integers(0, len(whole)))]
        case "bytes":
            at = draw(st.integers(0, len(whole)))
            return whole[:at] + draw(st.binary(max_size=6)) + whole[at + draw(st.integers(0, 6)) :]
        case "twice":
            name, value = draw(st.sampled_from(NAMES)), json.dumps(draw(VALUES)).encode()
            return whole[:-1] + b',"' + name.encode() + b'":' + value + b"}"
        case "anything":
            return json.dumps(draw(VALUES)).encode()
        case "noise":
            return draw(st.binary(max_size=80))
        case _:
            return whole


@st.composite
def answers(draw: st.DrawFn, asked: WalletOrder) -> Answer:
    headers = {"content-type": draw(TYPES)}
    encoding = draw(ENCODINGS)
    if encoding is not None:
        headers["content-encoding"] = encoding
    return Answer(draw(STATUSES), headers, draw(bodies(asked)))


def pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a member was given twice"
    return found


def agrees(asked: WalletOrder, answer: Answer) -> dict[str, Any]:
    """What was said, read by another parser, of an answer that was taken as a decision about an order."""
    assert answer.status == 200
    assert answer.headers.get("content-encoding", "identity") == "identity"
    assert answer.headers["content-type"].startswith("application/json")
    said: dict[str, Any] = json.loads(answer.body, object_pairs_hook=pairs_once)
    assert (said["reference"], said["player_id"], said["asset"]) == (
        asked.reference,
        asked.player_id,
        asked.asset,
    )
    assert said.get("operation", asked.operation.value) == asked.operation.value
    return said


def check_approval(asked: WalletOrder, answer: Answer, word: Approved) -> None:
    said = agrees(asked, answer)
    assert said["status"] == "approved"
    assert (said["amount"], said["balance"], said["code"]) == (str(word.amount), str(word.balance), word.code)
    if word.code in NOTHING_MOVED:
        assert (asked.operation, word.amount) == (Operation.ROLLBACK, 0)
    else:
        assert word.code == "ok"
        is_part = asked.operation is Operation.ROLLBACK and asked.kind != "bet"
        assert word.amount == asked.amount or (is_part and 0 <= word.amount < asked.amount)


@examples(max_examples=1500)
@given(st.data())
def test_no_bytes_approve_a_movement_but_those_that_agree_with_it(data: st.DataObject) -> None:
    asked = data.draw(ORDERS)
    answer = data.draw(answers(asked))
    heard = read_movement(asked, answer)
    match heard.word:
        case Approved():
            check_approval(asked, answer, heard.word)
        case Refused(code=code):
            assert agrees(asked, answer)["status"] == "refused"
            assert code in REFUSALS
        case NotApplied(reason=reason):
            said = json.loads(answer.body, object_pairs_hook=pairs_once)
            assert answer.status >= 400
            assert (said["applied"], said["code"]) == ("no", reason)
        case Unknown(reason=reason):
            assert REASON.fullmatch(reason)


@examples(max_examples=1000)
@given(st.data())
def test_a_status_proves_what_it_says_and_nothing_by_its_own_failure(data: st.DataObject) -> None:
    asked = data.draw(ORDERS)
    answer = data.draw(answers(asked))
    match read_status(asked, answer).word:
        case Approved() as word:
            check_approval(asked, answer, word)
            assert json.loads(answer.body)["operation"] == asked.operation.value
        case Refused():
            assert agrees(asked, answer)["status"] == "refused"
        case NotApplied(reason=reason):
            assert reason == NOT_FOUND
            assert agrees(asked, answer)["status"] == NOT_FOUND
        case Unknown(reason=reason):
            assert REASON.fullmatch(reason)


TWO = (DEBIT, order(reference="wtx_2", player_id="p-2"))


@examples(max_examples=500)
@given(st.data())
def test_no_result_of_a_batch_approves_another_order(data: st.DataObject) -> None:
    parts = [data.draw(bodies(one)) for one in data.draw(st.permutations(TWO))]
    answer = Answer(200, {"content-type": "application/json"}, b'{"results":[' + b",".join(parts) + b"]}")
    heard = read_batch(TWO, answer)
    assert len(heard) == 2
    for asked, one in zip(TWO, heard, strict=True):
        if isinstance(one.word, Approved):
            results = json.loads(answer.body, object_pairs_hook=pairs_once)["results"]
            said = results[TWO.index(asked)]
            assert (said["reference"], said["player_id"]) == (asked.reference, asked.player_id)
            assert (said["status"], said["amount"]) == ("approved", "250")


@examples(max_examples=500)
@example(asked=DEBIT, answer=Answer(200, {"content-type": "application/json"}, b"[" * 100_000))
@given(asked=st.just(DEBIT), answer=answers(DEBIT))
def test_whatever_comes_there_is_a_word_for_it(asked: WalletOrder, answer: Answer) -> None:
    balance = read_balance(asked.player_id, asked.asset, answer).word
    if isinstance(balance, Balance):
        assert json.loads(answer.body)["player_id"] == asked.player_id
    assert len(read_batch([asked], answer)) == 1
    assert len(read_statement(answer)) == 1
