"""Postings on the real database: what is written together, in which order, and what a repetition finds."""

import pytest
from msgspec import structs

from licet.core.usage import AccountKey, Fact
from licet.services.usage_ports import Collided, KeptKey, Posted
from licet.store.postgres import PostgresStorage
from licet.store.usage_rows import FactDoc
from tests.store import rows
from tests.store.worlds import OPERATOR

API = AccountKey("acme", "api")


def test_every_field_of_a_fact_has_its_place() -> None:
    """A field added to facts must be written too: it is a column or a part of the document."""
    columns = {"id", "kind", "effective", "customer"}
    assert {one.name for one in structs.fields(FactDoc)} == {one.name for one in structs.fields(Fact)} - columns


async def test_what_was_posted_is_read(storage: PostgresStorage) -> None:
    """Facts, keys, balances, checkpoints, refusals and reservations are read as they were written."""
    async with storage.post("test", OPERATOR) as post:
        assert await post.lock([API]) == {}
        assert await post.kept([f"{1:032x}"]) == {}
        now = post.time.business
        given = rows.posted("api", now)
        assert await post.post(given) == 1
    async with storage.post("test", OPERATOR) as post:
        found = await post.lock([API, AccountKey("acme", "more")])
        assert found == {API: structs.replace(given.balances[0], serial=2)}
        assert await post.kept([f"{number:032x}" for number in range(9)]) == {f"{1:032x}": given.keys[0]}
        assert await post.due([API], now) == []
    async with storage.read("test") as view:
        assert await view.balance(API) == structs.replace(given.balances[0], serial=2)
        assert await view.balance(AccountKey("acme", "more")) is None
        assert await view.checkpoint(API, now) is None
        assert await view.checkpoint(API, now + 1) == structs.replace(given.checkpoints[0], serial=2)
        assert await view.facts_of(API) == list(given.facts)
        assert await view.reservation(f"{1:032x}") == given.reservations[0]


async def test_the_same_id_through_another_balance_collides(storage: PostgresStorage) -> None:
    """The database tells that an id is there already, and nothing of the second posting remains."""
    for feature in ("api", "other"):
        key = AccountKey("acme", feature)

        async def go(key: AccountKey = key) -> None:
            async with storage.post("test", OPERATOR) as post:
                await post.lock([key])
                fact = rows.used(1, post.time.business, key.feature)
                kept = KeptKey(id=fact.id, body_hash=bytes(16), serial=1, answer=b"")
                await post.post(Posted(facts=[fact], keys=[kept], balances=[rows.account(key.feature, 5)]))

        if feature == "api":
            await go()
        else:
            with pytest.raises(Collided):
                await go()
    async with storage.read("test") as view:
        assert await view.balance(AccountKey("acme", "other")) is None
        assert len(await view.facts_of(API)) == 1
