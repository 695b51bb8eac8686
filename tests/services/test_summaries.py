"""What a foreign system believes that a customer may use: only a difference that is surely one is a finding."""

from datetime import UTC, datetime, timedelta

import pytest

from licet.core.orders import CustomerReferences, EntitlementSummary, OrderDocument, OrderLine, PaymentNotice
from licet.core.terms import PaymentFact
from licet.services.customers import CreateCustomer, create_customer
from licet.services.deliveries import Inbox
from licet.services.overrides import AddOverride, add_override
from licet.services.rows import FindingFilter, FindingRow, Page
from licet.services.sources import PutSource, put_source
from licet.services.subscriptions import Sell, SoldItem, sell
from tests.services.desk import SECRET, Desk, story
from tests.services.spoken import Spoken, say

DAY = timedelta(days=1)
T0 = datetime(2026, 12, 1, tzinfo=UTC)
ACME = CustomerReferences(id="acme", external_id="cus_1")


@pytest.fixture
def inbox(desk: Desk) -> Inbox:
    """An inbox that is told readings."""
    return Inbox(desk.storage, {"stripe": Spoken()}, desk.catalogs)


def bought(plan: str = "team", day: int = 0) -> OrderDocument:
    """An order of a plan."""
    return OrderDocument(
        source="stripe",
        external_id="sub_1",
        customer=ACME,
        occurred_at=T0 + day * DAY,
        lines=(OrderLine(line="1", plan=plan),),
    )


def believes(day: float, *features: str, customer: CustomerReferences = ACME) -> EntitlementSummary:
    """A summary of a day."""
    return EntitlementSummary(source="stripe", customer=customer, at=T0 + day * DAY, features=features)


async def told(desk: Desk, state: str = "open") -> list[FindingRow]:
    """The findings about summaries."""
    async with desk.read() as view:
        only = FindingFilter(kind="entitlement_summary_differs")
        return [one for one in await view.findings(only, Page()) if one.state == state]


async def test_a_feature_that_nobody_sold_is_told_and_settled(desk: Desk, inbox: Inbox) -> None:
    """Entitled there to what nothing here gives: a low finding, settled by the next summary that agrees."""
    await say(inbox, "bought", bought())
    assert (await say(inbox, "one", believes(1, "audit_export"))).outcome == "finding"
    (found,) = await told(desk)
    assert (found.severity, found.customer, found.evidence["only_there"]) == ("low", "acme", ["audit_export"])
    terms = await desk.terms("acme")
    assert (await say(inbox, "two", believes(2, "audit_export"))).outcome == "finding"
    assert [one.seen for one in await told(desk)] == [2]
    assert (await say(inbox, "three", believes(3))).outcome == "applied"
    assert await told(desk) == []
    assert len(await told(desk, "resolved")) == 1
    assert await desk.terms("acme") == terms


async def test_what_is_no_difference_is_not_told(desk: Desk, inbox: Inbox) -> None:
    """Unknown names, limits, what the plan gives, and features of the plan that are not named there: all agree."""
    await say(inbox, "bought", bought("business"))
    features = ("sso", "no_such_feature", "projects")
    assert (await say(inbox, "one", believes(1, *features))).words == "agrees with what customer acme bought"
    assert (await say(inbox, "two", believes(2))).outcome == "applied"
    assert await told(desk) == []


async def test_every_switch_where_the_source_knows_them_all(desk: Desk, inbox: Inbox) -> None:
    """With the setting `entitlements=all`, what only we give is a difference, too."""
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", secrets=(SECRET,), settings={"entitlements": "all"}))
    await say(inbox, "bought", bought("business"))
    assert (await say(inbox, "one", believes(1))).outcome == "finding"
    (found,) = await told(desk)
    assert "sso" in found.evidence["only_here"]
    assert found.evidence["only_there"] == []
    assert (await say(inbox, "two", believes(2, *found.evidence["only_here"]))).outcome == "applied"
    assert await told(desk) == []


