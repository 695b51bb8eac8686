"""Bench ``order_to_access``: from a signed Stripe delivery to the changed decision, over HTTP and in the SDK."""

import time
from typing import Final, NamedTuple

from licet.cli.bench.machine import Machine, cpu_seconds
from licet.cli.bench.result import Result, report
from licet.cli.bench.timing import percentile
from licet.cli.bench.watcher import Server, Watched, Watcher
from licet.cli.bench.worlds import release_example
from licet.cli.companion import Companion
from licet.cli.demo.stage import SECRET, SOURCE, WORKSPACE
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
START_SECONDS: Final = 30.0
GOAL_MS: Final = 1000.0
FEATURE: Final = "scenario_planning"
THROUGH: Final = (
    "POST /v1/connectors, then POST /v1/check on one held connection, and Client.check in another process, each until "
    "the decision has changed"
)


class Timing(NamedTuple):
    """Milliseconds of one order: until access over HTTP and in the SDK; and of one check that changed nothing."""

    access: float
    sdk: float
    check: float


def bench_order_to_access(out: Output, *, turns: int = ROUNDS, orders: int = ORDERS) -> None:
    """Measure on a server and a durable database of its own, and report; ``orders`` in each of ``turns`` rounds."""
    machine = Machine()
    sweep(BENCH)
    server = Companion(fresh_settings(BENCH))
    try:
        url = server.start()
        key = server.home.keys()[WORKSPACE]
        with Remote(url, key) as asking, Remote(url, None) as selling:
            release_example(asking)
            asking.call("PUT", f"/v1/sources/{SOURCE}", {"kind": "stripe", "secrets": [SECRET]})
            timings, cpu_us = _measure(asking, selling, Watcher(Server(url, key)), server.pid, turns * orders)
            rounds = [timings[turn * orders : (turn + 1) * orders] for turn in range(turns)]
        measured = machine.document(server.home.home)
    finally:
        server.stop()
        clear(server.home.home)
    notes = [
        f"{turns * orders} orders, one after the other; the spread is the p99 of each of {turns} rounds",
        "baseline: p99 of a check over HTTP that nothing changed; cpu: of the server's process alone, checks included",
        "the process with the SDK looks every 0.5 ms; HTTP is asked all the time, on the same cores",
    ]
    report(out, "order_to_access", measured, _results(rounds, cpu_us), through=THROUGH, notes=notes)


def _measure(
    asking: Remote, selling: Remote, watcher: Watcher, pid: int, orders: int
) -> tuple[list[Timing], float | None]:
    """Return the timings of so many orders, and the server's processor time per order."""
    with watcher:
        for number in range(WARM_UP):
            _one(asking, selling, watcher, number)
        before = cpu_seconds(pid)
        timings = [_one(asking, selling, watcher, WARM_UP + order) for order in range(orders)]
        after = cpu_seconds(pid)
    return timings, None if before is None or after is None else round((after - before) / orders * 1e6, 1)


def _one(asking: Remote, selling: Remote, watcher: Watcher, number: int) -> Timing:
    customer = f"customer-{number}"
    # Sellers date in whole seconds: a subscription that begins a minute ago has surely begun.
    began_at = to_datetime(time.time_ns() // 1000 - 60_000_000).replace(microsecond=0)
    story = StripeStory(SECRET, began_at, customer=customer, seed=number, sign_at=lambda: int(time.time()))
    delivery = story.subscribe("price_team_monthly", 10)
    known = len(watcher.seen)
    before = watcher.watch(Watched(customer, FEATURE), START_SECONDS)
    began = time.monotonic_ns()
    if before.allowed or _allowed(asking, customer):
        raise Failure(f"{customer} had access before it bought anything", code="wrong")
    sent = time.monotonic_ns()
    _deliver(selling, delivery)
    while not _allowed(asking, customer):
        if time.monotonic_ns() - sent > PATIENCE_SECONDS * 1e9:
            raise Failure(f"an order gave no access within {PATIENCE_SECONDS:.0f} s", code="no_access")
    access = time.monotonic_ns()
    seen = watcher.wait(lambda one: one.customer == customer and one.allowed, known, PATIENCE_SECONDS)
    return Timing(access=(access - sent) / 1e6, sdk=(seen.at - sent) / 1e6, check=(sent - began) / 1e6)


def _deliver(selling: Remote, delivery: SignedDelivery) -> None:
    path = f"/v1/connectors/{WORKSPACE}/{SOURCE}"
    answer = selling.raw("POST", path, body=delivery.body, headers=dict(delivery.headers))
    if answer.status >= 400:
        raise problem_of(answer)


def _allowed(asking: Remote, customer: str) -> bool:
    decision = asking.call("POST", "/v1/check", {"customer": customer, "feature": FEATURE})
    return bool(decision["allowed"])


def _results(rounds: list[list[Timing]], cpu_us: float | None) -> list[Result]:
    everything = [timing for turn in rounds for timing in turn]
    baseline = percentile([timing.check for timing in everything], 99)
    found = []
    for name, field in (("http_p99", "access"), ("sdk_p99", "sdk")):
        each = [percentile([getattr(timing, field) for timing in turn], 99) for turn in rounds]
        found.append(
            Result(
                name=name,
                value=percentile([getattr(timing, field) for timing in everything], 99),
                unit="ms",
                baseline=baseline,
                spread=(min(each), max(each)),
                cpu_us=cpu_us,
                goal=GOAL_MS,
            )
        )
    return found
