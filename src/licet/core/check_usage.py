"""Whether meters, and what features and includes say of allowances, mean something together."""

from typing import Final

from licet.core.catalog import Catalog, Credits, Feature, Include, Meter, Metered, Recurrence
from licet.core.check_include import amount_scale, check_amount, check_listed
from licet.core.instant import DAY, SECOND, parse_duration
from licet.core.offer import resolve_include
from licet.core.problem import Problems, Step, quoted

Path = tuple[Step, ...]
WINDOWED: Final = frozenset({"rolling", "session"})
GAUGES: Final = frozenset({"latest", "max", "unique"})
_ORDER: Final[tuple[Recurrence, ...]] = ("hour", "day", "week", "month", "quarter", "year")
"""What an amount can be released by, from the shortest on."""
_SHORTEST: Final = 60 * SECOND
_LONGEST: Final = 366 * DAY


def check_meter(meter: Meter, path: Path, problems: Problems) -> None:
    """Tell what contradicts itself in how a meter counts."""
    if meter.aggregate == "count" and meter.field is not None:
        problems.add((*path, "field"), "a meter that counts events reads no field; remove it or write aggregate: sum")
    if meter.aggregate == "unique" and meter.field is None:
        message = "a meter that counts different values needs field: the event field whose values it counts"
        problems.add((*path, "aggregate"), message)
    if meter.aggregate in ("count", "unique") and meter.scale:
        problems.add((*path, "scale"), f"what is counted is whole; a {meter.aggregate} meter has scale 0")
    counted = None if meter.aggregate == "count" else meter.field or "quantity"
    for name, values in meter.filters.items():
        if name == counted:
            message = f"{quoted(name)} is what this meter counts; only other fields can say which events count"
            problems.add((*path, "filters", name), message, of_key=True)
        check_listed(values, (*path, "filters", name), problems)
    check_listed(meter.dimensions or None, (*path, "dimensions"), problems)
    for place, name in enumerate(meter.dimensions):
        if name == counted:
            message = f"{quoted(name)} is what this meter counts; usage is told apart by other fields"
            problems.add((*path, "dimensions", place), message)


def check_burns(catalog: Catalog, burned: str, path: Path, problems: Problems) -> None:
    """Tell a credit that is burned by a level."""
    meter = catalog.meters.get(burned)
    if meter is not None and meter.aggregate in ("latest", "max"):
        message = f"the meter {quoted(burned)} holds a level ({meter.aggregate}), which burns nothing; "
        problems.add(path, message + "burn credits by a meter that adds up (sum, count)", of_key=True)


def check_allowance(catalog: Catalog, feature: Metered | Credits, path: Path, problems: Problems) -> None:
    """Tell what contradicts itself in what a feature says of its allowances."""
    _warnings(feature.warn_at, (*path, "warn_at"), problems)
    _length(feature, path, problems)
    if feature.overage_limit is not None:
        check_amount(feature.overage_limit, amount_scale(catalog, feature), (*path, "overage_limit"), problems)
        if feature.at_limit != "overage":
            message = f"at_limit is {feature.at_limit}, so there is no overage to limit; write at_limit: overage, or "
            problems.add((*path, "overage_limit"), message + "write overage_limit in the includes that do", of_key=True)
    if feature.carry_overage and feature.per in (*WINDOWED, "lifetime"):
        message = f"per is {feature.per}, so there is no next period to carry overage to; remove it"
        problems.add((*path, "carry_overage"), message, of_key=True)
    gauge = gauge_of(catalog, feature)
    if gauge is None:
        return
    level = f"the meter {quoted(gauge)} holds a level, against which the amount is a ceiling"
    if feature.each != "customer":
        problems.add((*path, "each"), f"{level}: it is the customer's; remove each")
    if feature.per in WINDOWED:
        problems.add((*path, "per"), f"{level}; it does not count by windows: write another per")
    if feature.carry_overage:
        problems.add((*path, "carry_overage"), f"{level}; there is nothing to carry: remove it", of_key=True)


def gauge_of(catalog: Catalog, feature: Feature) -> str | None:
    """Return the meter of a feature where it holds a level instead of adding up."""
    meter = catalog.meters.get(feature.meter) if isinstance(feature, Metered) else None
    return feature.meter if isinstance(feature, Metered) and meter is not None and meter.aggregate in GAUGES else None


