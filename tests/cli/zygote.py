"""A process that has loaded the commands and forks for each one that is run: a process of its own, without the start.

A test that runs a command needs what a person's command has (arguments, environment, folder, three streams, an exit
code), not the tenth of a second in which Python and the modules are loaded. Each command still runs in a process of
its own, which nothing survives. Messages are one JSON object and three file descriptors over a socket.
"""

import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import sys
from typing import Any, Final

LONGEST: Final = 1024 * 1024
"""Bytes of a message: arguments and environment."""


def serve(channel: socket.socket) -> None:
    """Fork for each message until the other side is gone; answers each with the process's id, then its exit code."""
    _load()
    channel.sendall(b"{}\n")
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 3)
        if not message:
            return
        child = os.fork()
        if child == 0:
            channel.close()
            _run(json.loads(message), descriptors)
        for one in descriptors:
            os.close(one)
        channel.sendall(json.dumps({"pid": child}).encode() + b"\n")
        _, status = os.waitpid(child, 0)
        channel.sendall(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


def _load() -> None:
    """Import what commands import when they run."""
    import licet.cli

    for module in pkgutil.walk_packages(licet.cli.__path__, "licet.cli."):
        if not module.name.startswith("licet.cli.bench"):
            importlib.import_module(module.name)


def _run(asked: dict[str, Any], descriptors: list[int]) -> None:
    """Become the command; never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, one in enumerate(descriptors):
            os.dup2(one, place)
            os.close(one)
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        sys.argv = ["licet", *asked["arguments"]]
        sys.stdin = io.TextIOWrapper(io.FileIO(0), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8")
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w")), encoding="utf-8", line_buffering=True)
        from licet.cli.main import main

        main(asked["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 120
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
