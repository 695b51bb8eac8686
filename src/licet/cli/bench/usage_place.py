"""Where usage is measured: a server of its own on a database of its own, with customers of one plan and no near limit.

The database is the bundled one, or a new one beside a given one, on the same PostgreSQL server: made before, removed
afterwards, nothing else touched.
"""

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from msgspec import Struct, structs

from licet.cli.bench.machine import cpu_seconds, family_cpu_seconds, parent_of
from licet.cli.bench.worlds import fill
from licet.cli.companion import Companion
from licet.cli.demo.stage import WORKSPACE
from licet.cli.failure import Failure
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.remote import Remote
from licet.core.instant import Instant, to_datetime
from licet.core.terms import Item, Phase, Subscription, Terms
from licet.settings import Settings

FEATURE: Final = "calls"
EVENT: Final = "api.call"
CATALOG: Final[dict[str, Any]] = {
    "version": 1,
    "products": {"bench": {"name": "Bench"}},
    "meters": {FEATURE: {"event": EVENT, "aggregate": "sum"}},
    "features": {FEATURE: {"type": "metered", "meter": FEATURE, "per": "month", "at_limit": "block"}},
    "plans": {"only": {"product": "bench", "versions": {"2026-01": {"includes": {FEATURE: 9_000_000_000_000}}}}},
}
"""A hard cap that is never reached: every use is decided against it."""
LOCAL_CATALOG: Final = {**CATALOG, "features": {FEATURE: {**CATALOG["features"][FEATURE], "decide": "local"}}}
"""The same, decided in the using process."""
ONE: Final = 999_999
"""A customer besides the others."""
_PLAIN: Final = "licet_bench_"


class Spent(Struct, frozen=True):
    """Processor seconds so far; None where they cannot be read."""

    api: float | None
    postgresql: float | None


class Place(Struct, frozen=True, kw_only=True):
    """A running server with customers ``customer-000000`` and so on."""

    url: str
    key: str
    home: Path
    server: int
    postmaster: int | None
    dsn: str
    """The owner's, for baselines on the same server."""
    postgresql: str
    """Which one, and whether what it commits is durable."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def spent(self) -> Spent:
        """Return what the API's process and all of PostgreSQL's have used so far."""
        database = None if self.postmaster is None else family_cpu_seconds(self.postmaster)
        return Spent(cpu_seconds(self.server), database)

    def used(self, customers: Iterable[int]) -> int:
        """Return what the balances of these customers say that was used, altogether."""
        with Remote(self.url, self.key) as remote:
            paths = (f"/v1/customers/{name_of(number)}/balances/{FEATURE}" for number in customers)
            return sum(int(remote.call("GET", path)["used"]) for path in paths)


def name_of(number: int) -> str:
    """Return the id of a customer."""
    return f"customer-{number:06}"


@contextmanager
def usage_place(customers: int, database: str | None, catalog: Mapping[str, Any] = CATALOG) -> Iterator[Place]:
    """Start a server on the bundled database, or beside a given one, fill it, and leave nothing behind."""
    sweep(BENCH)
    with _database(database) as dsn:
        settings = structs.replace(fresh_settings(BENCH), database_url=dsn)
        server = Companion(settings)
        try:
            url = server.start()
            home = server.home.home
            owner = dsn or _bundled(home)
            version, durable, postmaster = asyncio.run(_postgresql(owner))
            with Remote(url, server.home.keys()[WORKSPACE]) as remote:
                remote.call("PUT", "/v1/catalog", dict(catalog), query={"base": 0})
            asyncio.run(_fill(settings, customers))
            yield Place(
                url=url,
                key=server.home.keys()[WORKSPACE],
                home=home,
                server=server.pid,
                postmaster=postmaster,
                dsn=owner,
                postgresql=f"PostgreSQL {version}" + ("" if durable else " WITHOUT durable commits: not to be quoted"),
            )
        finally:
            server.stop()
            clear(server.home.home)


async def _fill(settings: Settings, customers: int) -> None:
    from licet.telemetry import configure_logs
    from licet.wiring import open_storage

    configure_logs("console", "error")
    async with open_storage(settings) as storage:
        await fill(
            storage, WORKSPACE, customers + 1, lambda number, now: _terms(ONE if number == customers else number, now)
        )


def _terms(number: int, now: Instant) -> Terms:
    bought = to_datetime(now) - timedelta(days=1, minutes=number % 1440)
    phase = Phase(starts_at=bought, items=(Item(kind="plan", id="only", version="2026-01"),))
    return Terms(
        customer=name_of(number), subscriptions=(Subscription(id=f"sub_{number}", phases=(phase,), anchor=bought),)
    )


def _bundled(home: Path) -> str:
    from licet.store.bundled import describe

    endpoint = describe(home).endpoint
    if endpoint is None:
        raise Failure("the bundled database does not run", code="no_database")
    return endpoint.dsn()


@contextmanager
def _database(given: str | None) -> Iterator[str | None]:
    """Make a database beside the given one and yield its address; without a given one there is nothing to make."""
    if given is None:
        yield None
        return
    name = f"{_PLAIN}{secrets.token_hex(4)}"
    asyncio.run(_as_owner(given, f'CREATE DATABASE "{name}"'))
    try:
        parts = urlsplit(given)
        yield urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        asyncio.run(_as_owner(given, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


async def _as_owner(dsn: str, statement: str) -> None:
    try:
        conn = await asyncpg.connect(dsn, timeout=10)
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError) as error:
        raise Failure(f"the database cannot be reached: {error}", advice="check --database", code="database") from None
    try:
        await conn.execute(statement)
    except asyncpg.PostgresError as error:
        advice = "let --database name a login that may create databases"
        raise Failure(f"no database could be made or removed: {error}", advice=advice, code="database") from None
    finally:
        await conn.close()


async def _postgresql(dsn: str) -> tuple[str, bool, int | None]:
    """Return its version, whether commits reach its disk, and the process above all of its others, if it is here."""
    conn: Any = await asyncpg.connect(dsn)
    try:
        version = str(conn.get_settings().server_version).split()[0]
        durable = await conn.fetchval("SHOW fsync") == "on" and await conn.fetchval("SHOW synchronous_commit") != "off"
        return version, durable, parent_of(conn.get_server_pid(), "postgres")
    finally:
        await conn.close()
