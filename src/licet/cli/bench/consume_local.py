"""Bench ``consume_local``: uses that one process decides by itself, of quota that it owns, and what owning costs."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from licet.cli.bench.machine import Machine
from licet.cli.bench.result import Result, report
from licet.cli.bench.stranding import Stranding, strand
from licet.cli.bench.timing import percentile
from licet.cli.bench.usage_place import FEATURE, ONE, Place, name_of, usage_place
from licet.cli.failure import Failure
from licet.cli.output import Output
from licet.sdk.async_client import AsyncClient
from licet.sdk.client import Client

ROUNDS: Final = 5
SECONDS: Final = 2.0
NEW: Final = 60
"""Customers of one round of whom nothing is owned yet."""
CALLS: Final = 500
"""Calls between two readings of the clock."""
READY_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 10.0
GOAL_PER_S: Final = 300_000.0
GOAL_STRANDED: Final = 1.0
THROUGH: Final = "Client.consume(customer, feature) of `decide: local` in one thread of one process"
CUSTOMER: Final = name_of(ONE)


class Turn(Struct, frozen=True):
    """One round of one way: uses a second, microseconds of each by the clock (p50 of batches) and of processor."""

    per_s: float
    wall_us: float
    cpu_us: float
    taken: int
    seconds: float


class Dose(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    turns: int = ROUNDS
    seconds: float = SECONDS
    new: int = NEW
    stranding: Stranding = Stranding()


class Measured(Struct, kw_only=True):
    """What came of all rounds."""

    disk: list[Turn] = []
    memory: list[Turn] = []
    loop: list[Turn] = []
    plain: list[Turn] = []
    http: list[float] = []
    """Milliseconds of each use over HTTP."""
    first: list[list[float]] = []
    """Milliseconds of each first use of a customer, of each round."""
    first_http: list[float] = []
    """The same of others, where the server decides."""
    refills: list[float] = []
    """Slices a second of each round with a disk."""
    hub_decided: int = 0
    waited: float | None = None
    """Seconds, the client's own p99 from a need to its slice."""
    stranded: list[float] = []
    """Percent of the limit."""


def bench_consume_local(out: Output, *, dose: Dose | None = None) -> None:
    """Measure on a server of its own and report; raises Failure where the balance differs from what was let in."""
    machine, dose = Machine(), dose or Dose()
    found = Measured()
    with usage_place(2 * (dose.turns + 1) * dose.new, None, dose.stranding.catalog()) as place:
        taken = _rounds(place, dose, found)
        used = place.used([ONE])
        if used != taken:
            raise Failure(f"{taken} uses were let in and {used} are on the balance", code="wrong")
        found.stranded = strand(place, dose.stranding)
        measured = machine.document(place.home)
        postgresql = place.postgresql
    notes = _notes(found, dose, postgresql)
    report(out, "consume_local", measured, _results(found), through=THROUGH, notes=notes)


def _rounds(place: Place, dose: Dose, found: Measured) -> int:
    """Measure every way in turn; return how many units the one customer was let in."""
    folder = place.home / "clients"
    taken = 0
    with (
        _client(place, folder / "disk") as disk,
        _client(place, None) as memory,
        _client(place, None, local=False) as http,
    ):
        for turn in range(dose.turns + 1):
            seconds = dose.seconds if turn else dose.seconds / 2
            slices = disk.quota.slices
            turns = [
                _warm(disk, seconds),
                _warm(memory, seconds),
                asyncio.run(_in_loop(place, folder / "loop", seconds)),
            ]
            refills = (disk.quota.slices - slices) / turns[0].seconds
            plain, waits = _plain(seconds / 2), _over_http(http, seconds / 4)
            fresh = range(2 * turn * dose.new, 2 * (turn + 1) * dose.new)
            first, first_http = _first_uses(disk, fresh[: dose.new]), _first_uses(http, fresh[dose.new :])
            taken += sum(one.taken for one in turns) + len(waits)
            if turn:
                for kept, one in zip((found.disk, found.memory, found.loop), turns, strict=True):
                    kept.append(one)
                found.plain.append(plain)
                found.http += waits
                found.first.append(first)
                found.first_http += first_http
                found.refills.append(refills)
        found.hub_decided = disk.quota.hub_decided + memory.quota.hub_decided
        found.waited = disk.quota.refill_p99
    return taken


def _client(place: Place, folder: Path | None, *, local: bool = True) -> Client:
    client = Client(
        place.url,
        place.key,
        cache=folder or False,
        telemetry=False,
        start_timeout=READY_SECONDS,
        close_timeout=CLOSE_SECONDS,
        local=local,
    )
    client.wait_ready(READY_SECONDS)
    return client


def _warm(client: Client, seconds: float) -> Turn:
    """Use for a while, until slices are as large as the pace wants them; then measure."""
    before = _spend(client, seconds / 2)
    turn = _spend(client, seconds)
    return Turn(turn.per_s, turn.wall_us, turn.cpu_us, before.taken + turn.taken, turn.seconds)


def _spend(client: Client, seconds: float) -> Turn:
    consume, customer, feature, calls = client.consume, CUSTOMER, FEATURE, range(CALLS)
    refused = 0

    def batch() -> None:
        nonlocal refused
        for _ in calls:
            if not consume(customer, feature):
                refused += 1

    turn = _timed(batch, seconds)
    if refused:
        raise Failure(f"{refused} of {turn.taken} uses were refused, where there is no near limit", code="wrong")
    return turn


