"""Placing an order: a pure rule from the terms before to the terms after, with findings where something is odd."""

from datetime import datetime
from typing import NamedTuple

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.derive import derive
from licet.core.episode import open_invoices
from licet.core.instant import FOREVER, to_instant
from licet.core.orderlines import Drafting, begin_subscription, continue_subscription, has_ended, read_lines
from licet.core.orders import OrderDocument, Outcome, PaymentNotice, Placement, Resolved
from licet.core.terms import (
    MAX_PAYMENTS,
    MAX_PHASES,
    MAX_SUBSCRIPTIONS,
    EarlyPayment,
    PaymentFact,
    Subscription,
    Terms,
)
from licet.core.timeline import ladder_end


def place_order(
    catalog: CompiledCatalog,
    terms: Terms,
    order: OrderDocument,
    *,
    subscription_id: str,
    zone: str | None = None,
    event: str | None = None,
    items: tuple[Resolved, ...] | None = None,
    silent: bool = False,
) -> Placement:
    """Return the terms after ``order``.

    ``subscription_id`` names the subscription if the order begins one; ``zone``, else the profile's, is pinned to it
    where the order names none; ``event`` is recorded as the origin of what changed. ``items`` is what the lines meant
    when the order first arrived (by default what they mean now); ``silent`` leaves findings out. Newest
    ``occurred_at`` (then ``sequence``) wins; payment facts are merged whatever else becomes of the order.
    """
    drafting = Drafting(order.source, order.external_id, silent=silent)
    wanted = read_lines(catalog, order, drafting) if items is None else items
    rest, early = _without_early(terms, order.source, order.external_id)
    before = find_subscription(rest, order.source, order.external_id)
    placing = _Placing(catalog, rest, order, drafting)
    facts = (*early, *order.payments)
    if before is not None and before.occurred_at is not None and rank(order) < rank(before):
        placed = _settled(placing, merge_payments(before, facts, event), "stale")
    elif not wanted and order.lines and not has_ended(order):
        kept = before.id if before else None
        placed = Placement(terms=terms, outcome="refused", subscription=kept, findings=tuple(drafting.findings))
    elif before is not None:
        placed = _continued(placing, merge_payments(before, facts, event), wanted, event)
    elif not wanted:
        placed = _nothing_known(placing, terms, event)
    else:
        zone = zone or terms.profile.zone
        fresh = begin_subscription(catalog, order, wanted, drafting, named=subscription_id, zone=zone, event=event)
        placed = _settled(placing, merge_payments(fresh, facts, event), "applied")
    return structs.replace(placed, items=wanted, terms=terms if placed.outcome == "refused" else placed.terms)


class _Placing(NamedTuple):
    """What lies ready when an order is placed; without an order, payment facts are."""

    catalog: CompiledCatalog
    terms: Terms
    order: OrderDocument | None
    drafting: Drafting


def _continued(placing: _Placing, merged: Subscription, wanted: tuple[Resolved, ...], event: str | None) -> Placement:
    """Place an order of a known subscription, into which all payment facts are merged already."""
    catalog, terms, order, drafting = placing
    before = find_subscription(terms, merged.source or "", merged.external_id or "")
    if order is None or before is None:
        raise ValueError("only an order continues a subscription, and only one that is known")
    after = continue_subscription(catalog, merged, order, wanted, drafting, event=event)
    if before.occurred_at is None or rank(order) > rank(before):
        if not wanted and not has_ended(order):
            drafting.add("nothing_sold", "the order has no lines: from then on the subscription gives nothing")
        return _settled(placing, after, "applied")
    if _plain(after) == _plain(merged):
        return _settled(placing, merged, "duplicate" if merged == before else "applied")
    words = f"two orders of {order.occurred_at.isoformat()} want different things; the first one stays in force"
    drafting.add("order_conflict", words, sequence=order.sequence)
    return _settled(placing, merged, "conflict")


