"""Placing an order: a pure rule from the terms before to the terms after, with findings where something is odd."""

from datetime import datetime
from typing import Final, NamedTuple

from msgspec import structs

from licet.core.compiled import CompiledCatalog
from licet.core.contradiction import note_breaches, note_debts, note_late_payments
from licet.core.instant import instant_words
from licet.core.orderlines import Drafting, read_lines
from licet.core.orders import OrderDocument, Outcome, PaymentNotice, Placement, Resolved
from licet.core.payments import admit_payments, early_of, merge_early, merge_payments, without_early
from licet.core.succession import begin_subscription, continue_subscription, has_ended, lasts_never, order_start
from licet.core.terms import MAX_PAYMENTS, MAX_PHASES, MAX_SUBSCRIPTIONS, PaymentFact, Subscription, Terms
from licet.core.trail import moves_of

NO_ROOM: Final = (
    f"more than {MAX_PAYMENTS} payment facts would say that something is owed; only what settles an invoice was kept"
)


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
    newer: bool = False,
) -> Placement:
    """Return the terms after ``order``.

    ``subscription_id`` names the subscription if the order begins one; ``zone``, else the profile's, is pinned to it
    where the order names none; ``event`` is recorded as the origin of what changed. ``items`` is what the lines meant
    when the order first arrived (by default what they mean now); ``silent`` leaves findings out. The highest ``rank``
    wins; ``newer`` says that an order of the same rank follows the one in force. Payment facts are merged whatever
    else becomes of the order.
    """
    drafting = Drafting(order.source, order.external_id, silent=silent, customer=terms.customer)
    wanted = read_lines(catalog, order, drafting) if items is None else items
    rest = without_early(terms, order.source, order.external_id)
    before = find_subscription(rest, order.source, order.external_id)
    placing = Placing(catalog, rest, order, drafting)
    early = early_of(terms, order.source, order.external_id)
    if means_nothing(order, wanted):
        placed = _refused(placing, terms, event)
    elif before is not None and before.occurred_at is not None and rank(order) < rank(before):
        placed = settle(placing, _with_facts(placing, before, early, event), "stale")
    elif before is not None:
        placed = _continued(placing, _with_facts(placing, before, early, event), wanted, event, newer=newer)
    elif not wanted and has_ended(order):
        placed = _nothing_known(placing, terms, event)
    elif not wanted:
        drafting.add("nothing_sold", "the order has no lines, and the subscription is not known: none was begun")
        placed = _refused(placing, terms, event)
    elif never_was(order):
        _note_never(order, drafting)
        placed = _refused(placing, terms, event)
    else:
        zone = zone or terms.profile.zone
        moves = moves_of(rest, subscription_id)
        fresh = begin_subscription(
            catalog, order, wanted, drafting, named=subscription_id, zone=zone, event=event, moves=moves
        )
        placed = settle(placing, _with_facts(placing, fresh, early, event), "applied")
    # Where there was no room, the payment facts that waited go on waiting.
    full = placed.outcome == "refused" and placed.terms == rest
    return structs.replace(placed, items=wanted, terms=terms if full else placed.terms)


class Placing(NamedTuple):
    """What lies ready when an order is placed; without an order, payment facts or a schedule are."""

    catalog: CompiledCatalog
    terms: Terms
    order: OrderDocument | None
    drafting: Drafting


def _with_facts(
    placing: Placing, subscription: Subscription, early: tuple[PaymentFact, ...], event: str | None
) -> Subscription:
    """The subscription with the payment facts that waited for it, and those of the order for which there is room."""
    facts = () if placing.order is None else placing.order.payments
    admitted, full = admit_payments(merge_payments(subscription, early, event), facts, event)
    if full:
        placing.drafting.add("terms_full", NO_ROOM)
    return admitted


def means_nothing(order: OrderDocument, wanted: tuple[Resolved, ...]) -> bool:
    """Return whether an order has lines of which none means anything here; one that has ended ends all the same."""
    return bool(order.lines) and not has_ended(order) and all(one.from_ is not None for one in wanted)


