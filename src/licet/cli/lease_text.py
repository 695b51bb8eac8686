"""Quota leases in words for a terminal: as a table, as lines of a balance, as rows of its statement."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from licet.cli.output import BAD, DIM, WARN, Line, Output
from licet.cli.words import day, label, number

Row = Mapping[str, Any]
_STYLES: Final = {"escheated": BAD, "settled": DIM, "proven": DIM}
_SHORT: Final = 8


def show_leases(out: Output, rows: Sequence[Row], limit: int) -> None:
    """Print leases as a table, those whose owners went silent in red."""
    from licet.cli.balance_text import table

    if not rows:
        out.line("no program owns anything")
        return
    shown: list[list[Line]] = [
        [
            row["customer"],
            row["feature"],
            (row["state"], _STYLES.get(row["state"], "")),
            number(row["amount"]),
            number(row["used"]),
            number(row["written_off"]) if _some(row["written_off"]) else "",
            row["unit"] or "",
            day(row["until"]) if row["state"] == "open" else "",
            ("asked back", WARN) if row["recalled"] and row["state"] == "open" else "",
            (row["owner"][:_SHORT], DIM),
            (row["id"], DIM),
        ]
        for row in rows
    ]
    columns = ["customer", "feature", "state", "of", "used", "written off", "unit", "until", "", "owner", "id"]
    table(out, columns, shown, right=(3, 4, 5))
    if len(rows) == limit:
        out.line((f"these are {limit}; --limit shows more", DIM))


def held_lines(balance: Row) -> Iterator[Line]:
    """Yield what of the use of a balance is not known as use, and what lacks."""
    if _some(balance.get("leased")):
        yield label("leased", (f"{number(balance['leased'])} of it is out at programs, and not known as use yet", WARN))
    if _some(balance.get("written_off")):
        words = "of it is written off: programs crashed or went silent with it; no use, and not billed"
        yield label("lost", (f"{number(balance['written_off'])} {words}", WARN))
    if _some(balance.get("deficit")):
        words = "more is used and out than there may be: nothing more goes out to programs"
        yield label("deficit", (f"{number(balance['deficit'])} {words}", BAD))


def lease_words(entry: Row) -> str:
    """Return what a row of a statement says of leases: how many, what was used of them, what came back."""
    words = []
    issued = entry.get("issued", 0)
    if entry["kind"] == "leases" and issued:
        words.append(f"{issued:,} {'lease' if issued == 1 else 'leases'} of {number(entry['leased'])}")
    if entry.get("used") is not None:
        metered = ", ".join(f"{number(amount)} {meter}" for meter, amount in entry.get("metered", {}).items())
        words.append(f"{number(entry['used'])} used" + (f" ({metered})" if metered else ""))
        words.append(f"{number(entry['returned'])} back")
    return ", ".join(words)


def _some(value: Any) -> bool:
    return any(digit in "123456789" for digit in str(value))
