"""At the end of the calendar: no clock goes beyond the year 9000, and what would be counted beyond 9999 is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.terms import PaymentFact
from licet.services.changes import ChangeSubscription
from licet.services.customers import CreateCustomer, create_customer
from licet.services.deliveries import Inbox
from licet.services.errors import Invalid
from licet.services.leniencies import PauseDunning, PromiseToPay, pause_dunning, promise
from licet.services.orders import receive_order
from licet.services.pauses import PauseSubscription
from licet.services.subscriptions import Cancel, Sell, SoldItem, sell
from licet.services.suspensions import Suspend, suspend
from licet.services.workspaces import MoveClock, move_clock, read_clock
from tests.services.desk import Desk
from tests.services.spoken import Spoken, say
from tests.services.test_changes import sold

LAST = datetime(9000, 12, 31, tzinfo=UTC)


async def late(desk: Desk) -> None:
    """Let the clock stand where it stands latest."""
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(frozen_at=LAST))


@pytest.mark.parametrize("span", ["P1D", "P999Y", "P999Y9999M9999W99999D"])
async def test_no_clock_goes_beyond_the_year_9000(desk: Desk, span: str) -> None:
    """By a day or by thousands of years: it is refused in words, and the clock stays as it is."""
    await late(desk)
    async with desk.write() as tx:
        assert (await move_clock(tx, MoveClock(advance="PT23H59M"))).business < LAST + timedelta(days=1)
        with pytest.raises(Invalid, match="beyond the year 9000"):
            await move_clock(tx, MoveClock(advance=span))
    async with desk.read() as view:
        assert read_clock(view).business == LAST + timedelta(hours=23, minutes=59)


async def test_commands_work_in_the_last_year(desk: Desk) -> None:
    """Selling, changing, promising, pausing and suspending count within the calendar even then."""
    contract = await sold(desk)
    await late(desk)
    assert (await contract.do(ChangeSubscription(quantity=13))).outcome == "applied"
    for command in (ChangeSubscription(quantity=14, at="period_end"), PauseSubscription(at="period_end")):
        with pytest.raises(Invalid, match="the year 9001 is out of range"):
            await contract.do(command)
    async with desk.write() as tx:
        trial = Sell(items=(SoldItem(plan="team"),), trial="PT12H")
        assert (await sell(tx, "acme", trial, desk.catalogs)).outcome == "applied"
        until = PromiseToPay(until=LAST + timedelta(hours=23))
        await promise(tx, "acme", contract.subscription, until, desk.catalogs)
        await pause_dunning(tx, "acme", contract.subscription, PauseDunning(), desk.catalogs)
    assert (await contract.do(Cancel())).outcome == "applied"
    async with desk.write() as tx:
        await suspend(tx, "acme", Suspend())
        beyond = Sell(items=(SoldItem(plan="team"),), trial="P999Y9999M")
        with pytest.raises(Invalid, match="trial"):
            await sell(tx, "acme", beyond, desk.catalogs)


async def test_what_is_counted_beyond_the_calendar_is_refused(desk: Desk) -> None:
    """Whichever command counts a date beyond the year 9999, it is refused in words and leaves nothing."""

    async def counts() -> None:
        async with desk.write() as tx:
            await create_customer(tx, CreateCustomer(id="acme"))
            assert (LAST + timedelta(days=366_000)).year > 9999

    events = await desk.events()
    with pytest.raises(Invalid, match="beyond the year 9999"):
        await counts()
    assert await desk.events() == events


@pytest.mark.parametrize("at", [datetime(9000, 12, 31, 23, 59, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)])
async def test_messages_at_either_end_are_applied(desk: Desk, at: datetime) -> None:
    """An order and a payment of the first and the last day that are kept: applied, no dead letter."""
    await late(desk)
    inbox = Inbox(desk.storage, {"stripe": Spoken()}, desk.catalogs)
    paid = PaymentFact(kind="failed", at=at, invoice="in_1")
    order = OrderDocument(
        source="stripe",
        external_id="sub_1",
        customer=CustomerReferences(id="acme"),
        occurred_at=at,
        trial_start=at,
        lines=(OrderLine(line="1", plan="team"),),
        payments=(paid,),
    )
    assert (await say(inbox, "order", order)).outcome in ("applied", "finding")
    async with desk.write() as tx:
        assert (await receive_order(tx, order, desk.catalogs)).outcome == "duplicate"
