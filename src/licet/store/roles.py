"""The four roles of a database server: who the given login is, which roles there are, their passwords.

Roles belong to the whole server, not to one database: another installation may be using the same ones. So a password
that somebody else has set is never changed; then the given login takes the roles on instead.
"""

import asyncio
import contextlib
import json
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

from licet.seal.private_file import create_private
from licet.store.connections import CONNECT_SECONDS, Connection

OWNER, APP, READER, KEYS = ROLES = ("licet_owner", "licet_app", "licet_reader", "licet_keys")
OLDEST_VERSION: Final = 150000
_SET_OPTION_SINCE: Final = 160000
_ATTEMPTS: Final = 5

# What an administrator runs once where Licet's own login may not create roles. `licet` stands for that login.
STATEMENTS: Final = """
CREATE ROLE licet_owner NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE licet_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE licet_reader NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE licet_keys NOLOGIN NOSUPERUSER NOBYPASSRLS;
GRANT licet_owner, licet_app, licet_reader, licet_keys TO licet;
GRANT CREATE, USAGE ON SCHEMA public TO licet_owner;
"""

Passwords = dict[str, str]


class SetupError(Exception):
    """The database cannot be made ready as it is; the words say what to change."""


class Standing(Struct, frozen=True, kw_only=True):
    """What the given login may do, and which of our roles it may take on."""

    name: str
    version: int
    superuser: bool
    creates_roles: bool
    bypasses: bool
    takes: frozenset[str]

    @property
    def takes_all(self) -> bool:
        """Whether it may take on every role."""
        return self.takes.issuperset(ROLES)

    @property
    def makes_roles(self) -> bool:
        """Whether it may create the roles and let itself take them on."""
        return self.superuser or self.creates_roles


async def standing_of(conn: Connection) -> Standing:
    """Return what the login of a connection may do."""
    version = int(await conn.fetchval("SHOW server_version_num"))
    row = await conn.fetchrow(
        "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    if row is None:
        raise SetupError("the login has no row in pg_roles: is this PostgreSQL?")
    # From 16 on a login is a member of the roles it creates, but may not take them on before it says so.
    takes = await conn.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) AND pg_has_role(current_user, oid, $2)",
        list(ROLES),
        "SET" if version >= _SET_OPTION_SINCE else "MEMBER",
    )
    return Standing(
        name=row["rolname"],
        version=version,
        superuser=row["rolsuper"],
        creates_roles=row["rolcreaterole"],
        bypasses=row["rolbypassrls"],
        takes=frozenset(role["rolname"] for role in takes),
    )


def refuse(standing: Standing) -> None:
    """Raise SetupError for a server too old, and for a login that nothing could separate workspaces from."""
    if standing.version < OLDEST_VERSION:
        raise SetupError(
            f"this is PostgreSQL {standing.version // 10000}; Licet needs 15 or later: upgrade, or use the bundled one"
        )
    if standing.bypasses and not (standing.makes_roles or standing.takes_all):
        raise SetupError(
            f"the login {standing.name} has BYPASSRLS and may not create roles, so nothing would separate workspaces. "
            f"Run `ALTER ROLE {standing.name} NOBYPASSRLS`, or let an administrator run:\n{STATEMENTS}"
        )


async def make_roles(conn: Connection, standing: Standing) -> None:
    """Create missing roles and let the login take them on; raises SetupError for a role that is too strong."""
    for role in ROLES:
        if not await conn.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
            await _quietly(conn, f"CREATE ROLE {role} NOLOGIN NOCREATEDB NOCREATEROLE")
        if not standing.superuser and role not in standing.takes:
            await _quietly(conn, f"GRANT {role} TO CURRENT_USER")
    strong = await conn.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) AND (rolsuper OR rolbypassrls)", list(ROLES)
    )
    if strong:
        names = ", ".join(row["rolname"] for row in strong)
        raise SetupError(f"{names} may bypass row-level security: run ALTER ROLE … NOSUPERUSER NOBYPASSRLS for each")


async def set_passwords(conn: Connection, dsn: str, path: Path) -> Passwords | None:
    """Let the roles log in with the passwords of a file (made if absent); return them once they prove to work.

    None if somebody else's passwords are set, or the server does not let the roles in. Raises SetupError for a file
    that is open to others or damaged.
    """
    passwords = _passwords(path)
    marks = {role: _mark(role, password) for role, password in passwords.items()}
    rows = await conn.fetch(
        "SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid') AS mark "
        "FROM pg_roles WHERE rolname = ANY ($1)",
        list(ROLES),
    )
    if any(row["rolcanlogin"] and row["mark"] != marks[row["rolname"]] for row in rows):
        return None
    # ALTER ROLE takes no parameters; the passwords are base64url, the server stores SCRAM verifiers of them.
    await conn.execute("SET password_encryption = 'scram-sha-256'")
    for role in (row["rolname"] for row in rows if not row["rolcanlogin"]):
        await _quietly(conn, f"COMMENT ON ROLE {role} IS '{marks[role]}'")
        await _quietly(conn, f"ALTER ROLE {role} LOGIN PASSWORD '{passwords[role]}'")
    for role in ROLES:
        try:
            proof = await asyncpg.connect(dsn_as(dsn, role, passwords[role]), timeout=CONNECT_SECONDS)
        except asyncpg.InvalidAuthorizationSpecificationError:
            return None
        await proof.close()
    return passwords


def dsn_as(dsn: str, role: str, password: str) -> str:
    """Return a connection string for another login; raises SetupError for one that is not a plain URL."""
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgresql", "postgres") or {"user", "password"} & parse_qs(parts.query).keys():
        raise SetupError("write the database's address as postgresql://user:password@host:port/database")
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}"))


def _mark(role: str, password: str) -> str:
    # Tells whose password is set without telling anything about it: the first part of it is a random name.
    return f"{role} of Licet, secret {password.partition('.')[0]}"


async def _quietly(conn: Connection, statement: str) -> None:
    """Run a statement about roles, which another process may be running at this moment for another database."""
    for attempt in range(_ATTEMPTS):
        try:
            await conn.execute(statement)
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            return
        except asyncpg.InternalServerError:  # "tuple concurrently updated"
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))
        else:
            return


def _passwords(path: Path) -> Passwords:
    """Return the roles' passwords, made on first use. Each is ``<public name>.<192 random bits>``."""
    if not path.exists():
        made = {role: f"{secrets.token_hex(4)}.{secrets.token_urlsafe(24)}" for role in ROLES}
        with contextlib.suppress(FileExistsError):  # of two processes that start at once, one makes the passwords
            create_private(path, json.dumps(made).encode())
    if path.stat().st_mode & 0o077:
        raise SetupError(f"{path} is open to others: chmod 600 {path}")
    try:
        kept: Passwords = json.loads(path.read_text())
    except json.JSONDecodeError:
        kept = {}
    if not isinstance(kept, dict) or kept.keys() != set(ROLES):
        raise SetupError(f"{path} does not hold the passwords of {', '.join(ROLES)}: restore it from a backup")
    return kept
