"""Missed payments as commands: invoices, payments, promises, pauses, ladders, cohorts, and what they leave behind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from licet.core.money import Money
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.question import Question
from licet.core.terms import (
    MAX_LADDER_CHOICES,
    MAX_LENIENCIES,
    MAX_MEMBERSHIPS,
    MAX_PAYMENTS,
    LadderChoice,
    Leniency,
    Membership,
    PaymentFact,
)
from licet.services.checks import check
from licet.services.cohorts import CohortsAnswer, join_cohort, leave_cohort
from licet.services.customers import CreateCustomer, create_customer
from licet.services.dunning import SubscriptionDunning, get_dunning
from licet.services.errors import Conflict, Invalid, NotFound
from licet.services.invoices import IssueInvoice, PaymentAnswer, RecordPayment, issue_invoice, record_payment
from licet.services.ladders import ChooseLadder, ClearLadder, LadderAnswer, choose_ladder, clear_ladder
from licet.services.leniencies import (
    EndLeniency,
    LeniencyAnswer,
    PauseDunning,
    PromiseToPay,
    pause_dunning,
    promise,
    resume_dunning,
    withdraw_promise,
)
from licet.services.orders import receive_order
from licet.services.rows import Draft, FindingFilter, Page
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.workspaces import MoveClock, move_clock
from tests.services.desk import LATER, Desk

DAYS = timedelta(days=1)


class Shop:
    """Acme with one subscription, and short ways to say what happens to it."""

    def __init__(self, desk: Desk, subscription: str) -> None:
        self.desk = desk
        self.subscription = subscription

    async def moved(self, days: int) -> None:
        """Let days pass."""
        async with self.desk.read() as view:
            now = datetime.fromtimestamp(view.time.business // 1_000_000, UTC)
        async with self.desk.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=now + days * DAYS))

    async def issued(
        self, due_at: datetime, invoice: str = "INV-1", money: Money | None = None, *, accept: bool = False
    ) -> PaymentAnswer:
        """Issue an invoice."""
        command = IssueInvoice(invoice=invoice, due_at=due_at, money=money, accept_consequences=accept)
        async with self.desk.write() as tx:
            return await issue_invoice(tx, "acme", self.subscription, command, self.desk.catalogs)

    async def told(
        self, kind: Any, invoice: str = "INV-1", at: datetime | None = None, *, accept: bool = False
    ) -> PaymentAnswer:
        """Record what became of an invoice."""
        command = RecordPayment(invoice=invoice, kind=kind, at=at, accept_consequences=accept)
        async with self.desk.write() as tx:
            return await record_payment(tx, "acme", self.subscription, command, self.desk.catalogs)

    async def promised(self, until: datetime) -> LeniencyAnswer:
        """Note a promise."""
        async with self.desk.write() as tx:
            return await promise(
                tx, "acme", self.subscription, PromiseToPay(until=until, note="on Friday"), self.desk.catalogs
            )

    async def withdrawn(self, promised: str) -> LeniencyAnswer:
        """Withdraw a promise."""
        async with self.desk.write() as tx:
            return await withdraw_promise(tx, "acme", self.subscription, promised, EndLeniency(note="not after all"))

    async def paused(self, until: datetime | None = None) -> LeniencyAnswer:
        """Pause the ladder."""
        async with self.desk.write() as tx:
            return await pause_dunning(tx, "acme", self.subscription, PauseDunning(until=until), self.desk.catalogs)

    async def resumed(self) -> LeniencyAnswer:
        """Resume the ladder."""
        async with self.desk.write() as tx:
            return await resume_dunning(tx, "acme", self.subscription, EndLeniency())

    async def chosen(self, ladder: str | None, begins: datetime | None = None) -> LadderAnswer:
        """Choose a ladder."""
        async with self.desk.write() as tx:
            return await choose_ladder(tx, "acme", ChooseLadder(ladder=ladder, from_=begins), self.desk.catalogs)

    async def cleared(self) -> LadderAnswer:
        """End the choice of a ladder."""
        async with self.desk.write() as tx:
            return await clear_ladder(tx, "acme", ClearLadder())

    async def joined(self, cohort: str) -> CohortsAnswer:
        """Join a cohort."""
        async with self.desk.write() as tx:
            return await join_cohort(tx, "acme", cohort, self.desk.catalogs)

    async def left(self, cohort: str) -> CohortsAnswer:
        """Leave a cohort."""
        async with self.desk.write() as tx:
            return await leave_cohort(tx, "acme", cohort)

    async def stands(self) -> SubscriptionDunning:
        """How the subscription's non-payment stands."""
        async with self.desk.read() as view:
            answer = await get_dunning(view, "acme", self.desk.catalogs)
        (one,) = answer.subscriptions
        return one

    async def reason(self, feature: str = "ai") -> str:
        """The reason of the decision about acme now."""
        async with self.desk.read() as view:
            return (await check(view, Question(customer="acme", feature=feature), self.desk.snapshots)).reason

    async def open_findings(self) -> list[str]:
        """The kinds of the findings that are open."""
        async with self.desk.read() as view:
            return [row.kind for row in await view.findings(FindingFilter(state="open"), Page())]

    async def kinds(self) -> list[str]:
        """The types of the events about acme, without those of the sale."""
        return [one.type for one in await self.desk.events(subject="customer/acme")][2:]


