"""Sales by hand, overrides, suspensions and generic orders: how terms change, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.question import Question
from licet.services.checks import check
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import Conflict, Forbidden, Invalid, NotFound, Unsellable
from licet.services.manual import ChangeResult
from licet.services.orders import OrderResult, receive_order
from licet.services.overrides import AddOverride, EndOverride, add_override, end_override
from licet.services.rows import Actor, FindingFilter, Page
from licet.services.subscriptions import Cancel, Sell, SoldItem, cancel, sell
from licet.services.suspensions import Suspend, resume, suspend
from licet.services.terms import get_terms
from tests.services.desk import LATER, Desk

BOUGHT = datetime(2027, 5, 1, tzinfo=UTC)


async def new_customer(desk: Desk, customer: str = "acme") -> None:
    """Create a customer."""
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id=customer))


async def sold(desk: Desk, *plans: str, **how: Any) -> ChangeResult:
    """Sell plans to acme by hand."""
    async with desk.write() as tx:
        return await sell(tx, "acme", Sell(items=tuple(SoldItem(plan=plan) for plan in plans), **how), desk.catalogs)


async def placed(desk: Desk, order: OrderDocument) -> OrderResult:
    """Place an order."""
    async with desk.write() as tx:
        return await receive_order(tx, order, desk.catalogs)


async def reason(desk: Desk, feature: str = "sso") -> str:
    """The reason of the decision about acme now."""
    async with desk.read() as view:
        return (await check(view, Question(customer="acme", feature=feature), desk.snapshots)).reason


def order(**fields: Any) -> OrderDocument:
    """An order of Business from the CRM for its customer 001."""
    plain = OrderDocument(
        source="crm",
        external_id="deal-1",
        customer=CustomerReferences(external_id="001", client_reference="acme"),
        occurred_at=BOUGHT,
        lines=(OrderLine(price="MER-BUS", quantity=5),),
    )
    return structs.replace(plain, **fields)


async def test_a_sale_by_hand_gives_access_and_its_cancellation_takes_it(desk: Desk) -> None:
    """What is sold now is permitted now; cancelled now, it is not permitted any more."""
    await new_customer(desk)
    assert await reason(desk) == "not_entitled"
    result = await sold(desk, "business")
    assert result.outcome == "applied"
    assert await reason(desk) == "entitled"
    async with desk.write() as tx:
        ended = await cancel(tx, "acme", result.subscription or "", Cancel(), desk.catalogs)
    assert (ended.outcome, await reason(desk)) == ("applied", "ended")
    with pytest.raises(Conflict, match="ends already"):
        async with desk.write() as tx:
            await cancel(tx, "acme", result.subscription or "", Cancel(), desk.catalogs)


async def test_a_trial_by_hand_ends_by_the_calendar(desk: Desk) -> None:
    """A trial lasts its duration on the wall clock of its zone, across a change to summer time too."""
    await new_customer(desk)
    starts = datetime(2028, 3, 20, 9, tzinfo=UTC)
    await sold(desk, "team", starts_at=starts, trial="P14D", zone="Europe/Berlin", trial_end_behavior="end")
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert subscription.trial_end == datetime(2028, 4, 3, 8, tzinfo=UTC)
    assert (subscription.trial_end_behavior, subscription.zone) == ("end", "Europe/Berlin")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Sell(items=(SoldItem(),)), "exactly one of plan, addon, bundle"),
        (Sell(items=(SoldItem(plan="teem"),)), "no plan 'teem'"),
        (Sell(items=(SoldItem(plan="team", quantity_of="nothing"),)), "no feature 'nothing'"),
        (Sell(items=(SoldItem(plan="team"),), trial="14 days"), "not a duration"),
        (Sell(items=(SoldItem(plan="team"),), zone="Nowhere"), "not a time zone"),
        (Sell(items=(SoldItem(plan="team"),), ends_at=BOUGHT, starts_at=LATER), "is before"),
    ],
)
async def test_a_sale_that_makes_no_sense_is_refused(desk: Desk, command: Sell, words: str) -> None:
    """A person gets an error, where a foreign system would get a finding; nothing is written."""
    await new_customer(desk)
    with pytest.raises(Invalid, match=words):
        async with desk.write() as tx:
            await sell(tx, "acme", command, desk.catalogs)
    assert (await desk.terms("acme")).subscriptions == ()


@pytest.mark.parametrize(
    ("items", "how", "places"),
    [
        ((SoldItem(plan="enterprise"), SoldItem(addon="api_boost", quantity=9)), {}, ["items[1]", "items[1].quantity"]),
        ((SoldItem(plan="team", version="x"), SoldItem(addon="api_bost")), {}, ["items[0].version", "items[1].addon"]),
        ((SoldItem(plan="enterprise"),), {"trial": "P14D"}, ["trial"]),
    ],
)
async def test_what_the_catalog_speaks_against_is_told_at_once(
    desk: Desk, items: tuple[SoldItem, ...], how: dict[str, Any], places: list[str]
) -> None:
    """A broken rule, an unknown version and a trial that the plan has not are refused, each with place and mend."""
    await new_customer(desk)
    with pytest.raises(Unsellable) as caught:
        async with desk.write() as tx:
            await sell(tx, "acme", Sell(items=items, **how), desk.catalogs)
    problems = caught.value.details["problems"]
    assert sorted(one["path"] for one in problems) == places
    assert all(one["message"] and one["suggestion"] for one in problems)
    assert (await desk.terms("acme")).subscriptions == ()


async def test_a_broken_rule_can_be_accepted_and_is_not_held_against_later_sales(desk: Desk) -> None:
    """With accept_breaches it is sold with a finding; a later sale that breaks nothing new goes through."""
    await new_customer(desk)
    boost = Sell(items=(SoldItem(addon="api_boost", quantity=9),), accept_breaches=True)
    async with desk.write() as tx:
        result = await sell(tx, "acme", boost, desk.catalogs)
    assert result.outcome == "applied"
    assert {one.kind for one in result.findings} == {"combination"}
    assert (await sold(desk, "business")).outcome == "applied"
    with pytest.raises(Unsellable, match="at most 5"):
        async with desk.write() as tx:
            await sell(tx, "acme", Sell(items=(SoldItem(addon="api_boost"),)), desk.catalogs)


@pytest.mark.parametrize(("plan", "said", "follows"), [("team", None, "fall"), ("team", "convert", "convert")])
async def test_a_trial_ends_as_the_plan_says_unless_the_seller_does(
    desk: Desk, plan: str, said: Any, follows: str
) -> None:
    """Team says what follows its trial: that counts by hand and in an order, where neither says something else."""
    await new_customer(desk)
    await sold(desk, plan, trial="P14D", trial_end_behavior=said)
    trial = {"trial_start": BOUGHT, "trial_end_behavior": said}
    await placed(desk, order(lines=(OrderLine(plan=plan),), **trial))
    kept = (await desk.terms("acme")).subscriptions
    assert [one.trial_end_behavior for one in kept] == [follows, follows]


async def test_what_an_order_cannot_mean_is_a_finding(desk: Desk) -> None:
    """A trial of a plan that has none, and an end before the start, are told; the latter gives nothing."""
    result = await placed(desk, order(lines=(OrderLine(plan="enterprise"),), trial_start=BOUGHT))
    assert [one.kind for one in result.findings] == ["no_trial"]
    (kept,) = (await desk.terms("acme")).subscriptions
    assert (kept.trial_end, kept.trial_end_behavior) == (None, "convert")
    early = await placed(desk, order(external_id="deal-2", ends_at=BOUGHT - timedelta(days=1)))
    assert [one.kind for one in early.findings] == ["ends_before_start"]
    assert await reason(desk) == "entitled", "by the first deal"


async def test_what_a_foreign_system_sold_is_cancelled_there(desk: Desk) -> None:
    """Its next order would bring the subscription back, so a cancellation here is refused and says what to do."""
    result = await placed(desk, order())
    with pytest.raises(Conflict, match="comes from crm"):
        async with desk.write() as tx:
            await cancel(tx, "acme", result.subscription or "", Cancel(), desk.catalogs)


async def test_an_override_gives_and_ends(desk: Desk) -> None:
    """An exception permits what was not bought until it ends; a denial blocks what was."""
    await new_customer(desk)
    async with desk.write() as tx:
        given = await add_override(tx, "acme", AddOverride(feature="sso", note="asked by Ann"), desk.catalogs)
    assert await reason(desk) == "entitled"
    (event,) = await desk.events(type="override.added")
    assert given.event == event.id
    async with desk.write() as tx:
        assert (await end_override(tx, "acme", given.id, EndOverride())).ends_at == LATER
    assert await reason(desk) == "ended"
    await sold(desk, "business")
    async with desk.write() as tx:
        await add_override(tx, "acme", AddOverride(feature="sso", effect="deny"), desk.catalogs)
    assert await reason(desk) == "denied_by_override"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (AddOverride(feature="ssso"), "no feature 'ssso'"),
        (AddOverride(feature="sso", amount=3), "does not fit"),
        (AddOverride(feature="projects", amount="1.5"), "1 decimal;"),
        (AddOverride(feature="sso", when="user.roles ="), "does not fit"),
        (AddOverride(feature="sso", effect="deny", amount=3), "no amount"),
        (AddOverride(feature="sso", ends_at=BOUGHT), "not after the start"),
    ],
)
async def test_an_override_that_does_not_fit_its_feature_is_refused(
    desk: Desk, command: AddOverride, words: str
) -> None:
    """The same rules as for a catalog's includes hold for exceptions."""
    await new_customer(desk)
    with pytest.raises(Invalid, match=words):
        async with desk.write() as tx:
            await add_override(tx, "acme", command, desk.catalogs)


