"""Changes of schemas, judged: a prepared pair with every kind of change, references, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.providers.schemas.classify import RULES, find_changes, worst_of
from croupier.providers.schemas.files import parse_schema, read_pair, read_schemas
from croupier.providers.schemas.model import Change, Direction, Kind, SchemaUnreadable, Severity

PAIR = Path(__file__).parents[2] / "data" / "schema_diff"
OLD, NEW = PAIR / "old", PAIR / "new"

SAFE, RISKY, BREAKING = Severity.SAFE, Severity.RISKY, Severity.BREAKING

EXPECTED = {
    ("bet.json", "amount", Kind.TEXT_RULE_CHANGED): BREAKING,
    ("bet.json", "amount", Kind.MONEY_WORDS_CHANGED): RISKY,
    ("bet.json", "asset", Kind.VALUE_REMOVED): BREAKING,
    ("bet.json", "asset", Kind.VALUE_ADDED): RISKY,
    ("bet.json", "at", Kind.REQUIRED_REMOVED): RISKY,
    ("bet.json", "bet_id", Kind.REQUIRED_PROPERTY_ADDED): BREAKING,
    ("bet.json", "bonus", Kind.DEFAULT_CHANGED): RISKY,
    ("bet.json", "channel", Kind.VALUES_UNRESTRICTED): RISKY,
    ("bet.json", "count", Kind.TYPE_CHANGED): BREAKING,
    ("bet.json", "country", Kind.TEXT_RULE_ADDED): BREAKING,
    ("bet.json", "details.dealer", Kind.REQUIRED_PROPERTY_ADDED_TO_OPEN): BREAKING,
    ("bet.json", "details.seat", Kind.PROPERTY_ADDED_TO_OPEN): RISKY,
    ("bet.json", "device", Kind.VALUES_RESTRICTED): BREAKING,
    ("bet.json", "extra", Kind.ADDITIONAL_TIGHTENED): BREAKING,
    ("bet.json", "free_round", Kind.ALTERNATIVE_ADDED): RISKY,
    ("bet.json", "free_round", Kind.WORDS_CHANGED): SAFE,
    ("bet.json", "free_round.campaign", Kind.PROPERTY_REMOVED): BREAKING,
    ("bet.json", "free_round.tournament", Kind.REQUIRED_PROPERTY_ADDED): BREAKING,
    ("bet.json", "game", Kind.WORDS_CHANGED): SAFE,
    ("bet.json", "ip", Kind.TEXT_RULE_REMOVED): RISKY,
    ("bet.json", "kind", Kind.CONST_CHANGED): BREAKING,
    ("bet.json", "limits", Kind.ADDITIONAL_OPENED): RISKY,
    ("bet.json", "lines", Kind.BOUND_LOOSENED): RISKY,
    ("bet.json", "lines[].symbol", Kind.TYPE_CHANGED): BREAKING,
    ("bet.json", "note", Kind.PROPERTY_ADDED): SAFE,
    ("bet.json", "payer", Kind.ALTERNATIVE_REMOVED): BREAKING,
    ("bet.json", "player", Kind.PROPERTY_REMOVED): BREAKING,
    ("bet.json", "reference", Kind.BOUND_TIGHTENED): BREAKING,
    ("bet.json", "reference", Kind.BOUND_LOOSENED): RISKY,
    ("bet.json", "round", Kind.TYPE_REMOVED): BREAKING,
    ("bet.json", "session", Kind.TYPE_ADDED): RISKY,
    ("bet.json", "session", Kind.REQUIRED_ADDED): BREAKING,
    ("bet.json", "signature", Kind.NOT_UNDERSTOOD): BREAKING,
    ("bet.json", "step", Kind.BOUND_CHANGED): BREAKING,
    ("close.json", "$", Kind.REWRITTEN): SAFE,
    ("jackpot.json", "$", Kind.FILE_ADDED): SAFE,
    ("launch.json", "$", Kind.DIRECTION_CHANGED): BREAKING,
    ("reply.json", "balance", Kind.REQUIRED_REMOVED): BREAKING,
    ("reply.json", "code", Kind.REQUIRED_ADDED): RISKY,
    ("reply.json", "code", Kind.BOUND_TIGHTENED): RISKY,
    ("reply.json", "note", Kind.PROPERTY_ADDED): BREAKING,
    ("reply.json", "repeat", Kind.TYPE_ADDED): BREAKING,
    ("reply.json", "status", Kind.VALUE_ADDED): BREAKING,
    ("reply.json", "status", Kind.VALUE_REMOVED): RISKY,
    ("rollback.json", "$", Kind.FILE_REMOVED): BREAKING,
    ("win.json", "$", Kind.DIRECTION_DECLARED): RISKY,
}


def changes_of(old: Any, new: Any, direction: Direction | None = None) -> tuple[Change, ...]:
    """The changes between two documents, both of one direction if it is given."""
    if direction is not None:
        old, new = old | {"x-direction": direction}, new | {"x-direction": direction}
    return find_changes({"a": parse_schema("a", old)}, {"a": parse_schema("a", new)})


def kinds_of(old: Any, new: Any) -> list[tuple[str, Kind]]:
    return [(change.path, change.kind) for change in changes_of(old, new)]


def strict(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def test_every_change_of_the_prepared_pair_has_its_class() -> None:
    changes = find_changes(read_schemas(OLD), read_schemas(NEW))
    assert {(change.file, change.path, change.kind): change.severity for change in changes} == EXPECTED
    assert len(changes) == len(EXPECTED), "nothing is told twice"
    assert all(change.why and change.advice and change.what for change in changes)


def test_the_prepared_pair_holds_every_kind_and_every_kind_has_a_rule() -> None:
    assert {kind for _, _, kind in EXPECTED} == set(Kind) == set(RULES)


def test_what_is_not_understood_is_never_less_than_breaking() -> None:
    assert {rule.severity for rule in RULES[Kind.NOT_UNDERSTOOD]} == {BREAKING}


@pytest.mark.parametrize(
    ("keyword", "old", "new"),
    [
        ("if", {"required": ["a"]}, {"required": ["b"]}),
        ("patternProperties", {"^a": {"type": "string"}}, {"^b": {"type": "string"}}),
        ("dependentRequired", {"a": ["b"]}, {"a": []}),
        ("propertyNames", {"maxLength": 3}, {"maxLength": 4}),
        ("contains", {"type": "string"}, {"type": "null"}),
        ("x-vendor", 1, 2),
        ("readOnly", True, False),
        ("$anchor", "one", "two"),
        ("a-keyword-of-the-future", [], [1]),
    ],
)
def test_a_keyword_that_is_not_understood_breaks_when_it_differs(keyword: str, old: Any, new: Any) -> None:
    for before, after in (({keyword: old}, {keyword: new}), ({}, {keyword: new}), ({keyword: old}, {})):
        for nested in (False, True):
            documents = [strict(inner=one) if nested else one for one in (before, after)]
            (change,) = changes_of(*documents)
            assert (change.kind, change.severity) == (Kind.NOT_UNDERSTOOD, BREAKING)
            assert keyword in change.what
    assert not changes_of({keyword: old}, {keyword: old})


def test_the_same_written_otherwise_is_told_as_safe() -> None:
    nullable = {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}
    spellings = [
        nullable,
        {"oneOf": [{"type": "null"}, {"type": "string", "maxLength": 5}]},
        {"type": ["null", "string"], "maxLength": 5},
        {"maxLength": 5, "anyOf": [{"type": "string"}, {"type": "null"}]},
        {"$ref": "#/$defs/Text", "$defs": {"Text": nullable}},
        {"allOf": [{"type": ["string", "null", "integer"]}, nullable]},
        {"type": ["string", "null"], "maxLength": 5, "minLength": 0},
    ]
    for spelling in spellings[1:]:
        assert kinds_of(nullable, spelling) == [("$", Kind.REWRITTEN)], spelling
        assert kinds_of(spelling, nullable) == [("$", Kind.REWRITTEN)], spelling
    assert kinds_of({"const": "a"}, {"type": "string", "enum": ["a"]}) == [("$", Kind.REWRITTEN)]
    assert kinds_of({"enum": ["a", None]}, {"enum": [None, "a"]}) == [("$", Kind.REWRITTEN)]


def test_a_change_behind_a_reference_is_told_where_it_counts() -> None:
    def schema(longest: int) -> dict[str, Any]:
        amounts = {"type": "array", "items": {"$ref": "#/$defs/A~1B%20c"}}
        return strict(amounts=amounts) | {"$defs": {"A/B c": {"type": "string", "maxLength": longest}}}

    assert kinds_of(schema(9), schema(8)) == [("amounts[]", Kind.BOUND_TIGHTENED)]


def test_a_schema_that_contains_itself_is_compared() -> None:
    def tree(kind: str) -> dict[str, Any]:
        return strict(
            value={"type": kind}, left={"$ref": "#"}, right={"anyOf": [{"$ref": "#"}, {"type": "null"}]}
        )

    assert not changes_of(tree("string"), tree("string"))
    assert ("value", Kind.TYPE_CHANGED) in kinds_of(tree("string"), tree("integer"))


def test_a_reference_that_is_not_followed_breaks_as_soon_as_anything_differs() -> None:
    def schemas(text: str, reference: str) -> dict[str, Any]:
        documents = {"a": {"properties": {"b": {"$ref": reference}}}, "c": {"description": text}}
        return {name: parse_schema(name, document) for name, document in documents.items()}

    for reference in ("c", "#anchor", "https://example.com/c"):
        same = find_changes(schemas("one", reference), schemas("one", reference))
        other = find_changes(schemas("one", reference), schemas("two", reference))
        assert not same
        assert [(change.file, change.kind) for change in other] == [
            ("a", Kind.NOT_UNDERSTOOD),
            ("c", Kind.WORDS_CHANGED),
        ]


def test_alternatives_that_overlap_under_one_of_are_not_understood() -> None:
    overlapping = [{"type": "string"}, {"type": "string", "maxLength": 3}]
    widened = [{"type": "string"}, {"type": "string", "maxLength": 4}]
    assert kinds_of({"oneOf": overlapping}, {"oneOf": widened}) == [("$", Kind.NOT_UNDERSTOOD)]
    marked = [strict(t={"const": name}) | {"required": ["t"]} for name in "ab"]
    assert kinds_of({"oneOf": marked}, {"oneOf": marked[:1]}) == [("$", Kind.ALTERNATIVE_REMOVED)]


def test_keywords_that_hang_together_are_not_joined_across_all_of() -> None:
    """Other members are forbidden beside no property at all, which is not the same as beside one."""
    apart = {"allOf": [{"properties": {"a": {}}}, {"additionalProperties": False}]}
    together = {"properties": {"a": {}}, "additionalProperties": False}
    assert worst_of(changes_of(apart, together)) is worst_of(changes_of(together, apart)) is BREAKING


def test_numbers_are_compared_exactly() -> None:
    assert kinds_of({"type": "integer"}, {"type": "number"}) == [("$", Kind.TYPE_ADDED)]
    assert kinds_of({"type": "number"}, {"type": ["integer", "null"]}) == [
        ("$", Kind.TYPE_REMOVED),
        ("$", Kind.TYPE_ADDED),
    ]
    assert kinds_of({"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 6}) == [
        ("$", Kind.BOUND_TIGHTENED)
    ]
    assert kinds_of({"enum": [1]}, {"enum": [True]}) == [("$", Kind.TYPE_CHANGED)]


def test_more_decimals_than_a_float_has_are_told_apart(tmp_path: Path) -> None:
    for name, digit in (("old.json", 1), ("new.json", 2)):
        (tmp_path / name).write_text(f'{{"type": "number", "maximum": 0.1000000000000000000{digit}}}')
    (change,) = find_changes(*read_pair(tmp_path / "old.json", tmp_path / "new.json"))
    assert change.what == "maximum: 0.10000000000000000001 → 0.10000000000000000002"


def test_a_new_member_is_held_against_what_other_members_had_to_be() -> None:
    old = {"type": "object", "additionalProperties": {"type": "string"}}
    assert kinds_of(old, old | {"properties": {"a": {"type": "integer"}}}) == [
        ("a", Kind.PROPERTY_ADDED_TO_OPEN),
        ("a", Kind.TYPE_CHANGED),
    ]


@pytest.mark.parametrize("name", ["amount", "betAmount", "total_fee"])
def test_words_under_a_name_of_money_are_risky(name: str) -> None:
    old, new = ({name: {"type": "string", "description": text}} for text in ("as agreed", "as written"))
    assert kinds_of(strict(**old), strict(**new)) == [(name, Kind.MONEY_WORDS_CHANGED)]
    assert worst_of(changes_of(strict(**old), strict(**new))) is RISKY


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"x-direction": "sideways"},
        {"$ref": "#/$defs/Nobody"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"type": "text"},
        {"type": []},
        {"required": True},
        {"required": [1]},
        {"properties": []},
        {"properties": {"a": 1}},
        {"anyOf": {}},
        {"minimum": "1"},
        {"exclusiveMinimum": True},
        {"enum": "a"},
    ],
)
def test_what_is_no_schema_is_refused(document: Any) -> None:
    with pytest.raises(SchemaUnreadable):
        changes_of(document, document | {"title": "other"} if isinstance(document, dict) else document)


def test_references_that_multiply_end_in_words() -> None:
    doubled = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(30)}
    with pytest.raises(SchemaUnreadable, match="multiply"):
        changes_of({"$ref": "#/$defs/d0", "$defs": {**doubled, "d30": {}}}, {})


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": 1, "a": 2}', '{"maximum": NaN}', "[" * 100_000, '{"items":' * 65 + "{}" + "}" * 65],
)
def test_a_file_that_is_no_schema_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(text)
    with pytest.raises(SchemaUnreadable):
        read_schemas(tmp_path / "schema.json")


def run(*arguments: str | Path) -> Any:
    """The result of the command; a fault of ours is raised."""
    command = ["provider", "schema-diff", *map(str, arguments)]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_the_command_shows_a_table_with_the_gravest_first() -> None:
    result = run(OLD, NEW)
    rows = [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]
    assert result.exit_code == 1
    assert rows[0] == ["class", "file", "path", "what changed", "why", "what to do"]
    assert len(rows) == 1 + len(EXPECTED)
    ranks = [Severity(row[0]).rank for row in rows[1:]]
    assert ranks == sorted(ranks, reverse=True)
    counts = ", ".join(f"{list(EXPECTED.values()).count(severity)} {severity}" for severity in Severity)
    assert counts in result.stdout.splitlines()


def test_the_command_says_which_direction_was_the_default() -> None:
    assert run(OLD / "win.json", OLD / "win.json").stdout == (
        "nothing changed\ninbound by default, no x-direction: win.json\n"
    )
    assert "by default" not in run(OLD / "bet.json", OLD / "bet.json").stdout
    assert "bet.json (inbound)" in run(OLD, NEW).stdout
    assert "reply.json (outbound)" in run(OLD, NEW).stdout


def test_the_command_prints_one_document() -> None:
    document = json.loads(run(OLD, NEW, "--json").stdout)
    assert document["schema"] == {"name": "croupier.schema-diff", "version": 1}
    assert document["passed"] is False
    assert sum(document["counts"].values()) == len(document["changes"]) == len(EXPECTED)
    assert {"file": "win.json", "direction": "outbound", "is_declared": True} in document["files"]
    assert document["changes"][0].keys() == {
        "file", "path", "kind", "what", "severity", "direction", "why", "advice",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("new", "arguments", "code"),
    [
        ({"enum": ["a"]}, [], 0),
        ({"enum": ["a"], "title": "Mode"}, [], 0),
        ({"enum": ["a", "b"]}, [], 1),
        ({"enum": ["a", "b"]}, ["--allow", "risky"], 0),
        ({"enum": ["b"]}, ["--allow", "risky"], 1),
        ({"enum": ["b"]}, ["--allow", "breaking"], 2),
        ({"enum": "b"}, [], 2),
    ],
)
def test_the_exit_code_says_whether_it_passes(
    new: dict[str, Any], arguments: list[str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "v1.json").write_text(json.dumps({"enum": ["a"]}))
    (tmp_path / "v2.json").write_text(json.dumps(new))
    result = run(tmp_path / "v1.json", tmp_path / "v2.json", *arguments)
    assert result.exit_code == code, result.output


def test_wrong_sides_are_wrong_usage(tmp_path: Path) -> None:
    for sides in ((OLD, NEW / "bet.json"), (OLD / "bet.json", NEW), (OLD, tmp_path), (OLD, tmp_path / "no")):
        result = run(*sides)
        assert (result.exit_code, result.stdout) == (2, "")
    assert run(OLD).exit_code == 2


def test_what_a_schema_says_cannot_break_the_table(tmp_path: Path) -> None:
    (tmp_path / "v1.json").write_text("{}")
    (tmp_path / "v2.json").write_text(json.dumps({"properties": {"a\tb\n\u001b[31mc": {}}}))
    result = run(tmp_path / "v1.json", tmp_path / "v2.json")
    assert "a b  [31mc" in result.stdout
    assert "\u001b" not in result.stdout
