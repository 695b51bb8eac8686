"""The guide for whoever answers a complaint: every command as its reader would type it, how it ends, what it prints."""

import re
from typing import Final

import pytest

from licet.cli.companion import Companion
from licet.settings import Settings
from tests.cli.terminal import licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import promises
from tests.store.databases import Database
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE: Final = ROOT / "docs" / "guides" / "customer-complains.md"
VARIES: Final = (
    (re.compile(r"\b(evt|sub)_[0-9a-f]{32}\b"), r"\1_ID"),
    (re.compile(r"\bkey:\w+"), "KEY"),
    (re.compile(r"(?<=\d\d):\d\d(:\d\d)?"), ""),
    (re.compile(r"\(real time .*?\)"), "(REAL)"),
    # What happens within the first second of a day is told by the day alone.
    (re.compile(r"(2031-03-\d\d) 00 UTC"), r"\1"),
    (re.compile(r"[ \t]+"), " "),
)
"""What is another in every run: ids, keys, minutes, the width of columns. Days and hours stay as they are."""


def steady(text: str) -> str:
    """Return a text without what is another in every run."""
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def test_every_command_does_what_the_guide_says(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each command ends with the code that the page states, and prints what it shows, but for ids and minutes."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("desk")
    page = read_page(GUIDE)
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    settings = Settings(database_url=module_database.dsn, home=home, port=0, log_level="warning")
    shown = 0
    with Companion(settings):
        for step, promised in zip(page.steps, promises(GUIDE), strict=True):
            env = {"LICET_HOME": str(home), "LICET_DATABASE_URL": module_database.dsn}
            ran = licet(*step.arguments, env=env, cwd=folder)
            printed = ran.out + ran.err
            assert ran.code == step.code, (step, printed)
            if promised:
                shown += 1
                assert steady(printed) == steady(promised), step
    assert shown >= 14
