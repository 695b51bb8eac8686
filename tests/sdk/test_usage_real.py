"""The client and the real server: use is consumed, reserved and reported as the wire says, and a cap is exact."""

import asyncio
from pathlib import Path

import pytest

from licet import AsyncClient, Invalid, MissingScope, NotEntitled, ReservationEnded
from tests.api.house import House, Visitor
from tests.api.test_journey import ORDER
from tests.sdk.test_real_server import options

pytestmark = pytest.mark.postgres


async def test_use_is_counted(house: House, operator: Visitor, tmp_path: Path) -> None:
    """What the client consumes, sets aside and reports is what the server tells; refusals come with their reasons."""
    _, key = await house.key("check", "usage")
    await operator.told("POST", "/v1/orders", ORDER)
    async with AsyncClient.of(options(house.url, key, cache=tmp_path, local=False)) as client:
        usage = await client.consume("acme", "api_calls", 25, user="ann")
        assert usage, usage.answer
        assert usage.taken == 25
        assert usage.remaining is not None
        left = usage.remaining
        assert (await client.consume("acme", "api_calls", 25, user="ann", key=usage.key)).id == usage.id
        async with client.reserve("acme", "api_calls", 40) as held:
            settled = await held.settle(30)
        assert settled.used == 30
        with pytest.raises(ReservationEnded):
            await client.settle(held.id, 31)
        async with client.reserve("acme", "api_calls", 40):
            pass
        assert await client.report("acme", "api.call", user="ann")
        assert await client.flush()
        assert (await client.consume("acme", "api_calls")).remaining == left - 32
        refused = await client.consume("nobody", "api_calls")
        assert (bool(refused), refused.reason) == (False, "unknown_customer")
        with pytest.raises(NotEntitled):
            (await client.consume("acme", "nonsense")).require()
        with pytest.raises(Invalid):
            await client.consume("acme", "api_calls", "1.5")
        assert client.reports.refused == 0


async def test_a_cap_is_exact(house: House, operator: Visitor) -> None:
    """Of many consumers at once exactly as much is allowed as there is left."""
    _, key = await house.key("check", "usage")
    await operator.told("POST", "/v1/orders", ORDER | {"external_id": "deal-8", "customer": {"id": "capped"}})
    async with AsyncClient.of(options(house.url, key, local=False)) as client:
        left = (await client.consume("capped", "api_calls")).remaining
        assert isinstance(left, int)
        await client.consume("capped", "api_calls", left - 10)
        usages = await asyncio.gather(*(client.consume("capped", "api_calls") for _ in range(16)))
        assert sum(map(bool, usages)) == 10
        assert {usage.reason for usage in usages if not usage} == {"limit_reached"}


async def test_a_key_that_may_not(house: House, key: str) -> None:
    """A key without the scope is told which one it lacks."""
    async with AsyncClient.of(options(house.url, key)) as client:
        with pytest.raises(MissingScope, match="scope `usage`"):
            await client.consume("acme", "api_calls")
