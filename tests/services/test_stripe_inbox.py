"""Stripe's deliveries through the inbox on a real database: the same terms whatever the order of arrival."""

from asyncio import gather
from itertools import permutations
from random import Random

import pytest
from msgspec import structs

from licet.core.terms import Phase, Terms
from licet.services.catalogs import apply_catalog
from licet.services.deliveries import get_delivery, retry_delivery
from licet.services.errors import BadSignature, Conflict, NotFound
from licet.services.rows import FindingFilter, Page
from licet.services.sources import PutSource, put_source
from licet.testing.stripe import SignedDelivery
from tests.services.desk import SECRET, Desk, story


def bare(terms: Terms, customer: str = "") -> Terms:
    """Terms without what differs between two worlds: ids that Licet gives, and which event brought what."""
    return structs.replace(
        terms,
        customer=customer or terms.customer,
        subscriptions=tuple(
            structs.replace(
                one,
                id="sub",
                event=None,
                end_event=None,
                phases=_origins_left_out(one.phases),
                schedule=one.schedule
                and structs.replace(one.schedule, event=None, phases=_origins_left_out(one.schedule.phases)),
                pauses=tuple(structs.replace(pause, event=None) for pause in one.pauses),
                payments=tuple(structs.replace(fact, event=None) for fact in one.payments),
            )
            for one in terms.subscriptions
        ),
    )


