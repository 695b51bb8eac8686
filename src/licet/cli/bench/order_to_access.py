"""Bench ``order_to_access``: from sending a signed Stripe delivery to the first changed decision, both over HTTP."""

import time
from statistics import quantiles
from typing import Final, NamedTuple

from licet.cli.bench.machine import Machine, cpu_seconds
from licet.cli.bench.result import Result, report
from licet.cli.companion import Companion
from licet.cli.demo.stage import SECRET, SOURCE, WORKSPACE, catalog_path
from licet.cli.failure import Failure
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.output import Output
from licet.cli.remote import Remote, problem_of
from licet.core.instant import to_datetime
from licet.testing.stripe import SignedDelivery, StripeStory

ROUNDS: Final = 3
ORDERS: Final = 80
"""Orders of one round; each is a customer of its own that buys a plan."""
WARM_UP: Final = 10
PATIENCE_SECONDS: Final = 5.0
GOAL_MS: Final = 1000.0
THROUGH: Final = "POST /v1/connectors, then POST /v1/check on one held connection until the decision has changed"


class Timing(NamedTuple):
    """Milliseconds of one order: until access, and of one check that changed nothing, before it."""

    access: float
    check: float


def bench_order_to_access(out: Output, *, turns: int = ROUNDS, orders: int = ORDERS) -> None:
    """Measure on a server and a durable database of its own, and report; ``orders`` in each of ``turns`` rounds."""
    machine = Machine()
    sweep(BENCH)
    server = Companion(fresh_settings(BENCH))
    try:
        url = server.start()
        with Remote(url, server.home.keys()[WORKSPACE]) as asking, Remote(url, None) as selling:
            _set_up(asking)
            for number in range(WARM_UP):
                _one(asking, selling, number)
            cpu = cpu_seconds(server.pid)
            rounds = [
                [_one(asking, selling, WARM_UP + turn * orders + order) for order in range(orders)]
                for turn in range(turns)
            ]
            used = cpu_seconds(server.pid)
        measured = machine.document(server.home.home)
    finally:
        server.stop()
        clear(server.home.home)
    cpu_us = None if cpu is None or used is None else round((used - cpu) / (turns * orders) * 1e6, 1)
    notes = [
        f"{turns * orders} orders, one after the other; the spread is the p99 of each of {turns} rounds",
        "baseline: p99 of a check that nothing changed; cpu: of the server's process alone, its checks included",
    ]
    report(out, "order_to_access", measured, _results(rounds, cpu_us), through=THROUGH, notes=notes)


def _set_up(remote: Remote) -> None:
    catalog = catalog_path().read_bytes()
    headers: dict[str, str | bytes] = {"Content-Type": "application/yaml"}
    answer = remote.raw("PUT", "/v1/catalog", query={"base": 0}, body=catalog, headers=headers)
    if answer.status >= 400:
        raise problem_of(answer)
    remote.call("PUT", f"/v1/sources/{SOURCE}", {"kind": "stripe", "secrets": [SECRET]})


def _one(asking: Remote, selling: Remote, number: int) -> Timing:
    customer = f"customer-{number}"
    # Sellers date in whole seconds: a subscription that begins a minute ago has surely begun.
    began_at = to_datetime(time.time_ns() // 1000 - 60_000_000).replace(microsecond=0)
    story = StripeStory(SECRET, began_at, customer=customer, seed=number, sign_at=lambda: int(time.time()))
    delivery = story.subscribe("price_team_monthly", 10)
    began = time.perf_counter()
    if _allowed(asking, customer):
        raise Failure(f"{customer} had access before it bought anything", code="wrong")
    checked = time.perf_counter()
    _deliver(selling, delivery)
    while not _allowed(asking, customer):
        if time.perf_counter() - checked > PATIENCE_SECONDS:
            raise Failure(f"an order gave no access within {PATIENCE_SECONDS:.0f} s", code="no_access")
    return Timing(access=(time.perf_counter() - checked) * 1000, check=(checked - began) * 1000)


def _deliver(selling: Remote, delivery: SignedDelivery) -> None:
    path = f"/v1/connectors/{WORKSPACE}/{SOURCE}"
    answer = selling.raw("POST", path, body=delivery.body, headers=dict(delivery.headers))
    if answer.status >= 400:
        raise problem_of(answer)


def _allowed(asking: Remote, customer: str) -> bool:
    decision = asking.call("POST", "/v1/check", {"customer": customer, "feature": "scenario_planning"})
    return bool(decision["allowed"])


def _results(rounds: list[list[Timing]], cpu_us: float | None) -> list[Result]:
    each = [_p99([timing.access for timing in turn]) for turn in rounds]
    everything = [timing for turn in rounds for timing in turn]
    return [
        Result(
            name="http_p99",
            value=_p99([timing.access for timing in everything]),
            unit="ms",
            baseline=_p99([timing.check for timing in everything]),
            spread=(min(each), max(each)),
            cpu_us=cpu_us,
            goal=GOAL_MS,
        ),
        Result(
            name="sdk_p99",
            value=None,
            unit="ms",
            goal=GOAL_MS,
            note="not measured: the SDK's Client does not exist yet",
        ),
    ]


def _p99(values: list[float]) -> float:
    return round(quantiles(values, n=100, method="inclusive")[98], 2)
