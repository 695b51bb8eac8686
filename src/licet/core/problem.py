"""What is wrong with a document: where, what, and what was probably meant. Collected, so that all is told at once."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from msgspec import Struct

from licet.core.spelling import nearest

Step = str | int
MAX_PROBLEMS: Final = 200
"""No more are told at once; the rest shows when these are mended."""
MAX_COMPARED: Final = 50_000
"""How many names are compared in all to find similar ones, which costs time (some 10 µs each)."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_@:/-]+", re.ASCII)
_SHOWN: Final = 60


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. ``line`` and ``column`` (from 1) are known where the document was read from text."""

    path: str
    """``plans.team.versions.2026-01.includes.projects``; empty for the whole document."""
    message: str
    suggestion: str | None = None
    """What was probably meant, as it would be written."""
    line: int | None = None
    column: int | None = None
    inside: tuple[int, int] | None = None
    """Line and column within the text at ``path`` (a condition)."""
    of_key: bool = False
    """Whether the name at ``path`` is wrong rather than what is written for it."""

    def __str__(self) -> str:
        """Return ``line:column: path: message``, as far as known."""
        place = "" if self.line is None else f"{self.line}:{self.column}: "
        meant = "" if self.suggestion is None else f"; did you mean {self.suggestion}?"
        return f"{place}{self.path + ': ' if self.path else ''}{self.message}{meant}"


class Problems:
    """Problems in the order in which they were met, at most :data:`MAX_PROBLEMS`."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._compared = 0

    @property
    def full(self) -> bool:
        """Whether no more are taken."""
        return len(self.found) >= MAX_PROBLEMS

    def add(self, path: Iterable[Step], message: str, suggestion: str | None = None, *, of_key: bool = False) -> None:
        """Note a problem at a path."""
        self.take(Problem(path=path_text(path), message=message, suggestion=suggestion, of_key=of_key))

    def take(self, problem: Problem) -> None:
        """Note a problem unless there are too many already."""
        if not self.full:
            self.found.append(problem)

    def known(
        self, what: str, name: str, names: Collection[str], path: Iterable[Step], *, of_key: bool = False
    ) -> bool:
        """Return whether a name is one of ``names``; tell one that leads nowhere, with what was probably meant."""
        if name in names:
            return True
        near = self.nearest(name, names)
        there = f"there are {one_of(names)}" if len(names) > 1 else f"there is only {one_of(names)}"
        listed = "" if near is not None else f"; {there if names else 'there is none'}"
        self.add(path, f"there is no {what} {quoted(name)}{listed}", near, of_key=of_key)
        return False

    def nearest(self, name: str, known: Collection[str]) -> str | None:
        """Return the known name most like ``name``; None where none is, or enough have been compared."""
        self._compared += len(known)
        if self.full or self._compared > MAX_COMPARED:
            return None
        return nearest(name, known)


def path_text(steps: Iterable[Step]) -> str:
    """Return a path as text; names with other than letters, digits and ``_-@:/`` stand in brackets and quotes."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def quoted(value: object) -> str:
    """Return a value for a message: in double quotes if text, shortened, control characters escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    shown = value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    escaped = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown.replace('"', '\\"'))
    return f'"{escaped}"'


def one_of(words: Iterable[str], limit: int = 12) -> str:
    """Return words for a message: ``a, b or c``, shortened after ``limit``."""
    listed = list(words)
    if len(listed) > limit:
        return ", ".join(listed[:limit]) + f" … ({len(listed)} in all)"
    return " or ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)
