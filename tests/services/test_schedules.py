"""Schedules and ties at the database: who waits for whom, what the log holds, which findings are settled."""

from datetime import datetime, timedelta

import pytest
from msgspec import structs

from licet.core.derive import derive
from licet.core.instant import to_instant
from licet.core.orders import CustomerReferences, OrderLine, ScheduledLines, ScheduleNotice
from licet.core.terms import PaymentFact
from licet.services.errors import Invalid
from licet.services.orders import OrderResult, receive_schedule
from licet.services.rows import FindingFilter, Page
from tests.services.desk import Desk
from tests.services.test_late_orders import ACME, contents, may, released
from tests.services.test_late_orders import BUSINESS as BUSINESS_PRICE
from tests.services.test_terms import order, placed

TEAM = OrderLine(price="MER-TEAM", quantity=3)
BUSINESS = OrderLine(price="MER-BUS", quantity=5)


def steps(*what: tuple[datetime, OrderLine]) -> tuple[ScheduledLines, ...]:
    """What is planned."""
    return tuple(ScheduledLines(effective_at=when, lines=(line,)) for when, line in what)


async def scheduled(desk: Desk, when: datetime, *what: tuple[datetime, OrderLine]) -> OrderResult | None:
    """Receive a plan of the CRM."""
    notice = ScheduleNotice(source="crm", external_id="deal-1", customer=ACME, occurred_at=when, phases=steps(*what))
    async with desk.write() as tx:
        return await receive_schedule(tx, notice, desk.catalogs)


async def test_a_ramp_is_in_force_step_by_step(desk: Desk) -> None:
    """An order's plan is in the terms, the log holds what it meant, and the same order again is a duplicate."""
    ramp = order(customer=ACME, occurred_at=may(1), lines=(TEAM,), scheduled=steps((may(10), BUSINESS)))
    assert (await placed(desk, ramp)).outcome == "applied"
    assert contents(await desk.terms("acme")) == [
        (may(1), [("team", "2026-07", 3)]),
        (may(10), [("business", "2026-01", 5)]),
    ]
    (event,) = await desk.events(type="order.applied")
    assert [one.get("from") for one in event.after["items"]] == [None, "2027-05-10T00:00:00Z"]
    assert (await placed(desk, ramp)).outcome == "duplicate"
    late = order(customer=ACME, occurred_at=may(1) - timedelta(days=9), lines=(TEAM,))
    assert (await placed(desk, late)).outcome == "applied"
    assert [starts for starts, _ in contents(await desk.terms("acme"))][-1] == may(10)


@pytest.mark.parametrize(
    "what", [((may(1), TEAM),), ((may(9), TEAM), (may(9), BUSINESS)), ((may(9), TEAM), (may(8), BUSINESS))]
)
async def test_a_plan_out_of_order_is_refused(desk: Desk, what: tuple[tuple[datetime, OrderLine], ...]) -> None:
    """Each step begins after the one before, and all after the lines; the error names the place. So for schedules."""
    with pytest.raises(Invalid, match=r"scheduled\[\d\].effective_at: .* is not after"):
        await placed(desk, order(customer=ACME, occurred_at=may(1), scheduled=steps(*what)))
    with pytest.raises(Invalid, match=r"phases\[\d\].effective_at: .* is not after"):
        await scheduled(desk, may(1), *what)


async def test_a_schedule_waits_for_its_subscription(desk: Desk) -> None:
    """None is answered, and nothing written, until the subscription is known; then it is recorded once."""
    assert await scheduled(desk, may(2), (may(20), BUSINESS)) is None
    assert await desk.events(type="schedule.recorded") == []
    first = await placed(desk, order(customer=ACME, occurred_at=may(5), lines=(TEAM,)))
    result = await scheduled(desk, may(2), (may(20), BUSINESS))
    assert result is not None
    assert (result.outcome, result.subscription) == ("applied", first.subscription)
    (event,) = await desk.events(type="schedule.recorded")
    assert event.subject == "schedule/crm/deal-1"
    assert event.after["notice"]["phases"][0]["effective_at"] == "2027-05-20T00:00:00Z"
    assert [(one["id"], one["sold"]) for one in event.after["items"]] == [("business", "2026-01")]
    again = await scheduled(desk, may(2), (may(20), BUSINESS))
    assert again is not None
    assert (again.outcome, len(await desk.events(type="schedule.recorded"))) == ("duplicate", 1)
    older = await scheduled(desk, may(1), (may(20), TEAM))
    assert older is not None
    assert (older.outcome, len(await desk.events(type="schedule.stale"))) == ("stale", 1)


