"""Bench ``propagation``: from a commit to the changed decision in other processes, while others write too."""

import asyncio
import random
import time
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

from msgspec import Struct, structs

from licet.cli.bench.machine import Machine, cpu_seconds
from licet.cli.bench.result import Result, report
from licet.cli.bench.timing import percentile
from licet.cli.bench.watcher import READY_SECONDS, Server, Watched, Watcher
from licet.cli.bench.worlds import BENCH_ACTOR, fill, release_example, terms_of
from licet.cli.companion import Companion
from licet.cli.demo.stage import WORKSPACE
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.output import Output
from licet.cli.remote import Remote
from licet.core.instant import to_datetime
from licet.core.terms import Override, Terms
from licet.services.rows import Draft
from licet.settings import Settings
from licet.store.postgres import PostgresStorage

CUSTOMERS: Final = 100_000
PROCESSES: Final = 8
ROUNDS: Final = 3
CHANGES: Final = 100
"""Measured changes of one round."""
WARM_UP: Final = 5
BETWEEN_SECONDS: Final = (0.1, 0.3)
"""Pause between two measured changes, at random, so that no rhythm of anybody's is met."""
LOAD_PER_SECOND: Final = 100
"""Other changes meanwhile, of customers at random."""
PATIENCE_SECONDS: Final = 20.0
FIRST_AMOUNT: Final = 100_000
"""Of what the measured customer may use; each change is one more."""
PROBE: Final = 0
FEATURE: Final = "projects"
GOAL_MS: Final = 100.0
THROUGH: Final = "commit → NOTIFY → server → feed (stream) → Client.check(customer, feature).limit.amount"


class Change(Struct, frozen=True):
    """When a change began to be written and committed, when a listener heard of it, and each process answered with it.

    Monotonic nanoseconds.
    """

    committing: int
    heard: int | None
    answered: tuple[int, ...]


class Load(Struct, frozen=True, kw_only=True):
    """How much is written, and how often is measured."""

    customers: int = CUSTOMERS
    processes: int = PROCESSES
    turns: int = ROUNDS
    changes: int = CHANGES
    per_second: int = LOAD_PER_SECOND


def bench_propagation(out: Output, *, load: Load | None = None) -> None:
    """Measure on a server and a durable database of its own, and report."""
    machine = Machine()
    load = Load() if load is None else load
    sweep(BENCH)
    settings = fresh_settings(BENCH)
    server = Companion(settings)
    try:
        url = server.start()
        key = server.home.keys()[WORKSPACE]
        with Remote(url, key) as remote:
            release_example(remote)
        with ExitStack() as stack:
            rounds, cpu_us = asyncio.run(_measure(settings, load, server.pid, Server(url, key), stack))
        measured = machine.document(server.home.home)
    finally:
        server.stop()
        clear(server.home.home)
    notes = [
        f"{load.processes} processes with the SDK, {load.customers:,} customers, {load.turns * load.changes} measured "
        f"changes beside {load.per_second} others a second; each process looks every 0.5 ms",
        "from before the rows are written and committed, at the database and not by the server; the spread is that "
        f"of {load.turns} rounds",
        "baseline: NOTIFY → LISTEN of the same commits in the writing process; cpu: of the server's process alone, "
        "per measured change, the others included",
    ]
    report(out, "propagation", measured, _results(rounds, cpu_us), through=THROUGH, notes=notes)


async def _measure(
    settings: Settings, load: Load, server: int, where: Server, stack: ExitStack
) -> tuple[list[list[Change]], float | None]:
    """Return the changes of each round, and the server's processor time per change."""
    from licet.wiring import open_storage

    async with open_storage(settings) as storage:
        await fill(storage, WORKSPACE, load.customers)
        await _change(storage, PROBE, FIRST_AMOUNT - 1)
        watchers = [stack.enter_context(Watcher(where)) for _ in range(load.processes)]
        watched = Watched(f"customer-{PROBE}", FEATURE)
        await asyncio.gather(*(asyncio.to_thread(one.watch, watched, READY_SECONDS) for one in watchers))
        writer = Writer(storage, watchers)
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(writer.listen()), tasks.create_task(writer.disturb(load))]
            for _ in range(WARM_UP):
                await writer.change()
            before = cpu_seconds(server)
            rounds = [[await writer.change() for _ in range(load.changes)] for _ in range(load.turns)]
            after = cpu_seconds(server)
            for task in others:
                task.cancel()
    used = None if before is None or after is None else (after - before) / (load.turns * load.changes) * 1e6
    return rounds, None if used is None else round(used, 1)