async def test_the_past_of_an_override_stays_as_it_was(desk: Desk) -> None:
    """An override cannot be ended yesterday, nor twice, nor where there is none."""
    await new_customer(desk)
    async with desk.write() as tx:
        given = await add_override(tx, "acme", AddOverride(feature="sso"), desk.catalogs)
    with pytest.raises(Invalid, match="has passed"):
        async with desk.write() as tx:
            await end_override(tx, "acme", given.id, EndOverride(at=LATER - timedelta(days=1)))
    async with desk.write() as tx:
        await end_override(tx, "acme", given.id, EndOverride())
    with pytest.raises(Conflict, match="ends already"):
        async with desk.write() as tx:
            await end_override(tx, "acme", given.id, EndOverride())
    with pytest.raises(NotFound, match="no override"):
        async with desk.write() as tx:
            await end_override(tx, "acme", "ovr_none", EndOverride())


async def test_a_suspension_blocks_everything_until_resumed(desk: Desk) -> None:
    """Whatever was bought, a suspended customer may do nothing; resumed, it may again."""
    await new_customer(desk)
    await sold(desk, "business")
    async with desk.write() as tx:
        await suspend(tx, "acme", Suspend(note="chargeback"))
    assert await reason(desk) == "customer_suspended"
    with pytest.raises(Conflict, match="suspended already"):
        async with desk.write() as tx:
            await suspend(tx, "acme", Suspend())
    async with desk.write() as tx:
        await resume(tx, "acme", Suspend(note="paid"))
    assert await reason(desk) == "entitled"
    with pytest.raises(Conflict, match="not suspended"):
        async with desk.write() as tx:
            await resume(tx, "acme", Suspend())