def _origins_left_out(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    return tuple(structs.replace(phase, event=None) for phase in phases)


async def test_one_order_becomes_terms_and_events(desk: Desk) -> None:
    """A signed subscription creates its customer, its terms and events that say who, what and because of which one."""
    told = story("acme")
    created = told.subscribe("price_team_monthly", 3)
    result = await desk.deliver(created)
    assert (result.outcome, result.words) == ("applied", "order for customer acme: applied")
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [(item.id, item.quantity, item.quantity_of) for item in subscription.phases[0].items] == [
        ("team", 3, "editor")
    ]
    events = await desk.events()
    ours = [event for event in events if event.cause == f"delivery/stripe/{created.id}"]
    assert [event.type for event in ours] == ["customer.created", "order.applied", "subscription.created"]
    assert {event.actor for event in ours} == {"source:stripe"}
    assert subscription.event == ours[1].id
    assert result.seq == ours[-1].seq


def short_history(customer: str | None) -> list[SignedDelivery]:
    """Bought with a trial, upgraded during it, a payment that fails and the one that succeeds."""
    told = story(customer)
    history = [told.subscribe("price_team_monthly", 3, trial_days=14)]
    history.append(told.wait(days=5).upgrade("price_business_monthly"))
    told.end_trial()
    history.append(told.fail_payment())
    history.append(told.wait(days=3).pay())
    return history


def long_history(customer: str | None) -> list[SignedDelivery]:
    """A year of one subscription: trial, changes, missed payments, a pause, the end."""
    told = story(customer)
    return [
        told.subscribe("price_team_monthly", 3, trial_days=14),
        told.trial_will_end(),
        told.end_trial(),
        told.pay(),
        told.wait(days=10).add_item("price_api_boost_monthly"),
        told.wait(days=10).upgrade("price_business_monthly", 5),
        told.renew(),
        told.fail_payment(),
        told.updated(),
        told.wait(days=4).pay(),
        told.updated(),
        told.wait(days=20).pause(),
        told.wait(days=20).resume(),
        told.wait(days=3).cancel(),
        told.delete(),
    ]


async def told_in_order(desk: Desk, number: int, deliveries: list[SignedDelivery], catalog: bytes) -> Terms:
    """The terms of ``acme`` in a workspace of its own after these deliveries, in this order."""
    other = await desk.branch(f"told-{number}", catalog)
    for delivery in deliveries:
        result = await other.deliver(delivery)
        assert result.outcome in ("applied", "stale", "duplicate", "waiting"), result
    return await other.terms("acme")


async def test_every_order_of_arrival_gives_the_same_terms(desk: Desk, meridian: bytes) -> None:
    """All 24 orders of four deliveries, each delivered again afterwards, end in the terms of the true order."""
    history = short_history("acme")
    truth = bare(await told_in_order(desk, 0, history, meridian))
    assert len(truth.subscriptions[0].phases) == 2
    assert [fact.kind for fact in truth.subscriptions[0].payments] == ["failed", "paid"]
    for number, order in enumerate(permutations(history), start=1):
        terms = await told_in_order(desk, number, [*order, *history], meridian)
        assert bare(terms) == truth, [delivery.type for delivery in order]


async def test_a_long_history_in_random_orders_gives_the_same_terms(desk: Desk, meridian: bytes) -> None:
    """Fifteen deliveries of a whole life, shuffled and some of them twice, end in the terms of the true order."""
    history = long_history("acme")
    truth = bare(await told_in_order(desk, 0, history, meridian))
    (subscription,) = truth.subscriptions
    assert len(subscription.phases) == 3
    assert len(subscription.pauses) == 1
    assert subscription.ends_at is not None
    for number in range(1, 13):
        shuffled = list(history) + Random(number).sample(history, 4)
        Random(100 + number).shuffle(shuffled)
        terms = await told_in_order(desk, number, shuffled, meridian)
        assert bare(terms) == truth, [delivery.type for delivery in shuffled]


async def test_a_checkout_that_says_who_it_is_may_come_at_any_time(desk: Desk, meridian: bytes) -> None:
    """With unknown_customer=wait an order and its payment wait for the checkout that names the customer."""
    told = story(None)
    history = [told.subscribe("price_team_monthly", 2)]
    history += [told.checkout("acme"), told.pay(), told.upgrade("price_business_monthly")]
    truth: Terms | None = None
    for number, order in enumerate(permutations(history)):
        other = await desk.branch(f"wait-{number}", meridian)
        async with other.write() as tx:
            await put_source(tx, "stripe", PutSource(kind="stripe", settings={"unknown_customer": "wait"}))
        for delivery in order:
            await other.deliver(delivery)
        terms = bare(await other.terms("acme"))
        truth = truth or terms
        assert terms == truth, [delivery.type for delivery in order]
        async with other.read() as view:
            assert {row.outcome for row in await view.deliveries("stripe", Page())} == {"applied"}
            assert await view.customer_by_external_id("stripe", told.buyer.id) == "acme"


async def test_the_same_delivery_again_is_a_duplicate_and_writes_nothing(desk: Desk) -> None:
    """A second attempt differs in its envelope only: it is answered well and leaves no event."""
    told = story("acme")
    first = told.subscribe("price_team_monthly")
    await desk.deliver(first)
    before = await desk.events()
    again = await desk.deliver(told.again(first))
    assert (again.outcome, again.words) == ("duplicate", "came before and ended as applied")
    assert await desk.events() == before


async def test_one_id_with_other_content_is_a_finding(desk: Desk) -> None:
    """The first message of an id counts; another content under it is kept from the terms and reported."""
    told = story("acme")
    first = told.subscribe("price_team_monthly", 1)
    await desk.deliver(first)
    forged = structs.replace(first, body=first.body.replace(b'"quantity": 1', b'"quantity": 99'))
    result = await desk.deliver(forged)
    assert result.outcome == "finding"
    assert (await desk.terms("acme")).subscriptions[0].phases[0].items[0].quantity == 1
    async with desk.read() as view:
        assert [row.kind for row in await view.findings(FindingFilter(state="open"), Page())] == ["delivery_changed"]
        assert (await get_delivery(view, "stripe", first.id)).body == first.body


async def test_a_payment_before_its_subscription_is_not_lost(desk: Desk) -> None:
    """An invoice of an unknown customer waits in the inbox and counts when its subscription arrives."""
    told = story("acme")
    subscription, payment = told.subscribe("price_team_monthly"), told.pay()
    early = await desk.deliver(payment)
    assert early.outcome == "waiting"
    await desk.deliver(subscription)
    (one,) = (await desk.terms("acme")).subscriptions
    assert [fact.kind for fact in one.payments] == ["paid"]
    async with desk.read() as view:
        row = await get_delivery(view, "stripe", payment.id)
    assert (row.outcome, row.awaits) == ("applied", None)


async def test_a_failed_first_payment_gives_nothing_until_it_is_made(desk: Desk) -> None:
    """An incomplete subscription is ignored; the update that makes it active is the first order."""
    told = story("acme")
    assert (await desk.deliver(told.subscribe("price_team_monthly", incomplete=True))).outcome == "ignored"
    told.pay()
    assert (await desk.deliver(told.updated())).outcome == "applied"
    assert len((await desk.terms("acme")).subscriptions) == 1


async def test_who_did_not_sign_gets_nothing_in(desk: Desk) -> None:
    """A signature of another secret is refused before anything is kept; so is a source that is off or not there."""
    told = story("acme")
    stolen = told.subscribe("price_team_monthly").signed("whsec_of_somebody_else", told.now)
    with pytest.raises(BadSignature):
        await desk.deliver_as_is(stolen)
    with pytest.raises(NotFound):
        await desk.deliver(stolen, source="nowhere")
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", disabled=True))
    with pytest.raises(Conflict):
        await desk.deliver(told.updated())
    async with desk.read() as view:
        assert await view.deliveries("stripe", Page()) == []


async def test_what_cannot_be_read_is_kept_as_a_dead_letter(desk: Desk) -> None:
    """A signed message of an unknown status is answered, kept with words and reported; it can be tried again."""
    told = story("acme")
    strange = told.subscribe("price_team_monthly")
    strange = structs.replace(strange, body=strange.body.replace(b'"status": "active"', b'"status": "dreaming"'))
    result = await desk.deliver(strange)
    assert result.outcome == "failed"
    assert "'dreaming'" in result.words
    noise = structs.replace(strange, body=b"\xff{not json")
    assert (await desk.deliver(noise)).outcome == "failed"
    async with desk.read() as view:
        assert {row.kind for row in await view.findings(FindingFilter(state="open"), Page())} == {"delivery_failed"}
        assert {row.body for row in await view.deliveries("stripe", Page())} == {strange.body, noise.body}
    assert (await retry_delivery(desk.inbox, desk.workspace, "stripe", strange.id)).outcome == "failed"
    with pytest.raises(NotFound):
        await retry_delivery(desk.inbox, desk.workspace, "stripe", "evt_never")


async def test_a_price_nobody_explained_is_a_finding_and_can_be_placed_later(desk: Desk, meridian: bytes) -> None:
    """Unknown prices give nothing and say why; once the catalog explains them, the next event places the order."""
    told = story("acme")
    first = told.subscribe("price_brand_new")
    assert (await desk.deliver(first)).outcome == "finding"
    assert (await desk.terms("acme")).subscriptions == ()
    mended = meridian.replace(
        b"price_free: {plan: free}", b"price_free: {plan: free}\n    price_brand_new: {plan: team}"
    )
    async with desk.write() as tx:
        await apply_catalog(tx, mended, 1)
    assert (await desk.deliver(told.change_quantity(2))).outcome == "applied"
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert subscription.phases[0].items[0].id == "team"


async def test_messages_that_arrive_at_once_make_one_customer(desk: Desk) -> None:
    """Ten attempts and events of one new customer side by side end in one customer, one subscription, no failure."""
    told = story("acme")
    history = [told.subscribe("price_team_monthly", 1), told.pay()]
    history += [told.wait(days=1).change_quantity(number) for number in (2, 3, 4)]
    results = await gather(*(desk.deliver(delivery) for delivery in history * 2))
    assert {result.outcome for result in results} <= {"applied", "stale", "duplicate", "waiting"}, results
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [phase.items[0].quantity for phase in subscription.phases] == [1, 2, 3, 4]
    assert len(await desk.events(type="customer.created")) == 1


async def test_a_payment_beside_its_subscription_never_waits_for_ever(desk: Desk) -> None:
    """Thirty times an order and its payment arrive at the same moment; afterwards no payment is left waiting."""
    for number in range(30):
        told = story(f"customer-{number}", seed=number)
        await gather(*(desk.deliver(one) for one in (told.subscribe("price_team_monthly"), told.pay())))
        (subscription,) = (await desk.terms(f"customer-{number}")).subscriptions
        assert [fact.kind for fact in subscription.payments] == ["paid"], number


async def test_two_accounts_share_the_explanation_of_prices(desk: Desk) -> None:
    """A second Stripe source uses the section of its kind, or the one that its settings name."""
    for number, settings in enumerate(({}, {"mapping": "stripe"}, {"mapping": "crm"})):
        async with desk.write() as tx:
            await put_source(tx, f"stripe-{number}", PutSource(kind="stripe", secrets=(SECRET,), settings=settings))
        told = story(f"acme-{number}", seed=number)
        result = await desk.deliver(told.subscribe("price_team_monthly"), source=f"stripe-{number}")
        assert result.outcome == ("finding" if settings == {"mapping": "crm"} else "applied")