def _plain(seconds: float) -> Turn:
    """What nothing that counts can be faster than: a number in a dict that is compared and made smaller."""
    pair, calls = (CUSTOMER, FEATURE), range(CALLS)
    left = {pair: 10**12}

    def batch() -> None:
        for _ in calls:
            if left[pair] >= 1:
                left[pair] -= 1

    return _timed(batch, seconds)


def _timed(batch: Callable[[], None], seconds: float) -> Turn:
    clock, walls = time.perf_counter, list[float]()
    cpu, began = time.process_time(), clock()
    at, ends = began, began + seconds
    while at < ends:
        batch()
        now = clock()
        walls.append(now - at)
        at = now
    return _turn(walls, at - began, time.process_time() - cpu)


def _turn(walls: list[float], passed: float, cpu: float) -> Turn:
    taken = len(walls) * CALLS
    return Turn(taken / passed, median(walls) / CALLS * 1e6, cpu / taken * 1e6, taken, passed)


async def _in_loop(place: Place, folder: Path, seconds: float) -> Turn:
    async with AsyncClient(
        place.url,
        place.key,
        cache=folder,
        telemetry=False,
        start_timeout=READY_SECONDS,
        close_timeout=CLOSE_SECONDS,
    ) as client:
        await client.wait_ready(READY_SECONDS)
        before = await _spend_in_loop(client, seconds / 2)
        turn = await _spend_in_loop(client, seconds)
    return Turn(turn.per_s, turn.wall_us, turn.cpu_us, before.taken + turn.taken, turn.seconds)


async def _spend_in_loop(client: AsyncClient, seconds: float) -> Turn:
    consume, customer, feature = client.consume, CUSTOMER, FEATURE
    clock, walls, refused = time.perf_counter, list[float](), 0
    cpu, began = time.process_time(), clock()
    at, ends = began, began + seconds
    while at < ends:
        for _ in range(CALLS):
            if not await consume(customer, feature):
                refused += 1
        now = clock()
        walls.append(now - at)
        at = now
    if refused:
        raise Failure(f"{refused} uses were refused, where there is no near limit", code="wrong")
    return _turn(walls, at - began, time.process_time() - cpu)


def _over_http(client: Client, seconds: float) -> list[float]:
    """Return the milliseconds of each use that the server decides, one after the other."""
    waits, ends = list[float](), time.perf_counter() + seconds
    while (at := time.perf_counter()) < ends:
        client.consume(CUSTOMER, FEATURE).require()
        waits.append((time.perf_counter() - at) * 1000)
    return waits


def _first_uses(client: Client, customers: range) -> list[float]:
    """Return the milliseconds of the first use of each of these customers: nothing of them is owned yet."""
    waits = []
    for number in customers:
        customer = name_of(number)
        at = time.perf_counter()
        client.consume(customer, FEATURE).require()
        waits.append((time.perf_counter() - at) * 1000)
    return waits


def _results(found: Measured) -> list[Result]:
    http = percentile(found.first_http, 99)
    plain = median(one.per_s for one in found.plain)
    firsts = [percentile(one, 99) for one in found.first]
    speeds = [
        _speed(name, turns, plain)
        for name, turns in (("per_s", found.disk), ("memory_per_s", found.memory), ("async_per_s", found.loop))
    ]
    walls = [round(one.wall_us, 3) for one in found.disk]
    return [
        *speeds,
        Result(
            name="decision",
            value=median(walls),
            unit="µs",
            baseline=round(median(found.http) * 1000, 1),
            spread=(min(walls), max(walls)),
            cpu_us=speeds[0].cpu_us,
        ),
        Result(
            name="new_slice_p99",
            value=percentile([one for turn in found.first for one in turn], 99),
            unit="ms",
            baseline=http,
            spread=(min(firsts), max(firsts)),
        ),
        Result(
            name="refills_per_s",
            value=round(median(found.refills), 2),
            unit="1/s",
            spread=(round(min(found.refills), 2), round(max(found.refills), 2)),
        ),
        Result(
            name="stranded",
            value=median(found.stranded),
            unit="%",
            spread=(min(found.stranded), max(found.stranded)),
            goal=GOAL_STRANDED,
        ),
    ]


def _speed(name: str, turns: list[Turn], plain: float) -> Result:
    speeds = [round(one.per_s) for one in turns]
    return Result(
        name=name,
        value=median(speeds),
        unit="1/s",
        baseline=round(plain),
        spread=(min(speeds), max(speeds)),
        cpu_us=round(median(one.cpu_us for one in turns), 3),
        goal=GOAL_PER_S if name == "per_s" else None,
        at_least=True,
    )


def _notes(found: Measured, dose: Dose, postgresql: str) -> list[str]:
    every = [one for turn in found.first for one in turn]
    waited = "" if found.waited is None else f", from a need to its slice {found.waited * 1000:.1f} ms (p99)"
    stranding = dose.stranding
    return [
        f"{postgresql}; {dose.turns} rounds of {dose.seconds:g} s each way, interleaved, after half as long to warm "
        "up; the server and its database on the same machine",
        "baseline of the speeds: a number in a dict, compared and made smaller; of the others: the same client while "
        f"the server decides, {len(found.http):,} uses of one customer one after the other (p50), and first uses of "
        f"{len(found.first_http)} (p99)",
        f"a decision that needs a new slice: {median(every):.2f} ms (p50) of {len(every)}{waited}; "
        f"{found.hub_decided} uses were decided by the server all the same",
        f"stranded: owned and not used by {stranding.processes} processes while {stranding.low} to {stranding.high} % "
        f"of a limit of {stranding.limit:,} are used, {stranding.per_second:,.0f} a second; the mean of samples, median"
        f" of {stranding.turns} runs",
    ]
