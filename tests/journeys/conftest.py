"""What the guides' tests share: a server of their own, as a person who follows a guide has one."""

from collections.abc import Iterator

import pytest

from licet.cli.companion import Companion
from licet.settings import Settings
from tests.cli.terminal import Shop
from tests.store.databases import Database


@pytest.fixture(scope="module")
def shop(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A running server as `licet up` leaves it: two empty workspaces, found by commands through its home."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(database_url=module_database.dsn, home=home, port=0, log_level="warning")
    with Companion(settings) as server:
        url = server.home.server_url()
        assert url is not None
        yield Shop(url, server.home.keys(), home, module_database.dsn)
