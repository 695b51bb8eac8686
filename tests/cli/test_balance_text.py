"""A balance in words: the grants that count, and what is left of each where that is known."""

from typing import Any

import pytest

from licet.cli.balance_text import show_balance
from licet.cli.output import Output


def grant(name: str, amount: int, left: int, **more: Any) -> dict[str, Any]:
    """A grant of a balance as it is answered."""
    return {"id": name, "source": f"subscription {name}", "amount": amount, "left": left, "priority": 50, **more}


def shown(capsys: pytest.CaptureFixture[str], grants: list[dict[str, Any]], used: int, remaining: int) -> str:
    """What is printed of a balance with these grants."""
    answer = {"customer": "acme", "feature": "ai", "holder": "", "at": "2026-08-05T10:00:00Z", "used": used}
    numbers = {"granted": used + remaining, "remaining": remaining, "overage": max(0, -remaining)}
    rest = {"per": "month", "at_limit": "block", "unit": None, "precision": "exact"}
    show_balance(Output(), answer | numbers | rest | {"grants": grants})
    return capsys.readouterr().out


def test_what_is_left_is_told_where_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Grants that draws are taken from tell what is left; those of a window or a level tell only what they are."""
    drawn = shown(capsys, [grant("one", 5, 1), grant("two", 10, 10)], 4, 11)
    assert "left  of" in drawn
    assert [line.split() for line in drawn.splitlines()[-2:]] == [["1", "5", "—", "one"], ["10", "10", "—", "two"]]
    together = shown(capsys, [grant("one", 5, 5), grant("two", 10, 10)], 4, 11)
    assert [line.split() for line in together.splitlines()[-3:]] == [
        ["of", "until", "from"],
        ["5", "—", "one"],
        ["10", "—", "two"],
    ]
    beyond = shown(capsys, [grant("one", 5, 0)], 7, -2)
    assert beyond.splitlines()[-1].split() == ["0", "5", "—", "one"]


def test_what_is_no_more_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """An allowance that another one took the place of is left out, also of what is released; one with a rest is not."""
    parts = {"released": 0, "whole": 0}
    told = shown(capsys, [grant("kept", 0, 50), grant("gone", 0, 0, parts=parts), grant("now", 100, 60)], 40, 110)
    assert "gone" not in told
    assert "released" not in told
    assert "kept" in told
    ahead = {"released": 0, "whole": 12, "next_amount": 1, "next_at": "2026-09-01T00:00:00Z"}
    assert "released  0 of 12, next 1" in shown(capsys, [grant("later", 0, 0, parts=ahead)], 0, 0)
