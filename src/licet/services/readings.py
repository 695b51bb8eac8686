"""What a message means is carried out here, whichever system sent it; and what its arrival sets free."""

from licet.core.orders import (
    CustomerReferences,
    EntitlementSummary,
    OrderDocument,
    PaymentLink,
    PaymentNotice,
    Reversal,
    ScheduleNotice,
)
from licet.services.endings import OUTCOMES, Ending
from licet.services.findings import put_findings
from licet.services.inbound import CustomerHint, Ignored, Reading
from licet.services.matching import match_customer, settle_customer
from licet.services.orders import receive_order, receive_payments, receive_schedule
from licet.services.ports import Tx
from licet.services.references import keep_references, known_by, references_in
from licet.services.reversals import receive_reversal
from licet.services.rows import DeliveryOutcome, SourceRow
from licet.services.sources import section_of
from licet.services.summaries import receive_summary, review_summary
from licet.services.truth import Catalogs


async def carry_out(tx: Tx, source: SourceRow, reading: Reading, catalogs: Catalogs) -> Ending:
    """Carry out what a message of ``source`` means; ``reading`` is normal already.

    What it says of invoices and payments is kept even where the rest of it must wait.
    """
    references = references_in(reading)
    taught = await keep_references(tx, source.id, references)
    match reading:
        case PaymentLink():
            words = f"payments of invoice {reading.invoice}: {', '.join(reading.payments) or 'none'}"
            ending = Ending("applied" if taught else "duplicate", words)
        case OrderDocument():
            ending = await _apply_order(tx, source, reading, catalogs)
        case PaymentNotice():
            ending = await _apply_payments(tx, reading, catalogs)
        case ScheduleNotice():
            ending = await _apply_schedule(tx, source, reading, catalogs)
        case Reversal():
            ending = await receive_reversal(tx, reading, catalogs)
        case EntitlementSummary():
            ending = await receive_summary(tx, source, reading, catalogs)
        case CustomerHint():
            ending = await _apply_hint(tx, source, reading)
        case Ignored():
            ending = Ending("ignored", reading.words)
    learnt = () if ending.outcome in ("waiting", "ignored") else _foreign(reading)
    return ending._replace(released=(*ending.released, *learnt, *known_by(references)))


def names_of(reading: Reading) -> tuple[str, ...]:
    """Return all that other messages may have waited for: a subscription, a foreign customer, an invoice, a payment."""
    names = (*_foreign(reading), *known_by(references_in(reading)))
    return (reading.external_id, *names) if isinstance(reading, OrderDocument) else names


def _foreign(reading: Reading) -> tuple[str, ...]:
    """The foreign customer whom a message names: once it was carried out, it is known who that is."""
    match reading:
        case (
            OrderDocument(customer=CustomerReferences(external_id=str(foreign)))
            | PaymentNotice(customer=CustomerReferences(external_id=str(foreign)))
            | ScheduleNotice(customer=CustomerReferences(external_id=str(foreign)))
            | CustomerHint(customer=CustomerReferences(external_id=str(foreign)))
        ):
            return (foreign,)
        case _:
            return ()


async def _apply_payments(tx: Tx, notice: PaymentNotice, catalogs: Catalogs) -> Ending:
    result = await receive_payments(tx, notice, catalogs)
    if result is None:
        return _waits_for_subscription(notice.external_id)
    return Ending(OUTCOMES[result.outcome], f"payment of customer {result.customer}: {result.outcome}")


async def _apply_schedule(tx: Tx, source: SourceRow, notice: ScheduleNotice, catalogs: Catalogs) -> Ending:
    section = section_of(source, (await catalogs.current(tx)).document)
    result = await receive_schedule(tx, notice, catalogs, section=section)
    if result is None:
        return _waits_for_subscription(notice.external_id)
    return Ending(OUTCOMES[result.outcome], f"schedule of customer {result.customer}: {result.outcome}")


def _waits_for_subscription(external_id: str) -> Ending:
    return Ending("waiting", f"waits for subscription {external_id}", awaits=external_id)


async def _apply_order(tx: Tx, source: SourceRow, order: OrderDocument, catalogs: Catalogs) -> Ending:
    """Place an order, unless only a foreign id names its customer and the source says to wait for a better name."""
    match = await match_customer(tx, order.source, order.customer, order.external_id)
    foreign = order.customer.external_id
    if match.customer is None and match.foreign_only and source.settings.get("unknown_customer") == "wait" and foreign:
        return Ending("waiting", f"waits to hear who {foreign} is", awaits=foreign)
    section = section_of(source, (await catalogs.current(tx)).document)
    result = await receive_order(tx, order, catalogs, match=match, section=section)
    await review_summary(tx, source.id, result.customer, catalogs)
    words = f"order for customer {result.customer}: {result.outcome}"
    released = (order.external_id,) if result.subscription is not None else ()
    return Ending(OUTCOMES[result.outcome], words, released=released)


async def _apply_hint(tx: Tx, source: SourceRow, hint: CustomerHint) -> Ending:
    """Link a foreign customer to ours, where the message names both."""
    match = await match_customer(tx, source.id, hint.customer)
    await put_findings(tx, match.findings)
    if match.customer is None and match.foreign_only:
        return Ending("ignored", "it names no customer of ours")
    customer = await settle_customer(tx, source.id, hint.customer, match)
    foreign = hint.customer.external_id
    outcome: DeliveryOutcome = "finding" if match.findings else "applied" if match.link else "duplicate"
    return Ending(outcome, f"{foreign} is customer {customer.id}")
