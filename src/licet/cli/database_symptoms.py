"""What the doctor finds at the database's door: can it be reached, as whom, which clock it has, which schema."""

import asyncio
import time
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from licet.cli.symptom import Symptom, broken, well
from licet.core.instant import to_instant
from licet.store.access import Login
from licet.store.connections import Connection, connect
from licet.store.migrate import MigrationError, pending
from licet.store.roles import OLDEST_VERSION
from licet.store.setup import MIGRATIONS

CONNECT_SECONDS: Final = 5
CLOCK_TOLERANCE_SECONDS: Final = 5
_SETTING: Final = "LICET_DATABASE_URL"


def where(dsn: str) -> str:
    """Return the place in a database's address, without who enters and how."""
    try:
        parts = urlsplit(dsn)
        place = f"{parts.hostname or 'its socket'}{'' if parts.port is None else f':{parts.port}'}"
    except ValueError:
        return "the address"
    return f"{place}{parts.path}"


async def entered(dsn: str, *, yours: bool) -> "Connection | Symptom":
    """Return a connection, which the caller closes, or what keeps us out. Never shows what is secret in ``dsn``."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await connect(Login(dsn=dsn))
    except Exception as error:  # noqa: BLE001 whatever it is, the database cannot be used
        cause = error.__cause__ or error
        return _kept_out(cause if isinstance(cause, Exception) else error, dsn, yours=yours)


def _kept_out(error: Exception, dsn: str, *, yours: bool) -> Symptom:
    place, why = where(dsn), "without the database nothing is answered and nothing is taken"
    if isinstance(error, asyncpg.InvalidPasswordError):
        words, step = f"the password for {place} is wrong", f"put the right one into {_SETTING} (percent-encoded)"
    elif isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        words, step = f"{place} does not let this login in: {error}", f"check the user in {_SETTING}, and pg_hba.conf"
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        words, step = f"there is no such database at {place}", "createdb it there, owned by Licet's login"
    elif isinstance(error, asyncpg.CannotConnectNowError):
        words, step = f"{place} is starting, recovering or stopping", "wait a moment and ask again: licet doctor"
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        words, step = f"{place} has no connection left", "raise max_connections there, or lower LICET_POOL_SIZE"
    elif isinstance(error, TimeoutError):
        words = f"{place} did not answer within {CONNECT_SECONDS} s"
        step = f"check host and port in {_SETTING}, and the firewall between"
    elif isinstance(error, OSError):
        words = f"{place} cannot be reached: {error.strerror or type(error).__name__}"
        step = f"start PostgreSQL there, or correct host and port in {_SETTING}"
    else:
        # What a parser says of an address may quote a part of the password.
        words = f"{place} cannot be used ({type(error).__name__})"
        step = f"write {_SETTING} as postgresql://user:password@host:5432/database, special characters percent-encoded"
    return broken("database", words, why=why, advice=step if yours else "read the end of postgres.log in the home")


async def server_symptom(conn: Connection, which: str) -> Symptom:
    """Tell which PostgreSQL this is."""
    version = conn.get_server_version()
    words = f"PostgreSQL {version.major}.{version.micro}, {which}"
    if version.major * 10000 >= OLDEST_VERSION:
        return well("database", words)
    why = "Licet's isolation and log lean on what came with 15"
    return broken("database", f"{words}: too old", why=why, advice="pg_upgrade it to 15 or newer")


async def clock_symptom(conn: Connection) -> Symptom:
    """Compare the database's clock with this machine's; the way there and back is taken out of the difference."""
    before = time.time_ns() // 1000
    theirs = to_instant(await conn.fetchval("SELECT clock_timestamp()"))
    after = time.time_ns() // 1000
    ahead = theirs - after if theirs > after else min(theirs - before, 0)
    seconds = abs(ahead) / 1_000_000
    if seconds <= CLOCK_TOLERANCE_SECONDS:
        return well("clock", f"the database's clock and this machine's agree within {max(seconds, 1):.0f} s")
    return broken(
        "clock",
        f"the database's clock is {span(seconds)} {'ahead of' if ahead > 0 else 'behind'} this machine's",
        why="signatures, keys and sessions are judged by real time: valid ones are refused, ended ones accepted",
        advice="let both follow a time server: timedatectl set-ntp true",
    )


async def schema_symptom(conn: Connection) -> Symptom:
    """Tell whether the schema is the one this version was made for."""
    why = "the server is not ready (/readyz says 503) with another schema than its own"
    try:
        waiting = await pending(conn, MIGRATIONS)
    except MigrationError as error:
        words, _, step = str(error).rpartition(": ")
        return broken("migrations", words or step, why=why, advice=step)
    if not waiting:
        return well("migrations", "all applied")
    names = ", ".join(one.title for one in waiting)
    if waiting[0].number == 1:
        step = "`licet up` makes them"
        return Symptom(name="migrations", state="note", words="an empty database, no tables yet", advice=step)
    return broken("migrations", f"pending: {names}", why=why, advice="back up, then: licet up (it applies them)")


def span(seconds: float) -> str:
    """Return a length of time in the largest whole unit that fits."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
