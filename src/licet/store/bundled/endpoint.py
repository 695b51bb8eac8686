"""Where a running server can be reached, and the file by which its owner tells other processes."""

import socket
from pathlib import Path
from urllib.parse import quote

import msgspec

from licet.seal.private_file import write_private

SUPERUSER = "postgres"
DATABASE = "licet"
LOOPBACK = "127.0.0.1"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One running server: loopback `host` and `port`, private `socket_dir`, credentials, server version, owner's pid.

    `token` is the owner's for as long as it holds the home's lock. The password never shows in `repr`.
    """

    socket_dir: str
    port: int
    password: str
    version: str
    owner: int
    token: str
    host: str = LOOPBACK
    user: str = SUPERUSER
    database: str = DATABASE

    def dsn(self, database: str | None = None, *, tcp: bool = False) -> str:
        """Connection string for `database` (default: Licet's own), by socket unless `tcp` asks for loopback."""
        name = quote(database or self.database, safe="")
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        if tcp:
            return f"postgresql://{login}@{self.host}:{self.port}/{name}"
        return f"postgresql://{login}@/{name}?host={quote(self.socket_dir)}&port={self.port}"

    def admin_dsn(self) -> str:
        """Connection string for the maintenance database, from where others are created."""
        return self.dsn("postgres")

    def answers(self) -> bool:
        """Whether something accepts connections on the socket at this moment."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2.0)
            try:
                probe.connect(f"{self.socket_dir}/.s.PGSQL.{self.port}")
            except OSError:
                return False
        return True

    def __repr__(self) -> str:
        shown = f"{self.user}:***@{self.host}:{self.port}/{self.database}"
        return f"Endpoint({shown}, socket_dir={self.socket_dir!r}, version={self.version!r}, owner={self.owner})"


def write_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Publish `endpoint` to the other processes of the same user."""
    write_private(path, msgspec.json.encode(endpoint))


def read_endpoint(path: Path) -> Endpoint | None:
    """The published endpoint; None when there is none, or one written by a version this one cannot read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Endpoint)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
