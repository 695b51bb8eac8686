"""One server process: started tied to our life, watched until it is ready, stopped and reaped."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from licet.store.bundled.account import Account
from licet.store.bundled.endpoint import LOOPBACK
from licet.store.bundled.errors import BundledError
from licet.store.bundled.home import Home
from licet.store.bundled.locate import Binaries
from licet.store.bundled.pidfile import read_pid_file
from licet.store.bundled.tether import tether

SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    "password_encryption": "scram-sha-256",
    "cluster_name": "licet",
}
LONGEST_LOG_BYTES = 8 * 1024 * 1024
POLL_SECONDS = 0.005
TAIL_LINES = 15
FAST_SECONDS = 30.0
IMMEDIATE_SECONDS = 15.0


class PortTakenError(BundledError):
    """Another program holds the port; a new one is worth a try."""


class StillInUseError(BundledError):
    """What is left of the previous server still holds its shared memory; a moment's wait is worth a try."""


class Postmaster:
    """A running server of `home`, our child. Threads: the one that starts it must live as long as it should."""

    def __init__(self, child: subprocess.Popen[bytes], port: int, socket_dir: Path) -> None:
        self.child = child
        self.port = port
        self.socket_dir = socket_dir

    @classmethod
    def start(
        cls,
        home: Home,
        binaries: Binaries,
        account: Account,
        port: int,
        *,
        settings: Mapping[str, str],
        cancelled: Callable[[], bool],
    ) -> "Postmaster":
        """Start a server on `port` and return once it takes connections, however long its recovery takes.

        Raises PortTakenError, StillInUseError or BundledError when it ends instead, or when `cancelled` turns true.
        """
        sockets = home.socket_directory(account)
        chosen = {**SETTINGS, **settings, "port": str(port), "unix_socket_directories": str(sockets)}
        command = [str(binaries.folder / "postgres"), "-D", str(home.data)]
        for name, value in chosen.items():
            command += ["-c", f"{name}={value}"]
        _rotate(home.log)
        with home.log.open("ab") as log:
            mark = log.tell()
            child = subprocess.Popen(
                account.command(command),
                env=binaries.environment(home.path),
                cwd="/",
                umask=0o077,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=tether(signal.SIGINT),  # noqa: PLW1509 - see tether
                **account.switch(),
            )
        started = cls(child, port, sockets)
        started._await_ready(home, mark, cancelled)
        return started

    def _await_ready(self, home: Home, mark: int, cancelled: Callable[[], bool]) -> None:
        while self.child.poll() is None:
            found = read_pid_file(home.data)
            if found is not None and found.ready and found.pid == self.child.pid:
                return
            if cancelled():
                self.stop()
                raise BundledError("the start of the bundled PostgreSQL was cancelled")
            time.sleep(POLL_SECONDS)
        said = _tail(home.log, mark)
        if "could not bind" in said or "could not create any TCP/IP sockets" in said:
            raise PortTakenError(f"port {self.port} is taken")
        if "pre-existing shared memory block" in said:
            raise StillInUseError(f"the previous server of {home.data} has not ended yet")
        code = self.child.returncode
        raise BundledError(f"PostgreSQL ended while starting (code {code}); its log, {home.log}, ends with:\n{said}")

    def stop(self) -> None:
        """Stop the server and reap it: fast, then immediate, then by force; its data stay consistent in each case."""
        for sign, seconds in (
            (signal.SIGINT, FAST_SECONDS),
            (signal.SIGQUIT, IMMEDIATE_SECONDS),
            (signal.SIGKILL, None),
        ):
            self.child.send_signal(sign)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LONGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)


def _tail(log: Path, mark: int) -> str:
    with log.open("rb") as lines:
        lines.seek(mark)
        text = lines.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-TAIL_LINES:])
