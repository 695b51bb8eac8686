"""Fixtures every suite may use: one PostgreSQL per run (LICET_TEST_PG chooses the engine) and fresh databases on it."""

import logging
import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings

from licet.store.bundled import Endpoint
from tests.dose import DOSE, dose
from tests.store.databases import Database, Server, shared_server

ENGINE = os.environ.get("LICET_TEST_PG", "bundled")

# Time limits of single examples say more about the machine than about the code.
settings.register_profile(
    "reduced", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, print_blob=True
)
settings.register_profile("full", parent=settings.get_profile("reduced"), max_examples=dose(100), derandomize=False)
settings.load_profile(DOSE)


def pytest_report_header() -> str:
    """Name the engine at the top of the output."""
    return f"licet: PostgreSQL engine {ENGINE}, {DOSE} dose"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a PostgreSQL, so that it can be run on each engine."""
    for item in items:
        if isinstance(item, pytest.Function) and {"engine", "pg_server"} & set(item.fixturenames):
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def engine() -> str:
    """The engine of this run: `bundled` or `15`."""
    return ENGINE


@pytest.fixture(scope="session")
def pg_server(request: pytest.FixtureRequest, engine: str) -> Iterator[Server]:
    """The run's server, started at the first use and shared by the processes of a parallel run."""
    workerinput: dict[str, str] = getattr(request.config, "workerinput", {})
    with shared_server(engine, workerinput.get("testrunuid", uuid4().hex)[:12]) as server:
        yield server


@pytest.fixture(scope="session")
def pg_endpoint(pg_server: Server) -> Endpoint:
    """Where the run's server is."""
    return pg_server.endpoint


@pytest.fixture
def database(pg_server: Server) -> Iterator[Database]:
    """A database with Licet's newest schema, roles and rights for one test."""
    made = pg_server.create()
    yield made
    pg_server.drop(made)


@pytest.fixture(scope="module")
def module_database(pg_server: Server) -> Iterator[Database]:
    """A database with Licet's newest schema for one module; its tests see each other's rows."""
    made = pg_server.create()
    yield made
    pg_server.drop(made)


@pytest.fixture
def bare_database(pg_server: Server) -> Iterator[Database]:
    """An empty database for one test."""
    made = pg_server.create(migrated=False)
    yield made
    pg_server.drop(made)


@pytest.fixture(scope="module", autouse=True)
def logs_as_before() -> Iterator[None]:
    """What a server that ran in this process has set its log to holds for its own module, not for those after it."""
    root, kept = logging.getLogger(), structlog.get_config()
    level = root.level
    yield
    root.setLevel(level)
    structlog.configure(**kept)
