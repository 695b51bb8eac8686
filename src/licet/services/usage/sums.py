"""Usage summed up by hours, days or months of UTC, told apart by the dimensions that somebody asks for."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from licet.core.catalog import Catalog, Meter
from licet.core.instant import to_instant
from licet.core.spelling import nearest
from licet.core.usage.block import By, begin_of, end_of, whole_until
from licet.core.views import Number, wire_amount
from licet.services.normal import invalid
from licet.services.ports import View
from licet.services.rows import Page
from licet.services.truth import Catalogs
from licet.services.usage.ports import UsageFilter, UsageHour

MAX_ROWS: Final = 20_000
"""Rows of an hour or a day that one page reads at most; a page that comes to more ends early."""
_PAGE: Final = 500


class UsageSum(Struct, frozen=True, kw_only=True):
    """What one meter counted for one customer within an hour, day or month of UTC."""

    customer: str
    meter: str
    begins_at: datetime
    dimensions: dict[str, str]
    """Those that were asked for; one that an event did not have is left out."""
    events: int
    quantity: Number | None
    """By how the meter counts: the sum, corrections taken off; the highest; the latest; how many different ones."""
    unit: str | None


class Telling(Struct, frozen=True, kw_only=True):
    """What is told apart."""

    by: By = "day"
    dimensions: tuple[str, ...] = ()


class _Part(Struct):
    """What has been summed up so far."""

    events: int = 0
    quantity: int = 0
    highest: int | None = None
    latest: int | None = None
    latest_at: int = -(2**62)

    def add(self, row: UsageHour) -> None:
        """Add an hour or day."""
        self.events += row.events
        self.quantity += row.quantity
        if row.highest is not None:
            self.highest = row.highest if self.highest is None else max(self.highest, row.highest)
        if row.latest is not None and row.latest_at is not None and row.latest_at >= self.latest_at:
            self.latest, self.latest_at = row.latest, row.latest_at


_Block = tuple[str, str, datetime]
_Split = tuple[tuple[str, str], ...]


async def sum_usage(
    view: View, only: UsageFilter, telling: Telling, page: Page, catalogs: Catalogs
) -> tuple[list[UsageSum], str | None]:
    """Return sums by (customer, meter, begin, dimensions), and where the next page goes on (None: nothing is left).

    A page ends with a whole hour, day or month of one meter, so it may hold more than ``limit`` where dimensions tell
    many apart. Raises NoCatalog, and Invalid for an unknown meter, a dimension that none of the meters has, and a
    period that begins or ends within an hour, day or month.
    """
    catalog = (await catalogs.current(view)).document
    if only.meter is not None and only.meter not in catalog.meters:
        advice = _meant(only.meter, catalog.meters) or f"meters are {', '.join(sorted(catalog.meters)) or 'none yet'}"
        raise invalid("meter", f"the catalog has no meter {only.meter!r}", advice)
    _check_dimensions(catalog, only.meter, telling.dimensions)
    _check_whole("since", only.since, telling.by)
    _check_whole("until", only.until, telling.by)
    by, sums = telling.by, list[UsageSum]()
    block: _Block | None = None
    parts: dict[_Split, _Part] = {}
    read = 0
    async for row in _rows(view, only, by, page.after):
        here = (row.customer, row.meter, begin_of(row.hour, by))
        if here != block:
            if block is not None:
                sums += await _closed(view, catalog, block, parts, by)
                if len(sums) >= page.limit or read >= MAX_ROWS:
                    return sums, _after(block, by)
            block, parts = here, {}
        split = tuple((name, row.dimensions[name]) for name in telling.dimensions if name in row.dimensions)
        parts.setdefault(split, _Part()).add(row)
        read += 1
    if block is not None:
        sums += await _closed(view, catalog, block, parts, by)
    return sums, None


def _check_whole(path: str, at: datetime | None, by: By) -> None:
    """Raise Invalid for an instant within an hour, day or month: a part of one would look like a whole one."""
    if at is None or begin_of(at, by) == at:
        return
    before, after = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (begin_of(at, by), whole_until(at, by)))
    raise invalid(path, f"{at:%Y-%m-%dT%H:%M:%SZ} lies within a {by} of UTC", f"write {before} or {after}")


def _check_dimensions(catalog: Catalog, meter: str | None, names: tuple[str, ...]) -> None:
    """Raise Invalid for a dimension that the meter (None: each of them) does not have."""
    meters = catalog.meters if meter is None else {meter: catalog.meters[meter]}
    known = sorted({name for each in meters.values() for name in each.dimensions})
    for name in names:
        if name not in known:
            whose = "no meter has" if meter is None else f"the meter {meter} does not have"
            advice = _meant(name, known) or (f"there are {', '.join(known)}" if known else "leave it out")
            raise invalid("dimensions", f"{whose} the dimension {name!r}", advice)


def _meant(word: str, known: Iterable[str]) -> str:
    near = nearest(word, list(known))
    return f"did you mean {near}?" if near else ""


def _after(block: _Block, by: By) -> str:
    """Return the place after which nothing of a block stands."""
    customer, meter, begin = block
    return msgspec.json.encode((customer, meter, to_instant(end_of(begin, by)) - 1, {})).decode()


async def _rows(view: View, only: UsageFilter, by: By, after: str) -> AsyncIterator[UsageHour]:
    """Yield hours, or days where those will do."""
    while True:
        rows = await view.usage_hours(only, Page(after=after, limit=_PAGE), days=by != "hour")
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        after = rows[-1].place


async def _closed(view: View, catalog: Catalog, block: _Block, parts: dict[_Split, _Part], by: By) -> list[UsageSum]:
    """Return the sums of one meter's hour, day or month, by dimensions."""
    customer, name, begin = block
    meter = catalog.meters.get(name)
    found = []
    for split in sorted(parts):
        part = parts[split]
        quantity: Number | None = None
        if meter is not None and meter.aggregate == "unique":
            if len(parts) == 1:
                ends = to_instant(begin), to_instant(end_of(begin, by))
                quantity = await view.unique_values(customer, name, *ends)
        else:
            minor = _quantity(meter, part)
            quantity = None if minor is None else wire_amount(minor, 0 if meter is None else meter.scale)
        found.append(
            UsageSum(
                customer=customer,
                meter=name,
                begins_at=begin,
                dimensions=dict(split),
                events=part.events,
                quantity=quantity,
                unit=None if meter is None or meter.unit is None else meter.unit.many,
            )
        )
    return found


def _quantity(meter: Meter | None, part: _Part) -> int | None:
    """What a meter counted, in minor units."""
    if meter is not None and meter.aggregate == "max":
        return part.highest
    if meter is not None and meter.aggregate == "latest":
        return part.latest
    return part.quantity
