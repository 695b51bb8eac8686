"""The page of reasons and remedies says what the code does."""

import re
from pathlib import Path

from licet.core.change import COSTS
from licet.core.reason import PERMITTING, Reason
from licet.core.remedywords import CUSTOMER, SUPPORT
from licet.core.words import MESSAGES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "reasons.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = PAGE.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_reasons_stand_in_precedence_with_their_words() -> None:
    """Both tables list every reason, in the order of the code, with the sentence the customer reads."""
    found = rows("Refusing, highest first") + rows("Permitting")
    assert [(int(row[0]), row[1].strip("`"), row[3]) for row in found] == [
        (place, str(reason), MESSAGES[reason]) for place, reason in enumerate(Reason, 1)
    ]
    assert {row[1].strip("`") for row in rows("Permitting")} == {str(reason) for reason in PERMITTING}


def test_remedies_named_for_reasons_exist() -> None:
    """Every remedy that the table of refusals names is a kind of change or another reason of the table."""
    named = {name for row in rows("Refusing, highest first") for name in re.findall(r"`([a-z_]+)`", row[4])}
    assert named <= set(COSTS) | {str(reason) for reason in Reason}


def test_costs_stand_as_in_the_code() -> None:
    """The table of remedies lists every kind of change with its cost and words."""
    found = [(row[0].strip("`"), int(row[1]), row[2]) for row in rows("Remedies and what they cost")]
    assert found == [(kind, cost, CUSTOMER[kind]) for kind, cost in COSTS.items()]
    assert set(SUPPORT) == set(COSTS)
