"""Disputes and refunds: whatever comes first, the invoice ends as the newest fact says, and nobody waits for ever."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random

import pytest

from licet.core.money import Money
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine, PaymentLink, PaymentNotice, Reversal
from licet.core.terms import PaymentFact
from licet.services.deliveries import Inbox
from licet.services.rows import FindingFilter, FindingRow, Page
from licet.testing.stripe import SignedDelivery, StripeStory
from tests.dose import DOSE
from tests.services.desk import Desk, story
from tests.services.spoken import Spoken, say

DAY = timedelta(days=1)
T0 = datetime(2026, 12, 1, tzinfo=UTC)


def disputed(told: StripeStory, *, lost: bool) -> list[SignedDelivery]:
    """Bought, paid, which payment that was, taken back, and how the dispute ended."""
    deliveries = [
        told.subscribe("price_team_monthly", 2),
        told.pay(),
        told.payment_made(),
        told.wait(days=5).dispute(),
    ]
    told.wait(days=20)
    return [*deliveries, told.lose_dispute() if lost else told.win_dispute()]


async def findings(desk: Desk, kind: str = "payment_disputed") -> list[FindingRow]:
    """All findings of a kind that are open."""
    async with desk.read() as view:
        return [*await view.findings(FindingFilter(state="open", kind=kind), Page(limit=500))]


async def nothing_waits(desk: Desk) -> None:
    """No message of the source waits or has failed."""
    async with desk.read() as view:
        assert [*await view.undone("stripe", ("failed", "waiting"), 100)] == []


def kinds_of(facts: tuple[PaymentFact, ...]) -> list[str]:
    """The kinds of facts in their order of time."""
    return [fact.kind for fact in facts]


@pytest.mark.parametrize("lost", [False, True], ids=["won", "lost"])
async def test_every_order_of_arrival_ends_alike(desk: Desk, lost: bool) -> None:
    """Orders of a disputed purchase: the same facts, nothing waits, and a finding only where money is gone.

    A sample of the 120 of each, in the full dose all.
    """
    orders = [*permutations(range(5))]
    if DOSE != "full":
        orders = Random(5).sample(orders, 30)
    for number, order in enumerate(orders):
        deliveries = disputed(story(f"buyer-{number}", seed=number + 1), lost=lost)
        for place in order:
            result = await desk.deliver(deliveries[place])
            assert result.outcome in ("applied", "waiting", "duplicate"), (order, result)
        (subscription,) = (await desk.terms(f"buyer-{number}")).subscriptions
        assert kinds_of(subscription.payments) == ["paid", "disputed", "uncollectible" if lost else "paid"], order
    await nothing_waits(desk)
    told = {one.customer: one for one in await findings(desk)}
    assert len(told) == (len(orders) if lost else 0)
    for one in told.values():
        assert one.severity == "high"
        assert one.money is not None
        assert "lost" in one.words
        assert one.evidence["invoice"]
        assert one.evidence["subscription"]
        assert one.customer == one.evidence["customer"]


async def test_messages_at_once_leave_nobody_waiting(desk: Desk) -> None:
    """All five at once on connections of their own, forty times: each looks again, so that none waits for ever."""
    random = Random(7)
    for number in range(40):
        deliveries = disputed(story(f"buyer-{number}", seed=number + 1), lost=False)
        random.shuffle(deliveries)
        await asyncio.gather(*(desk.deliver(one) for one in deliveries))
        await nothing_waits(desk)
        (subscription,) = (await desk.terms(f"buyer-{number}")).subscriptions
        assert kinds_of(subscription.payments) == ["paid", "disputed", "paid"], number
    assert await findings(desk) == []


async def test_a_won_dispute_settles_its_finding(desk: Desk) -> None:
    """The finding opens with the dispute, is settled by the source when it is won, and the log tells both."""
    bought, paid, linked, taken, won = disputed(story(), lost=False)
    for one in (bought, paid, linked, taken):
        assert (await desk.deliver(one)).outcome == "applied"
    (opened,) = await findings(desk)
    assert "is open" in opened.words
    assert (await desk.deliver(won)).outcome == "applied"
    assert await findings(desk) == []
    (event,) = await desk.events(type="finding.resolved")
    assert (event.subject, event.actor) == (f"finding/{opened.id}", "source:stripe")


async def test_what_settles_the_invoice_settles_the_dispute(desk: Desk) -> None:
    """A disputed invoice that is declared void is owed no more, in forty orders of arrival: no finding stays."""
    for number, order in enumerate(Random(11).sample([*permutations(range(5))], 40)):
        told = story(f"buyer-{number}", seed=number + 1)
        deliveries = disputed(told, lost=True)[:4]
        deliveries.append(told.wait(days=3).void())
        for place in order:
            await desk.deliver(deliveries[place])
        assert await findings(desk) == [], order
    await nothing_waits(desk)


async def test_a_duplicate_does_nothing_twice(desk: Desk) -> None:
    """A dispute or a refund delivered again leaves no event, counts nothing up and reopens nothing."""
    told = story()
    deliveries = [told.subscribe("price_team_monthly"), told.pay(), told.payment_made(), told.dispute(), told.refund()]
    for one in deliveries:
        await desk.deliver(one)
    before = (await desk.events(), await findings(desk), await findings(desk, "payment_refunded"))
    for one in deliveries:
        assert (await desk.deliver(told.again(one))).outcome == "duplicate"
    assert (await desk.events(), await findings(desk), await findings(desk, "payment_refunded")) == before


async def test_a_refund_changes_no_right(desk: Desk) -> None:
    """A refund in part is a finding, the whole a graver one of the same payment; the terms stay as they are."""
    told = story()
    for one in (told.subscribe("price_team_monthly"), told.pay(), told.payment_made()):
        await desk.deliver(one)
    terms = await desk.terms("acme")
    part, whole = told.wait(days=1).refund(100), told.wait(days=1).refund()
    assert (await desk.deliver(part)).outcome == "finding"
    (found,) = await findings(desk, "payment_refunded")
    assert (found.severity, found.money) == ("medium", Money(amount=100, currency="USD"))
    assert (await desk.deliver(whole)).outcome == "finding"
    (graver,) = await findings(desk, "payment_refunded")
    assert (graver.id, graver.severity, graver.evidence["whole"]) == (found.id, "high", True)
    assert await desk.terms("acme") == terms


async def test_an_older_refund_does_not_hide_the_newer_one(desk: Desk) -> None:
    """The refund of the whole came first: the one of a part, told late, leaves its finding as it is."""
    told = story()
    for one in (told.subscribe("price_team_monthly"), told.pay(), told.payment_made()):
        await desk.deliver(one)
    part, whole = told.wait(days=1).refund(100), told.wait(days=1).refund()
    await desk.deliver(whole)
    before = await findings(desk, "payment_refunded")
    assert (await desk.deliver(part)).outcome == "duplicate"
    assert await findings(desk, "payment_refunded") == before


@pytest.fixture
def spoken(desk: Desk) -> Inbox:
    """An inbox that is told readings."""
    return Inbox(desk.storage, {"stripe": Spoken()}, desk.catalogs)


BOUGHT = OrderDocument(
    source="stripe",
    external_id="sub_1",
    customer=CustomerReferences(id="acme"),
    occurred_at=T0,
    lines=(OrderLine(line="1", plan="team"),),
)
PAID = PaymentNotice(
    source="stripe",
    external_id="sub_1",
    customer=CustomerReferences(),
    payments=(PaymentFact(kind="paid", at=T0 + DAY, invoice="in_1"),),
)
LINKED = PaymentLink(source="stripe", invoice="in_1", payments=("pi_1", "ch_1"))
TAKEN = Reversal(source="stripe", kind="disputed", at=T0 + 2 * DAY, payments=("pi_1", "ch_1"))
BY_CHARGE = Reversal(source="stripe", kind="disputed", at=T0 + 3 * DAY, payments=("ch_1",))


async def test_a_reversal_says_what_it_waits_for(desk: Desk, spoken: Inbox) -> None:
    """First for its payment, then for the invoice's owner, then for the subscription; then it is applied."""

    async def awaited() -> str | None:
        async with desk.read() as view:
            kept = await view.delivery("stripe", "taken")
        assert kept is not None
        return kept.awaits if kept.outcome == "waiting" else kept.outcome

    await say(spoken, "taken", TAKEN)
    assert await awaited() == "pi_1"
    assert (await say(spoken, "linked", LINKED)).outcome == "applied"
    assert await awaited() == "in_1"
    assert (await say(spoken, "paid", PAID)).outcome == "waiting"
    assert await awaited() == "sub_1"
    assert (await say(spoken, "bought", BOUGHT)).outcome == "applied"
    assert await awaited() == "applied"
    await nothing_waits(desk)


