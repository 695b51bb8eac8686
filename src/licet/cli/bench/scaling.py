"""Bench ``scale``: what a million customers in one process cost, in memory and in the time of a check."""

import gc
import random
import time
from collections.abc import Callable, Hashable
from statistics import median
from typing import Final

from licet.cli.bench.feeding import rows_of
from licet.cli.bench.machine import Machine, resident_mib
from licet.cli.bench.result import Result, report
from licet.cli.bench.timing import BATCHES, CALLS, Timing, anybody, each, look_ups, time_calls
from licet.cli.bench.worlds import question_of, workplace
from licet.cli.demo.stage import catalog_path
from licet.cli.output import Output
from licet.core.instant import Instant
from licet.evaluator.truth import LocalTruth
from licet.wire.catalog_text import read_catalog
from licet.wire.feed import Cursor

FEW: Final = 1_000
MANY: Final = 1_000_000
ROUNDS: Final = 9
GOALS: Final = {"slowdown_1m": 1.3, "mib_per_1m": 500.0}
THROUGH: Final = "LocalTruth.check(customer, feature, now) with random customers, time.time_ns() read for each call"


class Held:
    """So many customers in memory, each asked about one feature; and what that took."""

    def __init__(self, customers: int) -> None:
        now = time.time_ns() // 1000
        gc.collect()
        before = resident_mib()
        self.truth, self.document_bytes = _truth(customers, now)
        gc.collect()
        stored = resident_mib()
        began = time.perf_counter()
        for number in range(customers):
            self.truth.check(*question_of(number), now)
        self.first_us = (time.perf_counter() - began) / customers * 1e6
        gc.collect()
        asked = resident_mib()
        self.stored_mib = None if before is None or stored is None else stored - before
        self.ready_mib = None if stored is None or asked is None else asked - stored
        self.customers = customers
        self.table: dict[Hashable, object] = dict.fromkeys(map(question_of, range(customers)))

    def ask(self) -> Callable[[str, str], object]:
        """Return what asks one question now."""
        check, clock = self.truth.check, time.time_ns
        return lambda customer, feature: check(customer, feature, clock() // 1000)


def bench_scale(out: Output, *, turns: int = ROUNDS, few: int = FEW, many: int = MANY) -> None:
    """Measure with ``few`` and with ``many`` customers, in ``turns`` rounds each, interleaved, and report."""
    machine = Machine()
    rng = random.Random(20260103)  # noqa: S311 - which customer is asked about is no secret
    large, small = Held(many), Held(few)
    rounds: dict[str, list[Timing]] = {}
    for _ in range(turns):
        for name, held in (("large", large), ("small", small)):
            pairs = anybody(rng, held.customers)
            rounds.setdefault(name, []).append(time_calls(each(held.ask()), pairs))
            rounds.setdefault(f"{name} dict", []).append(time_calls(look_ups(held.table), pairs))
    notes = [
        f"p50 of {BATCHES} batches of {CALLS} calls; {turns} runs; {many:,} customers beside {few:,}",
        _slower_note(rounds),
        f"the first check of a customer, which prepares its answer: {large.first_us:.3g} µs",
        _memory_note(large, many),
    ]
    results = [_slowdown(rounds), _memory(large, many)]
    report(out, "scale", machine.document(workplace()), results, through=THROUGH, notes=notes)


def _truth(customers: int, now: Instant) -> tuple[LocalTruth, int]:
    """Return a truth with so many customers, and how many bytes their documents have."""
    truth, size = LocalTruth(), 0
    truth.begin("full")
    truth.release(read_catalog(catalog_path().read_bytes()), 1, "UTC")
    for row in rows_of(customers, now):
        doc = bytes(row.doc)
        size += len(doc)
        truth.put_terms(row.customer, row.revision, row.seq, doc)
    truth.commit(Cursor(1, customers + 2))
    return truth, size


def _slower_note(rounds: dict[str, list[Timing]]) -> str:
    """Return how much of the slowdown is that of memory: a dict alone has it too, in the same rounds."""
    check, few = _wall(rounds["large"]), _wall(rounds["small"])
    look_up, look_up_few = _wall(rounds["large dict"]), _wall(rounds["small dict"])
    slower, dict_slower = check / few, look_up / look_up_few
    return (
        f"check: {check:.3g} µs beside {few:.3g} µs, {check - few:.3g} µs more; a dict alone: {look_up:.3g} µs beside "
        f"{look_up_few:.3g} µs, {look_up - look_up_few:.3g} µs more; a check slows {slower / dict_slower:.2g} times as "
        "much as a dict"
    )


def _wall(timings: list[Timing]) -> float:
    return median(timing.wall for timing in timings)


def _slowdown(rounds: dict[str, list[Timing]]) -> Result:
    pairs = [*zip(rounds["large"], rounds["small"], strict=True)]
    ratios = [large.wall / small.wall for large, small in pairs]
    return Result(
        name="slowdown_1m",
        value=round(_wall(rounds["large"]) / _wall(rounds["small"]), 3),
        unit="×",
        baseline=round(_wall(rounds["large dict"]) / _wall(rounds["small dict"]), 3),
        spread=(round(min(ratios), 3), round(max(ratios), 3)),
        cpu_us=round(median(timing.cpu for timing in rounds["large"]), 3),
        goal=GOALS["slowdown_1m"],
    )


def _memory(held: Held, customers: int) -> Result:
    """Return what a million customers take, answers of one feature each included; beside their documents as JSON."""
    taken = None if held.stored_mib is None or held.ready_mib is None else held.stored_mib + held.ready_mib
    return Result(
        name="mib_per_1m",
        value=None if taken is None else round(taken / customers * MANY, 1),
        unit="MiB",
        baseline=round(held.document_bytes / customers * MANY / 2**20, 1),
        goal=GOALS["mib_per_1m"],
        note=None if taken is not None else "this system does not tell the size of a process",
    )


def _memory_note(held: Held, customers: int) -> str:
    if held.stored_mib is None or held.ready_mib is None:
        return "memory could not be measured"
    stored, ready = (part / customers * MANY for part in (held.stored_mib, held.ready_mib))
    return (
        f"memory of 1,000,000: {stored:,.0f} MiB hold the customers, {ready:,.0f} MiB the prepared answers, one of "
        "each; baseline: the documents as JSON"
    )
