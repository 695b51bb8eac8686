"""A server that is killed with -9 and started again, as seen by a client that follows it."""

import os
import signal
from pathlib import Path

import pytest

from licet import Client
from licet.cli.companion import Companion
from licet.cli.remote import Remote
from licet.settings import Settings
from tests.api.house import MERIDIAN
from tests.sdk.office import until
from tests.sdk.test_real_server import options
from tests.store.databases import Database

pytestmark = pytest.mark.postgres


def test_a_server_that_is_killed_and_started_again(database: Database, tmp_path: Path) -> None:
    """After kill -9 the client answers on; after a restart it hears what is new, from where it stood."""
    settings = Settings(database_url=database.dsn, home=tmp_path / "home", port=0, log_level="error")
    with Companion(settings) as server:
        url = str(server.home.server_url())
        key = server.home.keys()["test"]
        fixed = Settings(database_url=database.dsn, home=tmp_path / "home", port=int(url.rpartition(":")[2]))
        _release(url, key)
        with Client.of(options(url, key, cache=tmp_path / "cache")) as client:
            _create(url, key, "acme")
            until(lambda: client.check("acme", "sso").reason == "not_entitled")
            before = client.freshness.cursor
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: not client.freshness.connected)
            assert client.check("acme", "sso").reason == "not_entitled"
            server.stop()
            with Companion(fixed):
                _create(url, key, "later")
                until(lambda: client.check("later", "sso").reason == "not_entitled", 30)
                until(lambda: client.freshness.connected)
                assert client.freshness.cursor != before


def _release(url: str, key: str) -> None:
    with Remote(url, key, timeout=30.0) as remote:
        headers = {"Content-Type": "application/yaml"}
        assert remote.raw("PUT", "/v1/catalog?base=0", body=MERIDIAN.read_bytes(), headers=headers).status == 200


def _create(url: str, key: str, customer: str) -> None:
    with Remote(url, key, timeout=30.0) as remote:
        remote.call("POST", "/v1/customers", {"id": customer, "name": customer})
