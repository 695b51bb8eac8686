"""Ready databases for tests: roles, schema, rights and the workspaces ``live`` and ``test``, copied from a template."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

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


@contextmanager
def fresh_world(server: Server) -> Iterator[World]:
    """A prepared database for as long as the block lasts."""
    template = _template(server.endpoint)
    name = f"world_{os.urandom(8).hex()}"
    in_thread(lambda: create_database(server.endpoint.admin_dsn(), name, template=template))
    database = Database(name, server.endpoint.dsn(name), server.endpoint)
    try:
        yield World(database, access_to(database.dsn))
    finally:
        server.drop(database)


def _template(endpoint: Endpoint) -> str:
    # Each test process has its own: a template must not be in use while it is copied.
    name = f"world_template_{os.getpid()}"
    if in_thread(lambda: create_database(endpoint.admin_dsn(), name)):
        access = access_to(endpoint.dsn(name))
        in_thread(lambda: create_workspaces(access, KEYRING, OPERATOR))
    return name
