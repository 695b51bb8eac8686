"""The guide on launching a plan version as its reader would follow it: every command, its exit code, what it prints."""

import re
from typing import Final

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises, steady
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

IDS: Final = re.compile(r"\b(prv|mov)_[0-9a-f]{32}\b")
KEY: Final = re.compile(r"key:\w+")
NUMBERED: Final = re.compile(r"^ *\d+ +(?=\d{4}-\d\d-\d\d )", re.MULTILINE)
EXACT: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
GUIDE: Final = ROOT / "docs" / "guides" / "launch-a-plan.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every command of the guide, run in order; the ids of moves and previews are those of this run."""
    page, folder = read_page(GUIDE), tmp_path_factory.mktemp("desk")
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    ids: dict[str, str] = {}
    done = []
    for step, promised in zip(page.steps, promises(GUIDE), strict=True):
        arguments = [ids.get(argument, argument) for argument in step.arguments]
        ran = licet(*arguments, env=env, cwd=folder)
        printed = ran.out + ran.err
        ids |= zip(_ids(promised), _ids(printed), strict=False)
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, printed))
    return done


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) > 25
    assert [(one.command, one.printed) for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed, in their order, whatever ids and instants; it may leave some out."""
    for one in followed:
        printed = iter(_same(one.printed))
        missing = [line for line in _same(one.promised) if line not in printed]
        assert (one.command, missing) == (one.command, [])
        assert one.promised


def _ids(text: str) -> list[str]:
    """Return the ids of previews and moves in a text, in the order in which they come first."""
    return list(dict.fromkeys(found[0] for found in IDS.finditer(text)))


def _same(text: str) -> list[str]:
    """Return the lines of a text without what is another in every run."""
    text = NUMBERED.sub("SEQ ", KEY.sub("key:ID", IDS.sub(r"\1_ID", text)))
    return steady(EXACT.sub("TIME", text)).splitlines()
