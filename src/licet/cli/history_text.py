"""A customer's history in words for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any, Final

from licet.cli.output import ACCENT, BAD, BOLD, DIM, Line
from licet.cli.subscription_text import right_lines
from licet.cli.words import day, wrapped

_COLUMNS: Final = 80
_MOST: Final = 12
_FEW: Final = 4


def entry_lines(entry: Mapping[str, Any], width: int | None) -> list[Line]:
    """Return one entry: when and by whom, what happened, the note, and each right that changed."""
    columns = min(width or _COLUMNS, _COLUMNS)
    head: list[Any] = [(day(entry["at"]), BOLD)]
    head += ["  ", ("time", ACCENT)] if entry["kind"] == "time" else [("  " + str(entry["by"]), DIM)]
    lines: list[Line] = [head]
    for words in entry["words"]:
        lines.extend(wrapped(words, columns, "  ", "    "))
    if entry.get("effective_at"):
        lines.append([("  counts from  ", DIM), day(entry["effective_at"])])
    if entry.get("note"):
        lines.extend((line, DIM) for line in wrapped(f"“{entry['note']}”", columns, "  ", "   "))
    changes = entry["changes"]
    if (
        len(changes) > _FEW
        and changes[0]["kind"] == "loss"
        and len({(one["kind"], one["becomes"]) for one in changes}) == 1
    ):
        # All are lost for one reason, which needs to be said once.
        lines.append(["  ", ("−", BAD), f" {len(changes)} rights: {changes[0]['becomes']}"])
        lines.extend(
            (line, DIM) for line in wrapped(", ".join(one["title"] for one in changes), columns, "    ", "    ")
        )
        return lines
    for one in changes[:_MOST]:
        lines.extend(right_lines(one, columns))
    if len(changes) > _MOST:
        lines.append((f"    and {len(changes) - _MOST} more rights; --feature shows one", DIM))
    return lines
