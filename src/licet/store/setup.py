"""Making a database ready: its roles, its schema, their rights, the first workspaces.

With a login that may create roles, five roles are made (or found): ``licet_owner`` owns the schema, ``licet_app``,
``licet_reader`` and ``licet_keys`` own nothing. With a login that may not, and no roles made beforehand, that login
plays all parts: row-level security still binds it, but it owns the log it writes, which is said as a warning.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

from licet.seal.keyring import Keyring
from licet.services.rows import Actor, Workspace
from licet.store.access import Access, Login
from licet.store.bundled.endpoint import write_private
from licet.store.connections import Connection, connect
from licet.store.migrate import migrate
from licet.store.postgres import PostgresStorage

MIGRATIONS: Final = Path(__file__).parent / "migrations"
GRANTS: Final = Path(__file__).parent / "grants.sql"
ROLES: Final = ("licet_owner", "licet_app", "licet_reader", "licet_keys")
FIRST_WORKSPACES: Final = (Workspace(id="live", kind="live"), Workspace(id="test", kind="test"))
OLDEST_VERSION: Final = 150000
_ATTEMPTS: Final = 5
# "licet setup" begins with these bytes; another key than the migrations' own lock, which is taken inside.
_LOCK: Final = 0x6C696365742073

# What an administrator runs once where Licet's own login may not create roles. `licet` stands for that login.
STATEMENTS: Final = """
CREATE ROLE licet_owner NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE licet_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE licet_reader NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE licet_keys NOLOGIN NOSUPERUSER NOBYPASSRLS;
GRANT licet_owner, licet_app, licet_reader, licet_keys TO licet;
GRANT CREATE, USAGE ON SCHEMA public TO licet_owner;
"""


class SetupError(Exception):
    """The database cannot be made ready as it is; the words say what to change."""


class Standing(Struct, frozen=True, kw_only=True):
    """What the given login may do, and which of our roles exist."""

    name: str
    version: int
    superuser: bool
    creates_roles: bool
    bypasses: bool
    roles: frozenset[str]
    takes: frozenset[str]
    """The roles it may take on."""


async def prepare(dsn: str, *, role_secrets: Path | None = None) -> Access:
    """Bring one database to the newest schema and return how its roles are reached. Repeating it changes nothing.

    ``dsn`` is a superuser's, an owner's or any login that may create roles. With ``role_secrets`` (a file, mode 0600,
    made if absent) the roles get passwords of their own and log in by themselves; without, the given login takes
    them on. Raises SetupError or MigrationError.
    """
    login = Login(dsn=dsn)
    conn = await connect(login)
    try:
        # One at a time in this database, until the connection ends: rights are rewritten as a whole.
        await conn.execute(f"SELECT pg_advisory_lock({_LOCK})")
        standing = await _standing(conn)
        _refuse(standing)
        passwords: dict[str, str] | None = None
        if standing.superuser or standing.creates_roles:
            passwords = None if role_secrets is None else _passwords(role_secrets)
            await _make_roles(conn, standing, passwords)
            standing = await _standing(conn)
        if not standing.takes.issuperset(ROLES):
            return await _prepare_alone(conn, login, standing)
        await _let_owner_create(conn)
        await conn.execute("SET ROLE licet_owner")
        await migrate(conn, MIGRATIONS)
        await conn.execute(GRANTS.read_text())
    finally:
        await conn.close()
    return _access(dsn, standing, passwords)


async def create_workspaces(
    access: Access, keyring: Keyring, actor: Actor, workspaces: Sequence[Workspace] = FIRST_WORKSPACES
) -> None:
    """Create the first workspaces, ``live`` and ``test``, unless they exist."""
    async with PostgresStorage(access, keyring, size=1) as storage:
        for workspace in workspaces:
            await storage.create_workspace(workspace, actor)


async def _let_owner_create(conn: Connection) -> None:
    allowed = await conn.fetchval("SELECT has_schema_privilege('licet_owner', 'public', 'CREATE')")
    if not allowed:
        try:
            await conn.execute("GRANT CREATE, USAGE ON SCHEMA public TO licet_owner")
        except asyncpg.InsufficientPrivilegeError:
            raise SetupError(
                "licet_owner may not create tables: let the database's owner run "
                "`GRANT CREATE, USAGE ON SCHEMA public TO licet_owner`"
            ) from None


async def _standing(conn: Connection) -> Standing:
    row = await conn.fetchrow(
        "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    roles = await conn.fetch(
        "SELECT rolname, pg_has_role(current_user, oid, 'MEMBER') AS takes FROM pg_roles WHERE rolname = ANY ($1)",
        list(ROLES),
    )
    if row is None:
        raise SetupError("the login has no row in pg_roles: is this PostgreSQL?")
    return Standing(
        name=row["rolname"],
        version=int(await conn.fetchval("SHOW server_version_num")),
        superuser=row["rolsuper"],
        creates_roles=row["rolcreaterole"],
        bypasses=row["rolbypassrls"],
        roles=frozenset(role["rolname"] for role in roles),
        takes=frozenset(role["rolname"] for role in roles if role["takes"]),
    )


def _refuse(standing: Standing) -> None:
    if standing.version < OLDEST_VERSION:
        raise SetupError(
            f"this is PostgreSQL {standing.version // 10000}; Licet needs 15 or later: upgrade, or use the bundled one"
        )
    alone = not (standing.superuser or standing.creates_roles or standing.takes.issuperset(ROLES))
    if alone and standing.bypasses:
        raise SetupError(
            f"the login {standing.name} has BYPASSRLS and may not create roles, so nothing would separate workspaces. "
            f"Run `ALTER ROLE {standing.name} NOBYPASSRLS`, or let an administrator run:\n{STATEMENTS}"
        )


async def _make_roles(conn: Connection, standing: Standing, passwords: dict[str, str] | None) -> None:
    for role in ROLES:
        if role not in standing.roles:
            await _quietly(conn, f"CREATE ROLE {role} NOLOGIN NOCREATEDB NOCREATEROLE")
        if not standing.superuser and role not in standing.takes:
            await _quietly(conn, f"GRANT {role} TO CURRENT_USER")
        if passwords is not None:
            await _set_password(conn, role, passwords[role])
    bad = await conn.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) AND (rolsuper OR rolbypassrls)", list(ROLES)
    )
    if bad:
        names = ", ".join(row["rolname"] for row in bad)
        raise SetupError(f"{names} may bypass row-level security: run ALTER ROLE … NOSUPERUSER NOBYPASSRLS for each")


async def _set_password(conn: Connection, role: str, password: str) -> None:
    # Set only what is not set yet: changing a role that others are logging in with collides with their changes.
    done = await conn.fetchval(
        "SELECT rolcanlogin AND shobj_description(oid, 'pg_authid') = $2 FROM pg_roles WHERE rolname = $1",
        role,
        _mark(role, password),
    )
    if not done:
        # ALTER ROLE takes no parameters; the password is base64url, the server stores a SCRAM verifier of it.
        await conn.execute("SET password_encryption = 'scram-sha-256'")
        await _quietly(conn, f"ALTER ROLE {role} LOGIN PASSWORD '{password}'")
        await _quietly(conn, f"COMMENT ON ROLE {role} IS '{_mark(role, password)}'")


def _mark(role: str, password: str) -> str:
    # Tells which password is set without telling anything about it: the first part of it is a random name.
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


async def _prepare_alone(conn: Connection, login: Login, standing: Standing) -> Access:
    await migrate(conn, MIGRATIONS)
    warning = (
        f"the login {standing.name} plays all parts: workspaces are separated by row-level security, but it owns the "
        f"tables, so only triggers keep it from editing the log. For narrower roles let an administrator run:"
        f"\n{STATEMENTS}"
    )
    return Access(owner=login, app=login, reader=login, keys=login, warnings=(warning,))


def _access(dsn: str, standing: Standing, passwords: dict[str, str] | None) -> Access:
    warnings: tuple[str, ...] = ()
    if passwords is None:
        if standing.superuser:
            warnings = (f"the login {standing.name} is a superuser that takes on narrower roles: use one that is not",)
        logins = {role: Login(dsn=dsn, role=role) for role in ROLES}
    else:
        logins = {role: Login(dsn=_dsn_as(dsn, role, passwords[role])) for role in ROLES}
    return Access(
        owner=logins["licet_owner"],
        app=logins["licet_app"],
        reader=logins["licet_reader"],
        keys=logins["licet_keys"],
        warnings=warnings,
    )


def _dsn_as(dsn: str, role: str, password: str) -> str:
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgresql", "postgres") or {"user", "password"} & parse_qs(parts.query).keys():
        raise SetupError("write the database's address as postgresql://user:password@host:port/database")
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}"))


def _passwords(path: Path) -> dict[str, str]:
    """Return the roles' passwords, made on first use. Each is ``<public name>.<160 random bits>``."""
    if not path.exists():
        made = {role: f"{secrets.token_hex(4)}.{secrets.token_urlsafe(24)}" for role in ROLES}
        temporary = path.with_name(f".{path.name}.new.{os.getpid()}")
        write_private(temporary, json.dumps(made).encode())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    if path.stat().st_mode & 0o077:
        raise SetupError(f"{path} is open to others: chmod 600 {path}")
    kept: dict[str, str] = json.loads(path.read_text())
    if kept.keys() != set(ROLES):
        raise SetupError(f"{path} does not hold the passwords of {', '.join(ROLES)}: remove it to have new ones made")
    return kept
