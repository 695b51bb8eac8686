"""Looks at this machine's home and database without changing or starting anything."""

import asyncio
from pathlib import Path
from typing import Final

from msgspec import Struct

from licet.cli.documents import read_text
from licet.cli.failure import COULD_NOT, NO, Ended, Failure
from licet.cli.homestead import Homestead
from licet.cli.machine_symptoms import (
    LITTLE_DISK_MIB,
    disk_symptom,
    home_symptom,
    programs_symptom,
    secret_symptoms,
    server_symptoms,
)
from licet.cli.output import Output
from licet.cli.symptom import Symptom, broken, document, secrets_of, shown, unseen, well, without_secrets
from licet.settings import Settings
from licet.store.bundled import describe
from licet.store.bundled.errors import BundledError
from licet.store.bundled.report import Description
from licet.wiring import home_of, root_path, this_version

PATIENCE_SECONDS: Final = 60


class Scope(Struct, frozen=True, kw_only=True):
    """What shall be looked at besides the usual: a catalog file against a workspace; how much room there must be."""

    catalog: Path | None = None
    workspace: str = "live"
    least_mib: int = LITTLE_DISK_MIB


def examine(out: Output, scope: Scope) -> None:
    """Print what was found; exit code 1 where something is broken, 2 where something could not be looked at."""
    settings = Settings.read()
    home = home_of(settings)
    try:
        about: Description | BundledError = describe(home)
    except BundledError as error:
        about = error
    found, known = _looked(home, about, settings, scope), {*Homestead(home).keys().values()}
    if isinstance(about, Description) and about.endpoint is not None:
        known |= {about.endpoint.password}
    found = without_secrets(found, known | secrets_of(settings.database_url))
    states = {one.state for one in found}
    out.document({"ok": not states & {"broken", "unseen"}, "home": str(home), "checks": document(found)})
    for one in found:
        out.lines(shown(one))
    if "broken" in states:
        raise Ended(NO)
    if "unseen" in states:
        raise Ended(COULD_NOT)


def _looked(home: Path, about: Description | BundledError, settings: Settings, scope: Scope) -> list[Symptom]:
    """Look at everything there is; data of which not even the version can be read end it early."""
    found = [well("version", f"licet {this_version()}"), disk_symptom(home, scope.least_mib)]
    if isinstance(about, BundledError):
        words, why = str(about).rpartition(": ")[0], "PostgreSQL opens no data whose version it cannot read"
        return [*found, broken("programs", words, why=why, advice="restore the home from a backup")]
    programs = programs_symptom(about, settings)
    return [
        *found,
        home_symptom(about, settings),
        *([] if programs is None else [programs]),
        *secret_symptoms(home),
        *server_symptoms(home, settings),
        *_inside(about, settings, scope),
    ]


def _inside(about: Description, settings: Settings, scope: Scope) -> list[Symptom]:
    """Look into the database, if there is one that answers; it is never started for that."""
    from licet.cli.workspace_symptoms import not_looked

    if settings.database_url is not None:
        return asyncio.run(_ask(settings.database_url, "yours", about.home, scope))
    if about.endpoint is not None:
        which = f"bundled, run by process {about.endpoint.owner}"
        return asyncio.run(_ask(about.endpoint.dsn(), which, about.home, scope))
    which = f"bundled PostgreSQL {about.data_major}" if about.data_major else "bundled PostgreSQL"
    stopped = Symptom(name="database", state="note", words=f"{which}, not running", advice="`licet up` starts it")
    if about.data_major is None:
        return [stopped]
    return [stopped, *not_looked("the database does not run, and is not started for this", "`licet up`, then again")]


async def _ask(dsn: str, which: str, home: Path, scope: Scope) -> list[Symptom]:
    import asyncpg

    from licet.cli import database_symptoms as door
    from licet.cli.workspace_symptoms import not_looked
    from licet.store.roles import standing_of

    conn = await door.entered(dsn, yours=which == "yours")
    if isinstance(conn, Symptom):
        return [conn, *not_looked("the database cannot be used", "mend the database first")]
    found: list[Symptom] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found += [await door.server_symptom(conn, which), await door.clock_symptom(conn)]
            schema = await door.schema_symptom(conn)
            takes = (await standing_of(conn)).takes
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        said = str(error) or f"no answer within {PATIENCE_SECONDS} s"
        return [*found, *not_looked(f"the database broke off: {said}", "ask again, or read the database's own log")]
    finally:
        await conn.close()
    if schema.state == "note":
        return [*found, schema]
    if schema.state == "broken":
        return [*found, schema, *not_looked("the schema is another one", "mend the migrations first")]
    return [*found, schema, *await _in_workspaces(dsn, takes, home, scope)]


async def _in_workspaces(dsn: str, takes: frozenset[str], home: Path, scope: Scope) -> list[Symptom]:
    """Look into each workspace, everything under the role that may only read."""
    import asyncpg

    from licet.cli import workspace_symptoms as inside
    from licet.cli.signing_symptoms import signing_symptoms
    from licet.seal.keyring import new_keyring
    from licet.services.errors import ServiceError
    from licet.store.access import Access, Login
    from licet.store.postgres import PostgresStorage
    from licet.store.roles import KEYS, READER

    reader, keys = (Login(dsn=dsn, role=role if role in takes else None) for role in (READER, KEYS))
    access = Access(owner=reader, app=reader, reader=reader, keys=keys)
    try:
        text = None if scope.catalog is None else read_text(scope.catalog)
    except (Failure, OSError) as error:
        return [unseen("catalog", str(error), "name a file that this user can read")]
    kept, found = Homestead(home).keys(), []
    try:
        # No secret is opened, so any keyring does.
        async with asyncio.timeout(PATIENCE_SECONDS), PostgresStorage(access, new_keyring(), size=1) as storage:
            names = [one.id for one in await storage.workspaces()]
            for name in names:
                async with storage.read(name) as view:
                    file = scope.catalog if name == scope.workspace else None
                    found += [await inside.clock_symptom(view), *await inside.key_symptoms(view, kept.get(name))]
                    found.append(await inside.catalog_symptom(view, file, text))
                    found += await signing_symptoms(view, root_path(home, name))
                found += await inside.log_symptoms(storage, name)
    except TimeoutError:
        return [*found, unseen("workspaces", f"the database took longer than {PATIENCE_SECONDS} s", "ask again")]
    except asyncpg.PostgresError as error:
        return [*found, unseen("workspaces", f"the database refused: {error}", "look with the login of `licet up`")]
    except ServiceError as error:
        return [*found, unseen("workspaces", error.words, error.advice)]
    if scope.catalog is not None and scope.workspace not in names:
        found.append(unseen("catalog", f"there is no workspace {scope.workspace!r}", f"known are {', '.join(names)}"))
    return found
