"""The database side of commands: opens the storage of this machine, acts as ``local:<os user>``.

Nothing here makes a database: what verifies a log or makes a key works at one that is there, and says which.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from licet.cli.failure import Failure
from licet.cli.homestead import Homestead
from licet.cli.target import DEFAULT_WORKSPACE, said_key, said_url, same_server
from licet.cli.whereabouts import database_words, not_reached
from licet.seal.keyring import create_keyring
from licet.services.errors import UnknownWorkspace
from licet.services.ports import Tx, View
from licet.settings import Settings
from licet.store.bundled.home import Home
from licet.store.postgres import PostgresStorage
from licet.store.setup import prepare
from licet.telemetry import configure_logs
from licet.wiring import Place, database, home_of, local_actor

POOL: Final = 2
"""Connections of one command."""
T = TypeVar("T")


def change(workspace: str | None, work: Callable[[Tx], Awaitable[T]], *, note: str | None = None) -> T:
    """Run one use case in a writing transaction."""

    async def run(storage: PostgresStorage) -> T:
        async with storage.write(chosen(workspace), local_actor(), note=note or "") as tx:
            return await work(tx)

    return with_storage(run)


def look(workspace: str | None, work: Callable[[View], Awaitable[T]]) -> T:
    """Run one reading in a consistent view."""

    async def run(storage: PostgresStorage) -> T:
        async with storage.read(chosen(workspace)) as view:
            return await work(view)

    return with_storage(run)


def chosen(workspace: str | None) -> str:
    """Return the workspace that is meant: the one named, else that of LICET_KEY, else the default."""
    if workspace is not None:
        return workspace
    parts = said_key().split("_")
    return parts[1] if len(parts) == 4 and parts[0] == "lct" and parts[1] else DEFAULT_WORKSPACE


def whereabouts() -> str:
    """Return which database :func:`with_storage` works at."""
    return database_words(Settings.read())


def with_storage(work: Callable[[PostgresStorage], Awaitable[T]]) -> T:
    """Open this machine's storage, run ``work``, close it; starts the bundled database where it does not run.

    Raises Failure where there is no database yet, or where LICET_URL names the server of another one.
    """
    settings = Settings.read()
    # What the server warns of at its start is no news here, and standard output holds one JSON object at most.
    configure_logs("console", "error")
    _must_be_here(settings)

    async def run(place: Place) -> T:
        await _must_hold_licet(place, settings)
        access = await prepare(place.dsn, role_secrets=place.home / "roles.json")
        # Unlike the server's start, this makes no workspaces: what is verified must have been there.
        async with PostgresStorage(access, create_keyring(place.home / "master.keys"), size=POOL) as storage:
            if not await storage.workspaces():
                raise _nothing_here(database_words(settings))
            try:
                return await work(storage)
            except UnknownWorkspace as error:
                known = ", ".join(each.id for each in await storage.workspaces())
                raise Failure(
                    error.words,
                    advice=f"known are {known}" if known else "start the server once: `licet up`",
                    code="unknown_workspace",
                ) from None

    with database(settings) as place:
        return asyncio.run(run(place))


def _must_be_here(settings: Settings) -> None:
    if settings.database_url is not None:
        return
    home = home_of(settings)
    url = said_url()
    if url and not same_server(url, Homestead(home).server_url()):
        raise Failure(
            f"LICET_URL is {url}, which is not a server of the home {home}; this command works at the database itself",
            advice="set LICET_HOME to that server's home or LICET_DATABASE_URL to its database; "
            "or unset LICET_URL to work at this home",
            code="other_server",
        )
    if Home(home).data_major() is None:
        raise _nothing_here(f"the home {home}")


async def _must_hold_licet(place: Place, settings: Settings) -> None:
    import asyncpg

    from licet.store.access import Login
    from licet.store.connections import connect
    from licet.store.migrate import load_migrations, pending
    from licet.store.setup import MIGRATIONS

    try:
        conn = await connect(Login(dsn=place.dsn))
        try:
            waiting = await pending(conn, MIGRATIONS)
        finally:
            await conn.close()
    except asyncpg.InvalidCatalogNameError as error:
        raise not_reached(settings, error) or _nothing_here(f"the home {place.home}") from None
    except Exception as error:
        failure = not_reached(settings, error)
        if failure is None:
            raise
        raise failure from None
    if len(waiting) == len(load_migrations(MIGRATIONS)):
        raise _nothing_here(database_words(settings))
    if waiting:
        count = "1 migration" if len(waiting) == 1 else f"{len(waiting)} migrations"
        raise Failure(
            f"{database_words(settings)} is of an earlier version: {count} pending, {waiting[0].title} first; this "
            "command changes no schema",
            advice="start the server once: `licet up` migrates it",
            code="pending_migration",
        )


def _nothing_here(where: str) -> Failure:
    return Failure(
        f"there is no database of Licet's yet in {where}, and this command makes none",
        advice="`licet up` makes one; or set LICET_HOME to another home, or LICET_DATABASE_URL to your database",
        code="no_database",
    )
