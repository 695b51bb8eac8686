"""The feed over HTTP: what a follower that knows only the protocol ends with is what the database holds."""

import asyncio

from licet.seal.paserk import public_of, write_public
from tests.api.followers import Follower, poll, stream
from tests.api.house import House, Visitor, release_meridian, root_of

ROOT = write_public(public_of(root_of("test")))


async def test_a_follower_gets_all_then_changes_then_nothing(house: House, operator: Visitor) -> None:
    """The first answer is everything, the next what is new, and a head alone where nothing is."""
    await release_meridian(operator)
    follower = Follower("test", ROOT)
    assert await poll(operator.http, follower) == "full"
    await operator.told("POST", "/v1/customers", {"id": "acme", "name": "Acme"})
    assert await poll(operator.http, follower) == "changes"
    assert set(follower.terms) == {"acme"}
    assert await poll(operator.http, follower) == "none"
    assert follower.cursor == (1, await house.seq())


async def test_a_stream_goes_on(house: House, operator: Visitor) -> None:
    """A stream tells what is there, then each change as it is committed."""
    follower = Follower("test", ROOT)
    begun = False
    async with asyncio.timeout(10):
        async for _ in stream(operator.http, follower):
            if follower.heads and not begun:
                begun = True
                await operator.told("POST", "/v1/customers", {"id": "globex", "name": "Globex"})
            if "globex" in follower.terms:
                break
    assert follower.cursor == (1, await house.seq())
