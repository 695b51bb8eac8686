"""What of an allowance that is released in parts is there at once: what a remedy may count on.

Which part of a period it is only the course of a balance knows; the first part is there whenever something is bought.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from licet.core.catalog import Recurrence
from licet.core.compiled import UNBOUNDED, CompiledCatalog, CompiledInclude
from licet.core.entitlement import Source

_MOST_PARTS: Final[dict[tuple[str, str], int]] = {
    ("year", "quarter"): 4,
    ("year", "month"): 12,
    ("year", "week"): 53,
    ("year", "day"): 366,
    ("year", "hour"): 8_785,
    ("quarter", "month"): 3,
    ("quarter", "week"): 14,
    ("quarter", "day"): 92,
    ("quarter", "hour"): 2_209,
    ("month", "week"): 5,
    ("month", "day"): 31,
    ("month", "hour"): 745,
    ("week", "day"): 7,
    ("week", "hour"): 169,
    ("day", "hour"): 25,
}
"""The most parts that one period has, by what is whole again how often and how often a part is released."""


def first_part(amount: int, per: Recurrence | None, release: Recurrence | None) -> int:
    """Return what of an amount (minor units) is there from the first instant of its period; at least so much.

    Of a billing period, whose length is the subscription's own, nothing is promised.
    """
    if release is None or amount >= UNBOUNDED:
        return amount
    parts = _MOST_PARTS.get((per or "", release))
    return 0 if parts is None else amount // parts


def at_once(catalog: CompiledCatalog, feature: str, sources: Iterable[Source]) -> list[Source]:
    """Return sources of a feature with the amounts that are there at once."""
    return [one if one.amount is None else _at_once(catalog, feature, one, one.amount) for one in sources]


def _at_once(catalog: CompiledCatalog, feature: str, source: Source, amount: int) -> Source:
    include = include_of(catalog, feature, source)
    if include is None or include.release is None:
        return source
    return structs.replace(source, amount=first_part(amount, include.per, include.release))


def include_of(catalog: CompiledCatalog, feature: str, source: Source) -> CompiledInclude | None:
    """Return what of a version a source comes from; None for an override."""
    if source.kind == "override":
        return None
    return catalog.versions[source.kind, source.id, source.version].includes.get(feature)
