"""Two commands on one customer at once: the one that began first and came second sees the other's, and both hold."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from licet.core.terms import Terms
from licet.services.changes import ChangeSubscription, change
from licet.services.cohorts import join_cohort, leave_cohort
from licet.services.customers import ChangeCustomer, business_now, change_customer
from licet.services.invoices import IssueInvoice, issue_invoice
from licet.services.ladders import ChooseLadder, choose_ladder, clear_ladder
from licet.services.ladders import ClearLadder as NoChoice
from licet.services.leniencies import (
    EndLeniency,
    PauseDunning,
    PromiseToPay,
    pause_dunning,
    promise,
    resume_dunning,
    withdraw_promise,
)
from licet.services.overrides import AddOverride, EndOverride, add_override, end_override
from licet.services.pauses import PauseSubscription, ResumeSubscription, pause, resume
from licet.services.ports import Tx
from licet.services.subscriptions import Cancel, Reinstate, SoldItem, cancel, reinstate
from licet.services.suspensions import Suspend, suspend
from licet.services.suspensions import resume as unsuspend
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk
from tests.services.test_changes import Contract, held, sold

DAY = timedelta(days=1)


@pytest.fixture(params=["running", "frozen"])
async def contract(request: pytest.FixtureRequest, desk: Desk) -> Contract:
    """Acme's Team × 12, on a clock that runs and on one that stands still."""
    made = await sold(desk)
    if request.param == "running":
        async with desk.write() as tx:
            await move_clock(tx, MoveClock(to=LATER + DAY))
    return made


Step = Callable[[Tx, Contract], Awaitable[object]]


async def interleaved(contract: Contract, second: Step, first: Step) -> Terms:
    """A transaction begins, another one carries out ``first`` and commits, then the older one does ``second``."""
    async with contract.desk.write() as older:
        async with contract.desk.write() as younger:
            await first(younger, contract)
        await second(older, contract)
    return await contract.desk.terms("acme")


def to(command: ChangeSubscription) -> Step:
    """The step that changes the subscription."""
    return lambda tx, contract: change(tx, "acme", contract.subscription, command, contract.desk.catalogs)


@pytest.mark.parametrize("scheduled", [None, "keep", "drop"])
async def test_both_changes_hold(contract: Contract, scheduled: str | None) -> None:
    """More editors and an add-on at the same time: both are there afterwards, nothing is planned or lost."""
    addon = ChangeSubscription(add=(SoldItem(addon="ai_pack"),), scheduled=scheduled)  # type: ignore[arg-type]
    terms = await interleaved(contract, to(addon), to(ChangeSubscription(quantities={"team": 30})))
    view = await contract.view()
    assert (held(view), view.scheduled) == ({"team": 30, "ai_pack": 1}, ())
    starts = [phase.starts_at for phase in terms.subscriptions[0].phases]
    assert starts == sorted(set(starts))


async def test_a_change_is_cancelled_and_reinstated_after_it(contract: Contract) -> None:
    """A cancellation that began before a change keeps the change; one that is taken back leaves it, too."""
    desk, name = contract.desk, contract.subscription
    await interleaved(
        contract,
        lambda tx, _: cancel(tx, "acme", name, Cancel(at="period_end"), desk.catalogs),
        to(ChangeSubscription(quantity=30)),
    )
    assert held(await contract.view()) == {"team": 30}
    await interleaved(
        contract,
        to(ChangeSubscription(quantity=31)),
        lambda tx, _: reinstate(tx, "acme", name, Reinstate(), desk.catalogs),
    )
    view = await contract.view()
    assert (held(view), view.ends_at) == ({"team": 31}, None)


async def test_a_pause_is_resumed_after_it_began(contract: Contract) -> None:
    """A resumption that began before the pause ends it after its beginning, never before."""
    desk, name = contract.desk, contract.subscription
    terms = await interleaved(
        contract,
        lambda tx, _: resume(tx, "acme", name, ResumeSubscription(), desk.catalogs),
        lambda tx, _: pause(tx, "acme", name, PauseSubscription(), desk.catalogs),
    )
    assert all(one.ends_at is not None and one.starts_at < one.ends_at for one in terms.subscriptions[0].pauses)
    assert (await contract.view()).standing == "active"


async def override(tx: Tx, contract: Contract) -> object:
    """Deny acme its webhooks."""
    return await add_override(tx, "acme", AddOverride(feature="webhooks", effect="deny"), contract.desk.catalogs)


async def no_override(tx: Tx, contract: Contract) -> object:
    """End the newest override."""
    terms = await contract.desk.terms("acme")
    return await end_override(tx, "acme", terms.overrides[-1].id, EndOverride())


async def promised(tx: Tx, contract: Contract) -> object:
    """Promise to pay within a month."""
    until = business_now(tx) + timedelta(days=30)
    return await promise(tx, "acme", contract.subscription, PromiseToPay(until=until), contract.desk.catalogs)


async def withdrawn(tx: Tx, contract: Contract) -> object:
    """Withdraw the newest promise."""
    terms = await contract.desk.terms("acme")
    return await withdraw_promise(tx, "acme", contract.subscription, terms.leniencies[-1].id, EndLeniency())


