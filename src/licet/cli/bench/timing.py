"""Timing what takes less than a microsecond: batches of calls, of which the median counts."""

import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median, quantiles
from typing import Final, NamedTuple

from licet.cli.bench.worlds import question_of

BATCHES: Final = 60
CALLS: Final = 500
"""Calls of one batch, between two readings of the clock."""
Pair = tuple[str, str]
"""A customer and a feature."""
Pairs = Sequence[Pair]


class Timing(NamedTuple):
    """Microseconds per call: the median over batches of wall time, and of processor time over the whole round."""

    wall: float
    cpu: float


def time_calls(calls: Callable[[Pairs], object], pairs: Callable[[], Pairs]) -> Timing:
    """Return how long one call takes, from one round of batches; ``pairs`` makes what a batch asks, not counted."""
    walls: list[float] = []
    spent = 0
    for _ in range(BATCHES):
        asked = pairs()
        cpu = time.process_time_ns()
        began = time.perf_counter_ns()
        calls(asked)
        walls.append((time.perf_counter_ns() - began) / CALLS / 1000)
        spent += time.process_time_ns() - cpu
    return Timing(median(walls), spent / BATCHES / CALLS / 1000)


def anybody(rng: random.Random, customers: int) -> Callable[[], Pairs]:
    """Return what makes a batch of questions about random customers.

    Their names are made anew, as they come out of a request: what the bench remembers of a million customers would
    have to be fetched from memory like what is measured.
    """
    return lambda: [question_of(rng.randrange(customers)) for _ in range(CALLS)]


def always(pair: Pair) -> Callable[[], Pairs]:
    """Return what makes a batch of one question."""
    asked = [pair] * CALLS
    return lambda: asked


def each(ask: Callable[[str, str], object]) -> Callable[[Pairs], object]:
    """Return calls that ask one question after the other."""

    def calls(pairs: Pairs) -> None:
        call = ask
        for customer, feature in pairs:
            call(customer, feature)

    return calls


def look_ups(table: Mapping[Hashable, object]) -> Callable[[Pairs], object]:
    """Return calls that do nothing but look one key after the other up."""

    def calls(pairs: Pairs) -> None:
        get = table.get
        for pair in pairs:
            get(pair)

    return calls


def percentile(values: Sequence[float], place: int) -> float:
    """Return the value below which ``place`` of a hundred lie."""
    return round(quantiles(values, n=100, method="inclusive")[place - 1], 2)
