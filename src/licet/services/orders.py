"""Orders and payments from outside become terms, whatever the order of their arrival; every one is in the log."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct, structs, to_builtins

from licet.core.compiled import CompiledCatalog
from licet.core.instant import instant_words, to_datetime
from licet.core.orderlines import Drafting
from licet.core.orders import (
    FindingDraft,
    OrderDocument,
    Outcome,
    PaymentNotice,
    Placement,
    ScheduledLines,
    ScheduleNotice,
    subject_of,
)
from licet.core.placement import find_subscription, record_payments
from licet.core.scheduling import record_schedule
from licet.core.terms import Profile, Subscription, Terms
from licet.seal.ids import new_id
from licet.services.amends import settle_breaches, settle_debts, settle_mistakes
from licet.services.customers import lock
from licet.services.errors import Forbidden
from licet.services.findings import put_findings, settle_finding
from licet.services.history import (
    OrderRecord,
    PlacedOrder,
    PlacedSchedule,
    ScheduleRecord,
    base_zone,
    came_before,
    check_plans,
    check_room,
    earlier_offers,
    fold_orders,
    load_orders,
    load_schedules,
    order_subject,
    orders_say,
    schedule_subject,
    ties_decided,
)
from licet.services.matching import Match, match_customer, settle_customer
from licet.services.normal import check_attributes, check_length, check_zone, invalid, normal
from licet.services.ports import Tx
from licet.services.rows import Draft, TermsRow
from licet.services.terms import next_revision
from licet.services.truth import Catalogs

MAX_AHEAD: Final = timedelta(days=1)
"""How far in the future an order may have occurred (clocks differ); beyond, it would shadow every later one."""


class OrderResult(Struct, frozen=True, kw_only=True):
    """What became of an order or payment. ``order`` is the event that holds it, None if it had come before."""

    order: str | None
    outcome: Outcome
    customer: str
    subscription: str | None
    findings: tuple[FindingDraft, ...] = ()


async def receive_order(
    tx: Tx, order: OrderDocument, catalogs: Catalogs, *, match: Match | None = None, section: str | None = None
) -> OrderResult:
    """Place an order: find or create its customer, lock it, append a revision of its terms if they change.

    ``match`` is who was found already; ``section`` names the part of the catalog's ``orders`` that explains the
    prices, by default that of the source.

    Leaves ``order.applied`` (``stale``, ``conflict``, ``duplicate``, ``refused``) with the whole document, and
    ``subscription.created`` or ``subscription.changed`` if the terms changed. The same order again leaves nothing,
    nor does one that is refused again.
    Raises Invalid, or Conflict while no catalog is released.
    """
    order = normal(order)
    check_order(tx, order)
    catalog = _explaining(await catalogs.current(tx), order.source, section)
    match = match or await match_customer(tx, order.source, order.customer, order.external_id)
    _check_binding(tx, match)
    profile = Profile(region=order.region, country=order.country, attributes=order.attributes)
    customer = await settle_customer(tx, order.source, order.customer, match, profile)
    terms = await lock(tx, customer.id)
    orders = await load_orders(tx, order.source, order.external_id)
    if came_before(orders, order):
        known = find_subscription(terms.terms, order.source, order.external_id)
        return OrderResult(
            order=None, outcome="duplicate", customer=customer.id, subscription=known.id if known else None
        )
    check_room(orders, order)
    schedule = await _planned(tx, find_subscription(terms.terms, order.source, order.external_id))
    return await _place(_Desk(tx, catalog, terms, orders, catalogs, schedule), order, match.findings)


async def _planned(tx: Tx, known: Subscription | None) -> PlacedSchedule | None:
    """Return what is planned for a subscription apart from its orders, as the log holds it."""
    if known is None or known.schedule is None or known.source is None or known.external_id is None:
        return None
    placed = await load_schedules(tx, known.source, known.external_id)
    return next((one for one in placed if one.event == known.schedule.event), None)


async def receive_payments(tx: Tx, notice: PaymentNotice, catalogs: Catalogs) -> OrderResult | None:
    """Record payment facts about one foreign subscription; leaves ``payment.recorded`` if they are new.

    Where the terms have no room for them: ``payment.refused`` and a finding.

    Returns None, and writes nothing, where nobody knows the customer yet: the caller keeps the notice until then.
    """
    notice = normal(notice)
    catalog = await catalogs.current(tx)
    match = await match_customer(tx, notice.source, notice.customer, notice.external_id)
    if match.customer is None:
        return None
    customer = await settle_customer(tx, notice.source, notice.customer, match)
    terms = await lock(tx, customer.id)
    await put_findings(tx, match.findings, customer=customer.id)
    outlook = record_payments(catalog, terms.terms, notice)
    if outlook.outcome == "duplicate":
        known = find_subscription(terms.terms, notice.source, notice.external_id)
        return OrderResult(
            order=None,
            outcome="duplicate",
            customer=customer.id,
            subscription=known.id if known else None,
            findings=match.findings,
        )
    event = await tx.record(_payment_event(notice, terms, outlook.outcome))
    placement = record_payments(catalog, terms.terms, notice, event=event)
    if placement.terms != terms.terms:
        await tx.put_terms(customer.id, placement.terms)
    await put_findings(tx, placement.findings, customer=customer.id)
    await settle_debts(tx, catalog, placement.terms, notice.source, notice.external_id)
    return _result(event, placement, customer.id, match.findings)


async def receive_schedule(
    tx: Tx, notice: ScheduleNotice, catalogs: Catalogs, *, section: str | None = None
) -> OrderResult | None:
    """Record what a foreign system plans for one subscription, in place of what it planned before.

    Leaves ``schedule.recorded`` (``stale``, ``conflict``, ``refused``) with the whole notice and what it meant, and
    ``subscription.changed`` if the terms changed. The same notice again leaves nothing.

    Returns None, and writes nothing, where the subscription is not known: the caller keeps the notice until then.
    Raises Invalid for phases that are not ascending.
    """
    notice = normal(notice)
    _check_scheduled(notice.phases, "phases", notice.occurred_at, "occurred_at")
    catalog = _explaining(await catalogs.current(tx), notice.source, section)
    match = await match_customer(tx, notice.source, notice.customer, notice.external_id)
    if match.customer is None:
        return None
    terms = await lock(tx, match.customer)
    known = find_subscription(terms.terms, notice.source, notice.external_id)
    if known is None:
        return None
    await settle_customer(tx, notice.source, notice.customer, match)
    await put_findings(tx, match.findings, customer=match.customer)
    placed = await load_schedules(tx, notice.source, notice.external_id)
    said = orders_say(await load_orders(tx, notice.source, notice.external_id))
    outlook = record_schedule(catalog, terms.terms, notice, said=said)
    if outlook.outcome == "duplicate" or any(one.notice == notice and not one.refused for one in placed):
        return OrderResult(
            order=None,
            outcome="duplicate",
            customer=match.customer,
            subscription=known.id,
            findings=match.findings,
        )
    check_plans(placed, notice)
    event = await tx.record(_schedule_event(notice, match.customer, outlook))
    placement = record_schedule(catalog, terms.terms, notice, event=event, said=said)
    if placement.terms != terms.terms:
        await tx.put_terms(match.customer, placement.terms)
        await tx.record(subscription_event(notice.source, notice.external_id, terms, placement.terms))
    await put_findings(tx, placement.findings, customer=match.customer)
    if placement.outcome == "applied":
        subject = Drafting(notice.source, notice.external_id).subject
        await settle_finding(tx, "schedule_conflict", subject, f"{event} is a newer plan than both")
    return _result(event, placement, match.customer, match.findings)


def _schedule_event(notice: ScheduleNotice, customer: str, placement: Placement) -> Draft:
    """Return the event that holds a schedule for ever."""
    record = ScheduleRecord(
        notice=notice,
        customer=customer,
        subscription=placement.subscription,
        findings=tuple(one.kind for one in placement.findings),
        items=placement.items,
    )
    verb = "recorded" if placement.outcome == "applied" else placement.outcome
    return Draft(
        type=f"schedule.{verb}",
        subject=schedule_subject(notice.source, notice.external_id),
        after=to_builtins(record),
        effective_at=notice.occurred_at,
    )


class _Desk(NamedTuple):
    """What lies ready when an order is placed: the locked customer's terms, all earlier orders and what is planned."""

    tx: Tx
    catalog: CompiledCatalog
    terms: TermsRow
    orders: list[PlacedOrder]
    catalogs: Catalogs
    schedule: PlacedSchedule | None