async def test_a_summary_that_is_not_newer_than_the_order_is_stale(desk: Desk, inbox: Inbox) -> None:
    """A summary of the same second as an order, or older, cannot be compared with it."""
    await say(inbox, "bought", bought(day=5))
    for name, day in {"same": 5.0, "older": 4.0}.items():
        assert (await say(inbox, name, believes(day, "audit_export"))).outcome == "stale"
    assert (await say(inbox, "newer", believes(6, "audit_export"))).outcome == "finding"
    assert (await say(inbox, "late", believes(5.5))).outcome == "stale"
    assert len(await told(desk)) == 1


@pytest.mark.parametrize("day", [0.5, 2.0], ids=["explains", "newer"])
async def test_an_order_that_comes_late_settles_it(desk: Desk, inbox: Inbox, day: float) -> None:
    """The upgrade comes after its summary: what it explains, or outdates, is settled when it arrives."""
    await say(inbox, "bought", bought(day=-1))
    assert (await say(inbox, "one", believes(1, "sso"))).outcome == "finding"
    upgrade = OrderDocument(
        source="stripe",
        external_id="sub_1",
        customer=ACME,
        occurred_at=T0 + day * DAY,
        lines=(OrderLine(line="1", plan="business"),),
    )
    assert (await say(inbox, "upgrade", upgrade)).outcome == "applied"
    assert await told(desk) == []


async def test_an_order_that_explains_nothing_leaves_it(desk: Desk, inbox: Inbox) -> None:
    """A late order that does not give the feature leaves the finding open."""
    await say(inbox, "bought", bought(day=-1))
    await say(inbox, "one", believes(1, "sso"))
    more = bought(day=0)
    assert (await say(inbox, "more", more)).outcome == "applied"
    assert len(await told(desk)) == 1


async def test_whoever_is_unknown_or_bought_elsewhere_is_ignored(desk: Desk, inbox: Inbox) -> None:
    """A summary neither creates a customer nor waits for one, nor is compared with what another source sold."""
    stranger = CustomerReferences(external_id="cus_9")
    assert (await say(inbox, "one", believes(1, "sso", customer=stranger))).outcome == "ignored"
    async with desk.read() as view:
        assert await view.customer_by_external_id("stripe", "cus_9") is None
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="globex", external_ids={"stripe": "cus_9"}))
        await sell(tx, "globex", Sell(items=(SoldItem(plan="team"),)), desk.catalogs)
    assert (await say(inbox, "two", believes(1, "sso", customer=stranger))).outcome == "ignored"
    assert await told(desk) == []


async def test_wanted_differences_are_not_told(desk: Desk, inbox: Inbox) -> None:
    """A suspension for non-payment and an override that denies are ours to decide: neither is a difference."""
    await say(inbox, "bought", bought("business"))
    failed = PaymentFact(kind="failed", at=T0 + DAY, invoice="in_1")
    notice = PaymentNotice(source="stripe", external_id="sub_1", customer=ACME, payments=(failed,))
    await say(inbox, "failed", notice)
    assert (await say(inbox, "suspended", believes(30, "sso"))).outcome == "applied"
    async with desk.write() as tx:
        denial = AddOverride(feature="audit_export", effect="deny", starts_at=T0, note="not for them")
        await add_override(tx, "acme", denial, desk.catalogs)
    assert (await say(inbox, "denied", believes(31, "audit_export"))).outcome == "applied"


async def test_stripe_tells_it_by_lookup_keys(desk: Desk) -> None:
    """The summary as Stripe sends it: lookup keys are the catalog's own ids."""
    stripe = story()
    await desk.deliver(stripe.subscribe("price_team_monthly"))
    assert (await desk.deliver(stripe.wait(days=1).entitlement_summary("sso"))).outcome == "finding"
    assert (await desk.deliver(stripe.wait(days=1).entitlement_summary())).outcome == "applied"
    assert await told(desk) == []
