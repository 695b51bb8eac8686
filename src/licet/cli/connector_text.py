"""How a source's state and its messages are told on a terminal of 80 columns."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from licet.cli.output import ACCENT, BAD, DIM, GOOD, WARN, Line, Output
from licet.cli.same_workspace import here
from licet.cli.words import day, label, number, wrapped

_STYLES: Final = {"applied": GOOD, "failed": BAD, "finding": WARN, "waiting": WARN}
_WIDTH: Final = 14
_UNITS: Final = ((86_400, "day", "days"), (3_600, "h", "h"), (60, "min", "min"), (1, "s", "s"))


def span(seconds: float | None) -> str:
    """Return ``0.8 s``, ``1 min 3 s``, ``2 h``, ``3 days``: a length of time in at most two units."""
    if seconds is None:
        return "—"
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), list[str]()
    for size, one, many in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
        elif parts:
            break
    return " ".join(parts[:2])


def ago(text: str | None, now: datetime) -> str:
    """Return how long ago an RFC 3339 instant was, in its largest unit."""
    if text is None:
        return "never"
    seconds = max(0.0, (now - datetime.fromisoformat(text)).total_seconds())
    for size, one, many in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {one if count == 1 else many} ago"
    return "just now"


def counted(outcomes: Mapping[str, int]) -> str:
    """Return ``1,204 applied, 2 failed``, the most frequent first."""
    ranked = sorted(outcomes.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{number(count)} {outcome}" for outcome, count in ranked) or "none"


def overview(out: Output, rows: list[dict[str, Any]], disabled: set[str]) -> None:
    """Show every source in a line."""
    now = datetime.now(UTC)
    out.table(
        ["source", "last day", "dead letters", "waiting", "lag: median", "at most", "last message"],
        [_overview_row(row, now, disabled=row["source"] in disabled) for row in rows],
        right=[1, 2, 3, 4, 5],
    )


def _overview_row(row: dict[str, Any], now: datetime, *, disabled: bool) -> list[Line]:
    failed: Line = (number(row["failed"]), BAD) if row["failed"] else "0"
    last = ago(row["last_received_at"], now)
    return [
        row["source"],
        number(sum(row["last_day"].values())),
        failed,
        number(row["waiting"]),
        span(row["lag_median"]),
        span(row["lag_max"]),
        ("disabled", WARN) if disabled else last,
    ]


def detail(out: Output, row: dict[str, Any], *, disabled: bool) -> None:
    """Show one source in full, and what to do about what it left."""
    now = datetime.now(UTC)
    out.line([(row["source"], ACCENT), ("  disabled: its messages are refused", WARN) if disabled else ""])
    lines = wrapped(_day(row["last_day"]), None if out.width is None else out.width - _WIDTH - 2, "", "")
    for place, text in enumerate(lines):
        out.line(label("" if place else "last day", text, _WIDTH))
    failed = _left(row["failed"], row["oldest_failed_at"], now)
    out.line(label("dead letters", (failed, BAD) if row["failed"] else failed, _WIDTH))
    out.line(label("waiting", _left(row["waiting"], row["oldest_waiting_at"], now), _WIDTH))
    lag = f"{span(row['lag_median'])} median and {span(row['lag_max'])} at most in the last day"
    out.line(label("lag", f"{lag}, {span(row['lag_last'])} last" if row["last_received_at"] else "—", _WIDTH))
    last = row["last_received_at"]
    out.line(label("last message", f"{ago(last, now)} ({day(last)})" if last else "never", _WIDTH))
    if row["failed"]:
        out.line()
        out.line((here(f"what failed:   licet connector deliveries {row['source']} --outcome failed"), DIM))
        out.line((here(f"try it again:  licet connector replay {row['source']}"), DIM))
        out.line((here(f"give it up:    licet connector discard {row['source']} ID --note WHY"), DIM))


def _day(outcomes: Mapping[str, int]) -> str:
    total = sum(outcomes.values())
    if not total:
        return "no messages"
    return f"{number(total)} message{'' if total == 1 else 's'}: {counted(outcomes)}"


def _left(count: int, oldest: str | None, now: datetime) -> str:
    if not count:
        return "none"
    return f"{number(count)}, the oldest came {ago(oldest, now)}"


def messages(out: Output, rows: list[dict[str, Any]]) -> None:
    """Show messages, each with how it ended and why."""
    for row in rows:
        outcome = row["outcome"]
        out.line([(day(row["received_at"]), DIM), "  ", (outcome.ljust(9), _STYLES.get(outcome, DIM)), "  ", row["id"]])
        told = row["type"] if row["words"] == "" else f"{row['type']}: {row['words']}"
        out.lines(wrapped(told, out.width, "    ", "    "))


def failing(out: Output, rows: list[dict[str, Any]]) -> None:
    """Show the messages that could not be applied again."""
    for row in rows:
        out.line([("✗", BAD), f" {row['delivery']}"])
        out.lines(wrapped(f"{row['type']}: {row['words']}", out.width, "    ", "    "))
