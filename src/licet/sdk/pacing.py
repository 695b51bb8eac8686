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

MOST_TRIES: Final = 5
"""Tries of one call that somebody waits for."""
FIRST_RETRY: Final = 0.1
"""The longest wait before the second of them, in seconds; it doubles with each further one."""
RETRY_BUDGET: Final = 10.0
"""Further tries of all calls together, before calls that work have earned new ones."""
CALLS_BREAK_AFTER: Final = 10
"""Tries in a row that nobody answered, after which calls fail at once for a while."""
CALLS_SHUT: Final = (1.0, 10.0)
"""The first and the longest such while, in seconds."""


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


class Tries:
    """How often a call that somebody waits for is made again: one client's patience with all of them.

    Each retry takes a token, each call that worked gives a tenth of one back, so that a server in trouble is asked
    hardly more often than one that is well. Any thread may tell it; a count that two tell at once may be one off.
    """

    def __init__(self, chance: "Random") -> None:
        self._chance = chance
        self._tokens = RETRY_BUDGET
        self._failures = 0
        self._closed_until = 0.0

    def worked(self) -> None:
        """The server answered."""
        self._failures = 0
        self._closed_until = 0.0
        self._tokens = min(RETRY_BUDGET, self._tokens + 0.1)

    def failed(self, now: float, tried: int, retry_after: float | None = None, *, down: bool = True) -> float | None:
        """Return how long to wait before the next try; None where there is none. ``tried``: tries of this call so far.

        ``down``: nobody answered, or could; after some in a row nothing is asked for a while.
        """
        if down:
            self._failures += 1
            beyond = self._failures - CALLS_BREAK_AFTER
            if beyond >= 0:
                shut = min(CALLS_SHUT[1], CALLS_SHUT[0] * 2.0 ** min(beyond, 16))
                self._closed_until = now + self._chance.uniform(shut / 2, shut)
        if tried >= MOST_TRIES or self._tokens < 1:
            return None
        self._tokens -= 1
        wait = FIRST_RETRY * 2.0 ** (tried - 1)
        wait = self._chance.uniform(wait / 2, wait)
        return wait if retry_after is None else max(wait, retry_after + self._chance.uniform(0, FIRST_RETRY))

    def closed_for(self, now: float) -> float:
        """Return for how many seconds nothing is asked any more; 0 where a call may go out."""
        return max(0.0, self._closed_until - now)
