"""Placing an order: a pure rule from the terms before to the terms after, with findings where something is odd."""

from datetime import datetime

from msgspec import structs

from licet.core.combination import find_breaches
from licet.core.compiled import CompiledCatalog
from licet.core.instant import FOREVER, to_instant
from licet.core.orderlines import Drafting, begin_subscription, continue_subscription, read_lines
from licet.core.orders import OrderDocument, Outcome, PaymentNotice, Placement
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
) -> Placement:
    """Return the terms after ``order``.

    ``subscription_id`` names the subscription if the order begins one; ``zone`` is pinned to it where neither the
    order nor the profile names one; ``event`` is recorded as the origin of what changed. Newest ``occurred_at``
    (then ``sequence``) wins; payment facts are merged whatever else becomes of the order.
    """
    drafting = Drafting(order.source, order.external_id)
    terms, early = _without_early(terms, order.source, order.external_id)
    facts = (*early, *order.payments)
    before = find_subscription(terms, order.source, order.external_id)
    if before is not None and before.occurred_at is not None and _rank(order) < _rank(before):
        return _settled(catalog, terms, merge_payments(before, facts, event), "stale", drafting)
    wanted = read_lines(catalog, order, drafting)
    if not wanted:
        kept = before.id if before else None
        return Placement(terms=terms, outcome="refused", subscription=kept, findings=tuple(drafting.findings))
    if before is None:
        fresh = begin_subscription(catalog, order, wanted, drafting, named=subscription_id, event=event)
        pinned = fresh.zone or terms.profile.zone or zone
        after = merge_payments(structs.replace(fresh, zone=pinned), facts, event)
        return _settled(catalog, terms, after, "applied", drafting)
    merged = merge_payments(before, facts, event)
    after = continue_subscription(catalog, merged, order, wanted, drafting, event=event)
    if before.occurred_at is None or _rank(order) > _rank(before):
        return _settled(catalog, terms, after, "applied", drafting)
    if _plain(after) == _plain(merged):
        outcome: Outcome = "duplicate" if merged == before else "applied"
        return _settled(catalog, terms, merged, outcome, drafting)
    words = f"two orders of {order.occurred_at.isoformat()} want different things; the first one stays in force"
    drafting.add("order_conflict", words, sequence=order.sequence)
    return _settled(catalog, terms, merged, "conflict", drafting)


def record_payments(
    catalog: CompiledCatalog, terms: Terms, notice: PaymentNotice, *, event: str | None = None
) -> Placement:
    """Return the terms with the payment facts of ``notice`` merged in.

    Facts that arrive before their subscription wait in ``terms.early_payments`` and are taken up when it is placed.
    """
    found = find_subscription(terms, notice.source, notice.external_id)
    if found is not None:
        after = merge_payments(found, notice.payments, event)
        outcome: Outcome = "duplicate" if after == found else "applied"
        return _settled(catalog, terms, after, outcome, Drafting(notice.source, notice.external_id))
    known = {(one.source, one.external_id, _fact_key(one.fact)): one for one in terms.early_payments}
    for fact in notice.payments:
        dated = fact if fact.event else structs.replace(fact, event=event)
        one = EarlyPayment(source=notice.source, external_id=notice.external_id, fact=dated)
        known.setdefault((notice.source, notice.external_id, _fact_key(fact)), one)
    early = tuple(known[key] for key in sorted(known))
    if len(early) > MAX_PAYMENTS:
        early = terms.early_payments
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


def _rank(one: OrderDocument | Subscription) -> tuple[datetime, int]:
    """How new; an order without a sequence is older than one with."""
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


def _settled(
    catalog: CompiledCatalog, terms: Terms, subscription: Subscription, outcome: Outcome, drafting: Drafting
) -> Placement:
    """The terms with the subscription in its place, and findings for what the sold items or payments contradict."""
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
    if outcome == "applied":
        _note_breaches(catalog, kept, drafting)
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


def _note_breaches(catalog: CompiledCatalog, kept: tuple[Subscription, ...], drafting: Drafting) -> None:
    """A finding for each rule between sold items that the latest phases break; what is sold stays sold."""
    live = [item for one in kept for item in one.phases[-1].items if one.ends_at is None]
    for breach in find_breaches(catalog, live):
        about = f"{breach.rule}/{breach.item}"
        drafting.add("combination", breach.words, about=about, rule=breach.rule, others=list(breach.others))


def _note_late_payments(catalog: CompiledCatalog, terms: Terms, subscription: Subscription, drafting: Drafting) -> None:
    """A finding for each payment after the ladder had ended the subscription: it brings nothing back.

    What was known and late before is not told again; a payment that only now turns out to be late is.
    """
    paid = [fact for fact in subscription.payments if fact.kind == "paid"]
    if not paid:
        return
    ended = ladder_end(subscription, catalog)
    late = [fact for fact in paid if to_instant(fact.at) >= ended]
    before = next((one for one in terms.subscriptions if one.id == subscription.id), None) if late else None
    ended_before = FOREVER if before is None else ladder_end(before, catalog)
    known = () if before is None else before.payments
    for fact in late:
        if fact in known and to_instant(fact.at) >= ended_before:
            continue
        words = f"invoice {fact.invoice} was paid after non-payment had ended the subscription; sell it anew or refund"
        drafting.add("paid_after_end", words, about=fact.invoice, invoice=fact.invoice)