def _nothing_known(placing: _Placing, terms: Terms, event: str | None) -> Placement:
    """Place an order that sells nothing, of a subscription that is not known: only its payment facts are kept."""
    order = placing.order
    if order is not None and order.payments:
        notice = PaymentNotice(
            source=order.source, external_id=order.external_id, customer=order.customer, payments=order.payments
        )
        return record_payments(placing.catalog, terms, notice, event=event)
    findings = tuple(placing.drafting.findings)
    return Placement(terms=terms, outcome="duplicate", subscription=None, findings=findings)


def record_payments(
    catalog: CompiledCatalog, terms: Terms, notice: PaymentNotice, *, event: str | None = None
) -> Placement:
    """Return the terms with the payment facts of ``notice`` merged in.

    Facts that arrive before their subscription wait in ``terms.early_payments`` and are taken up when it is placed.
    """
    found = find_subscription(terms, notice.source, notice.external_id)
    drafting = Drafting(notice.source, notice.external_id)
    if found is not None:
        after = merge_payments(found, notice.payments, event)
        return _settled(_Placing(catalog, terms, None, drafting), after, "duplicate" if after == found else "applied")
    known = {(one.source, one.external_id, _fact_key(one.fact)): one for one in terms.early_payments}
    for fact in notice.payments:
        dated = fact if fact.event else structs.replace(fact, event=event)
        one = EarlyPayment(source=notice.source, external_id=notice.external_id, fact=dated)
        known.setdefault((notice.source, notice.external_id, _fact_key(fact)), one)
    early = tuple(known[key] for key in sorted(known))
    if len(early) > MAX_PAYMENTS:
        words = f"more than {MAX_PAYMENTS} payment facts would wait for their subscriptions; these were not kept"
        drafting.add("terms_full", words)
        return Placement(terms=terms, outcome="refused", subscription=None, findings=tuple(drafting.findings))
    if len(early) == len(terms.early_payments):
        return Placement(terms=terms, outcome="duplicate", subscription=None)
    changed = structs.replace(terms, early_payments=early)
    return Placement(terms=changed, outcome="applied", subscription=None)


def _without_early(terms: Terms, source: str, external_id: str) -> tuple[Terms, tuple[PaymentFact, ...]]:
    """The terms without the payments that waited for this subscription, and those payments."""
    mine = [one for one in terms.early_payments if (one.source, one.external_id) == (source, external_id)]
    if not mine:
        return terms, ()
    rest = tuple(one for one in terms.early_payments if one not in mine)
    return structs.replace(terms, early_payments=rest), tuple(one.fact for one in mine)


def find_subscription(terms: Terms, source: str, external_id: str) -> Subscription | None:
    """Return the subscription that a source knows under ``external_id``."""
    return next((one for one in terms.subscriptions if (one.source, one.external_id) == (source, external_id)), None)


def merge_payments(
    subscription: Subscription, facts: tuple[PaymentFact, ...], event: str | None = None
) -> Subscription:
    """Return the subscription with the facts it did not have; equal ones count once, order is by time."""
    known = {_fact_key(fact): fact for fact in subscription.payments}
    for fact in facts:
        known.setdefault(_fact_key(fact), fact if fact.event else structs.replace(fact, event=event))
    ordered = tuple(known[key] for key in sorted(known))
    return subscription if ordered == subscription.payments else structs.replace(subscription, payments=ordered)


def _fact_key(fact: PaymentFact) -> tuple[datetime, str, str]:
    """What makes two payment facts the same."""
    return fact.at, fact.invoice, fact.kind


def rank(one: OrderDocument | Subscription) -> tuple[datetime, int]:
    """Return how new an order is, or the newest one of a subscription; without a sequence is older than with one."""
    if one.occurred_at is None:
        raise ValueError("a subscription without an order has no rank")
    return one.occurred_at, -1 if one.sequence is None else one.sequence


def _plain(subscription: Subscription) -> Subscription:
    """The content without its age and origins: what decides whether two orders want the same."""
    return structs.replace(
        subscription,
        occurred_at=None,
        sequence=None,
        event=None,
        end_event=None,
        phases=tuple(structs.replace(phase, event=None) for phase in subscription.phases),
        pauses=tuple(structs.replace(pause, event=None) for pause in subscription.pauses),
        payments=tuple(structs.replace(fact, event=None) for fact in subscription.payments),
    )


