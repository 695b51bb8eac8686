"""Terms: one append-only document per customer and revision, and the index of foreign subscriptions in them."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.core.instant import to_datetime
from licet.core.terms import Terms
from licet.services.errors import Conflict
from licet.services.rows import Page, TermsRow, UserRow
from licet.store.session import Reading, Writing, limit_of, number_after
from licet.store.users import user_of

NEWEST: Final = """
    SELECT revision, seq, recorded_at, doc FROM terms
    WHERE workspace_id = $1 AND customer = $2 ORDER BY revision DESC LIMIT 1
"""
HISTORY: Final = """
    SELECT revision, seq, recorded_at, doc FROM terms
    WHERE workspace_id = $1 AND customer = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4
"""
# One round trip for all a check reads. The left joins keep the catalog's revision for unknown customers.
STANDING: Final = """
    SELECT (SELECT coalesce(max(k.revision), 0) FROM catalog k WHERE k.workspace_id = $1) AS catalog_revision,
        t.revision AS terms_revision, t.seq, t.recorded_at, t.doc, u.*
    FROM (SELECT 1) AS always
    LEFT JOIN LATERAL (
        SELECT revision, seq, recorded_at, doc FROM terms
        WHERE workspace_id = $1 AND customer = $2 ORDER BY revision DESC LIMIT 1
    ) t ON true
    LEFT JOIN (
        SELECT customer, id, revision, name, email, roles, attributes, teams, active, created_at, updated_at,
            erased_at
        FROM customer_user WHERE workspace_id = $1 AND customer = $2 AND id = $3
    ) u ON true
"""
BY_SUBSCRIPTION: Final = """
    SELECT customer FROM subscription_index WHERE workspace_id = $1 AND source = $2 AND external_id = $3
"""
DROP_SUBSCRIPTIONS: Final = """
    DELETE FROM subscription_index x WHERE x.workspace_id = $1 AND x.customer = $2
    AND NOT EXISTS (
        SELECT 1 FROM unnest($3::text[], $4::text[]) AS kept (source, external_id)
        WHERE kept.source = x.source AND kept.external_id = x.external_id
    )
"""
ADD_SUBSCRIPTIONS: Final = """
    INSERT INTO subscription_index (workspace_id, customer, source, external_id)
    SELECT $1, $2, given.source, given.external_id
    FROM unnest($3::text[], $4::text[]) AS given (source, external_id)
    ORDER BY given.source, given.external_id
    ON CONFLICT (workspace_id, source, external_id) DO NOTHING
"""
TAKEN_SUBSCRIPTION: Final = """
    SELECT x.source, x.external_id, x.customer
    FROM subscription_index x JOIN unnest($3::text[], $4::text[]) AS given (source, external_id)
        ON given.source = x.source AND given.external_id = x.external_id
    WHERE x.workspace_id = $1 AND x.customer <> $2 LIMIT 1
"""


class TermsReads(Reading):
    """Reading terms. Terms put in this transaction are seen by it, with sequence 0 until they are written."""

    async def terms(self, customer: str) -> TermsRow | None:
        """Return the newest terms; None for an unknown customer."""
        if customer in self._new_terms:
            return self._new_terms[customer]
        row = await self._row(NEWEST, customer)
        return None if row is None else terms_of(row)

    async def terms_history(self, customer: str, page: Page) -> Sequence[TermsRow]:
        """List the committed revisions of a customer's terms, newest first."""
        rows = await self._rows(HISTORY, customer, number_after(page, 2**62), limit_of(page))
        return [terms_of(row) for row in rows]

    async def standing_of(self, customer: str, user: str | None) -> tuple[int, TermsRow | None, UserRow | None]:
        """Return (catalog revision, terms, user) in one round trip: what a check reads."""
        row = await self._row(STANDING, customer, user)
        if row is None:
            raise RuntimeError("a query that always has one row had none")
        revision = row["catalog_revision"] if self._new_catalog is None else self._new_catalog.revision
        terms = self._new_terms.get(customer)
        if terms is None and row["terms_revision"] is not None:
            terms = terms_of(row, revision=row["terms_revision"])
        return revision, terms, None if row["id"] is None else user_of(row)

    async def customer_by_subscription(self, source: str, external_id: str) -> str | None:
        """Return the customer whose newest terms hold the subscription that a foreign system calls so."""
        row = await self._row(BY_SUBSCRIPTION, source, external_id)
        return None if row is None else str(row["customer"])


class TermsWrites(TermsReads, Writing):
    """Appending terms."""

    async def put_terms(self, customer: str, terms: Terms) -> int:
        """Append a revision and return its number; several in one transaction are one revision, the last.

        The customer must be locked. Raises Conflict if another customer has one of the foreign subscriptions.
        """
        self._write(f"terms/{customer}")
        if customer not in self._locked:
            raise RuntimeError(f"the terms of {customer!r} are written without lock_customer")
        if terms.customer != customer:
            raise RuntimeError(f"terms of {terms.customer!r} are written for {customer!r}")
        await self._index_subscriptions(customer, terms)
        before = await self.terms(customer)
        if customer in self._new_terms:
            revision = self._new_terms[customer].revision
        else:
            revision = 1 if before is None else before.revision + 1
        recorded_at = to_datetime(self.time.business)
        self._new_terms[customer] = TermsRow(revision=revision, seq=0, recorded_at=recorded_at, terms=terms)
        return revision

    async def _index_subscriptions(self, customer: str, terms: Terms) -> None:
        names = sorted({(sub.source, sub.external_id) for sub in terms.subscriptions if sub.source and sub.external_id})
        sources, external_ids = [source for source, _ in names], [name for _, name in names]
        await self._execute(DROP_SUBSCRIPTIONS, customer, sources, external_ids)
        if not names:
            return
        await self._execute(ADD_SUBSCRIPTIONS, customer, sources, external_ids)
        taken = await self._row(TAKEN_SUBSCRIPTION, customer, sources, external_ids)
        if taken is not None:
            whose = f"customer {taken['customer']!r}" if self.actor.customer is None else "another customer"
            raise Conflict(
                f"the subscription {taken['external_id']!r} of {taken['source']} belongs to {whose}",
                advice="a foreign subscription belongs to one customer: look at that one's terms",
                details={"source": taken["source"], "customer": taken["customer"]},
            )


def terms_of(row: asyncpg.Record, revision: int | None = None) -> TermsRow:
    """Return a row with the columns of terms as a struct."""
    return TermsRow(
        revision=row["revision"] if revision is None else revision,
        seq=row["seq"],
        recorded_at=row["recorded_at"],
        terms=msgspec.json.decode(row["doc"], type=Terms),
    )
