"""Reading for a truth that is kept in memory: who changed since a sequence, and the rows of many customers at once."""

from collections.abc import Collection, Sequence
from typing import Final

from licet.services.rows import TermsRow, UserRow
from licet.store.session import Reading
from licet.store.terms import terms_of
from licet.store.users import user_of

CHANGED: Final = """
    SELECT t.customer FROM terms t WHERE t.workspace_id = $1 AND t.seq > $2
    UNION SELECT u.customer FROM user_revision u WHERE u.workspace_id = $1 AND u.seq > $2
    LIMIT $3
"""
TERMS: Final = """
    SELECT t.revision, t.seq, t.recorded_at, t.doc FROM unnest($2::text[]) AS given (customer) CROSS JOIN LATERAL (
        SELECT n.revision, n.seq, n.recorded_at, n.doc FROM terms n
        WHERE n.workspace_id = $1 AND n.customer = given.customer ORDER BY n.revision DESC LIMIT 1
    ) t
"""
USERS: Final = """
    SELECT u.customer, u.id, u.revision, u.name, u.email, u.roles, u.attributes, u.teams, u.active, u.created_at,
        u.updated_at, u.erased_at
    FROM unnest($2::text[], $3::text[]) AS given (customer, id)
    JOIN customer_user u ON u.workspace_id = $1 AND u.customer = given.customer AND u.id = given.id
"""


class HostReads(Reading):
    """Reading what a kept truth needs to follow the log."""

    async def changed_since(self, seq: int, limit: int) -> Sequence[str]:
        """List the customers with newer terms or users than a sequence, at most ``limit`` of them."""
        return [str(row["customer"]) for row in await self._rows(CHANGED, seq, limit)]

    async def newest_terms(self, customers: Collection[str]) -> Sequence[TermsRow]:
        """Return the newest terms of some customers; those that nobody knows are left out."""
        return [terms_of(row) for row in await self._rows(TERMS, list(customers))] if customers else []

    async def users_named(self, pairs: Collection[tuple[str, str]]) -> Sequence[UserRow]:
        """Return users by (customer, user); those that nobody knows are left out."""
        if not pairs:
            return []
        customers, users = [customer for customer, _ in pairs], [user for _, user in pairs]
        return [user_of(row) for row in await self._rows(USERS, customers, users)]