async def test_an_order_creates_its_customer_with_what_the_seller_knows(desk: Desk) -> None:
    """The client reference names the customer, the external id is remembered, the profile is taken once."""
    result = await placed(desk, order(region="eu", country="DE", attributes={"segment": "mid"}))
    assert (result.customer, result.outcome) == ("acme", "applied")
    profile = (await desk.terms("acme")).profile
    assert (profile.region, profile.country, profile.attributes) == ("eu", "DE", {"segment": "mid"})
    again = await placed(desk, order(occurred_at=BOUGHT + timedelta(days=1), region="us"))
    assert (await desk.terms("acme")).profile.region == "eu"
    assert again.customer == "acme"


async def test_the_same_order_again_leaves_nothing(desk: Desk) -> None:
    """Sending an order twice is answered as a duplicate and writes no event and no terms."""
    first = await placed(desk, order())
    before = await desk.events()
    again = await placed(desk, order())
    assert (again.outcome, again.subscription, again.order) == ("duplicate", first.subscription, None)
    assert await desk.events() == before


async def test_the_order_of_matching(desk: Desk) -> None:
    """A known external id beats metadata, metadata beats the client reference, and disagreement is a finding."""
    await new_customer(desk, "meta")
    await new_customer(desk, "ref")
    said = CustomerReferences(external_id="001", metadata="meta", client_reference="ref")
    first = await placed(desk, order(customer=said))
    assert first.customer == "meta"
    assert [one.kind for one in first.findings] == ["customer_contradiction"]
    other = CustomerReferences(external_id="001", metadata="ref")
    second = await placed(desk, order(external_id="deal-2", customer=other))
    assert second.customer == "meta"
    async with desk.read() as view:
        (finding,) = await view.findings(FindingFilter(state="open"), Page())
    assert (finding.subject, finding.seen, finding.severity) == ("crm:001", 2, "high")
    assert [one.severity for one in (*first.findings, *second.findings)] == ["high", "high"]


