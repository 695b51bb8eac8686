"""What a reservation drew where the past of its balance changed: it goes back whole, whatever is kept of it."""

from datetime import timedelta

import asyncpg

from licet.services.usage.funding import reset_balance
from licet.services.usage.funding_views import ResetBalance
from licet.store.postgres import PostgresStorage
from tests.services.usage.metered import place_in
from tests.store.worlds import World


async def test_a_reservation_returns_whole_though_its_balance_was_forgotten(
    storage: PostgresStorage, world: World
) -> None:
    """A reset at the instant of a reservation and a removed state between them lose nothing of what it gives back."""
    async with place_in(storage) as place:
        await place.join("acme", "team")
        await place.pass_time(timedelta(hours=1))
        await place.reserve(quantity=9, lasts="PT9H")
        async with place.write() as tx:
            await reset_balance(tx, "acme", ResetBalance(feature="calls"), place.catalogs)
        connection = await asyncpg.connect(world.database.dsn)
        await connection.execute("DELETE FROM balance")
        await connection.close()
        await place.consume()
        before = await place.balance()
        await place.pass_time(timedelta(hours=10))
        await place.consume()
        after = await place.balance()
        assert int(str(after.remaining)) - int(str(before.remaining)) == int(str(before.used)) - int(str(after.used))
