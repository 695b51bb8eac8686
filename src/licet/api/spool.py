"""Lines kept for several readers: in memory while they are few, in a temporary file that has no name beyond that."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from typing import IO, Final

from licet.services.errors import Unavailable

IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes that are kept in memory."""


class Spool:
    """Lines, appended once and then read by as many as want to; ``most`` bytes. The file is gone with the object."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[bytes] = []
        self._places: list[tuple[int, int]] = []
        self._file: IO[bytes] | None = None
        self.size = 0

    async def add(self, line: bytes) -> None:
        """Append a line; raises Unavailable beyond the bound, OSError where there is no room."""
        if self.size + len(line) > self._most:
            raise Unavailable(
                f"the whole feed has more than {self._most} bytes",
                advice="let followers pick their customers: picked=true",
            )
        self.size += len(line)
        if self._file is None and self.size <= IN_MEMORY:
            self._held.append(line)
            return
        await asyncio.to_thread(self._write, line)

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield the lines in their order; one at a time is in memory."""
        for line in self._held:
            yield line
        for place, length in self._places:
            yield await asyncio.to_thread(os.pread, self._opened().fileno(), length, place)

    def _write(self, line: bytes) -> None:
        place = self._places[-1][0] + self._places[-1][1] if self._places else 0
        written = os.pwrite(self._opened().fileno(), line, place)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written")
        self._places.append((place, len(line)))

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="licet-feed-", buffering=0)  # noqa: SIM115 closed with the object
        return self._file
