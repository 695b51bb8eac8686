"""What PostgreSQL does alone, asked from one process: the baselines of the benches of usage.

``update``: one row's conditional UPDATE a statement, as a counter of one's own would do it. ``insert``: one statement
of many rows that are left out where they are there already. Each is durable before the next begins.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, Literal

import asyncpg
import msgspec
from msgspec import Struct

from licet.cli.bench.apart import apart
from licet.cli.bench.timing import percentile

_MAKE: Final = """
    CREATE SCHEMA IF NOT EXISTS licet_bench;
    DROP TABLE IF EXISTS licet_bench.counter, licet_bench.told;
    CREATE TABLE licet_bench.counter (id int PRIMARY KEY, remaining bigint NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE licet_bench.told (id text PRIMARY KEY, customer text NOT NULL, quantity bigint NOT NULL);
"""
_ROWS: Final = "INSERT INTO licet_bench.counter SELECT n, 1000000000000 FROM generate_series(0, $1 - 1) AS n"
_UPDATE: Final = (
    "UPDATE licet_bench.counter SET remaining = remaining - $2 WHERE id = $1 AND remaining >= $2 RETURNING remaining"
)
_INSERT: Final = """
    INSERT INTO licet_bench.told SELECT id, $2, 1 FROM unnest($1::text[]) AS id ON CONFLICT DO NOTHING
"""
_REMOVE: Final = "DROP SCHEMA IF EXISTS licet_bench CASCADE"


class Bare(Struct, frozen=True, kw_only=True):
    """What is written, over how many connections, for how long. ``rows``: of the table, or of one statement."""

    dsn: str
    what: Literal["update", "insert"]
    rows: int
    connections: int
    seconds: float


class BareTold(Struct, frozen=True, kw_only=True):
    """Rows a second, and milliseconds of one statement."""

    per_s: float
    p99: float


async def _write(bare: Bare) -> BareTold:
    numbers, waits = count(), list[float]()

    async def update(conn: Any) -> None:
        await conn.fetchval(_UPDATE, next(numbers) * 7919 % bare.rows, 1)

    async def insert(conn: Any) -> None:
        first = next(numbers) * bare.rows
        await conn.execute(_INSERT, [f"{first + place:032x}" for place in range(bare.rows)], "customer-1")

    do = update if bare.what == "update" else insert
    async with _held(bare) as held:
        began = time.perf_counter()
        await asyncio.gather(*(_again(conn, do, began + bare.seconds, waits) for conn in held))
        spent = time.perf_counter() - began
    each = bare.rows if bare.what == "insert" else 1
    return BareTold(per_s=len(waits) * each / spent, p99=percentile([wait * 1000 for wait in waits], 99))


async def _again(conn: Any, do: Callable[[Any], Awaitable[None]], ends: float, waits: list[float]) -> None:
    while (began := time.perf_counter()) < ends:
        await do(conn)
        waits.append(time.perf_counter() - began)


@asynccontextmanager
async def _held(bare: Bare) -> AsyncIterator[list[Any]]:
    """Make the tables and hold the connections; afterwards nothing of it is left."""
    held = [await asyncpg.connect(bare.dsn) for _ in range(bare.connections)]
    try:
        await held[0].execute(_MAKE)
        await held[0].execute(_ROWS, bare.rows)
        yield held
        await held[0].execute(_REMOVE)
    finally:
        await asyncio.gather(*(conn.close() for conn in held))


def put_bare(bare: Bare) -> BareTold:
    """Let a process of its own write; raises Failure."""
    return apart("bare_writes", bare, BareTold, seconds=bare.seconds, name="baseline")


def main() -> None:
    """Read what to write from standard input, print what came of it."""
    found = asyncio.run(_write(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Bare)))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
