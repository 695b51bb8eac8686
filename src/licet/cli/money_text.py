"""Sums of money as people write them: ``4,800.00 EUR``. Inside they are counted in the currency's smallest unit."""

import re
from collections.abc import Mapping
from typing import Any, Final

from licet.cli.failure import Failure
from licet.cli.words import number

_DECIMALS: Final = {
    0: {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"}
    | {"XAF", "XOF", "XPF"},
    3: {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"},
}
"""By ISO 4217, where it is not two."""
_MONEY: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))? ?([A-Z]{3})", re.ASCII)


def money_words(money: Mapping[str, Any] | None) -> str:
    """Return a sum in words; nothing for None."""
    if not money:
        return ""
    places = _decimals(money["currency"])
    digits = str(money["amount"]).rjust(places + 1, "0")
    shown = number(f"{digits[:-places]}.{digits[-places:]}") if places else number(digits)
    return f"{shown} {money['currency']}"


def money_of(option: str, text: str | None) -> dict[str, Any] | None:
    """Return a sum as the service reads it; raises Failure with what is allowed."""
    if text is None:
        return None
    found = _MONEY.fullmatch(text)
    if found is None:
        raise _odd(option, text, "write an amount and a currency, such as '4800.00 EUR'")
    places, decimals = _decimals(found[3]), found[2] or ""
    if len(decimals) > places:
        raise _odd(option, text, f"{found[3]} has {places} decimals")
    return {"amount": int(found[1] + decimals.ljust(places, "0")), "currency": found[3]}


def _decimals(currency: str) -> int:
    return next((places for places, those in _DECIMALS.items() if currency in those), 2)


def _odd(option: str, text: str, advice: str) -> Failure:
    return Failure(f"{option} {text!r} is not a sum of money", advice=advice, code="usage")
