"""Making a database ready: its roles, its schema, their rights, the first workspaces.

With a login that may create roles, four are made (or found): ``licet_owner`` owns the schema, ``licet_app``,
``licet_reader`` and ``licet_keys`` own nothing. With a login that may not, and no roles made beforehand, that login
plays all parts: row-level security still binds it, but it owns the log it writes, which is said as a warning.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from licet.seal.keyring import Keyring
from licet.services.rows import Actor, Workspace
from licet.store.access import Access, Login
from licet.store.connections import Connection, connect
from licet.store.migrate import migrate
from licet.store.postgres import PostgresStorage
from licet.store.roles import (
    APP,
    KEYS,
    OWNER,
    READER,
    ROLES,
    STATEMENTS,
    Passwords,
    SetupError,
    Standing,
    dsn_as,
    make_roles,
    refuse,
    set_passwords,
    standing_of,
)

__all__ = ["MIGRATIONS", "ROLES", "STATEMENTS", "SetupError", "create_workspaces", "prepare"]

MIGRATIONS: Final = Path(__file__).parent / "migrations"
GRANTS: Final = Path(__file__).parent / "grants.sql"
FIRST_WORKSPACES: Final = (Workspace(id="live", kind="live"), Workspace(id="test", kind="test"))
# "licet s" in ASCII; another key than the migrations' own lock, which is taken inside.
_LOCK: Final = 0x6C696365742073


async def prepare(dsn: str, *, role_secrets: Path | None = None) -> Access:
    """Bring one database to the newest schema and return how its roles are reached. Repeating it changes nothing.

    ``dsn`` is a superuser's, an owner's or any login that may create roles. With ``role_secrets`` (a file, mode 0600,
    made if absent) the roles get passwords of their own and log in by themselves; without, or where another
    installation on the same server has set theirs, the given login takes them on. Raises SetupError, MigrationError
    or Unavailable.
    """
    conn = await connect(Login(dsn=dsn))
    try:
        # One at a time in this database, until the connection ends: rights are rewritten as a whole.
        await conn.execute(f"SELECT pg_advisory_lock({_LOCK})")
        standing = await standing_of(conn)
        refuse(standing)
        if standing.makes_roles:
            await make_roles(conn, standing)
            standing = await standing_of(conn)
        if not standing.takes_all:
            await migrate(conn, MIGRATIONS)
            return _alone(dsn, standing)
        passwords = None
        if standing.makes_roles and role_secrets is not None:
            passwords = await set_passwords(conn, dsn, role_secrets)
        await _let_owner_create(conn)
        await conn.execute(f"SET ROLE {OWNER}")
        await migrate(conn, MIGRATIONS)
        await conn.execute(GRANTS.read_text())
    finally:
        await conn.close()
    if passwords is not None:
        return _by_password(dsn, passwords)
    return _by_taking_on(dsn, standing, refused=role_secrets is not None and standing.makes_roles)


async def create_workspaces(
    access: Access, keyring: Keyring, actor: Actor, workspaces: Sequence[Workspace] = FIRST_WORKSPACES
) -> None:
    """Create the first workspaces, ``live`` and ``test``, unless they exist."""
    async with PostgresStorage(access, keyring, size=1) as storage:
        for workspace in workspaces:
            await storage.create_workspace(workspace, actor)


async def _let_owner_create(conn: Connection) -> None:
    allowed = await conn.fetchval("SELECT has_schema_privilege($1, 'public', 'CREATE')", OWNER)
    if not allowed:
        try:
            await conn.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}")
            allowed = await conn.fetchval("SELECT has_schema_privilege($1, 'public', 'CREATE')", OWNER)
        except asyncpg.InsufficientPrivilegeError:
            pass
    # Granting what one may not grant is a mere warning in some cases, so the outcome is what counts.
    if not allowed:
        raise SetupError(
            f"{OWNER} may not create tables: let the database's owner run "
            f"`GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}`"
        )


def _alone(dsn: str, standing: Standing) -> Access:
    login = Login(dsn=dsn)
    warning = (
        f"the login {standing.name} plays all parts: workspaces are separated by row-level security, but it owns the "
        f"tables, so only triggers keep it from editing the log. For narrower roles let an administrator run:"
        f"\n{STATEMENTS}"
    )
    return Access(owner=login, app=login, reader=login, keys=login, warnings=(warning,))


def _by_password(dsn: str, passwords: Passwords) -> Access:
    logins = {role: Login(dsn=dsn_as(dsn, role, password)) for role, password in passwords.items()}
    return Access(owner=logins[OWNER], app=logins[APP], reader=logins[READER], keys=logins[KEYS])


def _by_taking_on(dsn: str, standing: Standing, *, refused: bool) -> Access:
    warnings = []
    if refused:
        warnings.append(
            f"the roles do not log in by themselves (another installation on this server has set their passwords, or "
            f"the server refuses them): the login {standing.name} takes them on"
        )
    if standing.superuser:
        warnings.append(f"the login {standing.name} is a superuser that takes on narrower roles: use one that is not")
    owner, app, reader, keys = (Login(dsn=dsn, role=role) for role in (OWNER, APP, READER, KEYS))
    return Access(owner=owner, app=app, reader=reader, keys=keys, warnings=tuple(warnings))
