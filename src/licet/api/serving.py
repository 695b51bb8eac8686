"""Answering HTTP on a socket that somebody else has bound: uvicorn on uvloop and httptools, told when to stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from msgspec import Struct

from licet.door.hot import hot_protocol

_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75


class Manner(Struct, frozen=True, kw_only=True):
    """How to answer: with which certificate, and how long requests under way may take when it is to stop."""

    tls_cert: Path | None = None
    tls_key: Path | None = None
    shutdown_seconds: int = 10
    keep_alive_seconds: int = _KEEP_ALIVE_SECONDS
    """How long a connection may be idle between two requests."""


class NotStarted(Exception):
    """The server ended before it took its first request; the log says why."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the caller, who also has a database to stop, in order."""
        yield


@asynccontextmanager
async def serving(app: Any, bound: socket.socket, manner: Manner) -> AsyncIterator[int]:
    """Answer on a bound socket as long as the block lasts; yields the port. Then requests under way may end.

    Where the application has ``hot`` routes, those are answered before it.
    """
    config = uvicorn.Config(
        app,
        loop="none",  # the caller's loop runs already
        http="httptools" if (hot := getattr(app, "hot", None)) is None else hot_protocol(hot),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=manner.keep_alive_seconds,
        timeout_graceful_shutdown=manner.shutdown_seconds,
        backlog=_BACKLOG,
        ssl_certfile=None if manner.tls_cert is None else str(manner.tls_cert),
        ssl_keyfile=None if manner.tls_key is None else str(manner.tls_key),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]), name="licet-server")
    try:
        while not server.started:
            if task.done():
                await task
                raise NotStarted("the server ended before it began; its log says why")
            await asyncio.sleep(0.005)
        yield int(bound.getsockname()[1])
    finally:
        if (leave := getattr(app, "leave", None)) is not None:
            leave()
        server.should_exit = True
        await task


@contextlib.contextmanager
def bound_socket(host: str, port: int) -> Generator[socket.socket, None, None]:
    """Give a TCP socket bound to an address; raises OSError that says what to do where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio does not see TCP in it and leaves Nagle's delay on: 40 ms for every small answer.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            words = f"cannot listen on {host}:{port}: {error.strerror}; choose another port"
            raise OSError(error.errno, words) from None
        yield sock
