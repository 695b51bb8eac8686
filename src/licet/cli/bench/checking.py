"""Bench ``check``: how long one decision takes in process, through the public Client, beside a bare dict look-up."""

import gc
import random
from statistics import median
from typing import Final

from licet.cli.bench.feeding import KEY, LocalFeed
from licet.cli.bench.machine import Machine
from licet.cli.bench.result import Result, report
from licet.cli.bench.timing import BATCHES, CALLS, Calls, Pair, Timing, each, look_ups, some_of, time_calls
from licet.cli.bench.worlds import FEATURES, workplace
from licet.cli.output import Output
from licet.sdk.client import Client

ROUNDS: Final = 9
MANY: Final = 100_000
START_SECONDS: Final = 240.0
ONE_SWITCH: Final = ("customer-1", "sso")
ONE_METERED: Final = ("customer-1", "api_calls")
GOALS: Final = {"on_off": 0.6, "metered": 1.5, "random_100k": 2.5}
THROUGH: Final = "Client.check(customer, feature), whose truth came over a signed feed; it reads the clock itself"


def bench_check(out: Output, *, turns: int = ROUNDS, many: int = MANY) -> None:
    """Measure and report; ``many`` customers are known, and each subject is measured in ``turns`` rounds."""
    machine = Machine()
    rng = random.Random(20260101)  # noqa: S311 - which customer is asked about is no secret
    with LocalFeed(many) as feed, Client(feed.url, KEY, cache=False, follow="never", start_timeout=0) as client:
        client.wait_ready(START_SECONDS)
        asked = [(f"customer-{number}", rng.choice(FEATURES)) for number in range(many)]
        for customer, feature in asked:
            client.check(customer, feature)
        gc.collect()
        table: dict[Pair, object] = dict.fromkeys([*asked, ONE_SWITCH, ONE_METERED])
        peer = _open_feature()
        rounds: dict[str, list[Timing]] = {}
        for _ in range(turns):
            for name, calls in (_subjects(client, table, some_of(rng, asked)) | peer).items():
                rounds.setdefault(name, []).append(time_calls(calls))
    notes = [
        f"p50 of {BATCHES} batches of {CALLS} calls; median and spread of {turns} runs, interleaved with baselines",
        f"random_100k: {many:,} customers, one feature of each, all of which were asked about before",
        _peer_note(rounds.get("openfeature")),
    ]
    results = [_result(name, rounds) for name in GOALS]
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


def _subjects(client: Client, table: dict[Pair, object], pairs: list[Pair]) -> dict[str, Calls]:
    return {
        "on_off": _same(client, *ONE_SWITCH),
        "on_off dict": look_ups(table, [ONE_SWITCH] * len(pairs)),
        "metered": _metered(client, *ONE_METERED),
        "metered dict": look_ups(table, [ONE_METERED] * len(pairs)),
        "random_100k": each(client.check, pairs),
        "random_100k dict": look_ups(table, pairs),
    }


def _same(client: Client, customer: str, feature: str) -> Calls:
    def calls(_: int) -> None:
        check = client.check
        for _call in range(CALLS):
            check(customer, feature)

    return calls


def _metered(client: Client, customer: str, feature: str) -> Calls:
    def calls(_: int) -> None:
        check = client.check
        for used in range(CALLS):
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
