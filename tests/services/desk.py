"""A desk at which tests work: short ways to write, read and deliver in the test workspace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from licet.core.instant import to_instant
from licet.core.terms import Terms
from licet.services.catalog_previews import PreviewView, preview_on_customers
from licet.services.catalogs import CatalogApplied, apply_catalog
from licet.services.deliveries import DeliveryResult, Inbox, receive_delivery
from licet.services.ports import Tx, View
from licet.services.proposals import propose_catalog
from licet.services.rows import Actor, Page, Workspace
from licet.services.sources import PutSource, put_source
from licet.services.truth import Snapshots
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from licet.testing.stripe import SignedDelivery, StripeStory
from licet.wire.event import Event

SECRET = "whsec_meridian_of_the_tests"
OPERATOR = Actor(id="local:tester", scopes=frozenset({"admin"}))
START = datetime(2026, 12, 1, 9, tzinfo=UTC)
"""When the stories of the tests begin; the business clock stands well after all of them."""
LATER = datetime(2028, 1, 1, tzinfo=UTC)


class Desk:
    """One workspace to work in."""

    def __init__(self, storage: PostgresStorage, inbox: Inbox, workspace: str = "test") -> None:
        self.storage = storage
        self.inbox = inbox
        self.workspace = workspace
        self.catalogs = inbox.catalogs
        self.snapshots = Snapshots(inbox.catalogs)

    async def open(self, catalog: bytes) -> None:
        """Release a catalog, configure the source ``stripe`` and move the clock past every story."""
        async with self.write() as tx:
            await apply_catalog(tx, catalog, 0)
            await put_source(tx, "stripe", PutSource(kind="stripe", secrets=(SECRET,)))
        async with self.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=LATER))

    async def preview(self, catalog: bytes, at: int | None = None) -> PreviewView:
        """Judge all customers under a catalog on top of the newest release."""
        async with self.read() as view:
            proposed = await propose_catalog(view, catalog)
        lines = [one async for one in preview_on_customers(self.storage, self.workspace, OPERATOR, proposed, at)]
        assert all(one.progress for one in lines[:-1])
        assert lines[-1].preview is not None
        return lines[-1].preview

    async def release(self, catalog: bytes, *, note: str = "", max_losing: int = 2**31) -> CatalogApplied:
        """Release a catalog on top of the newest release, by a preview of it, whoever loses by it."""
        seen = await self.preview(catalog)
        async with self.storage.write(self.workspace, OPERATOR, note=note) as tx:
            return await apply_catalog(tx, catalog, seen.base, note=note, preview=seen.id, max_losing=max_losing)

    async def branch(self, workspace: str, catalog: bytes) -> "Desk":
        """Another test workspace of the same database, opened like this one."""
        await self.storage.create_workspace(Workspace(id=workspace, kind="test"), OPERATOR)
        made = Desk(self.storage, self.inbox, workspace)
        await made.open(catalog)
        return made

    @asynccontextmanager
    async def write(self, actor: Actor = OPERATOR) -> AsyncIterator[Tx]:
        """A writing transaction of the operator."""
        async with self.storage.write(self.workspace, actor) as tx:
            yield tx

    @asynccontextmanager
    async def read(self) -> AsyncIterator[View]:
        """A reading transaction."""
        async with self.storage.read(self.workspace) as view:
            yield view

    async def deliver(self, delivery: SignedDelivery, source: str = "stripe") -> DeliveryResult:
        """Receive a delivery that is signed anew now, as the sender's server would."""
        async with self.read() as view:
            wall = view.time.wall
        return await self.deliver_as_is(delivery.signed(SECRET, wall // 1_000_000), source)

    async def deliver_as_is(self, delivery: SignedDelivery, source: str = "stripe") -> DeliveryResult:
        """Receive a delivery with the signature that it has."""
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        return await receive_delivery(self.inbox, self.workspace, source, headers, delivery.body)

    async def terms(self, customer: str) -> Terms:
        """The newest terms of a customer."""
        async with self.read() as view:
            row = await view.terms(customer)
        assert row is not None
        return row.terms

    async def events(self, **which: str) -> list[Event]:
        """All events of a subject or type."""
        async with self.read() as view:
            return list(await view.events(Page(limit=500), **which))


def story(customer: str | None = "acme", *, seed: int = 1, legacy: bool = False) -> StripeStory:
    """A story that begins at START."""
    return StripeStory(SECRET, START, customer=customer, seed=seed, legacy=legacy)


def at(year: int, month: int, day: int) -> int:
    """Midnight UTC as an instant."""
    return to_instant(datetime(year, month, day, tzinfo=UTC))
