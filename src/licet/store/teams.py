"""Teams of a customer."""

from collections.abc import Sequence
from typing import Final

from licet.services.errors import Conflict
from licet.services.rows import Page, TeamRow
from licet.store.session import Reading, Writing, as_struct, limit_of

ONE: Final = """
    SELECT customer, id, revision, title, created_at FROM team WHERE workspace_id = $1 AND customer = $2 AND id = $3
"""
LIST: Final = """
    SELECT customer, id, revision, title, created_at FROM team
    WHERE workspace_id = $1 AND customer = $2 AND id > $3 ORDER BY id LIMIT $4
"""
INSERT: Final = """
    INSERT INTO team (workspace_id, customer, id, revision, title, created_at) VALUES ($1, $2, $3, 1, $4, $5)
    ON CONFLICT (workspace_id, customer, id) DO NOTHING
"""
REPLACE: Final = """
    UPDATE team SET revision = $4, title = $5
    WHERE workspace_id = $1 AND customer = $2 AND id = $3 AND revision = $4 - 1
"""


class TeamReads(Reading):
    """Reading teams."""

    async def team(self, customer: str, team: str) -> TeamRow | None:
        """Return one team of a customer."""
        row = await self._row(ONE, customer, team)
        return None if row is None else as_struct(row, TeamRow)

    async def teams(self, customer: str, page: Page) -> Sequence[TeamRow]:
        """List a customer's teams by id."""
        return [as_struct(row, TeamRow) for row in await self._rows(LIST, customer, page.after, limit_of(page))]


class TeamWrites(TeamReads, Writing):
    """Writing teams."""

    async def put_team(self, row: TeamRow) -> None:
        """Insert (revision 1) or replace (the next revision) a team; raises Conflict."""
        self._write(f"team/{row.customer}/{row.id}")
        if row.revision == 1:
            done = await self._execute(INSERT, row.customer, row.id, row.title, row.created_at)
        else:
            done = await self._execute(REPLACE, row.customer, row.id, row.revision, row.title)
        if not done:
            raise Conflict(
                f"team {row.id!r} of customer {row.customer!r} was written by somebody else meanwhile",
                advice="read the team again and repeat",
            )
