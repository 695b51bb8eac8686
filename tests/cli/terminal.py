"""Runs the console script as a process of its own, with an environment of its own, bounded in time."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

SCRIPT = Path(sys.executable).parent / "licet"
ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


class Shop(NamedTuple):
    """A running server, its first keys, its home, and the owner's way into its database."""

    url: str
    keys: dict[str, str]
    home: Path
    dsn: str

    def run(self, *arguments: str, stdin: str | None = "", workspace: str = "test") -> Ran:
        """Run a command against the server with the workspace's first key."""
        return licet(*arguments, env={"LICET_URL": self.url, "LICET_KEY": self.keys[workspace]}, stdin=stdin)

    def at_home(self, *arguments: str, stdin: str | None = "") -> Ran:
        """Run a command on the server's machine: it finds address, keys and database by itself."""
        return licet(*arguments, env={"LICET_HOME": str(self.home), "LICET_DATABASE_URL": self.dsn}, stdin=stdin)


class _Forks:
    """The process that forks for commands, started at the first one of a test process."""

    def __init__(self) -> None:
        self.channel: socket.socket | None = None

    def run(self, asked: dict[str, Any], streams: list[int], timeout: float) -> int:
        """Run one command on three descriptors and return its exit code; kills it after ``timeout`` seconds."""
        channel = self._open()
        socket.send_fds(channel, [json.dumps(asked).encode()], streams)
        answers = channel.makefile("rb")
        child = json.loads(answers.readline())["pid"]
        timer = threading.Timer(timeout, os.killpg, (child, signal.SIGKILL))
        timer.start()
        try:
            code = int(json.loads(answers.readline())["code"])
        finally:
            timer.cancel()
        if code == -signal.SIGKILL:
            raise AssertionError(f"licet {' '.join(asked['arguments'])} was killed after {timeout} seconds at most")
        return code

    def _open(self) -> socket.socket:
        if self.channel is None:
            self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            subprocess.Popen(
                [sys.executable, "-m", "tests.cli.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            assert self.channel.recv(3) == b"{}\n"
        return self.channel


FORKS = _Forks()


def licet(
    *arguments: str,
    env: dict[str, str] | None = None,
    stdin: str | None = "",
    cwd: Path | None = None,
    timeout: float = 60,
) -> Ran:
    """Run ``licet`` without any LICET_ variable but those given; standard input is empty unless said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    asked = {"arguments": arguments, "env": {**clean, **(env or {})}, "cwd": str(cwd or Path.cwd())}
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin or "")
        given.seek(0)
        code = FORKS.run(asked, [given.fileno(), out.fileno(), err.fileno()], timeout)
        out.seek(0)
        err.seek(0)
        return Ran(code, out.read().decode(), err.read().decode())
