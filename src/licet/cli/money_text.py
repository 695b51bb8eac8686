"""Sums of money as people write them: ``4,800.00 EUR``. Inside they are counted in the currency's smallest unit."""

import re
from collections.abc import Mapping
from typing import Any, Final

from licet.cli.failure import Failure
from licet.core import money as core_money

_MONEY: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))? ?([A-Z]{3})", re.ASCII)


def money_words(money: Mapping[str, Any] | None) -> str:
    """Return a sum in words; nothing for None."""
    if not money:
        return ""
    return core_money.money_words(money["amount"], money["currency"])


def money_of(option: str, text: str | None) -> dict[str, Any] | None:
    """Return a sum as the service reads it; raises Failure with what is allowed."""
    if text is None:
        return None
    found = _MONEY.fullmatch(text)
    if found is None:
        raise _odd(option, text, "write an amount and a currency, such as '4800.00 EUR'")
    places, decimals = core_money.decimals_of(found[3]), found[2] or ""
    if len(decimals) > places:
        raise _odd(option, text, f"{found[3]} has {places} decimal{'' if places == 1 else 's'}")
    return {"amount": int(found[1] + decimals.ljust(places, "0")), "currency": found[3]}


def _odd(option: str, text: str, advice: str) -> Failure:
    return Failure(f"{option} {text!r} is not a sum of money", advice=advice, code="usage")
