"""What a rehearsal found, in words for a terminal of 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.cli.check_count_text import OUTCOMES, asked_with, explain_command, show_command
from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line, Output
from licet.cli.words import day, number, wrapped

Row = Mapping[str, Any]

_COLUMNS: Final = 80
_KINDS: Final = (
    ("same", "answered as they were", ""),
    ("newly_denied", "would be denied, and were not", BAD),
    ("newly_allowed", "would be allowed, and were denied", GOOD),
    ("observed", "allowed both times, but observe mode would report otherwise", WARN),
    ("reason", "answered alike, for another first reason", WARN),
    ("undecided", "cannot be decided", WARN),
)
_HEADS: Final = (
    ("differing", "differ"),
    ("newly_denied", "newly denied"),
    ("newly_allowed", "newly allowed"),
    ("observed", "observed"),
    ("reason", "reason"),
    ("undecided", "undecided"),
)


def show_rehearsal(out: Output, sums: Row, differences: Sequence[Row], file: str, workspace: str | None = None) -> None:
    """Print the sums, by feature where there are several, the differences that are listed, and how one is explained."""
    width = min(out.width or _COLUMNS, _COLUMNS)
    if sums["unreleasable"]:
        out.lines(_unreleasable(sums["unreleasable"], file, width))
        out.line()
    if not sums["questions"]:
        out.line(f"no checks on record since {day(sums['since'])} match")
        out.line(("a feature is recorded check by check where the catalog says: record: each", DIM))
        return
    out.lines(_sums(sums))
    out.lines(_doubts(sums, width))
    if len(sums["by_feature"]) > 1 and sums["same"] < sums["questions"]:
        out.line()
        _features(out, sums["by_feature"])
    if differences:
        out.line()
        _differences(out, differences)
        if len(differences) < sums["differing"]:
            more = sums["differing"] - len(differences)
            out.line((f"and {number(more)} more; --limit lists more of them", DIM))
        out.line()
        out.line(("how the first was answered:", DIM))
        show_command(out, explain_command(differences[0], differences[0]["asked_at"], workspace))


def unknown_words(sums: Row) -> str | None:
    """Return why it is not known that all would be answered as they were, None where it is known of each."""
    if not sums["questions"]:
        return "nothing was asked again"
    if not sums["undecided"]:
        return None
    return f"{number(sums['undecided'])} of {number(sums['questions'])} could not be decided"


def _unreleasable(problems: Sequence[str], file: str, width: int) -> list[Line]:
    lines: list[Line] = [(f"{file} could not be released as it is; it is rehearsed all the same:", WARN)]
    for problem in problems[:3]:
        lines += [(line, DIM) for line in wrapped(problem, width, "  ", "    ")]
    if len(problems) > 3:
        lines.append((f"  and {len(problems) - 3} more; licet catalog validate and preview tell them all", DIM))
    return lines


def _sums(sums: Row) -> list[Line]:
    one = sums["questions"] == 1
    count = f"{number(sums['questions'])} {'check' if one else 'checks'} on record"
    lines: list[Line] = [[(count, BOLD), f", {day(sums['since'])} to {day(sums['until'])}"]]
    shown = [row for row in _KINDS if sums[row[0]]]
    wide = max(len(number(sums[name])) for name, _, _ in shown)
    lines += [[f"  {number(sums[name]):>{wide}}  ", (words, style)] for name, words, style in shown]
    if not sums["differing"] and not sums["undecided"]:
        lines.append(("nothing would have been answered otherwise", GOOD))
    if sums["already"]:
        which = "all" if sums["already"] == sums["differing"] else number(sums["already"])
        lines.append((f"of those that differ, {which} do so under revision {sums['base']} already", DIM))
    return lines


def _doubts(sums: Row, width: int) -> list[Line]:
    """Why questions could not be asked again."""
    why, told = sums["undecided_for"], []
    if why["left_out"]:
        names = ", ".join(f"{one['attribute']} ({number(one['questions'])})" for one in sums["missing"])
        told.append(f"{number(why['left_out'])}: the file reads what was not kept of the context: {names}")
    if why["basis"]:
        told.append(f"{number(why['basis'])}: what they were answered by is not in this log; it was lost by a restore")
    if why["amount"]:
        told.append(f"{number(why['amount'])}: their amount does not fit the feature")
    return [(line, DIM) for words in told for line in wrapped(words, width, "  undecided ", "    ")]


def _features(out: Output, rows: Sequence[Row]) -> None:
    heads = [(name, head) for name, head in _HEADS if any(row[name] for row in rows)]
    cells: list[list[Line]] = [
        [row["feature"], number(row["questions"]), *(number(row[name]) if row[name] else "·" for name, _ in heads)]
        for row in rows
    ]
    columns = ["feature", "asked", *(head for _, head in heads)]
    out.table(columns, cells, right=range(1, len(columns)))


def _differences(out: Output, rows: Sequence[Row]) -> None:
    cells: list[list[Line]] = []
    for row in rows:
        user = f"/{row['user']}" if row["user"] else ""
        cells.append(
            [
                f"{row['asked_at'][:10]} {row['asked_at'][11:19]}",
                row["customer"] + user,
                row["feature"],
                _answer(row["was"]),
                _answer(row["would"]),
                asked_with(row) or "—",
            ]
        )
    out.table(["asked at", "who", "feature", "was", "would be", "asked with"], cells)


def _answer(told: Row) -> Line:
    words, style = OUTCOMES[told["outcome"]]
    return [(words, style), f" {told['reason']}"]
