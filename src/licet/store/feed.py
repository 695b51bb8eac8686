"""What followers are told: the newest terms and user facts as of a sequence, and those that are newer than another."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from licet.core.terms import Attributes
from licet.services.feed_ports import Rows
from licet.store.session import Reading
from licet.wire.feed import MAX_ROWS, TermsRow, UserRow

CHANGED: Final = """
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM terms WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 LIMIT $4
        ) t)
        + (SELECT count(*) FROM (
            SELECT FROM user_revision WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 LIMIT $4
        ) u) AS rows
"""
TERMS_CHANGED: Final = """
    SELECT DISTINCT ON (customer) customer, revision, seq, doc FROM terms
    WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY customer, revision DESC
"""
USERS_CHANGED: Final = """
    SELECT DISTINCT ON (customer, id) customer, id, revision, seq, active, roles, attributes FROM user_revision
    WHERE workspace_id = $1 AND seq > $2 AND seq <= $3 ORDER BY customer, id, revision DESC
"""
TERMS_OF: Final = """
    SELECT customer, revision, seq, doc FROM terms
    WHERE workspace_id = $1 AND customer = $2 AND seq > $3 AND seq <= $4 ORDER BY revision DESC LIMIT 1
"""
USERS_OF: Final = """
    SELECT DISTINCT ON (id) customer, id, revision, seq, active, roles, attributes FROM user_revision
    WHERE workspace_id = $1 AND customer = $2 AND seq > $3 AND seq <= $4 ORDER BY id, revision DESC
"""
# Where many were loaded a moment ago nothing is known of how many there are, and each page would sort them all.
IN_ORDER: Final = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
ALL_TERMS: Final = """
    SELECT c.id AS place, t.customer, t.revision, t.seq, t.doc
    FROM (SELECT id FROM customer WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $4) c
    LEFT JOIN LATERAL (
        SELECT customer, revision, seq, doc FROM terms
        WHERE workspace_id = $1 AND customer = c.id AND seq <= $3 ORDER BY revision DESC LIMIT 1
    ) t ON true
    ORDER BY c.id
"""
ALL_USERS: Final = """
    SELECT c.customer, c.id, u.revision, u.seq, u.active, u.roles, u.attributes
    FROM (
        SELECT customer, id FROM customer_user
        WHERE workspace_id = $1 AND (customer, id) > ($2, $3) ORDER BY customer, id LIMIT $5
    ) c
    LEFT JOIN LATERAL (
        SELECT revision, seq, active, roles, attributes FROM user_revision
        WHERE workspace_id = $1 AND customer = c.customer AND id = c.id AND seq <= $4 ORDER BY revision DESC LIMIT 1
    ) u ON true
    ORDER BY c.customer, c.id
"""
CATALOG_REVISION: Final = """
    SELECT coalesce(max(revision), 0) AS revision FROM catalog WHERE workspace_id = $1 AND seq <= $2
"""


class FeedReads(Reading):
    """Reading what followers are told. Sees what is committed only."""

    async def feed_changed(self, since: int, seq: int, most: int) -> int:
        """Return how many rows were written after one sequence up to another; counting ends at ``most``."""
        row = await self._row(CHANGED, since, seq, most)
        return 0 if row is None else min(most, int(row["rows"]))

    async def feed_changes(self, since: int, seq: int) -> Rows:
        """Return of each customer and user the newest row written in ``(since, seq]``, where there is one."""
        terms = [terms_row(row) for row in await self._rows(TERMS_CHANGED, since, seq)]
        return Rows(terms=terms, users=[user_row(row) for row in await self._rows(USERS_CHANGED, since, seq)])

    async def feed_of(self, customer: str, since: int, seq: int) -> Rows:
        """Return the same about one customer alone; ``since`` 0 is all of it as of ``seq``."""
        terms = [terms_row(row) for row in await self._rows(TERMS_OF, customer, since, seq)]
        return Rows(terms=terms, users=[user_row(row) for row in await self._rows(USERS_OF, customer, since, seq)])

    async def feed_whole(self, seq: int) -> AsyncIterator[Rows]:
        """Yield all there was at a sequence, at most 1,000 rows at a time."""
        await self._conn.execute(IN_ORDER)
        after = ""
        while found := await self._rows(ALL_TERMS, after, seq, MAX_ROWS):
            after = found[-1]["place"]
            yield Rows(terms=[terms_row(row) for row in found if row["revision"] is not None])
        whose = ("", "")
        while found := await self._rows(ALL_USERS, *whose, seq, MAX_ROWS):
            whose = (found[-1]["customer"], found[-1]["id"])
            yield Rows(users=[user_row(row) for row in found if row["revision"] is not None])

    async def feed_catalog(self, seq: int) -> int:
        """Return the catalog revision in force at a sequence, 0 before the first release."""
        row = await self._row(CATALOG_REVISION, seq)
        return 0 if row is None else int(row["revision"])


def terms_row(row: Mapping[str, Any]) -> TermsRow:
    """A customer's terms, as a feed has them."""
    doc = Raw(row["doc"].encode())
    return TermsRow(customer=row["customer"], revision=row["revision"], seq=row["seq"], doc=doc)


def user_row(row: Mapping[str, Any]) -> UserRow:
    """A user's facts; of one that is not active nothing but that."""
    whose = {"customer": row["customer"], "user": row["id"], "revision": row["revision"], "seq": row["seq"]}
    if not row["active"]:
        return UserRow(**whose, active=False)
    attributes = msgspec.json.decode(row["attributes"], type=Attributes)
    return UserRow(**whose, roles=tuple(row["roles"]), attributes=attributes)
