"""The database side of commands: opens the storage of this machine, acts as ``local:<os user>``."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from licet.cli.failure import Failure
from licet.cli.target import DEFAULT_WORKSPACE
from licet.services.errors import UnknownWorkspace
from licet.services.ports import Tx, View
from licet.settings import Settings
from licet.store.postgres import PostgresStorage
from licet.telemetry import configure_logs
from licet.wiring import local_actor, open_storage

T = TypeVar("T")


def change(workspace: str | None, work: Callable[[Tx], Awaitable[T]], *, note: str | None = None) -> T:
    """Run one use case in a writing transaction."""

    async def run(storage: PostgresStorage) -> T:
        async with storage.write(workspace or DEFAULT_WORKSPACE, local_actor(), note=note or "") as tx:
            return await work(tx)

    return with_storage(run)


def look(workspace: str | None, work: Callable[[View], Awaitable[T]]) -> T:
    """Run one reading in a consistent view."""

    async def run(storage: PostgresStorage) -> T:
        async with storage.read(workspace or DEFAULT_WORKSPACE) as view:
            return await work(view)

    return with_storage(run)


def with_storage(work: Callable[[PostgresStorage], Awaitable[T]]) -> T:
    """Open this machine's storage, run ``work``, close it. Starts the bundled database where it does not run."""
    settings = Settings.read()
    # What the server warns of at its start is no news here, and standard output holds one JSON object at most.
    configure_logs("console", "error")

    async def run() -> T:
        async with open_storage(settings) as storage:
            try:
                return await work(storage)
            except UnknownWorkspace as error:
                known = ", ".join(each.id for each in await storage.workspaces())
                raise Failure(
                    error.words,
                    advice=f"known are {known}" if known else "start the server once: `licet up`",
                    code=error.code,
                ) from None

    return asyncio.run(run())
