"""What a source gives, in plain words: ``20 projects``, ``100,000 API calls per month``, ``Unlimited``."""

from typing import Final

from licet.core.catalog import (
    Amount,
    Catalog,
    Configuration,
    Credits,
    Feature,
    Include,
    IncludeShort,
    Metered,
    Recurrence,
    Switch,
    Unit,
    Weekday,
    Window,
)
from licet.core.instant import SECOND, Duration, parse_duration
from licet.core.offer import UNLIMITED, feature_scale, resolve_include
from licet.core.quantity import format_quantity, parse_quantity

NOTHING: Final = "–"
INCLUDED: Final = "Included"

_EVERY: Final[dict[Recurrence, str]] = {
    "hour": " per hour",
    "day": " per day",
    "week": " per week",
    "month": " per month",
    "quarter": " per quarter",
    "year": " per year",
    "period": " per billing period",
    "lifetime": "",
    "rolling": " within any",
    "session": " per session of",
}
_PLACES: Final = {
    "saas": "the service",
    "desktop": "the desktop",
    "on_prem": "your servers",
    "air_gapped": "dark sites",
}
_DAYS: Final[dict[Weekday, str]] = {
    "mon": "Mon",
    "tue": "Tue",
    "wed": "Wed",
    "thu": "Thu",
    "fri": "Fri",
    "sat": "Sat",
    "sun": "Sun",
}


def part_title(key: str, title: str) -> str:
    """Return what a part is called: its title, else its id."""
    return title or key


def include_words(catalog: Catalog, feature_id: str, given: IncludeShort | Include) -> str:
    """Return what an include gives, in the words of a price list; ``–`` for nothing."""
    feature = catalog.features[feature_id]
    include = resolve_include(feature, given)
    if not include.on:
        return NOTHING
    if isinstance(feature, Switch):
        return INCLUDED
    if isinstance(feature, Configuration):
        return include.value or NOTHING
    if include.amount is None:
        return NOTHING
    if include.amount == UNLIMITED:
        return "Unlimited"
    return _counted(catalog, feature, include, include.amount)


def _counted(catalog: Catalog, feature: Feature, include: Include, amount: Amount) -> str:
    """Return an amount with its unit, how often it comes, for whom, and what happens beyond it."""
    words = quantity_words(amount, feature_scale(catalog, feature), feature_unit(catalog, feature))
    if include.per is not None:
        words += _EVERY[include.per]
    if isinstance(feature, Metered | Credits):
        words += f" {length_words(feature.length)}" if feature.length and include.per in ("rolling", "session") else ""
        words += "" if feature.each == "customer" else f" for each {feature.each}"
    if include.per_seat is not None:
        seat = catalog.features.get(include.per_seat)
        unit = None if seat is None else seat.unit
        words += f" for each {unit.one if unit else part_title(include.per_seat, '')}"
    if include.rollover is not None:
        most = include.rollover.max
        words += ", unused ones are kept" if most == UNLIMITED else f", up to {_number(most, catalog, feature)} kept"
    if include.release is not None:
        words += f", released by {include.release}"
    if include.at_limit != "overage":
        return words
    limit = include.overage_limit
    up_to = "" if limit is None or limit == UNLIMITED else f", up to {_number(limit, catalog, feature)}"
    return f"{words}, more is billed by use{up_to}"


def length_words(text: str) -> str:
    """Return how long a window is, for people: ``5 hours``, ``1 day 12 hours``; what is no duration as it is."""
    try:
        span = parse_duration(text)
    except ValueError:
        return text
    return span_words(span) or text


def span_words(span: Duration) -> str:
    """Return a duration without months for people: ``5 hours``; nothing for one of no length."""
    seconds, parts = span.micros // SECOND, [(span.days, "day")]
    parts += [(seconds // 3600, "hour"), (seconds // 60 % 60, "minute"), (seconds % 60, "second")]
    return " ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count)


def _number(amount: Amount, catalog: Catalog, feature: Feature) -> str:
    return quantity_words(amount, feature_scale(catalog, feature), None)


def feature_unit(catalog: Catalog, feature: Feature) -> Unit | None:
    """Return what a feature's amounts are counted in: its own unit, else its meter's or credit's."""
    if feature.unit is not None:
        return feature.unit
    if isinstance(feature, Metered) and feature.meter in catalog.meters:
        return catalog.meters[feature.meter].unit
    if isinstance(feature, Credits) and feature.credit in catalog.credits:
        return catalog.credits[feature.credit].unit
    return None


def quantity_words(amount: Amount, scale: int, unit: Unit | None) -> str:
    """Return an amount for people: ``1,234.5 GB``; what is no quantity is shown as it is."""
    try:
        text = format_quantity(parse_quantity(amount, scale), scale)
    except ValueError:
        text = str(amount)
    whole, point, decimals = text.partition(".")
    number = (f"{int(whole):,}" if whole.isascii() and whole.isdigit() else whole) + point + decimals
    if unit is None:
        return number
    return f"{number} {unit.one if number == '1' else unit.many}"


def condition_words(part: Feature | Include) -> str:
    """Return where and when something holds, as customers may know it; conditions of the language stay inside."""
    told = []
    if part.deployments is not None:
        told.append("on " + " and ".join(_PLACES[place] for place in part.deployments) + " only")
    if part.regions is not None:
        told.append("in the region " + " or ".join(part.regions) + " only")
    if part.window is not None:
        told.append(window_words(part.window))
    return "; ".join(each for each in told if each)


def window_words(window: Window) -> str:
    """Return a window in words: ``Mon, Tue 08:00–18:00``; dates are in UTC."""
    told = []
    if window.start is not None:
        told.append(f"from {window.start:%Y-%m-%d}")
    if window.end is not None:
        told.append(f"until {window.end:%Y-%m-%d}")
    if window.weekdays:
        told.append(_days(window.weekdays))
    if window.from_hour is not None:
        told.append(f"{window.from_hour}–{window.until_hour}")
    return " ".join(told)


def _days(days: tuple[Weekday, ...]) -> str:
    """Return weekdays in order, a run of three or more as ``Mon–Fri``."""
    week = list(_DAYS)
    places = sorted({week.index(day) for day in days})
    if len(places) > 2 and places[-1] - places[0] == len(places) - 1:
        return f"{_DAYS[week[places[0]]]}–{_DAYS[week[places[-1]]]}"
    return ", ".join(_DAYS[week[place]] for place in places)
