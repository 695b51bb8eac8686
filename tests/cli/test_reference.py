"""The reference page of commands is what the commands say of themselves."""

import re
from pathlib import Path

from licet.cli.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"


def test_the_page_is_up_to_date() -> None:
    """The page in docs/ equals the one made from the commands; make it anew after changing an option."""
    assert PAGE.read_text() == page()


def test_every_command_option_and_argument_has_words() -> None:
    """No command and no option is listed without a sentence."""
    text = page()
    assert text.count("\n## licet ") > 25
    assert not re.search(r"\|\s+\|$", text.replace("| | |", ""), re.MULTILINE)
    assert "\n\n\n" not in text
