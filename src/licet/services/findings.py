"""Findings: discrepancies with an owner. The same kind about the same subject is one finding, counted up."""

from collections.abc import Sequence

from licet.core.orders import FindingDraft
from licet.seal.ids import new_id
from licet.services.customers import business_now
from licet.services.ports import Tx, View
from licet.services.rows import FindingFilter, FindingRow, FindingState, Page


async def list_findings(view: View, state: FindingState | None, page: Page) -> Sequence[FindingRow]:
    """List findings by id, all or in one state (``open``, ``resolved``, ``dismissed``)."""
    return await view.findings(FindingFilter(state=state), page)


async def put_findings(tx: Tx, drafts: Sequence[FindingDraft]) -> None:
    """Keep what a rule noticed."""
    now = business_now(tx)
    for draft in drafts:
        await tx.put_finding(
            FindingRow(
                id=new_id("fnd", tx.time.wall),
                kind=draft.kind,
                severity=draft.severity,
                subject=draft.subject,
                words=draft.words,
                evidence=dict(draft.evidence),
                first_seen=now,
                last_seen=now,
                customer=draft.customer,
                money=draft.money,
            )
        )
