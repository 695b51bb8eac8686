"""Whether what says ``decide: local`` can be decided away from the hub: all that one use touches can be leased."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from licet.core.catalog import Catalog, Credits, Metered
from licet.core.check_usage import GAUGES, WINDOWED
from licet.core.problem import Problems, quoted

_NAMED: Final = 3
"""Features that one message names."""
_Bars = dict[str, dict[str, str]]
"""Meter or credit → the features of it that cannot be leased → what each is, in words."""


def check_local(catalog: Catalog, problems: Problems) -> None:
    """Tell each feature that says ``decide: local`` and cannot be, at that word."""
    for key, message in unleasable(catalog):
        problems.add(("features", key, "decide"), message)


def unleasable(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Return the ids of the features that say ``decide: local`` and cannot be, each with what stands against it.

    A slice is a part of a balance that has left it, for any use of the whole customer. So the meter adds up, and each
    balance that a use touches (the feature's own, others on its meter, credits that its meter burns) is the customer's
    own and whole again by the calendar.
    """
    counted = {key: one for key, one in catalog.features.items() if isinstance(one, Metered | Credits)}
    local = {key: one for key, one in counted.items() if one.decide == "local"}
    if not local:
        return
    metered, credited = _bars(counted)
    pools: dict[str, list[dict[str, str]]] = {}
    for credit_id, credit in catalog.credits.items():
        for meter in credit.burns if credit_id in credited else ():
            pools.setdefault(meter, []).append(credited[credit_id])
    for key, feature in local.items():
        for message in _own(catalog, feature):
            yield key, message
        if isinstance(feature, Metered):
            barred = [metered.get(feature.meter, {}), *pools.get(feature.meter, ())]
            message = _touched(key, feature.meter, barred)
            if message:
                yield key, message


def _own(catalog: Catalog, feature: Metered | Credits) -> Iterator[str]:
    """What of a feature itself stands against it."""
    meter = catalog.meters.get(feature.meter) if isinstance(feature, Metered) else None
    if isinstance(feature, Metered) and meter is not None and meter.aggregate in GAUGES:
        name = quoted(feature.meter)
        yield f"local needs a meter that adds up (sum or count), and {name} is {meter.aggregate}: write decide: hub"
    if feature.per in WINDOWED:
        why = f"local needs an allowance by the calendar (such as month), and per is {feature.per}"
        yield f"{why}: write decide: hub, or define another feature with such a per"
    if feature.each != "customer":
        why = f"local needs a balance of the whole customer, and each is {feature.each}"
        yield f"{why}: write decide: hub, or define another feature without each"


def _bars(counted: dict[str, Metered | Credits]) -> tuple[_Bars, _Bars]:
    """By meter and by credit, the features that bar what touches them from being local."""
    metered: _Bars = {}
    credited: _Bars = {}
    for key, one in counted.items():
        words = [f"per: {one.per}"] if one.per in WINDOWED else []
        words += [f"each: {one.each}"] if one.each != "customer" else []
        if words:
            bars, of = (metered, one.meter) if isinstance(one, Metered) else (credited, one.credit)
            bars.setdefault(of, {})[key] = f"{quoted(key)} ({', '.join(words)})"
    return metered, credited


def _touched(key: str, meter: str, barred: list[dict[str, str]]) -> str:
    """What else a use of a feature touches and cannot be leased; empty where there is nothing."""
    count = sum(len(one) for one in barred) - sum(key in one for one in barred)
    if not count:
        return ""
    others = (words for other, words in chain.from_iterable(one.items() for one in barred) if other != key)
    told = ", ".join(islice(others, _NAMED)) + (f" … ({count} in all)" if count > _NAMED else "")
    return (
        f"local needs all that a use draws on to be the customer's own and by the calendar, and a use of "
        f"{quoted(meter)} draws on {told} as well: write decide: hub, or count by another meter"
    )
