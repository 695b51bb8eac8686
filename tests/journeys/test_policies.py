"""The guide on policies as its reader would follow it: every command, its exit code, and what it prints."""

import re
from typing import Final

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises, steady
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

EXACT: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
KEY: Final = re.compile(r"key:\w+")
GUIDE: Final = ROOT / "docs" / "guides" / "policies.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every command of the guide, run in order."""
    page, folder = read_page(GUIDE), tmp_path_factory.mktemp("desk")
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    done = []
    for step, promised in zip(page.steps, promises(GUIDE), strict=True):
        ran = licet(*step.arguments, env=env, cwd=folder)
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, ran.out + ran.err))
    return done


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) > 20
    assert [(one.command, one.printed) for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed, in their order, whatever ids and instants; it may leave some out."""
    for one in followed:
        printed = iter(same(one.printed))
        missing = [line for line in same(one.promised) if line not in printed]
        assert (one.command, missing) == (one.command, [])
        assert one.promised


def same(text: str) -> list[str]:
    """Return the lines of a text without what is another in every run."""
    return steady(KEY.sub("key:ID", EXACT.sub("TIME", text))).splitlines()
