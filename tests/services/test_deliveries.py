"""The inbox when things go wrong at once: late failures, bad messages that waited, a process that ended early."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.services.deliveries import Inbox, get_delivery
from licet.services.errors import Conflict
from licet.services.ports import Storage, Tx, View
from licet.services.rows import Actor, FindingFilter, Page
from licet.services.sources import PutSource, put_source
from licet.services.truth import Catalogs
from tests.services.desk import SECRET, Desk, story


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
