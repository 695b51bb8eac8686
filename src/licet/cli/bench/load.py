"""Load on an HTTP server from one process: kept connections, on each the next request as soon as the answer is whole.

It parses nothing while it measures: a connection sends one request again and again, and its answers are as long as the
first one was. A loop over epoll and plain sockets costs a third of what it measures.
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

PATIENCE: Final = 10.0


class Load(Struct, frozen=True, kw_only=True):
    """What is asked: requests, one for each connection; of whom; for how long; on which core (None: any)."""

    port: int
    requests: tuple[bytes, ...]
    seconds: float
    core: int | None


class Loaded(Struct, frozen=True, kw_only=True):
    """What came of it: answers per second, and latencies in milliseconds."""

    answers: int
    per_s: float
    p50: float
    p99: float


class Odd(Exception):
    """An answer was not 200, not as long as the first one, or the server closed."""


def measure(load: Load) -> Loaded:
    """Send for so many seconds and return what came; raises Odd."""
    if load.core is not None:
        os.sched_setaffinity(0, {load.core})
    lines = [socket.create_connection(("127.0.0.1", load.port)) for _ in load.requests]
    by_fd: dict[int, int] = {}
    poll = select.epoll()
    lengths = [_first(line, asked) for line, asked in zip(lines, load.requests, strict=True)]
    for place, line in enumerate(lines):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        by_fd[line.fileno()] = place
        poll.register(line.fileno(), select.EPOLLIN)
    gc.disable()
    taken, spent = _loop(load, lines, lengths, by_fd, poll)
    for line in lines:
        line.close()
    ordered = sorted(taken)
    return Loaded(
        answers=len(ordered),
        per_s=len(ordered) / spent,
        p50=ordered[len(ordered) // 2] * 1000,
        p99=ordered[len(ordered) * 99 // 100] * 1000,
    )


def _loop(
    load: Load, lines: list[socket.socket], lengths: list[int], by_fd: dict[int, int], poll: select.epoll
) -> tuple["array[float]", float]:
    clock, requests = time.perf_counter, load.requests
    taken = array("d")
    missing, begun = list(lengths), [0.0] * len(lines)
    began = clock()
    ends = began + load.seconds
    for place, line in enumerate(lines):
        begun[place] = clock()
        line.sendall(requests[place])
    open_lines = len(lines)
    while open_lines:
        for fd, _ in poll.poll(PATIENCE):
            place = by_fd[fd]
            line = lines[place]
            data = line.recv(65536)
            if missing[place] == lengths[place] and not data.startswith(b"HTTP/1.1 200"):
                raise Odd(data[:200].decode("latin-1") or "the server closed")
            left = missing[place] = missing[place] - len(data)
            if left > 0 and data:
                continue
            if left < 0 or not data:
                raise Odd("an answer was longer than the first one, or the server closed")
            now = clock()
            taken.append(now - begun[place])
            if now >= ends:
                open_lines -= 1
                continue
            missing[place] = lengths[place]
            begun[place] = now
            line.sendall(requests[place])
    return taken, clock() - began


def _first(line: socket.socket, asked: bytes) -> int:
    """Ask once and return how long the whole answer is."""
    line.settimeout(PATIENCE)
    line.sendall(asked)
    data = b""
    while b"\r\n\r\n" not in data:
        part = line.recv(65536)
        if not part:
            raise Odd("the server closed")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Odd(data[:300].decode("latin-1"))
    length = next(
        int(one.partition(b":")[2]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length")
    )
    while len(body) < length:
        body += line.recv(65536)
    return len(head) + 4 + length


def main() -> None:
    """Read a load from standard input, print what came of it."""
    found = measure(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
