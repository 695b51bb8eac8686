"""A server of one's own for the demo and for benches: a child process that ends with its parent, whatever happens."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from licet.cli.failure import Failure
from licet.cli.homestead import Homestead
from licet.cli.output import Output
from licet.settings import Settings

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02


class Companion:
    """One `licet up` on ``settings``, which read nothing of the environment. Its log goes to a file without a name."""

    def __init__(self, settings: Settings) -> None:
        from licet.wiring import home_of

        self._settings = settings
        self.home = Homestead(home_of(settings))
        self._child: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id; 0 while there is none."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._child is not None and self._child.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server and return its address once it takes requests; raises Failure with the end of its log."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._child = subprocess.Popen(
            [sys.executable, "-m", "licet.cli.companion"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
        )
        if self._child.stdin is None:
            raise AssertionError("a pipe was asked for")
        self._child.stdin.write(msgspec.json.encode(self._settings, enc_hook=str) + b"\n")
        self._child.stdin.flush()
        try:
            return self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and its database; harmless when nothing runs."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if self._log is not None:
            self._log.close()

    def _wait(self) -> str:
        child = self._child
        patience = time.monotonic() + START_SECONDS
        while child is not None and child.poll() is None and time.monotonic() < patience:
            url = self.home.server_url()
            if url is not None:
                return url
            time.sleep(_POLL_SECONDS)
        raise Failure(
            f"the server of its own did not start: {self._last_words()}",
            advice="`licet up` shows the same problem with more words",
            code="not_started",
        )

    def _last_words(self) -> str:
        if self._log is None:
            return "it said nothing"
        self._log.seek(0)
        lines = self._log.read()[-2000:].decode(errors="replace").strip().splitlines()
        return " ".join(lines[-3:]) or "it said nothing"


def live() -> int:
    """Be the child: read settings from standard input, serve until it is closed, return the exit code."""
    from licet.cli.failure import translate
    from licet.cli.server import run_server

    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings, dec_hook=_decoded)
    threading.Thread(target=_until_orphaned, daemon=True).start()
    # Ctrl-C reaches the parent, which then closes our standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_server(settings, Output(as_json=True, stream=sys.stdout))
    except Exception as error:
        failure = translate(error)
        if failure is None:
            raise
        print(failure.words, file=sys.stderr)
        return 1
    return 0


def _until_orphaned() -> None:
    # Not through sys.stdin: its lock, held by a thread, would spoil the interpreter's exit.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _decoded(kind: type, value: object) -> object:
    if issubclass(kind, Path):
        return Path(str(value))
    raise TypeError(f"settings hold no {kind}")


if __name__ == "__main__":
    sys.exit(live())
