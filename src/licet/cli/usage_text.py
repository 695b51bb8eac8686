"""Usage, refusals and single facts in words for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.cli.output import BAD, DIM, Line, Output
from licet.cli.same_workspace import here
from licet.cli.words import day, number

Row = Mapping[str, Any]


def show_sums(
    out: Output, rows: Sequence[Row], by: str, dimensions: Sequence[str], limit: int, *, of_one: bool
) -> None:
    """Print sums as a table: one row for each hour, day or month of each meter, and each value of the dimensions."""
    if not rows:
        out.line("no meter counted anything")
        out.line((here("credits used directly have no meter: `licet balance statement` lists what took them"), DIM))
        return
    first = [] if of_one else ["customer"]
    table: list[list[Line]] = [
        [
            *([] if of_one else [row["customer"]]),
            _begin(row["begins_at"], by),
            row["meter"],
            *(row["dimensions"].get(name, "—") for name in dimensions),
            "—" if row["quantity"] is None else number(row["quantity"]),
            row["unit"] or "",
            number(row["events"]),
        ]
        for row in rows
    ]
    columns = [*first, by, "meter", *dimensions, "used", "unit", "facts"]
    place = len(first) + 2 + len(dimensions)
    out.table(columns, table, right=(place, place + 2))
    _say_more(out, rows, limit)


def show_refusals(out: Output, rows: Sequence[Row], limit: int) -> None:
    """Print refused requests as a table."""
    if not rows:
        out.line("nothing was refused")
        return
    table: list[list[Line]] = [
        [
            day(row["refused_at"]),
            row["customer"],
            row["feature"],
            number(row["quantity"]),
            (row["reason"], BAD),
            row["user"] or "",
        ]
        for row in rows
    ]
    out.table(["at", "customer", "feature", "asked", "reason", "user"], table, right=(3,))
    _say_more(out, rows, limit)


def show_facts(out: Output, rows: Sequence[Row], limit: int) -> None:
    """Print single facts as a table; what gives back is negative, and names what it is of."""
    if not rows:
        out.line("nothing was used")
        return
    ends = any(row.get("of") for row in rows)
    table: list[list[Line]] = [
        [
            str(row["serial"]),
            day(row["at"]),
            row["kind"],
            row["customer"],
            _counted(row),
            _took(row),
            *([row.get("of", "")] if ends else []),
            row.get("user", ""),
            (row["id"], DIM),
            row.get("source", {}).get("note") or "",
        ]
        for row in rows
    ]
    columns = ["serial", "at", "what", "customer", "counted", "took", *(["of"] if ends else []), "user", "id", "note"]
    said = len(columns) if any(row[-1] for row in table) else -1
    out.table(columns[:said], [row[:said] for row in table], right=(0,))
    _say_more(out, rows, limit)


def _begin(at: str, by: str) -> str:
    return at[:7] if by == "month" else at[:10] if by == "day" else f"{at[:10]} {at[11:16]}"


def _counted(row: Row) -> str:
    """What a fact counted: what only went out to a program is no use yet, and a recovery's was counted by itself."""
    counted = {} if row["kind"] in ("lease", "recovery") else row.get("metered") or row.get("asked") or {}
    return _amounts(counted, back=row["kind"] == "refund")


def _took(row: Row) -> str:
    """What it took from balances, or gave back; what was told of as used of a lease had been taken before."""
    if row["kind"] in ("return", "recovery"):
        return _amounts(row.get("back") or {}, back=True)
    return _amounts(row.get("burns") or {}, back=row["kind"] == "refund")


def _amounts(amounts: Row, *, back: bool) -> str:
    sign = "-" if back else ""
    return ", ".join(f"{sign}{number(amount)} {name}" for name, amount in amounts.items())


def _say_more(out: Output, rows: Sequence[Row], limit: int) -> None:
    if len(rows) == limit:
        out.line((f"these are {limit}; --limit shows more", DIM))
