"""What Stripe's statuses and quantities bring about: ends without lines, lateness heard first, forgotten debts."""

import json
from datetime import UTC, datetime

import pytest
from msgspec import structs

from licet.core.question import Question
from licet.services.checks import check
from licet.services.rows import FindingFilter, Page
from licet.testing.stripe import SignedDelivery
from tests.services.desk import Desk, story


async def reason(desk: Desk) -> str:
    """The reason of the decision about a feature of Team, long after the story."""
    async with desk.read() as view:
        return (await check(view, Question(customer="acme", feature="scenario_planning"), desk.snapshots)).reason


async def kinds(desk: Desk) -> list[str]:
    """The kinds of the open findings."""
    async with desk.read() as view:
        return sorted(row.kind for row in await view.findings(FindingFilter(state="open"), Page()))


def without_change(delivery: SignedDelivery) -> SignedDelivery:
    """The delivery as if it had not said what changed."""
    event = json.loads(delivery.body)
    event["data"].pop("previous_attributes", None)
    return structs.replace(delivery, body=json.dumps(event).encode())


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 1, 0), (2, 0, 1), (1, 0, 2)])
async def test_a_cancellation_without_quantities_ends_the_subscription(desk: Desk, places: tuple[int, ...]) -> None:
    """Seats go to zero, then it is canceled: in any order of arrival nothing is given any more."""
    told = story()
    history = [
        told.subscribe("price_team_monthly", 2),
        told.wait(days=2).change_quantity(0),
        told.wait(days=2).delete(),
    ]
    for place in places:
        assert (await desk.deliver(history[place])).outcome in ("applied", "duplicate", "stale", "finding")
    assert await kinds(desk) == []
    assert await reason(desk) == "not_entitled"
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert subscription.ends_at == datetime.fromtimestamp(history[2].created, UTC)
    assert [len(phase.items) for phase in subscription.phases] == [1, 0]


async def test_an_active_subscription_of_nothing_gives_nothing_until_it_has_items_again(desk: Desk) -> None:
    """Quantity zero takes effect when it happened, with a finding; a quantity brings the item back."""
    told = story()
    await desk.deliver(told.subscribe("price_team_monthly", 2))
    permitted = await reason(desk)
    await desk.deliver(told.wait(days=2).change_quantity(0))
    assert (await reason(desk), await kinds(desk)) == ("not_entitled", ["nothing_sold"])
    await desk.deliver(told.wait(days=2).change_quantity(3))
    assert await reason(desk) == permitted != "not_entitled"


async def test_a_cancellation_of_prices_nobody_knows_ends_too(desk: Desk) -> None:
    """A price that means nothing here cannot keep a canceled subscription alive."""
    told = story()
    await desk.deliver(told.subscribe("price_team_monthly", 2))
    gone = told.wait(days=2).delete()
    unknown = structs.replace(gone, body=gone.body.replace(b"price_team_monthly", b"price_of_tomorrow"))
    assert unknown.body != gone.body
    assert (await desk.deliver(unknown)).outcome == "applied"
    assert (await reason(desk), await kinds(desk)) == ("ended", ["unknown_price"])


async def test_lateness_that_is_heard_first_counts(desk: Desk) -> None:
    """A status that was late before anybody listened is a failed payment; active again, it is paid."""
    told = story()
    told.subscribe("price_team_monthly", 2)
    told.wait(days=31).fail_payment()
    told.updated()
    assert (await desk.deliver(without_change(told.wait(days=1).updated()))).outcome == "applied"
    (late,) = (await desk.terms("acme")).subscriptions
    assert [fact.kind for fact in late.payments] == ["failed"]
    told.wait(days=1).pay()
    await desk.deliver(told.updated())
    (again,) = (await desk.terms("acme")).subscriptions
    assert [(fact.kind, fact.invoice) for fact in again.payments] == [
        ("failed", late.payments[0].invoice),
        ("paid", late.payments[0].invoice),
    ]
    assert await kinds(desk) == []


async def test_a_debt_that_the_seller_forgot_is_a_finding(desk: Desk) -> None:
    """Active after a later invoice was paid: the earlier one is still owed, the ladder goes on, somebody is told."""
    told = story()
    for delivery in (told.subscribe("price_team_monthly", 2), told.pay(), told.wait(days=31).renew()):
        await desk.deliver(delivery)
    for delivery in (told.wait(hours=1).fail_payment(), told.updated()):
        await desk.deliver(delivery)
    assert await kinds(desk) == []
    told.wait(days=30).renew()
    for delivery in (told.wait(hours=1).pay(), told.updated()):
        await desk.deliver(delivery)
    async with desk.read() as view:
        (found,) = await view.findings(FindingFilter(state="open"), Page())
    (subscription,) = (await desk.terms("acme")).subscriptions
    (owed,) = {fact.invoice for fact in subscription.payments if fact.kind == "failed"} - {
        fact.invoice for fact in subscription.payments if fact.kind == "paid"
    }
    assert (found.kind, found.evidence["invoices"]) == ("payment_state_differs", [owed])
    assert await reason(desk) == "ended"


async def test_an_invoice_voided_after_the_end_is_a_finding(desk: Desk) -> None:
    """What the ladder has ended stays ended when the seller takes the invoice back; somebody is told."""
    told = story()
    for delivery in (told.subscribe("price_team_monthly", 2), told.pay(), told.wait(days=31).renew()):
        await desk.deliver(delivery)
    await desk.deliver(told.wait(hours=1).fail_payment())
    assert await reason(desk) == "ended"
    assert (await desk.deliver(told.wait(days=90).void())).outcome == "applied"
    assert await reason(desk) == "ended"
    assert await kinds(desk) == ["paid_after_end"]


@pytest.mark.parametrize("places", [(0, 1, 2, 3, 4), (0, 1, 3, 2, 4), (3, 2, 1, 4, 0), (4, 0, 2, 3, 1)])
async def test_a_debt_that_was_only_heard_of_late_leaves_no_finding(desk: Desk, places: tuple[int, ...]) -> None:
    """Active is heard before the payment that made it so: once all have come, nothing is open, in any order."""
    told = story()
    history = [told.subscribe("price_team_monthly", 2), told.wait(days=31).fail_payment()]
    history.append(told.wait(days=1).pay())
    told.updated()
    history += [told.wait(days=1).change_quantity(3), told.wait(days=1).change_quantity(4)]
    for place in places:
        assert (await desk.deliver(history[place])).outcome in ("applied", "stale", "duplicate", "waiting", "finding")
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [fact.kind for fact in subscription.payments] == ["failed", "paid"]
    assert await kinds(desk) == []


async def test_the_third_change_of_a_second_counts(desk: Desk) -> None:
    """To 9 seats, back to 5 and to 9 again within one second: the last says what the first said, and is in force."""
    told = story()
    await desk.deliver(told.subscribe("price_team_monthly", 5))
    told.wait(days=1)
    changes = [told.change_quantity(9), told.together().change_quantity(5), told.together().change_quantity(9)]
    for change in changes:
        assert (await desk.deliver(change)).outcome == "applied"
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [item.quantity for item in subscription.phases[-1].items] == [9]
    async with desk.read() as view:
        assert await view.findings(FindingFilter(state="open"), Page()) == []
