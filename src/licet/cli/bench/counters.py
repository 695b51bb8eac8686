"""What a process has counted, in a file that outlives it.

The file is mapped: what was counted is there, whatever ends the process the instant after.
"""

import mmap
import struct
from enum import IntEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

WORDS: Final = 16
_WORD: Final = struct.Struct("=q")
_ROW: Final = WORDS * _WORD.size


class Count(IntEnum):
    """The place of a count in a row."""

    ASKED = 0
    """Uses that were asked for, counted before."""
    ADMITTED = 1
    """Units that may be used, counted as soon as that is known."""
    REFUSED = 2
    UNANSWERED = 3
    """Uses of which nobody could say: the program got an exception, and let nobody in."""
    LOCAL = 4
    """Of the admitted, those that the process decided by itself."""
    OWNED = 5
    """What it owned when it last looked."""
    CLOCK_AHEAD = 6
    """Written from outside: nanoseconds by which its wall clock is ahead."""
    LEAVE = 7
    """Written from outside: not 0 where it is to close."""
    STATE = 8
    """0 before it has a truth, 1 while it asks, 2 once it has closed with all told, 3 where it could not tell all."""
    SLICES = 9
    """Slices that it was given."""


class Row(Struct, frozen=True):
    """What one process, from one start to its end, had counted."""

    asked: int
    admitted: int
    refused: int
    unanswered: int
    local: int
    slices: int

    @property
    def doubt(self) -> int:
        """1 where it ended between asking and counting what came of it, else 0."""
        return self.asked - self.admitted - self.refused - self.unanswered


class Counters:
    """Rows of counts in one file. Each count has one writer, and is read whole."""

    def __init__(self, path: Path, rows: int) -> None:
        """Open, or make, a file of so many rows."""
        with path.open("r+b" if path.exists() else "w+b") as file:
            if path.stat().st_size < rows * _ROW:
                file.truncate(rows * _ROW)
            self._map = mmap.mmap(file.fileno(), rows * _ROW)

    def get(self, row: int, count: Count) -> int:
        """Return a count."""
        found: int = _WORD.unpack_from(self._map, row * _ROW + count * _WORD.size)[0]
        return found

    def put(self, row: int, count: Count, value: int) -> None:
        """Set a count; the process may be gone the instant after."""
        _WORD.pack_into(self._map, row * _ROW + count * _WORD.size, value)

    def row(self, row: int) -> Row:
        """Return what a process has counted."""
        counts = (Count.ASKED, Count.ADMITTED, Count.REFUSED, Count.UNANSWERED, Count.LOCAL, Count.SLICES)
        return Row(*(self.get(row, count) for count in counts))

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
