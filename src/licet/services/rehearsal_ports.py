"""What a rehearsal reads: checks on record in the order of their time, and what was known when each was answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from licet.services.rows import CheckFilter, CheckRecordRow, TermsRow, UserThen


class Held(NamedTuple):
    """The truth about one customer that counts: what the log held by a sequence."""

    customer: str
    seq: int


class UserHeld(NamedTuple):
    """The same about one user of a customer."""

    customer: str
    user: str
    seq: int


class RehearsalReads(Protocol):
    """Reading many truths of the past at once."""

    async def count_check_records(self, only: CheckFilter) -> int:
        """Return how many checks are on record."""
        ...

    async def check_records_after(
        self, only: CheckFilter, after: tuple[datetime, str], limit: int
    ) -> Sequence[CheckRecordRow]:
        """List checks on record by (asked_at, id), those that come after a place."""
        ...

    async def revisions_held(self, held: Sequence[Held]) -> Mapping[Held, int]:
        """Return the newest revision of a customer's terms by a sequence; a customer not known by then is left out."""
        ...

    async def terms_at_revisions(self, named: Sequence[tuple[str, int]]) -> Sequence[TermsRow]:
        """Return terms by (customer, revision), in no particular order."""
        ...

    async def users_held(self, held: Sequence[UserHeld]) -> Mapping[UserHeld, UserThen]:
        """Return what was known of users by a sequence; a user not known by then is left out."""
        ...
