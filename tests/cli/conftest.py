"""A real server on a database of its own for the commands of one module, and its catalog and first orders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from licet.cli.companion import Companion
from licet.settings import Settings
from tests.cli.terminal import Shop
from tests.store.databases import Database


@pytest.fixture(scope="module")
def shop(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A running server whose workspace `test` is empty at the module's beginning."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(database_url=module_database.dsn, home=home, port=0, rate_per_second=0, log_level="warning")
    with Companion(settings) as server:
        url = server.home.server_url()
        assert url is not None
        yield Shop(url, server.home.keys(), home, module_database.dsn)


@pytest.fixture(scope="module")
def stocked(shop: Shop) -> Shop:
    """The same with the example vendor's catalog and one customer, acme, on Team."""
    assert shop.run("catalog", "apply", str(CATALOG), "--yes").code == 0
    order = (
        '{"source": "crm", "external_id": "deal-1", "customer": {"id": "acme"}, "occurred_at": "2026-02-01T00:00:00Z",'
        ' "lines": [{"line": "1", "price": "MER-TEAM", "quantity": 5}]}'
    )
    assert shop.run("order", "send", "-", stdin=order).code == 0
    return shop


CATALOG = Path(__file__).parents[2] / "examples" / "meridian" / "catalog.yaml"
