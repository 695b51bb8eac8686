"""An explanation as a tree: from the order line to the decision, marked for and against."""

import textwrap
from collections.abc import Mapping
from typing import Any, Final

from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line, Piece
from licet.cli.words import day

_MARKS: Final[dict[bool | None, Piece]] = {True: ("✓", GOOD), False: ("✗", BAD), None: ("·", DIM)}
_NARROWEST: Final = 40


def explanation_lines(explanation: Mapping[str, Any], *, width: int | None) -> list[Line]:
    """Return an explanation as lines, wrapped at ``width`` columns (None: never)."""
    lines: list[Line] = [(f"at {day(explanation['at'])}", DIM)]
    lines.extend(_node(explanation["tree"], "", "", width))
    message = explanation["decision"].get("message")
    if message:
        lines.append([("the customer reads: ", DIM), str(message)])
    return lines


def _node(node: Mapping[str, Any], first: str, rest: str, width: int | None) -> list[Line]:
    kind, ok = str(node["kind"]), node.get("ok")
    children = node.get("children") or ()
    style = BOLD if kind == "decision" else WARN if kind in {"remedy", "step"} else ""
    wrapped = _wrap(str(node["text"]), None if width is None else max(_NARROWEST, width - len(first) - 2))
    lines: list[Line] = [[(first, DIM), _MARKS[ok], " ", (wrapped[0], style)]]
    lines.extend([(rest + ("│ " if children else "  "), DIM), (text, style)] for text in wrapped[1:])
    for place, child in enumerate(children):
        last = place == len(children) - 1
        lines.extend(_node(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), width))
    return lines


def _wrap(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
