"""Subscriptions and what changes in them, in words for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any, Final

from licet.cli.output import ACCENT, BAD, BOLD, DIM, GOOD, WARN, Line
from licet.cli.words import day, label, wrapped

_MARKS: Final = {
    "gain": ("+", GOOD),
    "more": ("+", GOOD),
    "less": ("−", WARN),
    "loss": ("−", BAD),
    "changed": ("~", WARN),
}
_COLUMNS: Final = 80
_LABEL: Final = 12
_MANY: Final = 1


def item_words(item: Mapping[str, Any]) -> str:
    """Return ``team@2026-07 × 12 editor``, with the bundle where it came in one."""
    count = item.get("quantity", _MANY)
    counted = f" {item['quantity_of']}" if item.get("quantity_of") else ""
    words = f"{item['id']}@{item['version']}" + (f" × {count}{counted}" if count != _MANY or counted else "")
    return f"{words} ({item['bundle']})" if item.get("bundle") else words


def items_words(items: Any) -> str:
    """Return several items, ``nothing`` where there are none."""
    return ", ".join(item_words(item) for item in items) or "nothing"


def subscription_lines(view: Mapping[str, Any]) -> list[Line]:
    """Return how one subscription stands, what it consists of and what is planned."""
    lines: list[Line] = [[(view["id"], BOLD), "  ", (view["standing"], _color(view["standing"]))]]
    lines.append(label("consists of", items_words(view["items"]), _LABEL))
    if view["until"]:
        lines.append(label("until", day(view["until"]), _LABEL))
    if view["trial"]:
        trial = view["trial"]
        lines.append(label("trial", f"{day(trial['start'])} – {day(trial['end'])}, then {trial['then']}", _LABEL))
    if view["period"]:
        lines.append(label("period", f"{day(view['period']['start'])} – {day(view['period']['end'])}", _LABEL))
    for pause in view["pauses"]:
        until = f"until {day(pause['ends_at'])}" if pause.get("ends_at") else "until it is resumed"
        lines.append(label("paused", f"from {day(pause['starts_at'])} {until}", _LABEL))
    lines.extend(planned_lines(view["scheduled"]))
    lines.extend(moved_lines(view["moves"]))
    ends = day(view["ends_at"]) if view["ends_at"] else f"renews every {view['renews']}"
    lines.append(label("ends", ends, _LABEL))
    lines.append(label("sold by", f"{view['source'] or '—'}  {view['external_id'] or ''}".rstrip(), _LABEL))
    return lines


def planned_lines(scheduled: Any, width: int = _LABEL) -> list[Line]:
    """Return what is planned for later, one line for each instant."""
    return [label("planned", f"{day(one['at'])}: {items_words(one['items'])}", width) for one in scheduled]


def moved_lines(moves: Any) -> list[Line]:
    """Return the moves between versions that count or are announced, one line for each."""
    return [
        label("moved", f"{one['item']}@{one['from_version']} → {one['to_version']} from {day(one['at'])} on", _LABEL)
        for one in moves
    ]


def change_lines(answer: Mapping[str, Any], width: int | None) -> list[Line]:
    """Return what became, or would become, of a change: gains and losses, plans and findings."""
    lines: list[Line] = []
    if answer["outcome"] == "duplicate":
        lines.append([("unchanged", WARN), "  it is so already; nothing was written"])
    elif answer["dry_run"]:
        lines.append([("foreseen", WARN), "  nothing was written"])
    else:
        lines.append([(answer["outcome"], ACCENT), f"  {answer['order'] or ''}"])
    if answer["subscription"]:
        lines.append(label("subscription", answer["subscription"], _LABEL + 2))
    lines.append(label("from", day(answer["effective_at"]), _LABEL + 2))
    columns = min(width or _COLUMNS, _COLUMNS)
    if not answer["changes"]:
        lines.append(("  no right is gained or lost at that instant", DIM))
    for one in answer["changes"]:
        lines.extend(right_lines(one, columns))
    lines.extend(planned_lines(answer["scheduled"], _LABEL + 2))
    for words in (*(finding["words"] for finding in answer["findings"]), *answer["remarks"]):
        lines.extend((line, WARN) for line in wrapped(words, columns, "  ! ", "    "))
    return lines


def right_lines(change: Mapping[str, Any], columns: int) -> list[Line]:
    """Return what becomes of one right, wrapped at so many columns."""
    mark, color = _MARKS[change["kind"]]
    was, becomes = change["was"], change["becomes"]
    words = f"{change['title']}: {becomes}" if change["kind"] == "gain" and was == "not included" else ""
    first, *rest = wrapped(words or f"{change['title']}: {was} → {becomes}", columns - 4, "", "      ")
    return [["  ", (mark, color), " " + first], *rest]


def _color(standing: str) -> str:
    if standing in ("active", "trialing"):
        return GOOD
    return BAD if standing in ("ended", "suspended") else WARN
