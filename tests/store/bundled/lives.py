"""Servers owned by processes of their own, under other users or none, for the tests to end in unkind ways."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import asyncpg
import msgspec

from licet.store.bundled import Endpoint
from licet.store.bundled.account import Account
from licet.store.bundled.locate import locate
from licet.store.bundled.publish import publish
from tests.store.databases import in_thread, scratch

NAMELESS_UID = 12345
NOBODY_UID = 65534
PATIENCE_SECONDS = 30.0

# Everything is imported before the user changes: the checkout may be closed to the new one.
OWNER = """
import json, os, pathlib, sys, encodings.idna, msgspec
from licet.store.bundled import Bundled
from licet.store.bundled.errors import BundledError
order = json.loads(sys.argv[1])
if order["uid"] is not None:
    os.setgroups([])
    os.setgid(order["uid"])
    os.setuid(order["uid"])
binaries = order["binaries"]
bundled = Bundled(pathlib.Path(order["home"]), binaries=None if binaries is None else pathlib.Path(binaries))
try:
    answer = {"endpoint": msgspec.to_builtins(bundled.start()), "role": bundled.role}
except BundledError as error:
    answer = {"error": str(error)}
print(json.dumps(answer), flush=True)
sys.stdin.read()
bundled.stop()
"""


class Life:
    """A process that starts a Bundled and keeps it until told to finish, or killed."""

    def __init__(
        self, home: Path, *, binaries: Path | None, uid: int | None = None, before: Sequence[str] = ()
    ) -> None:
        order = {"home": str(home), "binaries": None if binaries is None else str(binaries), "uid": uid}
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", OWNER, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def answer(self) -> dict[str, object]:
        """What the process said once its start had succeeded or failed."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the owner said nothing, code {self.process.wait()}"
        said: dict[str, object] = json.loads(line)
        return said

    def endpoint(self) -> Endpoint:
        """Its server; fails the test when the start failed."""
        said = self.answer()
        assert "error" not in said, said.get("error")
        return msgspec.convert(said["endpoint"], Endpoint)

    def error(self) -> str:
        """The message of the failed start; fails the test when it succeeded."""
        said = self.answer()
        assert "error" in said, "the start succeeded"
        return str(said["error"])

    def finish(self) -> int:
        """Let the process stop its server and end; returns its exit code."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as the out-of-memory killer does it."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.finish()


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder with a short path that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="licet-", dir=scratch()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_home(made: Path, target: Path) -> Path:
    """A copy of the stopped home `made`, owners and modes kept: quicker than another initdb."""
    subprocess.run(["cp", "-a", str(made), str(target)], check=True)
    return target


def folder_of(uid: int, below: Path) -> Path:
    """A folder of user `uid`, closed to others."""
    folder = below / f"of-{uid}"
    folder.mkdir(mode=0o700)
    os.chown(folder, uid, uid)
    return folder


def reachable_binaries(place: Path, explicit: Path | None) -> Path:
    """Programs that any user can run: where they are, or copied into `place` when the checkout is closed."""
    if os.geteuid() != 0:
        return locate(explicit).folder
    return publish(locate(explicit), _nobody(), place).folder


def _nobody() -> Account:
    return Account(uid=NOBODY_UID, gid=NOBODY_UID, name="nobody", how="switch", inner_uid=NOBODY_UID)


def postmaster_of(home: Path) -> int:
    """The process id in the pid file."""
    return int((home / "data" / "postmaster.pid").read_text().splitlines()[0])


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for `condition` and return how long it took; fails the test after `seconds`."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - start


def query(dsn: str, statement: str) -> object:
    """Run one statement on a connection of its own and return the first column of the first row."""

    async def run() -> object:
        conn = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
        try:
            return await conn.fetchval(statement)
        finally:
            await conn.close()

    return in_thread(run)


def remember(endpoint: Endpoint) -> None:
    """Commit a row that a later server must still have."""
    query(endpoint.admin_dsn(), "CREATE TABLE kept AS SELECT 42 AS answer")


def remembered(endpoint: Endpoint) -> bool:
    """Whether the row of `remember` is there."""
    return query(endpoint.admin_dsn(), "SELECT answer FROM kept") == 42
