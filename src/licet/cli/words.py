"""Small pieces of text that several commands show: quantities, instants, decisions' marks."""

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from licet.cli.output import BAD, DIM, GOOD, WARN, Line, Piece

_NARROWEST: Final = 40
INDENT: Final = 12
"""Columns before the value of a labeled line."""
OBSERVED: Final = frozenset({"observed", "not_enforced", "last_known"})


def mark(allowed: bool) -> Piece:
    """Return the sign before an answer."""
    return ("✓", GOOD) if allowed else ("✗", BAD)


def verdict(allowed: bool, reason: str) -> Piece:
    """Return ``allowed`` or ``refused`` in its color."""
    if allowed:
        return ("allowed", WARN if reason in OBSERVED else GOOD)
    return ("refused", BAD)


def number(value: Any) -> str:
    """Return a quantity with its thousands set apart by commas; decimal strings keep their decimals."""
    text = str(value)
    sign = "-" if text.startswith("-") else ""
    whole, dot, rest = text.removeprefix("-").partition(".")
    if whole.isdigit():
        whole = f"{int(whole):,}"
    return sign + whole + dot + rest


def left_words(remaining: Any) -> str:
    """Return ``98,750 left``, or ``50 beyond``."""
    text = str(remaining)
    return f"{number(text[1:])} beyond" if text.startswith("-") else f"{number(text)} left"


def wrapped(text: str, width: int | None, first: str, rest: str) -> list[str]:
    """Return a text as lines of at most ``width`` columns, broken between words (None: one line), each indented."""
    if width is None:
        return [first + text]
    room = max(_NARROWEST, width)
    return textwrap.wrap(
        text, room, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ) or [first]


def folded(line: Line, width: int | None, rest: int) -> list[Line]:
    """Return a line as lines of at most ``width`` columns (None: one), broken between words, in its styles.

    Further lines are indented by ``rest``; a first word that begins within that indent, a label, stays with the next.
    """
    from licet.cli.output import plain

    text = plain(line).rstrip()
    if width is None or len(text) <= width:
        return [line]
    room, begin, lines = max(_NARROWEST, width), 0, list[Line]()
    while len(text) - begin > room - (rest if lines else 0):
        end = begin + room - (rest if lines else 0)
        least = begin if lines else begin + rest
        gap = text.rfind(" ", least + 1, end + 1)
        gap = text.find(" ", max(least + 1, end)) if gap < 0 else gap
        if gap < 0:
            break
        lines.append([" " * (rest if lines else 0), *_part(line, begin, len(text[:gap].rstrip()))])
        begin = len(text) - len(text[gap:].lstrip())
    return [*lines, [" " * (rest if lines else 0), *_part(line, begin, len(text))]]


def labeled_command(name: str, words: Sequence[str], width: int | None) -> list[Line]:
    """Return a command line behind its label; on a terminal that is too narrow below it, continued with backslashes."""
    from licet.cli.output import plain
    from licet.cli.releasing import command, command_lines

    line = label(name, command(*words))
    if width is None or len(plain(line)) <= width:
        return [line]
    return [label(name, ""), *command_lines(words, width)]


def _part(line: Line, begin: int, end: int) -> list[Piece]:
    """Return what stands between two places of a line's text."""
    from licet.cli.output import pieces

    found: list[Piece] = []
    at = 0
    for piece in pieces(line):
        text, style = (piece, None) if isinstance(piece, str) else piece
        cut = text[max(begin - at, 0) : max(end - at, 0)]
        if cut:
            found.append(cut if style is None else (cut, style))
        at += len(text)
    return found


def day(text: str | None) -> str:
    """Return an RFC 3339 instant in UTC to the second, midnight as the date alone; ``--json`` has it exactly."""
    if not text:
        return "—"
    return text[:10] if text[10:19] == "T00:00:00" else f"{text[:10]} {text[11:19]} UTC"


def quantity(limit: dict[str, Any] | None) -> str:
    """Return ``3 of 20 projects, 17 left, per month`` for a limit of a decision."""
    from licet.core.words import window_words

    if not limit:
        return "—"
    amount, used, unit = limit["amount"], limit.get("used"), limit.get("unit")
    window = window_words(limit.get("per"), limit.get("length"))
    per = f" per {limit['per']}" if limit.get("per") not in (None, "lifetime") else ""
    per = f" in the {window} window" if window else per
    name = f" {unit}" if unit else ""
    if used is None:
        return f"{number(amount)}{name}{per}"
    left = "" if amount == "unlimited" else f", {left_words(limit['remaining'])}"
    return f"{number(used)} of {number(amount)}{name}{per} used{left}"


def label(name: str, value: Line, width: int = INDENT - 2) -> Line:
    """Return one labeled line of a short description."""
    from licet.cli.output import pieces

    return [("  " + name.ljust(width), DIM), *pieces(value)]
