"""Load of usage from one process: kept connections, each with the next request as soon as the answer is whole.

Every request has a key of its own, so that nothing is a repetition. Requests are made by putting a number in place of a
mark, answers are searched for the words that they must have: neither costs a hundredth of what is measured.
"""

import gc
import os
import select
import socket
import sys
import time
from array import array
from typing import Final

import msgspec
from msgspec import Struct

from licet.cli.bench.apart import apart
from licet.cli.failure import Failure

PATIENCE: Final = 30.0
KEY: Final = b"<the-key-goes-in-here>"
"""Where in a request its number goes, as digits of the same length."""
WHO: Final = b"<cust>"
"""Where the number of a customer goes, of the same length."""
_SCATTER: Final = 2_654_435_761
_LENGTH: Final = b"content-length: "


class UsageLoad(Struct, frozen=True, kw_only=True):
    """What is asked: a request for each connection, with marks; of whom; for how long; on which core (None: any).

    ``first`` is the number of the first request. ``expected`` stands in every answer that does what was asked.
    """

    port: int
    requests: tuple[bytes, ...]
    expected: bytes
    first: int
    seconds: float
    customers: int = 1
    core: int | None = None


class UsageLoaded(Struct, frozen=True, kw_only=True):
    """What came of it: answers, of which ``others`` were not as expected; latencies in milliseconds."""

    answers: int
    others: int
    per_s: float
    p50: float
    p99: float
    odd: str = ""
    """One of the others."""


class Odd(Exception):
    """An answer was not 200, or the server closed."""


class _Line:
    """One connection and what has come of its present answer."""

    __slots__ = ("begun", "body", "missing", "request", "sock")

    def __init__(self, port: int, request: bytes) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request
        self.begun = 0.0
        self.missing = 0
        self.body = b""

    def take(self, data: bytes) -> bool:
        """Add what came and tell whether the answer is whole; raises Odd."""
        if self.missing and self.body:
            self.body += data
        elif not self.body:
            self.body = data
            if not data.startswith(b"HTTP/1.1 200"):
                raise Odd(data[:300].decode("latin-1") or "the server closed")
            self.missing = whole_length(data)
        if not data:
            raise Odd("the server closed within an answer")
        return len(self.body) >= self.missing


def whole_length(data: bytes) -> int:
    """Return how long the answer is that begins like this, its head included; raises Odd where it does not say."""
    ends = data.find(b"\r\n\r\n")
    head = data[:ends].lower()
    at = head.find(_LENGTH)
    if ends < 0 or at < 0:
        raise Odd(f"no length: {data[:200].decode('latin-1')}")
    return ends + 4 + int(head[at + len(_LENGTH) :].split(b"\r", 1)[0])


def filled(request: bytes, number: int, customers: int = 1) -> bytes:
    """Return a request with a number in place of its marks: the same length whatever the number."""
    who = number * _SCATTER % customers
    return request.replace(KEY, b"%0*d" % (len(KEY), number)).replace(WHO, b"%0*d" % (len(WHO), who))


def measure(load: UsageLoad) -> UsageLoaded:
    """Send for so many seconds and return what came; raises Odd."""
    if load.core is not None:
        os.sched_setaffinity(0, {load.core})
    lines = [_Line(load.port, request) for request in load.requests]
    poll = select.epoll()
    by_fd = {line.sock.fileno(): line for line in lines}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    gc.disable()
    loaded = _loop(load, by_fd, poll)
    for line in lines:
        line.sock.close()
    return loaded


def _loop(load: UsageLoad, by_fd: dict[int, _Line], poll: select.epoll) -> UsageLoaded:
    clock, taken, others, odd = time.perf_counter, array("d"), 0, b""
    number, began = load.first, clock()
    ends = began + load.seconds
    for line in by_fd.values():
        line.begun = clock()
        line.sock.sendall(filled(line.request, number, load.customers))
        number += 1
    left = len(by_fd)
    while left:
        came = poll.poll(PATIENCE)
        if not came:
            raise Odd(f"no answer within {PATIENCE:.0f} s")
        for fd, _ in came:
            line = by_fd[fd]
            if not line.take(line.sock.recv(65536)):
                continue
            now = clock()
            taken.append(now - line.begun)
            if load.expected not in line.body:
                others, odd = others + 1, line.body
            line.body, line.missing = b"", 0
            if now >= ends:
                left -= 1
                continue
            line.begun = now
            line.sock.sendall(filled(line.request, number, load.customers))
            number += 1
    return _summed(taken, others, odd, clock() - began)


def _summed(taken: "array[float]", others: int, odd: bytes, spent: float) -> UsageLoaded:
    ordered = sorted(taken)
    return UsageLoaded(
        answers=len(ordered),
        others=others,
        per_s=len(ordered) / spent,
        p50=ordered[len(ordered) // 2] * 1000,
        p99=ordered[len(ordered) * 99 // 100] * 1000,
        odd=odd.partition(b"\r\n\r\n")[2][:300].decode("latin-1"),
    )


def put(load: UsageLoad) -> UsageLoaded:
    """Let a process of its own put a load on a server; raises Failure where an answer was not as expected."""
    found = apart("usage_load", load, UsageLoaded, seconds=load.seconds)
    if found.others:
        raise Failure(f"{found.others} of {found.answers} answers were not as expected: {found.odd}", code="refused")
    return found


def main() -> None:
    """Read a load from standard input, print what came of it."""
    found = measure(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=UsageLoad))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
