"""Customers and the names foreign systems have for them."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.core.terms import Profile, Terms
from licet.services.errors import Conflict
from licet.services.rows import CustomerRow, Page, TermsRow
from licet.store.session import Writing, as_struct, limit_of, text
from licet.store.terms import TermsReads, TermsWrites

_COLUMNS: Final = """
    c.id, c.revision, c.name, c.email, c.profile, c.created_at, c.updated_at, c.erased_at,
    (SELECT json_object_agg(x.source, x.external_id) FROM customer_external x
     WHERE x.workspace_id = c.workspace_id AND x.customer = c.id) AS external_ids
"""
ONE: Final = f"SELECT {_COLUMNS} FROM customer c WHERE c.workspace_id = $1 AND c.id = $2"
LIST: Final = f"SELECT {_COLUMNS} FROM customer c WHERE c.workspace_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"
BY_EXTERNAL_ID: Final = """
    SELECT customer FROM customer_external WHERE workspace_id = $1 AND source = $2 AND external_id = $3
"""
LOCK: Final = "SELECT 1 FROM customer WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE"
INSERT: Final = """
    INSERT INTO customer (workspace_id, id, revision, name, email, profile, created_at, updated_at)
    VALUES ($1, $2, 1, $3, $4, $5, $6, $7)
    ON CONFLICT (workspace_id, id) DO NOTHING
"""
REPLACE: Final = """
    UPDATE customer SET revision = $3, name = $4, email = $5, profile = $6, updated_at = $7
    WHERE workspace_id = $1 AND id = $2 AND revision = $3 - 1
"""
DROP_EXTERNAL_IDS: Final = """
    DELETE FROM customer_external x WHERE x.workspace_id = $1 AND x.customer = $2
    AND NOT EXISTS (
        SELECT 1 FROM unnest($3::text[], $4::text[]) AS kept (source, external_id)
        WHERE kept.source = x.source AND kept.external_id = x.external_id
    )
"""
ADD_EXTERNAL_IDS: Final = """
    INSERT INTO customer_external (workspace_id, customer, source, external_id)
    SELECT $1, $2, given.source, given.external_id
    FROM unnest($3::text[], $4::text[]) AS given (source, external_id)
    ORDER BY given.source, given.external_id
    ON CONFLICT (workspace_id, source, external_id) DO NOTHING
"""
TAKEN_EXTERNAL_ID: Final = """
    SELECT x.source, x.external_id, x.customer
    FROM customer_external x JOIN unnest($3::text[], $4::text[]) AS given (source, external_id)
        ON given.source = x.source AND given.external_id = x.external_id
    WHERE x.workspace_id = $1 AND x.customer <> $2 LIMIT 1
"""


class CustomerReads(TermsReads):
    """Reading customers."""

    async def customer(self, customer: str) -> CustomerRow | None:
        """Return one customer."""
        row = await self._row(ONE, customer)
        return None if row is None else _customer(row)

    async def customers(self, page: Page) -> Sequence[CustomerRow]:
        """List customers by id."""
        return [_customer(row) for row in await self._rows(LIST, page.after, limit_of(page))]

    async def customer_by_external_id(self, source: str, external_id: str) -> str | None:
        """Return the customer whom a foreign system calls so."""
        row = await self._row(BY_EXTERNAL_ID, source, external_id)
        return None if row is None else str(row["customer"])


class CustomerWrites(CustomerReads, TermsWrites, Writing):
    """Locking and writing customers."""

    async def lock_customer(self, customer: str) -> TermsRow | None:
        """Lock one customer until commit and return the newest terms; None if there is no such customer.

        From the first lock on ``time`` is the time at which it was got.
        """
        if customer not in self._locked:
            if await self._row(LOCK, customer) is None:
                return None
            self._locked.add(customer)
            await self._look_at_clock()
        return await self.terms(customer)

    async def put_customer(self, row: CustomerRow) -> None:
        """Insert (revision 1) or replace (the next revision); a new one gets empty terms unless given in the same go.

        Raises Conflict if the id or an external id is taken, or if somebody else wrote that revision.
        """
        self._write(f"customer/{row.id}")
        if row.revision == 1:
            await self._insert_customer(row)
        else:
            await self._replace_customer(row)
        self._locked.add(row.id)
        self._new_customers.add(row.id)
        await self._put_external_ids(row)
        if row.revision == 1:
            await self.put_terms(row.id, Terms(customer=row.id, profile=row.profile))

    async def _insert_customer(self, row: CustomerRow) -> None:
        done = await self._execute(
            INSERT, row.id, row.name, row.email, text(row.profile), row.created_at, row.updated_at
        )
        if not done:
            raise Conflict(f"there is a customer {row.id!r} already", advice="change that one, or choose another id")

    async def _replace_customer(self, row: CustomerRow) -> None:
        done = await self._execute(
            REPLACE, row.id, row.revision, row.name, row.email, text(row.profile), row.updated_at
        )
        if not done:
            raise Conflict(
                f"customer {row.id!r} is no longer at revision {row.revision - 1}", advice="read it again and repeat"
            )

    async def _put_external_ids(self, row: CustomerRow) -> None:
        names = sorted(row.external_ids.items())
        sources, external_ids = [source for source, _ in names], [name for _, name in names]
        if row.revision > 1:
            await self._execute(DROP_EXTERNAL_IDS, row.id, sources, external_ids)
        if not names:
            return
        await self._execute(ADD_EXTERNAL_IDS, row.id, sources, external_ids)
        taken = await self._row(TAKEN_EXTERNAL_ID, row.id, sources, external_ids)
        if taken is not None:
            whose = repr(taken["customer"]) if self.actor.customer is None else "another customer"
            raise Conflict(
                f"{taken['source']} already calls {whose} by the name {taken['external_id']!r}",
                advice="one foreign id belongs to one customer: take it from the other first",
                details={"source": taken["source"], "customer": taken["customer"]},
            )


def _customer(row: asyncpg.Record) -> CustomerRow:
    return as_struct(
        row,
        CustomerRow,
        profile=msgspec.json.decode(row["profile"], type=Profile),
        external_ids=msgspec.json.decode(row["external_ids"] or "{}"),
    )
