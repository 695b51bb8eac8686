"""Payment facts of one subscription: which are the same, and how they come together from many messages."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from msgspec import structs

from licet.core.episode import OPEN
from licet.core.money import Money
from licet.core.terms import MAX_PAYMENTS, EarlyPayment, PaymentFact, Subscription, Terms


def fact_key(fact: PaymentFact) -> tuple[datetime, str, str, datetime]:
    """Return what makes two payment facts the same; a due date that is stated again is another fact."""
    return fact.at, fact.invoice, fact.kind, fact.stated_at or fact.at


def merge_payments(
    subscription: Subscription, facts: tuple[PaymentFact, ...], event: str | None = None
) -> Subscription:
    """Return the subscription with the facts it did not have; equal ones count once, order is by time.

    Beyond ``MAX_PAYMENTS`` those that decide nothing fall away.
    """
    if not facts:
        return subscription
    known = {fact_key(fact): fact for fact in subscription.payments}
    for fact in facts:
        _add(known, fact, event)
    ordered = tuple(known[key] for key in sorted(known))
    if len(ordered) > MAX_PAYMENTS:
        ordered = _condensed(ordered)
    return subscription if ordered == subscription.payments else structs.replace(subscription, payments=ordered)


def admit_payments(
    subscription: Subscription, facts: tuple[PaymentFact, ...], event: str | None = None
) -> tuple[Subscription, bool]:
    """Return the subscription with all the facts, and False; where they find no room, with those that settle, and True.

    ``MAX_PAYMENTS`` bounds the facts after which something is owed. What settles an invoice always has room: a document
    that is full can be paid.
    """
    merged = merge_payments(subscription, facts, event)
    if _owing(merged.payments) <= MAX_PAYMENTS:
        return merged, False
    return merge_payments(subscription, tuple(fact for fact in facts if fact.kind not in OPEN), event), True


def _owing(facts: Iterable[PaymentFact]) -> int:
    """How many facts say that something is owed."""
    return sum(fact.kind in OPEN for fact in facts)


def _condensed(facts: tuple[PaymentFact, ...]) -> tuple[PaymentFact, ...]:
    """The facts that decide: of each invoice the due date stated last, and of the same said again and again without
    anything between the first and the last.

    If these are still too many, what was settled and never owed goes, oldest first.
    """
    kept: list[PaymentFact] = []
    never_owed: list[PaymentFact] = []
    by_invoice = sorted(facts, key=lambda fact: fact.invoice)
    for _, group in groupby(by_invoice, key=lambda fact: fact.invoice):
        told = list(group)
        decisive = _decisive(told)
        (kept if _owing(told) else never_owed).extend(decisive)
    room = max(0, MAX_PAYMENTS - len(kept))
    kept += sorted(never_owed, key=fact_key)[max(0, len(never_owed) - room) :]
    return tuple(sorted(kept, key=fact_key))


def _decisive(facts: list[PaymentFact]) -> list[PaymentFact]:
    """The facts of one invoice, of each run of such that say the same only the first and the last."""
    dates = [fact for fact in facts if fact.kind == "due"]
    found = [max(dates, key=lambda fact: (fact.stated_at or fact.at, fact.at))] if dates else []
    told = sorted((fact for fact in facts if fact.kind != "due"), key=lambda fact: (fact.at, fact.kind not in OPEN))
    for _, group in groupby(told, key=lambda fact: fact.kind in OPEN):
        run = list(group)
        found += run if len(run) < 3 else [run[0], run[-1]]
    return found


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
