"""A vendor's process that uses a capped feature, one unit after the other, and counts what it let in.

Run as a program it reads one line of JSON, :class:`Task`. Its wall clock is what its counters' ``CLOCK_AHEAD`` makes of
the machine's: put in place before anything of the client is loaded.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from licet.cli.bench.counters import Count, Counters

if TYPE_CHECKING:
    from licet.sdk.client import Client

READY_SECONDS: Final = 60.0
REFUSED_SECONDS: Final = 0.1
"""How long who was refused waits before it asks again: others may give something back."""
IDLE_SECONDS: Final = 1.0
"""After so long without a use owned quota goes back."""
TIMEOUT_SECONDS: Final = 3.0
CLOSE_SECONDS: Final = 10.0


def turn_clock(counters: Counters, row: int) -> None:
    """Let this process's wall clock go ahead by what its counters say, from now on whenever it is read."""
    real, real_ns = time.time, time.time_ns

    def ahead_ns() -> int:
        return counters.get(row, Count.CLOCK_AHEAD)

    time.time_ns = lambda: real_ns() + ahead_ns()
    time.time = lambda: real() + ahead_ns() / 1e9


class Spending:
    """One process's use: a unit at its pace, until it is told to leave."""

    def __init__(self, client: "Client", counters: Counters, task: dict[str, Any]) -> None:
        self._client = client
        self._counters = counters
        self._row: int = task["row"]
        self._customer: str = task["customer"]
        self._feature: str = task["feature"]
        self._every = 1.0 / task["per_second"]
        self._rng = random.Random(task["row"])  # noqa: S311 - when is no secret
        self._at = time.monotonic()

    def run(self) -> None:
        """Use one unit after the other."""
        from licet.sdk.errors import NoTruth, Unanswered

        counters, row = self._counters, self._row
        while not counters.get(row, Count.LEAVE):
            self._add(Count.ASKED)
            try:
                usage = self._client.consume(self._customer, self._feature)
            except (Unanswered, NoTruth):
                self._add(Count.UNANSWERED)
                time.sleep(REFUSED_SECONDS)
                continue
            self._add(Count.ADMITTED if usage else Count.REFUSED)
            certain = usage.certain
            if certain is not None:
                self._add(Count.LOCAL)
            owned = self._client.quota.owned if certain is None else int(certain.at_least)
            counters.put(row, Count.OWNED, owned)
            if usage:
                self._pause()
            else:
                time.sleep(self._rng.uniform(REFUSED_SECONDS / 2, REFUSED_SECONDS))

    def _pause(self) -> None:
        """Keep the pace; who was stopped does not catch up."""
        now = time.monotonic()
        self._at = max(self._at, now - 10 * self._every) + self._every * self._rng.uniform(0.5, 1.5)
        if self._at > now:
            time.sleep(self._at - now)

    def _add(self, count: Count) -> None:
        self._counters.put(self._row, count, self._counters.get(self._row, count) + 1)


def live() -> None:
    """Be the program."""
    task = json.loads(sys.stdin.buffer.readline())
    counters, row = Counters(Path(task["counters"]), task["rows"]), task["row"]
    turn_clock(counters, row)
    from licet.sdk.client import Client

    client = Client(
        task["url"],
        task["key"],
        cache=task["folder"] or False,
        customers=[task["customer"]],
        telemetry=False,
        start_timeout=READY_SECONDS,
        timeout=TIMEOUT_SECONDS,
        quota_idle=IDLE_SECONDS,
        close_timeout=CLOSE_SECONDS,
    )
    with client:
        client.wait_ready(READY_SECONDS)
        counters.put(row, Count.STATE, 1)
        Spending(client, counters, task).run()
    counters.put(row, Count.SLICES, client.quota.slices)
    counters.put(row, Count.OWNED, 0)
    counters.put(row, Count.STATE, 2 if not client.quota.unsaid else 3)


if __name__ == "__main__":
    live()
