"""Rates: how many credits a quantity of a meter burns, in exact whole numbers.

What is burned goes by running totals: ``ceil(rate · total) - ceil(rate · total before)``. So splitting a quantity costs
neither more nor less, and what was burned in all is the rate of all that was used, rounded up once.
"""

from functools import lru_cache

from msgspec import Struct

from licet.core.quantity import MAX_QUANTITY


class Rate(Struct, frozen=True, gc=False):
    """Minor units of a credit per minor unit of a meter, as ``above / below``; ``text`` is the decimal as written,
    without needless zeros: the name under which totals are kept.
    """

    text: str
    above: int
    below: int

    def of(self, total: int) -> int:
        """Return what a total comes to in minor units of the credit, rounded up."""
        return -(-total * self.above // self.below)

    def burn(self, before: int, quantity: int) -> int:
        """Return what ``quantity`` more (or, negative, less) burns (or gives back) after ``before`` of the meter."""
        return self.of(before + quantity) - self.of(before)

    def most(self, before: int, room: int) -> int:
        """Return the largest quantity that burns at most ``room`` after ``before``; 0 where there is no room."""
        if room < 0:
            return 0
        if not self.above:
            return MAX_QUANTITY
        return max(0, (self.of(before) + room) * self.below // self.above - before)


@lru_cache(maxsize=4096)
def parse_rate(text: str, meter_scale: int, credit_scale: int) -> Rate:
    """Return a rate written in whole units (``"0.0004"``: so many credits per unit of the meter).

    Raises ValueError for what is no plain decimal without a sign.
    """
    whole, point, decimals = text.partition(".")
    if not (text.isascii() and whole.isdigit() and (decimals.isdigit() if point else not decimals)):
        raise ValueError(f'{text!r} is not a rate; write a decimal such as "0.0004"')
    decimals = decimals.rstrip("0")
    whole = whole.lstrip("0") or "0"
    above = int(whole + decimals) * 10**credit_scale
    name = f"{whole}.{decimals}" if decimals else whole
    return Rate(name, above, 10 ** (len(decimals) + meter_scale))
