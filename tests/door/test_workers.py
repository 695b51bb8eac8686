"""Real processes: several workers on one socket, one killed, a calm end, and a client that never reads."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.api.house import MERIDIAN
from tests.cli.terminal import SCRIPT
from tests.door.wire import CHECK, QUESTION, Told, Wire, request, wire
from tests.store.databases import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PATIENCE = 40.0


class Server:
    """A running ``licet up`` with its first key."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path) -> None:
        self.process = process
        self.url = str(json.loads((home / "server.json").read_text())["url"])
        self.secret = str(json.loads((home / "keys.json").read_text())["test"])

    @property
    def workers(self) -> list[int]:
        """The process ids of those that answer."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
                command = (stat.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and b"licet.cli.team" in command and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return sorted(found)

    async def ask(self, method: str, path: str, value: Any = None, **more: Any) -> Told:
        """Ask on a connection of its own."""
        async with wire(self.url) as line:
            return await line.ask(request(self.secret, value, method=method, path=path, **more))

    async def metrics(self) -> tuple[str, str]:
        """Ask for the numbers on a connection of its own; returns which worker told them, too."""
        text = (await self.ask("GET", "/metrics", body=b"")).body.decode()
        found = re.search(r'^licet_worker\{worker="(\d+)"\} 1\.0$', text, re.MULTILINE)
        return (found[1] if found else ""), text


def launch(home: Path, dsn: str, *arguments: str) -> Server:
    """Start ``licet up`` on a free port."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    rate = {"LICET_RATE_PER_SECOND": "0", "LICET_LOG_LEVEL": "warning"}
    env = clean | rate | {"LICET_HOME": str(home), "LICET_DATABASE_URL": dsn, "LICET_PORT": "0"}
    with (home.parent / "log").open("wb") as log:
        process = subprocess.Popen([str(SCRIPT), "up", *arguments], stdout=log, stderr=log, env=env)
    ends = time.monotonic() + PATIENCE
    while not (home / "server.json").exists() and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.05)
    assert process.poll() is None, (home.parent / "log").read_text()
    return Server(process, home)


async def begin(home: Path, dsn: str, *arguments: str) -> Server:
    """Start ``licet up`` and sell a customer something."""
    server = launch(home, dsn, *arguments)
    if (await server.ask("GET", "/v1/catalog", body=b"")).status != 200:
        yaml = {"Content-Type": "application/yaml"}
        told = await server.ask("PUT", "/v1/catalog?base=0", body=MERIDIAN.read_bytes(), more=yaml)
        assert told.status == 200, told.body
        order = {"source": "crm", "external_id": "d", "customer": {"id": "acme"}, "occurred_at": "2026-08-01T00:00:00Z"}
        assert (await server.ask("POST", "/v1/orders", {**order, "lines": [{"plan": "team"}]})).status == 200
    return server


async def ended(server: Server, sign: int = signal.SIGTERM) -> float:
    """Tell a server to stop; returns how many seconds that took."""
    began = time.monotonic()
    server.process.send_signal(sign)
    await asyncio.to_thread(server.process.wait, PATIENCE)
    assert server.process.returncode == 0
    return time.monotonic() - began


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with two workers for the tests of this module."""
    server = await begin(tmp_path_factory.mktemp("team") / "home", module_database.dsn, "--workers", "2")
    yield server
    if server.process.poll() is None:
        await ended(server)


async def test_each_worker_says_which_it_is(team: Server) -> None:
    """Two processes answer on one address; the metrics of each name it."""
    assert len(team.workers) == 2
    lines = [await Wire.to(team.url) for _ in range(30)]
    found = set()
    for line in lines:
        told = await line.ask(request(team.secret, method="GET", path="/metrics", body=b""))
        named = re.search(r'licet_worker\{worker="(\d)"\} 1\.0', told.body.decode())
        assert named is not None
        found.add(named[1])
        await line.close()
    assert found <= {"1", "2"}
    assert found


async def test_a_write_to_one_worker_is_seen_by_the_other(team: Server) -> None:
    """With ``at_least`` of a write every worker answers from that write on; without, a moment later, hot too."""
    lines = [await Wire.to(team.url) for _ in range(16)]
    for turn in range(5):
        value = {"roles": [], "attributes": {"turn": turn}}
        written = await lines[turn].ask(request(team.secret, value, method="PUT", path="/v1/customers/acme/users/ann"))
        seq = written.value["seq"]
        for line in lines:
            told = await line.ask(request(team.secret, path=f"{CHECK}?at_least={seq}"))
            assert told.status == 200
            assert int(told.value["basis"].partition(":")[2]) >= seq
        ends = time.monotonic() + 2
        for line in lines:
            while int((await line.ask(request(team.secret))).value["basis"].partition(":")[2]) < seq:
                assert time.monotonic() < ends
                await asyncio.sleep(0.005)
    for line in lines:
        await line.close()


async def test_a_killed_worker_is_started_again_and_others_answer(team: Server) -> None:
    """One worker killed -9: 40 of 40 new requests are answered at once, and soon two workers answer again."""
    before = team.workers
    os.kill(before[0], signal.SIGKILL)
    answers = [await team.ask("POST", CHECK, QUESTION) for _ in range(40)]
    assert [one.status for one in answers] == [200] * 40
    await asyncio.to_thread(until, lambda: len(team.workers) == 2)
    after = team.workers
    assert len(after) == 2
    assert before[1] in after
    assert before[0] not in after


async def test_a_stop_answers_what_has_begun(database: Database, tmp_path: Path) -> None:
    """SIGTERM: what is under way, hot and half sent or cold and slow, is answered with ``connection: close``."""
    server = await begin(tmp_path / "home", database.dsn, "--workers", "2")
    whole = request(server.secret)
    async with wire(server.url) as half, wire(server.url) as slow, wire(server.url) as idle:
        for line in (half, slow, idle):
            assert (await line.ask(whole)).status == 200
        await half.send(whole[:-4])
        await slow.send(request(server.secret, path=f"{CHECK}?at_least=999999"))
        await asyncio.sleep(0.1)
        ending = asyncio.create_task(ended(server))
        await asyncio.sleep(0.2)
        first = await half.ask(whole[-4:])
        assert (first.status, first.headers["connection"]) == (200, "close")
        second = await slow.told()
        assert (second.status, second.headers["connection"]) == (503, "close")
        assert await idle.rest() == b""
    assert await ending < 5
    assert server.workers == []


async def test_a_client_that_never_reads(team: Server) -> None:
    """A client that sends for ever and reads no answer costs a few MB, hot or cold; others are answered."""
    for path in (CHECK, f"{CHECK}?at_least=0"):
        async with wire(team.url) as line:
            await line.ask(request(team.secret))
            before = {pid: resident(pid) for pid in team.workers}
            await flood(line, request(team.secret, path=path) * 1000)
            grown = max(resident(pid) - before[pid] for pid in team.workers)
            assert grown < 24 * 2**20, f"{grown / 2**20:.1f} MiB"
            assert (await team.ask("POST", CHECK, QUESTION)).status == 200
            line.writer.transport.abort()


async def test_workers_end_with_the_process_above(team: Server) -> None:
    """The process above killed -9 leaves no worker behind. The last test of the server of this module."""
    workers = team.workers
    assert workers
    team.process.kill()
    team.process.wait()
    await asyncio.to_thread(until, lambda: not any(alive(pid) for pid in workers))


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fails where it does not come."""
    ends = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


async def flood(line: Wire, data: bytes) -> None:
    """Send the same up to 100 times; the other side must stop reading before that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            for _ in range(100):
                await line.send(data)
            pytest.fail("all of it was read")


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
