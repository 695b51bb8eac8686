"""Missed payments of one customer: what is owed, on which ladder each subscription stands, and what comes next."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from licet.core.compiled import CompiledCatalog
from licet.core.dunning import Do, DunningView, lay_course, read_dunning
from licet.core.episode import read_episodes
from licet.core.instant import Instant, to_datetime
from licet.core.money import Money
from licet.core.terms import LadderChoice, Leniency, Membership, PaymentFact, Subscription, Terms
from licet.core.timeline import StandingKind
from licet.services.customers import business_now, unknown_customer
from licet.services.errors import NotFound
from licet.services.ports import View
from licet.services.truth import Catalogs


class OpenInvoice(Struct, frozen=True, kw_only=True):
    """An invoice that is not settled: ``owed`` since an instant, or ``due`` at one that is still ahead."""

    invoice: str
    state: Literal["owed", "due"]
    at: datetime
    money: Money | None = None


class StageState(Struct, frozen=True, kw_only=True):
    """One stage of a ladder. ``at``: when it is reached if nothing is paid.

    None while an open-ended pause holds it back, and where nothing is owed.
    """

    do: Do
    features: tuple[str, ...] = ()
    after: str
    """How long after the first missed payment, as the catalog says it."""
    at: datetime | None
    reached: bool


class NextStage(Struct, frozen=True, kw_only=True):
    """What non-payment takes away next, and when, if nothing is paid or agreed."""

    do: Do
    at: datetime


class SubscriptionDunning(Struct, frozen=True, kw_only=True):
    """How one subscription's non-payment stands.

    ``origin`` says who decided on the ladder: ``customer``, ``cohort:<id>``, ``plan:<id>@<version>`` or ``none``.
    """

    subscription: str
    source: str | None
    items: tuple[str, ...]
    """What it consists of now, as ``team@2026-01``."""
    standing: StandingKind
    invoices: tuple[OpenInvoice, ...]
    since: datetime | None
    """When the episode of non-payment began; None where nothing is owed."""
    ladder: str | None
    """The episode's ladder, else the one that an episode beginning now would climb; None: no consequences."""
    origin: str
    stages: tuple[StageState, ...]
    leniencies: tuple[Leniency, ...]
    """Promises and pauses in force."""
    next: NextStage | None


class CustomerDunning(Struct, frozen=True, kw_only=True):
    """Everything about a customer's missed payments at one instant of business time."""

    customer: str
    at: datetime
    ladders: tuple[LadderChoice, ...]
    """The choices for this customer that are in force or ahead."""
    cohorts: tuple[Membership, ...]
    """Those to which it belongs."""
    suspended: bool
    """Whether the customer itself is suspended, apart from any payment."""
    subscriptions: tuple[SubscriptionDunning, ...]


async def get_dunning(view: View, customer: str, catalogs: Catalogs) -> CustomerDunning:
    """Return how a customer's non-payment stands now; raises NotFound, or Conflict while no catalog is released."""
    row = await view.terms(customer)
    if row is None:
        raise unknown_customer(customer)
    catalog, terms, now = await catalogs.current(view), row.terms, business_now(view)
    return CustomerDunning(
        customer=customer,
        at=now,
        ladders=tuple(one for one in terms.ladders if one.ends_at is None or one.ends_at > now),
        cohorts=tuple(one for one in terms.cohorts if one.ends_at is None or one.ends_at > now),
        suspended=any(one.starts_at <= now and (one.ends_at is None or one.ends_at > now) for one in terms.suspensions),
        subscriptions=tuple(_told(catalog, terms, one, view.time.business) for one in terms.subscriptions),
    )


def owned_subscription(terms: Terms, subscription: str) -> Subscription:
    """Return a subscription of these terms; raises NotFound."""
    known = next((one for one in terms.subscriptions if one.id == subscription), None)
    if known is None:
        raise NotFound(
            f"customer {terms.customer} has no subscription {subscription!r}", advice="read the customer's terms"
        )
    return known


def _told(catalog: CompiledCatalog, terms: Terms, subscription: Subscription, now: Instant) -> SubscriptionDunning:
    """Return what is told of one subscription."""
    stands = read_dunning(catalog, terms, subscription.id, now)
    if stands is None:
        raise AssertionError("the subscription is one of these terms")
    return SubscriptionDunning(
        subscription=subscription.id,
        source=subscription.source,
        items=tuple(
            f"{item.id}@{item.version}" for item in lay_course(catalog, terms, subscription).state_at(now).items
        ),
        standing=stands.standing,
        invoices=open_invoices_of(subscription, now),
        since=None if stands.since is None else to_datetime(stands.since),
        ladder=stands.ladder,
        origin=stands.origin,
        stages=_stages(catalog, stands),
        leniencies=stands.leniencies,
        next=None if stands.next is None else NextStage(do=stands.next.do, at=to_datetime(stands.next.at)),
    )


def _stages(catalog: CompiledCatalog, stands: DunningView) -> tuple[StageState, ...]:
    """Return the stages with the catalog's own words for when they come."""
    written = catalog.document.ladders.get(stands.ladder or "", ())
    return tuple(
        StageState(
            do=stage.do,
            features=stage.features,
            after=said.after,
            at=None if stage.at is None else to_datetime(stage.at),
            reached=stage.reached,
        )
        for said, stage in zip(written, stands.stages, strict=True)
    )


def open_invoices_of(subscription: Subscription, now: Instant) -> tuple[OpenInvoice, ...]:
    """Return the invoices that are owed, then those that are due later, each in the order of time."""
    facts: dict[str, list[PaymentFact]] = {}
    for fact in subscription.payments:
        facts.setdefault(fact.invoice, []).append(fact)
    found: list[OpenInvoice] = []
    for invoice, told in facts.items():
        for episode in read_episodes(told):
            if episode.end > now:
                money = next((fact.money for fact in reversed(told) if fact.money is not None), None)
                state: Literal["owed", "due"] = "owed" if episode.start <= now else "due"
                at = to_datetime(episode.start)
                found.append(OpenInvoice(invoice=invoice, state=state, at=at, money=money))
                break
    return tuple(sorted(found, key=lambda one: (one.state == "due", one.at, one.invoice)))
