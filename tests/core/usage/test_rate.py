"""Rates burn exactly: whatever a quantity is split into, and never more than there is room for."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.core.quantity import MAX_QUANTITY
from licet.core.usage.rate import parse_rate

RATES = st.builds(
    lambda whole, decimals: f"{whole}.{decimals}" if decimals else str(whole),
    st.integers(0, 10**6),
    st.text("0123456789", max_size=18),
)
SCALES = st.integers(0, 9)
QUANTITIES = st.integers(0, 10**15)


@given(RATES, SCALES, SCALES, QUANTITIES)
def test_a_total_is_exact(text: str, meter: int, credit: int, total: int) -> None:
    """A total comes to the rate times the quantity in whole units, rounded up to a minor unit of the credit."""
    exact = Fraction(text) * Fraction(total, 10**meter) * 10**credit
    assert parse_rate(text, meter, credit).of(total) == ceil(exact)


@given(RATES, SCALES, SCALES, st.lists(QUANTITIES, max_size=8))
def test_splitting_changes_nothing(text: str, meter: int, credit: int, parts: list[int]) -> None:
    """Parts burn together what the whole burns, in whatever order."""
    rate = parse_rate(text, meter, credit)
    for order in (parts, parts[::-1]):
        burned = sum(rate.burn(sum(order[:place]), part) for place, part in enumerate(order))
        assert burned == rate.burn(0, sum(parts))


@given(RATES, SCALES, SCALES, QUANTITIES, st.integers(-5, 10**12))
def test_the_most_is_the_most(text: str, meter: int, credit: int, before: int, room: int) -> None:
    """The largest quantity that fits burns no more than the room, and one more would."""
    rate = parse_rate(text, meter, credit)
    most = rate.most(before, room)
    assert most == 0 or rate.burn(before, most) <= room
    assert not rate.above or rate.burn(before, most + 1) > room
    assert rate.above or most == (MAX_QUANTITY if room >= 0 else 0)


def test_a_name_without_needless_zeros() -> None:
    """One rate has one name, however it is written."""
    assert {parse_rate(text, 0, 2).text for text in ("0.5", "0.50", "00.500")} == {"0.5"}
    assert parse_rate("7.000", 0, 0).text == "7"


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "-1", "1e3", " 1", "٣", "1,5", "1.2.3"])
def test_what_is_no_rate(text: str) -> None:
    """Signs, exponents, other digits and half numbers are refused."""
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text, 0, 0)
