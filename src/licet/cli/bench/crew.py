"""The processes that use one capped feature of one customer, seen from outside: started, stopped, killed, counted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from msgspec import Struct

from licet.cli.bench.counters import Count, Counters, Row
from licet.cli.failure import Failure
from licet.cli.remote import Remote

MOST_STARTS: Final = 4
"""Of one process, with those after it was killed."""
LEAVE_SECONDS: Final = 30.0
_LOOKS: Final = 50
_LOOK_SECONDS: Final = 0.001


class Where(Struct, frozen=True, kw_only=True):
    """What a crew uses, and where everything lies."""

    url: str
    key: str
    customer: str
    feature: str
    per_second: float
    """Of all processes together."""
    folder: Path
    """For counters, journals and logs."""


class Member:
    """One process of a crew: the same place in it, whatever is killed and started again."""

    def __init__(self, place: int, where: Where, counters: Counters, size: int) -> None:
        self.place = place
        self.durable = place % 2 == 0
        """Whether it has a disk: every other one does."""
        self.row = -1
        self.stopped = False
        self._where = where
        self._counters = counters
        self._size = size
        self._starts = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def start(self) -> None:
        """Start it; in its folder, where it has one, so that it takes over what it left."""
        if self._starts == MOST_STARTS:
            raise AssertionError("started more often than there are rows")
        self.row = self.place * MOST_STARTS + self._starts
        self._starts += 1
        folder = self._where.folder
        task = {
            "url": self._where.url,
            "key": self._where.key,
            "customer": self._where.customer,
            "feature": self._where.feature,
            "folder": str(folder / f"disk-{self.place}") if self.durable else None,
            "per_second": self._where.per_second / self._size,
            "counters": str(folder / "counters"),
            "rows": self._size * MOST_STARTS,
            "row": self.row,
        }
        self._log = (folder / f"log-{self.row}").open("wb")
        self._child = subprocess.Popen(
            [sys.executable, "-m", "licet.cli.bench.spender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        if self._child.stdin is None:
            raise AssertionError("a pipe was asked for")
        self._child.stdin.write(json.dumps(task).encode() + b"\n")
        self._child.stdin.close()

    @property
    def counts(self) -> int:
        """What it has admitted since it was started last."""
        return self._counters.get(self.row, Count.ADMITTED)

    @property
    def owned(self) -> int:
        """What it owned when it last looked."""
        return self._counters.get(self.row, Count.OWNED)

    @property
    def ready(self) -> bool:
        """Whether it asks by now."""
        return self._counters.get(self.row, Count.STATE) > 0

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._child is not None and self._child.poll() is None

    def turn_clock(self, seconds: int) -> None:
        """Set its wall clock so far ahead of the machine's."""
        self._counters.put(self.row, Count.CLOCK_AHEAD, seconds * 1_000_000_000)

    def stop_holding(self) -> bool:
        """Stop it (SIGSTOP) while it owns something; returns whether that was met."""
        for _ in range(_LOOKS):
            if not self.running:
                return False
            if self.owned > 0:
                self.stop()
                if self.owned > 0:
                    return True
                self.go_on()
            time.sleep(_LOOK_SECONDS)
        return False

    def go_on(self) -> None:
        """Let it go on (SIGCONT)."""
        if self.stopped and self._child is not None:
            self.stopped = False
            os.kill(self._child.pid, signal.SIGCONT)

    def kill_holding(self) -> bool:
        """Kill it (SIGKILL) while it owns something; returns whether that was met: else it lives."""
        if self.stopped or not self.stop_holding() or self._child is None:
            return False
        self._child.kill()
        self.stopped = False
        self._end()
        return True

    def leave(self) -> None:
        """Ask it to close."""
        self._counters.put(self.row, Count.LEAVE, 1)

    def join(self, seconds: float) -> bool:
        """Wait for its end; returns whether it closed by itself with everything told."""
        child = self._child
        if child is None:
            return False
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            return False
        self._end()
        return code == 0 and self._counters.get(self.row, Count.STATE) == 2

    def end(self) -> None:
        """End it, whatever it does."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()
            self._end()

    def stop(self) -> None:
        """Stop it (SIGSTOP), whatever it does; returns once it stands still."""
        if self._child is None:
            raise AssertionError("nothing runs")
        os.kill(self._child.pid, signal.SIGSTOP)
        os.waitpid(self._child.pid, os.WUNTRACED)  # a signal to another core takes a moment
        self.stopped = True

    def _end(self) -> None:
        if self._child is not None:
            self._child.wait()
            self._child = None
        if self._log is not None:
            self._log.close()
            self._log = None


class Crew:
    """All processes of one customer. Leaving the block ends those that are still there."""

    def __init__(self, size: int, where: Where) -> None:
        where.folder.mkdir(parents=True, exist_ok=True)
        self._where = where
        self._counters = Counters(where.folder / "counters", size * MOST_STARTS)
        self.members = [Member(place, where, self._counters, size) for place in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.end()
        self._counters.close()

    def start(self, seconds: float) -> None:
        """Start all and wait until each asks; raises Failure where one does not."""
        for member in self.members:
            member.start()
        ends = time.monotonic() + seconds
        for member in self.members:
            while not member.ready:
                if not member.running or time.monotonic() > ends:
                    raise Failure(f"a process with the SDK did not start: {self.last_words()}", code="not_started")
                time.sleep(0.02)

    @property
    def admitted(self) -> int:
        """What all of them have admitted so far, those that are gone too."""
        return sum(self._counters.get(row, Count.ADMITTED) for row in range(len(self.members) * MOST_STARTS))

    def rows(self) -> list[Row]:
        """Return what each process has counted, one for each start."""
        return [self._counters.row(row) for row in range(len(self.members) * MOST_STARTS)]

    def leave(self, members: Iterable[Member]) -> int:
        """Let these close; returns how many did and had told everything."""
        leaving = [member for member in members if member.running]
        for member in leaving:
            member.leave()
        ends = time.monotonic() + LEAVE_SECONDS
        return sum(member.join(max(0.1, ends - time.monotonic())) for member in leaving)

    def last_words(self) -> str:
        """Return the last line that any process wrote to its log."""
        for log in sorted(self._where.folder.glob("log-*")):
            lines = log.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1]
        return "it said nothing"


def balance_of(remote: Remote, customer: str, feature: str) -> dict[str, int]:
    """Return what the balance of a feature says of its parts, in units."""
    told = remote.call("GET", f"/v1/customers/{customer}/balances/{feature}")
    return {name: int(told[name] or 0) for name in ("remaining", "used", "leased", "written_off", "deficit")}


def leases_of(remote: Remote, customer: str) -> list[dict[str, Any]]:
    """Return all leases of a customer."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        query: dict[str, Any] = {"customer": customer, "limit": 500, **({"cursor": after} if after else {})}
        page = remote.call("GET", "/v1/quota-leases", query=query)
        found += page["items"]
        after = page["next"]
        if after is None:
            return found
