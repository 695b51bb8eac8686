"""What is used most just now, with balances as they stand now."""

from licet.services.usage.funding import give_grant, reset_balance
from licet.services.usage.funding_views import GiveGrant, ResetBalance
from licet.services.usage.top import TopRow, top
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import CALLER, Place, place_in, told


async def rows(place: Place) -> dict[str, TopRow]:
    """What is used most, by feature."""
    async with place.storage.read(place.workspace) as view:
        return {one.feature: one for one in (await top(view, None, 600, 20, place.snapshots)).items}


async def test_balances_are_those_of_now(storage: PostgresStorage) -> None:
    """A grant and a reset count at once, not from the next use on; of a level no sum is told, only how high it is."""
    async with place_in(storage) as place:
        await place.join("acme", "team")
        await place.consume(quantity=30)
        await place.lane.report(
            CALLER, [told("acme", "one", 60, kind="disk.level"), told("acme", "two", 40, kind="disk.level")]
        )
        found = await rows(place)
        assert (found["calls"].quantity, found["calls"].used, found["calls"].remaining) == (30, 30, 470)
        assert found["disk"].quantity is None
        assert found["disk"].granted == 100
        async with place.write() as tx:
            await give_grant(tx, "acme", GiveGrant(feature="calls", amount=100), place.catalogs)
        assert (await rows(place))["calls"].granted == 600
        async with place.write() as tx:
            await reset_balance(tx, "acme", ResetBalance(feature="calls"), place.catalogs)
        assert (await rows(place))["calls"].used == 0


async def test_a_request_that_takes_from_several_balances_counts_once(storage: PostgresStorage) -> None:
    """The rate of all is of requests and events, however many rows each of them is in, and whatever the limit."""
    async with place_in(storage) as place:
        await place.join("pool", "ai", "each")
        await place.consume("mine", 5, customer="pool", user="ann")
        await place.consume("tokens", 100, customer="pool")
        async with place.storage.read(place.workspace) as view:
            whole, one = [await top(view, None, 600, limit, place.snapshots) for limit in (20, 1)]
        assert sum(row.requests for row in whole.items) > 2
        assert (whole.requests, one.requests, len(one.items)) == (2, 2, 1)
