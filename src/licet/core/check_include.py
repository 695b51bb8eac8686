"""Whether one include fits its feature, and whether the conditions under which anything holds make sense."""

from typing import NamedTuple, Protocol

from licet.core.catalog import (
    Amount,
    Catalog,
    Configuration,
    Credits,
    Deployment,
    Feature,
    Include,
    IncludeShort,
    Metered,
    Seats,
    Switch,
    Window,
)
from licet.core.offer import UNLIMITED, feature_scale, feature_type, resolve_include
from licet.core.policy import STANDARD_ENVIRONMENT, ConditionError, compile_condition
from licet.core.problem import Problem, Problems, Step, one_of, path_text, quoted
from licet.core.quantity import MAX_SCALE, parse_quantity

Path = tuple[Step, ...]
DEFAULT_PRIORITY = 50


class Conditional(Protocol):
    """What holds only under conditions: a feature or an include."""

    @property
    def when(self) -> str | None:
        """The condition in the condition language."""

    @property
    def deployments(self) -> tuple[Deployment, ...] | None:
        """Where the program may run."""

    @property
    def regions(self) -> tuple[str, ...] | None:
        """In which regions."""

    @property
    def window(self) -> Window | None:
        """At which times."""


def check_include(
    catalog: Catalog, feature_id: str, given: IncludeShort | Include, path: Path, problems: Problems
) -> None:
    """Tell what of an include does not fit its feature (which exists)."""
    feature = catalog.features[feature_id]
    kind = f"{quoted(feature_id)} is a {feature_type(feature)} feature"
    if not isinstance(given, Include):
        _short(_Fit(feature, amount_scale(catalog, feature), kind), given, path, problems)
        return
    if not given.on:
        if given != Include(on=False):
            problems.add(path, "what is not on gives nothing; remove the other fields or on: false")
        return
    _fields(feature, given, kind, path, problems)
    if isinstance(feature, Configuration) and given.value is not None:
        _value(feature, given.value, kind, (*path, "value"), problems)
    scale = amount_scale(catalog, feature)
    if not isinstance(feature, Configuration | Switch) and given.amount is not None:
        check_amount(given.amount, scale, (*path, "amount"), problems)
    _rollover(_Fit(feature, scale, kind), given, (*path, "rollover"), problems)
    _default(feature, given, kind, path, problems)
    _per_seat(catalog, given, path, problems)
    check_conditions(given, path, problems)


def amount_scale(catalog: Catalog, feature: Feature) -> int:
    """Return a feature's scale; the largest where its meter or credit is unknown, which is told elsewhere."""
    lost = (isinstance(feature, Metered) and feature.meter not in catalog.meters) or (
        isinstance(feature, Credits) and feature.credit not in catalog.credits
    )
    return MAX_SCALE if lost else feature_scale(catalog, feature)


class _Fit(NamedTuple):
    """What an include has to fit."""

    feature: Feature
    scale: int
    kind: str


def _short(fit: _Fit, given: IncludeShort, path: Path, problems: Problems) -> None:
    feature, scale, kind = fit
    if given is False:
        return
    if given is True:
        _default(feature, given, kind, path, problems)
    elif isinstance(feature, Switch):
        near = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(given).casefold())
        problems.add(path, f"{kind}: write true or false, not {quoted(given)}", near)
    elif isinstance(feature, Configuration):
        if isinstance(given, str):
            _value(feature, given, kind, path, problems)
        else:
            problems.add(path, f"{kind}: write its value as text, not {given}", f"'{given}'")
    else:
        check_amount(given, scale, path, problems)


def check_amount(amount: Amount, scale: int, path: Path, problems: Problems) -> None:
    """Tell an amount that is neither ``unlimited`` nor a quantity of the scale."""
    if amount == UNLIMITED:
        return
    try:
        parse_quantity(amount, scale)
    except ValueError as error:
        near = UNLIMITED if problems.nearest(str(amount), [UNLIMITED]) else None
        problems.add(path, f'{error}; "unlimited" is allowed too' if near is None else str(error), near)


def _value(feature: Configuration, value: str, kind: str, path: Path, problems: Problems) -> None:
    if feature.values is not None and value not in feature.values:
        message = f"{kind} with the values {one_of(feature.values)}, not {quoted(value)}"
        problems.add(path, message, problems.nearest(value, feature.values))


