"""What foreign invoices and payments belong to: learnt from every message that says so, in whatever order they come.

A payment belongs to an invoice, an invoice to a subscription. What is known is never moved, only completed.
"""

from collections.abc import Sequence

from licet.core.orders import OrderDocument, PaymentLink, PaymentNotice
from licet.services.inbound import Reading
from licet.services.ports import Tx, View
from licet.services.rows import Reference


def references_in(reading: Reading) -> tuple[Reference, ...]:
    """Return what a message says about invoices and payments."""
    match reading:
        case PaymentNotice(external_id=external_id, payments=facts, links=links):
            owned = tuple(_owned(fact.invoice, external_id) for fact in facts)
            return (*owned, *(one for link in links for one in _linked(link)))
        case OrderDocument(external_id=external_id, payments=facts):
            return tuple(_owned(fact.invoice, external_id) for fact in facts)
        case PaymentLink():
            return _linked(reading)
        case _:
            return ()


def known_by(references: Sequence[Reference]) -> tuple[str, ...]:
    """Return the names of which something is known now: what messages about them may have waited for."""
    return tuple(dict.fromkeys(one.reference for one in references))


async def keep_references(tx: Tx, source: str, references: Sequence[Reference]) -> bool:
    """Keep what was said; returns whether any of it was not known before."""
    if not references:
        return False
    known = {name: await tx.reference(source, name) for name in known_by(references)}
    await tx.put_references(source, references)
    return any(_teaches(one, known[one.reference]) for one in references)


async def find_invoice(view: View, source: str, payments: Sequence[str]) -> Reference | None:
    """Return the invoice that one of these payments settled, with its subscription where that is known."""
    for payment in payments:
        found = await view.reference(source, payment)
        if found is None:
            continue
        if found.external_id is not None:
            return found
        return await view.reference(source, found.invoice) or found
    return None


def _owned(invoice: str, external_id: str) -> Reference:
    return Reference(reference=invoice, invoice=invoice, external_id=external_id)


def _linked(link: PaymentLink) -> tuple[Reference, ...]:
    payments = tuple(Reference(reference=one, invoice=link.invoice) for one in link.payments)
    return payments if link.external_id is None else (_owned(link.invoice, link.external_id), *payments)


def _teaches(one: Reference, known: Reference | None) -> bool:
    """Whether a reference says more than what was known of it."""
    return known is None or (known.external_id is None and one.external_id is not None and known.invoice == one.invoice)