async def test_a_foreign_subscription_stays_with_its_customer(desk: Desk) -> None:
    """An order for a known subscription that names another customer changes that subscription and moves nothing."""
    first = await placed(desk, order())
    moved = order(
        customer=CustomerReferences(id="thief"), occurred_at=BOUGHT + timedelta(days=1), lines=(OrderLine(plan="team"),)
    )
    second = await placed(desk, moved)
    assert (second.customer, second.subscription) == ("acme", first.subscription)
    assert [one.kind for one in second.findings] == ["customer_contradiction"]
    async with desk.read() as view:
        assert await view.customer("thief") is None


async def test_a_second_foreign_id_of_one_customer_is_a_finding(desk: Desk) -> None:
    """A customer known to a source as 001 is not silently also 002; the order still counts."""
    await placed(desk, order())
    second = await placed(desk, order(external_id="deal-2", customer=CustomerReferences(id="acme", external_id="002")))
    assert (second.customer, [one.kind for one in second.findings]) == ("acme", ["customer_twice_in_source"])
    async with desk.read() as view:
        assert await view.customer_by_external_id("crm", "002") is None


async def test_a_foreign_id_never_merges_with_a_customer_of_that_name(desk: Desk) -> None:
    """Where only a foreign id names the buyer and a customer has that id here, a person has to say who is who."""
    await new_customer(desk, "001")
    with pytest.raises(Invalid, match="not known from crm"):
        await placed(desk, order(customer=CustomerReferences(external_id="001")))
    with pytest.raises(Invalid, match="names no customer"):
        await placed(desk, order(customer=CustomerReferences()))


async def test_an_order_of_tomorrow_is_refused(desk: Desk) -> None:
    """An order far in the future would shadow every later one; effective_at is for what begins later."""
    with pytest.raises(Invalid, match="in the future"):
        await placed(desk, order(occurred_at=LATER + timedelta(days=2)))
    ahead = await placed(desk, order(occurred_at=LATER, effective_at=LATER + timedelta(days=60)))
    assert ahead.outcome == "applied"


async def test_two_orders_of_one_instant_with_other_content_are_a_finding(desk: Desk) -> None:
    """The first one stays in force, and somebody is told; a sequence decides where there is one."""
    await placed(desk, order())
    tie = await placed(desk, order(lines=(OrderLine(price="MER-TEAM"),)))
    assert (tie.outcome, [one.kind for one in tie.findings]) == ("conflict", ["order_conflict"])
    decided = await placed(desk, order(lines=(OrderLine(price="MER-TEAM"),), sequence=7))
    assert decided.outcome == "applied"


async def test_terms_keep_their_revisions(desk: Desk) -> None:
    """Every transaction that changes terms appends one revision; the earlier ones can be read."""
    await placed(desk, order())
    await sold(desk, "team")
    async with desk.read() as view:
        newest = await get_terms(view, "acme")
        history = await view.terms_history("acme", Page())
    assert [row.revision for row in history] == list(range(newest.revision, 0, -1))
    assert [len(row.terms.subscriptions) for row in history] == [2, 1]


async def test_a_key_bound_to_a_customer_orders_for_no_other(desk: Desk) -> None:
    """Whoever the order turns out to be about is what counts, not what it says about itself."""
    await placed(desk, order())
    await new_customer(desk, "rival")
    bound = Actor(id="key:bound", scopes=frozenset({"orders"}), customer="rival")
    for stolen in (
        order(customer=CustomerReferences(id="rival"), occurred_at=BOUGHT + timedelta(days=1)),
        order(external_id="deal-9"),
        order(external_id="deal-9", customer=CustomerReferences(external_id="009")),
    ):
        with pytest.raises(Forbidden, match="bound to customer rival"):
            async with desk.write(bound) as tx:
                await receive_order(tx, stolen, desk.catalogs)
    async with desk.write(bound) as tx:
        own = order(external_id="deal-9", customer=CustomerReferences(id="rival"))
        assert (await receive_order(tx, own, desk.catalogs)).customer == "rival"
