"""The settings of the server: the only reader of environment variables. ``docs/reference/settings.md`` lists them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct, structs

from licet.door.limits import RATE_BURST, RATE_PER_SECOND
from licet.telemetry import LogFormat

LogLevel = Literal["debug", "info", "warning", "error"]


class SettingsError(Exception):
    """One or more settings do not fit; the message lists each with its value and what is allowed."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything the server can be told. Each field says its variable's meaning; times are in seconds."""

    database_url: str | None = None
    """``LICET_DATABASE_URL``: your PostgreSQL (15 or later); without it the bundled one is started."""
    pg_bin: Path | None = None
    """``LICET_PG_BIN``: folder with the PostgreSQL programs that the bundled database shall use."""
    home: Path | None = None
    """``LICET_HOME``: where the bundled database and the machine's secrets live; chosen by user where absent."""
    data_home: Path | None = None
    """``XDG_DATA_HOME``: where an ordinary user's programs keep their data."""
    host: str = "127.0.0.1"
    """``LICET_HOST``: address to listen on; beyond loopback only with TLS or ``LICET_INSECURE_LISTEN``."""
    port: int = 8080
    """``LICET_PORT``: port to listen on; 0 takes a free one."""
    tls_cert: Path | None = None
    """``LICET_TLS_CERT``: PEM file with the certificate chain."""
    tls_key: Path | None = None
    """``LICET_TLS_KEY``: PEM file with the certificate's private key."""
    insecure_listen: bool = False
    """``LICET_INSECURE_LISTEN``: listen beyond loopback without TLS, because TLS ends before this process."""
    log_format: LogFormat = "json"
    """``LICET_LOG_FORMAT``: ``json`` (one object a line) or ``console`` (for people)."""
    log_level: LogLevel = "info"
    """``LICET_LOG_LEVEL``: ``debug``, ``info``, ``warning`` or ``error``."""
    traces: str | None = None
    """``LICET_TRACES``: ``log``, or the name of an installed OpenTelemetry exporter; ``OTEL_TRACES_EXPORTER`` counts
    where it is not set."""
    rate_per_second: float = RATE_PER_SECOND
    """``LICET_RATE_PER_SECOND``: requests a key may make per second; 0 for no limit."""
    rate_burst: int = RATE_BURST
    """``LICET_RATE_BURST``: requests a key may make at once."""
    pool_size: int = 10
    """``LICET_POOL_SIZE``: connections to the database."""
    shutdown_seconds: int = 10
    """``LICET_SHUTDOWN_SECONDS``: how long requests under way may take to end when the server stops."""

    @property
    def tls(self) -> bool:
        """Whether the server speaks TLS."""
        return self.tls_cert is not None

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **given: Any) -> "Settings":
        """Return the settings of an environment (the process's by default); ``given`` ones win unless None.

        Empty variables count as absent. Raises SettingsError that lists everything wrong at once; a variable that
        begins with ``LICET_`` and is not known is wrong too (the SDK's own are left alone).
        """
        source = os.environ if environ is None else environ
        wrong: list[str] = []
        found: dict[str, Any] = {}
        for name, (field, parse) in _VARIABLES.items():
            text = source.get(name, "").strip()
            if text and given.get(field) is None:
                try:
                    found[field] = parse(text)
                except ValueError as error:
                    wrong.append(f"{name} is {text!r}: {error}")
        if "traces" not in found and source.get("OTEL_TRACES_EXPORTER", "").strip() not in ("", "none"):
            found["traces"] = source["OTEL_TRACES_EXPORTER"].strip()
        wrong += [_unknown(name) for name in sorted(source) if name.startswith("LICET_") and not _known(name)]
        found.update({field: value for field, value in given.items() if value is not None})
        settings = structs.replace(cls(), **found)
        wrong += settings.problems()
        if wrong:
            raise SettingsError("\n".join(wrong))
        return settings

    def problems(self) -> list[str]:
        """Return what does not fit together, one sentence each."""
        wrong = []
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "LICET_TLS_KEY" if self.tls_key is None else "LICET_TLS_CERT"
            wrong.append(f"{missing} is missing: TLS needs LICET_TLS_CERT and LICET_TLS_KEY, both PEM files")
        for name, path in (("LICET_TLS_CERT", self.tls_cert), ("LICET_TLS_KEY", self.tls_key)):
            if path is not None and not path.is_file():
                wrong.append(f"{name} is '{path}': there is no such file; name a PEM file that this user can read")
        return wrong


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise ValueError(f"it must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _yes(text: str) -> bool:
    answer = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower())
    if answer is None:
        raise ValueError("it must be 1 or 0")
    return answer


def _word(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text.lower()

    return parse


def _database(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("it must begin with postgresql:// (postgresql://user:password@host:5432/licet)")
    return text


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _unknown(name: str) -> str:
    from licet.core.spelling import nearest

    # Without the prefix that all share and that would make any two of them alike.
    ours = [known.removeprefix(_PREFIX) for known in _VARIABLES if known.startswith(_PREFIX)]
    near = nearest(name.removeprefix(_PREFIX), ours)
    return f"{name} is not a setting" + (f"; did you mean {_PREFIX}{near}?" if near else "")


_VARIABLES: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "LICET_DATABASE_URL": ("database_url", _database),
    "LICET_PG_BIN": ("pg_bin", _path),
    "LICET_HOME": ("home", _path),
    "XDG_DATA_HOME": ("data_home", _path),
    "LICET_HOST": ("host", str),
    "LICET_PORT": ("port", _whole(0, 65535)),
    "LICET_TLS_CERT": ("tls_cert", _path),
    "LICET_TLS_KEY": ("tls_key", _path),
    "LICET_INSECURE_LISTEN": ("insecure_listen", _yes),
    "LICET_LOG_FORMAT": ("log_format", _word("json", "console")),
    "LICET_LOG_LEVEL": ("log_level", _word("debug", "info", "warning", "error")),
    "LICET_TRACES": ("traces", str),
    "LICET_RATE_PER_SECOND": ("rate_per_second", _whole(0, 1_000_000)),
    "LICET_RATE_BURST": ("rate_burst", _whole(1, 10_000_000)),
    "LICET_POOL_SIZE": ("pool_size", _whole(1, 1000)),
    "LICET_SHUTDOWN_SECONDS": ("shutdown_seconds", _whole(1, 600)),
}
_PREFIX: Final = "LICET_"
VARIABLES: Final = tuple(_VARIABLES)
"""Every variable the server reads, besides the standard ``OTEL_…`` ones."""
_CLIENT: Final = ("LICET_URL", "LICET_KEY", "LICET_ROOT")
"""What clients read, in the same environment perhaps (``sdk.place``); a command at the database has no use for them."""


def _known(name: str) -> bool:
    return name in _VARIABLES or name in _CLIENT or "_TEST" in name
