"""The inbox when things go wrong at once: late failures, bad messages that waited, a process that ended early."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from msgspec import Struct, structs

from licet.core.compiled import CompiledCatalog
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine, PaymentNotice, ScheduleNotice
from licet.core.terms import PaymentFact
from licet.services.customers import CreateCustomer, create_customer
from licet.services.deliveries import Inbox, get_delivery
from licet.services.errors import Conflict
from licet.services.inbound import CustomerHint
from licet.services.ports import Storage, Tx, View
from licet.services.replay import Replay, replay_deliveries
from licet.services.rows import Actor, FindingFilter, Page
from licet.services.sources import PutSource, put_source
from licet.services.truth import Catalogs
from tests.services.desk import SECRET, START, Desk, story
from tests.services.spoken import Spoken, say


class Overtaken:
    """A storage whose fourth transaction begins only after ``first`` was done elsewhere."""

    def __init__(self, storage: Storage, first: Callable[[], Awaitable[object]]) -> None:
        self.storage = storage
        self.first = first
        self.writes = 0

    def read(self, workspace: str) -> AbstractAsyncContextManager[View]:
        """Begin to read."""
        return self.storage.read(workspace)

    @asynccontextmanager
    async def write(
        self, workspace: str, actor: Actor, *, note: str = "", cause: str | None = None
    ) -> AsyncIterator[Tx]:
        """Begin to write."""
        self.writes += 1
        if self.writes == 4:
            await self.first()
        async with self.storage.write(workspace, actor, note=note, cause=cause) as tx:
            yield tx


class Raced(Catalogs):
    """Catalogs that somebody else changes three times at the wrong moment."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    async def current(self, view: View) -> CompiledCatalog:
        """Return the newest catalog."""
        if self.left:
            self.left -= 1
            raise Conflict("somebody else wrote meanwhile")
        return await super().current(view)


