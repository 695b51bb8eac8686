"""Several processes that answer on one socket: the one above holds socket, database and home, and answers nothing.

A worker that dies is started again; whoever was connected to it connects anew, and others answer meanwhile. A worker
ends with the process above it, however that ends.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from licet.settings import Settings
from licet.telemetry import log
from licet.wiring import Place, Started, database, run, serve_as_worker, storage_at, tell, told_to_stop

START_SECONDS: Final = 60.0
SOON_SECONDS: Final = 5.0
"""A worker that lives shorter than this is started again after a growing pause."""
LONGEST_PAUSE: Final = 10.0
_FIRST_PAUSE: Final = 0.1
_READY: Final = b"ready\n"
_GRACE_SECONDS: Final = 5.0


class WorkerError(Exception):
    """A worker ended before it took its first request; its log says why."""


class Post(Struct, frozen=True, kw_only=True):
    """What a worker is told at its beginning, on its standard input."""

    settings: Settings
    place: Place
    socket: int
    number: int


class Team:
    """The workers of one server, numbered from 1."""

    def __init__(self, settings: Settings, place: Place, bound: socket.socket, many: int) -> None:
        self._settings = settings
        self._place = place
        self._bound = bound
        self._many = many
        self._keepers: list[asyncio.Task[None]] = []
        self._living: dict[int, asyncio.subprocess.Process] = {}
        self._ending = False

    async def begin(self) -> None:
        """Start all workers; returns once each takes requests, and raises WorkerError where one does not."""
        await asyncio.gather(*(self._start(number) for number in range(1, self._many + 1)))
        self._keepers = [asyncio.create_task(self._keep(number)) for number in range(1, self._many + 1)]

    async def end(self) -> None:
        """Let every worker answer what it has begun, and wait until all are gone."""
        self._ending = True
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(self._stop(process) for process in self._living.values()))

    async def _start(self, number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "licet.cli.team",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(self._bound.fileno(),),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends them in order
        )
        self._living[number] = process
        if process.stdin is None or process.stdout is None:
            raise AssertionError("pipes were asked for")
        place = Place(dsn=self._place.dsn, home=self._place.home, bundled=False)
        post = Post(settings=self._settings, place=place, socket=self._bound.fileno(), number=number)
        process.stdin.write(msgspec.json.encode(post, enc_hook=str) + b"\n")
        await process.stdin.drain()
        try:
            async with asyncio.timeout(START_SECONDS):
                said = await process.stdout.readline()
        except TimeoutError:
            said = b""
        if said != _READY:
            raise WorkerError(f"worker {number} did not begin to answer; its log says why")

    async def _keep(self, number: int) -> None:
        """Start a worker again whenever it dies."""
        pause, began = _FIRST_PAUSE, time.monotonic()
        while True:
            code = await self._living[number].wait()
            pause = _FIRST_PAUSE if time.monotonic() - began > SOON_SECONDS else min(pause * 2, LONGEST_PAUSE)
            log("licet.cli").warning("a worker died and is started again", worker=number, code=code, seconds=pause)
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._start(number)
            except (WorkerError, OSError) as error:
                log("licet.cli").error("a worker does not begin", worker=number, error=str(error))
                await self._stop(self._living[number])

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(self._settings.shutdown_seconds + _GRACE_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def serve_as_team(settings: Settings, workers: int, started: Started) -> None:
    """Answer with so many workers until SIGINT or SIGTERM; raises what ``serve`` raises, and WorkerError."""
    from licet.api.serving import bound_socket
    from licet.door.listen import check_listen
    from licet.telemetry import configure_logs

    check_listen(settings.host, tls=settings.tls, insecure=settings.insecure_listen)
    configure_logs(settings.log_format, settings.log_level)
    with bound_socket(settings.host, settings.port) as bound, database(settings) as place:
        run(_lead(settings, place, bound, Team(settings, place, bound, workers), started))


async def _lead(settings: Settings, place: Place, bound: socket.socket, team: Team, started: Started) -> None:
    """Prepare the database once, and let workers answer until it is told to stop."""
    async with told_to_stop() as told:
        try:
            async with storage_at(place, settings) as (storage, _):
                await team.begin()
                await tell(started, settings, place, bound, storage)
            await told.wait()
        finally:
            bound.close()  # whoever comes from now on is refused, and does not wait for nobody
            await team.end()


def live() -> int:
    """Be a worker: read the post from standard input, answer until it is closed, return the exit code."""
    post = msgspec.json.decode(sys.stdin.buffer.readline(), type=Post, dec_hook=_decoded)
    threading.Thread(target=_until_orphaned, daemon=True).start()
    with socket.socket(fileno=post.socket) as bound:
        serve_as_worker(post.settings, post.place, bound, post.number, ready=_ready)
    return 0


def _ready() -> None:
    os.write(1, _READY)


def _until_orphaned() -> None:
    # Not through sys.stdin: its lock, held by a thread, would spoil the interpreter's exit.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _decoded(kind: type, value: object) -> object:
    if issubclass(kind, Path):
        return Path(str(value))
    raise TypeError(f"a post holds no {kind}")


if __name__ == "__main__":
    sys.exit(live())
