"""What callers last said is used of limits that nothing counts: the storage of it, as a protocol."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class SaidReads(Protocol):
    """Reading uses that were said."""

    async def uses_said(self, customers: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Return by customer and feature how much of a limit is used, in minor units, as a check last said.

        Written up to a second after it was said, and kept for 400 days of business time; customers of whom nothing is
        known are left out.
        """
        ...
