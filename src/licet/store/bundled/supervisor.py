"""The owner of a bundled server: starts it, shares it with other processes, restarts it when it dies, stops it."""

import atexit
import contextlib
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from licet.seal.private_file import write_private
from licet.store.bundled.account import Account, choose_account
from licet.store.bundled.cluster import ensure_cluster
from licet.store.bundled.endpoint import Endpoint, read_endpoint, write_endpoint
from licet.store.bundled.errors import OWN_DATABASE, BundledError
from licet.store.bundled.home import Home, Lock, held_token
from licet.store.bundled.locate import Binaries, locate
from licet.store.bundled.pidfile import clear_pid_file
from licet.store.bundled.postmaster import PortTakenError, Postmaster, StillInUseError, free_port
from licet.store.bundled.publish import clear_leftovers, publish

PORT_ATTEMPTS = 5
IN_USE_SECONDS = 30.0
CLIENT_POLL_SECONDS = 0.05
FOLLOW_SECONDS = 0.2
FIRST_BACK_OFF = 0.05
LONGEST_BACK_OFF = 10.0
CALM_SECONDS = 60.0

Role = Literal["owner", "client"]

_log = logging.getLogger("licet.store.bundled")


class Bundled:
    """A PostgreSQL of our own in `home`. The first process to start becomes its owner, the others its clients.

    `binaries` is the folder from LICET_PG_BIN, if set; `settings` are server settings over the built-in ones. With
    `restart` a server that dies is started again after a growing pause (0.05 s to 10 s, for ever), and a client takes
    over within a second when the owner goes. Not reentrant: `start` and `stop` belong to one thread.
    """

    def __init__(
        self,
        home: Path,
        *,
        binaries: Path | None = None,
        restart: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = Home(home)
        self._role: Role | None = None
        self.restarts = 0
        self.last_error: BundledError | None = None
        self._explicit = binaries
        self._restart = restart
        self._settings = dict(settings or {})
        self._endpoint: Endpoint | None = None
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._wake = -1
        self._process = os.getpid()

    @property
    def role(self) -> Role | None:
        """`owner` of the server, `client` of another process's, None while stopped."""
        return self._role

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is now (a restart may have moved its port); raises BundledError before `start`."""
        if self._endpoint is None:
            raise BundledError("the bundled PostgreSQL has not been started: call start() first")
        return self._endpoint

    def start(self) -> Endpoint:
        """Return a server that takes connections: our own, or that of the process that holds the home's lock.

        Waits without limit while recovery goes on or the owner is still starting. Raises BundledError otherwise.
        """
        if self.role is not None:
            return self.endpoint
        self.stop()
        if sys.platform != "linux":
            raise BundledError(
                f"the bundled PostgreSQL runs on Linux, not on {sys.platform}: use Linux, {OWN_DATABASE}"
            )
        account = choose_account()
        self.home.prepare(account)
        while True:
            lock = Lock.take(self.home.lock)
            if lock is not None:
                return self._own(lock, account)
            if self._refresh():
                return self._join(account)
            time.sleep(CLIENT_POLL_SECONDS)

    def stop(self) -> None:
        """Stop our server and give up the home; a client only forgets. Harmless when nothing runs."""
        thread, self._thread = self._thread, None
        atexit.unregister(self.stop)
        # A forked child has a copy of this object, but neither the thread nor the server.
        if thread is not None and self._process == os.getpid():
            self._halt.set()
            os.eventfd_write(self._wake, 1)
            thread.join()
            os.close(self._wake)
        self._role, self._endpoint = None, None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _own(self, lock: Lock, account: Account) -> Endpoint:
        first: Future[None] = Future()
        # The kernel ties the server to the thread that started it, so that thread must live as long: not the caller's.
        self._begin(lambda: self._live(lock, account, first))
        try:
            first.result()
        except BaseException:
            self.stop()
            raise
        return self.endpoint

    def _join(self, account: Account) -> Endpoint:
        self._role = "client"
        if self._restart:
            self._begin(lambda: self._follow(account))
        return self.endpoint

    def _begin(self, work: Callable[[], None]) -> None:
        self._halt.clear()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._process = os.getpid()
        self._thread = threading.Thread(target=work, name="licet-postgres", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def _refresh(self) -> bool:
        shared = read_endpoint(self.home.endpoint)
        if shared is None or shared.token != held_token(self.home.lock) or not shared.answers():
            return False
        self._endpoint = shared
        return True

    def _follow(self, account: Account) -> None:
        pause = FOLLOW_SECONDS
        while not self._halt.wait(pause):
            pause = FOLLOW_SECONDS
            lock = self._inherit()
            if lock is None:
                self._refresh()
                continue
            _log.warning("the owner of the bundled PostgreSQL in %s is gone; taking over", self.home.path)
            first: Future[None] = Future()
            self._live(lock, account, first)
            error = first.exception()
            if error is not None:
                self.last_error = BundledError(f"taking over the bundled PostgreSQL failed: {error}")
                _log.error("%s", self.last_error)
                self._role, pause = "client", LONGEST_BACK_OFF

    def _inherit(self) -> Lock | None:
        # Where somebody removed the whole home there is nothing to inherit, and nothing to make anew unasked.
        if not self.home.data.exists():
            return None
        try:
            return Lock.take(self.home.lock)
        except FileNotFoundError:
            return None

    def _live(self, lock: Lock, account: Account, first: "Future[None]") -> None:
        try:
            try:
                _unpublish(self.home)
                server = self._launch(lock, account)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
                first.set_exception(error)
                return
            self._role = "owner"
            first.set_result(None)
            self._keep(server, lock, account)
        finally:
            self._role = None
            _unpublish(self.home)
            with contextlib.suppress(OSError):
                self.home.drop_socket_directory()
            lock.release()

    def _keep(self, server: Postmaster, lock: Lock, account: Account) -> None:
        pause = FIRST_BACK_OFF
        while True:
            since = time.monotonic()
            self._until_ended(server)
            if self._halt.is_set():
                server.stop()
                return
            code = server.child.wait()
            _unpublish(self.home)
            self.last_error = BundledError(f"the bundled PostgreSQL ended by itself (code {code}); see {self.home.log}")
            if not self._restart:
                _log.error("%s", self.last_error)
                return
            if time.monotonic() - since > CALM_SECONDS:
                pause = FIRST_BACK_OFF
            again = self._relaunch(lock, account, pause)
            if again is None:
                return
            server, pause = again

    def _relaunch(self, lock: Lock, account: Account, pause: float) -> tuple[Postmaster, float] | None:
        while True:
            _log.warning("%s; starting it again in %.2f s", self.last_error, pause)
            if self._halt.wait(pause):
                return None
            pause = min(pause * 2, LONGEST_BACK_OFF)
            try:
                server = self._launch(lock, account)
            except BundledError as error:
                self.last_error = error
                continue
            self.restarts += 1
            return server, pause

    def _until_ended(self, server: Postmaster) -> None:
        process = os.pidfd_open(server.child.pid)
        try:
            waiter = select.poll()
            waiter.register(process, select.POLLIN)
            waiter.register(self._wake, select.POLLIN)
            waiter.poll()
        finally:
            os.close(process)

    def _launch(self, lock: Lock, account: Account) -> Postmaster:
        home = self.home
        found = locate(self._explicit, data_major=home.data_major())
        if home.data.exists():
            clear_pid_file(home.data)
        binaries = publish(found, account, home.path)
        clear_leftovers(home.path, keep=binaries.folder)
        password = ensure_cluster(home, binaries, account)
        server = self._bind(binaries, account)
        self._endpoint = Endpoint(
            socket_dir=str(server.socket_dir),
            port=server.port,
            password=password,
            version=binaries.version,
            owner=os.getpid(),
            token=lock.token,
        )
        write_private(home.port, str(server.port).encode())
        write_endpoint(home.endpoint, self._endpoint)
        return server

    def _bind(self, binaries: Binaries, account: Account) -> Postmaster:
        port, attempts = _last_port(self.home.port) or free_port(), 0
        patience = time.monotonic() + IN_USE_SECONDS
        while True:
            try:
                return Postmaster.start(
                    self.home, binaries, account, port, settings=self._settings, cancelled=self._halt.is_set
                )
            except PortTakenError as error:
                attempts += 1
                if attempts > PORT_ATTEMPTS:
                    raise BundledError(
                        f"no free loopback port found in {attempts} attempts, the last was {port}"
                    ) from error
                port = free_port()
            except StillInUseError:
                if time.monotonic() > patience:
                    raise
                time.sleep(CLIENT_POLL_SECONDS)
                clear_pid_file(self.home.data)


def _last_port(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _unpublish(home: Home) -> None:
    with contextlib.suppress(FileNotFoundError):
        home.endpoint.unlink()