async def _place(desk: _Desk, order: OrderDocument, findings: tuple[FindingDraft, ...]) -> OrderResult:
    """Fold the order in, twice: first to learn what becomes of it, then with the id of the event that says so."""
    tx, catalog, terms, orders = desk.tx, desk.catalog, desk.terms, desk.orders
    known = find_subscription(terms.terms, order.source, order.external_id)
    subscription_id = known.id if known else new_id("sub", tx.time.wall)
    zone = base_zone(orders, terms.terms.profile.zone or tx.workspace.zone)
    sellers = {item: await desk.catalogs.at(tx, revision) for item, revision in earlier_offers(orders, order).items()}

    def fold(newest: PlacedOrder) -> Placement:
        return fold_orders(
            catalog,
            terms.terms,
            orders,
            newest,
            subscription_id=subscription_id,
            zone=zone,
            sellers=sellers,
            schedule=desk.schedule,
        )

    outlook = fold(PlacedOrder(order, ""))
    if outlook.outcome == "refused" and outlook.terms == terms.terms and any(one.order == order for one in orders):
        # The log has it: as long as it means nothing here, the same again is only counted by its findings.
        await put_findings(tx, (*findings, *outlook.findings), customer=terms.terms.customer)
        return _result(None, outlook, terms.terms.customer, findings)
    record = OrderRecord(
        document=order,
        customer=terms.terms.customer,
        subscription=outlook.subscription,
        findings=tuple(one.kind for one in (*findings, *outlook.findings)),
        items=outlook.items,
        zone=zone,
    )
    event = await tx.record(_order_event(record, outlook.outcome))
    placement = fold(PlacedOrder(order, event))
    if placement.terms != terms.terms:
        await tx.put_terms(terms.terms.customer, placement.terms)
        await tx.record(subscription_event(order.source, order.external_id, terms, placement.terms))
    await put_findings(tx, (*findings, *placement.findings), customer=terms.terms.customer)
    await settle_debts(tx, catalog, placement.terms, order.source, order.external_id)
    await settle_mistakes(tx, placement.terms, order, event, placement.findings)
    await settle_breaches(tx, catalog, placement.terms, order, event)
    if ties_decided(orders, PlacedOrder(order, event)):
        subject = Drafting(order.source, order.external_id).subject
        await settle_finding(tx, "order_conflict", subject, f"{event} says in which sequence they happened")
    return _result(event, placement, terms.terms.customer, findings)


