"""The guide on moving customers as its reader would follow it: every command, its exit code, its output."""

import re
import shutil

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises, steady
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE = ROOT / "docs" / "guides" / "moving-customers.md"
MOVE = re.compile(r"mov_[0-9a-f]{32}")
VARIES = re.compile(r"(sale|evt|sub|mov)_[0-9a-f]{32}|key:\w+|\d{4}-\d\d-\d\dT[\d:.]+Z")


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every step of the guide, run in order; where the page names its move, that of this run is meant."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    done, made = [], ""
    for step, promised in zip(read_page(GUIDE).steps, promises(GUIDE), strict=True):
        ran = licet(*(MOVE.sub(made, one) for one in step.arguments), env=env, cwd=folder)
        begun = re.search(rf"begun as ({MOVE.pattern})", ran.out)
        made = begun[1] if begun else made
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, ran.out + ran.err))
    return done


def same(text: str) -> list[str]:
    """Return the lines of a text without what is another in every run."""
    return steady(VARIES.sub("ID", text)).splitlines()


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) > 15
    assert [one for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed, in their order, whatever ids and instants; it may leave some out."""
    for one in followed:
        printed = iter(same(one.printed))
        missing = [line for line in same(one.promised) if line not in printed]
        assert (one.command, missing) == (one.command, [])
        assert one.promised


def test_a_move_fits_a_terminal(followed: list[Followed]) -> None:
    """What commands about moves print is at most 80 columns wide, but for commands to copy and reasons with ids."""
    for one in followed:
        if one.command.startswith("catalog move ") and "show" not in one.command:
            lines = [line for line in one.printed.splitlines() if not line.lstrip().startswith(("next:", "when"))]
            assert max(map(len, lines)) <= 80, one.command
