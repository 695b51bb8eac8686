"""The one place where parts are constructed and put together: database, storage, application, server.

``open_storage`` is for commands that work at the database, ``build`` for a whole application, ``serve`` for a process
that answers until it is told to stop.
"""

import asyncio
import gc
import os
import pwd
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct

from licet.settings import Settings, SettingsError

if TYPE_CHECKING:
    from licet.api.parts import Ready
    from licet.services.reads import Pace
    from licet.services.rows import Actor
    from licet.services.usage.rebuilding import Rebuilding
    from licet.store.access import Access
    from licet.store.postgres import PostgresStorage

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_READY_SECONDS: Final = 1.0
_GARBAGE: Final = (10_000, 2, 700)
"""How many more objects are made than end before cycles are looked for; how often, before among older ones."""


class AsgiApp(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection."""
        ...


class Built(Struct, frozen=True, kw_only=True):
    """A whole application with what it stands on; it lives as long as the block that built it."""

    app: AsgiApp
    storage: Any
    parts: Any
    settings: Settings
    rebuilding: "Rebuilding"


class Place(Struct, frozen=True, kw_only=True):
    """Where things of this machine are: the database, and the folder with the secrets that are not in it."""

    dsn: str
    home: Path
    bundled: bool


class Listening(Struct, frozen=True, kw_only=True):
    """Where a server answers."""

    url: str
    host: str
    port: int
    home: Path


def home_of(settings: Settings) -> Path:
    """Return the folder of this machine's own data: database, key file, passwords of roles."""
    from licet.store.bundled import default_home

    return settings.home or default_home(CHECKOUT, data_home=settings.data_home)


def root_path(home: Path, workspace: str) -> Path:
    """Return where the first root of a workspace is written, from where it is to be taken away."""
    return home / "roots" / f"{workspace}.root"


def first_root(home: Path, workspace: str) -> bytes:
    """Return the seed of a workspace's first root; it is in its file, for good, when this returns."""
    from licet.seal.rootfile import create_root

    path = root_path(home, workspace)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return create_root(path)


def this_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return version("licet")
    except PackageNotFoundError:
        return "0"


def local_actor() -> "Actor":
    """Return who acts on this machine: ``local:<os user>``, which may do everything."""
    from licet.services.rows import Actor

    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Actor(id=f"local:{name}", scopes=frozenset({"admin"}))


@contextmanager
def database(settings: Settings) -> Iterator[Place]:
    """Give the database as long as the block lasts: yours, or the bundled one, started if nobody has it running.

    Call it from the main thread: the bundled server dies with the thread that started it.
    """
    from licet.store.bundled.home import MARKER

    home = home_of(settings)
    if settings.database_url is not None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / MARKER).touch(mode=0o600)  # it may hold a bundled database one day
        yield Place(dsn=settings.database_url, home=home, bundled=False)
        return
    from licet.store.bundled import Bundled

    bundled = Bundled(home, binaries=settings.pg_bin)
    endpoint = bundled.start()
    try:
        yield Place(dsn=endpoint.dsn(), home=home, bundled=True)
    finally:
        bundled.stop()


@asynccontextmanager
async def storage_at(place: Place, settings: Settings) -> AsyncIterator[tuple["PostgresStorage", "Access"]]:
    """Bring the database to this version (roles, migrations, workspaces, their keysets) and open its storage."""
    from licet.seal.keyring import create_keyring
    from licet.services.signing import make_keysets
    from licet.store.connections import READ_SECONDS
    from licet.store.postgres import PostgresStorage
    from licet.store.setup import create_workspaces, prepare
    from licet.telemetry import log

    if place.bundled:
        await _ensure_database(place.dsn)
    access = await prepare(place.dsn, role_secrets=place.home / "roles.json")
    for warning in access.warnings:
        log("licet.store").warning(warning)
    keyring = create_keyring(place.home / "master.keys")
    await create_workspaces(access, keyring, local_actor())
    async with PostgresStorage(access, keyring, size=settings.pool_size, statement=READ_SECONDS) as storage:
        await make_keysets(storage, local_actor(), lambda workspace: first_root(place.home, workspace))
        yield storage, access


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator["PostgresStorage"]:
    """Open the storage of this machine for one command at the database."""
    with database(settings) as place:
        async with storage_at(place, settings) as (storage, _):
            yield storage


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Built]:
    """Build the application on the database of these settings."""
    with database(settings) as place:
        async with storage_at(place, settings) as (storage, access):
            yield assemble(storage, access, settings)