@pytest.fixture
async def shop(desk: Desk, meridian: bytes) -> Shop:
    """Acme with Team from LATER on, of a vendor that has the cohort ``public_sector`` on the ladder ``invoice``."""
    more = b"\ncohorts:\n  public_sector: {ladder: invoice}\n  beta: {title: Beta}\n"
    catalog = meridian.replace(b"\ncohorts:\n", more, 1)
    world = await desk.branch("dunning", catalog)
    async with world.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme"))
        made = await sell(tx, "acme", Sell(items=(SoldItem(plan="team"),)), world.catalogs)
    assert made.subscription is not None
    return Shop(world, made.subscription)


async def test_an_invoice_is_owed_from_its_due_date_and_paid_restores(shop: Shop) -> None:
    """Nothing before the due date, the ladder from it on, everything back at the instant of payment; all is logged."""
    answer = await shop.issued(LATER + 30 * DAYS, money=Money(amount=480000, currency="EUR"))
    assert (answer.outcome, answer.owed, answer.remarks) == ("applied", (), ())
    (invoice,) = (await shop.stands()).invoices
    assert (invoice.state, invoice.at, invoice.money) == (
        "due",
        LATER + 30 * DAYS,
        Money(amount=480000, currency="EUR"),
    )
    await shop.moved(30)
    stands = await shop.stands()
    assert (stands.standing, stands.since, stands.invoices[0].state) == ("grace", LATER + 30 * DAYS, "owed")
    assert (stands.ladder, stands.origin) == ("card", "plan:team@2026-07")
    assert [one.after for one in stands.stages] == ["P0D", "P7D", "P14D", "P60D"]
    assert stands.next is not None
    assert (stands.next.do, stands.next.at) == ("restrict", LATER + 37 * DAYS)
    await shop.moved(7)
    assert await shop.reason() == "restricted"
    paid = await shop.told("paid")
    assert (paid.owed, paid.payment.at) == ((), LATER + 37 * DAYS)
    assert await shop.reason() == "within_limit"
    assert (await shop.stands()).standing == "active"
    assert await shop.kinds() == ["invoice.issued", "payment.recorded"]
    (event,) = await shop.desk.events(type="payment.recorded")
    assert event.after["payments"][0]["invoice"] == "INV-1"
    assert event.after["source"] == "manual"


async def test_a_due_date_is_moved_to_and_fro(shop: Shop) -> None:
    """The date stated last counts, even the first one again; the same date again writes nothing."""
    first, second = LATER + 10 * DAYS, LATER + 20 * DAYS
    await shop.issued(first)
    assert (await shop.issued(first)).outcome == "duplicate"
    await shop.issued(second, money=Money(amount=5, currency="EUR"))
    assert [one.at for one in (await shop.stands()).invoices] == [second]
    back = await shop.issued(first)
    assert back.payment.money == Money(amount=5, currency="EUR")
    assert [one.at for one in (await shop.stands()).invoices] == [first]
    assert await shop.kinds() == ["invoice.issued", "invoice.due_moved", "invoice.due_moved"]


