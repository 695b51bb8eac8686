"""Looks at this machine's home and database without changing or starting anything."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from msgspec import Struct, to_builtins

from licet.cli.failure import NO, Ended
from licet.cli.homestead import Homestead
from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line, Output
from licet.settings import Settings
from licet.store.bundled import describe
from licet.wiring import home_of, this_version

LITTLE_DISK: Final = 1024**3
SECRETS: Final = ("keys.json", "master.keys", "roles.json")


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at; ``ok`` None means that there is nothing to say yet."""

    name: str
    ok: bool | None
    words: str
    advice: str = ""


def examine(out: Output) -> None:
    """Print what was found; exit code 1 where something is wrong."""
    settings = Settings.read()
    home = home_of(settings)
    found = [
        Finding(name="version", ok=True, words=f"licet {this_version()}"),
        _home(home, settings),
        *_database(home, settings),
        _disk(home),
        *_secrets(home),
        _server(home),
    ]
    healthy = all(one.ok is not False for one in found)
    out.document({"ok": healthy, "home": str(home), "checks": [to_builtins(one) for one in found]})
    for one in found:
        out.line(_shown(one))
        if one.advice and not one.ok:
            out.line([("               next: ", DIM), one.advice])
    if not healthy:
        raise Ended(NO)


def _home(home: Path, settings: Settings) -> Finding:
    if not home.exists():
        return Finding(
            name="home", ok=None, words=f"{home}, not made yet", advice="`licet up` or `licet demo` makes it"
        )
    about = describe(home)
    used = f"{about.bytes_used / 1024**2:.0f} MiB" if settings.database_url is None else "your database is elsewhere"
    owner = "" if about.owner_uid is None else f", data of uid {about.owner_uid}"
    return Finding(name="home", ok=True, words=f"{home}, {used}{owner}")


def _database(home: Path, settings: Settings) -> list[Finding]:
    if settings.database_url is not None:
        return asyncio.run(_ask(settings.database_url, "yours"))
    about = describe(home)
    if about.endpoint is None:
        which = f"bundled PostgreSQL {about.data_major}" if about.data_major else "bundled PostgreSQL"
        return [Finding(name="database", ok=None, words=f"{which}, not running", advice="`licet up` starts it")]
    return asyncio.run(_ask(about.endpoint.dsn(), f"bundled, run by process {about.endpoint.owner}"))


async def _ask(dsn: str, which: str) -> list[Finding]:
    from licet.store.access import Login
    from licet.store.connections import connect
    from licet.store.migrate import pending
    from licet.store.setup import MIGRATIONS

    try:
        async with asyncio.timeout(5):
            conn = await connect(Login(dsn=dsn))
            try:
                version = conn.get_server_version()
                waiting = await pending(conn, MIGRATIONS)
            finally:
                await conn.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, the database cannot be used
        words = f"{which}: cannot be reached ({type(error).__name__}: {error})"
        return [Finding(name="database", ok=False, words=words, advice="check LICET_DATABASE_URL, or the bundled log")]
    applied = Finding(name="migrations", ok=True, words="all applied")
    if waiting:
        names = ", ".join(f"{one}" for one in waiting)
        applied = Finding(name="migrations", ok=None, words=f"pending: {names}", advice="`licet up` applies them")
    return [Finding(name="database", ok=True, words=f"PostgreSQL {version.major}.{version.micro}, {which}"), applied]


def _disk(home: Path) -> Finding:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    return Finding(
        name="disk",
        ok=free >= LITTLE_DISK,
        words=f"{free / 1024**3:.1f} GiB free at {place}",
        advice="" if free >= LITTLE_DISK else "make room: PostgreSQL stops when the disk is full",
    )


def _secrets(home: Path) -> list[Finding]:
    found = []
    for name in SECRETS:
        path = home / name
        if not path.is_file():
            continue
        open_to = path.stat().st_mode & 0o077
        words = f"{path}, open to others" if open_to else f"{path}, mode 0600"
        found.append(
            Finding(name="secrets", ok=not open_to, words=words, advice=f"chmod 600 {path}" if open_to else "")
        )
    return found or [Finding(name="secrets", ok=None, words="none yet", advice="the first `licet up` makes them")]


def _server(home: Path) -> Finding:
    url = Homestead(home).server_url()
    if url is None:
        return Finding(name="server", ok=None, words="not running", advice="`licet up` starts it")
    return Finding(name="server", ok=True, words=f"answers at {url}")


def _shown(one: Finding) -> Line:
    mark: tuple[str, str] = ("✓", GOOD) if one.ok else ("·", WARN) if one.ok is None else ("✗", BAD)
    return [mark, (f" {one.name:<11}", BOLD), f" {one.words}"]
