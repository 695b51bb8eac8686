"""Long reads beside short ones: few at once, and nothing is taken from who asks for a moment only."""

from contextlib import AsyncExitStack

import pytest

from licet.services.errors import Unavailable
from licet.store.long_reads import LongReads, places_of
from tests.store.worlds import World


def test_places_are_a_quarter_at_least_one() -> None:
    """However small a pool is, one long read goes on; however large, they stay far fewer than short ones."""
    assert [places_of(size) for size in (1, 4, 7, 8, 10, 1000)] == [1, 1, 1, 2, 2, 250]


def test_one_workspace_leaves_places_to_others() -> None:
    """A workspace holds two places at most, all together as many as there are; each that ends is free again."""
    reads = LongReads(3)
    with reads.place("live"), reads.place("test"):
        with reads.place("test"), pytest.raises(Unavailable, match=r"as may be at once \(3\)"), reads.place("other"):
            pass
        with reads.place("live"):
            pass
    with reads.place("live"), reads.place("live"):
        words = r"of workspace live are under way as may be at once \(2\)"
        with pytest.raises(Unavailable, match=words) as refused, reads.place("live"):
            pass
        assert refused.value.details == {"retry_after": 5}
        with reads.place("test"):
            pass


async def test_short_reads_have_all_their_connections_beside_long_ones(world: World) -> None:
    """Short reads are as many as ever while every place for a long one is taken; what failed holds no place."""
    async with world.storage(size=2) as storage, AsyncExitStack() as stack:
        for _ in range(2):
            with pytest.raises(KeyError):
                async with storage.read_long("test"):
                    raise KeyError
        await stack.enter_async_context(storage.read_long("test"))
        with pytest.raises(Unavailable, match="long reads are under way"):
            await stack.enter_async_context(storage.read_long("live"))
        for view in [await stack.enter_async_context(storage.read("test")) for _ in range(2)]:
            assert await view.seq() == 1
