"""Timing what takes less than a microsecond: batches of calls, of which the median counts."""

import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median, quantiles
from typing import Final, NamedTuple, TypeVar

BATCHES: Final = 60
CALLS: Final = 500
"""Calls of one batch, between two readings of the clock."""
Calls = Callable[[int], None]
"""Makes ``CALLS`` calls; the argument is the number of the batch."""
Pair = tuple[str, str]
K = TypeVar("K", bound=Hashable)


class Timing(NamedTuple):
    """Microseconds per call: the median over batches of wall time, and of processor time over the whole round."""

    wall: float
    cpu: float


def time_calls(calls: Calls) -> Timing:
    """Return how long one call takes, from one round of batches."""
    walls: list[float] = []
    cpu = time.process_time_ns()
    for batch in range(BATCHES):
        began = time.perf_counter_ns()
        calls(batch)
        walls.append((time.perf_counter_ns() - began) / CALLS / 1000)
    return Timing(median(walls), (time.process_time_ns() - cpu) / BATCHES / CALLS / 1000)


def some_of(rng: random.Random, pairs: Sequence[Pair]) -> list[Pair]:
    """Return as many random questions as one round asks."""
    return rng.choices(pairs, k=BATCHES * CALLS)


def each(ask: Callable[[str, str], object], pairs: Sequence[Pair]) -> Calls:
    """Return calls that ask one question after the other."""

    def calls(batch: int) -> None:
        call = ask
        for customer, feature in pairs[batch * CALLS : (batch + 1) * CALLS]:
            call(customer, feature)

    return calls


def look_ups(table: Mapping[K, object], keys: Sequence[K]) -> Calls:
    """Return calls that do nothing but look one key after the other up."""

    def calls(batch: int) -> None:
        get = table.get
        for key in keys[batch * CALLS : (batch + 1) * CALLS]:
            get(key)

    return calls


def percentile(values: Sequence[float], place: int) -> float:
    """Return the value below which ``place`` of a hundred lie."""
    return round(quantiles(values, n=100, method="inclusive")[place - 1], 2)
