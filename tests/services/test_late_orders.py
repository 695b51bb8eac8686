"""Orders that arrive late: the past is told anew by what was bought then, never by what the catalog says today."""

from datetime import UTC, datetime

from licet.core.orders import CustomerReferences, OrderLine
from licet.services.catalogs import apply_catalog
from tests.services.desk import Desk
from tests.services.test_terms import order, placed

ACME = CustomerReferences(id="acme")


def may(day: int) -> datetime:
    """A day of May 2027."""
    return datetime(2027, 5, day, tzinfo=UTC)


async def test_names_with_slashes_share_no_history(desk: Desk, meridian: bytes) -> None:
    """A source and an external id that join to the same words as another pair's are another subscription."""
    await placed(
        desk, order(source="crm/eu", external_id="7", customer=CustomerReferences(id="y"), occurred_at=may(10))
    )
    released = meridian.replace(b"orders:\n", b"orders:\n  crm/eu:\n    MER-BUS: {plan: enterprise}\n")
    async with desk.write() as tx:
        await apply_catalog(tx, released, 1)
    result = await placed(
        desk,
        order(
            source="crm",
            external_id="eu/7",
            customer=CustomerReferences(id="x"),
            occurred_at=may(5),
            lines=(OrderLine(plan="team"),),
        ),
    )
    (subscription,) = (await desk.terms("x")).subscriptions
    assert (result.outcome, subscription.phases[-1].items[0].id) == ("applied", "team")
    assert [event.subject for event in await desk.events(type="order.applied")] == ["order/crm/eu%2F7"]


async def test_a_contradiction_names_the_foreign_id_and_who_else_was_said(desk: Desk) -> None:
    """The evidence holds the foreign id, what was decided, and what spoke against it."""
    await placed(desk, order())
    said = CustomerReferences(id="acme", external_id="002")
    await placed(desk, order(external_id="deal-2", customer=CustomerReferences(id="beta", external_id="002")))
    result = await placed(desk, order(customer=said, occurred_at=may(3)))
    (found,) = [one for one in result.findings if one.kind == "customer_contradiction"]
    assert found.subject == "crm:002"
    assert found.evidence == {
        "source": "crm",
        "external_id": "002",
        "customer": "acme",
        "way": "external_id",
        "other": "beta",
    }
