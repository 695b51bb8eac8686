"""The pattern that a hard cap does not survive: a process reads the balance, lets in what fits, reports later."""

import subprocess
import sys
import time
from typing import Final

import msgspec
from msgspec import Struct

from licet.cli.failure import Failure
from licet.cli.remote import Remote

READ_SECONDS: Final = 0.25
"""How old what was read of the balance may be; and after so long what was used is reported."""
MOST_SECONDS: Final = 60.0


class Naive(Struct, frozen=True, kw_only=True):
    """What is asked of the pattern: so many processes, which together want so many units a second."""

    url: str
    key: str
    customer: str
    feature: str
    event: str
    limit: int
    processes: int
    per_second: float


def overshoot_of_naive(naive: Naive) -> int:
    """Let so many processes use a cap that way until each reads that nothing is left; return what was too much."""
    children = [
        subprocess.Popen([sys.executable, "-m", "licet.cli.bench.naive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(naive.processes)
    ]
    try:
        for place, child in enumerate(children):
            if child.stdin is None:
                raise AssertionError("a pipe was asked for")
            child.stdin.write(_task(naive, place))
            child.stdin.close()
        told = [child.stdout.read() for child in children if child.stdout is not None]
    finally:
        for child in children:
            child.kill()
            child.wait()
    if any(not one for one in told):
        raise Failure("a process of the baseline ended", code="no_baseline")
    return max(0, sum(int(one) for one in told) - naive.limit)


def _task(naive: Naive, place: int) -> bytes:
    return msgspec.json.encode([place, naive]) + b"\n"


def live() -> None:
    """Be one of the processes: print how much was let in."""
    place, naive = msgspec.json.decode(sys.stdin.buffer.readline(), type=tuple[int, Naive])
    path = f"/v1/customers/{naive.customer}/balances/{naive.feature}"
    every, ends = naive.processes / naive.per_second, time.monotonic() + MOST_SECONDS
    admitted = 0
    with Remote(naive.url, naive.key) as remote:
        while time.monotonic() < ends:
            left = int(remote.call("GET", path)["remaining"])
            if left <= 0:
                break
            used, until = 0, time.monotonic() + READ_SECONDS
            while used < left and time.monotonic() < until:
                used += 1
                time.sleep(every)
            if not used:
                continue
            admitted += used
            event = {
                "specversion": "1.0",
                "id": f"{naive.customer}-{place}-{admitted}",
                "source": "/bench",
                "type": naive.event,
                "subject": naive.customer,
                "data": {"quantity": used},
            }
            remote.call("POST", "/v1/events", event)
    sys.stdout.write(str(admitted))


if __name__ == "__main__":
    live()