async def test_what_is_settled_is_not_due_again(shop: Shop) -> None:
    """An invoice that was paid or voided cannot be issued again; one that is overdue already is said to be so."""
    await shop.told("paid", "INV-1")
    await shop.told("voided", "INV-2")
    for invoice in ("INV-1", "INV-2"):
        with pytest.raises(Conflict, match="nothing is due"):
            await shop.issued(LATER + DAYS, invoice)
    await shop.moved(5)
    late = await shop.issued(LATER + 3 * DAYS, "INV-3")
    assert late.owed == ("INV-3",)
    assert "has been due since" in late.remarks[0]


async def test_payment_facts_of_every_kind(shop: Shop) -> None:
    """Failed, disputed and written off are owed; paid and voided are not; the same fact again writes nothing."""
    for kind, owed in [("failed", 1), ("paid", 0), ("disputed", 1), ("voided", 0), ("uncollectible", 1)]:
        await shop.moved(1)
        answer = await shop.told(kind)
        assert len(answer.owed) == owed, kind
        assert (await shop.told(kind)).outcome == "duplicate"
    assert await shop.kinds() == ["payment.recorded"] * 5
    with pytest.raises(Invalid, match="in the future"):
        await shop.told("paid", at=LATER + 6 * DAYS)


async def test_a_mistyped_date_takes_nothing_away_unless_it_is_accepted(shop: Shop) -> None:
    """So far back that the ladder suspends or ends at once: refused with the stage, done only if that is accepted."""
    await shop.moved(100)
    before = await shop.kinds()
    for stage, days in [("end", 10), ("suspend", 80)]:
        for saying in (shop.issued(LATER + days * DAYS), shop.told("failed", at=LATER + days * DAYS)):
            with pytest.raises(Conflict, match=f"has reached `{stage}`") as refused:
                await saying
            assert "--yes" in refused.value.advice
    assert await shop.kinds() == before
    assert (await shop.stands()).standing == "active"
    assert (await shop.told("failed", "INV-2", at=LATER + 95 * DAYS)).owed == ("INV-2",)
    await shop.told("disputed", "INV-3", at=LATER + 80 * DAYS, accept=True)
    assert (await shop.stands()).standing == "suspended"
    assert (await shop.told("failed", "INV-4", at=LATER + 80 * DAYS)).outcome == "applied"
    await shop.issued(LATER + 10 * DAYS, accept=True)
    assert (await shop.stands()).standing == "ended"


async def test_nothing_is_missed_before_the_subscription_began(shop: Shop) -> None:
    """A date before the start is refused whatever is accepted; what was paid before it is kept, as it owes nothing."""
    with pytest.raises(Invalid, match=r"due_at: 2027-12-31T00:00:00Z is before subscription .* began, 2028-01-01T00"):
        await shop.issued(LATER - DAYS, accept=True)
    for kind in ("failed", "disputed", "uncollectible"):
        with pytest.raises(Invalid, match="at: 2027-12-31T00:00:00Z is before"):
            await shop.told(kind, at=LATER - DAYS, accept=True)
    assert (await shop.told("paid", at=LATER - DAYS)).outcome == "applied"
    assert await shop.kinds() == ["payment.recorded"]


async def test_what_is_to_begin_may_owe_before_it_does(shop: Shop) -> None:
    """A subscription that begins later is paid in advance: its invoice may be due before, and fail before."""
    async with shop.desk.write() as tx:
        sold = Sell(items=(SoldItem(plan="team"),), starts_at=LATER + 30 * DAYS)
        made = await sell(tx, "acme", sold, shop.desk.catalogs)
    assert made.subscription is not None
    shop.subscription = made.subscription
    await shop.moved(5)
    assert (await shop.issued(LATER + DAYS)).owed == ("INV-1",)
    assert (await shop.told("failed", at=LATER + 2 * DAYS)).owed == ("INV-1",)


async def test_a_payment_for_an_unknown_invoice_asks_whether_it_was_meant(shop: Shop) -> None:
    """It is recorded, and while another invoice is owed the answer names the one probably meant."""
    await shop.told("failed", "INV-0017")
    answer = await shop.told("paid", "INV-017")
    assert answer.outcome == "applied"
    assert answer.owed == ("INV-0017",)
    assert answer.remarks == ("nobody knew invoice INV-017; owed is still INV-0017; was INV-0017 meant?",)


