"""What a process reads that keeps customers' truths in memory: who changed, and the rows of many at once."""

from collections.abc import Collection, Sequence
from typing import Protocol

from licet.services.rows import TermsRow, UserRow


class HostReads(Protocol):
    """Reading for a truth that is kept and follows the log."""

    async def changed_since(self, seq: int, limit: int) -> Sequence[str]:
        """List the customers with newer terms or users than a sequence, at most ``limit`` of them."""
        ...

    async def newest_terms(self, customers: Collection[str]) -> Sequence[TermsRow]:
        """Return the newest terms of some customers; those that nobody knows are left out."""
        ...

    async def users_named(self, pairs: Collection[tuple[str, str]]) -> Sequence[UserRow]:
        """Return users by (customer, user); those that nobody knows are left out."""
        ...
