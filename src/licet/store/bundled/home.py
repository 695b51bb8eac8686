"""The folder a bundled server lives in: its layout, who may enter it, and the lock that gives it one owner."""

import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import tempfile
from pathlib import Path

from licet.store.bundled.account import Account, choose_account
from licet.store.bundled.errors import OWN_DATABASE, BundledError

ROOT_HOMES = Path("/var/lib/licet")
MARKER = "licet-home"
# A socket's whole path must stay below 108 bytes (sun_path); its name takes up to 20 of them.
LONGEST_SOCKET_DIR = 80


def default_home(checkout: Path, *, data_home: Path | None = None) -> Path:
    """Where the data of `checkout` lives: /var/lib/licet for a root that can drop to another user, else the XDG folder.

    `data_home` is the caller's XDG_DATA_HOME; without it the user's own from the user database, else the checkout's
    `.cache`.
    """
    name = hashlib.sha256(os.fsencode(checkout.resolve())).hexdigest()[:12]
    if os.geteuid() == 0 and choose_account().how == "switch":
        return ROOT_HOMES / name
    if data_home is not None:
        return data_home / "licet" / name
    with contextlib.suppress(KeyError):
        own = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if own.is_dir() and os.access(own, os.W_OK):
            return own / ".local" / "share" / "licet" / name
    return checkout.resolve() / ".cache" / "licet" / name


class Home:
    """The files of one home. For a root that drops to another user, only `data`, `run` and what initdb reads are that
    user's; lock, endpoint, secret, log and programs stay root's, so that the server's user cannot redirect them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.data = self.path / "data"
        self.run = self.path / "run"
        self.log = self.path / "postgres.log"
        self.lock = self.path / "lock"
        self.endpoint = self.path / "endpoint.json"
        self.secret = self.path / "secret"
        self.port = self.path / "port"
        self.socket_note = self.path / "socket-dir"

    def data_major(self) -> int | None:
        """The major version that made the data directory, None while there is none."""
        try:
            return int((self.data / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise BundledError(
                f"{self.data / 'PG_VERSION'} is not a version number: the data directory is damaged"
            ) from error

    def prepare(self, account: Account) -> None:
        """Create the home for `account`; refuses a folder with foreign content and one the account cannot enter."""
        shared = account.how == "switch"
        # Content first, then the marker, which is every home's first file: another process may be making this home now.
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / MARKER).exists():
            raise BundledError(
                f"{self.path} is not empty and not a home of Licet's: choose another folder, or empty it"
            )
        try:
            for folder in reversed(self.path.parents):
                if not folder.exists():
                    _make(folder, 0o755 if shared else 0o700)
            _make(self.path, 0o711 if shared else 0o700)
            (self.path / MARKER).touch(mode=0o600)
        except PermissionError as error:
            raise BundledError(
                f"the home {self.path} cannot be created ({error.strerror}: {error.filename}): "
                f"choose a folder you may write to, {OWN_DATABASE}"
            ) from error
        barrier = account.barrier(self.path)
        if barrier is not None:
            raise BundledError(
                f"the account {account.name}, which must run PostgreSQL, may not enter {barrier}: "
                f"choose a home outside of it (the default below {ROOT_HOMES} is), {OWN_DATABASE}"
            )

    def socket_directory(self, account: Account) -> Path:
        """An empty folder (mode 0700) for the server's socket, below the home or, where that is too long, in /tmp."""
        self.drop_socket_directory()
        if len(os.fsencode(self.run)) <= LONGEST_SOCKET_DIR:
            self.run.mkdir(mode=0o700)
            folder = self.run
        else:
            folder = Path(tempfile.mkdtemp(prefix="licet-", dir="/tmp"))
            self.socket_note.write_text(str(folder))
        account.own(folder)
        return folder

    def drop_socket_directory(self) -> None:
        """Remove what an earlier run left for its sockets; the caller holds the lock and no server runs."""
        if self.socket_note.exists():
            shutil.rmtree(self.socket_note.read_text(), ignore_errors=True)
            self.socket_note.unlink()
        if self.run.exists():
            shutil.rmtree(self.run)


def _make(folder: Path, mode: int) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(mode)


class Lock:
    """The flock on a home, held for life by the process that owns its server; `token` names this holding."""

    def __init__(self, handle: int, token: str) -> None:
        self._handle = handle
        self.token = token

    @classmethod
    def take(cls, path: Path) -> "Lock | None":
        """Take the lock without waiting; None while another process (or another Bundled) holds it."""
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return None
            if _same(handle, path):
                break
            os.close(handle)
        token = secrets.token_hex(8)
        os.ftruncate(handle, 0)
        os.pwrite(handle, token.encode(), 0)
        return cls(handle, token)

    def release(self) -> None:
        """Give the lock up; calling it twice is harmless."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def held_token(path: Path) -> str:
    """The token last written by a holder; empty when there is none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _same(handle: int, path: Path) -> bool:
    # The file may have been removed with its home between open and flock.
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)
