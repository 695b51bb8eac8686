"""What the doctor finds on this machine without asking any database: home, disk, port, programs, secrets, server."""

import shutil
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from licet.cli.homestead import Homestead
from licet.cli.symptom import Symptom, broken, unseen, well
from licet.settings import Settings
from licet.store.bundled.report import Description

LITTLE_DISK_MIB: Final = 1024
SECRETS: Final = ("keys.json", "master.keys", "roles.json")


def home_symptom(about: Description, settings: Settings) -> Symptom:
    """Tell where the home is and what it holds."""
    if not about.home.exists():
        return Symptom(
            name="home",
            state="note",
            words=f"{about.home}, not made yet",
            advice="`licet up` or `licet demo` makes it",
        )
    used = f"{about.bytes_used / 1024**2:.0f} MiB" if settings.database_url is None else "your database is elsewhere"
    owner = "" if about.owner_uid is None else f", data of uid {about.owner_uid}"
    return well("home", f"{about.home}, {used}{owner}")


def disk_symptom(home: Path, least_mib: int) -> Symptom:
    """Tell how much room there is where the home is."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    words = f"{free / 1024**3:.1f} GiB free at {place}"
    if free >= least_mib * 1024**2:
        return well("disk", words)
    return broken(
        "disk",
        f"{words}, less than {least_mib / 1024:.1f} GiB",
        why="PostgreSQL stops when the disk is full, and then no order and no usage is taken",
        advice=f"make room there, or move the home: LICET_HOME (what is large: du -xh -d1 {place} | sort -h)",
    )


def programs_symptom(about: Description, settings: Settings) -> Symptom | None:
    """Tell whether the programs found open the data that are there; None where that is no question."""
    from licet.store.bundled.errors import BundledError
    from licet.store.bundled.locate import locate

    if settings.database_url is not None or about.endpoint is not None:
        return None
    try:
        found = locate(settings.pg_bin, data_major=about.data_major)
    except BundledError as error:
        major = about.data_major
        return broken(
            "programs",
            str(error).partition(": ")[0] if major is not None else str(error),
            why="each major version of PostgreSQL has its own format of data: no other one opens them",
            advice=f"set LICET_PG_BIN to the programs of PostgreSQL {major}, such as /usr/lib/postgresql/{major}/bin"
            if major is not None
            else "pip install 'licet[server]', or set LICET_DATABASE_URL",
        )
    return well("programs", f"PostgreSQL {found.version} from {found.origin}")


def secret_symptoms(home: Path) -> list[Symptom]:
    """Tell whether what must be this user's alone is."""
    found = []
    for name in SECRETS:
        path = home / name
        if not path.is_file():
            continue
        if path.stat().st_mode & 0o077:
            why = "whoever can read it can act as you, or open what is sealed in the database"
            found.append(broken("secrets", f"{path}, open to others", why=why, advice=f"chmod 600 {path}"))
        else:
            found.append(well("secrets", f"{path}, mode 0600"))
    none = Symptom(name="secrets", state="note", words="none yet", advice="the first `licet up` makes them")
    return found or [none]


def server_symptoms(home: Path, settings: Settings) -> list[Symptom]:
    """Tell where the server of this home answers; where none does, whether it could.

    The port is tried by binding it for a moment, as the server would; nothing listens on it.
    """
    from licet.api.serving import bound_socket

    url = Homestead(home).server_url()
    if url is not None:
        found = [well("server", f"answers at {url}")]
        if settings.port in (0, urlsplit(url).port):
            return [*found, well("port", f"{urlsplit(url).port}, its own")]
        return found
    found = [Symptom(name="server", state="note", words="not running", advice="`licet up` starts it")]
    where = f"{settings.host}:{settings.port}"
    if settings.port == 0:
        return [*found, well("port", "any free one")]
    try:
        with bound_socket(settings.host, settings.port):
            return [*found, well("port", f"{where} is free")]
    except OSError as error:
        taken = "in use" in str(error)
        what = "is taken by another program" if taken else f"cannot be used: {str(error).partition('; ')[0]}"
        return [*found, _taken(where, what, settings.port)]
    except OverflowError as error:
        return [*found, unseen("port", f"{where}: {error}")]


def _taken(where: str, what: str, port: int) -> Symptom:
    return broken(
        "port",
        f"{where} {what}",
        why="`licet up` cannot listen there, so it ends at once and nothing answers",
        advice=f"licet up --port 0 takes a free one (who has it: ss -ltnp 'sport = :{port}')",
    )
