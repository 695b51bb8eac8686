"""A client that holds only some customers: what it holds is the server's at its cursor, also out of the cache."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evaluator.authority import SMALL
from tests.sdk.office import Office, open_office


@pytest.fixture
def office() -> Iterator[Office]:
    """A server of feeds with one customer."""
    with open_office() as opened:
        yield opened


def test_a_customer_of_many_rows_is_held(office: Office) -> None:
    """Somebody with more rows than a frame has comes in a chain of frames: on demand, and where it was named."""
    for number in range(5):
        office.authority.put_user("acme", f"user-{number}", "tester")
    office.authority.pick_size = 2
    with office.client(on_demand=True) as client:
        assert client.check("acme", "beta", user="user-4")
    with office.client(customers=["acme"]) as client:
        assert client.check("acme", "beta", user="user-0")


def test_a_catalog_of_a_later_version_is_kept(office: Office, tmp_path: Path) -> None:
    """What a follower reads, with a field more than it knows, it also reads out of its cache while nobody is there."""
    later = copy.deepcopy(SMALL)
    later["features"]["sso"]["x_later"] = 1
    office.authority.release(later)
    with office.client(cache=tmp_path) as client:
        assert client.check("acme", "sso")
    office.close()
    with office.client(cache=tmp_path, start_timeout=0.2) as client:
        assert client.check("acme", "sso")