@pytest.mark.parametrize("kind", ["paid", "voided"])
async def test_what_settles_after_the_end_is_a_finding(shop: Shop, kind: str) -> None:
    """Paid or voided after the ladder ended it: recorded, answered, remarked and kept as a finding; nothing returns."""
    await shop.told("failed")
    await shop.moved(61)
    assert (await shop.stands()).standing == "ended"
    answer = await shop.told(kind)
    assert [one.kind for one in answer.findings] == ["paid_after_end"]
    assert f"INV-1 was {kind} after non-payment had ended" in answer.findings[0].words
    assert answer.remarks == ("non-payment has ended the subscription, and it stays ended",)
    assert "has ended" in (await shop.told("disputed", "INV-2")).remarks[0]
    assert (await shop.told("voided", "INV-9")).findings == ()
    assert await shop.reason() == "ended"
    assert await shop.open_findings() == ["paid_after_end"]


async def test_an_end_that_never_was_takes_its_finding_along(shop: Shop) -> None:
    """A payment told late, or another due date, says that nothing was owed at the end: all is back, nothing is left."""
    await shop.told("failed")
    await shop.moved(61)
    await shop.told("paid")
    assert (await shop.stands()).standing == "ended"
    await shop.told("paid", at=LATER + 20 * DAYS)
    assert (await shop.stands()).standing == "active"
    assert await shop.open_findings() == []
    await shop.issued(LATER + 62 * DAYS, "INV-2")
    await shop.moved(62)
    await shop.told("voided", "INV-2")
    assert await shop.open_findings() == ["paid_after_end"]
    assert (await shop.stands()).standing == "ended"


async def test_an_ended_subscription_is_given_no_patience(shop: Shop) -> None:
    """Neither promise nor pause where it has ended: they would count for nothing."""
    await shop.told("failed")
    await shop.moved(61)
    before = await shop.kinds()
    for giving in (shop.promised(LATER + 70 * DAYS), shop.paused()):
        with pytest.raises(Conflict, match=r"has ended at 2028-03-01T00:00:00Z"):
            await giving
    assert await shop.kinds() == before


async def test_a_promise_only_warns_until_it_ends(shop: Shop) -> None:
    """While it lasts the ladder warns; not kept, the ladder stands where it would stand without."""
    await shop.told("failed")
    await shop.moved(8)
    assert await shop.reason() == "restricted"
    made = await shop.promised(LATER + 15 * DAYS)
    assert (made.leniency.kind, made.owed, made.remarks) == ("promise", ("INV-1",), ())
    assert await shop.reason() == "in_grace"
    with pytest.raises(Conflict, match="running"):
        await shop.promised(LATER + 20 * DAYS)
    await shop.moved(7)
    assert await shop.reason() == "suspended"
    with pytest.raises(Conflict, match="ended"):
        await shop.withdrawn(made.leniency.id)
    (event,) = await shop.desk.events(type="promise.made")
    assert event.after["note"] == "on Friday"


async def test_a_pause_that_comes_too_late_says_so(shop: Shop) -> None:
    """Where only a promise delays the end, a pause does not: the answer says when it ends, and then it ends."""
    await shop.issued(LATER + DAYS)
    await shop.moved(55)
    await shop.promised(LATER + 75 * DAYS)
    early = await shop.paused(until=LATER + 56 * DAYS)
    assert early.remarks == ()
    await shop.moved(15)
    late = await shop.paused()
    assert len(late.remarks) == 1
    assert "reached the end at 2028-03-03" in late.remarks[0]
    assert "ends for good at 2028-03-16" in late.remarks[0]
    assert (await shop.stands()).standing == "grace"
    await shop.moved(5)
    assert (await shop.stands()).standing == "ended"


async def test_a_promise_is_withdrawn(shop: Shop) -> None:
    """From that instant on the ladder counts again; the event keeps the note."""
    await shop.told("failed")
    await shop.moved(8)
    made = await shop.promised(LATER + 300 * DAYS)
    await shop.moved(1)
    assert await shop.reason() == "in_grace"
    ended = await shop.withdrawn(made.leniency.id)
    assert ended.leniency.ends_at == LATER + 9 * DAYS
    assert await shop.reason() == "restricted"
    (event,) = await shop.desk.events(type="promise.withdrawn")
    assert event.after["note"] == "not after all"