def never_was(order: OrderDocument) -> bool:
    """Return whether a subscription that this order began would end before it lasted at all."""
    return order.ends_at is not None and lasts_never(order, order_start(order))


def _note_never(order: OrderDocument, drafting: Drafting) -> None:
    """A finding for a subscription that would end before it begins: it is not begun."""
    ends, starts = instant_words(order.ends_at or order.occurred_at), instant_words(order_start(order))
    words = f"the order ends at {ends}, before its start at {starts}, and the subscription is not known: none was begun"
    drafting.add("ends_before_start", words, ends_at=ends, starts_at=starts)


def _refused(placing: Placing, terms: Terms, event: str | None) -> Placement:
    """Leave an order out but for its payment facts: they are merged, or wait until the subscription is known."""
    _, _, order, drafting = placing
    kept = _with_payments(placing, terms, event)
    known = find_subscription(terms, order.source, order.external_id) if order else None
    return Placement(
        terms=terms if kept.outcome == "refused" else kept.terms,
        outcome="refused",
        subscription=known.id if known else None,
        findings=(*drafting.findings, *kept.findings),
    )


def _continued(
    placing: Placing, merged: Subscription, wanted: tuple[Resolved, ...], event: str | None, *, newer: bool
) -> Placement:
    """Place an order of a known subscription, into which all payment facts are merged already."""
    catalog, terms, order, drafting = placing
    before = find_subscription(terms, merged.source or "", merged.external_id or "")
    if order is None or before is None:
        raise ValueError("only an order continues a subscription, and only one that is known")
    moves = moves_of(terms, merged.id)
    after = continue_subscription(catalog, merged, order, wanted, drafting, event=event, moves=moves)
    if len(after.phases) > MAX_PHASES and order.ends_at is not None:
        words = f"the subscription has {MAX_PHASES} phases: it ends as the order says, and what it sells was left out"
        drafting.add("terms_full", words)
        after = structs.replace(after, phases=merged.phases)
    if newer or before.occurred_at is None or rank(order) > rank(before):
        if not wanted and not has_ended(order):
            drafting.add("nothing_sold", "the order has no lines: from then on the subscription gives nothing")
        return settle(placing, after, "duplicate" if after == before else "applied")
    if _plain(after) == _plain(merged):
        return settle(placing, merged, "duplicate" if merged == before else "applied")
    words = f"two orders of {instant_words(order.occurred_at)} want different things; the first one stays in force"
    drafting.add("order_conflict", words, sequence=order.sequence)
    return settle(placing, merged, "conflict")


def _nothing_known(placing: Placing, terms: Terms, event: str | None) -> Placement:
    """Place an order of a subscription that has ended and was never known: only its payment facts are kept."""
    kept = _with_payments(placing, terms, event)
    return structs.replace(kept, findings=(*placing.drafting.findings, *kept.findings))


def _with_payments(placing: Placing, terms: Terms, event: str | None) -> Placement:
    """Keep an order's payment facts and nothing else of it."""
    order = placing.order
    if order is None or not order.payments:
        return Placement(terms=terms, outcome="duplicate", subscription=None)
    notice = PaymentNotice(
        source=order.source, external_id=order.external_id, customer=order.customer, payments=order.payments
    )
    return record_payments(placing.catalog, terms, notice, event=event, silent=placing.drafting.silent)


