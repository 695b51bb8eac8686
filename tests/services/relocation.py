"""A vendor whose team plan has several versions, and many customers to move between them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from licet.connectors.stripe import StripeConnector
from licet.core.derive import derive
from licet.core.gains import right_of, right_words
from licet.core.instant import instant_words, to_instant
from licet.core.orders import CustomerReferences, OrderDocument, OrderLine
from licet.core.terms import Item, Phase, Subscription, Terms
from licet.services.catalog_previews import PreviewView
from licet.services.catalogs import apply_catalog
from licet.services.cohorts import join_cohort
from licet.services.customers import CreateCustomer, create_customer
from licet.services.deliveries import Inbox
from licet.services.move_ports import MoveCommand, MovedState
from licet.services.move_previews import preview_move, preview_return
from licet.services.move_views import MovedSubscription, MoveView, list_moved
from licet.services.moves import LOOK, advance_move, create_move, reverse_move
from licet.services.orders import OrderResult, receive_order
from licet.services.rows import Actor, Page
from licet.services.sources import PutSource, put_source
from licet.services.truth import Catalogs
from licet.services.workspaces import MoveClock, move_clock
from licet.store.postgres import PostgresStorage
from tests.services.desk import OPERATOR, SECRET, Desk

BOUGHT: Final = datetime(2028, 2, 10, 9, tzinfo=UTC)
TODAY: Final = datetime(2028, 3, 1, 9, tzinfo=UTC)
"""Where the business clock stands when a test begins."""
CATALOG: Final = b"""
version: 1
products: {suite: {name: Suite}}
features:
  sso: {type: switch, title: SSO}
  projects: {type: limit, title: Projects}
  reports: {type: switch, title: Reports}
plans:
  free: {product: suite, versions: {2026-01: {includes: {projects: 1}}, 2026-02: {includes: {projects: 2}}}}
  team:
    product: suite
    versions:
      2026-01: {includes: {projects: 20, sso: true}, trial: P14D, then: free@2026-01}
      2026-02: {includes: {projects: 15, sso: true, reports: true}, trial: P14D, then: free@2026-01}
      2026-03: {includes: {projects: 40, sso: true, reports: true}, trial: P14D, then: free@2026-01}
  business: {product: suite, versions: {2026-01: {includes: {projects: 200, sso: true, reports: true}}}}
addons:
  boost: {versions: {2026-01: {includes: {projects: 5}}, 2026-02: {includes: {projects: 6}}}}
cohorts: {pilots: {title: Pilots}}
orders:
  stripe: {price_team: {plan: team, version: 2026-01}, price_business: {plan: business}}
