"""Shows on standard error how far long work is: a bar on a terminal, a plain line a second anywhere else."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY_SECONDS: Final = 1.0
_BAR: Final = 24


class Gauge:
    """How far one piece of work is. ``quiet`` shows nothing but the bar of a terminal; ``every`` is in seconds."""

    def __init__(
        self, words: str, *, quiet: bool = False, stream: IO[str] | None = None, every: float = EVERY_SECONDS
    ) -> None:
        self._words = words
        self._stream = stream or sys.stderr
        self._plain = not quiet and not self._stream.isatty()
        self._bar: Progress | None = None
        self._every = every
        self._said = time.monotonic()

    def at(self, done: int, of: int) -> None:
        """Show that so much of the whole is done."""
        if self._stream.isatty():
            self._drawn().update(self._drawn().task_ids[0], completed=done, total=of, count=f"{done:,} of {of:,}")
        elif self._plain and time.monotonic() - self._said >= self._every:
            self._said = time.monotonic()
            self._stream.write(f"{self._words}: {done:,} of {of:,}\n")
            self._stream.flush()

    def close(self) -> None:
        """Take the bar away; harmless twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _drawn(self) -> "Progress":
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=_BAR),
                TextColumn("{task.fields[count]}", markup=False),
                TimeRemainingColumn(compact=True),
            )
            self._bar = Progress(*columns, console=Console(file=self._stream), transient=True)
            self._bar.add_task(self._words, total=None, count="")
            self._bar.start()
        return self._bar


def watched(lines: Iterable[Any], words: str, *, quiet: bool = False, stream: IO[str] | None = None) -> Iterator[Any]:
    """Yield the lines of a streamed answer but those of progress, which are shown: ``words: 1,200 of 100,000``."""
    gauge = Gauge(words, quiet=quiet, stream=stream)
    try:
        for line in lines:
            progress = line.get("progress") if isinstance(line, dict) else None
            if progress is None:
                yield line
            else:
                gauge.at(progress["done"], progress["of"])
    finally:
        gauge.close()
