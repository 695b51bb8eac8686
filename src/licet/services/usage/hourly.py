"""Balances of instants of which single facts are not kept any more: folded from what was used by the hour.

What was used in an hour counts at its beginning, so an hour within which a period begins counts to the one before; in
a rolling window it counts as long as any of its hour is within.
The answer is that of the end of the last whole hour, and says so. It goes by what is known now: sums by the hour do not
say when each report came.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

from licet.core.instant import DAY, HOUR, Instant, to_datetime, to_instant
from licet.core.usage.account import Account, slate_of
from licet.core.usage.balance import Use
from licet.core.usage.course import Course
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.usage.ports import UsageFilter, UsageHour

_PAGE: Final = 500


def told_by_the_hour(course: Course, meter: str | None) -> bool:
    """Whether hours say enough of a balance: it counts a meter one for one, for the customer as a whole.

    By the hour nobody knows who used what, what was burned of credits directly, or when a session opened.
    """
    return meter is not None and not course.holder and (course.window is None or course.window.kind == "rolling")


async def by_the_hour(view: View, course: Course, meter: str, at: Instant) -> tuple[Account, Instant]:
    """Return an account as of the end of the last whole hour by ``at``, and that instant."""
    end = at - at % HOUR
    account = Account(course)
    if course.gauge == "unique":
        begin, _ = course.period_at(end)
        count = await view.unique_values(course.key.customer, meter, max(begin, course.opens, 0), end)
        each = await _unit(view, course, meter, end) if count else 0
        begin = max(begin, course.opens, 0)
        account.replay(Use(f"{number:032x}", begin, each, (), str(number)) for number in range(count))
    elif course.gauge == "latest":
        # Whole days tell the latest of each; of the last one, its hours.
        day = end - end % DAY
        rows = [one async for one in _rows(view, course, meter, (0, day), days=True)]
        rows += [one async for one in _rows(view, course, meter, (day, end))]
        account.replay(_levels(rows, end))
    else:
        since = max(slate_of(course, end), course.opens, 0)
        if course.window is not None:
            since = max(since, end - course.window.length)
        rows = [one async for one in _rows(view, course, meter, (since - since % HOUR, end))]
        account.replay(_uses(rows, course))
    return account, max(end, account.newest)


async def _rows(
    view: View, course: Course, meter: str, span: tuple[Instant, Instant], *, days: bool = False
) -> AsyncIterator[UsageHour]:
    """Yield the hours (or days) of a meter that begin within a span, in order."""
    if span[0] >= span[1]:
        return
    only = UsageFilter(
        customer=course.key.customer, meter=meter, since=to_datetime(span[0]), until=to_datetime(span[1])
    )
    after = ""
    while True:
        rows = await view.usage_hours(only, Page(after=after, limit=_PAGE), days=days)
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        after = rows[-1].place


async def _unit(view: View, course: Course, meter: str, end: Instant) -> int:
    """What one value counts, in minor units: as much as each that was told."""
    async for row in _rows(view, course, meter, (0, end), days=True):
        if row.highest:
            return row.highest
    return 1


def _levels(rows: Iterable[UsageHour], end: Instant) -> Iterator[Use]:
    """The levels that hours and days end with."""
    for number, row in enumerate(rows):
        if row.latest is not None and row.latest_at is not None and row.latest_at < end:
            yield Use(f"{number:032x}", row.latest_at, row.latest)


def _uses(rows: Iterable[UsageHour], course: Course) -> list[Use]:
    """What was used in each hour, at its beginning; what was given back beyond that, less in the hours before."""
    amounts: dict[Instant, int] = {}
    for row in rows:
        hour = to_instant(row.hour)
        if course.gauge == "max":
            amounts[hour] = max(amounts.get(hour, 0), row.highest or 0)
        else:
            amounts[hour] = amounts.get(hour, 0) + row.quantity
    back, found = 0, list[Use]()
    for number, hour in enumerate(sorted(amounts, reverse=True)):
        amount = amounts[hour] - back
        back = max(0, -amount)
        if amount > 0:
            # In the hour in which the balance opens, what was used counts from then on.
            at = max(hour, min(course.opens, hour + HOUR - 1)) if course.window is None else hour + HOUR - 1
            found.append(Use(f"{number:032x}", at, amount))
    return found
