"""Quantities: whole minor units inside (``int`` within int64), a number or a decimal string outside; no floats."""

import re
from typing import Final

MAX_QUANTITY: Final = 2**63 - 1
MAX_SCALE: Final = 9

_DECIMAL: Final = re.compile(r"(0|[1-9]\d{0,18})(?:\.(\d{1,9}))?", re.ASCII)


def parse_quantity(value: int | str, scale: int) -> int:
    """Return ``value`` (major units) in minor units of ``scale`` decimals.

    Accepts an integer or a plain decimal string without sign or exponent. Raises ValueError for a sign, an exponent,
    more decimals than the scale (refused, not rounded) or a result beyond int64.
    """
    if type(value) is int:
        whole: int = value * 10**scale
        if 0 <= whole <= MAX_QUANTITY:
            return whole
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a quantity; write a number")
    text = str(value)
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is not a quantity; write a whole number or a decimal string such as "12.50"')
    decimals = found[2] or ""
    if len(decimals) > scale:
        count = "1 decimal" if len(decimals) == 1 else f"{len(decimals)} decimals"
        raise ValueError(f"{text!r} has {count}; at most {scale} are kept here")
    minor: int = int(found[1]) * 10**scale + int(decimals.ljust(scale, "0") or 0)
    if minor > MAX_QUANTITY:
        raise ValueError(f"{text!r} is too large; at most {format_quantity(MAX_QUANTITY, scale)} fits")
    return minor


def format_quantity(minor: int, scale: int) -> str:
    """Return minor units as a plain decimal string without needless zeros (``1250`` at scale 2 is ``"12.5"``)."""
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).rjust(scale + 1, "0")
    if scale == 0:
        return sign + digits
    whole, decimals = digits[:-scale], digits[-scale:].rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else sign + whole
