"""Bench ``consume_http``: durable uses a second over HTTP, of one customer and of many, beside PostgreSQL alone."""

from statistics import median
from typing import Any, Final

import msgspec
from msgspec import Struct

from licet.cli.bench.bare_writes import Bare, BareTold, put_bare
from licet.cli.bench.machine import Machine
from licet.cli.bench.result import Result, report
from licet.cli.bench.usage_load import KEY, WHO, UsageLoad, UsageLoaded, put
from licet.cli.bench.usage_place import FEATURE, ONE, Place, Spent, usage_place
from licet.cli.failure import Failure
from licet.cli.output import Output

ROUNDS: Final = 5
SECONDS: Final = 4.0
CONNECTIONS: Final = 128
BARE_CONNECTIONS: Final = 32
CUSTOMERS: Final = 10_000
GOAL_PER_S: Final = 10_000.0
THROUGH: Final = "POST /v1/consume on kept connections, one use each with an idempotency key, a hard cap; no pipelining"


class Turn(Struct, frozen=True):
    """One round: what came, and microseconds of processor for each use."""

    loaded: UsageLoaded
    api_us: float | None
    postgresql_us: float | None


class Dose(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    turns: int = ROUNDS
    seconds: float = SECONDS
    connections: int = CONNECTIONS
    customers: int = CUSTOMERS


def bench_consume_http(out: Output, *, database: str | None = None, dose: Dose | None = None) -> None:
    """Measure on a server of its own, on the bundled database or on one beside ``database``, and report."""
    machine, dose = Machine(), dose or Dose()
    with usage_place(dose.customers, database) as place:
        counted = _Counted(place, dose)
        counted.turn(1, dose.seconds / 4)
        rounds: dict[str, list[Turn]] = {"hot": [], "spread": []}
        bare: dict[str, list[BareTold]] = {"hot": [], "spread": []}
        for _ in range(dose.turns):
            for name, customers in (("hot", 1), ("spread", dose.customers)):
                bare[name].append(_bare(place, customers, dose))
                rounds[name].append(counted.turn(customers, dose.seconds))
        counted.compare()
        measured = machine.document(place.home)
        postgresql = place.postgresql
    report(
        out, "consume_http", measured, _results(rounds, bare), through=THROUGH, notes=_notes(rounds, dose, postgresql)
    )


class _Counted:
    """Puts load on and counts what was acknowledged: in the end the balance must say the same."""

    def __init__(self, place: Place, dose: Dose) -> None:
        self._place = place
        self._dose = dose
        self._first = 0
        self._one = 0

    def turn(self, customers: int, seconds: float) -> Turn:
        """Send for so many seconds to so many customers."""
        request = consume_request(self._place.key, None if customers == 1 else customers)
        load = UsageLoad(
            port=self._place.port,
            requests=(request,) * self._dose.connections,
            expected=b'"allowed":true',
            first=self._first,
            seconds=seconds,
            customers=customers,
        )
        before = self._place.spent()
        loaded = put(load)
        self._first += loaded.answers + self._dose.connections
        if customers == 1:
            self._one += loaded.answers
        return turn_of(loaded, before, self._place.spent(), 1)

    def compare(self) -> None:
        """Raise Failure where the balance of the one customer lacks something acknowledged, or has more."""
        used, single = self._place.used([ONE]), self._one
        if used != single:
            raise Failure(f"{single} uses were acknowledged and {used} are on the balance", code="wrong")


def turn_of(loaded: UsageLoaded, before: Spent, after: Spent, each: int) -> Turn:
    """Return a round, of whose answers each stands for so many uses."""
    uses = loaded.answers * each

    def per_use(began: float | None, ended: float | None) -> float | None:
        return None if began is None or ended is None else (ended - began) / uses * 1e6

    return Turn(loaded, per_use(before.api, after.api), per_use(before.postgresql, after.postgresql))


def consume_request(key: str, customers: int | None) -> bytes:
    """Return a request with marks for its own key and, where there are many, for a customer."""
    who = WHO.decode() if customers else f"{ONE:06}"
    body = msgspec.json.encode({"customer": f"customer-{who}", "feature": FEATURE, "quantity": 1, "key": KEY.decode()})
    return (
        f"POST /v1/consume HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _bare(place: Place, rows: int, dose: Dose) -> BareTold:
    connections = min(BARE_CONNECTIONS, dose.connections)
    return put_bare(Bare(dsn=place.dsn, what="update", rows=rows, connections=connections, seconds=dose.seconds / 2))


def _results(rounds: dict[str, list[Turn]], bare: dict[str, list[BareTold]]) -> list[Result]:
    waits = [round(one.loaded.p99, 2) for one in rounds["hot"]]
    p99 = Result(
        name="hot_p99",
        value=median(waits),
        unit="ms",
        baseline=round(median(one.p99 for one in bare["hot"]), 2),
        spread=(min(waits), max(waits)),
    )
    hot = Result(**_speed("hot_per_s", rounds["hot"], bare["hot"]), goal=GOAL_PER_S, at_least=True)
    return [hot, p99, Result(**_speed("spread_per_s", rounds["spread"], bare["spread"]))]


def _speed(name: str, turns: list[Turn], bare: list[BareTold]) -> dict[str, Any]:
    speeds = [round(one.loaded.per_s, 1) for one in turns]
    return {
        "name": name,
        "value": median(speeds),
        "unit": "1/s",
        "baseline": round(median(one.per_s for one in bare), 1),
        "spread": (min(speeds), max(speeds)),
        "cpu_us": middle([one.api_us for one in turns]),
    }


def middle(values: list[float | None]) -> float | None:
    """Return the median of what could be measured, to a tenth; None where nothing could."""
    known = [value for value in values if value is not None]
    return round(median(known), 1) if known else None


def _notes(rounds: dict[str, list[Turn]], dose: Dose, postgresql: str) -> list[str]:
    def said(name: str) -> str:
        turns = rounds[name]
        p50, p99 = (median(getattr(one.loaded, part) for one in turns) for part in ("p50", "p99"))
        cpus = [middle([getattr(one, part) for one in turns]) for part in ("api_us", "postgresql_us")]
        return f"{name} {p50:.1f}/{p99:.1f} ms, cpu {cpus[0] or '?'} + {cpus[1] or '?'} µs"

    bare = min(BARE_CONNECTIONS, dose.connections)
    return [
        f"{postgresql}; {dose.turns} rounds of {dose.seconds:g} s over {dose.connections} connections, "
        "interleaved; server, database and load on the same machine",
        f"p50/p99 and processor time of API + PostgreSQL: {'; '.join(said(name) for name in rounds)}",
        f"baseline: UPDATE … WHERE remaining >= 1 of one row a statement over {bare} connections: nothing kept of who, "
        "when or under which key; of one row, and of as many as there are customers",
        f"spread: {dose.customers:,} customers; each use is in the record, and the balance of the one customer was "
        "compared with what was acknowledged",
    ]
