"""What the feed needs of others, as protocols: reading what changed, and whatever has the key that signs it."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from licet.wire.feed import TermsRow, UserRow


class Rows(Struct, frozen=True, kw_only=True):
    """Some rows of a feed, and the customers whom they are about."""

    terms: Sequence[TermsRow] = ()
    users: Sequence[UserRow] = ()


class FeedReads(Protocol):
    """Reading the newest rows as of a sequence. Documents are append-only, so that a later view says the same."""

    async def feed_changed(self, since: int, seq: int, most: int) -> int:
        """Return how many rows were written after one sequence up to another; counting ends at ``most``."""
        ...

    async def feed_changes(self, since: int, seq: int) -> Rows:
        """Return of each customer and user the newest row written in ``(since, seq]``, where there is one."""
        ...

    async def feed_of(self, customer: str, since: int, seq: int) -> Rows:
        """Return the same about one customer alone; ``since`` 0 is all of it as of ``seq``."""
        ...

    def feed_whole(self, seq: int) -> AsyncIterator[Rows]:
        """Yield all there was at a sequence, at most 1,000 rows at a time."""
        ...

    async def feed_catalog(self, seq: int) -> int:
        """Return the catalog revision in force at a sequence, 0 before the first release."""
        ...


class Signing(Protocol):
    """Who signs a workspace's feed now."""

    @property
    def keyset(self) -> str:
        """The keyset that names the key, signed by the root."""
        ...

    @property
    def version(self) -> int:
        """The keyset's."""
        ...

    @property
    def root(self) -> str:
        """The public root (``k4.public.…``)."""
        ...

    def sign(self, payload: bytes) -> str:
        """Return a message signed for the feed."""
        ...
