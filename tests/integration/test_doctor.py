"""The doctor against real servers: a sound set-up is found sound, a broken one is named with its repair."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from croupier.runtime import migrations
from croupier.runtime.config.starter import write_starter
from croupier.runtime.database import connect_owner, ensure_database, with_database
from croupier.runtime.doctor import Finding, examine
from croupier.runtime.doctor_database import TRIGGERS, examine_server, judge_clock
from croupier.runtime.embedded import EmbeddedServer

ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    return write_starter(tmp_path).config_path


def environment(**overrides: str) -> dict[str, str]:
    return {"CROUPIER_HTTP_PUBLIC": ANY_PORT, "CROUPIER_HTTP_ADMIN": ANY_PORT, **overrides}


def troubles(findings: list[Finding], status: str = "fail") -> dict[str, list[Finding]]:
    """Findings of one status by check; every one must come with a repair."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        assert bool(finding.fix) == (finding.status != "ok"), finding
        if finding.status == status:
            found.setdefault(finding.check, []).append(finding)
    return found


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def execute(url: str, *statements: str) -> None:
    connection = await connect_owner(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_sound_embedded_deployment_has_nothing_to_repair(config_path: Path) -> None:
    async with EmbeddedServer(config_path.parent / ".croupier" / "postgres") as server:
        connection = await connect_owner(await ensure_database(server.url(), "croupier"))
        try:
            await migrations.apply(connection)
        finally:
            await connection.close()
        findings = await examine(config_path, environment())
        password = urlsplit(server.url()).password
    assert {finding.status for finding in findings} == {"ok"}, findings
    assert {"durability", "migrations", "append-only rights", "database guards", "clock"} <= {
        finding.check for finding in findings
    }
    assert password
    assert password not in repr(findings)


async def test_an_embedded_server_that_is_not_running_is_not_started(config_path: Path) -> None:
    findings = await examine(config_path, environment())
    assert {finding.status for finding in findings} == {"ok"}, findings
    assert not (config_path.parent / ".croupier" / "postgres").exists()


async def test_a_data_folder_that_cannot_be_used_is_named(config_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    findings = await examine(config_path, environment(CROUPIER_DATABASE_DATA_DIR=str(tmp_path / "file")))
    assert "cannot be written" in troubles(findings)["database"][0].detail


async def test_only_the_durability_of_the_test_server_is_wrong(config_path: Path, database_url: str) -> None:
    """The shared test server trades durability for speed, which the doctor has to notice."""
    found = troubles(await examine(config_path, environment(CROUPIER_DATABASE_URL=database_url)))
    assert set(found) <= {"durability"}
    assert all(
        finding.detail in ("fsync is off", "full_page_writes is off")
        for finding in found.get("durability", [])
    )


async def test_a_login_that_also_owns_the_schema_is_a_warning(database_url: str) -> None:
    assert (
        "owner_url" in troubles(await examine_server(database_url, is_embedded=False), "warn")["roles"][0].fix
    )


@pytest.mark.parametrize(
    ("grant", "rights"),
    [
        ("GRANT UPDATE, DELETE ON croupier.posting TO croupier_app", "DELETE, UPDATE on posting"),
        ("GRANT UPDATE (details) ON croupier.journal_entry TO croupier_app", "UPDATE on journal_entry"),
        ("GRANT TRUNCATE ON croupier.session_event TO PUBLIC", "TRUNCATE on session_event"),
    ],
)
async def test_a_right_to_change_history_is_found(database_url: str, grant: str, rights: str) -> None:
    await execute(database_url, grant)
    finding = troubles(await examine_server(database_url, is_embedded=True))["append-only rights"][0]
    assert finding.detail == f"croupier_app holds {rights}"


async def test_the_repair_of_excess_rights_repairs(database_url: str) -> None:
    await execute(database_url, "GRANT UPDATE, DELETE ON croupier.posting TO croupier_app, PUBLIC")
    found = troubles(await examine_server(database_url, is_embedded=True))
    await execute(database_url, found["append-only rights"][0].fix.partition("run: ")[2])
    assert "append-only rights" not in troubles(await examine_server(database_url, is_embedded=True))


@pytest.mark.parametrize(
    ("table", "trigger"),
    [
        ("posting", "posting_sums_to_zero"),
        ("posting", "posting_is_append_only"),
        ("journal_entry", "journal_entry_is_append_only"),
        ("session_event", "session_event_is_append_only"),
    ],
)
async def test_a_disabled_or_lost_guard_is_found(database_url: str, table: str, trigger: str) -> None:
    await execute(database_url, f"ALTER TABLE croupier.{table} DISABLE TRIGGER {trigger}")
    disabled = troubles(await examine_server(database_url, is_embedded=True))["database guards"]
    await execute(database_url, f"DROP TRIGGER {trigger} ON croupier.{table}")
    gone = troubles(await examine_server(database_url, is_embedded=True))["database guards"]
    assert [finding.detail for finding in disabled] == [f"trigger {trigger} on {table} is disabled"]
    assert [finding.detail for finding in gone] == [f"trigger {trigger} on {table} is gone"]


async def test_every_guard_of_the_schema_is_looked_at(database_url: str) -> None:
    connection = await connect_owner(database_url)
    rows = await connection.fetch(
        "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal"
    )
    await connection.close()
    assert {row["tgname"]: row["relname"] for row in rows} == TRIGGERS


async def test_an_asynchronous_commit_is_found(database_url: str) -> None:
    name = urlsplit(database_url).path.removeprefix("/")
    await execute(database_url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    found = troubles(await examine_server(database_url, is_embedded=True))["durability"]
    assert "synchronous_commit is off" in [finding.detail for finding in found]


async def test_an_empty_database_asks_for_migration(database_url: str, empty_database_url: str) -> None:
    found = troubles(await examine_server(empty_database_url, is_embedded=True))
    assert "0001" in found["migrations"][0].detail
    assert "posting" in found["schema"][0].detail
    assert {found[check][0].fix for check in ("migrations", "schema")} == {"run `croupier migrate`"}


async def test_a_changed_migration_is_found(database_url: str) -> None:
    await execute(database_url, "UPDATE croupier.croupier_migration SET checksum = 'x' WHERE version = 1")
    found = troubles(await examine_server(database_url, is_embedded=True))
    assert "changed since it was applied" in found["migrations"][0].detail


async def test_a_missing_database_and_a_refused_login_are_told_apart(postgres_url: str) -> None:
    missing = await examine_server(with_database(postgres_url, "no_such_database"), is_embedded=False)
    assert "no such database" in missing[0].detail
    server = urlsplit(postgres_url)
    stranger = f"postgresql://nobody_here:wrong-password@{server.hostname}:{server.port}/postgres"
    refused = await examine_server(stranger, is_embedded=False)
    assert "refuses the login" in refused[0].detail
    assert "wrong-password" not in repr(refused)


async def test_an_unreachable_server_is_one_finding() -> None:
    url = "postgresql://me:hidden-password@127.0.0.1:1/croupier"
    findings = await examine_server(url, is_embedded=False)
    assert [finding.status for finding in findings] == ["fail"]
    assert "hidden-password" not in repr(findings)


@pytest.mark.parametrize(("offset_s", "status"), [(4.9, "ok"), (-4.9, "ok"), (5.0, "fail"), (-60.0, "fail")])
def test_clocks_may_differ_by_less_than_five_seconds(offset_s: float, status: str) -> None:
    assert judge_clock(offset_s).status == status


async def test_every_problem_of_the_configuration_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "croupier.toml"
    path.write_text("[http]\npubic = 1\n[limits]\nbatch = 0\n")
    found = troubles(await examine(path, {}))["configuration"]
    assert [finding.detail.partition(":")[0] for finding in found] == ["http.pubic", "limits.batch"]


async def test_an_open_or_absent_key_file_is_found(config_path: Path) -> None:
    keys = config_path.parent / ".croupier" / "keys"
    (keys / "sandbox-in-1.key").chmod(0o644)
    (keys / "sandbox-out-1.key").unlink()
    details = [finding.fix for finding in troubles(await examine(config_path, environment()))["secrets"]]
    assert details[0] == f"run: chmod 600 {keys / 'sandbox-in-1.key'}"
    assert str(keys / "sandbox-out-1.key") in details[1]


async def test_a_key_of_a_kind_that_its_protocol_cannot_use_is_found(config_path: Path) -> None:
    edit(config_path, 'adapter = "croupier_v1"', 'adapter = "hub88_v1"\nsettings = { operator_id = "1" }')
    details = [finding.detail for finding in troubles(await examine(config_path, environment()))["secrets"]]
    assert len(details) == 2
    assert "wants another kind of inbound key: rsa public" in details[0]


@pytest.mark.parametrize(
    ("old", "new", "check", "detail"),
    [
        ('direction = "inbound"', 'direction = "outbound"', "providers", "no key that verifies its calls"),
        ('direction = "outbound"', 'direction = "inbound"', "providers", "no key that signs our calls"),
        ("from = 2025-01-01", "from = 2190-01-01", "contracts", "game group crash, asset ETH"),
        ('provider = "sandbox"\nfrom', 'provider = "sandbox"\nasset = "EUR"\nfrom', "contracts", "asset ETH"),
    ],
)
async def test_a_gap_between_sections_is_found(
    config_path: Path, old: str, new: str, check: str, detail: str
) -> None:
    edit(config_path, old, new)
    assert detail in repr(troubles(await examine(config_path, environment()))[check])


@pytest.mark.parametrize(
    ("old", "new", "check", "status", "said"),
    [
        ('id = "MT"', 'id = "XX"', "jurisdictions", "warn", "nobody is looked up"),
        (
            'url = "http://127.0.0.1:8702/self-exclusion"',
            'url = "http://casino.example/check"',
            "self_exclusion.url",
            "warn",
            "travels unencrypted",
        ),
        (
            "[sandbox]",
            '[geo]\ndatabase = "nothing.mmdb"\n[sandbox]',
            "geo.database",
            "fail",
            "cannot be read",
        ),
    ],
)
async def test_what_is_wrong_with_who_may_play_is_found(
    config_path: Path, old: str, new: str, check: str, status: str, said: str
) -> None:
    edit(config_path, old, new)
    found = troubles(await examine(config_path, environment()), status)
    assert said in found[check][0].detail


async def test_a_deployment_that_serves_nobody_is_told_so(config_path: Path) -> None:
    edit(config_path, '[[jurisdictions]]\nid = "MT"\nproviders = ["*"]\ngames = ["*"]\n', "")
    (finding,) = troubles(await examine(config_path, environment()), "warn")["jurisdictions"]
    assert "no session can be opened" in finding.detail


@asynccontextmanager
async def listener(reply: bytes) -> AsyncIterator[str]:
    """A server that answers everything with `reply`; gives its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"


async def test_a_port_of_another_program_is_found(config_path: Path) -> None:
    async with listener(b"HTTP/1.0 404 Not Found\r\n\r\nnothing here") as address:
        findings = await examine(config_path, environment(CROUPIER_HTTP_PUBLIC=address))
    finding = troubles(findings)["ports"][0]
    assert finding.detail.startswith(f"http.public: {address} cannot be used")
    assert "CROUPIER_HTTP_PUBLIC" in finding.fix


async def test_a_port_of_a_running_croupier_is_fine(config_path: Path) -> None:
    async with listener(b"HTTP/1.0 200 OK\r\n\r\ncroupier_build_info 1\n") as address:
        findings = await examine(config_path, environment(CROUPIER_HTTP_ADMIN=address))
    assert "ports" not in troubles(findings)
    assert f"http.admin: {address} is answered by a running Croupier" in [
        finding.detail for finding in findings
    ]
