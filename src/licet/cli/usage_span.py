"""The period that ``licet usage`` sums up: whole hours, days or months of UTC."""

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from licet.cli.output import DIM, Output
from licet.cli.times import check_order, instant_back
from licet.cli.words import day

if TYPE_CHECKING:
    from licet.core.usage.block import By

_BACK: Final = {"hour": "PT48H", "day": "P30D", "month": "P12M"}
"""How far back it goes where nobody says."""


class Span(NamedTuple):
    """What is summed up: ``[since, until)``, as the service reads it; None: up to now."""

    since: str
    until: str | None
    widened: bool
    """Whether an option said an instant within a period, which is summed up as a whole."""
    running: str | None
    """When the hour, day or month that is not over yet began; None where it is not in it."""


def whole_span(now: str, since: str | None, until: str | None, by: str) -> Span:
    """Return the whole periods that two options mean; raises Failure for ones that cannot be read, or end too early."""
    from licet.core.instant import format_instant, parse_instant, to_datetime, to_instant
    from licet.core.usage.block import begin_of, whole_until

    unit = cast("By", by)
    begin = instant_back("--since", since or _BACK[by], now) or now
    end = instant_back("--until", until, now)
    check_order(begin, end)
    first = format_instant(to_instant(begin_of(to_datetime(parse_instant(begin)), unit)))
    last = None if end is None else format_instant(to_instant(whole_until(to_datetime(parse_instant(end)), unit)))
    current = format_instant(to_instant(begin_of(to_datetime(parse_instant(now)), unit)))
    widened = (since is not None and parse_instant(first) < parse_instant(begin)) or (
        last is not None and end is not None and parse_instant(end) < parse_instant(last)
    )
    over = last is not None and parse_instant(last) <= parse_instant(current)
    within = parse_instant(first) <= parse_instant(current) and not over
    return Span(first, last, widened, current if within else None)


def say_span(out: Output, span: Span, by: str) -> None:
    """Print which periods were summed up, and which of them is not over yet."""
    words = f"whole {by}s of UTC from {day(span.since)}"
    words += " on" if span.until is None else f" until {day(span.until)}"
    words += ", since --since or --until lies within one" if span.widened else ""
    words += f"; the {by} that began {day(span.running)} is not over" if span.running else ""
    out.line((words, DIM))
