"""Bringing a database to the newest schema: numbered SQL files, each applied once, in order, in its own transaction."""

import hashlib
import re
from datetime import datetime
from pathlib import Path

import asyncpg
import msgspec

from licet.store.access import Login
from licet.store.connections import connect

# The advisory lock every runner takes, in the namespace of transaction locks: "licet" in ASCII.
LOCK_KEY = 0x6C69636574
FILE_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
# Transaction control as a statement of its own; plpgsql's BEGIN has no semicolon.
TRANSACTION_CONTROL = re.compile(
    r"^\s*(?:begin|commit|rollback|abort|end|start\s+transaction)(?:\s+(?:transaction|work))?\s*;",
    re.IGNORECASE | re.MULTILINE,
)
PLPGSQL_BODY = re.compile(r"(?P<quote>\$\w*\$).*?(?P=quote)", re.DOTALL)
COMMENT = re.compile(r"--[^\n]*")
DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class MigrationError(RuntimeError):
    """The files and the database disagree, or a file is not acceptable; nothing was changed by the refused step."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its number from 1, its name, its SQL and the SHA-256 (hex) of its text with line ends as LF."""

    number: int
    name: str
    sql: str
    checksum: str

    @property
    def title(self) -> str:
        """The file's name without its ending."""
        return f"{self.number:04d}_{self.name}"


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `schema_migration`; `applied_at` is the database's real time, with zone."""

    number: int
    name: str
    checksum: str
    applied_at: datetime

    @property
    def title(self) -> str:
        """The name of the file it came from, without its ending."""
        return f"{self.number:04d}_{self.name}"


def load_migrations(directory: Path) -> list[Migration]:
    """The migrations in `directory` by number, which must be 1, 2, 3 … without gap; raises MigrationError."""
    if not directory.is_dir():
        raise MigrationError(
            f"there is no folder {directory} with migrations: the installation is incomplete, repeat it"
        )
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not a migration's name: it must look like 0001_what_it_does.sql")
        sql = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
        _refuse_transaction_control(path.name, sql)
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(number=int(match["number"]), name=match["name"], sql=sql, checksum=checksum))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise MigrationError(
                f"migration {migration.title} stands where number {expected:04d} must: numbers go 0001, 0002 … "
                "each exactly once; renumber the file or restore the missing one"
            )
    return found


async def migrate(conn: "asyncpg.Connection[asyncpg.Record]", directory: Path) -> list[Applied]:
    """Apply what is pending, oldest first, and return what this call applied (none when the schema is current).

    Safe when several processes start at once: each step holds an advisory lock for its transaction and looks again
    under it. Raises MigrationError on changed, missing, renamed or unknown migrations, and when a file's SQL fails;
    steps committed before stay. `conn` must not be inside a transaction.
    """
    migrations = load_migrations(directory)
    done: list[Applied] = []
    while True:
        async with conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            await _ensure_table(conn)
            waiting = _compare(migrations, await _applied(conn))
            if not waiting:
                return done
            done.append(await _apply(conn, waiting[0]))


async def pending(conn: "asyncpg.Connection[asyncpg.Record]", directory: Path) -> list[Migration]:
    """What `migrate` would apply now, oldest first. Writes nothing; raises MigrationError like `migrate`."""
    return _compare(load_migrations(directory), await _applied(conn))


async def create_database(admin_dsn: str, name: str, *, template: str | None = None) -> bool:
    """Create the empty database `name` (or a copy of `template`) unless it exists; True when this call made it.

    Safe when several processes start at once. Raises MigrationError for a name that is not plain lower case,
    Unavailable where the server is not there yet.
    """
    for given in (name, template):
        if given is not None and DATABASE_NAME.fullmatch(given) is None:
            raise MigrationError(
                f"{given!r} is not a database name: use a-z, 0-9 and _, a letter first, at most 63 characters"
            )
    conn = await connect(Login(dsn=admin_dsn))
    try:
        if await conn.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            return False
        try:
            # Names are checked above: DDL takes no parameters.
            await conn.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return False
        return True
    finally:
        await conn.close()


async def _ensure_table(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    if not await _table_exists(conn):
        await conn.execute(
            """
            CREATE TABLE public.schema_migration (
                number integer PRIMARY KEY CHECK (number > 0),
                name text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
            )
            """
        )


async def _table_exists(conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return bool(await conn.fetchval("SELECT to_regclass('public.schema_migration') IS NOT NULL"))


async def _applied(conn: "asyncpg.Connection[asyncpg.Record]") -> list[Applied]:
    if not await _table_exists(conn):
        return []
    rows = await conn.fetch("SELECT number, name, checksum, applied_at FROM public.schema_migration ORDER BY number")
    return [msgspec.convert(dict(row), Applied) for row in rows]


async def _apply(conn: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> Applied:
    try:
        await conn.execute(migration.sql)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"migration {migration.title} failed and was rolled back: {_explain(error)}") from error
    row = await conn.fetchrow(
        "INSERT INTO public.schema_migration (number, name, checksum) VALUES ($1, $2, $3) "
        "RETURNING number, name, checksum, applied_at",
        migration.number,
        migration.name,
        migration.checksum,
    )
    return msgspec.convert(dict(row or {}), Applied)


def _compare(migrations: list[Migration], applied: list[Applied]) -> list[Migration]:
    for expected, row in enumerate(applied, start=1):
        if row.number != expected:
            raise MigrationError(
                f"the database has applied {row.title} without number {expected:04d}: "
                "its table schema_migration was edited; restore the database from a backup"
            )
        if row.number > len(migrations):
            raise MigrationError(
                f"the database has applied {row.title}, which this version of Licet does not know "
                f"(its newest is {len(migrations):04d}): run the version that migrated it, or a newer one"
            )
        file = migrations[row.number - 1]
        if file.name != row.name:
            raise MigrationError(f"migration {file.title} was applied as {row.title}: give the file its old name back")
        if file.checksum != row.checksum:
            raise MigrationError(
                f"migration {file.title} was changed after it was applied on {row.applied_at:%Y-%m-%d %H:%M} UTC "
                f"(checksum {row.checksum[:12]} then, {file.checksum[:12]} now): restore the file and put the change "
                "into a new migration"
            )
    return migrations[len(applied) :]


def _explain(error: asyncpg.PostgresError) -> str:
    parts = [str(error)]
    for label in ("detail", "hint", "context"):
        said = getattr(error, label, None)
        if said:
            parts.append(f"{label}: {said}")
    return "; ".join(parts)


def _refuse_transaction_control(file_name: str, sql: str) -> None:
    bare = COMMENT.sub("", PLPGSQL_BODY.sub("", sql))
    match = TRANSACTION_CONTROL.search(bare)
    if match is not None:
        raise MigrationError(
            f"{file_name} contains {match[0].strip()!r}: the runner gives each migration its transaction; remove it"
        )