def assemble(
    storage: "PostgresStorage",
    access: "Access",
    settings: Settings,
    *,
    pace: "Pace | None" = None,
    worker: int | None = None,
) -> Built:
    """Put an application together on an open storage; raises SettingsError for a trace exporter that is not there.

    ``pace`` says how often sensitive reads are written down, where that is to be another than usual; ``worker`` is the
    number of this process among several.
    """
    from licet.api.app import create_app
    from licet.api.counting import Counting
    from licet.api.parts import Clock, Parts, Tide
    from licet.api.publishing import Feeds
    from licet.api.staying import Stays
    from licet.door.gate import Gate
    from licet.door.limits import SENDER_BURST, SENDER_PER_SECOND, SOURCE_BURST, SOURCE_PER_SECOND
    from licet.door.rate import Inflow, Rate
    from licet.seal.ids import new_id
    from licet.services.check_counts import CheckCounter
    from licet.services.published_keysets import PublishedKeysets
    from licet.services.reads import Pace, ReadLog
    from licet.services.signing import Signers
    from licet.services.truth import Catalogs, Snapshots
    from licet.services.usage.lane import UsageLanes
    from licet.services.usage.postings import Postings
    from licet.services.usage.rebuilding import Rebuilding
    from licet.telemetry import Metrics, Traces

    try:
        traces = Traces(settings.traces)
    except LookupError as error:
        raise SettingsError(f"LICET_TRACES: {error.args[0]}") from None
    gate, signers, metrics, clock = Gate(storage.authenticate), Signers(), Metrics(worker), Clock()
    catalogs = Catalogs()
    rebuilding = Rebuilding(storage, catalogs, _not_rebuilt)
    parts = Parts(
        storage=storage,
        gate=gate,
        rate=Rate(settings.rate_per_second, settings.rate_burst),
        inflow=Inflow(Rate(SENDER_PER_SECOND, SENDER_BURST), Rate(SOURCE_PER_SECOND, SOURCE_BURST)),
        tide=Tide(storage, gate),
        counting=Counting(storage, CheckCounter(storage, new_id("ctr", time.time_ns() // 1000))),
        metrics=metrics,
        traces=traces,
        snapshots=Snapshots(catalogs),
        reads=ReadLog(storage, pace or Pace()),
        signers=signers,
        feeds=Feeds(storage, signers, metrics),
        stays=Stays(gate, clock.monotonic, clock.wall),
        keysets=PublishedKeysets(storage, time.monotonic),
        lanes=UsageLanes(lambda workspace: Postings(storage, workspace, catalogs, random.random, rebuilding.note)),
        connectors=connectors(),
        ready=Readiness(access),
        version=this_version(),
        clock=clock,
    )
    return Built(app=create_app(parts), storage=storage, parts=parts, settings=settings, rebuilding=rebuilding)


def _not_rebuilt(error: Exception) -> None:
    from licet.telemetry import log

    log("licet.usage").warning("a checkpoint was not made", error=str(error))


def connectors() -> dict[str, Any]:
    """Return every connector by its kind."""
    from licet.connectors.stripe import StripeConnector

    return {one.kind: one for one in (StripeConnector(),)}


class Readiness:
    """What ``/readyz`` asks: does the database answer, and is its schema the one this version was made for?

    Anybody may ask, so an answer is kept for a second and nobody asks twice at once.
    """

    def __init__(self, access: "Access") -> None:
        self._access = access
        self._asking = asyncio.Lock()
        self._answer: Ready | None = None
        self._until = 0.0

    async def __call__(self) -> "Ready":
        """Return the answer."""
        async with self._asking:
            if self._answer is None or time.monotonic() >= self._until:
                self._answer = await self._ask()
                self._until = time.monotonic() + _READY_SECONDS
            return self._answer

    async def _ask(self) -> "Ready":
        from licet.api.parts import Ready
        from licet.store.connections import connect
        from licet.store.migrate import pending
        from licet.store.setup import MIGRATIONS

        try:
            async with asyncio.timeout(2):
                conn = await connect(self._access.owner)
                try:
                    waiting = await pending(conn, MIGRATIONS)
                finally:
                    await conn.close(timeout=1)
        except Exception as error:  # noqa: BLE001 whatever it is: not ready, and why
            return Ready(ready=False, checks={"database": f"cannot be reached: {type(error).__name__}"})
        newest = f"{len(waiting)} not applied" if waiting else "applied"
        return Ready(ready=not waiting, checks={"database": "ok", "migrations": newest})


async def _ensure_database(dsn: str) -> None:
    from urllib.parse import urlsplit, urlunsplit

    from licet.store.migrate import create_database

    parts = urlsplit(dsn)
    await create_database(urlunsplit(parts._replace(path="/postgres")), parts.path.lstrip("/"))


Started = Callable[[Listening, "PostgresStorage"], Any]
"""What is called (awaited if it must be) once requests are taken."""


def serve(settings: Settings, *, started: Started | None = None) -> None:
    """Answer until SIGINT or SIGTERM.

    Raises OpenToAll where listening would send keys in clear text, OSError where the port is taken, BundledError,
    SetupError or MigrationError where there is no database to stand on.
    """
    from licet.api.serving import bound_socket
    from licet.door.listen import check_listen
    from licet.telemetry import configure_logs

    check_listen(settings.host, tls=settings.tls, insecure=settings.insecure_listen)
    configure_logs(settings.log_format, settings.log_level)
    with bound_socket(settings.host, settings.port) as bound, database(settings) as place:
        run(_serve(settings, place, bound, started))


def serve_as_worker(
    settings: Settings, place: Place, bound: socket.socket, number: int, ready: Callable[[], Any]
) -> None:
    """Answer until SIGTERM as one of several on a socket and a database that the process above holds.

    ``ready`` is called once requests are taken.
    """
    import structlog

    from licet.telemetry import configure_logs

    configure_logs(settings.log_format, settings.log_level)
    structlog.contextvars.bind_contextvars(worker=number)
    run(_serve(settings, place, bound, lambda *_: ready(), number))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end what a server does."""
    import uvloop

    # Requests leave next to no cycles: looking for them as often as by default costs a fifth of their time. What they
    # leave that stays is looked at once in small parts, and all of it together hardly ever (docs/decisions/0037).
    gc.set_threshold(*_GARBAGE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def _serve(
    settings: Settings, place: Place, bound: socket.socket, started: Started | None, worker: int | None = None
) -> None:
    from licet.api.serving import Manner, serving

    manner = Manner(tls_cert=settings.tls_cert, tls_key=settings.tls_key, shutdown_seconds=settings.shutdown_seconds)
    async with told_to_stop() as told, storage_at(place, settings) as (storage, access):
        built = assemble(storage, access, settings, worker=worker)
        async with built.rebuilding.follow(), serving(built.app, bound, manner):
            await tell(started, settings, place, bound, storage)
            await told.wait()
        built.parts.traces.close()


async def tell(
    started: Started | None, settings: Settings, place: Place, bound: socket.socket, storage: "PostgresStorage"
) -> None:
    """Say that requests are taken, and where."""
    if started is None:
        return
    port = int(bound.getsockname()[1])
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'https' if settings.tls else 'http'}://{host}:{port}"
    said = started(Listening(url=url, host=settings.host, port=port, home=place.home), storage)
    if asyncio.iscoroutine(said):
        await said


@asynccontextmanager
async def told_to_stop() -> AsyncIterator[asyncio.Event]:
    """Give an event that SIGINT and SIGTERM set."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, told.set)
    try:
        yield told
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sign)
