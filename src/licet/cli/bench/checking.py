"""Bench ``check``: how long one decision takes in process, through the public Client, beside a bare dict look-up."""

import gc
import random
from collections.abc import Callable, Hashable
from statistics import median
from typing import Final

from licet.cli.bench.feeding import KEY, LocalFeed
from licet.cli.bench.machine import Machine
from licet.cli.bench.result import Result, report
from licet.cli.bench.timing import BATCHES, CALLS, Pairs, Timing, always, anybody, each, look_ups, time_calls
from licet.cli.bench.worlds import question_of, workplace
from licet.cli.output import Output
from licet.sdk.client import Client

ROUNDS: Final = 9
MANY: Final = 100_000
START_SECONDS: Final = 240.0
ONE_SWITCH: Final = ("customer-1", "sso")
ONE_METERED: Final = ("customer-1", "api_calls")
GOALS: Final = {"on_off": 0.6, "metered": 1.5, "random_100k": 2.5}
THROUGH: Final = (
    "Client.check(customer, feature), whose truth came over a signed feed; it reads the clock itself, and counts for "
    "check telemetry"
)

Subject = tuple[Callable[[Pairs], object], Callable[[], Pairs]]
"""What is called, and what makes its questions."""


def bench_check(out: Output, *, turns: int = ROUNDS, many: int = MANY) -> None:
    """Measure and report; ``many`` customers are known, and each subject is measured in ``turns`` rounds."""
    machine = Machine()
    rng = random.Random(20260101)  # noqa: S311 - which customer is asked about is no secret
    with LocalFeed(many) as feed, Client(feed.url, KEY, cache=False, follow="never", start_timeout=0) as client:
        client.wait_ready(START_SECONDS)
        for number in range(many):
            client.check(*question_of(number))
        gc.collect()
        table: dict[Hashable, object] = dict.fromkeys([*map(question_of, range(many)), ONE_SWITCH, ONE_METERED])
        subjects = _subjects(client, table, anybody(rng, many)) | _open_feature()
        rounds: dict[str, list[Timing]] = {}
        for _ in range(turns):
            for name, (calls, pairs) in subjects.items():
                rounds.setdefault(name, []).append(time_calls(calls, pairs))
    notes = [
        f"p50 of {BATCHES} batches of {CALLS} calls; median and spread of {turns} runs, interleaved with baselines",
        f"random_100k: {many:,} customers, one feature of each, all of which were asked about before",
        _peer_note(rounds.get("openfeature")),
    ]
    results = [_result(name, rounds) for name in GOALS]
    report(out, "check", machine.document(workplace()), results, through=THROUGH, notes=notes)


def _open_feature() -> dict[str, Subject]:
    """The peer, where it is installed: one boolean flag asked of OpenFeature's client over its in-memory provider."""
    try:
        from openfeature import api
        from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
    except ModuleNotFoundError:
        return {}
    api.set_provider(InMemoryProvider({"sso": InMemoryFlag("on", {"on": True, "off": False})}))
    client = api.get_client()

    return {"openfeature": (each(lambda _, feature: client.get_boolean_value(feature, False)), always(ONE_SWITCH))}


def _peer_note(timings: list[Timing] | None) -> str:
    if timings is None:
        return "the OpenFeature in-memory client is not installed here (make setup), so it was not measured"
    walls = [timing.wall for timing in timings]
    spread = f"{min(walls):.3g} to {max(walls):.3g}"
    return f"OpenFeature's in-memory client in the same run: {median(walls):.3g} µs a boolean flag ({spread})"


def _subjects(client: Client, table: dict[Hashable, object], pairs: Callable[[], Pairs]) -> dict[str, Subject]:
    plain = look_ups(table)
    return {
        "on_off": (each(client.check), always(ONE_SWITCH)),
        "on_off dict": (plain, always(ONE_SWITCH)),
        "metered": (_metered(client), always(ONE_METERED)),
        "metered dict": (plain, always(ONE_METERED)),
        "random_100k": (each(client.check), pairs),
        "random_100k dict": (plain, pairs),
    }


def _metered(client: Client) -> Callable[[Pairs], object]:
    def calls(pairs: Pairs) -> None:
        check = client.check
        for used, (customer, feature) in enumerate(pairs):
            check(customer, feature, used=used)

    return calls


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
