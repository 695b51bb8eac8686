"""What an evaluator needs of whoever is the authority."""

from collections.abc import Iterator
from typing import Protocol

from licet.wire.feed import Line


class Hub(Protocol):
    """The authority as an evaluator sees it. Today: the lines of a feed; later also what is owned for a while."""

    def lines(self, cursor: str | None) -> Iterator[Line]:
        """Yield the lines of a feed from a cursor on; None: from the beginning."""

    def pick(self, customer: str, cursor: str) -> str:
        """Return the signed frame with all of one customer as of exactly a cursor."""
