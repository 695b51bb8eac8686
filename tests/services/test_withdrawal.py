"""Withdrawn versions and rolled back releases, in use: by hand refused, from outside told, terms never touched."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from licet.core.catalog import Catalog, PlanVersion, encode_catalog
from licet.core.instant import to_instant
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.services.catalogs import apply_catalog, get_catalog
from licet.services.changes import ChangeSubscription, change
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import Invalid, NotFound, Unsellable
from licet.services.orders import receive_order
from licet.services.rollbacks import CatalogRollback, rollback_catalog
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk

pytestmark = pytest.mark.postgres
JUNE = datetime(2027, 6, 1, tzinfo=UTC)
ENDED = datetime(2027, 12, 1, tzinfo=UTC)


def with_june(catalog: Catalog, **more: Any) -> Catalog:
    """Return a catalog with a Team of June 2027, which has no editors' seats of its own price."""
    team = catalog.plans["team"]
    includes = {**team.versions["2026-07"].includes, "projects": 99}
    made = PlanVersion(includes=includes, available_from=JUNE, **more)
    return structs.replace(
        catalog, plans={**catalog.plans, "team": structs.replace(team, versions={**team.versions, "june": made})}
    )


async def newest(desk: Desk) -> tuple[int, Catalog]:
    """The newest release."""
    async with desk.read() as view:
        found = await get_catalog(view)
    return found.revision, found.doc


async def release(desk: Desk, catalog: Catalog) -> int:
    """Release a catalog that touches nobody who has something."""
    base, _ = await newest(desk)
    async with desk.write() as tx:
        return (await apply_catalog(tx, encode_catalog(catalog), base)).revision


