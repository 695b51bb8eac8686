"""Changes of a catalog in words for a terminal: what comes, what goes, and whose rights move."""

from collections.abc import Mapping
from typing import Any, Final

from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line

_SIGNS: Final = {"added": ("+", GOOD), "removed": ("-", BAD), "changed": ("~", WARN)}
_EFFECTS: Final = {
    "live": ("all customers, at once", BAD),
    "new_purchases": ("new purchases", DIM),
    "none": ("", DIM),
}
_MANY: Final = 40
"""More changes than this are summed up by part: a first release would fill screens."""


def change_lines(answer: Mapping[str, Any]) -> list[Line]:
    """Return the changes of a preview or a release, most important facts first."""
    changes = answer["changes"]
    base = answer.get("base", 0)
    if not changes:
        return [f"nothing differs from revision {base}"]
    on = f"on top of revision {base}" if base else "as the first release"
    lines: list[Line] = [[(f"{len(changes)} changes", BOLD) if len(changes) > 1 else ("1 change", BOLD), f" {on}"]]
    if len(changes) > _MANY:
        return [*lines, *_summary(changes)]
    lines.extend(_one(change) for change in changes)
    live = sum(change["effect"] == "live" for change in changes)
    if live:
        lines.append("")
        lines.append((f"{live} of them change{'s' if live == 1 else ''} what customers may do at once", WARN))
    return lines


def _one(change: Mapping[str, Any]) -> Line:
    sign, style = _SIGNS[change["kind"]]
    effect, shade = _EFFECTS[change["effect"]]
    line: list[Any] = [(f"  {sign} ", style), (change["sentence"], style if change["kind"] != "changed" else "")]
    if effect:
        line.append((f"  [{effect}]", shade))
    return line


def _summary(changes: list[Mapping[str, Any]]) -> list[Line]:
    counts: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        part, _, name = change["path"].partition(".")
        counts.setdefault((change["kind"], part), []).append(name)
    lines: list[Line] = []
    for (kind, part), names in counts.items():
        sign, style = _SIGNS[kind]
        shown = ", ".join(names[:6]) + (f" … ({len(names)} in all)" if len(names) > 6 else "")
        lines.append([(f"  {sign} ", style), (f"{part:<9}", BOLD), f" {shown}"])
    return lines
