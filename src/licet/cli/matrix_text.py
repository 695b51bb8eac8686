"""The feature matrix on a terminal or as Markdown."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

from licet.cli.output import ACCENT, BOLD, DIM, GOOD, Line, Output
from licet.cli.problem_text import cells
from licet.cli.times import instant_of
from licet.core.matrix import GROUP_TITLES, Matrix, feature_matrix, render_markdown

_NOTHING: Final = "–"
_YES: Final = "✓"


def local_matrix(file: Path, at: str | None, audience: str, out: Output) -> dict[str, Any]:
    """Return the matrix of a catalog file, at an instant (real time by default), as JSON values."""
    import msgspec

    from licet.cli.catalog_file import load_catalog

    instant = time.time_ns() // 1000 if at is None else instant_of(at)
    catalog = load_catalog(file, out)
    made = feature_matrix(catalog, instant, cast(Literal["customer", "support"], audience))
    return cast(dict[str, Any], msgspec.to_builtins(made))


def matrix_lines(answer: Mapping[str, Any], *, markdown: bool) -> list[Line]:
    """Return a matrix as lines: Markdown, or one aligned block for each group of features."""
    if markdown:
        return list(render_markdown(_matrix(answer)).splitlines())
    columns, rows = answer["columns"], answer["rows"]
    plans = [place for place, column in enumerate(columns) if column["kind"] == "plan"]
    addons = [place for place, column in enumerate(columns) if column["kind"] == "addon"]
    lines: list[Line] = []
    for group, title in GROUP_TITLES.items():
        chosen = [row for row in rows if row["group"] == group]
        lines.extend(_block(title, columns, chosen, plans if group == "core" else addons))
        if group == "core":
            lines.extend(_block("Add-ons on top", columns, chosen, addons))
    return lines or ["nothing is sold at this time"]


def _block(
    title: str, columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], places: Sequence[int]
) -> list[Line]:
    giving = [row for row in rows if any(row["cells"][place] != _NOTHING for place in places)]
    used = [place for place in places if any(row["cells"][place] != _NOTHING for row in giving)]
    if not giving:
        return []
    heads = ["", *(_head(columns[place]) for place in used)]
    table = [[_title(row), *(_short(row, row["cells"][place]) for place in used)] for row in giving]
    widths = [max(cells(text) for text in column) for column in zip(heads, *table, strict=True)]
    lines: list[Line] = [(title, f"{BOLD} {ACCENT}")]
    lines.append(
        ("  " + "  ".join(_wide(text, width) for text, width in zip(heads, widths, strict=True)).rstrip(), BOLD)
    )
    for texts in table:
        line: list[Any] = ["  " + _wide(texts[0], widths[0])]
        for text, width in zip(texts[1:], [*widths[1:-1], 0], strict=True):
            style = DIM if text == _NOTHING else GOOD if text == _YES else ""
            line.append(("  " + _wide(text, width), style))
        lines.append(line)
    return [*lines, ""]


def _head(column: Mapping[str, Any]) -> str:
    return f"{column['title']} {column['version']}" if column["kind"] == "plan" else f"+ {column['title']}"


def _matrix(answer: Mapping[str, Any]) -> Matrix:
    import msgspec

    from licet.core.instant import parse_instant

    at = answer["at"]
    return msgspec.convert({**answer, "at": parse_instant(at) if isinstance(at, str) else at}, Matrix)


def _title(row: Mapping[str, Any]) -> str:
    title, unit = row["title"], row.get("unit")
    return f"{title} ({unit})" if unit and unit.casefold() != title.casefold() else str(title)


def _short(row: Mapping[str, Any], text: str) -> str:
    if text == "Included":
        return _YES
    unit = row.get("unit")
    return text.replace(f" {unit}", "", 1) if unit else text


def _wide(text: str, width: int) -> str:
    return text + " " * max(0, width - cells(text))