def subscription_event(source: str, external_id: str, before: TermsRow, after: Terms) -> Draft:
    """Return the event of what changed in one subscription."""
    had, has = (find_subscription(terms, source, external_id) for terms in (before.terms, after))
    return Draft(
        type="subscription.created" if had is None else "subscription.changed",
        subject=subject_of("customer", after.customer),
        before=_content(had),
        after=_content(has),
        effective_at=_effective(has),
        revision=next_revision(before),
    )


def _explaining(catalog: CompiledCatalog, source: str, section: str | None) -> CompiledCatalog:
    """Return the catalog with the prices of ``source`` explained by another section."""
    document = catalog.document
    if section is None or section == source:
        return catalog
    orders = {**document.orders, source: document.orders.get(section, {})}
    return structs.replace(catalog, document=structs.replace(document, orders=orders))


def _content(subscription: Subscription | None) -> object:
    return None if subscription is None else to_builtins(subscription)


def _payment_event(notice: PaymentNotice, terms: TermsRow, outcome: Outcome) -> Draft:
    """Return the event that holds payment facts; it says ``refused`` where the terms have no room for them."""
    refused = outcome == "refused"
    return Draft(
        type="payment.refused" if refused else "payment.recorded",
        subject=subject_of("customer", terms.terms.customer),
        after={
            "source": notice.source,
            "external_id": notice.external_id,
            "payments": to_builtins(notice.payments),
        },
        effective_at=notice.payments[0].at,
        revision=None if refused else next_revision(terms),
    )


