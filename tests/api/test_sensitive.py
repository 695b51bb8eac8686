"""Reads of personal values and of somebody's past are on record, by whom and about whom; ordinary questions are not."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from licet.api.app import OPERATIONS
from licet.api.parts import Clock
from licet.services.reads import MAX_KEPT, OTHERS, Pace, Read, ReadLog
from licet.services.rows import Page
from licet.store.postgres import PostgresStorage
from licet.wire.event import Event
from tests.api.house import House, open_house
from tests.api.tenants import Tenant, ask_of, owned, settle
from tests.store.worlds import World

pytestmark = pytest.mark.postgres


async def recorded(storage: PostgresStorage, workspace: str) -> list[Event]:
    """The reads on record."""
    async with storage.read(workspace) as view:
        return list(await view.events(Page(limit=500), type="reads.recorded"))


def counted(events: list[Event]) -> Counter[tuple[str, str, str]]:
    """How often who used which operation about what."""
    found: Counter[tuple[str, str, str]] = Counter()
    for event in events:
        assert (event.actor, event.subject) == ("system:reads", "reads")
        for read in event.after["reads"]:
            found[read["actor"], read["operation"], read["subject"]] += read["count"]
    return found


def subject(tenant: Tenant, name: str) -> str:
    """What a read of the first buyer is about."""
    buyer = tenant.buyers[0].names
    whole = {
        "list_customers": "customers",
        "list_preview_customers": "customers",
        "list_moved": "customers",
        "list_events": "events",
        "list_facts": "facts",
        "export_facts": "export",
        "list_refusals": "refusals",
        "rehearse_catalog": "rehearsals",
        "prove_entry": "entry/1",
        "get_user": f"customer/{buyer['customer']}/user/{buyer['user']}",
        "list_check_records": f"customer/{buyer['customer']}/user/{buyer['user']}",
        "get_delivery": f"source/{tenant.source}/delivery/{tenant.names['delivery']}",
    }
    return whole.get(name, f"customer/{buyer['customer']}")


async def test_each_operation_that_says_so_leaves_who_read_what(house: House) -> None:
    """Every operation that OpenAPI marks as sensitive, and no other, leaves its reader and its subject; asked twice
    it is counted twice, a refused question counts nothing, and one event stands for all of them."""
    document: dict[str, Any] = await house.visitor().told("GET", "/openapi.json")
    described = [one for path in document["paths"].values() for one in path.values()]
    marked = {one["operationId"] for one in described if one.get("x-sensitive")}
    assert marked == {one.id for one in OPERATIONS if one.sensitive}
    assert {"get_customer", "get_user", "explain", "get_history", "get_delivery", "list_events"} <= marked
    assert all("Who reads it is on record." in one["description"] for one in described if one.get("x-sensitive"))
    tenant = await settle(house)
    await house.built.parts.reads.flush()
    before = len(await recorded(house.storage, tenant.workspace))
    for one in (one for one in OPERATIONS if not one.writes and one.id != "receive_delivery"):
        for _ in range(2):
            await owned(tenant, one, ask_of(one, tenant, tenant.buyers[0]))
    await tenant.owner.ask("GET", "/v1/customers/nobody")
    assert len(await recorded(house.storage, tenant.workspace)) == before
    await house.built.parts.reads.flush()
    events = (await recorded(house.storage, tenant.workspace))[before:]
    assert len(events) == 1
    actor = f"key:{(tenant.owner.secret or '').split('_')[2]}"
    assert counted(events) == {(actor, name, subject(tenant, name)): 2 for name in marked}


async def test_reads_are_on_record_soon_and_at_the_end(world: World) -> None:
    """A read is recorded within the pace; many at once sooner than that; the last ones when the server ends."""
    async with open_house(world, pace=Pace(seconds=0.2, most=10**6)) as house:
        visitor = await house.holder("admin", workspace="live")
        await visitor.told("GET", "/v1/customers")
        assert await recorded(house.storage, "live") == []
        await _until(house.storage, 1)
    async with open_house(world, pace=Pace(seconds=3600, most=3)) as house:
        visitor = await house.holder("admin", workspace="live")
        for _ in range(3):
            await visitor.told("GET", "/v1/customers")
        await _until(house.storage, 4)
        await visitor.told("GET", "/v1/customers")
    async with world.storage() as storage:
        assert sum(counted(await recorded(storage, "live")).values()) == 5


async def _until(storage: PostgresStorage, reads: int) -> None:
    async with asyncio.timeout(5):
        while sum(counted(await recorded(storage, "live")).values()) < reads:  # noqa: ASYNC110 another connection writes
            await asyncio.sleep(0.02)


async def test_what_cannot_be_written_waits_in_bounded_memory(world: World) -> None:
    """While the database is away reads are kept, the different ones up to a bound and the rest with less detail; once
    it is back every one is counted."""
    async with world.storage() as storage:
        reads = ReadLog(storage)
        at = Clock().wall()
        before = counted(await recorded(storage, "test"))
        for number in range(5 * MAX_KEPT):
            reads.note("test", Read(f"key:{number % 3}", "get_customer", f"customer/c{number}"), at)
        await storage.close()
        assert await reads.flush() == 0
        for number in range(3 * MAX_KEPT):
            reads.note("test", Read(f"key:new{number}", "explain", "customer/acme"), at)
        await storage.open()
        assert await reads.flush() == 8 * MAX_KEPT
        assert await reads.flush() == 0
        async with storage.read("test") as view:
            events = list(await view.events(Page(limit=500), type="reads.recorded"))
        found = counted(events) - before
    assert sum(found.values()) == 8 * MAX_KEPT
    assert MAX_KEPT < len(found) <= 2 * MAX_KEPT + 2
    assert found["key:0", "get_customer", OTHERS] > 0
    assert found[OTHERS, "explain", OTHERS] > 0
    assert max(len(event.after["reads"]) for event in events) <= 500
