"""How often somebody may ask: one token bucket each, in this process, filled by the passing of time alone."""

from collections import OrderedDict
from ipaddress import IPv6Address, IPv6Network, ip_address
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

    def wait(self, key: str, now: float) -> float:
        """Return the seconds after which a token will be there, 0 if one is; takes none."""
        if not self._per_second or key not in self._buckets:
            return 0.0
        held, since = self._buckets[key]
        held = min(self._burst, held + max(0.0, now - since) * self._per_second)
        return max(0.0, (1.0 - held) / self._per_second)


class Inflow:
    """How often messages may come that need no key: from one address, and to one place.

    The address is asked first and has less than a place, so that one sender alone cannot keep out all others.
    """

    def __init__(self, senders: Rate, places: Rate) -> None:
        self._senders = senders
        self._places = places

    def take(self, sender: str, place: str, now: float) -> float:
        """Let one message in and return 0, or return the seconds to wait (``now``: monotonic seconds)."""
        return self._senders.take(sender, now) or self._places.take(place, now)


def neighborhood(address: str) -> str:
    """Return what stands for a client in a limit: its IPv4 address, or the /64 network of its IPv6 address.

    One machine may take any address of its /64. What is no address (a test's, a socket's) stands for itself.
    """
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or IPv6Network((known, 64), strict=False))
    return str(known)
