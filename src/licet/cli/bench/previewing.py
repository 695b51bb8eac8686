"""Bench ``preview``: how many live customers a second a catalog is judged on, over HTTP, and what memory that takes."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from typing import Any, Final, NamedTuple

from licet.cli.bench.machine import Machine, cpu_seconds
from licet.cli.bench.result import Result, report
from licet.cli.bench.worlds import fill, release_example
from licet.cli.companion import Companion
from licet.cli.demo.stage import WORKSPACE, stricter_catalog
from licet.cli.failure import Failure
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.output import Output
from licet.cli.releasing import PREVIEWS
from licet.cli.remote import Remote
from licet.settings import Settings

CUSTOMERS: Final = 100_000
ROUNDS: Final = 3
PAGE: Final = 200
BETWEEN_SECONDS: Final = 0.02
"""Pause between two checks while a preview is under way."""
JSON: Final = "application/json"
THROUGH: Final = "POST /v1/catalog/previews, from the first byte sent to the last line of the answer"


class Round(NamedTuple):
    """One preview: seconds of real time, and of the server's processor."""

    seconds: float
    cpu: float | None


def bench_preview(out: Output, *, customers: int = CUSTOMERS, turns: int = ROUNDS) -> None:
    """Make so many customers in a database of their own, preview a policy on them in ``turns`` rounds and report."""
    machine = Machine()
    sweep(BENCH)
    settings = fresh_settings(BENCH)
    server = Companion(settings)
    try:
        url = server.start()
        key = server.home.keys()[WORKSPACE]
        with Remote(url, key) as remote:
            release_example(remote)
        asyncio.run(_fill(settings, customers))
        with Remote(url, key) as remote:
            memory = _Memory(server.pid)
            view = _preview(remote)
            rounds = [_round(remote, server.pid) for _ in range(turns)]
            mib = memory.grown()
            waits = _checked_meanwhile(remote, url, key)
        read = [asyncio.run(_read(settings, customers)) for _ in range(turns)]
        measured = machine.document(server.home.home)
    finally:
        server.stop()
        clear(server.home.home)
    notes = [
        f"{customers:,} customers on five versions of plans; a new policy, by which {view['summary']['losing']:,} lose",
        "baseline: reading and decoding the same terms in the same pages, without judging",
        "mib: what the server grew by at most, from before the first preview to the end of the last",
        f"checks over HTTP meanwhile: p50 {waits[49]:.1f} ms, p99 {waits[98]:.1f} ms",
    ]
    report(out, "preview", measured, _results(customers, rounds, read, mib), through=THROUGH, notes=notes)


async def _fill(settings: Settings, customers: int) -> None:
    from licet.wiring import open_storage

    async with open_storage(settings) as storage:
        await fill(storage, WORKSPACE, customers)


async def _read(settings: Settings, customers: int) -> float:
    """Return how many customers a second are read and decoded from one consistent state."""
    from licet.services.rows import Page
    from licet.wiring import open_storage

    async with open_storage(settings) as storage, storage.read(WORKSPACE) as view:
        began, after = time.perf_counter(), ""
        while page := await view.terms_page(Page(after=after, limit=PAGE)):
            after = page[-1].terms.customer
        return customers / (time.perf_counter() - began)


def _round(remote: Remote, pid: int) -> Round:
    cpu = cpu_seconds(pid)
    began = time.perf_counter()
    _preview(remote)
    spent = time.perf_counter() - began
    after = cpu_seconds(pid)
    return Round(spent, None if cpu is None or after is None else after - cpu)


def _preview(remote: Remote) -> Any:
    """Return a finished preview."""
    for line in remote.lines("POST", PREVIEWS, stricter_catalog(), media_type=JSON):
        if "preview" in line:
            return line["preview"]
    raise Failure("a preview ended without a result", code="unfinished")


def _checked_meanwhile(remote: Remote, url: str, key: str) -> list[float]:
    """Return percentiles, in ms, of checks that are asked while a preview is under way."""
    over, waits = Event(), []

    def check() -> None:
        with Remote(url, key) as asking:
            for customer in _names():
                began = time.perf_counter()
                asking.call("POST", "/v1/check", {"customer": customer, "feature": "sso"}, asking=True)
                waits.append((time.perf_counter() - began) * 1000)
                if over.wait(BETWEEN_SECONDS):
                    return

    thread = Thread(target=check)
    thread.start()
    try:
        _preview(remote)
    finally:
        over.set()
        thread.join()
    return quantiles([waits[0], *waits], n=100, method="inclusive")


def _names() -> Iterator[str]:
    while True:
        yield from (f"customer-{number}" for number in range(100))


class _Memory:
    """What a process takes beyond what it had, at its largest since this was made."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._before = self._kib("VmRSS")
        try:
            # 5 resets the peak of the resident size (proc(5)).
            (self._proc / "clear_refs").write_text("5")
        except OSError:
            self._before = None

    def grown(self) -> float | None:
        """Return MiB; None where the system does not tell."""
        peak = self._kib("VmHWM")
        return None if peak is None or self._before is None else max(0.0, (peak - self._before) / 1024)

    def _kib(self, name: str) -> int | None:
        try:
            found = re.search(rf"^{name}:\s+(\d+) kB", (self._proc / "status").read_text(), re.MULTILINE)
        except OSError:
            return None
        return int(found[1]) if found else None


def _results(customers: int, rounds: list[Round], read: list[float], mib: float | None) -> list[Result]:
    speeds = [customers / one.seconds for one in rounds]
    used = [one.cpu for one in rounds if one.cpu is not None]
    return [
        Result(
            name="customers_per_s",
            value=round(median(speeds), 1),
            unit="1/s",
            baseline=round(median(read), 1),
            spread=(round(min(speeds), 1), round(max(speeds), 1)),
            cpu_us=round(median(used) / customers * 1e6, 1) if used else None,
        ),
        Result(
            name="mib",
            value=None if mib is None else round(mib, 1),
            unit="MiB",
            note="this system does not tell the largest size of a process" if mib is None else None,
        ),
    ]
