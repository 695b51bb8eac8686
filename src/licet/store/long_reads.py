"""How many long reads of one process go on at once: previews, rehearsals, exports. Each holds a connection for long."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from licet.services.errors import Unavailable

EACH: Final = 2
"""Long reads of one workspace at once."""
AGAIN_SECONDS: Final = 5
"""After how long it is worth asking again."""


def places_of(size: int) -> int:
    """Return how many long reads may go on beside ``size`` short ones: a quarter as many, at least one."""
    return max(1, size // 4)


class LongReads:
    """The places for long reads. They have connections of their own, so that short reads never wait for them."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken = Counter[str]()

    @contextmanager
    def place(self, workspace: str) -> Iterator[None]:
        """Hold a place as long as the block lasts; raises Unavailable at once where none is free."""
        each, all_together = self._taken[workspace], self._taken.total()
        if each >= EACH or all_together >= self.places:
            whose = f"of workspace {workspace} " if each >= EACH else ""
            count = each if each >= EACH else all_together
            raise Unavailable(
                f"as many long reads {whose}are under way as may be at once ({count}): previews, rehearsals, exports",
                advice="wait until one of them has ended, then repeat the request",
                details={"retry_after": AGAIN_SECONDS},
            )
        self._taken[workspace] += 1
        try:
            yield
        finally:
            self._taken[workspace] -= 1
            if not self._taken[workspace]:
                del self._taken[workspace]