def _settled(placing: _Placing, subscription: Subscription, outcome: Outcome) -> Placement:
    """The terms with the subscription in its place, and findings for what the sold items or payments contradict."""
    catalog, terms, order, drafting = placing
    kept = tuple(subscription if one.id == subscription.id else one for one in terms.subscriptions)
    if all(one.id != subscription.id for one in kept):
        kept = (*kept, subscription)
    if _too_large(kept, subscription):
        words = (
            f"the customer would have more than {MAX_SUBSCRIPTIONS} subscriptions, {MAX_PHASES} phases or "
            f"{MAX_PAYMENTS} payment facts; nothing was changed"
        )
        drafting.add("terms_full", words)
        return Placement(terms=terms, outcome="refused", subscription=None, findings=tuple(drafting.findings))
    changed = terms if kept == terms.subscriptions else structs.replace(terms, subscriptions=kept)
    if not drafting.silent:
        if outcome == "applied" and order is not None:
            _note_breaches(catalog, changed, subscription, order, drafting)
        if order is not None and order.paid_up:
            _note_debts(subscription, order, drafting)
        _note_late_payments(catalog, terms, subscription, drafting)
    findings = tuple(drafting.findings)
    return Placement(terms=changed, outcome=outcome, subscription=subscription.id, findings=findings)


def _too_large(kept: tuple[Subscription, ...], subscription: Subscription) -> bool:
    """Whether a document of this size would be refused when it is read again."""
    return (
        len(kept) > MAX_SUBSCRIPTIONS
        or len(subscription.phases) > MAX_PHASES
        or len(subscription.payments) > MAX_PAYMENTS
    )


def _note_breaches(
    catalog: CompiledCatalog, terms: Terms, subscription: Subscription, order: OrderDocument, drafting: Drafting
) -> None:
    """A finding for each rule between sold items that is broken when the order takes effect; sold it is."""
    effective = max(order.effective_at or order.occurred_at, subscription.phases[0].starts_at)
    for breach in derive(catalog, terms, to_instant(effective)).breaches:
        about = f"{breach.rule}/{breach.item}"
        drafting.add("combination", breach.words, about=about, rule=breach.rule, others=list(breach.others))


def _note_debts(subscription: Subscription, order: OrderDocument, drafting: Drafting) -> None:
    """A finding where the seller says that nothing is owed, and an invoice still is: the ladder goes on.

    What failed or was settled in the very instant of the order may have come just after or before it.
    """
    at = to_instant(order.occurred_at)
    now = open_invoices(subscription.payments, at)
    owed = [invoice for invoice in open_invoices(subscription.payments, at - 1) if invoice in now]
    if owed:
        words = (
            f"{order.source} says that nothing is owed, but {', '.join(owed[:5])} was neither paid nor voided; "
            "the plan's ladder goes on until it is settled there"
        )
        drafting.add("payment_state_differs", words, invoices=list(owed[:20]))


def _note_late_payments(catalog: CompiledCatalog, terms: Terms, subscription: Subscription, drafting: Drafting) -> None:
    """A finding for each payment after the ladder had ended the subscription: it brings nothing back.

    What was known and late before is not told again; a payment that only now turns out to be late is.
    """
    paid = [fact for fact in subscription.payments if fact.kind == "paid"]
    if not paid:
        return
    zone = catalog.zone(subscription.zone, terms.profile.zone)
    ended = ladder_end(subscription, catalog, zone)
    late = [fact for fact in paid if to_instant(fact.at) >= ended]
    before = next((one for one in terms.subscriptions if one.id == subscription.id), None) if late else None
    ended_before = FOREVER if before is None else ladder_end(before, catalog, zone)
    known = () if before is None else before.payments
    for fact in late:
        if fact in known and to_instant(fact.at) >= ended_before:
            continue
        words = f"invoice {fact.invoice} was paid after non-payment had ended the subscription; sell it anew or refund"
        drafting.add("paid_after_end", words, about=fact.invoice, invoice=fact.invoice)
