"""The screen of ``licet top``."""

import io
from collections.abc import Sequence
from typing import Any

import msgspec

from licet.cli.output import BAD, BOLD, DIM, WARN, Line, Output
from licet.cli.top_view import MOST, TopView
from licet.cli.words import day, number

FULL = 100.0
NEARLY = 80.0


def document(view: TopView) -> Any:
    """Return everything as JSON has it."""
    return msgspec.to_builtins(view)


def screen(view: TopView) -> list[Line]:
    """Return what is shown, line by line."""
    lines: list[Line] = [
        [("usage now", BOLD), f"  {number(view.facts_per_s)} facts a second", (f"  {day(view.now)}", DIM)],
        "",
    ]
    rates = [
        [
            one.customer,
            one.meter,
            number(one.facts_per_s),
            "—" if one.used_per_s is None else number(one.used_per_s),
            "—" if one.this_hour is None else number(one.this_hour),
            one.unit,
        ]
        for one in view.rates
    ]
    columns = ["customer", "meter", "facts/s", "used/s", "this hour", "unit"]
    lines += _table(columns, rates, (2, 3, 4), "nothing was used in this hour")
    if not view.whole:
        lines.append((f"more than {MOST:,} sums in this hour: only the first by customer are looked at", WARN))
    near = [
        [one.customer, one.feature, one.holder, number(one.used), number(one.granted), f"{one.percent:.1f}%"]
        for one in view.near
    ]
    lines += ["", ("nearest to their limit", BOLD)]
    styles = [BAD if one.percent >= FULL else WARN if one.percent >= NEARLY else "" for one in view.near]
    columns = ["customer", "feature", "holder", "used", "of", "used %"]
    lines += _table(columns, near, (3, 4, 5), "nobody who is busy has a limit", styles)
    refused = [[one.customer, one.feature, one.reason, number(one.count)] for one in view.refused]
    lines += ["", ("refused within the last minute", BOLD)]
    lines += _table(["customer", "feature", "reason", "times"], refused, (3,), "nothing")
    return lines


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int], empty: str, styles: Sequence[str] = ()
) -> list[Line]:
    """Return a table as lines, each row in its style."""
    if not rows:
        return [(empty, DIM)]
    stream = io.StringIO()
    Output(stream=stream).table(columns, rows, right=right)
    head, *drawn = stream.getvalue().splitlines()
    chosen = styles or [""] * len(drawn)
    return [(head, DIM), *((line, style) if style else line for line, style in zip(drawn, chosen, strict=True))]
