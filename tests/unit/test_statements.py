"""The layout of SQL files."""

from pathlib import Path

import pytest

from croupier.runtime.statements import StatementFileError, load_statements, parse_statements, read_statements

TWO_BLOCKS = """\
-- Statements of the example.

-- name: load_wallets
-- Lock the wallets of one bucket
-- in id order.
SELECT 1
-- a comment inside stays with the statement
FROM wallet;

-- name: make_function
-- A body with semicolons is still one statement.
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 2; END $$
"""


def test_blocks_keep_name_purpose_sql_and_order() -> None:
    statements = parse_statements(TWO_BLOCKS, source="example.sql")
    assert list(statements) == ["load_wallets", "make_function"]
    first = statements["load_wallets"]
    assert first.purpose == "Lock the wallets of one bucket in id order."
    assert first.sql == "SELECT 1\n-- a comment inside stays with the statement\nFROM wallet;"
    assert statements["make_function"].sql.endswith("RETURN 2; END $$")


def test_the_mapping_cannot_be_changed() -> None:
    statements = parse_statements(TWO_BLOCKS, source="example.sql")
    with pytest.raises(TypeError):
        statements["other"] = statements["load_wallets"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no `-- name:` block"),
        ("-- only a comment\n", "no `-- name:` block"),
        ("SELECT 1;\n-- name: a\n-- Purpose.\nSELECT 1;", "before the first"),
        ("-- name: a\n-- One.\nSELECT 1;\n-- name: a\n-- Two.\nSELECT 2;", "a is there twice"),
        ("-- name: a\n-- Purpose.\n\n", "a is empty"),
        ("-- name: a\n-- Purpose.\n\n-- nothing but words\n ;\n", "a is empty"),
        ("-- name: a\nSELECT 1;", "a has no purpose line"),
        ("-- name: a\n--\nSELECT 1;", "a has no purpose line"),
        ("-- name: Wrong Name\n-- Purpose.\nSELECT 1;", "is no name"),
        ("-- name:\n-- Purpose.\nSELECT 1;", "is no name"),
    ],
)
def test_a_file_that_breaks_the_layout_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(StatementFileError, match=complaint) as caught:
        parse_statements(text, source="broken.sql")
    assert str(caught.value).startswith("broken.sql: ")


def test_a_file_is_read_from_an_importable_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "sample_package_with_sql"
    (package / "queries").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "queries" / "wallet.sql").write_text(TWO_BLOCKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    statements = load_statements("sample_package_with_sql/queries/wallet.sql")
    assert statements == read_statements(package / "queries" / "wallet.sql", source="wallet.sql")


@pytest.mark.parametrize("resource", ["croupier/no/such.sql", "croupier", "no_such_package_at_all/x.sql"])
def test_a_missing_file_is_named(resource: str) -> None:
    with pytest.raises(StatementFileError, match=resource):
        load_statements(resource)
