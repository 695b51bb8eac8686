"""What a balance says was drawn from an allowance without a limit."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import Place, place_in

CATALOG: Final = b"""
version: 1
products: {p: {}}
meters: {calls: {event: api.call, aggregate: sum}}
features:
  calls: {type: metered, title: Calls, meter: calls, per: month, at_limit: block}
plans:
  free: {product: p, versions: {'1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: unlimited}}}}
"""


@pytest.fixture
async def place(storage: PostgresStorage) -> AsyncIterator[Place]:
    """acme may call without a limit."""
    async with place_in(storage, CATALOG) as made:
        await made.join("acme", "free")
        yield made


async def test_of_what_has_no_limit_so_much_is_drawn_as_was_used(place: Place) -> None:
    """What was drawn of an unlimited allowance is what was used, not what stands for no limit."""
    await place.consume("calls", 3650)
    (grant,) = (await place.balance("calls")).grants
    assert (grant.amount, grant.left, grant.drawn) == ("unlimited", "unlimited", 3650)
