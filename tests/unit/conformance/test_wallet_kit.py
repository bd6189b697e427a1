"""The wallet kit apart from any wallet: what it quotes, what it chooses, what it shows, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.conformance.wallet import rules
from croupier.conformance.wallet.books import Books, Means
from croupier.conformance.wallet.caller import Caller, Exchange, How
from croupier.conformance.wallet.masking import render_exchange
from croupier.conformance.wallet.orders import Player, credit, debit, fresh_reference, rollback
from croupier.conformance.wallet.report import (
    Report,
    count_results,
    render_document,
    render_failure,
    render_markdown,
)
from croupier.conformance.wallet.scenario import FAILED, LEFT_OUT, PASSED, REMARK, Result, choose
from croupier.conformance.wallet.scenarios import SCENARIOS
from croupier.conformance.wallet.scenarios.deadlines import percentile_s
from croupier.conformance.wallet.schema import Schemas
from croupier.conformance.wallet.wire import Answer
from croupier.operator.wallet.contract import read_schemas
from croupier_signing import SigningKey, parse_authorization, verify_native

PAGE: Final = (Path(__file__).parents[3] / rules.PAGE).read_text(encoding="utf-8")
HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
KEY: Final = SigningKey("wallet", b"a secret of the tests")
RULES: Final = [value for value in vars(rules).values() if isinstance(value, rules.Rule)]
GROUPS: Final = {
    "balance", "debits", "credits", "repeats", "conflicts", "rollbacks", "status", "lost_replies", "concurrency",
    "precision", "limits", "signatures", "errors", "batch", "statement", "deadlines",
}  # fmt: skip


def section(anchor: str) -> str:
    """The text below a heading of the contract, on one line."""
    parts = HEADING.split(PAGE)
    titles = [title.lower().replace(" ", "-") for title in parts[1::2]]
    return " ".join(parts[2 * titles.index(anchor) + 2].split())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.text[:40])
def test_a_rule_stands_in_the_contract_where_the_report_points(rule: rules.Rule) -> None:
    assert " ".join(rule.text.split()) in section(rule.anchor)


def test_every_rule_is_tried() -> None:
    tried = {one.rule for one in SCENARIOS}
    untried = [rule.text for rule in RULES if rule not in tried]
    assert untried == []


def test_scenarios_have_ids_of_their_own_in_all_groups() -> None:
    ids = [one.id for one in SCENARIOS]
    assert len(set(ids)) == len(ids)
    assert {one.group for one in SCENARIOS} == GROUPS


@pytest.mark.parametrize("one", SCENARIOS, ids=lambda one: one.id)
def test_a_scenario_says_why_it_matters_and_what_to_do(one: object) -> None:
    for text in (one.title, one.why, one.fix):  # type: ignore[attr-defined]
        assert len(text) > 15
    assert not one.title.endswith(".")  # type: ignore[attr-defined]


def test_scenarios_are_chosen_by_group_and_by_id() -> None:
    assert choose(SCENARIOS, ()) == list(SCENARIOS)
    chosen = choose(SCENARIOS, ["deadlines", "balance/moves_nothing"])
    assert [one.id for one in chosen] == ["balance/moves_nothing", "deadlines/p99"]
    with pytest.raises(KeyError):
        choose(SCENARIOS, ["balance", "no_such_group"])


def test_the_percentile_leaves_one_of_a_hundred_above() -> None:
    times_s = [number / 100 for number in range(1, 201)]
    assert percentile_s(times_s, 99) == pytest.approx(1.98)
    assert percentile_s([0.5], 99) == pytest.approx(0.5)


def test_references_have_the_contracts_form_and_never_come_twice() -> None:
    made = [fresh_reference() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch(r"wtx_[A-Za-z0-9_]{1,60}", one) for one in made)


def test_a_call_is_signed_as_the_gateway_signs() -> None:
    caller = Caller("http://127.0.0.1:1/base/", KEY, Schemas(read_schemas()))
    message = caller.make_message("/debit", {"ä": 1}, How(query="x=1"))
    head, _, body = message.partition(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert head.startswith(b"POST /base/debit?x=1 HTTP/1.1\r\n")
    assert lines[b"content-length"] == str(len(body)).encode()
    parts = parse_authorization(lines[b"authorization"])
    verify_native(
        parts, key=KEY, method="POST", path=b"/base/debit", query=b"x=1", body=body, now_s=parts.timestamp_s
    )


def test_the_books_know_what_a_statement_must_say() -> None:
    books, player = Books(Means(asset="EUR")), Player("p-1", "EUR")
    stake, gain = debit(player, 5), credit(player, 7)
    orders = [stake, gain, rollback(stake), rollback(gain)]
    for order in (*orders, *orders):
        said = {"status": "approved", "amount": str(order.amount), "wallet_reference": "w"}
        books.note(order, said.get)
    refused = debit(player, 9)
    books.note(refused, {"status": "refused"}.get)
    assert [one.change for one in books.moved.values()] == [-5, 7, 5, -7]
    assert refused.reference not in books.moved


def exchange(answer: Answer) -> Exchange:
    message = Caller("http://127.0.0.1:1", KEY, Schemas(read_schemas())).make_message("/debit", {"a": 1})
    return Exchange(path="/debit", message=message, answer=answer, took_s=0.1)


def test_what_would_let_a_reader_sign_is_masked() -> None:
    echoing = Answer(status=400, headers=((b"x", b"y"),), body=b"your secret is " + KEY.secret)
    request, reply = render_exchange(exchange(echoing), KEY, "no answer")
    assert 'sig="***"' in request
    assert "POST /debit HTTP/1.1" in request
    assert KEY.secret.decode() not in reply
    assert reply.startswith("HTTP/1.1 400\nx: y\n\n")


def result(status: str, **more: object) -> Result:
    return Result(scenario=SCENARIOS[0], status=status, **more)  # type: ignore[arg-type]


def report(*results: Result) -> Report:
    return Report(
        url="http://w", at="now", asset="EUR", results=results, left_behind=["p-1"], calls=3, p99_ms=12
    )


def test_a_report_tells_all_that_is_needed_to_work_on_a_failure() -> None:
    failure = result(
        FAILED, expected="200", came="500", exchanges=(("POST /x\n\n```", "HTTP/1.1 500"),), left_out=2
    )
    text = render_markdown(report(failure, result(REMARK, notes=("slow | late",)), result(PASSED)))
    one = SCENARIOS[0]
    for said in (
        one.id,
        one.title,
        one.why,
        one.fix,
        one.rule.text,
        f"{rules.PAGE}#{one.rule.anchor}",
        "500",
    ):
        assert said in text
        assert said in render_failure(failure)
    assert "````http\nPOST /x" in text
    assert "slow \\| late" in text
    assert "p-1" in text


def test_a_remark_is_no_failure() -> None:
    told = report(result(REMARK), result(LEFT_OUT), result(PASSED))
    assert told.has_passed
    assert not report(result(PASSED), result(FAILED)).has_passed
    assert count_results(told.results) == {PASSED: 1, FAILED: 0, REMARK: 1, LEFT_OUT: 1}
    assert render_document(told)["passed"] is True


def run(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["wallet", "conformance", *options], env={"KIT_SECRET": "0123456789abcdef"}
    )
    return done.exit_code, done.output


def test_the_list_shows_what_would_be_played() -> None:
    status, text = run("--list", "--only", "status")
    assert status == 0
    assert "status/not_found" in text
    assert "balance/" not in text
    status, text = run("--list", "--json")
    assert status == 0
    assert len(json.loads(text)["scenarios"]) == len(SCENARIOS)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--url", "http://127.0.0.1:1"),
        ("--url", "wallet", "--secret", "env:KIT_SECRET"),
        ("--url", "http://127.0.0.1:1?x=1", "--secret", "env:KIT_SECRET"),
        ("--url", "http://127.0.0.1:1", "--secret", "0123456789abcdef"),
        ("--url", "http://127.0.0.1:1", "--secret", "env:KIT_NO_SUCH_SECRET"),
        ("--url", "http://127.0.0.1:1", "--secret", "env:KIT_SECRET", "--key-id", "two words"),
        ("--list", "--only", "no_such_group"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(options: tuple[str, ...]) -> None:
    status, text = run(*options)
    assert status == 2
    assert "0123456789abcdef" not in text


def test_a_wallet_that_nobody_reaches_is_said_once() -> None:
    status, text = run("--url", "http://127.0.0.1:1", "--secret", "env:KIT_SECRET")
    assert status == 1
    assert "nobody answers" in text
