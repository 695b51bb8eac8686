"""One figure of a bench, and the table a person reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from licet.cli.bench.machine import NOISY_PERCENT
from licet.cli.output import BAD, BOLD, DIM, GOOD, WARN, Line, Output


class Result(Struct, frozen=True, kw_only=True):
    """One figure: the median of the runs, the spread over them, and the goal (an upper bound unless ``at_least``)."""

    name: str
    value: float | None
    unit: str
    baseline: float | None = None
    spread: tuple[float, float] | None = None
    cpu_us: float | None = None
    goal: float | None = None
    at_least: bool = False
    note: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the goal is met; what was not measured meets none."""
        if self.value is None:
            return False
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def document(self) -> dict[str, Any]:
        """Return the figure as it stands in ``results``."""
        ratio = round(self.value / self.baseline, 3) if self.value is not None and self.baseline else None
        shown: dict[str, Any] = {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline,
            "ratio": ratio,
            "spread": None if self.spread is None else list(self.spread),
            "cpu_us": self.cpu_us,
            "goal": self.goal,
            "ok": self.ok,
        }
        return shown if self.note is None else {**shown, "note": self.note}


def report(
    out: Output,
    name: str,
    machine: dict[str, Any],
    results: Sequence[Result],
    *,
    through: str,
    notes: Sequence[str],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print a bench's one JSON object, with ``more`` of its own, or its table with what is missing to the goals."""
    steal = machine["steal_pct"]
    noisy = steal is not None and steal > NOISY_PERCENT
    said = [*notes, *([f"{steal} % of the time was stolen: this run is not to be quoted"] if noisy else [])]
    out.document(
        {
            "bench": name,
            "through": through,
            "machine": machine,
            "results": [result.document() for result in results],
            "notes": said,
            **(more or {}),
        }
    )
    out.line([(f"bench {name}", BOLD), (f"  {through}", DIM)])
    out.line((f"{machine['cpu']}, {_figure(steal)} % stolen, {_figure(machine['fsync_per_s'])} durable writes/s", DIM))
    out.line("")
    rows: list[list[Line]] = [_row(result) for result in results]
    out.table(["", "result", "value", "unit", "spread", "baseline", "ratio", "cpu µs", "goal"], rows, right=range(2, 9))
    out.lines([("note: " + note, WARN if noisy and note is said[-1] else DIM) for note in said])


def _row(result: Result) -> list[Line]:
    shown = result.document()
    sign = ("≥ " if result.at_least else "≤ ") if result.goal is not None else ""
    mark: Line = ("✓", GOOD) if result.ok else ("–", DIM) if result.value is None else ("✗", BAD)
    spread = "" if result.spread is None else f"{_figure(result.spread[0])} … {_figure(result.spread[1])}"
    return [
        mark,
        result.name,
        (_figure(result.value), BOLD),
        result.unit,
        spread,
        _figure(result.baseline),
        _figure(shown["ratio"]),
        _figure(result.cpu_us),
        sign + _figure(result.goal),
    ]


def _figure(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
