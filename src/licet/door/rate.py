"""How often a key may ask: one token bucket per key, in this process, filled by the passing of time alone."""

from collections import OrderedDict
from typing import Final

_MOST_BUCKETS: Final = 100_000


class Rate:
    """Token buckets: ``per_second`` tokens flow in, at most ``burst`` are held; a request takes one (or more).

    ``now`` is a monotonic clock in seconds, given by the caller. The longest unused buckets are forgotten beyond
    100,000: a forgotten one is a full one. ``per_second`` 0 means no limit.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float, tokens: int = 1) -> float:
        """Take tokens and return 0, or take none and return the seconds after which they will be there.

        A request for more than the burst is let through once the bucket is full, and empties it.
        """
        if not self._per_second:
            return 0.0
        held, since = self._buckets.get(key, (self._burst, now))
        held = min(self._burst, held + max(0.0, now - since) * self._per_second)
        wanted = min(float(tokens), self._burst)
        short = wanted - held
        self._buckets[key] = (held if short > 0 else held - wanted, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return max(0.0, short / self._per_second)
