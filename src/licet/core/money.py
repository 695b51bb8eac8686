"""Sums of money that foreign systems name: kept and shown with findings, never computed with beyond adding."""

from collections.abc import Mapping, Set
from typing import Annotated, Final

from msgspec import Meta, Struct


class Money(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount in the smallest unit of its currency (cents), as billing systems say it; at least 0."""

    amount: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    """ISO 4217, three capital letters."""


_DECIMALS: Final[Mapping[int, Set[str]]] = {
    0: {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"}
    | {"XAF", "XOF", "XPF"},
    3: {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"},
}
"""By ISO 4217, where it is not two."""


def decimals_of(currency: str) -> int:
    """Return how many decimals people write a currency with."""
    return next((places for places, those in _DECIMALS.items() if currency in those), 2)


def money_words(amount: int, currency: str) -> str:
    """Return a sum of the smallest unit as people write it: ``4,800.00 EUR``."""
    places = decimals_of(currency)
    whole, rest = divmod(amount, 10**places)
    return f"{whole:,}.{rest:0{places}} {currency}" if places else f"{whole:,} {currency}"
