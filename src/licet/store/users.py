"""Users of a customer: the row of today, and what it was in the past without anything personal."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from licet.core.terms import Attributes
from licet.services.errors import Conflict
from licet.services.rows import Page, UserRow
from licet.store.session import Reading, Writing, as_struct, limit_of, text

_COLUMNS: Final = (
    "customer, id, revision, name, email, roles, attributes, teams, active, created_at, updated_at, erased_at"
)
ONE: Final = f"SELECT {_COLUMNS} FROM customer_user WHERE workspace_id = $1 AND customer = $2 AND id = $3"
LIST: Final = f"""
    SELECT {_COLUMNS} FROM customer_user
    WHERE workspace_id = $1 AND customer = $2 AND id > $3 ORDER BY id LIMIT $4
"""
INSERT: Final = """
    INSERT INTO customer_user
        (workspace_id, customer, id, revision, name, email, roles, attributes, teams, active, created_at, updated_at)
    VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (workspace_id, customer, id) DO NOTHING
"""
REPLACE: Final = """
    UPDATE customer_user
    SET revision = $4, name = $5, email = $6, roles = $7, attributes = $8, teams = $9, active = $10, updated_at = $11
    WHERE workspace_id = $1 AND customer = $2 AND id = $3 AND revision = $4 - 1
"""


class UserReads(Reading):
    """Reading users."""

    async def user(self, customer: str, user: str) -> UserRow | None:
        """Return one user of a customer."""
        row = await self._row(ONE, customer, user)
        return None if row is None else user_of(row)

    async def users(self, customer: str, page: Page) -> Sequence[UserRow]:
        """List a customer's users by id."""
        return [user_of(row) for row in await self._rows(LIST, customer, page.after, limit_of(page))]


class UserWrites(UserReads, Writing):
    """Writing users."""

    async def put_user(self, row: UserRow) -> None:
        """Insert (revision 1) or replace (the next revision) a user; its past is kept. Raises Conflict."""
        self._write(f"user/{row.customer}/{row.id}")
        facts = (row.name, row.email, list(row.roles), text(row.attributes), list(row.teams), row.active)
        if row.revision == 1:
            done = await self._execute(INSERT, row.customer, row.id, *facts, row.created_at, row.updated_at)
        else:
            done = await self._execute(REPLACE, row.customer, row.id, row.revision, *facts, row.updated_at)
        if not done:
            raise Conflict(
                f"user {row.id!r} of customer {row.customer!r} was written by somebody else meanwhile",
                advice="read the user again and repeat",
            )
        self._new_users.append(row)


def user_of(row: asyncpg.Record) -> UserRow:
    """Return a row with a user's columns as a struct."""
    columns = {name: row[name] for name in UserRow.__struct_fields__}
    return as_struct(columns, UserRow, attributes=msgspec.json.decode(row["attributes"], type=Attributes))