async def test_a_late_order_carries_the_schedule(desk: Desk) -> None:
    """The past is told anew and what is planned stays, from the event that told it; both are in force in their time."""
    await placed(desk, order(customer=ACME, occurred_at=may(5), lines=(TEAM,)))
    await scheduled(desk, may(6), (may(20), structs.replace(TEAM, quantity=8)))
    (before,) = (await desk.terms("acme")).subscriptions
    await placed(desk, order(customer=ACME, occurred_at=may(3), lines=(TEAM,), starts_at=may(1)))
    await placed(desk, order(customer=ACME, occurred_at=may(7), lines=(structs.replace(TEAM, quantity=4),)))
    (after,) = (await desk.terms("acme")).subscriptions
    assert before.schedule is not None
    assert after.schedule == before.schedule
    async with desk.read() as view:
        catalog = await desk.catalogs.current(view)
    terms = await desk.terms("acme")
    held = [derive(catalog, terms, to_instant(when)).held[0] for when in (may(6), may(8), may(21))]
    amounts = [[item.quantity for item in one.segment.state.items] for one in held]
    assert amounts == [[3], [4], [8]]


async def test_two_schedules_of_one_instant_are_a_finding(desk: Desk) -> None:
    """The first one stays in force, and the finding names the customer."""
    await placed(desk, order(customer=ACME, occurred_at=may(5), lines=(TEAM,)))
    await scheduled(desk, may(6), (may(20), BUSINESS))
    tie = await scheduled(desk, may(6), (may(20), TEAM))
    assert tie is not None
    assert (tie.outcome, [one.kind for one in tie.findings]) == ("conflict", ["schedule_conflict"])
    async with desk.read() as view:
        (found,) = await view.findings(FindingFilter(state="open"), Page())
    assert (found.kind, found.subject, found.customer) == ("schedule_conflict", "crm:deal-1", "acme")


async def test_a_tie_is_settled_by_the_order_that_was_missing(desk: Desk) -> None:
    """Two of one second that do not follow one another are a finding, until the one between them arrives."""
    chain = [
        order(customer=ACME, occurred_at=may(5), lines=(line,), state=state, follows=follows)
        for line, state, follows in [
            (TEAM, "b", "a"),
            (BUSINESS, "c", "b"),
            (structs.replace(TEAM, quantity=9), "d", "c"),
        ]
    ]
    await placed(desk, chain[0])
    assert (await placed(desk, chain[2])).outcome == "conflict"
    async with desk.read() as view:
        assert [one.kind for one in await view.findings(FindingFilter(state="open"), Page())] == ["order_conflict"]
    between = await placed(desk, chain[1])
    assert (between.outcome, between.findings) == ("applied", ())
    assert contents(await desk.terms("acme")) == [(may(5), [("team", "2026-07", 9)])]
    async with desk.read() as view:
        (found,) = await view.findings(FindingFilter(), Page())
    assert (found.state, found.note) == ("resolved", f"{between.order} says in which sequence they happened")


async def test_the_payments_of_a_refused_order_count(desk: Desk) -> None:
    """An unknown price is refused; its payment facts are kept, before and after the subscription is known."""
    failed = PaymentFact(kind="failed", at=may(6), invoice="in_1")
    unknown = order(customer=ACME, occurred_at=may(6), lines=(OrderLine(price="MER-NEW"),), payments=(failed,))
    assert (await placed(desk, unknown)).outcome == "refused"
    assert len((await desk.terms("acme")).early_payments) == 1
    await placed(desk, order(customer=ACME, occurred_at=may(5), lines=(TEAM,)))
    second = structs.replace(failed, at=may(7), invoice="in_2")
    assert (await placed(desk, structs.replace(unknown, payments=(second,)))).outcome == "refused"
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [one.invoice for one in subscription.payments] == ["in_1", "in_2"]


async def test_what_ends_before_it_begins_leaves_a_finding_alone(desk: Desk) -> None:
    """A cancelled deal that was never known is refused; the customer has no subscription, and somebody is told."""
    said = CustomerReferences(id="acme")
    result = await placed(desk, order(customer=said, occurred_at=may(5), starts_at=may(9), ends_at=may(10)))
    assert result.outcome == "applied"
    never = order(external_id="deal-2", customer=said, occurred_at=may(5), ends_at=may(4))
    refused = await placed(desk, never)
    assert (refused.outcome, refused.subscription) == ("refused", None)
    assert [one.kind for one in refused.findings] == ["ends_before_start"]
    assert len((await desk.terms("acme")).subscriptions) == 1


async def test_what_is_refused_again_leaves_nothing_but_is_tried(desk: Desk, meridian: bytes) -> None:
    """The same order is in the log once, its finding counts; as soon as its lines mean something, it is placed."""
    unknown = order(customer=ACME, occurred_at=may(6), lines=(OrderLine(price="MER-NEW"),))
    for times in (1, 2, 3):
        again = await placed(desk, unknown)
        assert (again.outcome, again.order is None, len(again.findings)) == ("refused", times > 1, 1)
    assert len(await desk.events(type="order.refused")) == 1
    async with desk.read() as view:
        (found,) = await view.findings(FindingFilter(state="open"), Page())
    assert (found.kind, found.seen) == ("unknown_price", 3)
    known = BUSINESS_PRICE + BUSINESS_PRICE.replace(b"MER-BUS", b"MER-NEW")
    await released(desk, meridian.replace(BUSINESS_PRICE, known))
    assert (await placed(desk, unknown)).outcome == "applied"
