"""How the roles of one database are reached: connection strings that never show their passwords."""

from msgspec import Struct


class Login(Struct, frozen=True, kw_only=True):
    """One way into the database: a connection string and, where one login plays several parts, the role to take."""

    dsn: str
    role: str | None = None

    def __repr__(self) -> str:
        return f"Login(role={self.role!r})"


class Access(Struct, frozen=True, kw_only=True):
    """The ways into one database, each for its part. ``owner`` migrates, ``app`` writes, ``reader`` reads.

    ``keys`` is the narrow one: whose an API key is, and which workspaces there are. ``warnings`` say what this
    database cannot guarantee and why.
    """

    owner: Login
    app: Login
    reader: Login
    keys: Login
    warnings: tuple[str, ...] = ()
