"""Whose word a client takes: another root than the server's is told with what to do, and an empty one is refused."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from licet import Misconfigured, NotBelieved
from licet.sdk.place import find_root
from licet.seal.paserk import public_of, write_public
from tests.evaluator.authority import OTHER, PUBLIC_ROOT
from tests.sdk.office import Office, open_office, until

PUBLIC_OTHER = write_public(public_of(OTHER))


@pytest.fixture
def office() -> Iterator[Office]:
    """A server of its own for one test."""
    with open_office() as opened:
        yield opened


def test_another_root_is_said_at_once(office: Office) -> None:
    """With another root pinned than the server's, waiting ends at once: which is which, and what to give instead."""
    began = monotonic()
    with office.client(root=PUBLIC_OTHER) as client:
        with pytest.raises(NotBelieved) as refused:
            client.wait_ready(30)
        assert monotonic() - began < 5
        assert PUBLIC_OTHER in str(refused.value)
        assert "give root= (or LICET_ROOT) what `licet signing show` says" in str(refused.value)


def test_a_root_that_was_changed(office: Office, tmp_path: Path) -> None:
    """A client that pinned nothing keeps its truth and names the folder to delete; deleted, or pinned, all is well."""
    with office.client(cache=tmp_path) as client:
        assert client.check("acme", "sso")
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    office.root = OTHER
    office.sold("new")
    with office.client(cache=tmp_path) as client:
        until(lambda: client.freshness.last_error is not None)
        assert str(folder) in str(client.freshness.last_error)
        assert "LICET_ROOT" in str(client.freshness.last_error)
        assert client.check("acme", "sso")
        assert not client.check("new", "sso")
    with office.client(cache=tmp_path, root=PUBLIC_OTHER) as client:
        assert client.check("new", "sso")
    office.root, office.authority.epoch = bytes([24]) * 32, 2
    with office.client(cache=tmp_path) as client:
        assert not client.freshness.connected
    shutil.rmtree(folder)
    with office.client(cache=tmp_path) as client:
        client.wait_ready(10)
        assert client.check("new", "sso")


def test_without_a_cache_a_new_start_is_named(office: Office) -> None:
    """A client without a cache, whose server takes another root meanwhile, is told that a new start believes it."""
    with office.client(cache=False, follow="poll") as client:
        assert client.check("acme", "sso")
        office.root = OTHER
        until(lambda: client.freshness.last_error is not None)
        assert "start this program anew" in str(client.freshness.last_error)
        assert PUBLIC_ROOT in str(client.freshness.last_error)


def test_an_empty_variable_is_refused() -> None:
    """LICET_ROOT set to nothing is a configuration that went wrong, and no wish to pin nothing."""
    before = os.environ.pop("LICET_ROOT", None)
    try:
        assert find_root(None) is None
        os.environ["LICET_ROOT"] = ""
        with pytest.raises(Misconfigured, match="LICET_ROOT is empty"):
            find_root(None)
        os.environ["LICET_ROOT"] = f" {PUBLIC_ROOT}\n"
        assert find_root(None) == PUBLIC_ROOT
    finally:
        os.environ.pop("LICET_ROOT")
        if before is not None:
            os.environ["LICET_ROOT"] = before
