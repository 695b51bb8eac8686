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
from licet.core.trail import moves_of


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
    """Add a finding for each invoice settled after the ladder had ended the subscription: it brings nothing back.

    What was known and late ``before`` is not told again; what only now turns out to be late is.
    """
    late = late_settlements(catalog, after, subscription)
    told = {fact_key(fact) for fact in late_settlements(catalog, before, subscription)} if late else set()
    for fact in late:
        if fact_key(fact) not in told:
            advice = "sell it anew or refund" if fact.kind == "paid" else "sell it anew if it ended in error"
            words = f"invoice {fact.invoice} was {fact.kind} after non-payment had ended the subscription; {advice}"
            drafting.add("paid_after_end", words, about=fact.invoice, money=fact.money, invoice=fact.invoice)


def late_settlements(catalog: CompiledCatalog, terms: Terms, subscription: str) -> tuple[PaymentFact, ...]:
    """Return what settled invoices of a subscription at or after the end that its ladder brought.

    That is every payment, and every void of an invoice that was owed at the end.
    """
    found = next((one for one in terms.subscriptions if one.id == subscription), None)
    settling = [] if found is None else [fact for fact in found.payments if fact.kind in ("paid", "voided")]
    if found is None or not settling:
        return ()
    zone = catalog.zone(found.zone, terms.profile.zone)
    ended: Instant = ladder_end(found, catalog, zone, dunning_of(terms, found.id), moves_of(terms, found.id))
    if ended == FOREVER:
        return ()
    owed = open_invoices(found.payments, ended - 1)
    return tuple(
        fact for fact in settling if to_instant(fact.at) >= ended and (fact.kind == "paid" or fact.invoice in owed)
    )


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