def record_payments(
    catalog: CompiledCatalog,
    terms: Terms,
    notice: PaymentNotice,
    *,
    event: str | None = None,
    silent: bool = False,
) -> Placement:
    """Return the terms with the payment facts of ``notice`` merged in; ``silent`` leaves findings out.

    Facts that arrive before their subscription wait in ``terms.early_payments`` and are taken up when it is placed.
    """
    found = find_subscription(terms, notice.source, notice.external_id)
    drafting = Drafting(notice.source, notice.external_id, silent=silent, customer=terms.customer)
    if found is not None:
        after, full = admit_payments(found, notice.payments, event)
        if full:
            drafting.add("terms_full", NO_ROOM)
        outcome: Outcome = "applied" if after != found else "refused" if full else "duplicate"
        return settle(Placing(catalog, terms, None, drafting), after, outcome)
    changed = merge_early(terms, notice.source, notice.external_id, notice.payments, event)
    if len(changed.early_payments) > MAX_PAYMENTS:
        words = f"more than {MAX_PAYMENTS} payment facts would wait for their subscriptions; these were not kept"
        drafting.add("terms_full", words)
        return Placement(terms=terms, outcome="refused", subscription=None, findings=tuple(drafting.findings))
    return Placement(terms=changed, outcome="duplicate" if changed == terms else "applied", subscription=None)


def find_subscription(terms: Terms, source: str, external_id: str) -> Subscription | None:
    """Return the subscription that a source knows under ``external_id``."""
    return next((one for one in terms.subscriptions if (one.source, one.external_id) == (source, external_id)), None)


def rank(one: OrderDocument | Subscription) -> tuple[bool, datetime, int]:
    """Return how new an order is, or the newest one of a subscription: a final one is newer than any that is not.

    Without a sequence is older than with one.
    """
    if one.occurred_at is None:
        raise ValueError("a subscription without an order has no rank")
    return one.final, one.occurred_at, -1 if one.sequence is None else one.sequence


def _plain(subscription: Subscription) -> Subscription:
    """The content without its age and origins: what decides whether two orders want the same."""
    return structs.replace(
        subscription,
        occurred_at=None,
        sequence=None,
        event=None,
        end_event=None,
        unpaused_at=None,
        phases=tuple(structs.replace(phase, event=None) for phase in subscription.phases),
        pauses=tuple(structs.replace(pause, event=None) for pause in subscription.pauses),
        payments=tuple(structs.replace(fact, event=None) for fact in subscription.payments),
    )


def settle(placing: Placing, subscription: Subscription, outcome: Outcome) -> Placement:
    """Return the terms with the subscription in its place, and findings for what its items or payments contradict."""
    catalog, terms, order, drafting = placing
    changed = put_subscription(terms, subscription)
    if _too_large(changed, subscription):
        words = (
            f"the customer would have more than {MAX_SUBSCRIPTIONS} subscriptions, or the subscription more than "
            f"{MAX_PHASES} phases; nothing was changed"
        )
        drafting.add("terms_full", words)
        return Placement(terms=terms, outcome="refused", subscription=None, findings=tuple(drafting.findings))
    if not drafting.silent:
        if outcome == "applied" and order is not None:
            begins = max(order.effective_at or order.occurred_at, subscription.phases[0].starts_at)
            steps = [step.effective_at for step in order.scheduled]
            note_breaches(catalog, terms, changed, [begins, *steps], drafting)
        if order is not None and order.paid_up:
            note_debts(subscription, order, drafting)
        note_late_payments(catalog, terms, changed, subscription.id, drafting)
    findings = tuple(drafting.findings)
    return Placement(terms=changed, outcome=outcome, subscription=subscription.id, findings=findings)


def put_subscription(terms: Terms, subscription: Subscription) -> Terms:
    """Return the terms with a subscription in place of the one of its id, else behind the others."""
    kept = tuple(subscription if one.id == subscription.id else one for one in terms.subscriptions)
    if all(one.id != subscription.id for one in kept):
        kept = (*kept, subscription)
    return terms if kept == terms.subscriptions else structs.replace(terms, subscriptions=kept)


def _too_large(terms: Terms, subscription: Subscription) -> bool:
    """Whether a document of this size would be refused when it is read again."""
    return len(terms.subscriptions) > MAX_SUBSCRIPTIONS or len(subscription.phases) > MAX_PHASES
