"""A vendor's process with the SDK in it: asks one question over and over and tells each change of the answer.

Run as a program it reads lines of JSON: first where to connect to, then questions, each in place of the one before.
It writes one line per change, with the instant on the clock that all processes of a machine share.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct

from licet.cli.failure import Failure
from licet.sdk.client import Client

EVERY_SECONDS: Final = 0.0005
"""Pause between two checks: what it finds is at most so much later than what happened."""
READY_SECONDS: Final = 180.0
STOP_SECONDS: Final = 10.0


class Server(Struct, frozen=True):
    """Where to connect to."""

    url: str
    key: str


class Watched(Struct, frozen=True):
    """The question."""

    customer: str
    feature: str


class Seen(Struct, frozen=True):
    """An answer, other than the one before. ``at`` is monotonic time, in nanoseconds."""

    at: int
    customer: str
    allowed: bool
    amount: int | str | None


class Watcher:
    """One such process, seen from its parent."""

    def __init__(self, server: Server) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "licet.cli.bench.watcher"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._changed = threading.Condition()
        self._ended = False
        self.seen: list[Seen] = []
        """Every change so far; a further thread appends to it."""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._say(server)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._thread.join(STOP_SECONDS)
        if self._child.stdout is not None:
            self._child.stdout.close()

    def watch(self, watched: Watched, seconds: float) -> Seen:
        """Let it ask this from now on; return its first answer. Raises Failure if none comes."""
        known = len(self.seen)
        self._say(watched)
        return self.wait(lambda seen: seen.customer == watched.customer, known, seconds)

    def wait(self, wanted: Callable[[Seen], bool], after: int, seconds: float) -> Seen:
        """Return the first wanted change beyond the first ``after`` ones; raises Failure if none comes."""

        def found() -> Seen | None:
            return next((seen for seen in self.seen[after:] if wanted(seen)), None)

        with self._changed:
            self._changed.wait_for(lambda: self._ended or found() is not None, seconds)
        if (result := found()) is None:
            words = "ended" if self._ended else f"saw no change within {seconds:.0f} s"
            raise Failure(f"a process with the SDK {words}", code="no_change")
        return result

    def _say(self, what: Struct) -> None:
        if self._child.stdin is None:
            raise AssertionError("a pipe was asked for")
        try:
            self._child.stdin.write(msgspec.json.encode(what) + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise Failure("a process with the SDK ended", code="no_change") from None

    def _listen(self) -> None:
        for line in self._child.stdout or ():
            seen = msgspec.json.decode(line, type=Seen)
            with self._changed:
                self.seen.append(seen)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class _Asking:
    """What is asked now, by whichever thread; None at the end."""

    def __init__(self, first: Watched | None) -> None:
        self.watched = first

    def listen(self) -> None:
        """Take further questions until there are none."""
        for line in sys.stdin.buffer:
            self.watched = msgspec.json.decode(line, type=Watched)
        self.watched = None


def look(client: Client, watched: Watched) -> tuple[bool, int | str | None]:
    """Return what is told of one answer."""
    decision = client.check(watched.customer, watched.feature)
    return decision.allowed, None if decision.limit is None else decision.limit.amount


def live() -> None:
    """Be the program: ask and tell until standard input ends."""
    server = msgspec.json.decode(sys.stdin.buffer.readline(), type=Server)
    first = sys.stdin.buffer.readline()
    asking = _Asking(msgspec.json.decode(first, type=Watched) if first else None)
    with Client(server.url, server.key, cache=False, start_timeout=0) as client:
        client.wait_ready(READY_SECONDS)
        threading.Thread(target=asking.listen, daemon=True).start()
        told: tuple[Watched, bool, int | str | None] | None = None
        while (watched := asking.watched) is not None:
            found = (watched, *look(client, watched))
            if found != told:
                told = found
                seen = Seen(at=time.monotonic_ns(), customer=watched.customer, allowed=found[1], amount=found[2])
                sys.stdout.buffer.write(msgspec.json.encode(seen) + b"\n")
                sys.stdout.buffer.flush()
            time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    live()
