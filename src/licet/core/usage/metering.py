"""Metering: which meters count an event and how much of each, and which balances a meter touches.

Quantities are exact: an integer or a decimal string. What an event says by halves is refused, never guessed.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct

from licet.core.catalog import Credits, Each, Metered
from licet.core.compiled import CompiledCatalog
from licet.core.quantity import parse_quantity
from licet.core.usage.rate import Rate, parse_rate

Aggregate = Literal["sum", "count", "unique", "max", "latest"]
Plain = str | int | float | bool | list[str] | None
MAX_VALUE: Final = 256
"""Characters of a counted value or of a dimension."""
MAX_NAME: Final = 128
"""Characters of the id of a user or team."""
GAUGES: Final[frozenset[Aggregate]] = frozenset({"max", "latest"})
"""What these count is a level, which can only be told."""


_MOST: Final = 64
"""Of so many catalogs at most what they count is kept."""


class CompiledMeter(Struct, frozen=True, gc=False):
    """One meter, ready to be asked about events."""

    id: str
    event: str
    aggregate: Aggregate
    field: str
    """The field that is aggregated; of ``count`` none."""
    filters: tuple[tuple[str, frozenset[str]], ...]
    dimensions: tuple[str, ...]
    scale: int


class Burning(Struct, frozen=True, gc=False):
    """A feature whose balance a meter touches: one for one, or as credits at a ``rate``."""

    feature: str
    each: Each
    rate: Rate | None = None
    total: str = ""
    """``meter@rate``: the name of the running total; empty where nothing is rated."""
    named: str = ""
    """``feature@meter``: what a fact calls the rate."""


class Measured(Struct, frozen=True):
    """What an event comes to: minor units by meter, values of ``unique`` meters, dimensions, and who used it."""

    metered: dict[str, int]
    values: dict[str, str]
    dimensions: dict[str, str]
    user: str | None
    team: str | None


class Metering(Struct, frozen=True):
    """The meters of a catalog and what they touch, worked out once."""

    meters: dict[str, CompiledMeter]
    by_event: dict[str, tuple[CompiledMeter, ...]]
    burning: dict[str, tuple[Burning, ...]]
    """By meter, the features that it touches: metered ones, then credits, each by id."""
    meter_of: dict[str, str]
    """By metered feature its meter."""
    each_of: dict[str, Each]
    """By metered or credits feature, whose own its balances are."""
    scale_of: dict[str, int]
    """By metered or credits feature, the decimals of its quantities."""

    def rate_of(self, feature: str, total: str) -> Rate | None:
        """Return the rate that a running total (``meter@rate``) of credits has; None where either is gone by now."""
        meter, _, text = total.rpartition("@")
        known = self.meters.get(meter)
        return (
            None
            if known is None or feature not in self.scale_of
            else parse_rate(text, known.scale, self.scale_of[feature])
        )


_KEPT: Final[dict[int, tuple[CompiledCatalog, Metering]]] = {}


def metering_of(catalog: CompiledCatalog) -> Metering:
    """Return what a catalog counts and touches; of the catalogs asked about last it is worked out once.

    Expects a checked catalog.
    """
    known = _KEPT.get(id(catalog))
    # Whoever is kept here lives, so that nobody else has its identity.
    if known is None or known[0] is not catalog:
        if len(_KEPT) >= _MOST:
            _KEPT.clear()
        known = _KEPT[id(catalog)] = catalog, compile_metering(catalog)
    return known[1]


def compile_metering(catalog: CompiledCatalog) -> Metering:
    """Work out what a catalog counts and touches. Expects a checked catalog."""
    document = catalog.document
    meters = {
        key: CompiledMeter(
            key,
            meter.event,
            meter.aggregate,
            meter.field or ("user" if meter.aggregate == "unique" else "quantity"),
            tuple((name, frozenset(values)) for name, values in sorted(meter.filters.items())),
            meter.dimensions,
            meter.scale,
        )
        for key, meter in sorted(document.meters.items())
    }
    by_event: dict[str, tuple[CompiledMeter, ...]] = {}
    for meter in meters.values():
        by_event[meter.event] = (*by_event.get(meter.event, ()), meter)
    counted = {key: one for key, one in sorted(document.features.items()) if isinstance(one, Metered | Credits)}
    return Metering(
        meters,
        by_event,
        {key: tuple(_burning(catalog, meter)) for key, meter in meters.items()},
        {key: one.meter for key, one in counted.items() if isinstance(one, Metered)},
        {key: one.each for key, one in counted.items()},
        {key: catalog.features[key].scale for key in counted},
    )


def measure(metering: Metering, event: str, data: Mapping[str, Plain]) -> Measured | None:
    """Return what an event of a type comes to; None where no meter counts it.

    Raises ValueError, with the field and what is allowed, where a meter cannot read it, and where all that it sums up
    is 0: nothing was used then. Levels may be 0, and so may one of several sums.
    """
    found = [one for one in metering.by_event.get(event, ()) if _fits(one, data)]
    if not found:
        return None
    metered: dict[str, int] = {}
    values: dict[str, str] = {}
    dimensions: dict[str, str] = {}
    for meter in found:
        if meter.aggregate == "unique":
            values[meter.id] = _text(meter.field, data.get(meter.field), f"the meter {meter.id!r} counts its values")
        metered[meter.id] = _quantity(meter, data)
        for name in meter.dimensions:
            if data.get(name) is not None:
                dimensions[name] = _text(name, data[name], "usage is told apart by it")
    if not any(metered.values()) and all(one.aggregate == "sum" for one in found):
        fields = " and ".join(dict.fromkeys(f"data.{one.field}" for one in found))
        raise ValueError(f"{fields} is 0, which is no usage; send what was used, or nothing")
    return Measured(metered, values, dimensions, _named("user", data), _named("team", data))


def _burning(catalog: CompiledCatalog, meter: CompiledMeter) -> Iterator[Burning]:
    """The features that a meter touches. A level burns no credits: it is no quantity that is used up."""
    features = sorted(catalog.document.features.items())
    for key, feature in features:
        if isinstance(feature, Metered) and feature.meter == meter.id:
            yield Burning(key, feature.each)
    if meter.aggregate not in ("sum", "count"):
        return
    for key, feature in features:
        if isinstance(feature, Credits):
            credit = catalog.document.credits[feature.credit]
            if meter.id in credit.burns:
                rate = parse_rate(credit.burns[meter.id], meter.scale, credit.scale)
                yield Burning(key, feature.each, rate, f"{meter.id}@{rate.text}", f"{key}@{meter.id}")


def _fits(meter: CompiledMeter, data: Mapping[str, Plain]) -> bool:
    """Whether an event fits every filter of a meter; of a list one fitting value is enough."""
    for name, allowed in meter.filters:
        value = data.get(name)
        if isinstance(value, list):
            if allowed.isdisjoint(value):
                return False
        elif value is None or _written(value) not in allowed:
            return False
    return True


def _written(value: str | float) -> str:
    """A plain value as a catalog writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quantity(meter: CompiledMeter, data: Mapping[str, Plain]) -> int:
    """How much of a meter an event is, in minor units."""
    if meter.aggregate in ("count", "unique"):
        return int(10**meter.scale)
    name, value = meter.field, data.get(meter.field)
    if value is None:
        raise ValueError(f"data has no {name!r}, which the meter {meter.id!r} counts; send it as a number")
    if isinstance(value, float):
        raise ValueError(
            f"data.{name} is {value!r}, a number with a fraction or an exponent, which is not exact; "
            f'send it as a string such as "12.5"'
        )
    if isinstance(value, bool | list):
        raise ValueError(f"data.{name} is {value!r}; send an integer or a decimal string")
    try:
        return parse_quantity(value, meter.scale)
    except ValueError as error:
        raise ValueError(f"data.{name}: {error}") from None


def _text(name: str, value: Plain, why: str) -> str:
    """A value by which usage is counted or told apart."""
    if value is None or isinstance(value, list | float):
        found = "missing" if value is None else repr(value)
        raise ValueError(f"data.{name} is {found}, and {why}; send a text")
    text = _written(value)
    if not text or len(text) > MAX_VALUE:
        raise ValueError(f"data.{name} has {len(text)} characters; send 1 to {MAX_VALUE}")
    return text


def _named(name: str, data: Mapping[str, Plain]) -> str | None:
    """The id of a user or team, where an event names one."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"data.{name} is {value!r}; send an id of 1 to {MAX_NAME} characters")
    return value
