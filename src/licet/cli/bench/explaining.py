"""Bench ``explain``: how long explaining a past decision takes, over HTTP, in a log of a million events."""

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Final

from licet.cli.bench.machine import Machine, cpu_seconds
from licet.cli.bench.result import Result, report
from licet.cli.companion import Companion
from licet.cli.demo.stage import WORKSPACE, catalog_path
from licet.cli.fresh import BENCH, clear, fresh_settings, sweep
from licet.cli.output import Output
from licet.cli.remote import Remote, problem_of
from licet.core.instant import format_instant, to_instant
from licet.settings import Settings

EVENTS: Final = 1_000_000
CUSTOMERS: Final = 200
STAGES: Final = 10
"""How often every customer changes while the log grows: a day of the business clock each."""
ROUNDS: Final = 3
ASKED: Final = 300
"""Explanations of one round, each of another customer at another past instant."""
WARM_UP: Final = 20
TOGETHER: Final = 2_000
"""Events that fill the log in one transaction."""
FEATURES: Final = ("sso", "projects", "scenario_planning", "audit_export")
BIRTH: Final = datetime(2030, 1, 1, 9, tzinfo=UTC)
THROUGH: Final = "GET /v1/customers/{customer}/explain?feature=&at= on one held connection"


def bench_explain(
    out: Output, *, events: int = EVENTS, customers: int = CUSTOMERS, turns: int = ROUNDS, asked: int = ASKED
) -> None:
    """Fill a log of its own with so many events, explain in ``turns`` rounds and report."""
    machine = Machine()
    sweep(BENCH)
    settings = fresh_settings(BENCH)
    server = Companion(settings)
    try:
        url = server.start()
        key = server.home.keys()[WORKSPACE]
        for stage in range(STAGES):
            # A connection of its own: the server closes one that is idle while the log is filled.
            with Remote(url, key) as remote:
                _live(remote, stage, customers)
            asyncio.run(_fill(settings, events // STAGES))
        with Remote(url, key) as remote:
            rng = random.Random(20260102)  # noqa: S311 which customer is asked about is no secret
            for _ in range(WARM_UP):
                _explain(remote, rng, customers)
            cpu = cpu_seconds(server.pid)
            rounds = [[_explain(remote, rng, customers) for _ in range(asked)] for _ in range(turns)]
            used = cpu_seconds(server.pid)
            checked = [_check(remote, rng, customers) for _ in range(asked)]
        measured = machine.document(server.home.home)
    finally:
        server.stop()
        clear(server.home.home)
    cpu_us = None if cpu is None or used is None else round((used - cpu) / (turns * asked) * 1e6, 1)
    notes = [
        f"{events:,} events, {customers} customers with {STAGES} changes each; {turns * asked} explanations of past "
        "instants, one after the other",
        "baseline: a check over HTTP in the same log; cpu: of the server's process alone",
    ]
    report(out, "explain", measured, _results(rounds, checked, cpu_us), through=THROUGH, notes=notes)


def _live(remote: Remote, stage: int, customers: int) -> None:
    """Let a day begin, and every customer change."""
    remote.call("POST", "/v1/clock", {"frozen_at": _text(BIRTH + stage * timedelta(days=1))})
    if not stage:
        _release(remote)
    for number in range(customers):
        _change(remote, number, stage)


def _release(remote: Remote) -> None:
    headers: dict[str, str | bytes] = {"Content-Type": "application/yaml"}
    body = catalog_path().read_bytes()
    answer = remote.raw("PUT", "/v1/catalog", query={"base": 0}, body=body, headers=headers)
    if answer.status >= 400:
        raise problem_of(answer)


def _change(remote: Remote, number: int, stage: int) -> None:
    order = {
        "source": "crm",
        "external_id": f"deal-{number}",
        "customer": {"id": f"customer-{number}"},
        "occurred_at": _text(BIRTH + stage * timedelta(days=1)),
        "lines": [{"plan": ("team", "business")[(number + stage) % 2], "quantity": 1 + stage}],
    }
    remote.call("POST", "/v1/orders", order)


async def _fill(settings: Settings, events: int) -> None:
    """Let the log grow by so many events that are about other things."""
    from licet.services.rows import Actor, Draft
    from licet.wiring import open_storage

    async with open_storage(settings) as storage:
        for start in range(0, events, TOGETHER):
            async with storage.write(WORKSPACE, Actor(id="system:bench")) as tx:
                for number in range(start, min(start + TOGETHER, events)):
                    await tx.record(Draft(type="bench.filled", subject=f"bench/{number % 1000}", after={"n": number}))


def _explain(remote: Remote, rng: random.Random, customers: int) -> float:
    """Return the milliseconds of one explanation."""
    at = BIRTH + timedelta(seconds=rng.randrange(STAGES * 86400))
    query = {"feature": rng.choice(FEATURES), "at": _text(at)}
    path = f"/v1/customers/customer-{rng.randrange(customers)}/explain"
    began = time.perf_counter()
    remote.call("GET", path, query=query)
    return (time.perf_counter() - began) * 1000


def _check(remote: Remote, rng: random.Random, customers: int) -> float:
    question = {"customer": f"customer-{rng.randrange(customers)}", "feature": rng.choice(FEATURES)}
    began = time.perf_counter()
    remote.call("POST", "/v1/check", question, asking=True)
    return (time.perf_counter() - began) * 1000


def _results(rounds: list[list[float]], checked: list[float], cpu_us: float | None) -> list[Result]:
    everything = [one for turn in rounds for one in turn]
    found = []
    for name, place in (("p50", 49), ("p99", 98)):
        each = [_percentile(turn, place) for turn in rounds]
        found.append(
            Result(
                name=name,
                value=_percentile(everything, place),
                unit="ms",
                baseline=_percentile(checked, place),
                spread=(min(each), max(each)),
                cpu_us=cpu_us,
            )
        )
    return found


def _percentile(values: list[float], place: int) -> float:
    return round(quantiles(values, n=100, method="inclusive")[place], 2)


def _text(at: datetime) -> str:
    return format_instant(to_instant(at))
