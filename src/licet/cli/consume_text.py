"""What came of use, in words for a terminal: the verdict, and each balance that it took from."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.cli.decision_text import decision_lines
from licet.cli.output import ACCENT, BOLD, DIM, GOOD, WARN, Line
from licet.cli.words import INDENT, day, folded, label, left_words, number

UNLIMITED = "unlimited"
HELD = ["what", "who", "since", "until", "id"]
"""Columns of open reservations."""


def answer_lines(asked: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Line]:
    """Return what came of a consume or a reserve; a refusal as its decisions."""
    if not answer["allowed"]:
        return [line for decision in answer.get("refusals", ()) for line in decision_lines(decision)]
    recorded = answer.get("id")
    what = "permitted" if not recorded else "reserved" if recorded.startswith("res_") else "consumed"
    quantity = answer.get("quantity", 0) if recorded else asked["quantity"]
    lines: list[Line] = [
        [
            ("✓", GOOD),
            f" {what} ",
            (f"{number(quantity)} {asked['feature']}", BOLD),
            f" for {asked['customer']}  ",
            (answer["reason"], ACCENT),
            (f"  {recorded}" if recorded else "", DIM),
        ]
    ]
    if str(quantity) != str(asked["quantity"]) and asked.get("partial"):
        lines.append(label("asked", f"{number(asked['quantity'])}: there was no more"))
    if not recorded:
        lines.append(label("recorded", ("nothing: the customer is not known", WARN)))
    if answer.get("would_deny"):
        lines.append(label("observed", ("would be refused: " + ", ".join(answer["would_deny"]), WARN)))
    if answer.get("expires_at"):
        lines.append(label("until", f"{day(answer['expires_at'])}, then it goes back by itself"))
    return lines + take_lines(answer.get("takes", ()))


def closing_lines(answer: Mapping[str, Any]) -> list[Line]:
    """Return how a reservation ended."""
    first: list[Any] = [("✓", GOOD), f" {answer['closed']}", (f"  {answer['id']}", DIM)]
    if answer["closed"] == "settled":
        first[1] = f" settled at {number(answer.get('used', 0))}"
    lines: list[Line] = [first]
    if answer.get("exceeded"):
        lines.append(label("exceeded", ("it came to more than was reserved and than there was", WARN)))
    return lines + take_lines(answer.get("takes", ()))


def narrowed(lines: Sequence[Line], width: int | None) -> list[Line]:
    """Return lines broken between words where the terminal is narrower."""
    return [part for line in lines for part in folded(line, width, INDENT)]


def take_lines(takes: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return each balance that was taken from, and how it stands."""
    lines: list[Line] = []
    for take in takes:
        whose = f" of {take['holder']}" if take["holder"] else ""
        lines.append(label("from", f"{take['feature']}{whose}: {number(take['taken'])} taken, {standing_words(take)}"))
    return lines


def held_row(row: Mapping[str, Any]) -> list[str]:
    """Return the columns of an open reservation: what for whom, since when, and when it goes back by itself."""
    what = ", ".join(f"{number(quantity)} {feature}" for feature, quantity in row.get("quantities", {}).items())
    who = " ".join(part for part in (row.get("user"), row.get("team")) if part)
    return [what, who, day(row["reserved_at"]), day(row["expires_at"]), row["id"]]


def standing_words(numbers: Mapping[str, Any]) -> str:
    """Return ``1,250 of 100,000 used, 98,750 left, whole again 2026-04-01``."""
    if numbers["granted"] == UNLIMITED:
        return f"{number(numbers['used'])} used, unlimited"
    words = f"{number(numbers['used'])} of {number(numbers['granted'])} used, {left_words(numbers['remaining'])}"
    return f"{words}, whole again {day(numbers['resets_at'])}" if numbers.get("resets_at") else words
