"""Orders that arrive late: the past is told anew by what was bought then, never by what the catalog says today."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from licet.core.orders import CustomerReferences, OrderLine, PaymentNotice
from licet.core.terms import PaymentFact, Profile, Terms
from licet.services.catalogs import apply_catalog
from licet.services.checks import entitlements
from licet.services.customers import ChangeCustomer, CreateCustomer, change_customer, create_customer
from licet.services.orders import OrderResult, receive_payments
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
    await released(desk, meridian.replace(b"orders:\n", b"orders:\n  crm/eu:\n    MER-BUS: {plan: enterprise}\n"))
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


async def released(desk: Desk, catalog: bytes, base: int = 1) -> None:
    """Release a catalog."""
    async with desk.write() as tx:
        await apply_catalog(tx, catalog, base)


def contents(terms: Terms) -> list[tuple[datetime, list[tuple[str, str, int]]]]:
    """The phases of the one subscription: from when, which versions and quantities."""
    (subscription,) = terms.subscriptions
    return [
        (phase.starts_at, [(item.id, item.version, item.quantity) for item in phase.items])
        for phase in subscription.phases
    ]


BUSINESS = b"    MER-BUS: {plan: business, quantity: editor}\n"


@pytest.mark.parametrize("instead", [b"", BUSINESS.replace(b"business", b"enterprise")])
async def test_a_late_order_changes_nothing_that_was_bought_later(desk: Desk, meridian: bytes, instead: bytes) -> None:
    """A price that was removed or means something else today still brought what it brought."""
    assert BUSINESS in meridian
    await placed(desk, order(customer=ACME, occurred_at=may(10)))
    before = contents(await desk.terms("acme"))
    await released(desk, meridian.replace(BUSINESS, instead))
    late = order(customer=ACME, occurred_at=may(5), lines=(OrderLine(price="MER-TEAM", quantity=3),))
    assert (await placed(desk, late)).outcome == "applied"
    assert contents(await desk.terms("acme")) == [(may(5), [("team", "2026-07", 3)]), *before]


async def test_what_was_refused_stays_refused(desk: Desk, meridian: bytes) -> None:
    """A catalog that explains a price later brings no refused order into force; sending that order again does."""
    team = OrderLine(price="MER-TEAM", quantity=3)
    await placed(desk, order(customer=ACME, occurred_at=may(1), lines=(team,)))
    unknown = order(customer=ACME, occurred_at=may(10), lines=(OrderLine(price="MER-NEW", quantity=5),))
    assert (await placed(desk, unknown)).outcome == "refused"
    await released(desk, meridian.replace(BUSINESS, BUSINESS + b"    MER-NEW: {plan: enterprise}\n"))
    late = order(customer=ACME, occurred_at=may(5), lines=(structs.replace(team, quantity=4),))
    assert (await placed(desk, late)).outcome == "applied"
    assert [items for _, items in contents(await desk.terms("acme"))] == [
        [("team", "2026-07", 3)],
        [("team", "2026-07", 4)],
    ]
    assert (await placed(desk, unknown)).outcome == "applied"
    assert contents(await desk.terms("acme"))[-1] == (may(10), [("enterprise", "2026-01", 5)])


@pytest.mark.parametrize("plan", ["team", "business"])
async def test_a_version_released_with_an_earlier_date_replaces_none_that_was_bought(
    desk: Desk, meridian: bytes, plan: str
) -> None:
    """Neither an older order of something else nor one that only says it was bought earlier changes the version."""
    await placed(desk, order(customer=ACME, occurred_at=may(10), lines=(OrderLine(plan="team", quantity=5),)))
    before = contents(await desk.terms("acme"))
    begin, end = meridian.index(b"      2026-07:\n        description: More room"), meridian.index(b"  business:\n")
    anew = meridian[begin:end].replace(b"2026-07", b"2027-05").replace(b"projects: 30", b"projects: 3")
    await released(desk, meridian[:end] + anew + meridian[end:])
    late = order(customer=ACME, occurred_at=may(5), lines=(OrderLine(plan=plan, quantity=3),))
    assert (await placed(desk, late)).outcome == "applied"
    after = contents(await desk.terms("acme"))
    assert after[1:] == before
    assert (after[0][0], after[0][1][0][0]) == (may(5), plan)
    assert plan != "team" or after[0][1] == [("team", "2026-07", 3)]


async def test_the_zone_stays_pinned_and_trials_are_counted_in_it(desk: Desk) -> None:
    """The customer's zone is pinned before a trial is dated; a move to another one changes no subscription."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme", profile=Profile(zone="Europe/Berlin")))
    starts = datetime(2027, 3, 20, 9, tzinfo=UTC)
    first = order(customer=ACME, occurred_at=starts, trial_start=starts, lines=(OrderLine(plan="team"),))
    await placed(desk, first)
    (before,) = (await desk.terms("acme")).subscriptions
    assert (before.zone, before.trial_end) == ("Europe/Berlin", datetime(2027, 4, 3, 8, tzinfo=UTC))
    async with desk.write() as tx:
        await change_customer(tx, "acme", ChangeCustomer(profile=Profile(zone="Asia/Tokyo")))
    for day in (1, -1):
        await placed(desk, structs.replace(first, occurred_at=starts + timedelta(days=day)))
        (after,) = (await desk.terms("acme")).subscriptions
        assert (after.zone, after.trial_end) == (before.zone, before.trial_end)


async def test_orders_and_rights_read_the_rules_between_items_alike(desk: Desk) -> None:
    """A subscription with a planned end counts until then, for the finding of an order as for what is in force."""
    ends = datetime(2029, 1, 1, tzinfo=UTC)
    boost = (OrderLine(addon="api_boost"),)
    for customer, lines, wanted in (("acme", (OrderLine(plan="team"),), []), ("beta", boost, ["combination"])):
        said = CustomerReferences(id=customer)
        first = await placed(desk, order(external_id=f"A-{customer}", customer=said, ends_at=ends, lines=lines))
        second = await placed(desk, order(external_id=f"B-{customer}", customer=said, lines=boost))
        assert [found.kind for found in (*first.findings, *second.findings)] == wanted, "told once, when it breaks"
        async with desk.read() as view:
            page = await entitlements(view, customer, desk.snapshots)
        assert [breach.rule for breach in page.breaches] == ["requires"] * len(wanted)


async def test_payments_that_find_no_room_are_not_said_to_be_recorded(desk: Desk) -> None:
    """Beyond the bound of a document payment facts are refused with a finding, with and without a subscription."""
    await placed(desk, order(customer=ACME))
    result: OrderResult | None = None
    for external_id in ("deal-1", "deal-unknown"):
        for block in range(11):
            facts = tuple(
                PaymentFact(
                    kind="failed", at=may(1) + timedelta(seconds=block * 200 + number), invoice=f"{block}-{number}"
                )
                for number in range(200 if block < 10 else 1)
            )
            notice = PaymentNotice(source="crm", external_id=external_id, customer=ACME, payments=facts)
            async with desk.write() as tx:
                result = await receive_payments(tx, notice, desk.catalogs)
        assert result is not None
        assert (result.outcome, [one.kind for one in result.findings]) == ("refused", ["terms_full"])
    assert len(await desk.events(type="payment.recorded")) == 20
    assert len(await desk.events(type="payment.refused")) == 2
