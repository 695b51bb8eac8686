"""Answers that come line by line, and readers that read nothing: they hold up nobody, and nothing for long."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from licet.api.app import create_app
from licet.api.call import Trail
from licet.api.serving import Manner, bound_socket, serving
from licet.api.streaming import AHEAD, PIECE, stream
from licet.door.problems import Refusal
from licet.services.customers import CreateCustomer, create_customer
from licet.services.errors import StaleBase
from licet.settings import Settings
from licet.telemetry import Metrics
from licet.wiring import assemble
from tests.api.house import ALL, MERIDIAN, UNHURRIED, House, Visitor, problem, release_meridian
from tests.store import rows
from tests.store.worlds import OPERATOR, World

pytestmark = pytest.mark.one_engine

LARGE = 1_000_000
"""Bytes of an export that no buffer on the way swallows."""
EXPORT = "/v1/customers/acme/export"
YAML = {"Content-Type": "application/yaml"}


@asynccontextmanager
async def narrow_house(world: World, *, stall_seconds: float) -> AsyncIterator[House]:
    """A server with few connections and small buffers."""
    async with world.storage(size=8) as storage:
        built = assemble(storage, world.access, Settings(), pace=UNHURRIED)
        parts = structs.replace(built.parts, stall_seconds=stall_seconds)
        built = structs.replace(built, parts=parts, app=create_app(parts))
        with bound_socket("127.0.0.1", 0) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            async with serving(built.app, bound, Manner(shutdown_seconds=1)) as port:
                house = House(f"http://127.0.0.1:{port}", built, storage)
                try:
                    yield house
                finally:
                    await house.close()


async def furnish(house: House) -> Visitor:
    """Somebody with every scope, where a catalog is released and much is held about acme."""
    operator = await house.holder(*ALL)
    async with house.storage.read("test") as view:
        furnished = await view.catalog_revision()
    if not furnished:
        await release_meridian(operator)
        async with house.storage.write("test", OPERATOR) as tx:
            await create_customer(tx, CreateCustomer(id="acme"))
            for number in range(10):
                await tx.record(rows.note("customer/acme", after={"number": number, "text": "x" * (LARGE // 10)}))
    return operator


@contextmanager
def reader(house: House, asker: Visitor) -> Iterator[socket.socket]:
    """Somebody who asks for an export and reads nothing."""
    host, port = house.url.removeprefix("http://").split(":")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((host, int(port)))
        sock.sendall(f"GET {EXPORT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {asker.secret}\r\n\r\n".encode())
        yield sock


async def lasting(world: World) -> int:
    """How many transactions of the reading role are open and do nothing."""
    conn = await world.database.connect()
    try:
        found: int = await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
        )
    finally:
        await conn.close()
    return found


async def until(world: World, count: int, seconds: float = 5.0) -> None:
    """Wait until so many transactions are open and do nothing."""
    end = time.monotonic() + seconds
    while (found := await lasting(world)) != count:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)


async def test_checks_go_on_while_readers_stall(world: World) -> None:
    """Eight readers who read nothing take two places and nothing else; every long answer asks to come again later,
    before it begins. A reader who leaves frees its place at once."""
    async with narrow_house(world, stall_seconds=60) as house:
        operator = await furnish(house)
        with reader(house, operator), reader(house, operator):
            await until(world, 2)
            with ExitStack() as others:
                for _ in range(6):
                    others.enter_context(reader(house, operator))
                began = time.monotonic()
                for _ in range(20):
                    await operator.told("POST", "/v1/check", {"customer": "acme", "feature": "sso"})
                assert time.monotonic() - began < 2
                await until(world, 2)
            move = {"item": "team", "from_version": "2026-01", "to_version": "2026-07"}
            for method, path, more in (
                ("GET", EXPORT, {}),
                ("POST", "/v1/catalog/previews", {"body": MERIDIAN.read_bytes(), "headers": YAML}),
                ("POST", "/v1/catalog/rehearsals", {"body": MERIDIAN.read_bytes(), "headers": YAML}),
                ("POST", "/v1/catalog/moves/previews", {"value": move}),
            ):
                answer = await operator.ask(method, path, **more)
                told = problem(answer, 503, "unavailable")
                assert "as many long reads of workspace test are under way" in told["detail"]
                assert answer.headers["retry-after"] == "5"
        await until(world, 0)
        whole = await operator.ask("GET", EXPORT)
        assert len(whole.content) > LARGE
        assert "end" in json.loads(whole.content.splitlines()[-1])


async def test_who_takes_nothing_is_told_and_holds_nothing(world: World) -> None:
    """After the time for a stall the transaction is free, log and metrics tell of it, and whoever reads on then finds
    a problem as the last line."""
    async with narrow_house(world, stall_seconds=0.4) as house:
        operator = await furnish(house)
        with capture_logs() as logged, reader(house, operator) as sock:
            async with asyncio.timeout(10):
                while not (told := [one for one in logged if one["event"].startswith("a reader stalled")]):  # noqa: ASYNC110 logs wake nobody
                    await asyncio.sleep(0.05)
            await until(world, 0)
            (line,) = told
            assert (line["route"], line["seconds"]) == ("/v1/customers/{customer}/export", 0.4)
            numbers = (await operator.ask("GET", "/metrics")).text
            route = 'route="/v1/customers/{customer}/export"'
            assert f"licet_http_answers_stalled_total{{{route}}} 1.0" in numbers
            last = await asyncio.to_thread(_read_out, sock)
        assert last["problem"]["code"] == "unavailable"
        assert "nothing of the answer was read for 0.4 seconds" in last["problem"]["detail"]


def _read_out(sock: socket.socket) -> Any:
    """The last line of a chunked answer."""
    sock.settimeout(5)
    got = b""
    while not got.endswith(b"0\r\n\r\n"):
        got += sock.recv(65536)
    return json.loads([one for one in got.split(b"\r\n") if one.startswith(b'{"problem"')][-1])


class Source:
    """Values to send, and whether they are still held."""

    def __init__(self, *values: Any, then: Exception | None = None) -> None:
        self._values = values
        self._then = then
        self._held = False

    def held(self) -> bool:
        """Whether somebody began with it and has not let go."""
        return self._held

    async def lines(self) -> AsyncGenerator[Any, None]:
        """Yield the values, then fail."""
        self._held = True
        try:
            for value in self._values:
                yield value
            if self._then is not None:
                raise self._then
        finally:
            self._held = False


async def pieces(source: Source, *, stall_seconds: float = 5.0) -> Any:
    """The pieces of an answer."""
    trail = Trail(request_id="req_1")
    answer = await stream(source.lines(), trail, Metrics(), status=200, stall_seconds=stall_seconds)
    return answer.iterator


async def test_long_lines_come_in_pieces_and_whole() -> None:
    """What is sent is the lines, whatever their length; a failure on the way is the last of them."""
    values = ["a" * (3 * PIECE), {"b": 1}, "c" * PIECE]
    source = Source(*values, then=StaleBase("somebody released", advice="again"))
    got = [one async for one in await pieces(source)]
    assert max(map(len, got)) <= PIECE
    lines = [json.loads(one) for one in b"".join(got).splitlines()]
    assert lines[:-1] == values
    assert lines[-1]["problem"]["code"] == "stale_base"
    assert not source.held()


async def test_what_fails_before_the_first_line_is_an_ordinary_problem() -> None:
    """As long as nothing was sent, the status says what is wrong; nothing at all to say is no failure."""
    for failure in (StaleBase("somebody released"), Refusal("behind", "not yet"), ValueError("a defect")):
        with pytest.raises(type(failure)):
            await pieces(Source(then=failure))
    assert [one async for one in await pieces(Source())] == []


async def test_the_work_is_little_ahead_of_its_reader() -> None:
    """Nobody reads: the work rests after a few pieces, is ended in time, and what was made can still be read."""
    source = Source(*("a" * 1000 for _ in range(100)))
    with capture_logs():
        answer = await pieces(source, stall_seconds=0.1)
        assert source.held()
        await asyncio.sleep(0.3)
    assert not source.held()
    lines = b"".join([one async for one in answer]).splitlines()
    assert len(lines) == AHEAD + 1
    assert json.loads(lines[-1])["problem"]["code"] == "unavailable"
