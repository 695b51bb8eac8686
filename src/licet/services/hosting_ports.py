"""What a process reads that keeps customers' truths in memory: the rows of many at once."""

from collections.abc import Collection
from typing import Protocol

from licet.services.feed_ports import Rows


class HostReads(Protocol):
    """Reading for a truth that is filled on demand."""

    async def newest_rows(self, customers: Collection[str], users: Collection[tuple[str, str]]) -> Rows:
        """Return the newest rows of customers, and of users by (customer, user); without those that nobody knows."""
        ...
