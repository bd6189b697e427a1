"""The wallet contract's schemas: valid, open to new members, kept by examples and kit, and judged alike by the kit."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.conformance.wallet.orders import (
    TAKE_WHAT_IS_LEFT,
    Player,
    credit,
    debit,
    render_body,
    render_item,
    rollback,
)
from croupier.conformance.wallet.schema import KEYWORDS, NotJson, Schemas, parse_strictly
from croupier.operator.wallet.contract import (
    EXAMPLES,
    OPENAPI,
    contract_files,
    read_examples,
    read_schemas,
    render_openapi,
)

SCHEMAS: Final = read_schemas()
PAGE: Final = Path(__file__).parents[2] / "docs/reference/wallet-contract-examples.md"
PATHS: Final = ("balance", "debit", "credit", "rollback", "status", "batch", "statement")
REGISTRY: Final = Registry().with_resources(
    (f"{name}.json", Resource(contents=schema, specification=DRAFT202012)) for name, schema in SCHEMAS.items()
)
MESSAGES: Final = [
    pair
    for one in read_examples()
    for pair in (
        (f"{one['path'][1:]}-request", one["request"]),
        (f"{one['path'][1:]}-reply" if one["status"] == 200 else "error", one["reply"]),
    )
    if one["name"] != "an amount that is no amount" or pair[0] == "error"
]
ODD: Final = st.sampled_from(
    [None, True, 0, 1, -1, 1001, "", "0", "00", "-0", "-1", "1.0", "1e3", "9" * 38, "9" * 39, "1\n", "wtx_", "wtx_a",
     "x" * 129, "ok", "OK", "approved", "refused", "error", "not_found", "tombstoned", "debit", "no", [], ["x"], {}]
)  # fmt: skip


def judge(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"{name}.json"}, registry=REGISTRY)


def nodes_of(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(node, dict):
        yield node
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in ("properties", "$defs"):
            for part in value.values():
                yield from nodes_of(part)
        elif key in ("anyOf", "allOf"):
            for part in value:
                yield from nodes_of(part)
        elif key == "items":
            yield from nodes_of(value)


def places_in(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every member and item of a document."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*way, key)
        yield from places_in(value, (*way, key))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_uses_the_few_keywords_that_the_kit_knows(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    for node in nodes_of(SCHEMAS[name]):
        assert set(node) <= KEYWORDS, (
            "an unknown keyword would be passed over by the kit; one closes the members"
        )


def test_every_call_has_a_schema_for_its_request_and_its_reply() -> None:
    both = {f"{path}-{side}" for path in PATHS for side in ("request", "reply")}
    assert set(SCHEMAS) == both | {"common", "error"}


@pytest.mark.parametrize(("name", "document"), MESSAGES)
def test_an_example_fits_its_schema(name: str, document: dict[str, Any]) -> None:
    judge(name).validate(document)
    assert Schemas(SCHEMAS).find_flaws(name, document) == []


@pytest.mark.parametrize(("name", "document"), MESSAGES)
def test_members_that_come_later_fit_as_well(name: str, document: dict[str, Any]) -> None:
    judge(name).validate({**document, "new_member": {"deep": [1]}})


def test_every_call_has_an_example() -> None:
    assert {one["path"] for one in read_examples()} == {f"/{path}" for path in PATHS}


def test_the_kits_own_requests_fit() -> None:
    player = Player("p-1", "EUR")
    stake, gain = debit(player, 10**38 - 1), credit(player, 1, kind="promo_win")
    orders = [stake, gain, rollback(stake), rollback(gain, if_spent=TAKE_WHAT_IS_LEFT)]
    for order in orders:
        judge(f"{order.operation}-request").validate(render_body(order))
    judge("batch-request").validate({"items": [render_item(order) for order in orders]})


@given(st.sampled_from(MESSAGES), st.data())
def test_the_kit_judges_as_a_validator_of_json_schema_does(
    message: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    name, document = message[0], copy.deepcopy(message[1])
    for _ in range(data.draw(st.integers(1, 2))):
        way = data.draw(st.sampled_from(list(places_in(document)) or [()]))
        if way:
            holder = document
            for step in way[:-1]:
                holder = holder[step]
            if data.draw(st.booleans()) and isinstance(holder, dict):
                del holder[way[-1]]
            else:
                holder[way[-1]] = data.draw(ODD)
    # The library's `$` also stands before a last line break; JSON Schema's does not, and neither does the kit's.
    has_break = any(isinstance(one, str) and one.endswith("\n") for one in _texts_in(document))
    fits = Schemas(SCHEMAS).find_flaws(name, document) == []
    assert fits == judge(name).is_valid(document) or (has_break and not fits)


def _texts_in(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        for one in node.values() if isinstance(node, dict) else node:
            yield from _texts_in(one)
    else:
        yield node


def test_a_flaw_is_told_with_its_place_and_for_the_form_that_was_meant() -> None:
    reply = {"status": "approved", "code": "ok", "reference": "wtx_1", "player_id": "p", "asset": "EUR",
             "amount": 250, "balance": "1", "wallet_reference": "w", "repeat": False}  # fmt: skip
    assert Schemas(SCHEMAS).find_flaws("debit-reply", reply) == ["the body, `amount` is 250, not string"]


@pytest.mark.parametrize("text", [b'{"a": 1, "a": 2}', b'{"a": NaN}', b"{", b'"\xff"', b"", b"[" * 100_000])
def test_what_two_readers_may_read_differently_is_no_json(text: bytes) -> None:
    with pytest.raises(NotJson):
        parse_strictly(text)


def test_the_openapi_document_names_every_path_and_every_schema_is_inside() -> None:
    document = render_openapi()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {f"/{path}" for path in PATHS}
    assert set(document["components"]["schemas"]) == set(SCHEMAS)
    references = set(_references_in(document))
    assert references
    for reference in references:
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert isinstance(found, dict), reference


def test_the_openapi_document_judges_as_the_schemas_do() -> None:
    document = render_openapi()
    for name, message in MESSAGES:
        inside = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(inside).validate(message)
    broken = {"$ref": "#/components/schemas/debit-request", "components": document["components"]}
    assert not jsonschema.Draft202012Validator(broken).is_valid({"reference": "wtx_1"})


def test_the_openapi_file_refers_to_the_files_beside_it() -> None:
    document = json.loads(contract_files()[OPENAPI])
    files = {one.partition("#")[0] for one in _references_in(document)} - {""}
    assert files == {f"{name}.json" for name in SCHEMAS if name != "common"}


def _references_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references_in(value)


def test_the_page_shows_every_example_as_it_is_in_the_file() -> None:
    blocks = PAGE.read_text(encoding="utf-8").split("```http\n")[1:]
    shown = [json.loads(block.split("```")[0].partition("\n\n")[2]) for block in blocks]
    assert shown == [one[side] for one in read_examples() for side in ("request", "reply")]


def test_the_command_writes_every_file(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["wallet", "contract", "--schemas", str(tmp_path / "contract")])
    assert done.exit_code == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "contract").iterdir()}
    assert written == contract_files()
    assert {OPENAPI, EXAMPLES} <= set(written)


def test_the_command_prints_openapi_and_examples() -> None:
    printed = CliRunner().invoke(app, ["wallet", "contract", "--openapi"])
    assert json.loads(printed.stdout) == render_openapi()
    examples = CliRunner().invoke(app, ["wallet", "contract", "--examples", "--json"])
    assert json.loads(examples.stdout)["examples"] == read_examples()
    assert "POST /debit" in CliRunner().invoke(app, ["wallet", "contract", "--examples"]).stdout


@pytest.mark.parametrize("options", [[], ["--openapi", "--examples"]])
def test_the_command_wants_one_of_its_options(options: list[str]) -> None:
    assert CliRunner().invoke(app, ["wallet", "contract", *options]).exit_code == 2