async def test_promises_have_bounds(shop: Shop) -> None:
    """Ahead, at most 366 days, of a subscription that is there; where nothing is owed the answer says so."""
    for until in (LATER, LATER + 367 * DAYS):
        with pytest.raises(Invalid, match="ahead"):
            await shop.promised(until)
    with pytest.raises(NotFound):
        await shop.withdrawn("prm_nothing")
    assert "nothing is owed" in (await shop.promised(LATER + 366 * DAYS)).remarks[0]
    with pytest.raises(NotFound, match="subscription"):
        await Shop(shop.desk, "sub_nothing").promised(LATER + DAYS)


async def test_a_pause_moves_the_later_stages(shop: Shop) -> None:
    """What was reached stays; later stages come later by as much as it lasted, open-ended or not."""
    await shop.told("failed")
    await shop.moved(8)
    await shop.paused()
    stands = await shop.stands()
    assert [one.at is None for one in stands.stages] == [False, False, True, True]
    assert stands.next is None
    with pytest.raises(Conflict, match="running"):
        await shop.paused()
    await shop.moved(10)
    assert await shop.reason() == "restricted"
    await shop.resumed()
    stands = await shop.stands()
    assert stands.next is not None
    assert (stands.next.do, stands.next.at) == ("suspend", LATER + 24 * DAYS)
    with pytest.raises(Conflict, match="not paused"):
        await shop.resumed()
    await shop.paused(LATER + 20 * DAYS)
    stands = await shop.stands()
    assert stands.next is not None
    assert stands.next.at == LATER + 26 * DAYS
    with pytest.raises(Invalid):
        await Shop(shop.desk, shop.subscription).paused(LATER)
    assert (await shop.kinds())[1:] == ["dunning.paused", "dunning.resumed", "dunning.paused"]


async def test_an_episode_keeps_the_ladder_it_began_with(shop: Shop) -> None:
    """A ladder chosen while something is owed counts for the next time, and the answer says so."""
    await shop.told("failed")
    await shop.moved(1)
    answer = await shop.chosen("invoice")
    assert shop.subscription in answer.remarks[0]
    assert (await shop.stands()).ladder == "card"
    await shop.told("paid")
    await shop.moved(1)
    await shop.told("failed", "INV-2")
    stands = await shop.stands()
    assert (stands.ladder, stands.origin) == ("invoice", "customer")
    assert [choice.ladder for choice in answer.ladders] == ["invoice"]


async def test_choices_take_each_others_place(shop: Shop) -> None:
    """A later choice ends the earlier one at its own start; the same again writes nothing; clearing ends all."""
    await shop.chosen("invoice")
    assert (await shop.chosen("invoice")).ladders[0].starts_at == LATER
    later = await shop.chosen(None, LATER + 10 * DAYS)
    assert [(one.ladder, one.ends_at) for one in later.ladders] == [("invoice", LATER + 10 * DAYS), (None, None)]
    sooner = await shop.chosen("card", LATER + 5 * DAYS)
    assert [(one.ladder, one.ends_at) for one in sooner.ladders] == [("invoice", LATER + 5 * DAYS), ("card", None)]
    await shop.moved(6)
    assert (await shop.stands()).origin == "customer"
    assert (await shop.cleared()).ladders == ()
    assert (await shop.stands()).origin == "plan:team@2026-07"
    with pytest.raises(Conflict, match="no ladder is chosen"):
        await shop.cleared()
    assert await shop.kinds() == ["ladder.chosen", "ladder.chosen", "ladder.chosen", "ladder.cleared"]


async def test_no_consequences_at_all(shop: Shop) -> None:
    """With the choice of no ladder nothing follows from what is owed."""
    await shop.chosen(None)
    assert "no ladder counts" in (await shop.told("failed")).remarks[0]
    await shop.moved(100)
    stands = await shop.stands()
    assert (stands.standing, stands.ladder, stands.origin, stands.stages) == ("active", None, "customer", ())
    assert stands.invoices[0].state == "owed"


async def test_a_ladder_must_be_there_and_ahead(shop: Shop) -> None:
    """An unknown ladder is told with the one probably meant; the past stays as it was."""
    with pytest.raises(Invalid) as caught:
        await shop.chosen("invoices")
    assert caught.value.advice == "write invoice"
    with pytest.raises(Invalid) as caught:
        await shop.chosen("zzz")
    assert "card, invoice" in caught.value.advice
    with pytest.raises(Invalid, match="has passed"):
        await shop.chosen("card", LATER - DAYS)