def _effective(subscription: Subscription | None) -> datetime | None:
    """Return when the newest order of a subscription happened."""
    return subscription.occurred_at if subscription else None


def _order_event(record: OrderRecord, outcome: Outcome) -> Draft:
    """Return the event that holds an order for ever."""
    order = record.document
    return Draft(
        type=f"order.{outcome}",
        subject=order_subject(order.source, order.external_id),
        after=to_builtins(record),
        effective_at=order.effective_at or order.occurred_at,
    )


def _result(event: str | None, placement: Placement, customer: str, findings: tuple[FindingDraft, ...]) -> OrderResult:
    return OrderResult(
        order=event,
        outcome=placement.outcome,
        customer=customer,
        subscription=placement.subscription,
        findings=(*findings, *placement.findings),
    )


def _check_binding(tx: Tx, match: Match) -> None:
    """Raise Forbidden if the actor is bound to another customer than the one the order turns out to be about.

    An order that also names somebody else is refused, too: the finding would tell who that is.
    """
    about = match.customer or match.create
    torn = any(finding.kind == "customer_contradiction" for finding in match.findings)
    if tx.actor.customer is not None and (torn or about != tx.actor.customer):
        raise Forbidden(
            f"{tx.actor.id} is bound to customer {tx.actor.customer}; this order is about another one",
            advice="use a key that is not bound to a customer",
        )


def check_order(tx: Tx, order: OrderDocument) -> None:
    """Raise Invalid for what the shape of an order cannot say."""
    check_length(order.period, "period")
    check_attributes(order.attributes, "attributes")
    if order.zone is not None:
        check_zone(order.zone, "zone")
    latest = to_datetime(max(tx.time.business, tx.time.wall)) + MAX_AHEAD
    if order.occurred_at > latest:
        raise invalid(
            "occurred_at",
            f"{instant_words(order.occurred_at)} is in the future; at most {instant_words(latest)} is taken",
            "an order says what has happened; use effective_at for what begins later",
        )
    lines_begin = max(order.effective_at or order.occurred_at, order.starts_at or order.occurred_at)
    _check_scheduled(order.scheduled, "scheduled", lines_begin, "the lines")
    for field, start, end in [
        ("ends_at", order.starts_at, order.ends_at),
        ("trial_end", order.trial_start, order.trial_end),
    ]:
        if start is not None and end is not None and end < start:
            raise invalid(field, f"{instant_words(end)} is before {instant_words(start)}")


def _check_scheduled(phases: Sequence[ScheduledLines], field: str, begin: datetime, what: str) -> None:
    """Raise Invalid unless each phase begins after the one before, and all after ``begin``."""
    before, named = begin, what
    for place, phase in enumerate(phases):
        path = f"{field}[{place}].effective_at"
        if phase.effective_at <= before:
            raise invalid(
                path,
                f"{instant_words(phase.effective_at)} is not after {named}, {instant_words(before)}",
                "list what follows in order of time, and what is in force already as lines",
            )
        before, named = phase.effective_at, f"{field}[{place}]"
