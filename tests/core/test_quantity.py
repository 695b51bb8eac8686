"""Quantities: minor units inside, numbers or decimal strings outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.core.quantity import MAX_QUANTITY, format_quantity, parse_quantity


@given(st.integers(0, MAX_QUANTITY), st.integers(0, 9))
def test_format_and_back(minor: int, scale: int) -> None:
    """What is written is read back as the same amount."""
    assert parse_quantity(format_quantity(minor, scale), scale) == minor


@pytest.mark.parametrize(
    ("value", "scale", "minor"),
    [(5, 0, 5), ("5", 2, 500), ("0.5", 1, 5), ("12.50", 2, 1250), (0, 9, 0), ("9223372036854775807", 0, 2**63 - 1)],
)
def test_reads(value: int | str, scale: int, minor: int) -> None:
    """Integers and decimal strings within the scale are read exactly."""
    assert parse_quantity(value, scale) == minor


@pytest.mark.parametrize(
    ("value", "scale"),
    [
        ("-1", 0), (-1, 0), ("+1", 0), ("1e3", 0), ("01", 0), (".5", 1), ("1.", 1), ("0.001", 2), ("NaN", 2),
        ("", 0), (" 1", 0), ("१", 0), (True, 0), ("9223372036854775808", 0), (2**62, 2), ("1_000", 0),
    ],
)  # fmt: skip
def test_refuses(value: int | str, scale: int) -> None:
    """Signs, exponents, extra decimals, other digits and what does not fit are refused, never rounded."""
    with pytest.raises(ValueError, match=r"quantity|decimals|large"):
        parse_quantity(value, scale)