class Writer:
    """Changes one customer and sees when whoever follows knows."""

    def __init__(self, storage: PostgresStorage, watchers: list[Watcher]) -> None:
        self._storage = storage
        self._watchers = watchers
        self._rng = random.Random(20260104)  # noqa: S311 - when and about whom is no secret
        self._amount = FIRST_AMOUNT
        self._heard: dict[int, int] = {}

    async def change(self) -> Change:
        """Change the measured customer once and wait until every process has answered with it."""
        await asyncio.sleep(self._rng.uniform(*BETWEEN_SECONDS))
        amount, self._amount = self._amount, self._amount + 1
        known = [len(watcher.seen) for watcher in self._watchers]
        committing, seq = await _change(self._storage, PROBE, amount)
        seen = await asyncio.gather(
            *(
                asyncio.to_thread(watcher.wait, lambda seen: seen.amount == amount, after, PATIENCE_SECONDS)
                for watcher, after in zip(self._watchers, known, strict=True)
            )
        )
        heard = min((at for told, at in self._heard.items() if told >= seq), default=None)
        return Change(committing, heard, tuple(one.at for one in seen))

    async def listen(self) -> None:
        """Note when each sequence is heard of."""
        async for workspace, seq in self._storage.watch():
            if workspace == WORKSPACE:
                self._heard.setdefault(seq, time.monotonic_ns())

    async def disturb(self, load: Load) -> None:
        """Change others, so many a second."""
        began, done = time.monotonic(), 0
        while True:
            done += 1
            await _change(self._storage, self._rng.randrange(1, load.customers), 10 + done % 90)
            await asyncio.sleep(max(0.0, began + done / load.per_second - time.monotonic()))


async def _change(storage: PostgresStorage, number: int, amount: int) -> tuple[int, int]:
    """Let a customer have another amount; return when that began to be committed, and its sequence."""
    async with storage.write(WORKSPACE, BENCH_ACTOR) as tx:
        terms = _with_amount(terms_of(number, tx.time.business), amount, tx.time.business)
        await tx.lock_customer(terms.customer)
        revision = await tx.put_terms(terms.customer, terms)
        await tx.record(Draft(type="override.added", subject=f"customer/{terms.customer}", revision=revision))
        committing = time.monotonic_ns()
    return committing, tx.committed_seq


def _with_amount(terms: Terms, amount: int, now: int) -> Terms:
    override = Override(
        id="ovr_bench", feature=FEATURE, amount=amount, starts_at=to_datetime(now) - timedelta(minutes=1)
    )
    return structs.replace(terms, overrides=(override,))


def _results(rounds: list[list[Change]], cpu_us: float | None) -> list[Result]:
    each = [[(at - one.committing) / 1e6 for one in turn for at in one.answered] for turn in rounds]
    everything = [ms for turn in each for ms in turn]
    heard = [(one.heard - one.committing) / 1e6 for turn in rounds for one in turn if one.heard is not None]
    found = []
    for name, place in (("p50", 50), ("p99", 99)):
        values = [percentile(turn, place) for turn in each]
        found.append(
            Result(
                name=name,
                value=percentile(everything, place),
                unit="ms",
                baseline=percentile(heard, place) if len(heard) > 1 else None,
                spread=(min(values), max(values)),
                cpu_us=cpu_us,
                goal=GOAL_MS if name == "p99" else None,
            )
        )
    return found
