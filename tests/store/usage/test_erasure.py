"""What is held of a customer's usage: exported whole, and of a person what was asked is deleted while facts stay."""

from typing import get_args

import msgspec
from msgspec import structs

from licet.core.instant import DAY, to_instant
from licet.core.usage.facts import AccountKey
from licet.services.erasure_ports import Section
from licet.services.rows import Page
from licet.services.usage.ids import lease_fact_id
from licet.services.usage.ports import Posted, UsageFilter
from licet.store.audit import verify_log
from licet.store.postgres import PostgresStorage
from tests.store import rows
from tests.store.worlds import OPERATOR

T0 = to_instant(rows.DAY)


async def fill(storage: PostgresStorage) -> None:
    """Usage of acme and of another customer, with everything that a posting writes."""
    async with storage.write("test", OPERATOR) as tx:
        await tx.put_customer(rows.customer())
        await tx.put_funding("acme", rows.funding(feature="api"))
        await tx.record(rows.note())
    async with storage.post("test", OPERATOR) as post:
        await post.lock([AccountKey("acme", "api"), AccountKey("other", "api")])
        given = rows.posted("api", T0)
        others = [structs.replace(given.refusals[0], id=f"{number:032x}", user="bob") for number in (7, 8)]
        others[1] = structs.replace(others[1], customer="other")
        await post.post(structs.replace(given, refusals=[*given.refusals, *others]))
        await post.post(Posted(facts=[rows.used(9, T0, customer="other")]))
        await post.post(rows.issued(rows.leased(1), rows.leased(2, customer="other")))
    await storage.seal("test")


async def test_an_export_holds_usage_of_one_customer(storage: PostgresStorage) -> None:
    """Each section about usage has the customer's rows, with ids as they are told elsewhere, and no other's."""
    await fill(storage)
    found: dict[str, list[dict[str, object]]] = {}
    async with storage.read("test") as view:
        for section in get_args(Section):
            found[section] = [msgspec.json.decode(row) async for row in view.held(section, "acme")]
    names = ("balance", "funding", "reservation", "quota_lease", "usage_fact", "usage_refusal", "usage_hour")
    assert {name: len(found[name]) for name in names} == {
        "balance": 1, "funding": 1, "reservation": 2, "quota_lease": 1, "usage_fact": 3,
        "usage_refusal": 2, "usage_hour": 1,
    }  # fmt: skip
    leased = lease_fact_id(f"{1:032x}")
    assert {row["id"] for row in found["usage_fact"]} == {f"{1:032x}", f"{2:032x}", leased}
    (lease,) = found["quota_lease"]
    assert (lease["id"], lease["owner"], lease["reservation"]) == (f"{1:032x}", f"{7:032x}", leased)
    assert "state" not in found["balance"][0]
    assert all("workspace_id" not in row for name in names for row in found[name])


async def test_what_a_person_asked_is_deleted_and_facts_stay(storage: PostgresStorage) -> None:
    """Refused requests go with recorded checks; facts name users by their ids, stay, and still fit the log."""
    await fill(storage)
    async with storage.write("test", OPERATOR) as tx:
        assert await tx.checks_about("acme", "bob") == (1, 0)
        assert await tx.checks_about("acme") == (2, 0)
        assert await tx.drop_checks("acme", "bob") == (1, 0)
        assert await tx.checks_about("acme") == (1, 0)
        assert await tx.drop_checks("acme") == (1, 0)
        await tx.record(rows.note())
    async with storage.read("test") as view:
        assert [one.customer for one in await view.refused(UsageFilter(), Page())] == ["other"]
        assert len(await view.facts_of(AccountKey("acme", "api"), until=T0 + DAY)) == 3
        assert await view.lease(f"{1:032x}") == rows.leased(1)
    assert (await verify_log(storage, "test")).ok
