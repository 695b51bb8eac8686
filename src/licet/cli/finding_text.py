"""Findings in words for a terminal: what is wrong, what is at stake, who settles it by when, and how."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from licet.cli.money_text import money_words
from licet.cli.output import ACCENT, BAD, BOLD, DIM, GOOD, WARN, Line, Piece
from licet.cli.same_workspace import here
from licet.cli.words import day, label, number, wrapped
from licet.core.finding import KINDS
from licet.core.instant import parse_instant

Row = Mapping[str, Any]

_LABEL: Final = 8
_DAY: Final = 86_400_000_000
_HOUR: Final = 3_600_000_000
_SHADES: Final = {"high": BAD, "medium": WARN}


def at_stake(rows: Sequence[Row]) -> dict[str, int]:
    """Return what the open ones among some findings put at stake, per currency, in its smallest unit."""
    sums: Counter[str] = Counter()
    for row in rows:
        if row["state"] == "open" and row.get("money"):
            sums[row["money"]["currency"]] += row["money"]["amount"]
    return dict(sorted(sums.items()))


def is_overdue(row: Row, now: int) -> bool:
    """Return whether an open finding's due date has passed; ``now`` is business time in microseconds."""
    return row["state"] == "open" and row.get("due_at") is not None and parse_instant(row["due_at"]) <= now


def by_due_date(row: Row) -> tuple[bool, int, str]:
    """Return what an inbox is sorted by: open ones first, the earliest due date on top."""
    due = row.get("due_at")
    return (row["state"] != "open", 2**63 if due is None else parse_instant(due), row["id"])


def finding_lines(row: Row, now: int, width: int | None) -> list[Line]:
    """Return a finding as it stands in the list."""
    lines: list[Line] = [_heading(row)]
    lines += wrapped(row["words"], width, "  ", "  ")
    lines.append(_who(row, now))
    lines.append(label("seen", _seen(row, now), _LABEL))
    if row["state"] == "open":
        lines += _repair(row, width)
    elif row.get("note"):
        lines += _paragraph("note", row["note"], width)
    lines.append(label("id", [(row["id"], ACCENT), (f"  {row['kind']}", DIM)], _LABEL))
    return [*lines, ""]


def whole_lines(row: Row, now: int, width: int | None) -> list[Line]:
    """Return everything that is known of one finding, and what its kind means."""
    lines: list[Line] = [_heading(row)]
    lines += wrapped(row["words"], width, "  ", "  ")
    kind = KINDS.get(row["kind"])
    if kind is not None:
        lines.append("")
        lines += wrapped(f"{kind.what} {kind.why}", width, "  ", "  ")
        lines.append("")
        lines += wrapped(here(kind.steps), width, "  ", "  ")
    lines.append("")
    if kind is None or row["repair"] != kind.steps:
        lines += _repair(row, width)
    lines.append(_who(row, now))
    lines.append(label("seen", _seen(row, now), _LABEL))
    lines.append(label("about", row["subject"], _LABEL))
    facts = {name: value for name, value in (row.get("evidence") or {}).items() if value is not None}
    for place, (name, value) in enumerate(facts.items()):
        said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        lines += _paragraph("" if place else "facts", f"{name}: {said}", width)
    if row.get("note"):
        lines += _paragraph("note", row["note"], width)
    lines.append(label("id", [(row["id"], ACCENT), (f"  {row['kind']}", DIM)], _LABEL))
    return lines


def total_line(rows: Sequence[Row], now: int) -> list[Piece]:
    """Return the last line of a list: how many, how many of them open and overdue, and the money at stake."""
    still = sum(row["state"] == "open" for row in rows)
    late = sum(is_overdue(row, now) for row in rows)
    line: list[Piece] = [f"{len(rows)} finding{'' if len(rows) == 1 else 's'}, {still} open"]
    if late:
        line += [", ", (f"{late} overdue", BAD)]
    sums = ", ".join(money_words({"amount": amount, "currency": name}) for name, amount in at_stake(rows).items())
    return [*line, "; at stake: ", (sums, BOLD)] if sums else line


def _heading(row: Row) -> Line:
    """The first line: how bad, what, about whom, how much."""
    kind = KINDS.get(row["kind"])
    line: list[Piece] = [(row["severity"], _SHADES.get(row["severity"], DIM)), "  "]
    line.append((row["kind"] if kind is None else kind.title, BOLD))
    if row.get("customer"):
        line += ["  ", (row["customer"], ACCENT)]
    if row.get("money"):
        line += ["  ", (money_words(row["money"]), BOLD)]
    return line


def _who(row: Row, now: int) -> Line:
    """Who settles it and by when; or who was to, and what became of it."""
    owner = row.get("owner") or "nobody"
    if row["state"] != "open":
        return label("state", [(row["state"], GOOD), f" {day(row.get('settled_at'))}, {owner}"], _LABEL)
    if row.get("due_at") is None:
        return label("owner", f"{owner}, no due date", _LABEL)
    due = parse_instant(row["due_at"])
    if is_overdue(row, now):
        return label(
            "owner", [f"{owner}, ", (f"overdue by {_span(now - due)}, since {row['due_at'][:10]}", BAD)], _LABEL
        )
    return label("owner", f"{owner}, due in {_ahead(due - now)}, {row['due_at'][:10]}", _LABEL)


def _seen(row: Row, now: int) -> str:
    age = _span(now - parse_instant(row["first_seen"]))
    often = "once" if row["seen"] == 1 else f"{number(row['seen'])} times, last {row['last_seen'][:10]}"
    return f"first {row['first_seen'][:10]} ({age} ago), {often}"


def _ahead(micros: int) -> str:
    """Return a span ahead as people count it: to the nearest day, hour or minute."""
    days, hours = (micros + _DAY // 2) // _DAY, (micros + _HOUR // 2) // _HOUR
    if days >= 2:
        return f"{number(days)} days"
    return f"{hours} hours" if hours >= 2 else f"{(micros + 30_000_000) // 60_000_000} min"


def _span(micros: int) -> str:
    """Return a span in its largest whole unit."""
    days, hours = micros // _DAY, micros // _HOUR
    if days >= 2:
        return f"{number(days)} days"
    if hours >= 2:
        return f"{hours} hours"
    return f"{max(0, micros) // 60_000_000} min"


def _repair(row: Row, width: int | None) -> list[Line]:
    """The repair: a command stays on one line, so that it can be copied; advice is wrapped."""
    repair = row.get("repair") or ""
    if repair.startswith("licet "):
        return [label("repair", (here(f"`{repair}`").strip("`"), GOOD), _LABEL)]
    return _paragraph("repair", here(repair), width) if repair else []


def _paragraph(name: str, text: str, width: int | None) -> list[Line]:
    first, *rest = wrapped(text, None if width is None else width - 2 - _LABEL, "", "")
    return [label(name, first, _LABEL), *(label("", one, _LABEL) for one in rest)]
