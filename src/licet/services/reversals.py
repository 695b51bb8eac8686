"""What became of a payment after it was made: disputes take it away until they are won, refunds only ask for a look.

A dispute names a payment; the payment is known by its invoice, the invoice by its subscription. Whatever of this
is not known yet, the message waits for. Findings say the same whatever the order of arrival: the newest fact decides.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from licet.core.money import Money, money_words
from licet.core.orders import CustomerReferences, Evidence, FindingDraft, PaymentNotice, Reversal, name_parts
from licet.core.placement import find_subscription
from licet.core.terms import PaymentFact
from licet.services.amends import DISPUTED
from licet.services.endings import OUTCOMES, Ending
from licet.services.findings import put_findings, settle_finding
from licet.services.orders import receive_payments
from licet.services.ports import Tx
from licet.services.references import find_invoice
from licet.services.truth import Catalogs

REFUNDED: Final = "payment_refunded"
_FACTS: Final[Mapping[str, Literal["disputed", "paid", "uncollectible"]]] = {
    "disputed": "disputed",
    "dispute_won": "paid",
    "dispute_lost": "uncollectible",
}
_LAST_WORD: Final = ("disputed", "uncollectible", "voided", "paid")
"""What decides whether a payment is still disputed; of several at one instant the later in this list."""


async def receive_reversal(tx: Tx, reversal: Reversal, catalogs: Catalogs) -> Ending:
    """Record a dispute as a payment fact of the invoice and keep its finding, or a finding alone for a refund.

    Waits for the payment's first id (so it must be the one by which invoices name it), for its invoice or for the
    subscription, whichever is not known yet. What is known already changes nothing and opens nothing.
    """
    source, payment = reversal.source, reversal.payments[0]
    found = await find_invoice(tx, source, reversal.payments)
    if found is None:
        return Ending("waiting", f"waits to hear which invoice the payment {payment} settled", awaits=payment)
    if found.external_id is None:
        return Ending("waiting", f"waits to hear whose invoice {found.invoice} is", awaits=found.invoice)
    notice = PaymentNotice(
        source=source,
        external_id=found.external_id,
        customer=CustomerReferences(),
        payments=(
            PaymentFact(
                kind=_FACTS.get(reversal.kind, "disputed"), at=reversal.at, invoice=found.invoice, money=reversal.money
            ),
        ),
    )
    customer = await tx.customer_by_subscription(source, found.external_id)
    if customer is None:
        return Ending("waiting", f"waits for subscription {found.external_id}", awaits=found.external_id)
    if reversal.kind == "refunded":
        return await _refund(tx, reversal, notice, customer)
    return await _dispute(tx, reversal, notice, catalogs)


async def _dispute(tx: Tx, reversal: Reversal, notice: PaymentNotice, catalogs: Catalogs) -> Ending:
    """Record what became of a dispute, and let the finding say what the newest fact of the invoice says."""
    result = await receive_payments(tx, notice, catalogs)
    if result is None:
        raise AssertionError("the customer of a known subscription is known")
    (fact,) = notice.payments
    words = f"{reversal.kind.replace('_', ' ')}: invoice {fact.invoice} of customer {result.customer}"
    if result.outcome == "duplicate":
        return Ending("duplicate", f"{words} (known already)")
    newest = await _newest_fact(tx, result.customer, notice, fact)
    if newest in ("paid", "voided"):
        await settle_finding(tx, DISPUTED, _subject(reversal, notice), f"invoice {fact.invoice} is {newest} again")
    else:
        said = "was lost: the money is gone" if newest == "uncollectible" else "is open: the payment is held back"
        draft = FindingDraft(
            kind="payment_disputed",
            severity="high",
            subject=_subject(reversal, notice),
            words=f"customer {result.customer} disputed the payment of invoice {fact.invoice}; the dispute {said}",
            evidence=_evidence(reversal, notice, result.customer, result.subscription),
            customer=result.customer,
            money=reversal.money,
        )
        await put_findings(tx, [draft])
    return Ending(OUTCOMES[result.outcome], words)


async def _newest_fact(tx: Tx, customer: str, notice: PaymentNotice, fact: PaymentFact) -> str:
    """Return what is true of the invoice by the newest of its facts, ``fact`` among them."""
    row = await tx.terms(customer)
    subscription = None if row is None else find_subscription(row.terms, notice.source, notice.external_id)
    facts = [fact, *(subscription.payments if subscription is not None else ())]
    spoken = [one for one in facts if one.invoice == fact.invoice and one.kind in _LAST_WORD]
    return max(spoken, key=lambda one: (one.at, _LAST_WORD.index(one.kind))).kind


async def _refund(tx: Tx, reversal: Reversal, notice: PaymentNotice, customer: str) -> Ending:
    """Keep a finding: a refund changes no right by itself. One older than what is known changes nothing."""
    subject = _subject(reversal, notice)
    known = await tx.open_finding(REFUNDED, subject)
    if known is not None and datetime.fromisoformat(str(known.evidence["at"])) >= reversal.at:
        return Ending("duplicate", f"the refund of {reversal.payments[0]} is a finding already")
    row = await tx.terms(customer)
    subscription = None if row is None else find_subscription(row.terms, notice.source, notice.external_id)
    how = "whole" if reversal.whole else "in part"
    evidence = _evidence(reversal, notice, customer, subscription.id if subscription is not None else None)
    draft = FindingDraft(
        kind=REFUNDED,
        severity="high" if reversal.whole else "medium",
        subject=subject,
        words=f"the payment of invoice {notice.payments[0].invoice} by customer {customer} was refunded {how}"
        f"{_amount(reversal.money)}; what it paid for is still in force",
        evidence=evidence | {"at": reversal.at.isoformat(), "whole": reversal.whole},
        customer=customer,
        money=reversal.money,
    )
    await put_findings(tx, [draft])
    return Ending("finding", f"refund of invoice {notice.payments[0].invoice} of customer {customer}: no right changed")


def _subject(reversal: Reversal, notice: PaymentNotice) -> str:
    """Return the subject of a finding: the foreign subscription, and the payment in detail."""
    (payment,) = name_parts(reversal.payments[0])
    return f"{':'.join(name_parts(reversal.source, notice.external_id))}/{payment}"


def _evidence(
    reversal: Reversal, notice: PaymentNotice, customer: str, subscription: str | None
) -> dict[str, Evidence]:
    return {
        "source": reversal.source,
        "external_id": notice.external_id,
        "customer": customer,
        "subscription": subscription,
        "invoice": notice.payments[0].invoice,
        "payments": list(reversal.payments),
    }


def _amount(money: Money | None) -> str:
    return "" if money is None else f" ({money_words(money.amount, money.currency)})"