def _default(feature: Feature, given: IncludeShort | Include, kind: str, path: Path, problems: Problems) -> None:
    """Tell an include that says neither amount nor value of a feature without a default."""
    resolved = resolve_include(feature, given)
    if isinstance(feature, Switch):
        return
    if isinstance(feature, Configuration):
        if resolved.value is None:
            problems.add(path, f"{kind} without a default: write its value")
    elif resolved.amount is None:
        problems.add(path, f"{kind} without a default: write its amount")


def _fields(feature: Feature, given: Include, kind: str, path: Path, problems: Problems) -> None:
    """Tell fields that mean nothing for the feature's type."""
    recurs = isinstance(feature, Metered | Credits)
    counted = not isinstance(feature, Switch | Configuration)
    misplaced = {
        "value": given.value is not None and not isinstance(feature, Configuration),
        "amount": given.amount is not None and not counted,
        "at_limit": given.at_limit is not None and not counted,
        "per_seat": given.per_seat is not None and (not counted or isinstance(feature, Seats)),
        "per": given.per is not None and not recurs,
        "rollover": given.rollover is not None and not recurs,
        "release": given.release is not None and not recurs,
        "overage_limit": given.overage_limit is not None and not recurs,
        "priority": given.priority != DEFAULT_PRIORITY and not recurs,
    }
    for name, wrong in misplaced.items():
        if wrong:
            problems.add((*path, name), f"{kind}, which has no {name}; remove it", of_key=True)


def _rollover(fit: _Fit, given: Include, path: Path, problems: Problems) -> None:
    rollover, scale = given.rollover, fit.scale
    if rollover is None:
        return
    before = len(problems.found)
    check_amount(rollover.min, scale, (*path, "min"), problems)
    check_amount(rollover.max, scale, (*path, "max"), problems)
    if len(problems.found) > before:
        return
    if rollover.max == UNLIMITED:
        return
    if rollover.min == UNLIMITED or parse_quantity(rollover.min, scale) > parse_quantity(rollover.max, scale):
        problems.add(path, f"min {rollover.min} is more than max {rollover.max}", of_key=True)


def _per_seat(catalog: Catalog, given: Include, path: Path, problems: Problems) -> None:
    if given.per_seat is None:
        return
    seats = [key for key, feature in catalog.features.items() if isinstance(feature, Seats)]
    problems.known("seats feature", given.per_seat, seats, (*path, "per_seat"))
    if given.amount == UNLIMITED:
        problems.add((*path, "per_seat"), "an unlimited amount cannot be multiplied by seats", of_key=True)


def check_conditions(part: Conditional, path: Path, problems: Problems) -> None:
    """Tell a condition that does not compile, an empty list that allows nothing, a window that never opens."""
    if part.when is not None:
        try:
            compile_condition(part.when, STANDARD_ENVIRONMENT)
        except ConditionError as error:
            problems.take(condition_problem(error, (*path, "when")))
    check_listed(part.deployments, (*path, "deployments"), problems)
    check_listed(part.regions, (*path, "regions"), problems)
    if part.window is not None:
        _window(part.window, (*path, "window"), problems)


def condition_problem(error: ConditionError, path: Path) -> Problem:
    """Return what is wrong with the condition at a path, as a problem placed within its text."""
    return Problem(
        path=path_text(path),
        message=f"{error.message} (line {error.line}, column {error.column} of the condition)",
        suggestion=error.suggestion,
        inside=(error.line, error.column),
    )


def check_listed(names: tuple[str, ...] | None, path: Path, problems: Problems) -> None:
    """Tell a list of allowed places that is empty or names one twice."""
    if names == ():
        problems.add(path, f"an empty list allows nothing; leave {path[-1]} out to allow all")
    for place, name in enumerate(names or ()):
        if name in (names or ())[:place]:
            problems.add((*path, place), f"{quoted(name)} is listed twice")


def _window(window: Window, path: Path, problems: Problems) -> None:
    if window == Window():
        problems.add(path, "a window needs start, end, weekdays or hours")
    if window.start is not None and window.end is not None and window.start >= window.end:
        problems.add((*path, "end"), "the window ends before it begins")
    if (window.from_hour is None) != (window.until_hour is None):
        written, absent = ("from_hour", "until_hour") if window.until_hour is None else ("until_hour", "from_hour")
        problems.add((*path, written), f"{written} needs {absent} beside it", of_key=True)
    elif window.from_hour is not None and window.from_hour == window.until_hour:
        message = "a window that begins and ends at the same hour; leave both out for the whole day"
        problems.add((*path, "until_hour"), message)
    check_listed(window.weekdays or None, (*path, "weekdays"), problems)
