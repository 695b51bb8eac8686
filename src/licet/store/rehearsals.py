"""Checks on record in the order of their time, and many truths of the past in one statement each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from licet.core.terms import Attributes, Terms
from licet.services.rehearsal_ports import Held, UserHeld
from licet.services.rows import CheckFilter, CheckRecordRow, TermsRow, UserThen
from licet.store.check_counts import record_of
from licet.store.session import Reading, as_struct

_RECORD: Final = "id, asked_at, customer, user_id, feature, reason, outcome, mode, basis, question, left_out"
_ONLY: Final = """
    workspace_id = $1 AND ($2::text IS NULL OR customer = $2) AND ($3::text IS NULL OR feature = $3)
      AND ($4::timestamptz IS NULL OR asked_at >= $4) AND ($5::timestamptz IS NULL OR asked_at < $5)
"""
COUNT: Final = f"SELECT count(*) AS records FROM check_record WHERE {_ONLY}"
AFTER: Final = f"""
    SELECT {_RECORD} FROM check_record WHERE {_ONLY} AND (asked_at, id) > ($6::timestamptz, $7::text)
    ORDER BY asked_at, id LIMIT $8
"""
# Before statistics know of many records the planner would sort all that are left for every page.
IN_ORDER: Final = "SET LOCAL enable_sort = off"
# Most customers changed little since: the newest revisions are looked at first.
REVISIONS: Final = """
    SELECT given.customer, given.seq, found.revision
    FROM unnest($2::text[], $3::bigint[]) AS given (customer, seq)
    CROSS JOIN LATERAL (
        SELECT t.revision FROM terms t WHERE t.workspace_id = $1 AND t.customer = given.customer AND t.seq <= given.seq
        ORDER BY t.revision DESC LIMIT 1
    ) found
"""
TERMS: Final = """
    SELECT t.revision, t.seq, t.recorded_at, t.doc
    FROM unnest($2::text[], $3::bigint[]) AS given (customer, revision)
    JOIN terms t ON t.workspace_id = $1 AND t.customer = given.customer AND t.revision = given.revision
"""
USERS: Final = """
    SELECT given.held, found.* FROM unnest($2::text[], $3::text[], $4::bigint[]) AS given (customer, id, held)
    CROSS JOIN LATERAL (
        SELECT u.customer, u.id, u.revision, u.seq, u.roles, u.attributes, u.teams, u.active FROM user_revision u
        WHERE u.workspace_id = $1 AND u.customer = given.customer AND u.id = given.id AND u.seq <= given.held
        ORDER BY u.revision DESC LIMIT 1
    ) found
"""


class RehearsalReads(Reading):
    """Reading many truths of the past at once."""

    _in_order = False

    async def count_check_records(self, only: CheckFilter) -> int:
        """Return how many checks are on record."""
        row = await self._row(COUNT, *_values(only))
        return 0 if row is None else int(row["records"])

    async def check_records_after(
        self, only: CheckFilter, after: tuple[datetime, str], limit: int
    ) -> Sequence[CheckRecordRow]:
        """List checks on record by (asked_at, id), those that come after a place."""
        if not self._in_order:
            await self._conn.execute(IN_ORDER)
            self._in_order = True
        return [record_of(row) for row in await self._rows(AFTER, *_values(only), *after, limit)]

    async def revisions_held(self, held: Sequence[Held]) -> dict[Held, int]:
        """Return the newest revision of a customer's terms by a sequence."""
        rows = await self._rows(REVISIONS, [one.customer for one in held], [one.seq for one in held])
        return {Held(row["customer"], row["seq"]): row["revision"] for row in rows}

    async def terms_at_revisions(self, named: Sequence[tuple[str, int]]) -> Sequence[TermsRow]:
        """Return terms by (customer, revision), in no particular order."""
        rows = await self._rows(TERMS, [customer for customer, _ in named], [revision for _, revision in named])
        return [
            TermsRow(
                revision=row["revision"],
                seq=row["seq"],
                recorded_at=row["recorded_at"],
                terms=msgspec.json.decode(row["doc"], type=Terms),
            )
            for row in rows
        ]

    async def users_held(self, held: Sequence[UserHeld]) -> dict[UserHeld, UserThen]:
        """Return what was known of users by a sequence, without anything personal."""
        customers, users = [one.customer for one in held], [one.user for one in held]
        rows = await self._rows(USERS, customers, users, [one.seq for one in held])
        return {
            UserHeld(row["customer"], row["id"], row["held"]): as_struct(
                {name: value for name, value in row.items() if name != "held"},
                UserThen,
                attributes=msgspec.json.decode(row["attributes"], type=Attributes),
            )
            for row in rows
        }


def _values(only: CheckFilter) -> tuple[object, ...]:
    return only.customer, only.feature, only.since, only.until
