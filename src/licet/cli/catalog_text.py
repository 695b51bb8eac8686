"""Changes of a catalog in words for a terminal: what comes, what goes, and whose rights move."""

from collections.abc import Mapping
from typing import Any, Final

from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line
from licet.cli.words import number, wrapped

_SIGNS: Final = {"added": ("+", GOOD), "removed": ("-", BAD), "changed": ("~", WARN)}
_EFFECTS: Final = {
    "live": ("all customers, at once", BAD),
    "new_purchases": ("new purchases", DIM),
    "none": ("", DIM),
}
_MANY: Final = 40
"""More changes than this are summed up by part: a first release would fill screens."""
_INDENT: Final = 14


def change_lines(answer: Mapping[str, Any], *, width: int | None = None) -> list[Line]:
    """Return the changes of a preview or a release as a diff, wrapped at ``width`` columns (None: never)."""
    changes = answer["changes"]
    base = answer.get("base", 0)
    if not changes:
        return [f"nothing differs from revision {base}"]
    on = f"on top of revision {base}" if base else "as the first release"
    lines: list[Line] = [[(f"{len(changes)} changes", BOLD) if len(changes) > 1 else ("1 change", BOLD), f" {on}"]]
    if len(changes) > _MANY:
        return [*lines, *_summary(changes, width), *_warnings(changes, width)]
    heading = ""
    for change in changes:
        part, rest = _nested(change["path"])
        if part != heading:
            lines.extend(["", (part, BOLD)])
            heading = part
        lines.extend(_one(change, rest, width))
    live = sum(change["effect"] == "live" for change in changes)
    if live:
        lines.append("")
        lines.append((f"{live} of them change{'s' if live == 1 else ''} what customers may do at once", WARN))
    return [*lines, *_warnings(changes, width)]


def _warnings(changes: list[Mapping[str, Any]], width: int | None) -> list[Line]:
    """What is allowed and may not have been meant."""
    told = [change["warning"] for change in changes if change.get("warning")]
    lines: list[Line] = [""] if told else []
    for words in told:
        lines.extend((line, WARN) for line in wrapped(words, width, "! ", "  "))
    return lines


def _nested(path: str) -> tuple[str, str]:
    """Return the part that a path leads to (``plans.team``) and the way within it."""
    section, dot, within = path.partition(".")
    name, _, rest = within.partition(".")
    return f"{section}{dot}{name}", rest


def _one(change: Mapping[str, Any], rest: str, width: int | None) -> list[Line]:
    sign, style = _SIGNS[change["kind"]]
    effect, shade = _EFFECTS[change["effect"]]
    first: list[Any] = [(f"  {sign} ", style), (rest or change["kind"], style)]
    if effect:
        first.append((f"  [{effect}]", shade))
    lines: list[Line] = [first]
    for mark, key, color in (("-", "before", BAD), ("+", "after", GOOD)):
        value = _scalar(change.get(key))
        if value is not None and change["kind"] == "changed":
            lines.extend((text, color) for text in wrapped(f"{mark} {value}", width, "      ", "        "))
    lines.extend(wrapped(change["sentence"], width, "      ", "      "))
    return lines


def _scalar(value: Any) -> str | None:
    """Return a value that fits into a line; None for what only the sentence can tell."""
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).lower() if isinstance(value, bool) else number(value) if isinstance(value, int) else str(value)


def _summary(changes: list[Mapping[str, Any]], width: int | None) -> list[Line]:
    counts: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        part, _, name = change["path"].partition(".")
        counts.setdefault((change["kind"], part), []).append(name)
    lines: list[Line] = []
    for (kind, part), names in counts.items():
        sign, style = _SIGNS[kind]
        shown = ", ".join(names[:6]) + (f" … ({len(names)} in all)" if len(names) > 6 else "")
        first, *others = wrapped(shown, None if width is None else width - _INDENT, "", "")
        lines.append([(f"  {sign} ", style), (f"{part:<9}", BOLD), f" {first}"])
        lines.extend(" " * _INDENT + other for other in others)
    return lines
