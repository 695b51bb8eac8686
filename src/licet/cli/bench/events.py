"""Bench ``events``: usage events a second over HTTP, deduplicated, durable, on balances; beside bare inserts."""

import random
from statistics import median
from typing import Final

import msgspec

from licet.cli.bench.bare_writes import Bare, BareTold, put_bare
from licet.cli.bench.consume_http import Dose, Turn, middle, turn_of
from licet.cli.bench.machine import Machine
from licet.cli.bench.result import Result, report
from licet.cli.bench.usage_load import KEY, UsageLoad, put
from licet.cli.bench.usage_place import EVENT, Place, name_of, usage_place
from licet.cli.failure import Failure
from licet.cli.output import Output

BATCH: Final = 500
CONNECTIONS: Final = 16
BARE_CONNECTIONS: Final = 4
CUSTOMERS: Final = 1_000
GOAL_PER_S: Final = 40_000.0
THROUGH: Final = f"POST /v1/events on kept connections, {BATCH} CloudEvents each, every one with an id of its own"


def bench_events(out: Output, *, database: str | None = None, dose: Dose | None = None, batch: int = BATCH) -> None:
    """Measure on a server of its own, on the bundled database or on one beside ``database``, and report."""
    machine = Machine()
    dose = dose or Dose(connections=CONNECTIONS, customers=CUSTOMERS)
    turns, bare, sent = list[Turn](), list[BareTold](), 0
    with usage_place(dose.customers, database) as place:
        requests = tuple(events_request(place.key, dose.customers, batch, seed) for seed in range(dose.connections))
        for seconds in (dose.seconds / 4, *([dose.seconds] * dose.turns)):
            load = UsageLoad(
                port=place.port, requests=requests, expected=b'"recorded":%d,' % batch, first=sent, seconds=seconds
            )
            bare.append(_bare(place, dose, batch))
            before = place.spent()
            loaded = put(load)
            sent += loaded.answers
            turns.append(turn_of(loaded, before, place.spent(), batch))
        used = place.used(range(dose.customers))
        if used != sent * batch:
            raise Failure(f"{sent * batch} events were acknowledged and {used} are on the balances", code="wrong")
        measured = machine.document(place.home)
        postgresql = place.postgresql
    notes = _notes(turns[1:], dose, batch, postgresql)
    report(out, "events", measured, _results(turns[1:], bare[1:], batch), through=THROUGH, notes=notes)


def events_request(key: str, customers: int, batch: int, seed: int) -> bytes:
    """Return a request whose events are about random customers; the mark in their ids makes them new each time."""
    rng = random.Random(seed)  # noqa: S311 - which customer used something is no secret
    events = [
        {
            "specversion": "1.0",
            "id": f"{KEY.decode()}-{place}",
            "source": f"/bench/{seed}",
            "type": EVENT,
            "subject": name_of(rng.randrange(customers)),
            "data": {"quantity": 1},
        }
        for place in range(batch)
    ]
    body = msgspec.json.encode(events)
    return (
        f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/cloudevents-batch+json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _bare(place: Place, dose: Dose, batch: int) -> BareTold:
    connections = min(BARE_CONNECTIONS, dose.connections)
    return put_bare(Bare(dsn=place.dsn, what="insert", rows=batch, connections=connections, seconds=dose.seconds / 2))


def _results(turns: list[Turn], bare: list[BareTold], batch: int) -> list[Result]:
    speeds = [round(one.loaded.per_s * batch, 1) for one in turns]
    api, postgresql = ([getattr(one, part) for one in turns] for part in ("api_us", "postgresql_us"))
    both = [None if one is None or other is None else one + other for one, other in zip(api, postgresql, strict=True)]
    speed = Result(
        name="per_s",
        value=median(speeds),
        unit="1/s",
        baseline=round(median(one.per_s for one in bare), 1),
        spread=(min(speeds), max(speeds)),
        cpu_us=middle(both),
        goal=GOAL_PER_S,
        at_least=True,
    )
    parts = (("cpu_us", both), ("cpu_us_api", api), ("cpu_us_postgresql", postgresql))
    return [speed, *(_cpu(name, values) for name, values in parts)]


def _cpu(name: str, values: list[float | None]) -> Result:
    known = [round(value, 1) for value in values if value is not None]
    return Result(
        name=name,
        value=middle(values),
        unit="µs",
        spread=(min(known), max(known)) if known else None,
        note=None if known else "the database runs on another machine, or this system does not tell",
    )


def _notes(turns: list[Turn], dose: Dose, batch: int, postgresql: str) -> list[str]:
    p50, p99 = (median(getattr(one.loaded, part) for one in turns) for part in ("p50", "p99"))
    bare = min(BARE_CONNECTIONS, dose.connections)
    return [
        f"{postgresql}; {dose.turns} rounds of {dose.seconds:g} s over {dose.connections} connections; server, "
        "database and load on the same machine",
        f"{dose.customers:,} customers at random, one meter and one hard cap each; a batch took {p50:.0f} ms (p50), "
        f"{p99:.0f} ms (p99)",
        f"baseline: INSERT … ON CONFLICT DO NOTHING of {batch} rows a statement over {bare} connections into one table "
        "with one index",
        "cpu: for each event; the balances were compared with what was acknowledged",
    ]
