"""The PostgreSQL engines the suite runs on: the bundled one, and Debian's 15, fetched without root if absent."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache"
SYSTEM_15 = Path("/usr/lib/postgresql/15/bin")
ENGINES = ("bundled", "15")
SERVER_PACKAGE = "postgresql-15"
# The C library must be the machine's own; LLVM serves the JIT compiler, which is off.
NEVER_FETCHED = re.compile(r"libc6|libllvm\d+|libgcc-s1|libstdc\+\+6")
LIBRARY = re.compile(r"lib|zlib1g")
MISSING = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
FETCH_ROUNDS = 6


class EngineError(RuntimeError):
    """A test engine cannot be had on this machine; the suite fails rather than pass without it."""


def engine_binaries(name: str) -> Path | None:
    """The folder with the programs of engine `name`; None for the bundled ones, which the locator finds itself."""
    if name == "bundled":
        return None
    if name == "15":
        return SYSTEM_15 if (SYSTEM_15 / "postgres").exists() else fetch_debian_15(CACHE / "pg15")
    raise EngineError(f"LICET_TEST_PG={name} is not an engine: it must be one of {', '.join(ENGINES)}")


def fetch_debian_15(target: Path) -> Path:
    """The programs of Debian's PostgreSQL 15 below `target`, downloaded and unpacked there once, as any user."""
    root = target / "root"
    folder = root / "usr" / "lib" / "postgresql" / "15" / "bin"
    target.mkdir(parents=True, exist_ok=True)
    with _locked(target / "lock"):
        if not folder.is_dir():
            work = target / "unpacking"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            apt = _Apt(target)
            apt.fetch(work)
            work.rename(root)
            apt.tidy()
    return folder


class _Apt:
    """apt-get as an ordinary user: the machine's package lists first, private ones when those are missing or stale."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.options: list[str] = []

    def fetch(self, root: Path) -> None:
        """Unpack the server and the libraries it lacks here into `root`."""
        for program in ("apt-get", "dpkg", "dpkg-deb"):
            if shutil.which(program) is None:
                raise EngineError(
                    f"PostgreSQL 15 for the tests comes from Debian's packages, and `{program}` is missing: "
                    "run the suite on Debian 12, or put PostgreSQL 15 into /usr/lib/postgresql/15"
                )
        try:
            packages = self._download([SERVER_PACKAGE])
        except EngineError:
            self._private_lists()
            packages = self._download([SERVER_PACKAGE])
        known = {SERVER_PACKAGE}
        for _ in range(FETCH_ROUNDS):
            for package in packages:
                self._unpack(package, root)
            if not missing_libraries(root):
                return
            wanted = {name for package in packages for name in _libraries_of(package)} - known
            if not wanted:
                break
            known |= wanted
            packages = self._download(sorted(wanted))
        raise EngineError(
            f"Debian's PostgreSQL 15 lacks libraries that none of its packages brought: {missing_libraries(root)}"
        )

    def tidy(self) -> None:
        """Remove what only the fetching needed."""
        for name in ("packages", "apt-state", "apt-cache"):
            shutil.rmtree(self.target / name, ignore_errors=True)

    def _download(self, names: list[str]) -> list[Path]:
        place = self.target / "packages"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        self._run("apt-get", *self.options, "-q", "download", *names, cwd=place)
        return sorted(place.glob("*.deb"))

    def _unpack(self, package: Path, root: Path) -> None:
        self._run("dpkg", "-x", str(package), str(root), cwd=self.target)
        # Some libraries are packaged for /lib, which the machine merges into /usr/lib.
        if (root / "lib").is_dir():
            shutil.copytree(root / "lib", root / "usr" / "lib", symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / "lib")

    def _private_lists(self) -> None:
        state, cache = self.target / "apt-state", self.target / "apt-cache"
        for folder in (state / "lists" / "partial", cache / "archives" / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        self.options = [
            *("-o", f"Dir::State={state}"),
            *("-o", f"Dir::Cache={cache}"),
            *("-o", "Dir::State::status=/var/lib/dpkg/status"),
            # Root's apt would drop to a user who may not be able to enter the checkout.
            *("-o", "APT::Sandbox::User=root"),
        ]
        self._run("apt-get", *self.options, "-q", "update", cwd=self.target)

    def _run(self, *command: str, cwd: Path) -> None:
        outcome = subprocess.run(
            command, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False
        )
        if outcome.returncode != 0:
            said = "\n".join((outcome.stdout + outcome.stderr).strip().splitlines()[-8:])
            raise EngineError(
                f"`{' '.join(command)}` failed, so Debian's PostgreSQL 15 cannot be fetched for the tests "
                f"(needs Debian 12 and its package mirror, or PostgreSQL 15 in /usr/lib/postgresql/15):\n{said}"
            )


def missing_libraries(root: Path) -> list[str]:
    """The shared libraries that `postgres` or `initdb` below `root` would not find at run time."""
    path = ":".join(str(folder) for folder in root.glob("usr/lib/*-linux-*"))
    lacking: set[str] = set()
    for program in ("postgres", "initdb"):
        file = root / "usr" / "lib" / "postgresql" / "15" / "bin" / program
        outcome = subprocess.run(
            ["ldd", str(file)], env={**os.environ, "LD_LIBRARY_PATH": path}, capture_output=True, text=True, check=True
        )
        lacking.update(MISSING.findall(outcome.stdout))
    return sorted(lacking)


def _libraries_of(package: Path) -> list[str]:
    outcome = subprocess.run(["dpkg-deb", "-f", str(package), "Depends"], capture_output=True, text=True, check=True)
    names = [part.split("|")[0].split("(")[0].strip().split(":")[0] for part in outcome.stdout.split(",")]
    return [name for name in names if LIBRARY.match(name) and NEVER_FETCHED.fullmatch(name) is None]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