async def sold(desk: Desk, customer: str, item: SoldItem) -> str:
    """Sell by hand to a new customer."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id=customer))
        result = await sell(tx, customer, Sell(items=(item,)), desk.catalogs)
    assert result.subscription is not None
    return result.subscription


async def composed(desk: Desk, to: int) -> CatalogRollback:
    """Compose a rollback."""
    async with desk.read() as view:
        return await rollback_catalog(view, to)


async def version_of(desk: Desk, customer: str) -> str:
    """The version of the one item that a customer has."""
    terms = await desk.terms(customer)
    (item,) = terms.subscriptions[0].phases[-1].items
    return item.version


async def test_by_hand_a_withdrawn_version_is_refused_with_advice(desk: Desk) -> None:
    """Sold and changed to by hand, a withdrawn version is refused with what is on sale; who has it may keep it."""
    _, first = await newest(desk)
    await release(desk, with_june(first))
    held = await sold(desk, "acme", SoldItem(plan="team"))
    other = await sold(desk, "globex", SoldItem(plan="free"))
    await release(desk, with_june(first, sold_until=ENDED))
    june = SoldItem(plan="team", version="june")
    with pytest.raises(Unsellable, match="team@june is not on sale any more") as refused:
        await sold(desk, "initech", june)
    (told,) = refused.value.details["problems"]
    assert told["path"] == "items[0].version"
    assert told["suggestion"] == "sell team@2026-07, which is on sale, or clear sold_until of team@june in the catalog"
    assert refused.value.advice == told["suggestion"]
    with pytest.raises(Unsellable) as misspelled:
        await sold(desk, "hooli", SoldItem(plan="teem"))
    assert misspelled.value.advice == "write team"
    async with desk.write() as tx:
        with pytest.raises(Invalid, match="version: team@june is not on sale any more"):
            await change(tx, "globex", other, ChangeSubscription(plan="team", version="june"), desk.catalogs)
        kept = await change(tx, "acme", held, ChangeSubscription(quantity=2, version=None), desk.catalogs)
    assert kept.outcome == "applied"
    assert await version_of(desk, "acme") == "june"
    await sold(desk, "umbrella", SoldItem(plan="team"))
    assert await version_of(desk, "umbrella") == "2026-07"


async def test_by_hand_a_plan_without_anything_on_sale_is_refused(desk: Desk) -> None:
    """Where every version is withdrawn, nothing of the plan is sold by hand, alone or in a bundle."""
    _, first = await newest(desk)
    team = first.plans["team"]
    versions = {key: structs.replace(one, sold_until=ENDED) for key, one in team.versions.items()}
    plans = {**first.plans, "team": structs.replace(team, versions=versions)}
    await release(desk, structs.replace(first, plans=plans))
    with pytest.raises(Unsellable, match=r"items\[0\].plan: no version of team is on sale any more"):
        await sold(desk, "acme", SoldItem(plan="team"))


async def test_from_outside_it_is_given_with_a_finding(desk: Desk) -> None:
    """A foreign order that names a withdrawn version is placed, and leaves one finding about the subscription."""
    _, first = await newest(desk)
    await release(desk, with_june(first, sold_until=ENDED))
    order = OrderDocument(
        source="crm",
        external_id="deal-1",
        customer=CustomerReferences(id="acme"),
        occurred_at=LATER,
        lines=(OrderLine(line="1", plan="team", version="june"),),
    )
    async with desk.write() as tx:
        result = await receive_order(tx, order, desk.catalogs)
    assert (result.outcome, [one.kind for one in result.findings]) == ("applied", ["bought_after_sale"])
    assert await version_of(desk, "acme") == "june"


async def test_a_rollback_is_released_and_taken_back(desk: Desk) -> None:
    """Back to the first release and forth to the newest: purchases follow each time, and terms stay byte for byte."""
    _, first = await newest(desk)
    second = with_june(first)
    assert await release(desk, second) == 2
    await sold(desk, "acme", SoldItem(plan="team"))
    before = await desk.terms("acme")
    back = await composed(desk, 1)
    assert (back.to, back.base, back.at, back.problems) == (1, 2, LATER, ())
    assert back.kept == (
        "team@june, released since, stays for who has it; it is sold only until 2028-01-01T00:00:00Z.",
    )
    assert [(one.path, one.effect) for one in back.changes] == [
        ("plans.team.versions.june.sold_until", "new_purchases")
    ]
    assert await release(desk, back.doc) == 3
    await sold(desk, "globex", SoldItem(plan="team"))
    assert await version_of(desk, "globex") == "2026-07"
    forth = await composed(desk, 2)
    assert (forth.kept, await release(desk, forth.doc)) == ((), 4)
    async with desk.read() as view:
        assert (await get_catalog(view, 4)).hash == (await get_catalog(view, 2)).hash
    await sold(desk, "initech", SoldItem(plan="team"))
    assert await version_of(desk, "initech") == "june"
    assert await desk.terms("acme") == before


async def test_a_rollback_dates_itself_and_knows_its_revisions(desk: Desk) -> None:
    """A later instant may be given; to the newest nothing changes; a revision that is not there is told with the
    newest."""
    _, first = await newest(desk)
    await release(desk, with_june(first))
    async with desk.read() as view:
        at = to_instant(LATER + timedelta(days=1))
        assert (await rollback_catalog(view, 1, at)).at == LATER + timedelta(days=1)
        assert (await rollback_catalog(view, 2)).changes == ()
        with pytest.raises(NotFound, match="no catalog revision 9; the newest is 2"):
            await rollback_catalog(view, 9)


async def test_a_rollback_rewrites_no_sale(desk: Desk) -> None:
    """Nothing is withdrawn from a time when it was on sale: an instant that has passed is refused, but for a minute of
    typing, and but for the preview by which it is released, while that one holds."""
    _, first = await newest(desk)
    await release(desk, with_june(first))
    seen = await desk.preview(encode_catalog(with_june(first, sold_until=ENDED)))
    async with desk.read() as view:
        for early in (timedelta(minutes=2), timedelta(days=2900)):
            with pytest.raises(Invalid, match="has passed; it is 2028-01-01T00:00:00Z"):
                await rollback_catalog(view, 1, to_instant(LATER - early))
        typed = LATER - timedelta(seconds=50)
        assert (await rollback_catalog(view, 1, to_instant(typed))).at == typed
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(minutes=40)))
    async with desk.read() as view:
        with pytest.raises(Invalid):
            await rollback_catalog(view, 1, to_instant(typed))
        assert (await rollback_catalog(view, 1, to_instant(typed), preview=seen.id)).at == typed
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LATER + timedelta(hours=30)))
    async with desk.read() as view:
        with pytest.raises(Invalid):
            await rollback_catalog(view, 1, to_instant(typed), preview=seen.id)
