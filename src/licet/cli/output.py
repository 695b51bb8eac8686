"""What commands print: colors on a terminal, plain text when piped, one JSON object with ``--json``.

Text is given as pieces, either a string or (string, style), so that nothing a customer's name contains is ever read
as markup or moves the cursor. Plain output never loads rich.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Piece = str | tuple[str, str]
Line = Piece | list[Piece]
"""A tuple is always one styled piece, a list is several."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

GOOD: Final = "green"
BAD: Final = "red"
WARN: Final = "yellow"
DIM: Final = "dim"
BOLD: Final = "bold"
ACCENT: Final = "cyan"


def harmless(text: str) -> str:
    """Return the text with control and direction-changing characters shown as ``�``."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def plain(line: Line) -> str:
    """Return a line's text without its styles."""
    return harmless("".join(piece if isinstance(piece, str) else piece[0] for piece in pieces(line)))


def pieces(line: Line) -> Sequence[Piece]:
    """Return a line as a sequence of pieces."""
    if isinstance(line, str):
        return (line,)
    if isinstance(line, tuple):
        return (line,)
    return line


class Output:
    """Where one command prints. ``as_json`` silences everything but :meth:`document`."""

    def __init__(self, *, as_json: bool = False, stream: IO[str] | None = None) -> None:
        self.as_json = as_json
        self.stream = stream or sys.stdout
        self.rich = not as_json and self.stream.isatty()
        self._console: Console | None = None

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where text is piped and must not be wrapped."""
        return self.console.width if self.rich else None

    def line(self, line: Line = "") -> None:
        """Print one line for people."""
        if self.as_json:
            return
        if self.rich:
            self.console.print(styled(line), soft_wrap=True, highlight=False)
        else:
            self.stream.write(plain(line) + "\n")
            self.stream.flush()

    def lines(self, lines: Iterable[Line]) -> None:
        """Print several lines for people."""
        for line in lines:
            self.line(line)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Line]], *, right: Iterable[int] = ()) -> None:
        """Print a table for people; the columns numbered in ``right`` hold figures. Cells are never cut off.

        On a terminal that is too narrow, the columns that do not fit follow below each row, each by its name.
        """
        if self.as_json:
            return
        numbers = frozenset(right)
        cells = [[plain(cell) for cell in row] for row in rows]
        widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
        fit = _fitting(widths, self.width)
        self.line((_padded(list(columns[:fit]), widths[:fit], numbers), DIM))
        for row, texts in zip(rows, cells, strict=True):
            self.line(_row(row[:fit], texts[:fit], widths, numbers))
            for name, text in zip(columns[fit:], texts[fit:], strict=True):
                self.lines(_below(name, text, max(map(len, columns[fit:])), self.width))

    def document(self, value: Any) -> None:
        """Print the JSON object of ``--json``; does nothing without it."""
        if not self.as_json:
            return
        self.stream.write(as_text(value))
        self.stream.flush()

    @property
    def console(self) -> "Console":
        """The rich console behind a terminal; it minds ``NO_COLOR`` and ``TERM=dumb``."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self.stream, highlight=False)
        return self._console


def as_text(value: Any) -> str:
    """Return a value as the JSON that ``--json`` prints, with the end of its line."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def styled(line: Line) -> "Text":
    """Return a line as rich text."""
    from rich.text import Text

    text = Text()
    for piece in pieces(line):
        if isinstance(piece, str):
            text.append(harmless(piece))
        else:
            text.append(harmless(piece[0]), style=piece[1])
    return text


def _fitting(widths: Sequence[int], room: int | None) -> int:
    """Return how many of the first columns fit, at least one; None is room for all."""
    if room is None or sum(widths) + 2 * (len(widths) - 1) <= room:
        return len(widths)
    fit, used = 1, widths[0]
    while used + 2 + widths[fit] <= room:
        used += 2 + widths[fit]
        fit += 1
    return fit


def _below(name: str, text: str, widest: int, room: int | None) -> list[Line]:
    """Return a cell as lines below its row, broken between words where it is wide; nothing for an empty one."""
    first = f"    {name.ljust(widest)}  "
    broken = textwrap.wrap(text, max((room or 0) - len(first), 20), break_long_words=False, break_on_hyphens=False)
    return [[(first if not place else " " * len(first), DIM), line] for place, line in enumerate(broken)]


def _padded(texts: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    parts = [
        text.rjust(width) if place in right else text.ljust(width)
        for place, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def _row(row: Sequence[Line], texts: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> list[Piece]:
    out: list[Piece] = []
    last = len(row) - 1
    for place, cell in enumerate(row):
        gap = " " * (widths[place] - len(texts[place]))
        if place in right:
            out.append(gap)
        out.extend(pieces(cell))
        if place not in right and place != last:
            out.append(gap)
        if place != last:
            out.append("  ")
    return out