async def test_a_link_is_known_once(spoken: Inbox) -> None:
    """The same link in another message teaches nothing; one that says whose the invoice is does."""
    assert (await say(spoken, "one", LINKED)).outcome == "applied"
    assert (await say(spoken, "two", LINKED)).outcome == "duplicate"
    owned = PaymentLink(source="stripe", invoice="in_1", payments=("pi_1",), external_id="sub_1")
    assert (await say(spoken, "three", owned)).outcome == "applied"


async def test_every_order_of_links_and_reversals(desk: Desk, meridian: bytes) -> None:
    """With two reversals by different names of one payment, too, no order of arrival leaves one waiting."""
    told = {"bought": BOUGHT, "paid": PAID, "linked": LINKED, "taken": TAKEN, "by_charge": BY_CHARGE}
    for number, names in enumerate(Random(3).sample([*permutations(told)], 40)):
        other = await desk.branch(f"order-{number}", meridian)
        inbox = Inbox(desk.storage, {"stripe": Spoken()}, desk.catalogs)
        for name in names:
            await say(inbox, name, told[name], workspace=other.workspace)
        async with other.read() as view:
            assert [*await view.undone("stripe", ("failed", "waiting"), 10)] == [], names
        (subscription,) = (await other.terms("acme")).subscriptions
        assert kinds_of(subscription.payments) == ["paid", "disputed", "disputed"], names


async def test_a_dispute_heard_after_it_was_won_opens_nothing(desk: Desk, spoken: Inbox) -> None:
    """The newest fact decides: what is over when it is heard of is not a finding."""
    for name, reading in {"bought": BOUGHT, "paid": PAID, "linked": LINKED}.items():
        await say(spoken, name, reading)
    won = Reversal(source="stripe", kind="dispute_won", at=T0 + 9 * DAY, payments=("pi_1",))
    assert (await say(spoken, "won", won)).outcome == "applied"
    assert (await say(spoken, "taken", TAKEN)).outcome == "applied"
    assert await findings(desk) == []
    again = Reversal(source="stripe", kind="disputed", at=T0 + 10 * DAY, payments=("pi_1",))
    assert (await say(spoken, "again", again)).outcome == "applied"
    assert len(await findings(desk)) == 1
