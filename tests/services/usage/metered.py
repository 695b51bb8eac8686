"""A workspace whose customers use something up: a catalog with allowances and credits, lanes on a real database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from licet.core.instant import to_datetime
from licet.services.catalogs import apply_catalog
from licet.services.customers import CreateCustomer, create_customer
from licet.services.rows import Actor, Page
from licet.services.subscriptions import Sell, SoldItem, sell
from licet.services.truth import Catalogs, Snapshots
from licet.services.usage.balance_views import BalanceView
from licet.services.usage.balances import NOW, When, account_key, get_balance
from licet.services.usage.jobs import Reply
from licet.services.usage.lane import UsageLane, UsageLanes
from licet.services.usage.postings import open_lanes
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from licet.wire.usage import ClosingAnswer, CloudEvent, ConsumeAnswer, ConsumeAsked, ReserveAsked, SettleAsked
from tests.services.desk import OPERATOR

CALLER = Actor(id="key:caller", scopes=frozenset({"usage"}))
CATALOG = b"""
version: 1
products: {p: {}}
meters:
  calls: {event: api.call, aggregate: sum, dimensions: [model]}
  tokens: {event: llm.tokens, aggregate: sum}
  disk: {event: disk.level, aggregate: latest}
credits:
  ai: {scale: 2, burns: {tokens: "0.0004", calls: "0.01"}}
features:
  calls: {type: metered, meter: calls, per: month, at_limit: block, warn_at: [80%, 95%]}
  tokens: {type: metered, meter: tokens, per: month, at_limit: overage, overage_limit: 1000}
  mine: {type: metered, meter: calls, per: day, each: user, at_limit: block}
  disk: {type: metered, meter: disk, per: month, at_limit: block}
  ai: {type: credits, credit: ai}
  sso: {type: switch}
plans:
  team:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: 500, tokens: 1000, disk: 100, sso: true}}
  big:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {calls: 900, tokens: 1000, disk: 100}}
  ai:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {tokens: unlimited, ai: {amount: 500, per: month}}}
  each:
    product: p
    versions:
      '1': {available_from: 2020-01-01T00:00:00Z, includes: {mine: 10}}
"""


class Place:
    """One workspace to use things up in."""

    def __init__(self, storage: PostgresStorage, lanes: UsageLanes, workspace: str = "test") -> None:
        self.storage = storage
        self.lanes = lanes
        self.workspace = workspace
        self.catalogs = Catalogs()
        self.snapshots = Snapshots(self.catalogs)

    @property
    def lane(self) -> UsageLane:
        """The workspace's lane."""
        return self.lanes.of(self.workspace)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        """A writing transaction of the operator."""
        async with self.storage.write(self.workspace, OPERATOR) as tx:
            yield tx

    async def join(self, customer: str, *plans: str, starts_at: datetime | None = None) -> None:
        """Create a customer and sell it plans."""
        async with self.write() as tx:
            await create_customer(tx, CreateCustomer(id=customer))
        for plan in plans:
            async with self.write() as tx:
                command = Sell(items=(SoldItem(plan=plan),), starts_at=starts_at)
                await sell(tx, customer, command, self.catalogs)

    async def consume(self, feature: str = "calls", quantity: int | str = 1, **rest: Any) -> ConsumeAnswer:
        """Consume as acme unless ``customer`` says otherwise."""
        asked = ConsumeAsked(**{"customer": "acme", "feature": feature, "quantity": quantity, **rest})
        return consumed(await self.lane.consume(CALLER, asked))

    async def reserve(self, feature: str = "calls", quantity: int | str = 1, **rest: Any) -> ConsumeAnswer:
        """Reserve as acme unless ``customer`` says otherwise."""
        asked = ReserveAsked(**{"customer": "acme", "feature": feature, "quantity": quantity, **rest})
        return consumed(await self.lane.reserve(CALLER, asked))

    async def settle(self, reservation: str | None, used: int | str, key: str | None = None) -> ClosingAnswer:
        """Settle a reservation."""
        assert reservation is not None
        reply = await self.lane.settle(CALLER, reservation, SettleAsked(used=used), key)
        return msgspec.json.decode(reply.body, type=ClosingAnswer)

    async def release(self, reservation: str | None) -> ClosingAnswer:
        """Release a reservation."""
        assert reservation is not None
        return msgspec.json.decode((await self.lane.release(CALLER, reservation)).body, type=ClosingAnswer)

    async def balance(
        self, feature: str = "calls", customer: str = "acme", when: When = NOW, **who: str
    ) -> BalanceView:
        """One balance."""
        async with self.storage.read(self.workspace) as view:
            catalog = await self.catalogs.current(view)
            key = account_key(catalog, customer, feature, who.get("user"), who.get("team"))
            return await get_balance(view, key, self.snapshots, when)

    async def now(self) -> datetime:
        """Business time."""
        async with self.storage.read(self.workspace) as view:
            return to_datetime(view.time.business)

    async def pass_time(self, span: timedelta) -> None:
        """Let the business clock stand so much later."""
        later = await self.now() + span
        async with self.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=later))

    async def events(self, kind: str) -> list[Any]:
        """The events of a type."""
        async with self.storage.read(self.workspace) as view:
            return list(await view.events(Page(limit=500), type=kind))


def consumed(reply: Reply) -> ConsumeAnswer:
    """The answer in a reply."""
    return msgspec.json.decode(reply.body, type=ConsumeAnswer)


def told(customer: str, name: str, quantity: int | str, *, kind: str = "api.call", **rest: Any) -> CloudEvent:
    """An event of usage; ``time`` and ``data`` beside it."""
    data = {"quantity": quantity, **rest.pop("data", {})}
    return CloudEvent(specversion="1.0", id=name, source="tests", type=kind, subject=customer, data=data, **rest)


@asynccontextmanager
async def place_in(storage: PostgresStorage, catalog: bytes = CATALOG) -> AsyncIterator[Place]:
    """A place with the catalog released."""
    lanes = open_lanes(storage, Catalogs())
    place = Place(storage, lanes)
    async with place.write() as tx:
        await apply_catalog(tx, catalog, 0)
    try:
        yield place
    finally:
        await lanes.close()
