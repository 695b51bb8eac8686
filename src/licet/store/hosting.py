"""Reading for a truth that is kept in memory: the newest rows of many customers and users at once."""

from collections.abc import Collection
from typing import Final

from licet.services.feed_ports import Rows
from licet.store.feed import terms_row, user_row
from licet.store.session import Reading

TERMS: Final = """
    SELECT t.customer, t.revision, t.seq, t.doc FROM unnest($2::text[]) AS given (customer) CROSS JOIN LATERAL (
        SELECT n.customer, n.revision, n.seq, n.doc FROM terms n
        WHERE n.workspace_id = $1 AND n.customer = given.customer ORDER BY n.revision DESC LIMIT 1
    ) t
"""
USERS: Final = """
    SELECT u.customer, u.id, u.revision, u.seq, u.active, u.roles, u.attributes
    FROM unnest($2::text[], $3::text[]) AS given (customer, id) CROSS JOIN LATERAL (
        SELECT n.customer, n.id, n.revision, n.seq, n.active, n.roles, n.attributes FROM user_revision n
        WHERE n.workspace_id = $1 AND n.customer = given.customer AND n.id = given.id ORDER BY n.revision DESC LIMIT 1
    ) u
"""


class HostReads(Reading):
    """Reading what a kept truth is filled with."""

    async def newest_rows(self, customers: Collection[str], users: Collection[tuple[str, str]]) -> Rows:
        """Return the newest rows of customers, and of users by (customer, user); without those that nobody knows."""
        whose, names = [customer for customer, _ in users], [user for _, user in users]
        return Rows(
            terms=[terms_row(row) for row in await self._rows(TERMS, list(customers))] if customers else (),
            users=[user_row(row) for row in await self._rows(USERS, whose, names)] if users else (),
        )
