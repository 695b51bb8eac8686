"""Fresh databases for tests: one server per run, shared by its processes, and cheap copies of a migrated template."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg
import msgspec

from licet.store.bundled import Bundled, Endpoint, remove
from licet.store.migrate import create_database
from licet.store.setup import prepare
from tests.store.engines import engine_binaries

TEMPLATE = "test_template"
MEMORY_NEEDED = 2 * 1024**3
# Tests of durability start servers of their own; all others need no disk flushes.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_connections": "200"}

T = TypeVar("T")


class Database(msgspec.Struct, frozen=True):
    """A database of one test: its name and the superuser's connection string (by socket)."""

    name: str
    dsn: str
    endpoint: Endpoint

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A new superuser connection; the test closes it."""
        return await asyncpg.connect(self.dsn)


class Server:
    """The run's server as seen by one test process."""

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self.endpoint = endpoint
        self._folder = folder
        self._template: str | None = None

    def create(self, *, migrated: bool = True) -> Database:
        """A fresh database: with Licet's newest schema, its roles and their rights, or empty."""
        template = self._migrated_template() if migrated else None
        name = f"test_{uuid4().hex}"
        in_thread(lambda: create_database(self.endpoint.admin_dsn(), name, template=template))
        return Database(name, self.endpoint.dsn(name), self.endpoint)

    def drop(self, database: Database) -> None:
        """Remove a test's database, also when connections to it were left open."""
        in_thread(lambda: _execute(self.endpoint.admin_dsn(), f'DROP DATABASE "{database.name}" WITH (FORCE)'))

    def _migrated_template(self) -> str:
        if self._template is None:
            # One process of the run makes it: a template must not be in use while it is copied.
            with _flock(self._folder / "template.lock", fcntl.LOCK_EX):
                in_thread(lambda: _make_template(self.endpoint))
            self._template = TEMPLATE
        return self._template


@contextmanager
def shared_server(engine: str, run: str, **settings: str) -> Iterator[Server]:
    """The server of test run `run`; all its processes share one, and the last to leave removes it."""
    folder = scratch() / f"licet-tests-{run}-{os.geteuid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)
    bundled = Bundled(folder / "home", binaries=engine_binaries(engine), settings={**SETTINGS, **settings})
    with _flock(folder / "users.lock", fcntl.LOCK_SH) as users:
        try:
            yield Server(bundled.start(), folder)
        finally:
            if bundled.role == "owner":
                # Clients lose the server with its owner: wait until each of them has let go.
                fcntl.flock(users, fcntl.LOCK_UN)
                fcntl.flock(users, fcntl.LOCK_EX)
                bundled.stop()
                remove(folder / "home")
                shutil.rmtree(folder, ignore_errors=True)
            bundled.stop()


def scratch() -> Path:
    """Where servers of tests live: in memory if there is enough, because making files takes most of their time."""
    memory = Path("/dev/shm")  # noqa: S108 - the names below it are random
    if memory.is_dir() and os.access(memory, os.W_OK | os.X_OK):
        space = os.statvfs(memory)
        if space.f_bavail * space.f_frsize >= MEMORY_NEEDED and not space.f_flag & os.ST_NOEXEC:
            return memory
    return Path("/tmp")  # noqa: S108 - the names below it are random


def in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end on a loop of its own, whatever loop this thread has."""

    async def run() -> T:
        return await work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result()


async def _make_template(endpoint: Endpoint) -> None:
    if await create_database(endpoint.admin_dsn(), TEMPLATE):
        await prepare(endpoint.dsn(TEMPLATE))


async def _execute(dsn: str, statement: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


@contextmanager
def _flock(path: Path, kind: int) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, kind)
        yield handle
    finally:
        os.close(handle)