"""
OLD_TO_NEW: Final = MoveCommand(item="team", from_version="2026-01", to_version="2026-02")


class Floor(Desk):
    """A desk with this vendor's catalog."""

    async def furnish(self) -> None:
        """Release the catalog and set the clock."""
        async with self.write() as tx:
            await apply_catalog(tx, CATALOG, 0)
            await put_source(tx, "stripe", PutSource(kind="stripe", secrets=(SECRET,)))
        await self.clock(TODAY)

    async def clock(self, at: datetime) -> None:
        """Let the business clock stand at an instant."""
        async with self.write() as tx:
            await move_clock(tx, MoveClock(frozen_at=at))

    async def sell(self, *customers: str, cohort: str | None = None, **more: Any) -> None:
        """Let customers buy the plan team in its first version, or what ``more`` says of the order."""
        async with self.write() as tx:
            for customer in customers:
                if await tx.customer(customer) is None:
                    await create_customer(tx, CreateCustomer(id=customer))
                await receive_order(tx, order(customer, **more), self.catalogs)
                if cohort is not None:
                    await join_cohort(tx, customer, cohort, self.catalogs)

    async def settle(self, *customers: str) -> None:
        """Let many customers have the plan team in its first version, as if each had ordered it; much faster."""
        phases = (Phase(starts_at=BOUGHT, items=(Item(kind="plan", id="team", version="2026-01"),)),)
        async with self.write() as tx:
            for customer in customers:
                await create_customer(tx, CreateCustomer(id=customer))
                held = Subscription(id=f"sub_{customer}", phases=phases, source="crm", external_id=f"deal-{customer}")
                await tx.put_terms(customer, Terms(customer=customer, subscriptions=(held,)))

    async def order(self, customer: str, **more: Any) -> OrderResult:
        """Place one order."""
        async with self.write() as tx:
            return await receive_order(tx, order(customer, **more), self.catalogs)

    async def begin(self, command: MoveCommand = OLD_TO_NEW, *, preview: str | None = None, losing: int = 0) -> str:
        """Begin a move, by a preview made just now where none is named and somebody loses; returns its id."""
        if preview is None:
            made = await self.foresee(command)
            preview, losing = made.id, made.summary.losing if made.summary is not None else 0
        async with self.write() as tx:
            made_move = await create_move(tx, command, self.catalogs, preview=preview, max_losing=losing)
            return made_move.id

    async def foresee(self, command: MoveCommand = OLD_TO_NEW) -> PreviewView:
        """Preview a move."""
        lines = [one async for one in preview_move(self.storage, "test", OPERATOR, command, self.catalogs)]
        assert lines[-1].preview is not None
        return lines[-1].preview

    async def advance(self, move: str, *, actor: Actor = OPERATOR, look: int = LOOK) -> MoveView:
        """Do one batch."""
        async with self.write(actor) as tx:
            return await advance_move(tx, move, self.catalogs, look=look)

    async def finish(self, move: str) -> MoveView:
        """Do all batches that are left."""
        for _ in range(100):
            told = await self.advance(move)
            if told.state in ("moved", "reversed"):
                return told
        raise AssertionError("the move never ends")

    async def move(self, command: MoveCommand = OLD_TO_NEW) -> MoveView:
        """Begin a move and do all of it."""
        return await self.finish(await self.begin(command))

    async def reverse(self, move: str) -> MoveView:
        """Take a move back, all of it, by a preview made just now."""
        seen = await self.foresee_return(move)
        assert seen.summary is not None
        async with self.write() as tx:
            await reverse_move(tx, move, self.catalogs, preview=seen.id, max_losing=seen.summary.losing)
        return await self.finish(move)

    async def foresee_return(self, move: str) -> PreviewView:
        """Preview taking a move back."""
        lines = [one async for one in preview_return(self.storage, "test", OPERATOR, move, self.catalogs)]
        assert lines[-1].preview is not None
        return lines[-1].preview

    async def told(self, move: str, state: MovedState | None = None) -> Sequence[MovedSubscription]:
        """What a move did, by customer."""
        async with self.read() as view:
            return await list_moved(view, move, Page(limit=500), state)

    async def held(self, customer: str, at: datetime | None = None) -> dict[str, str]:
        """What the newest terms give at an instant (now), in words by feature."""
        async with self.read() as view:
            catalog, now = await self.catalogs.current(view), view.time.business
        terms = await self.terms(customer)
        moment = now if at is None else to_instant(at)
        rights = derive(catalog, terms, moment)
        return {
            name: right_words(feature, right_of(catalog, terms, rights, name))
            for name, feature in catalog.features.items()
        }


def order(customer: str, **more: Any) -> OrderDocument:
    """An order of the plan team, unless ``more`` says otherwise."""
    given: dict[str, Any] = {
        "source": "crm",
        "external_id": f"deal-{customer}",
        "customer": CustomerReferences(id=customer),
        "occurred_at": BOUGHT,
        "lines": (OrderLine(plan="team", version="2026-01"),),
    }
    return OrderDocument(**{**given, **more})


async def open_floor(storage: PostgresStorage) -> Floor:
    """Return a furnished floor in the test workspace."""
    made = Floor(storage, Inbox(storage, {"stripe": StripeConnector()}, Catalogs()))
    await made.furnish()
    return made


def stands(terms: Terms) -> list[tuple[str, str, str | None]]:
    """The moves in terms: from which version, from when on, until when."""
    return [
        (
            f"{one.from_version}>{one.to_version}",
            instant_words(one.starts_at),
            None if one.ends_at is None else instant_words(one.ends_at),
        )
        for one in terms.moves
    ]