PAIRS: dict[str, tuple[Step, Step]] = {
    "suspensions": (
        lambda tx, _: suspend(tx, "acme", Suspend()),
        lambda tx, _: unsuspend(tx, "acme", Suspend()),
    ),
    "overrides": (override, no_override),
    "leniencies": (promised, withdrawn),
    "leniencies of pauses": (
        lambda tx, one: pause_dunning(tx, "acme", one.subscription, PauseDunning(), one.desk.catalogs),
        lambda tx, one: resume_dunning(tx, "acme", one.subscription, EndLeniency()),
    ),
    "ladders": (
        lambda tx, one: choose_ladder(tx, "acme", ChooseLadder(ladder=None), one.desk.catalogs),
        lambda tx, _: clear_ladder(tx, "acme", NoChoice()),
    ),
    "cohorts": (
        lambda tx, one: join_cohort(tx, "acme", "key_accounts", one.desk.catalogs),
        lambda tx, _: leave_cohort(tx, "acme", "key_accounts"),
    ),
}


def spans(terms: Terms, what: str) -> list[tuple[datetime, datetime | None]]:
    """From when until when each of a kind counts."""
    return [(one.starts_at, one.ends_at) for one in getattr(terms, what.split(" ", maxsplit=1)[0])]


@pytest.mark.parametrize("what", PAIRS)
async def test_what_begins_ends_after_it_began(contract: Contract, what: str) -> None:
    """An end that began before the beginning comes after it, and a second beginning after that end: none overlap."""
    begin, end = PAIRS[what]
    terms = await interleaved(contract, end, begin)
    assert all(ends_at is not None and starts_at <= ends_at for starts_at, ends_at in spans(terms, what))
    again = spans(await interleaved(contract, begin, lambda tx, _: note(tx)), what)
    assert [ends_at for _, ends_at in again[:-1] if ends_at is not None and ends_at > again[-1][0]] == []
    recorded = [event.recorded_at for event in await contract.desk.events()]
    assert recorded == sorted(recorded)
    assert again[-1][0] <= recorded[-1]


async def note(tx: Tx) -> object:
    """Something else that is recorded of the customer."""
    return await change_customer(tx, "acme", ChangeCustomer(external_ids={"crm": "a1"}))


async def test_the_later_choice_of_a_ladder_counts(contract: Contract) -> None:
    """Two ladders chosen at once: the one that came second counts for all that follows, the other one is over."""
    desk = contract.desk
    terms = await interleaved(
        contract,
        lambda tx, _: choose_ladder(tx, "acme", ChooseLadder(ladder=None), desk.catalogs),
        lambda tx, _: choose_ladder(tx, "acme", ChooseLadder(ladder="invoice"), desk.catalogs),
    )
    (open_,) = [one for one in terms.ladders if one.ends_at is None]
    assert open_.ladder is None
    assert all(one.ends_at == open_.starts_at for one in terms.ladders if one is not open_)


async def test_the_later_date_of_an_invoice_counts(contract: Contract) -> None:
    """Two due dates at once: the one that came second is the newer statement."""
    desk, name = contract.desk, contract.subscription

    def due(days: int) -> Step:
        command = IssueInvoice(invoice="INV-1", due_at=LATER + timedelta(days=days))
        return lambda tx, _: issue_invoice(tx, "acme", name, command, desk.catalogs)

    terms = await interleaved(contract, due(40), due(30))
    newest = max(terms.subscriptions[0].payments, key=lambda one: one.stated_at or one.at)
    assert newest.at == LATER + timedelta(days=40)


async def test_the_time_of_a_command_is_that_of_its_lock(contract: Contract) -> None:
    """Whoever waited for a customer sees a time that is not before what is recorded of it, and it never goes back."""
    desk = contract.desk
    async with desk.write() as older:
        began = older.time
        await contract.do(ChangeSubscription(quantity=30))
        row = await older.lock_customer("acme")
        assert row is not None
        assert business_now(older) >= row.recorded_at
        assert (older.time.business >= began.business, older.time.wall >= began.wall) == (True, True)
        locked = older.time
        await older.lock_customer("acme")
        assert older.time == locked


async def test_a_clock_that_was_moved_meanwhile_counts(contract: Contract) -> None:
    """A command that waited while the clock was moved happens at the clock's new time."""
    desk = contract.desk
    async with desk.write() as older:
        async with desk.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=LATER + 9 * DAY))
        result = await change(older, "acme", contract.subscription, ChangeSubscription(quantity=30), desk.catalogs)
    assert result.effective_at == LATER + 9 * DAY


async def test_two_steps_of_a_clock_are_two(desk: Desk) -> None:
    """A clock that is advanced twice at once has moved by both spans, standing or running."""
    async with desk.write() as older:
        async with desk.write() as younger:
            await move_clock(younger, MoveClock(advance="P1D"))
        assert (await move_clock(older, MoveClock(advance="P2D"))).business == LATER + 3 * DAY
    async with desk.write() as tx:
        await move_clock(tx, MoveClock(to=LATER + 4 * DAY))
    async with desk.write() as older:
        async with desk.write() as younger:
            await move_clock(younger, MoveClock(advance="P1D"))
        assert (await move_clock(older, MoveClock(advance="P2D"))).business >= LATER + 7 * DAY
