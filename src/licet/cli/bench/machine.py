"""The machine a bench runs on: its processor, what was stolen from it meanwhile, and how fast it makes data durable."""

import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any, Final

NOISY_PERCENT: Final = 4.0
"""A run with more stolen time than this is not to be quoted."""
_FSYNC_SECONDS: Final = 0.5


class Machine:
    """Watches the machine from its making until :meth:`document`."""

    def __init__(self) -> None:
        self._before = _ticks()

    def steal_percent(self) -> float | None:
        """Return the share of processor time that the hypervisor took since the beginning; None where unknown."""
        after = _ticks()
        if self._before is None or after is None:
            return None
        total = sum(after) - sum(self._before)
        return round(100 * (after[7] - self._before[7]) / total, 2) if total > 0 else 0.0

    def document(self, folder: Path) -> dict[str, Any]:
        """Return what every bench says of its machine; durable writes are measured in ``folder``."""
        return {"cpu": cpu_name(), "steal_pct": self.steal_percent(), "fsync_per_s": fsync_per_second(folder)}


def cpu_name() -> str:
    """Return the processor's name and how many of them there are."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return f"{found[1].strip() if found else 'unknown'} × {os.cpu_count() or 1}"


def fsync_per_second(folder: Path) -> float | None:
    """Return how often per second 4 KiB can be made durable in ``folder``, one after the other."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".licet-fsync-") as file:
            block, count = os.urandom(4096), 0
            began = time.perf_counter()
            while (spent := time.perf_counter() - began) < _FSYNC_SECONDS:
                os.pwrite(file.fileno(), block, 0)
                os.fsync(file.fileno())
                count += 1
    except OSError:
        return None
    return round(count / spent, 1)


def cpu_seconds(pid: int) -> float | None:
    """Return the processor time a process has used so far; None where it cannot be read."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(pid: int) -> float | None:
    """Return the processor time of a process and of all its children, those that have ended too; None where unknown."""
    own = _stat(pid)
    if own is None:
        return None
    ticks = sum(int(field) for field in own[11:15])
    for folder in Path("/proc").iterdir():
        child = _stat(int(folder.name)) if folder.name.isdigit() else None
        if child is not None and child[1] == str(pid):
            ticks += int(child[11]) + int(child[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int, name: str) -> int | None:
    """Return the parent of a process of this machine whose program has this name; None where there is none such."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != name:
            return None
    except OSError:
        return None
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def resident_mib(pid: int | None = None) -> float | None:
    """Return how much memory a process has resident, this one by default; None where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _stat(pid: int) -> list[str] | None:
    """Return what the system tells of a process after its name: state, parent, … ; None where it tells nothing."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > 14 else None


def _ticks() -> list[int] | None:
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    # guest time is counted in user time already
    return [int(field) for field in first[1:9]] if len(first) >= 9 else None
