"""What `postmaster.pid` says, whether that server is alive, and how one left behind is stopped."""

import contextlib
import os
import select
import signal
import time
from pathlib import Path

import msgspec

from licet.store.bundled.errors import BundledError

Steps = tuple[tuple[signal.Signals, float], ...]

# Fast, immediate, by force, and how many seconds each may take.
SERVER_STEPS: Steps = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 5.0))
# A backend without a postmaster has nothing to finish.
BACKEND_STEPS: Steps = ((signal.SIGQUIT, 2.0), (signal.SIGKILL, 5.0))
READY_LINE = 7


class PidFile(msgspec.Struct, frozen=True, kw_only=True):
    """The two lines of `postmaster.pid` that count: the process and whether it takes connections."""

    pid: int
    ready: bool


def read_pid_file(data: Path) -> PidFile | None:
    """The pid file of `data`; None when absent or not yet written far enough to name a process."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        # A single-user backend writes its process id negative.
        pid = abs(int(lines[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None
    return PidFile(pid=pid, ready=len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready")


def serves(pid: int, data: Path) -> bool:
    """Whether process `pid` is a living PostgreSQL of this data directory: not a zombie, not a reused number."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        if state in {"Z", "X"}:
            return False
        try:
            program = (process / "exe").readlink().name.removesuffix(" (deleted)")
            return program == "postgres" and os.path.samestat((process / "cwd").stat(), data.stat())
        except PermissionError:
            # One of a sibling user namespace shows no links; its command line still names the directory.
            words = (process / "cmdline").read_bytes().split(b"\0")
            return Path(os.fsdecode(words[0])).name == "postgres" and os.fsencode(data) in words
    except (FileNotFoundError, ProcessLookupError):
        return False


def clear_pid_file(data: Path) -> bool:
    """Make `data` startable: stop a server left behind, remove a stale pid file. True when one had to be stopped.

    The caller holds the home's lock, so whatever runs there has lost its owner. It is stopped rather than adopted,
    because a process that is not our child cannot be reaped nor tied to our life.
    """
    found = read_pid_file(data)
    stopped = found is not None and _stop(found.pid, data, SERVER_STEPS)
    # A killed postmaster's backends notice within moments, but may outlive the start of a new one.
    for pid in _survivors(data):
        stopped = _stop(pid, data, BACKEND_STEPS) or stopped
    with contextlib.suppress(FileNotFoundError):
        (data / "postmaster.pid").unlink()
    return stopped


def _survivors(data: Path) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if serves(pid, data)]


def _stop(pid: int, data: Path, steps: Steps) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # From here on the number cannot be reused under our hands: look again before sending anything.
        if not serves(pid, data):
            return False
        for sign, seconds in steps:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, sign)
            if _ended(handle, seconds):
                return True
    except PermissionError as error:
        raise BundledError(
            f"process {pid} runs PostgreSQL in {data} without an owner and this user may not stop it: stop it by hand"
        ) from error
    finally:
        os.close(handle)
    raise BundledError(f"process {pid} runs PostgreSQL in {data} and does not end: stop it by hand and start again")


def _ended(handle: int, seconds: float) -> bool:
    waiter = select.poll()
    waiter.register(handle, select.POLLIN)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if waiter.poll(left * 1000):
            return True
    return False
