"""When to try again: what keeps one client from hammering, and ten thousand from coming at once.

Everything is counted on the monotonic clock, in seconds, and every wait is drawn by chance from a span.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

FIRST: Final = 2.0
"""The middle of the first wait after a failure; it doubles with each further one."""
LONGEST: Final = 20.0
"""The longest wait after a failure that may pass by itself: as long as one poll."""
BUDGET: Final = 3.0
"""Tries that may come sooner than ``LONGEST`` apart; each takes one."""
REFILL: Final = 1 / 60
"""How many such tries come back in a second."""
BREAK_AFTER: Final = 3
"""Failures in a row after which nothing but the feed's own next try goes out."""
HOPELESS: Final = (30.0, 900.0)
"""The first and the longest wait where only a person can help: a wrong key, a server without a feed."""
HEALING: Final = (60.0, 3600.0)
"""The first and the longest time for which differing from the server is borne, from the second fetching of everything
on; the first two are at once."""
HEALED: Final = 6 * 3600.0
"""Whoever differed last so long ago has not differed yet."""
MOST_ASKED: Final = 3600.0
"""However long a server asks to be left alone, this is enough."""


class Pace:
    """One client's patience, shared by everything that it asks of the server."""

    def __init__(self, chance: "Random") -> None:
        self._chance = chance
        self._failures = 0
        self._hopeless = 0
        self._healings = 0
        self._differed = 0.0
        self._tokens = BUDGET
        self._counted: float | None = None
        self._open_until = 0.0

    def worked(self) -> None:
        """The server answered as it should: the breaker closes. The budget refills by time alone."""
        self._failures = self._hopeless = 0
        self._open_until = 0.0

    def failed(self, now: float, retry_after: float | None = None) -> float:
        """Return how long to wait after what may pass by itself."""
        self._failures += 1
        self._fill(now)
        wait = min(LONGEST, FIRST * 2.0 ** min(self._failures - 1, 16))
        if wait < LONGEST and self._tokens >= 1:
            self._tokens -= 1
        else:
            wait = LONGEST
        wait = self._chance.uniform(wait / 2, wait)
        if retry_after is not None:
            asked = min(max(0.0, retry_after), MOST_ASKED)
            wait = max(wait, asked + self._chance.uniform(0, asked / 5 + 0.5))
        if self._failures >= BREAK_AFTER:
            self._open_until = now + wait
        return wait

    def hopeless(self, now: float) -> float:
        """Return how long to wait where trying again helps only after somebody did something."""
        first, longest = HOPELESS
        wait = min(longest, first * 2.0 ** min(self._hopeless, 16))
        self._hopeless += 1
        wait = self._chance.uniform(wait / 2, wait)
        self._open_until = now + wait
        return wait

    def heals(self, now: float) -> float:
        """Return for how long nothing is fetched whole again, where everything is now since the rows differ."""
        first, longest = HEALING
        self._healings = 1 if now - self._differed > HEALED else self._healings + 1
        self._differed = now
        if self._healings < 2:
            return 0.0
        wait = min(longest, first * 2.0 ** min(self._healings - 2, 16))
        return self._chance.uniform(wait / 2, wait)

    def soon(self, most: float) -> float:
        """Return a short wait by chance, so that what happened to many at once is not answered by all at once."""
        return self._chance.uniform(0, most)

    def open(self, now: float) -> bool:
        """Whether the breaker is open: nothing else should be asked of the server now."""
        return now < self._open_until

    def _fill(self, now: float) -> None:
        if self._counted is not None:
            self._tokens = min(BUDGET, self._tokens + max(0.0, now - self._counted) * REFILL)
        self._counted = now