def check_terms(catalog: Catalog, feature_id: str, given: Include, path: Path, problems: Problems) -> None:
    """Tell what an include says of an allowance and cannot mean: its period, rollover, release and bound of overage."""
    feature = catalog.features[feature_id]
    if not isinstance(feature, Metered | Credits):
        return
    resolved = resolve_include(feature, given)
    per = resolved.per or feature.per
    _period(feature, given, path, problems)
    if given.rollover is not None:
        _rollover(catalog, feature, per, path, problems)
    if given.release is not None:
        _release(catalog, feature, given, path, problems)
    if given.overage_limit is not None:
        check_amount(given.overage_limit, amount_scale(catalog, feature), (*path, "overage_limit"), problems)
        if resolved.at_limit != "overage":
            message = f"at_limit is {resolved.at_limit}, so there is no overage to limit; write at_limit: overage"
            problems.add((*path, "overage_limit"), message, of_key=True)


def _period(feature: Metered | Credits, given: Include, path: Path, problems: Problems) -> None:
    if given.per is None or given.per == feature.per:
        return
    if feature.per in WINDOWED:
        message = f"the feature counts by windows ({feature.per}); every include of it does: remove per"
        problems.add((*path, "per"), message, of_key=True)
    elif given.per in WINDOWED:
        message = f"a window ({given.per}) is said by the feature, with its length, for all includes; "
        problems.add((*path, "per"), message + "define another feature on the same meter", of_key=True)


def _rollover(catalog: Catalog, feature: Metered | Credits, per: Recurrence, path: Path, problems: Problems) -> None:
    if per == "lifetime":
        message = "an allowance for a lifetime is never renewed, so nothing of it rolls over"
        problems.add((*path, "rollover"), message, of_key=True)
    elif per in WINDOWED:
        message = f"per is {per}: what a window leaves ends with it, so nothing rolls over"
        problems.add((*path, "rollover"), message, of_key=True)
    elif gauge_of(catalog, feature) is not None:
        problems.add((*path, "rollover"), "a ceiling of a level leaves nothing that could roll over", of_key=True)


def _release(catalog: Catalog, feature: Metered | Credits, given: Include, path: Path, problems: Problems) -> None:
    per, release, place = given.per or feature.per, given.release, (*path, "release")
    if release not in _ORDER:
        problems.add(place, f"an amount can be released by {', '.join(_ORDER)}; not by {release}")
    elif per in WINDOWED or per == "lifetime":
        problems.add(place, f"per is {per}, which has no period over which an amount could be released", of_key=True)
    elif per != "period" and _ORDER.index(release) >= _ORDER.index(per):
        message = f"an amount per {per} is released by something shorter than that, not by {release}"
        problems.add(place, message)
    elif gauge_of(catalog, feature) is not None:
        problems.add(place, "a ceiling of a level is not given out in parts; remove release", of_key=True)


def _length(feature: Metered | Credits, path: Path, problems: Problems) -> None:
    place = (*path, "length")
    if feature.per not in WINDOWED:
        if feature.length is not None:
            message = f"per is {feature.per}, which has its own length; length is for rolling and session: remove it"
            problems.add(place, message, of_key=True)
        return
    if feature.length is None:
        problems.add((*path, "per"), f"per is {feature.per}, which needs a length such as PT5H or P7D")
        return
    try:
        span = parse_duration(feature.length)
    except ValueError as error:
        problems.add(place, str(error))
        return
    if span.months:
        message = f"{quoted(feature.length)} depends on the calendar; write a window in days or hours, such as P30D"
        problems.add(place, message)
    elif not _SHORTEST <= span.days * DAY + span.micros <= _LONGEST:
        problems.add(place, f"{quoted(feature.length)} is no window; it lasts a minute (PT1M) to 366 days (P366D)")


def _warnings(steps: tuple[str, ...], path: Path, problems: Problems) -> None:
    shares = [int(step.rstrip("%")) for step in steps]
    if any(share < 1 for share in shares) or shares != sorted(set(shares)):
        problems.add(path, "warnings are shares of the amount, above 0% and each higher than the one before")
