"""The screen of ``licet top``."""

import io
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from licet.cli.output import BAD, BOLD, DIM, WARN, Line, Output
from licet.cli.words import day, number

UNLIMITED: Final = "unlimited"
_NEARLY: Final = 80
_FIGURES: Final = range(2, 9)
_COLUMNS: Final = ("customer", "feature", "requests/s", "used/s", "refused", "used", "of", "left", "used %", "unit")


def screen(answer: Mapping[str, Any], width: int | None = None, height: int | None = None) -> list[Line]:
    """Return what is shown, line by line: rows with a full balance or refusals in red, nearly full ones in yellow.

    Where the terminal is too narrow columns are left out, the least telling first; where it is too low, rows.
    """
    seconds, rows = answer["seconds"], answer["items"]
    head: Line = [
        ("usage now", BOLD),
        f"  {rate(answer['requests'], seconds)} requests a second, over {seconds} s",
        (f"  {day(answer['at'])}", DIM),
    ]
    if not rows:
        return [head, "", (f"nothing was used or refused in the last {seconds} s", DIM)]
    names, *drawn = _drawn([_row(row, seconds) for row in rows], width)
    styled: list[Line] = [
        (line, style) if (style := _style(row)) else line for line, row in zip(drawn, rows, strict=True)
    ]
    hidden = 0 if height is None else max(0, len(styled) + 3 - height)
    if hidden:
        styled = [*styled[: -hidden - 1], (f"and {hidden + 1} more", DIM)]
    return [head, "", (names, DIM), *styled]


def _drawn(rows: list[list[str]], width: int | None) -> list[str]:
    """Return a table's lines, with as many columns as fit."""
    kept = list(range(len(_COLUMNS)))
    for left_out in (None, "unit", "used/s", "used %", "of", "used"):
        kept = [place for place in kept if _COLUMNS[place] != left_out]
        stream = io.StringIO()
        Output(stream=stream).table(
            [_COLUMNS[place] for place in kept],
            [[row[place] for place in kept] for row in rows],
            right=[number for number, place in enumerate(kept) if place in _FIGURES],
        )
        lines = stream.getvalue().splitlines()
        if width is None or max(map(len, lines)) <= width:
            break
    return lines if width is None else [line[:width] for line in lines]


def rate(amount: object, seconds: int) -> str:
    """Return an amount for each second, with decimals where it is small: what is there is never shown as nothing."""
    each = Decimal(str(amount)) / seconds
    if 0 < each < Decimal("0.005"):
        return "<0.01"
    return number(
        f"{each:.0f}" if each >= 100 else f"{each:.1f}" if each >= Decimal("0.095") or not each else f"{each:.2f}"
    )


def _row(row: Mapping[str, Any], seconds: int) -> list[str]:
    share = _percent(row)
    return [
        row["customer"],
        row["feature"],
        rate(row["requests"], seconds),
        "—" if row["quantity"] is None else rate(row["quantity"], seconds),
        number(row["refused"]),
        *("—" if row[name] is None else number(row[name]) for name in ("used", "granted", "remaining")),
        "—" if share is None else f"{share:.1f}%",
        row["unit"] or "",
    ]


def _percent(row: Mapping[str, Any]) -> Decimal | None:
    if row["granted"] in (None, UNLIMITED) or not Decimal(str(row["granted"])):
        return None
    return Decimal(str(row["used"])) * 100 / Decimal(str(row["granted"]))


def _style(row: Mapping[str, Any]) -> str:
    share = _percent(row) or 0
    if row["refused"] or share >= 100:
        return BAD
    return WARN if share >= _NEARLY else ""