class Between(Catalogs):
    """Catalogs before whose first reading, when an order's customer has been looked for, something else happens."""

    def __init__(self, first: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self.first: Callable[[], Awaitable[object]] | None = first

    async def current(self, view: View) -> CompiledCatalog:
        """Return the newest catalog."""
        first, self.first = self.first, None
        if first is not None:
            await first()
        return await super().current(view)


class Ended(RuntimeError):
    """The process ends."""


class EndsEarly:
    """A storage of a process that ends after its first write."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.written = False

    def read(self, workspace: str) -> AbstractAsyncContextManager[View]:
        """Begin to read."""
        if self.written:
            raise Ended
        return self.storage.read(workspace)

    def write(
        self, workspace: str, actor: Actor, *, note: str = "", cause: str | None = None
    ) -> AbstractAsyncContextManager[Tx]:
        """Begin to write."""
        self.written = True
        return self.storage.write(workspace, actor, note=note, cause=cause)


async def test_a_late_failure_leaves_what_was_applied(desk: Desk) -> None:
    """Attempts that fail beside one that succeeds are answered as duplicates: no dead letter, no finding."""
    told = story("acme").subscribe("price_team_monthly")

    async def elsewhere() -> object:
        return await desk.deliver(told)

    inbox = Inbox(Overtaken(desk.storage, elsewhere), desk.inbox.connectors, Raced())  # type: ignore[arg-type]
    result = await Desk(desk.storage, inbox).deliver(told)
    assert (result.outcome, result.words) == ("duplicate", "came before and ended as applied")
    async with desk.read() as view:
        assert (await get_delivery(view, "stripe", told.id)).outcome == "applied"
        assert await view.findings(FindingFilter(state="open"), Page()) == []


async def wait_for_checkout(desk: Desk) -> None:
    """Let orders that only a foreign id names wait."""
    async with desk.write() as tx:
        settings = {"unknown_customer": "wait"}
        await put_source(tx, "stripe", PutSource(kind="stripe", secrets=(SECRET,), settings=settings))


async def test_a_bad_message_that_waited_harms_no_other(desk: Desk) -> None:
    """What waited is applied on its own: one that fails is a dead letter and neither stops nor undoes the rest."""
    await wait_for_checkout(desk)
    told = story(None)
    good = told.subscribe("price_team_monthly")
    paid = told.pay()
    other = told.wait(days=1).change_quantity(3)
    bad = structs.replace(
        other,
        id="evt_bad",
        body=other.body.replace(other.id.encode(), b"evt_bad").replace(
            f'"created": {other.created}'.encode(), f'"created": {2**37}'.encode(), 1
        ),
    )
    assert bad.body.count(str(2**37).encode()) == 1
    for delivery in (bad, good, paid):
        assert (await desk.deliver(delivery)).outcome == "waiting"
    assert (await desk.deliver(told.checkout("acme"))).outcome == "applied"
    async with desk.read() as view:
        ended = {row.id: row.outcome for row in await view.deliveries("stripe", Page())}
    assert (ended[bad.id], ended[good.id], ended[paid.id]) == ("failed", "applied", "applied")
    (subscription,) = (await desk.terms("acme")).subscriptions
    assert [phase.items[0].quantity for phase in subscription.phases] == [1]
    assert len(subscription.payments) == 1


async def test_sending_again_frees_what_a_process_that_ended_left_waiting(desk: Desk) -> None:
    """Between a commit and the messages it frees a process may end; the sender, unanswered, sends again."""
    await wait_for_checkout(desk)
    told = story(None)
    assert (await desk.deliver(told.subscribe("price_team_monthly"))).outcome == "waiting"
    checkout = told.checkout("acme")
    ending = Inbox(EndsEarly(desk.storage), desk.inbox.connectors, desk.catalogs)  # type: ignore[arg-type]
    with pytest.raises(Ended):
        await Desk(desk.storage, ending).deliver(checkout)
    assert (await desk.terms("acme")).subscriptions == ()
    assert (await desk.deliver(checkout)).outcome == "duplicate"
    assert len((await desk.terms("acme")).subscriptions) == 1


async def test_the_first_two_messages_of_a_new_customer_may_race(desk: Desk) -> None:
    """Whom the first creates while the second looks for him is found when it looks again: no dead letter is left."""
    told = story(None)
    bought, more = told.subscribe("price_team_monthly", 5), told.change_quantity(9)
    inbox = Inbox(desk.storage, desk.inbox.connectors, Between(lambda: desk.deliver(bought)))
    assert (await Desk(desk.storage, inbox).deliver(more)).outcome == "applied"
    async with desk.read() as view:
        assert await view.findings(FindingFilter(state="open"), Page()) == []
    (subscription,) = (await desk.terms(told.buyer.id)).subscriptions
    assert subscription.phases[-1].items[0].quantity == 9


@pytest.mark.parametrize("kind", [OrderDocument, PaymentNotice, ScheduleNotice, CustomerHint])
async def test_whoever_says_who_it_is_frees_what_waits(desk: Desk, kind: type[Struct]) -> None:
    """With unknown_customer=wait an order waits until any message about that foreign customer names ours."""
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", settings={"unknown_customer": "wait"}))
    inbox = Inbox(desk.storage, {"stripe": Spoken()}, desk.catalogs)
    unknown, known = CustomerReferences(external_id="cus_1"), CustomerReferences(id="acme", external_id="cus_1")
    lines = (OrderLine(line="1", plan="team"),)

    def order(external_id: str, customer: CustomerReferences) -> OrderDocument:
        return OrderDocument(
            source="stripe", external_id=external_id, customer=customer, occurred_at=START, lines=lines
        )

    saying: dict[type[Struct], Struct] = {
        OrderDocument: order("sub_2", known),
        PaymentNotice: PaymentNotice(
            source="stripe",
            external_id="sub_2",
            customer=known,
            payments=(PaymentFact(kind="paid", at=START, invoice="in_1"),),
        ),
        ScheduleNotice: ScheduleNotice(source="stripe", external_id="sub_2", customer=known, occurred_at=START),
        CustomerHint: CustomerHint(customer=known),
    }
    if kind in (PaymentNotice, ScheduleNotice):
        await say(inbox, "hers", order("sub_2", CustomerReferences(id="acme")))
    assert (await say(inbox, "waits", order("sub_1", unknown))).outcome == "waiting"
    assert (await say(inbox, "says", saying[kind])).outcome == "applied"
    async with desk.read() as view:
        assert (await get_delivery(view, "stripe", "waits")).outcome == "applied"
        assert await view.customer_by_external_id("stripe", "cus_1") == "acme"
    assert "sub_1" in {one.external_id for one in (await desk.terms("acme")).subscriptions}


async def test_an_external_id_given_by_hand_frees_by_replay(desk: Desk) -> None:
    """Who is linked by command frees nothing at once: replaying what waits applies it."""
    async with desk.write() as tx:
        await put_source(tx, "stripe", PutSource(kind="stripe", settings={"unknown_customer": "wait"}))
    told = story(None)
    assert (await desk.deliver(told.subscribe("price_team_monthly"))).outcome == "waiting"
    async with desk.write() as tx:
        await create_customer(tx, CreateCustomer(id="acme", external_ids={"stripe": told.buyer.id}))
    assert (await desk.terms("acme")).subscriptions == ()
    done = await replay_deliveries(desk.inbox, "test", "stripe", Replay(outcomes=("waiting",)))
    assert done.outcomes == {"applied": 1}
    assert len((await desk.terms("acme")).subscriptions) == 1
