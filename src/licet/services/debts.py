"""The finding about a forgotten debt goes when the debt does, whichever message came first."""

from typing import Final

from licet.core.episode import open_invoices
from licet.core.instant import FOREVER
from licet.core.orderlines import Drafting
from licet.core.placement import find_subscription
from licet.core.terms import Terms
from licet.services.findings import settle_finding
from licet.services.ports import Tx

DIFFERS: Final = "payment_state_differs"


async def settle_debts(tx: Tx, terms: Terms, source: str, external_id: str) -> None:
    """Settle the finding that something is owed of which the seller knows nothing, once nothing it names is."""
    subject = Drafting(source, external_id).subject
    known = await tx.open_finding(DIFFERS, subject)
    subscription = find_subscription(terms, source, external_id)
    if known is None or subscription is None:
        return
    named = known.evidence.get("invoices")
    if isinstance(named, list) and not set(named) & set(open_invoices(subscription.payments, FOREVER)):
        await settle_finding(tx, DIFFERS, subject, f"{', '.join(named[:5])} is settled")
