"""Rules of the SQL files: keys begin with the bucket, money is exact, lanes decide nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest

from croupier.runtime.statements import StatementFileError, parse_statements
from house.reading import ROOT, Finding, paths_under, refuse

GLOBAL_KEYS: Final = {
    "money_reference": "(provider, reference): one reference, one effect, whoever the player is",
    "croupier_migration": "the list of migrations belongs to the database, not to a player",
    "audit_record": "one chain for the whole deployment; no player is in it",
    "provider_key": "a key id names one key of the whole deployment, for ever",
    "key_use": "what is known of such a key",
    "wallet_mode": "one row says whose wallet the whole deployment's is",
    "wallet_call": "(provider, reference): a transaction is asked once, whoever the player is",
    "wallet_agreement": "an hour is compared for the whole deployment, whoever the players are",
    "reference_wallet.player": "the sandbox's wallet is a stranger with a schema of its own, not a gateway's table",
    "reference_wallet.wallet": "as above",
    "reference_wallet.movement": "as above: its references are unique whoever the player is",
    "reference_wallet.nonce": "as above",
}
"""Tables whose keys may begin with something else than the bucket."""

TEXT_MONEY: Final = {("break_item", "amount"): "an amount that was refused is kept as it was written"}

LANE_FILE: Final = re.compile(r"(lane|inbox)_functions")
LANE_NEVER: Final = {
    r"\bMERGE\b": "MERGE",
    r"\bctid\b": "ctid",
    r"\bpg_(try_)?advisory\w*": "an advisory lock",
    r"\bLANGUAGE\s+(sql\b|')": "LANGUAGE sql",
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(": "a clock",
    r"\b(gen_random_uuid|uuidv[47]|random)\s*\(": "chance (ids come from Python)",
    r"\b(CURRENT_(TIMESTAMP|DATE|TIME)|LOCALTIME(STAMP)?)\b": "a clock",
    r"\bSET\s+(plan_cache_mode|enable_seqscan|jit)\b": "a plan setting (it belongs to the connection)",
}
INEXACT: Final = re.compile(
    r"\b(real|double\s+precision|float[48]?|money|smallmoney)\b(?!\s*\.)", re.IGNORECASE
)
MONEY_COLUMN: Final = re.compile(r"^(\w*(amount|balance|stake|staked|won|contributed)\w*|\w+_posted)$")
TABLE: Final = re.compile(
    r"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.]+)\s*\(", re.IGNORECASE
)
TABLE_KEY: Final = re.compile(
    r"(PRIMARY\s+KEY|\bUNIQUE)\s*(?:NULLS\s+NOT\s+DISTINCT\s*)?\(\s*(\w+)", re.IGNORECASE
)
COLUMN_KEY: Final = re.compile(r"(PRIMARY\s+KEY|\bUNIQUE\b)(?!\s*(NULLS|\())", re.IGNORECASE)
UNIQUE_INDEX: Final = re.compile(
    r"CREATE\s+UNIQUE\s+INDEX\s.*?\bON\s+([\w.]+)\s*\(\s*(\w+)", re.IGNORECASE | re.DOTALL
)
DATA_STATEMENT: Final = re.compile(
    r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|FROM)\s+(?!unnest)(\w+)", re.IGNORECASE
)


def sql_files() -> Iterator[tuple[str, str]]:
    """Every SQL file of the package with its text."""
    return ((path, (ROOT / path).read_text(encoding="utf-8")) for path in paths_under("src/", suffix=".sql"))


def bare(sql: str) -> str:
    """The SQL without comments and without what stands in quotes, lines kept."""
    return re.sub(r"--[^\n]*|'(?:[^']|'')*'", _emptied, sql)


def _emptied(found: re.Match[str]) -> str:
    quote = "'" if found[0].startswith("'") else ""
    return quote + "\n" * found[0].count("\n") + quote


def line_of(text: str, position: int) -> int:
    """The line number of a position."""
    return text.count("\n", 0, position) + 1


def find_broken_layout(path: str, text: str) -> Iterator[Finding]:
    """Blocks without name or purpose, and blocks with more than one statement."""
    try:
        statements = parse_statements(text, source=path)
    except StatementFileError as error:
        yield Finding(path, 1, f"every block begins with `-- name:` and a line of purpose: {error}")
        return
    for statement in statements.values():
        outside = re.sub(r"\$(\w*)\$.*?\$\1\$", "", bare(statement.sql), flags=re.DOTALL)
        if ";" in outside.strip().rstrip(";"):
            line = line_of(text, text.index(statement.sql))
            yield Finding(path, line, f"{statement.name}: one statement per block, each is sent alone")


def find_late_buckets(path: str, text: str) -> Iterator[Finding]:
    """Primary keys, unique constraints and unique indexes that do not begin with the bucket."""
    sql = bare(text)
    for start, table, body in _tables(sql):
        if table in GLOBAL_KEYS:
            continue
        for key in TABLE_KEY.finditer(body):
            if key[2] != "bucket":
                yield Finding(
                    path, line_of(sql, start + key.start()), f"{table}: {key[1]} begins with bucket"
                )
        for column in COLUMN_KEY.finditer(body):
            yield Finding(
                path, line_of(sql, start + column.start()), f"{table}: {column[1]} begins with bucket"
            )
        if "PRIMARY KEY" not in body.upper():
            yield Finding(path, line_of(sql, start), f"{table}: has no primary key, which begins with bucket")
    for index in UNIQUE_INDEX.finditer(sql):
        if index[2] != "bucket" and index[1] not in GLOBAL_KEYS:
            yield Finding(path, line_of(sql, index.start()), f"{index[1]}: a unique index begins with bucket")


def find_inexact_money(path: str, text: str) -> Iterator[Finding]:
    """Approximate types anywhere, and columns of money that are not numeric."""
    sql = bare(text)
    for found in INEXACT.finditer(sql):
        yield Finding(
            path, line_of(sql, found.start()), f"{found[0]} is approximate: money is numeric, ratios are bps"
        )
    for start, table, body in _tables(sql):
        for column in re.finditer(r"^\s*(\w+)\s+(\w+)", body, re.MULTILINE):
            is_money = MONEY_COLUMN.match(column[1]) and column[2].lower() != "numeric"
            if is_money and (table, column[1]) not in TEXT_MONEY:
                line = line_of(sql, start + column.start(1))
                yield Finding(path, line, f"{table}.{column[1]} is {column[2]}: money is numeric")


def _tables(sql: str) -> Iterator[tuple[int, str, str]]:
    """Where each table's column list starts, the table's name, the list."""
    for table in TABLE.finditer(sql):
        depth, end = 1, table.end()
        while depth and end < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        yield table.end(), table[1], sql[table.end() : end - 1]


def find_one_node_sql(path: str, text: str) -> Iterator[Finding]:
    """What a distributed PostgreSQL does not run the same way, in any statement."""
    sql = bare(text)
    for found in re.finditer(r"\b(MERGE|ctid)\b", sql, re.IGNORECASE):
        yield Finding(path, line_of(sql, found.start()), f"{found[0]}: write it with keys and ON CONFLICT")


def find_wayward_lanes(path: str, text: str) -> Iterator[Finding]:
    """Lane functions that lock, decide or tell the time by themselves."""
    sql = bare(text)
    for pattern, what in LANE_NEVER.items():
        for found in re.finditer(pattern, sql, re.IGNORECASE):
            yield Finding(path, line_of(sql, found.start()), f"a lane function never uses {what}")
    for function in re.finditer(
        r"CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\s+(\w+)\s*\(\s*(\w*)", sql, re.IGNORECASE
    ):
        if "bucket" not in function[2]:
            yield Finding(
                path, line_of(sql, function.start()), f"{function[1]}: its first argument is the buckets"
            )
    for body in re.finditer(r"\$\$(.*?)\$\$", sql, re.DOTALL):
        yield from _find_bucketless_statements(path, sql, body)


def _find_bucketless_statements(path: str, sql: str, body: re.Match[str]) -> Iterator[Finding]:
    position = body.start(1)
    for statement in body[1].split(";"):
        touched = DATA_STATEMENT.search(statement)
        if touched and touched[2] not in GLOBAL_KEYS and "bucket" not in statement:
            line = line_of(sql, position + touched.start())
            yield Finding(path, line, f"a statement on {touched[2]} names the bucket")
        position += len(statement) + 1


def test_every_statement_has_name_purpose_and_a_block_of_its_own() -> None:
    refuse(finding for path, text in sql_files() for finding in find_broken_layout(path, text))


def test_every_key_begins_with_the_bucket() -> None:
    refuse(finding for path, text in sql_files() for finding in find_late_buckets(path, text))


def test_money_is_numeric() -> None:
    refuse(finding for path, text in sql_files() for finding in find_inexact_money(path, text))


def test_lane_functions_keep_to_the_rules_of_scale() -> None:
    lanes = [(path, text) for path, text in sql_files() if LANE_FILE.search(path)]
    assert lanes
    refuse(finding for path, text in lanes for finding in find_wayward_lanes(path, text))


def test_no_statement_anywhere_uses_merge_or_ctid() -> None:
    refuse(finding for path, text in sql_files() for finding in find_one_node_sql(path, text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "-- name: one\nSELECT 1",
        "-- name: one\n-- Purpose.\nSELECT 1;\nSELECT 2;",
    ],
)
def test_a_block_without_name_or_purpose_is_reported(text: str) -> None:
    assert list(find_broken_layout("sample.sql", text))
    assert not list(find_broken_layout("sample.sql", "-- name: one\n-- Purpose.\nDO $$ BEGIN a; b; END $$;"))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (id uuid, PRIMARY KEY (id, bucket));",
        "CREATE TABLE t (id uuid PRIMARY KEY);",
        "CREATE TABLE t (bucket smallint, id uuid, PRIMARY KEY (bucket, id), UNIQUE (id));",
        "CREATE TABLE t (bucket smallint);",
        "CREATE UNIQUE INDEX t_once ON t (id);",
    ],
)
def test_a_key_without_bucket_is_reported(text: str) -> None:
    assert list(find_late_buckets("sample.sql", text))
    good = "CREATE TABLE t (bucket smallint, id uuid CHECK (id IN (a, b)), PRIMARY KEY (bucket, id));"
    assert not list(find_late_buckets("sample.sql", good))


@pytest.mark.parametrize(
    "column", ["rate double precision", "amount bigint", "staked integer", "share_posted float8"]
)
def test_inexact_money_is_reported(column: str) -> None:
    table = f"CREATE TABLE t (\n    bucket smallint,\n    {column},\n    PRIMARY KEY (bucket)\n);"
    assert list(find_inexact_money("sample.sql", table))
    good = table.replace(column, "amount numeric(38, 0) CHECK (why <> 'no money')")
    assert not list(find_inexact_money("sample.sql", good))


@pytest.mark.parametrize(
    "body",
    [
        "INSERT INTO account (bucket, at) VALUES (1, now());",
        "PERFORM pg_advisory_xact_lock(bucket);",
        "MERGE INTO account USING x ON bucket = 1;",
        "DELETE FROM account WHERE bucket = 1 AND ctid = '(0,1)';",
        "UPDATE account SET balance = 0 WHERE owner = 'p';",
    ],
)
def test_a_wayward_lane_function_is_reported(body: str) -> None:
    function = "CREATE FUNCTION f(p_buckets smallint[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN {} END $$;"
    assert list(find_wayward_lanes("lane_functions.sql", function.format(body)))
    good = "UPDATE account SET balance = 0 WHERE bucket = ANY (p_buckets);"
    assert not list(find_wayward_lanes("lane_functions.sql", function.format(good)))


@pytest.mark.parametrize(
    "head",
    ["f(p_id uuid) RETURNS void LANGUAGE plpgsql", "f(p_bucket smallint) RETURNS void LANGUAGE sql"],
)
def test_a_lane_function_of_another_kind_is_reported(head: str) -> None:
    assert list(find_wayward_lanes("lane_functions.sql", f"CREATE FUNCTION {head} AS $$ $$;"))


@pytest.mark.parametrize("sql", ["merge INTO t USING x", "DELETE FROM t WHERE ctid = $1"])
def test_sql_for_one_node_is_reported(sql: str) -> None:
    assert list(find_one_node_sql("sample.sql", sql))
    assert not list(find_one_node_sql("sample.sql", "-- merge\nSELECT 'it''s ctid', merged FROM t"))
