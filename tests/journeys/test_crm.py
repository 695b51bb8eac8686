"""The guide for CRMs as its reader would follow it: every command, its exit code, and what it prints."""

import re
import shutil

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises, steady
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE = ROOT / "docs" / "guides" / "crm.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every step of the guide, run in order."""
    page = read_page(GUIDE)
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
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
    assert len(followed) > 10
    assert [one for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed in their order, whatever ids and instants; it may leave some out."""
    for one in followed:
        printed = iter(_lines(one.printed))
        missing = [line for line in _lines(one.promised) if line not in printed]
        assert (one.command, missing) == (one.command, [])
        assert one.promised


def _lines(text: str) -> list[str]:
    """The lines that say something, without what is another in every run."""
    return [re.sub(r"\bfnd_[0-9a-f]{32}\b", "fnd_ID", line) for line in steady(text).splitlines() if line]


def test_the_guide_shows_every_outcome_that_it_speaks_of(followed: list[Followed]) -> None:
    """Orders are applied, duplicates, refused and stale; the finding says the money."""
    sent = [one.printed.split()[0] for one in followed if one.command.startswith("order send")]
    bought = ["applied", "applied", "applied"]
    assert sent == ["applied", "applied", "duplicate", "duplicate", "applied", *bought, "refused", "applied", "stale"]
    (findings,) = [one.printed for one in followed if one.command.startswith("findings")]
    assert "9,900.00 EUR" in findings
