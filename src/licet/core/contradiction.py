"""What a change of a subscription contradicts: rules between sold items, what billing says, an end that has come."""

from collections.abc import Iterable
from datetime import datetime

from licet.core.compiled import CompiledCatalog
from licet.core.derive import Holdings
from licet.core.episode import open_invoices
from licet.core.instant import FOREVER, Instant, to_instant
from licet.core.ladder import dunning_of
from licet.core.money import Money
from licet.core.orderlines import Drafting
from licet.core.orders import OrderDocument
from licet.core.payments import fact_key
from licet.core.terms import PaymentFact, Subscription, Terms
from licet.core.timeline import ladder_end


def note_breaches(
    catalog: CompiledCatalog, before: Terms, after: Terms, instants: Iterable[datetime], drafting: Drafting
) -> None:
    """Add a finding for each rule between sold items that only the change breaks at one of the instants; it is sold."""
    had, has = Holdings(catalog, before), Holdings(catalog, after)
    for instant in instants:
        at = to_instant(instant)
        broken = {(one.rule, one.item) for one in had.entitlements(at).breaches}
        for breach in has.entitlements(at).breaches:
            if (breach.rule, breach.item) not in broken:
                about = f"{breach.rule}/{breach.item}"
                drafting.add("combination", breach.words, about=about, rule=breach.rule, others=list(breach.others))


def note_debts(subscription: Subscription, order: OrderDocument, drafting: Drafting) -> None:
    """Add a finding where the seller says that nothing is owed, and an invoice still is: the ladder goes on.

    What failed or was settled in the very instant of the order may have come just after or before it; a due date that
    was stated later, the seller did not mean.
    """
    at = to_instant(order.occurred_at)
    known = [one for one in subscription.payments if one.stated_at is None or to_instant(one.stated_at) <= at]
    now = open_invoices(known, at)
    owed = [invoice for invoice in open_invoices(known, at - 1) if invoice in now]
    if owed:
        words = (
            f"{order.source} says that nothing is owed, but {', '.join(owed[:5])} was neither paid nor voided; "
            "the plan's ladder goes on until it is settled there"
        )
        money = _sum_owed(known, owed, at)
        drafting.add("payment_state_differs", words, money=money, invoices=list(owed[:20]))


def note_late_payments(
    catalog: CompiledCatalog, before: Terms, after: Terms, subscription: str, drafting: Drafting
) -> None:
    """Add a finding for each payment after the ladder had ended the subscription: it brings nothing back.

    What was known and late ``before`` is not told again; a payment that only now turns out to be late is.
    """
    late = _late_payments(catalog, after, subscription)
    told = set(_late_payments(catalog, before, subscription)) if late else set()
    for key, fact in late.items():
        if key not in told:
            words = (
                f"invoice {fact.invoice} was paid after non-payment had ended the subscription; sell it anew or refund"
            )
            drafting.add("paid_after_end", words, about=fact.invoice, money=fact.money, invoice=fact.invoice)


def _late_payments(
    catalog: CompiledCatalog, terms: Terms, subscription: str
) -> dict[tuple[datetime, str, str, datetime], PaymentFact]:
    """The payments of a subscription at or after the end that its ladder brought."""
    found = next((one for one in terms.subscriptions if one.id == subscription), None)
    paid = [] if found is None else [fact for fact in found.payments if fact.kind == "paid"]
    if found is None or not paid:
        return {}
    zone = catalog.zone(found.zone, terms.profile.zone)
    ended: Instant = ladder_end(found, catalog, zone, dunning_of(terms, found.id))
    if ended == FOREVER:
        return {}
    return {fact_key(fact): fact for fact in paid if to_instant(fact.at) >= ended}


def _sum_owed(facts: Iterable[PaymentFact], owed: list[str], now: Instant) -> Money | None:
    """The sum that is owed for some invoices, by the newest amount of each; None unless all is in one currency."""
    newest: dict[str, PaymentFact] = {}
    for fact in facts:
        if fact.invoice in owed and fact.money is not None and to_instant(fact.at) <= now:
            newest[fact.invoice] = fact
    amounts = [fact.money for fact in newest.values() if fact.money is not None]
    if not amounts or len({money.currency for money in amounts}) > 1:
        return None
    return Money(amount=min(sum(money.amount for money in amounts), 2**53 - 1), currency=amounts[0].currency)
