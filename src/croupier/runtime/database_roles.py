"""The two roles and the schema: croupier_owner owns the tables, croupier_app uses them; neither can log in.

PostgreSQL 16 and newer tell apart being a member and being allowed to SET ROLE; a login with CREATEROLE
gets only the administration of the roles it creates and grants itself the rest here. Older versions know
one kind of membership.
"""

import asyncio
from typing import Final

import asyncpg

from croupier.runtime.database import APP_ROLE, OWNER_ROLE, SCHEMA

RACE_ATTEMPTS: Final = 10
RACE_PAUSE_S: Final = 0.05
_SPLIT_MEMBERSHIP_VERSION: Final = 16
_ROLES: Final = (OWNER_ROLE, APP_ROLE)

_SELECT_SCHEMA_OWNER: Final = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = $1"


class RolesMissingError(Exception):
    """The login may not make what is missing; the text is the SQL that a superuser has to run."""


async def ensure_roles(connection: asyncpg.Connection) -> None:
    """Create roles, memberships of the login and the schema where they are missing; two at once are fine.

    Raises RolesMissingError. Call it outside a transaction: after a lost race it looks again.
    """
    for _ in range(RACE_ATTEMPTS):
        missing = await _load_missing(connection)
        try:
            async with connection.transaction():
                for statement in missing:
                    await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            database = await connection.fetchval("SELECT current_database()")
            raise RolesMissingError(render_request(missing, database=database, reason=str(error))) from error
        except (asyncpg.DuplicateObjectError, asyncpg.DuplicateSchemaError, asyncpg.UniqueViolationError):
            continue
        except asyncpg.InternalServerError as error:
            if "concurrently updated" not in str(error):
                raise
            await asyncio.sleep(RACE_PAUSE_S)
            continue
        return
    raise RolesMissingError(f"roles and schema kept changing during {RACE_ATTEMPTS} attempts to make them")


def render_request(missing: list[str], *, database: str, reason: str) -> str:
    """What to tell the database's administrator: the reason and exactly the statements that are missing."""
    lines = "".join(f"    {statement};\n" for statement in ("BEGIN", *missing, "COMMIT"))
    return f"{reason}. A superuser has to run this once in database {database}:\n{lines}"


async def _load_missing(connection: asyncpg.Connection) -> list[str]:
    existing = {
        row[0]
        for row in await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", _ROLES)
    }
    missing = [f"CREATE ROLE {role} NOLOGIN" for role in _ROLES if role not in existing]
    missing += [
        await _grant(connection, role) for role in _ROLES if not await _may_become(connection, role, existing)
    ]
    owner = await connection.fetchval(_SELECT_SCHEMA_OWNER, SCHEMA)
    if owner is None:
        missing.append(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {OWNER_ROLE}")
    elif owner != OWNER_ROLE:
        missing.append(f"ALTER SCHEMA {SCHEMA} OWNER TO {OWNER_ROLE}")
    if owner != OWNER_ROLE or not await _app_may_use_schema(connection):
        missing += _schema_rights()
    return missing


def _schema_rights() -> list[str]:
    """The rights on the schema, given by its owner whoever runs this."""
    return [
        f"SET LOCAL ROLE {OWNER_ROLE}",
        f"REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {APP_ROLE}",
    ]


async def _grant(connection: asyncpg.Connection, role: str) -> str:
    """The membership for the login by name: the statement may be run by somebody else."""
    login = await connection.fetchval("SELECT quote_ident(session_user)")
    return f"GRANT {role} TO {login}"


async def _may_become(connection: asyncpg.Connection, role: str, existing: set[str]) -> bool:
    """Whether the login may SET ROLE; a superuser may, also to a role that is only about to be made."""
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user"):
        return True
    right = "SET" if connection.get_server_version().major >= _SPLIT_MEMBERSHIP_VERSION else "MEMBER"
    return role in existing and await connection.fetchval(
        "SELECT pg_has_role(session_user, $1, $2)", role, right
    )


async def _app_may_use_schema(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("SELECT has_schema_privilege($1, $2, 'USAGE')", APP_ROLE, SCHEMA))
