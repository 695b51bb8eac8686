"""What a running `licet up` leaves in its home for commands on this machine: its address and the first keys."""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from licet.seal.private_file import write_private
from licet.settings import Settings

SERVER_FILE: Final = "server.json"
KEYS_FILE: Final = "keys.json"
LOCK_FILE: Final = "server.lock"
_CONNECT_SECONDS: Final = 2.0


class Homestead:
    """The two files in one home. The keys file has mode 0600; the address is removed when the server stops."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server_path = home / SERVER_FILE
        self.keys_path = home / KEYS_FILE
        self._occupied = -1

    @classmethod
    def find(cls) -> "Homestead":
        """Return this machine's home, by the settings of the environment; raises SettingsError."""
        from licet.wiring import home_of

        return cls(home_of(Settings.read()))

    def server_url(self) -> str | None:
        """Return the address of the running server; None where none runs."""
        try:
            left = json.loads(self.server_path.read_text())
            url, pid = str(left["url"]), int(left["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return url if _alive(pid) and _listens(url) else None

    def keys(self) -> dict[str, str]:
        """Return the first keys by workspace; empty where this user may not read them or there are none."""
        try:
            kept = json.loads(self.keys_path.read_text())
        except (OSError, ValueError):
            return {}
        return {str(name): str(key) for name, key in kept.items()} if isinstance(kept, dict) else {}

    def occupy(self) -> bool:
        """Take the home for this process for life; False where another process has it. Two starts cannot both win."""
        self._occupied = os.open(self.home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._occupied, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._occupied)
            self._occupied = -1
            return False
        return True

    def publish(self, url: str) -> None:
        """Say where the server answers, readable only to its own user."""
        _write(self.server_path, {"url": url, "pid": os.getpid()})

    def withdraw(self) -> None:
        """Take this process's address back, and leave the home; another's stays."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if int(json.loads(self.server_path.read_text())["pid"]) == os.getpid():
                self.server_path.unlink()
        if self._occupied >= 0:
            os.close(self._occupied)
            self._occupied = -1

    def keep_keys(self, keys: dict[str, str]) -> None:
        """Keep the first keys."""
        _write(self.keys_path, keys)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0


def _listens(url: str) -> bool:
    # A killed server leaves its file behind, and its process id may be another process's by now.
    try:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _write(path: Path, content: Mapping[str, str | int]) -> None:
    write_private(path, f"{json.dumps(content)}\n".encode())
