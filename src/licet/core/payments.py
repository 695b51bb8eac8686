"""Payment facts of one subscription: which are the same, and how they come together from many messages."""

from datetime import datetime

from msgspec import structs

from licet.core.money import Money
from licet.core.terms import EarlyPayment, PaymentFact, Subscription, Terms


def fact_key(fact: PaymentFact) -> tuple[datetime, str, str, datetime]:
    """Return what makes two payment facts the same; a due date that is stated again is another fact."""
    return fact.at, fact.invoice, fact.kind, fact.stated_at or fact.at


def merge_payments(
    subscription: Subscription, facts: tuple[PaymentFact, ...], event: str | None = None
) -> Subscription:
    """Return the subscription with the facts it did not have; equal ones count once, order is by time."""
    known = {fact_key(fact): fact for fact in subscription.payments}
    for fact in facts:
        _add(known, fact, event)
    ordered = tuple(known[key] for key in sorted(known))
    return subscription if ordered == subscription.payments else structs.replace(subscription, payments=ordered)


def merge_early(
    terms: Terms, source: str, external_id: str, facts: tuple[PaymentFact, ...], event: str | None = None
) -> Terms:
    """Return the terms with the facts waiting for a subscription that is not known yet."""
    others = [one for one in terms.early_payments if (one.source, one.external_id) != (source, external_id)]
    known = {fact_key(fact): fact for fact in early_of(terms, source, external_id)}
    for fact in facts:
        _add(known, fact, event)
    mine = [EarlyPayment(source=source, external_id=external_id, fact=fact) for fact in known.values()]
    early = tuple(sorted([*others, *mine], key=lambda one: (one.source, one.external_id, fact_key(one.fact))))
    return terms if early == terms.early_payments else structs.replace(terms, early_payments=early)


def early_of(terms: Terms, source: str, external_id: str) -> tuple[PaymentFact, ...]:
    """Return the facts that wait for a subscription."""
    mine = (one for one in terms.early_payments if (one.source, one.external_id) == (source, external_id))
    return tuple(one.fact for one in mine)


def without_early(terms: Terms, source: str, external_id: str) -> Terms:
    """Return the terms without the facts that wait for a subscription."""
    rest = tuple(one for one in terms.early_payments if (one.source, one.external_id) != (source, external_id))
    return terms if rest == terms.early_payments else structs.replace(terms, early_payments=rest)


def _add(known: dict[tuple[datetime, str, str, datetime], PaymentFact], fact: PaymentFact, event: str | None) -> None:
    """Add a fact that is new; complete one that is known by how much it is about."""
    key = fact_key(fact)
    had = known.get(key)
    if had is None:
        known[key] = fact if fact.event else structs.replace(fact, event=event)
    elif had.money != fact.money:
        # Whichever message comes first must not decide: the larger amount is kept.
        known[key] = structs.replace(had, money=max(had.money, fact.money, key=_weight))


def _weight(money: Money | None) -> tuple[int, str]:
    """The order of amounts; none at all is the least."""
    return (-1, "") if money is None else (money.amount, money.currency)
