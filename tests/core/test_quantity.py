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
    [
        (5, 0, 5),
        (5, 2, 500),
        ("5", 2, 500),
        ("0.5", 1, 5),
        ("12.50", 2, 1250),
        (0, 9, 0),
        ("9223372036854775807", 0, 2**63 - 1),
    ],
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


def test_what_is_owed_is_written_with_its_sign() -> None:
    """Less than nothing is told with a minus, whole or not."""
    assert [format_quantity(-1250, scale) for scale in (0, 2, 4)] == ["-1250", "-12.5", "-0.125"]


@pytest.mark.parametrize(("text", "count"), [("0.5", "1 decimal"), ("0.55", "2 decimals")])
def test_says_how_many_decimals_there_are(text: str, count: str) -> None:
    """The message counts what is too many, and says what is kept."""
    with pytest.raises(ValueError, match=f"^'{text}' has {count}; at most 0 are kept here$"):
        parse_quantity(text, 0)
