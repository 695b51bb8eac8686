"""Problems of a document as a compiler shows them: file, line and column, the source line, a caret, what was meant."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from licet.cli.output import BAD, BOLD, DIM, GOOD, Line

_LONGEST = 160


def problem_lines(name: str, text: str, problems: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return every problem of the document ``text``, called ``name``, with the place it is at."""
    source = text.splitlines()
    lines: list[Line] = []
    for problem in problems:
        lines.extend(_one(name, source, problem))
    count = len(problems)
    lines.append([(f"{count} problem{'' if count == 1 else 's'}", f"{BOLD} {BAD}"), f" in {name}"])
    return lines


def _one(name: str, source: Sequence[str], problem: Mapping[str, Any]) -> list[Line]:
    line, column = problem.get("line"), problem.get("column")
    place = ":".join([name, *(str(part) for part in (line, column) if part)])
    path = f" ({problem['path']})" if problem.get("path") else ""
    lines: list[Line] = [[(place, BOLD), ": ", (str(problem["message"]), BAD), (path, DIM)]]
    if line and line <= len(source):
        shown, caret = _excerpt(source[line - 1], column)
        gutter = f"{line:>5} │ "
        lines.append([(gutter, DIM), shown])
        if caret is not None:
            lines.append([(" " * 5 + " │ ", DIM), (caret, BAD)])
    if problem.get("suggestion"):
        lines.append([("        did you mean ", DIM), (str(problem["suggestion"]), GOOD), ("?", DIM)])
    lines.append("")
    return lines


def _excerpt(line: str, column: int | None) -> tuple[str, str | None]:
    text = line.expandtabs(1)
    place = min(max((column or 1) - 1, 0), len(text))
    start = max(0, place - _LONGEST // 2) if len(text) > _LONGEST else 0
    shown = ("…" if start else "") + text[start : start + _LONGEST] + ("…" if len(text) > start + _LONGEST else "")
    if column is None:
        return shown, None
    before = ("…" if start else "") + text[start:place]
    return shown, " " * cells(before) + "^"


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )
