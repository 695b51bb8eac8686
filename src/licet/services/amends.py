"""Findings about a subscription go when their cause does: a debt that is settled, a newer order that makes sense."""

from collections.abc import Iterable
from typing import Final

from licet.core.compiled import CompiledCatalog
from licet.core.contradiction import late_settlements
from licet.core.derive import derive
from licet.core.episode import open_invoices
from licet.core.instant import FOREVER, to_instant
from licet.core.orderlines import Drafting
from licet.core.orders import FindingDraft, OrderDocument
from licet.core.placement import find_subscription, rank
from licet.core.terms import Terms
from licet.services.findings import settle_finding
from licet.services.ports import Tx

DIFFERS: Final = "payment_state_differs"
DISPUTED: Final = "payment_disputed"
AFTER_END: Final = "paid_after_end"
COMBINATION: Final = "combination"
OF_AN_ORDER: Final = (
    "unclear_line",
    "unknown_price",
    "unknown_item",
    "unknown_version",
    "unknown_zone",
    "unknown_period",
    "no_trial",
    "nothing_sold",
    "ends_before_start",
)
"""What an order can be wrong about, and the next one right: each says the whole state anew."""


async def settle_debts(tx: Tx, catalog: CompiledCatalog, terms: Terms, source: str, external_id: str) -> None:
    """Settle what findings say is owed (of which the seller knows nothing, or in dispute) once nothing of it is.

    Those about money after the end go once there was no such end: an earlier payment or another due date came to be
    known.
    """
    subscription = find_subscription(terms, source, external_id)
    if subscription is None:
        return
    owed = set(open_invoices(subscription.payments, FOREVER))
    for row in await tx.open_findings_about((DIFFERS, DISPUTED), Drafting(source, external_id).subject):
        named = row.evidence.get("invoices") or [row.evidence.get("invoice")]
        if owed.isdisjoint(named):
            await settle_finding(tx, row.kind, row.subject, f"{', '.join(map(str, named[:5]))} is settled")
    rows = await tx.open_findings_about((AFTER_END,), Drafting(source, external_id).subject)
    late = {fact.invoice for fact in late_settlements(catalog, terms, subscription.id)} if rows else set()
    for row in rows:
        if row.evidence.get("invoice") not in late:
            words = "by what is known now it was settled before non-payment ended the subscription"
            await settle_finding(tx, row.kind, row.subject, words)


async def settle_mistakes(tx: Tx, terms: Terms, order: OrderDocument, event: str, told: Iterable[FindingDraft]) -> None:
    """Settle what earlier orders of the subscription were wrong about, where its newest order no longer is.

    ``told`` is what this order is wrong about itself. An order that is older than the newest settles nothing.
    """
    known = find_subscription(terms, order.source, order.external_id)
    subject = Drafting(order.source, order.external_id).subject
    if known is not None and known.final:
        await settle_finding(tx, "nothing_sold", subject, "it has ended where it was sold")
    if known is None or known.occurred_at is None or rank(order) != rank(known):
        return
    wrong = {(one.kind, one.subject) for one in told}
    for row in await tx.open_findings_about(OF_AN_ORDER, subject):
        if (row.kind, row.subject) not in wrong:
            await settle_finding(tx, row.kind, row.subject, f"{event} is a newer order without it")


async def settle_breaches(tx: Tx, catalog: CompiledCatalog, terms: Terms, order: OrderDocument, event: str) -> None:
    """Settle the findings about rules between sold items that are broken no longer, now and at what is planned."""
    subject = Drafting(order.source, order.external_id).subject
    rows = await tx.open_findings_about((COMBINATION,), subject)
    if not rows:
        return
    instants = {tx.time.business, *(to_instant(one.effective_at) for one in order.scheduled)}
    broken = {f"{one.rule}/{one.item}" for at in instants for one in derive(catalog, terms, at).breaches}
    for row in rows:
        if row.subject.removeprefix(f"{subject}/") not in broken:
            await settle_finding(tx, row.kind, row.subject, f"after {event} the rule is kept")
