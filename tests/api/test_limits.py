"""The page of request limits says what the code does, and nothing else."""

from licet.door import limits
from tests.api.limits_page import BEGIN, PAGE, bounds, fields_table, rows

OURS = {"MAX_ROUTE", "KEY_CACHE_SIZE"}
"""Bounds of what we keep ourselves: nothing that is sent is refused for them."""


def test_the_page_says_each_bound_of_the_door() -> None:
    """Each thing is on the page once, with the bound that is in force."""
    head = PAGE.read_text("utf-8").split(BEGIN)[0]
    assert {cells[0]: cells[1] for cells in rows(head)} == bounds()


def test_no_bound_of_the_door_is_left_out() -> None:
    """Every constant of the door makes a difference to the page: its number stands there."""
    said = " ".join(bounds().values()).replace(",", "")
    for name, value in vars(limits).items():
        if name.isupper() and name not in OURS:
            shown = {f"{value:g}", f"{value // 1024} KiB", f"{value // 1024**2} MiB"}
            assert any(words in said for words in shown), name


def test_the_page_says_each_bound_of_a_field() -> None:
    """The bounds within bodies are those of the contract; `python -m tests.api.limits_page` writes them anew."""
    assert PAGE.read_text("utf-8").split(BEGIN)[1] == fields_table()
