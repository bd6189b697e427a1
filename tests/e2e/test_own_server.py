"""docs/how-to/use-your-own-postgresql.md on a server that Croupier does not manage: SQL, commands, promises."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from msgspec import Struct

from croupier.runtime.embedded import EmbeddedServer
from e2e.processes import CROUPIER, environment, free_addresses, running, wait_until_ready

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/use-your-own-postgresql.md"
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S: Final = 120


class Site(Struct, frozen=True):
    """A folder with a configuration, and the environments of the two logins of the page."""

    folder: Path
    public: str
    serving: dict[str, str]
    migrating: dict[str, str]

    def croupier(
        self, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command as the serving login, or in another environment."""
        return subprocess.run(
            [str(CROUPIER), *arguments],
            cwd=self.folder,
            env=env or self.serving,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )


def blocks_of(kind: str) -> list[str]:
    """The page's blocks of one language."""
    return [text for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if language == kind]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server as the page's administrator leaves it."""
    folder = tmp_path_factory.mktemp("own-server")
    server = EmbeddedServer(folder / "server")
    asyncio.run(server.start())
    try:
        (script,) = blocks_of("sql")
        asyncio.run(_administer(server.url(), script))
        home, addresses = folder / "casino", free_addresses()
        address = f"127.0.0.1:{server.port}/casino?sslmode=disable"
        serving = environment(
            addresses, CROUPIER_DATABASE_URL=f"postgresql://casino_serve:change-this-2@{address}"
        )
        owner = {"CROUPIER_DATABASE_OWNER_URL": f"postgresql://casino_migrate:change-this-1@{address}"}
        subprocess.run([str(CROUPIER), "init", str(home)], env=serving, check=True, stdout=subprocess.DEVNULL)
        yield Site(home, addresses.public, serving, serving | owner)
    finally:
        asyncio.run(server.stop("immediate"))


async def _administer(url: str, script: str) -> None:
    """One statement after the other, each in its own transaction, as a person's client sends them."""
    connection = await asyncpg.connect(url)
    try:
        for statement in filter(str.strip, script.split(";")):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def migrated(site: Site) -> Site:
    """The site after the page's commands, which all succeed."""
    refused = site.croupier("serve")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "the schema is behind" in refused.stderr
    (commands,) = blocks_of("sh")
    script = f"set -euo pipefail\n{commands}"
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=site.folder,
        env=site.migrating,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "pending 0001_" in ended.stdout
    assert "applied 0001_" in ended.stdout
    assert "the schema is up to date" in ended.stdout
    return site


def test_the_doctor_finds_nothing_to_repair(migrated: Site) -> None:
    ended = migrated.croupier("doctor")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "FAIL" not in ended.stdout
    assert "may act as croupier_owner" not in ended.stdout


def test_the_serving_login_alone_is_enough_to_serve_and_to_prove_the_books(
    migrated: Site, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"
    with running([str(CROUPIER), "serve"], migrated.folder, migrated.serving, log) as process:
        wait_until_ready(migrated.public, process, log)
        body = '{"amount": "5000", "reference": "deposit-1"}'
        paid = migrated.croupier("api", "POST", "/v1/wallets/alice/EUR/deposits", body)
        assert paid.returncode == 0, paid.stdout + paid.stderr
    assert migrated.croupier("ledger", "check").returncode == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE croupier_owner",
        "CREATE TABLE croupier.mine (id integer)",
        "UPDATE croupier.posting SET amount = 1",
        "DELETE FROM croupier.journal_entry",
        "CREATE SCHEMA mine",
    ],
)
async def test_the_serving_login_cannot_change_schema_or_history(migrated: Site, statement: str) -> None:
    connection = await asyncpg.connect(migrated.serving["CROUPIER_DATABASE_URL"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


def test_a_url_in_a_private_file_is_as_good_as_a_variable(migrated: Site) -> None:
    secret = migrated.folder / ".croupier/keys/database.url"
    secret.touch(mode=0o600)
    secret.write_text(migrated.serving["CROUPIER_DATABASE_URL"])
    path = migrated.folder / "croupier.toml"
    (block,) = blocks_of("toml")
    line = block.splitlines()[1]
    other = migrated.folder / "filed.toml"
    other.write_text(path.read_text().replace('url = "embedded"', line))
    env = {name: value for name, value in migrated.serving.items() if name != "CROUPIER_DATABASE_URL"}
    ended = migrated.croupier("--config", str(other), "ledger", "check", env=env)
    assert ended.returncode == 0, ended.stdout + ended.stderr
