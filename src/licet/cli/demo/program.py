"""One program of the demo: a real process with a client of its own that uses something up until there is no more.

``python -m licet.cli.demo.program FOLDER TALLY CUSTOMER FEATURE``; where the server is, and the key, come as one line
on its standard input. It writes down what it was allowed after each answer, so that a kill loses at most one.
"""

import mmap
import struct
import sys
import time
from bisect import insort
from pathlib import Path
from typing import Final

from licet.sdk.client import Client
from licet.sdk.errors import LicetError

PAUSE_SECONDS: Final = 0.0008
"""Between two uses: a program does something else, too, and people should be able to watch."""
REFUSALS: Final = 4
"""So many refusals, a moment apart, mean that there is no more: others may give something back."""
MOST_SECONDS: Final = 20.0
TALLY: Final = struct.Struct("<QQQ")
"""Allowed; of those decided in the process; nanoseconds that half of these took at most."""


def run(licet: Client, tally: Path, customer: str, feature: str) -> None:
    """Use one after the other until it is refused for good, counting on from what ``tally`` holds."""
    with tally.open("r+b") as file, mmap.mmap(file.fileno(), TALLY.size) as held:
        allowed, local, _ = TALLY.unpack(held[:])
        times: list[int] = []
        ends, refused = time.monotonic() + MOST_SECONDS, 0
        while refused < REFUSALS and time.monotonic() < ends:
            began = time.perf_counter_ns()
            usage = licet.consume(customer, feature)
            took = time.perf_counter_ns() - began
            if not usage:
                refused += 1
                time.sleep(0.15)
                continue
            refused, allowed = 0, allowed + 1
            if usage.decided == "local":
                local += 1
                insort(times, took)
            held[:] = TALLY.pack(allowed, local, times[len(times) // 2] if times else 0)
            time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Run as the command line says; exits with 1 and a line where the server does not answer."""
    folder, tally, customer, feature = sys.argv[1:]
    url, key = sys.stdin.readline().split()
    try:
        with Client(url, key, cache=Path(folder)) as licet:
            licet.wait_ready(timeout=10)
            run(licet, Path(tally), customer, feature)
    except LicetError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
