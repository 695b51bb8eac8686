"""Owned quota and the real server: the cap is exact to the unit, and everything that was owned is accounted for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from licet import AsyncClient
from tests.api.house import House, Visitor
from tests.api.test_journey import ORDER
from tests.sdk.test_real_server import options

pytestmark = pytest.mark.postgres


async def sold(operator: Visitor, customer: str) -> None:
    """Sell a customer the plan of the example."""
    await operator.told("POST", "/v1/orders", ORDER | {"external_id": f"deal-{customer}", "customer": {"id": customer}})


async def leases(operator: Visitor, customer: str) -> list[dict[str, Any]]:
    """Every lease of a customer, as the server lists them."""
    return list((await operator.told("GET", f"/v1/quota-leases?customer={customer}"))["items"])


async def test_a_cap_is_exact(house: House, operator: Visitor, tmp_path: Path) -> None:
    """Three clients with quota of their own take until they are refused: together exactly as much as there is."""
    _, key = await house.key("check", "usage")
    await sold(operator, "owned")
    async with AsyncClient.of(options(house.url, key, local=False)) as client:
        left = (await client.consume("owned", "api_calls")).remaining
        assert isinstance(left, int)
        await client.consume("owned", "api_calls", left - 900)
    clients = [AsyncClient.of(options(house.url, key, cache=tmp_path / str(number))) for number in range(3)]

    async def hammer(client: AsyncClient) -> int:
        taken = 0
        async with client:
            assert (await client.consume("owned", "api_calls")).decided == "local"
            while await client.consume("owned", "api_calls"):
                taken += 1
            assert client.quota.last_error is None
        return taken + 1

    taken = sum(await asyncio.gather(*(hammer(one) for one in clients)))
    assert taken <= 900
    async with AsyncClient.of(options(house.url, key, local=False)) as client:
        if taken < 900:
            assert (await client.consume("owned", "api_calls", 900 - taken)).remaining == 0
        assert not await client.consume("owned", "api_calls")
    told = await leases(operator, "owned")
    assert {one["state"] for one in told} == {"settled"}
    assert sum(one["used"] for one in told) <= taken


async def test_reservations(house: House, operator: Visitor) -> None:
    """What is reserved here and settled for less or more is what the server counts when the client has closed."""
    _, key = await house.key("check", "usage")
    await sold(operator, "holder")
    async with AsyncClient.of(options(house.url, key, local=False)) as client:
        before = (await client.consume("holder", "api_calls")).remaining
        assert isinstance(before, int)
    async with AsyncClient.of(options(house.url, key)) as client:
        async with client.reserve("holder", "api_calls", 40) as held:
            assert held.usage.decided == "local"
            await held.settle(15)
        async with client.reserve("holder", "api_calls", 4) as held:
            await held.settle(60)
        async with client.reserve("holder", "api_calls", 40):
            pass
    async with AsyncClient.of(options(house.url, key, local=False)) as client:
        assert (await client.consume("holder", "api_calls")).remaining == before - 75 - 1
