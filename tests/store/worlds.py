"""Ready databases for tests: roles, schema, rights and the workspaces ``live`` and ``test``, copied from a template."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from msgspec import structs

from licet.seal.keyring import Keyring
from licet.services.rows import Actor
from licet.store.access import Access
from licet.store.bundled import Endpoint
from licet.store.connections import BEGIN_SECONDS
from licet.store.migrate import create_database
from licet.store.postgres import PostgresStorage
from licet.store.setup import create_workspaces, prepare
from tests.store.databases import Database, Server, in_thread

KEYRING = Keyring({"00112233aabbccdd": bytes(range(32))})
OPERATOR = Actor(id="local:tester", scopes=frozenset({"admin"}))


class World:
    """One prepared database: how its roles are reached, and the superuser's way in for attackers and look-ups."""

    def __init__(self, database: Database, access: Access, wait: float = BEGIN_SECONDS) -> None:
        self.database = database
        self.access = access
        self.wait = wait

    @asynccontextmanager
    async def storage(self, *, size: int = 4) -> AsyncIterator[PostgresStorage]:
        """An open storage, closed at the end."""
        async with PostgresStorage(self.access, KEYRING, size=size, wait=self.wait) as storage:
            yield storage


def access_to(dsn: str) -> Access:
    """How the roles of a prepared database are reached with the superuser's login."""
    return in_thread(lambda: prepare(dsn))


class Filling(NamedTuple):
    """What a database holds besides its two workspaces: filled once for each test process, then copied."""

    name: str
    fill: Callable[[PostgresStorage], Awaitable[None]]


@contextmanager
def fresh_world(server: Server, filling: Filling | None = None) -> Iterator[World]:
    """A prepared database for as long as the block lasts."""
    template, access = _template(server.endpoint, filling)
    name = f"world_{os.urandom(8).hex()}"
    in_thread(lambda: create_database(server.endpoint.admin_dsn(), name, template=template))
    database = Database(name, server.endpoint.dsn(name), server.endpoint)
    try:
        # A copy is as ready as what it was copied from.
        yield World(database, _moved(access, database.dsn))
    finally:
        server.drop(database)


_templates: dict[tuple[str, str], tuple[str, Access]] = {}
"""What this process has made, by server and filling, and how its roles are reached."""


def _template(endpoint: Endpoint, filling: Filling | None) -> tuple[str, Access]:
    # Each test process has its own: a template must not be in use while it is copied.
    place = (endpoint.admin_dsn(), filling.name if filling else "")
    if place not in _templates:
        name = f"world_template_{os.getpid()}" + (f"_{filling.name}" if filling else "")
        empty = _template(endpoint, None)[0] if filling else None
        in_thread(lambda: create_database(endpoint.admin_dsn(), name, template=empty))
        access = access_to(endpoint.dsn(name))
        if filling is None:
            in_thread(lambda: create_workspaces(access, KEYRING, OPERATOR))
        else:
            in_thread(lambda: _filled(access, filling))
        _templates[place] = name, access
    return _templates[place]


async def _filled(access: Access, filling: Filling) -> None:
    async with PostgresStorage(access, KEYRING, size=2) as storage:
        await filling.fill(storage)


def _moved(access: Access, dsn: str) -> Access:
    """The same roles in another database, where one login takes them all on."""
    owner, app, reader, keys = (
        structs.replace(login, dsn=dsn) for login in (access.owner, access.app, access.reader, access.keys)
    )
    return structs.replace(access, owner=owner, app=app, reader=reader, keys=keys)
