"""Subscriptions as they are read: what each consists of now, how it stands, and what is planned."""

from datetime import datetime

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Held, derive
from licet.core.instant import BEGINNING, FOREVER, Instant, to_datetime
from licet.core.terms import Pause, Subscription, Terms, TrialEnd, VersionMove
from licet.core.trail import moves_of
from licet.core.upcoming import period_at
from licet.services.customers import unknown_customer
from licet.services.errors import NoCatalog, NotFound
from licet.services.manual import HeldItem, Planned, held_item, planned_phases
from licet.services.ports import View
from licet.services.truth import Catalogs


class Period(Struct, frozen=True, kw_only=True):
    """A billing period, ``[start, end)``."""

    start: datetime
    end: datetime


class Trial(Struct, frozen=True, kw_only=True):
    """A trial, ``[start, end)``, and what follows it."""

    start: datetime
    end: datetime
    then: TrialEnd


class MovedItem(Struct, frozen=True, kw_only=True):
    """A plan or add-on that is read in another version than it was bought in, or will be: announced is a notice."""

    move: str
    item: str
    from_version: str
    to_version: str
    at: datetime
    """From when on."""


class SubscriptionView(Struct, frozen=True, kw_only=True):
    """One subscription at an instant."""

    id: str
    source: str | None
    """Who sold it; ``manual``: it was sold by hand and is changed here."""
    external_id: str | None
    standing: str
    since: datetime | None
    """From when on it stands so."""
    until: datetime | None
    """When that changes by itself, None where nothing is due."""
    starts_at: datetime
    ends_at: datetime | None
    """When it ends, exclusive; None: it renews."""
    items: tuple[HeldItem, ...]
    """What it consists of, whether it gives that now or not."""
    period: Period | None
    """The billing period that runs; None before the first."""
    renews: str
    """How long a billing period lasts."""
    zone: str | None
    trial: Trial | None
    pauses: tuple[Pause, ...]
    """Those that run or are still to come."""
    scheduled: tuple[Planned, ...]
    """What it is planned to consist of later, by orders and by the seller's own schedule."""
    moves: tuple[MovedItem, ...] = ()
    """Moves between versions that count for it or are announced."""


class SubscriptionList(Struct, frozen=True, kw_only=True):
    """All subscriptions of a customer at an instant, those that have ended too, by their start."""

    customer: str
    at: datetime
    items: tuple[SubscriptionView, ...]


async def list_subscriptions(view: View, customer: str, catalogs: Catalogs) -> SubscriptionList:
    """Return a customer's subscriptions; raises NotFound for an unknown customer, NoCatalog before the first one."""
    revision, row, _ = await view.standing_of(customer, None)
    if row is None:
        raise unknown_customer(customer)
    if revision == 0:
        raise NoCatalog(view.workspace.id)
    catalog, now = await catalogs.at(view, revision), view.time.business
    held = derive(catalog, row.terms, now).held
    items = tuple(_view(catalog, row.terms, one, now) for one in held)
    return SubscriptionList(customer=customer, at=to_datetime(now), items=items)


async def get_subscription(view: View, customer: str, subscription: str, catalogs: Catalogs) -> SubscriptionView:
    """Return one subscription of a customer; raises NotFound, or NoCatalog before the first one."""
    for one in (await list_subscriptions(view, customer, catalogs)).items:
        if one.id == subscription:
            return one
    raise NotFound(
        f"customer {customer} has no subscription {subscription!r}",
        advice=f"list them: GET /v1/customers/{customer}/subscriptions",
    )


def _view(catalog: CompiledCatalog, terms: Terms, held: Held, now: Instant) -> SubscriptionView:
    known, standing = held.subscription, held.standing
    moment = to_datetime(now)
    period = period_at(known, now, catalog.zone(known.zone, terms.profile.zone))
    return SubscriptionView(
        id=known.id,
        source=known.source,
        external_id=known.external_id,
        standing=standing.kind,
        since=None if standing.since <= BEGINNING else to_datetime(standing.since),
        until=None if standing.until >= FOREVER else to_datetime(standing.until),
        starts_at=known.phases[0].starts_at,
        ends_at=known.ends_at,
        items=tuple(held_item(item) for item in held.segment.state.items),
        period=None
        if period is None or standing.kind == "ended" or period[1] >= FOREVER
        else Period(start=to_datetime(period[0]), end=to_datetime(period[1])),
        renews=known.period,
        zone=known.zone,
        trial=_trial(known),
        pauses=tuple(one for one in known.pauses if one.ends_at is None or one.ends_at > moment),
        scheduled=planned_phases(catalog, terms, known, moment),
        moves=tuple(_moved(one) for one in moves_of(terms, known.id) if one.ends_at is None or one.ends_at > moment),
    )


def _trial(known: Subscription) -> Trial | None:
    if known.trial_end is None:
        return None
    start = known.trial_start or known.phases[0].starts_at
    return Trial(start=start, end=known.trial_end, then=known.trial_end_behavior)


def _moved(fact: VersionMove) -> MovedItem:
    return MovedItem(
        move=fact.id,
        item=fact.item,
        from_version=fact.from_version,
        to_version=fact.to_version,
        at=fact.starts_at,
    )
