"""The chapter about owned quota: eight processes decide by themselves, and half of them are killed while they do."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from licet.cli.demo.program import TALLY
from licet.cli.demo.stage import Stage
from licet.cli.demo.teller import Teller, Watch
from licet.cli.failure import Failure
from licet.cli.remote import segment

PROCESSES: Final = 8
KILLED: Final = 4
LEFT: Final = 10_000
"""Calls that are left when they begin."""
CUSTOMER: Final = "hooli"
FEATURE: Final = "api_calls"
PATIENCE_SECONDS: Final = 40.0


def the_kills(stage: Stage, teller: Teller) -> None:
    """Let eight processes use up what is left, each deciding by itself; kill half of them; count every unit."""
    teller.chapter(
        "The same cap, decided in eight processes by themselves",
        "Each owns a small slice that nobody else can spend: no shared counter, and nobody is asked.",
    )
    left = int(_balance(stage)["remaining"])
    body = {"customer": CUSTOMER, "feature": FEATURE, "quantity": left - LEFT}
    stage.remote.call("POST", "/v1/consume", body)
    before = _balance(stage)
    teller.step(
        f"{CUSTOMER} has used all but {LEFT:,} API calls", f"{LEFT:,} left", f"{int(before['remaining']):,} left"
    )
    watch = Watch()
    with TemporaryDirectory(prefix="licet-demo-") as made, _programs(stage, Path(made)) as programs:
        while sum(one.allowed for one in programs) < LEFT // 3 and watch.ms < 10_000:
            time.sleep(0.02)
        for one in programs[:KILLED]:
            one.kill()
        so_far = sum(one.allowed for one in programs)
        teller.aside(f"after {so_far:,} calls {KILLED} of them are killed (kill -9) in the middle of their slices")
        for one in programs[:KILLED]:
            one.start()
        teller.aside("they are started again, find what they left on disk, and tell it")
        for one in programs:
            one.wait()
        spent = watch.ms
        _outcomes(stage, teller, programs, int(before["used"]), spent)


def _outcomes(stage: Stage, teller: Teller, programs: "list[_Program]", used_before: int, ms: float) -> None:
    """Compare what the programs counted with what the server holds."""
    allowed = sum(one.allowed for one in programs)
    balance = _balance(stage)
    off, left = int(balance.get("written_off", 0)), int(balance["remaining"])
    known = int(balance["used"]) - used_before - off - int(balance.get("leased", 0))
    beyond = f"{max(0, allowed - LEFT)} beyond the cap"
    teller.step(f"{PROCESSES} processes use what they can", "0 beyond the cap", beyond, ms=ms)
    teller.aside(f"by their own count they were allowed {allowed:,}; the server knows of {known:,}")
    total = known + off + left
    teller.step("used, written off and left, together", f"{LEFT:,}", f"{total:,}")
    teller.aside(f"{known:,} used · {off:,} written off, for the kills left them in doubt · {left:,} left")
    local = sum(one.local for one in programs)
    each = median(one.nanoseconds for one in programs) / 1000
    teller.aside(f"{local:,} of {allowed:,} were decided in the process, half of them within {each:.0f} µs")
    most = "at least 9 of 10" if local * 10 >= allowed * 9 else "fewer than 9 of 10"
    teller.step("decided without asking the server", "at least 9 of 10", most)


class _Program:
    """One of the programs, as a process that can be killed and started again."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._tally = folder, folder / "tally"
        self._tally.write_bytes(bytes(TALLY.size))
        self._server = f"{stage.remote.url} {stage.remote.key}\n".encode()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def allowed(self) -> int:
        """What it was allowed so far, by its own count."""
        return self._counts()[0]

    @property
    def local(self) -> int:
        """Of that, what it decided by itself."""
        return self._counts()[1]

    @property
    def nanoseconds(self) -> int:
        """What half of these decisions took at most."""
        return self._counts()[2]

    def start(self) -> None:
        """Begin, or go on after a kill."""
        given = (str(self._folder), str(self._tally), CUSTOMER, FEATURE)
        command = [sys.executable, "-m", "licet.cli.demo.program", *given]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        if self._process.stdin is not None:
            self._process.stdin.write(self._server)
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def wait(self) -> None:
        """Let it end; raises Failure where it cannot."""
        if self._process is None:
            return
        try:
            _, said = self._process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failure("a program of the demo does not end", advice="run the demo again", code="ended") from None
        if self._process.returncode:
            words = said.decode(errors="replace").strip().splitlines()
            raise Failure(f"a program of the demo failed: {words[-1] if words else 'nothing was said'}", code="ended")

    def _counts(self) -> tuple[int, int, int]:
        allowed, local, spent = TALLY.unpack(self._tally.read_bytes())
        return allowed, local, spent


@contextmanager
def _programs(stage: Stage, folder: Path) -> "Iterator[list[_Program]]":
    """The programs, begun; whatever happens, none is left running."""
    programs = [_Program(stage, folder / str(number)) for number in range(PROCESSES)]
    try:
        for one in programs:
            one.start()
        yield programs
    finally:
        for one in programs:
            one.kill()


def _balance(stage: Stage) -> dict[str, Any]:
    path = f"/v1/customers/{segment(CUSTOMER)}/balances/{segment(FEATURE)}"
    balance: dict[str, Any] = stage.remote.call("GET", path)
    return balance
