"""A copy of the programs where an unprivileged account can reach them, made without touching anyone's permissions."""

import hashlib
import os
import shutil
from pathlib import Path

import msgspec

from licet.store.bundled.account import Account
from licet.store.bundled.errors import BundledError
from licet.store.bundled.locate import Binaries

PREFIX = "pg-"
TEMPORARY = ".publish-"
NEEDLESS = shutil.ignore_patterns("*.py", "*.pyc", "__pycache__", "*.a", "include", "doc", "pgxs", "pkgconfig")


def reachable(binaries: Binaries, account: Account) -> bool:
    """Whether `account` can run these programs where they lie: tried, not guessed from permission bits."""
    if account.how != "switch":
        return True
    for program in ("postgres", "initdb"):
        try:
            answer = account.run([str(binaries.folder / program), "--version"], binaries.environment(Path("/")))
        except PermissionError:
            return False
        if answer.returncode != 0:
            return False
    return True


def publish(binaries: Binaries, account: Account, place: Path) -> Binaries:
    """The same programs, copied below `place` if `account` could not reach them; the caller holds the home's lock.

    Copies are owned by whoever publishes, readable by all, and complete or absent (temporary name, then rename).
    """
    if reachable(binaries, account):
        return binaries
    if not binaries.parts:
        raise BundledError(
            f"the account {account.name} cannot run the programs in {binaries.folder}: "
            "make them readable for all, or set LICET_PG_BIN to others"
        )
    parent = binaries.parts[0].parent
    target = place / f"{PREFIX}{binaries.version}-{_fingerprint(binaries.parts)}"
    if not target.is_dir():
        _copy(binaries.parts, target, place)
    moved = msgspec.structs.replace(
        binaries,
        folder=target / binaries.folder.relative_to(parent),
        parts=tuple(target / part.name for part in binaries.parts),
        libraries=None if binaries.libraries is None else target / binaries.libraries.relative_to(parent),
    )
    if not reachable(moved, account):
        raise BundledError(
            f"the account {account.name} cannot run the programs published in {target}: "
            f"every folder above must be enterable for all, and {place} must not be mounted noexec"
        )
    return moved


def clear_leftovers(place: Path, keep: Path | None = None) -> None:
    """Remove copies of other versions and halves of interrupted ones; the caller holds the lock and runs no server."""
    for entry in place.iterdir():
        stale = entry.name.startswith(PREFIX) and (keep is None or not keep.is_relative_to(entry))
        if entry.name.startswith(TEMPORARY) or stale:
            shutil.rmtree(entry)


def _copy(parts: tuple[Path, ...], target: Path, place: Path) -> None:
    temporary = place / f"{TEMPORARY}{os.getpid()}"
    temporary.mkdir(mode=0o755)
    for part in parts:
        shutil.copytree(part, temporary / part.name, symlinks=True, ignore=NEEDLESS)
    for folder, _, names in os.walk(temporary):
        Path(folder).chmod(0o755)
        for name in names:
            file = Path(folder) / name
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
    temporary.rename(target)


def _fingerprint(parts: tuple[Path, ...]) -> str:
    seen = hashlib.sha256()
    for part in parts:
        for folder, folders, names in os.walk(part):
            folders.sort()
            for name in sorted(names):
                file = Path(folder) / name
                status = file.lstat()
                seen.update(f"{file.relative_to(part.parent)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return seen.hexdigest()[:12]