async def test_a_cohort_brings_its_ladder(shop: Shop) -> None:
    """Who is in it climbs its ladder, before the plan's and after the customer's own; leaving ends that."""
    joined = await shop.joined("public_sector")
    assert [one.cohort for one in joined.cohorts] == ["public_sector"]
    assert ((await shop.stands()).ladder, (await shop.stands()).origin) == ("invoice", "cohort:public_sector")
    with pytest.raises(Conflict, match="already"):
        await shop.joined("public_sector")
    await shop.joined("beta")
    with pytest.raises(NotFound, match="no cohort") as caught:
        await shop.joined("public-sectors")
    assert "public_sector" in caught.value.advice
    await shop.chosen("card")
    assert (await shop.stands()).origin == "customer"
    await shop.cleared()
    await shop.moved(1)
    await shop.left("public_sector")
    assert (await shop.stands()).origin == "plan:team@2026-07"
    with pytest.raises(Conflict, match="does not belong") as left:
        await shop.left("public_sector")
    assert left.value.advice == "it belongs to beta"


async def test_subscriptions_of_any_source(shop: Shop) -> None:
    """An invoice for a subscription of the CRM keeps its place when the CRM's next order comes."""
    order = OrderDocument(
        source="crm",
        external_id="deal-1",
        customer=CustomerReferences(id="acme"),
        occurred_at=LATER,
        lines=(OrderLine(price="MER-BUS"),),
    )
    async with shop.desk.write() as tx:
        made = await receive_order(tx, order, shop.desk.catalogs)
    assert made.subscription is not None
    theirs = Shop(shop.desk, made.subscription)
    await theirs.issued(LATER + DAYS)
    await theirs.promised(LATER + 5 * DAYS)
    await shop.moved(2)
    async with shop.desk.write() as tx:
        await receive_order(
            tx,
            OrderDocument(
                source="crm",
                external_id="deal-1",
                customer=CustomerReferences(id="acme"),
                occurred_at=LATER + 2 * DAYS,
                lines=(OrderLine(price="MER-BUS", quantity=9),),
            ),
            shop.desk.catalogs,
        )
    async with shop.desk.read() as view:
        answer = await get_dunning(view, "acme", shop.desk.catalogs)
    one = next(one for one in answer.subscriptions if one.subscription == made.subscription)
    assert (one.source, one.standing, one.ladder) == ("crm", "grace", "invoice")
    assert [invoice.invoice for invoice in one.invoices] == ["INV-1"]
    assert [leniency.kind for leniency in one.leniencies] == ["promise"]


async def test_documents_do_not_grow_without_end(shop: Shop) -> None:
    """At each bound of the terms the command is refused with what to do instead; nothing is written."""
    terms = await shop.desk.terms("acme")
    (sold,) = terms.subscriptions
    ended: dict[str, Any] = {"starts_at": LATER - 2 * DAYS, "ends_at": LATER - DAYS}
    facts = tuple(PaymentFact(kind="failed", at=LATER, invoice=f"x-{place}") for place in range(MAX_PAYMENTS))
    patience = Leniency(id="prm_old", kind="promise", subscription=sold.id, **ended)
    full = structs.replace(
        terms,
        subscriptions=(structs.replace(sold, payments=facts),),
        leniencies=(patience,) * MAX_LENIENCIES,
        ladders=(LadderChoice(ladder="card", **ended),) * MAX_LADDER_CHOICES,
        cohorts=(Membership(cohort="beta", **ended),) * MAX_MEMBERSHIPS,
    )
    async with shop.desk.write() as tx:
        await tx.lock_customer("acme")
        await tx.record(Draft(type="terms.filled", subject="workspace/dunning"))
        await tx.put_terms("acme", full)
    before = await shop.kinds()
    for command in (
        shop.issued(LATER + DAYS),
        shop.told("failed"),
        shop.promised(LATER + DAYS),
        shop.paused(),
        shop.chosen("invoice"),
        shop.joined("beta"),
    ):
        with pytest.raises(Conflict, match="already") as caught:
            await command
        assert caught.value.advice
    assert await shop.desk.terms("acme") == full
    assert await shop.kinds() == before
