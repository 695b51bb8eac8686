"""Bench ``check``: how long one decision takes in process, clock read included, beside a bare dict look-up."""

import gc
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from licet.cli.bench.machine import Machine
from licet.cli.bench.result import Result, report
from licet.cli.bench.worlds import FEATURES, terms_of, workplace
from licet.cli.demo.stage import catalog_path
from licet.cli.output import Output
from licet.core.compiled import compile_catalog
from licet.core.snapshot import Truth
from licet.wire.catalog_text import read_catalog

ROUNDS: Final = 9
BATCHES: Final = 60
CALLS: Final = 500
MANY: Final = 100_000
ONE_SWITCH: Final = ("customer-1", "sso")
ONE_METERED: Final = ("customer-1", "api_calls")
GOALS: Final = {"on_off": 0.6, "metered": 1.5, "random_100k": 2.5}
THROUGH: Final = "core: Truth.check(customer, feature, now) with time.time_ns() read for each call"

Pair = tuple[str, str]
Table = dict[Pair, object]
Calls = Callable[[int], None]
"""Makes ``CALLS`` calls; the argument is the number of the batch."""


class Timing(NamedTuple):
    """Microseconds per call: the median over batches of wall time, and of processor time over the whole round."""

    wall: float
    cpu: float


def bench_check(out: Output, *, turns: int = ROUNDS, many: int = MANY) -> None:
    """Measure and report; ``many`` customers are known, and each subject is measured in ``turns`` rounds."""
    machine = Machine()
    rng = random.Random(20260101)  # noqa: S311 - which customer is asked about is no secret
    now = time.time_ns() // 1000
    catalog = compile_catalog(read_catalog(catalog_path().read_bytes()), 1, ZoneInfo, ZoneInfo("UTC"))
    truth = Truth(catalog, (terms_of(number, now) for number in range(many)))
    asked = [(f"customer-{number}", rng.choice(FEATURES)) for number in range(many)]
    for customer, feature in asked:
        truth.check(customer, feature, now)
    gc.collect()
    table: Table = dict.fromkeys([*asked, ONE_SWITCH, ONE_METERED])
    rounds: dict[str, list[Timing]] = {}
    peer = _open_feature()
    for _ in range(turns):
        pairs = rng.choices(asked, k=BATCHES * CALLS)
        for name, calls in (_subjects(truth, table, pairs) | peer).items():
            rounds.setdefault(name, []).append(_time(calls))
    results = [_result(name, rounds) for name in GOALS]
    notes = [
        f"p50 of {BATCHES} batches of {CALLS} calls; median and spread of {turns} runs, interleaved with baselines",
        "not through the public Client, which does not exist yet",
        _peer_note(rounds.get("openfeature")),
    ]
    report(out, "check", machine.document(workplace()), results, through=THROUGH, notes=notes)


def _open_feature() -> dict[str, Calls]:
    """The peer, where it is installed: one boolean flag asked of OpenFeature's client over its in-memory provider."""
    try:
        from openfeature import api
        from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
    except ModuleNotFoundError:
        return {}
    api.set_provider(InMemoryProvider({"sso": InMemoryFlag("on", {"on": True, "off": False})}))
    client = api.get_client()

    def calls(_: int) -> None:
        ask = client.get_boolean_value
        for _call in range(CALLS):
            ask("sso", False)

    return {"openfeature": calls}


def _peer_note(timings: list[Timing] | None) -> str:
    if timings is None:
        return "the OpenFeature in-memory client is not installed here (make setup), so it was not measured"
    walls = [timing.wall for timing in timings]
    spread = f"{min(walls):.3g} to {max(walls):.3g}"
    return f"OpenFeature's in-memory client in the same run: {median(walls):.3g} µs a boolean flag ({spread})"


def _subjects(truth: Truth, table: Table, pairs: list[Pair]) -> dict[str, Calls]:
    return {
        "on_off": _same(truth, *ONE_SWITCH),
        "on_off dict": _same_look_up(table, ONE_SWITCH),
        "metered": _metered(truth, *ONE_METERED),
        "metered dict": _same_look_up(table, ONE_METERED),
        "random_100k": _random(truth, pairs),
        "random_100k dict": _random_look_up(table, pairs),
    }


def _same(truth: Truth, customer: str, feature: str) -> Calls:
    def calls(_: int) -> None:
        check, clock = truth.check, time.time_ns
        for _call in range(CALLS):
            check(customer, feature, clock() // 1000)

    return calls


def _metered(truth: Truth, customer: str, feature: str) -> Calls:
    def calls(_: int) -> None:
        check, clock = truth.check, time.time_ns
        for used in range(CALLS):
            check(customer, feature, clock() // 1000, used=used)

    return calls


def _random(truth: Truth, pairs: list[Pair]) -> Calls:
    def calls(batch: int) -> None:
        check, clock = truth.check, time.time_ns
        for customer, feature in pairs[batch * CALLS : (batch + 1) * CALLS]:
            check(customer, feature, clock() // 1000)

    return calls


def _same_look_up(table: Table, pair: Pair) -> Calls:
    def calls(_: int) -> None:
        get = table.get
        for _call in range(CALLS):
            get(pair)

    return calls


def _random_look_up(table: Table, pairs: list[Pair]) -> Calls:
    def calls(batch: int) -> None:
        get = table.get
        for pair in pairs[batch * CALLS : (batch + 1) * CALLS]:
            get(pair)

    return calls


def _time(calls: Calls) -> Timing:
    walls: list[float] = []
    cpu = time.process_time_ns()
    for batch in range(BATCHES):
        began = time.perf_counter_ns()
        calls(batch)
        walls.append((time.perf_counter_ns() - began) / CALLS / 1000)
    return Timing(median(walls), (time.process_time_ns() - cpu) / BATCHES / CALLS / 1000)


def _result(name: str, rounds: dict[str, list[Timing]]) -> Result:
    walls = [timing.wall for timing in rounds[name]]
    return Result(
        name=name,
        value=round(median(walls), 3),
        unit="µs",
        baseline=round(median(timing.wall for timing in rounds[f"{name} dict"]), 3),
        spread=(round(min(walls), 3), round(max(walls), 3)),
        cpu_us=round(median(timing.cpu for timing in rounds[name]), 3),
        goal=GOALS[name],
    )
