"""The guide on changes of a subscription as its reader would follow it: every command, its exit code, its output."""

import re
import shutil

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises, steady
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

EXACT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
SALE = re.compile(r"sale_[0-9a-f]{32}")
GUIDE = ROOT / "docs" / "guides" / "changes.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every step of the guide, run in order."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    done = []
    for step, promised in zip(read_page(GUIDE).steps, promises(GUIDE), strict=True):
        ran = licet(*step.arguments, env=env, cwd=folder)
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, ran.out + ran.err))
    return done


def same(text: str) -> list[str]:
    """Return the lines of a text without what is another in every run."""
    return steady(EXACT.sub("TIME", SALE.sub("sale_ID", text))).splitlines()


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) > 20
    assert [one for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed, in their order, whatever ids and instants; it may leave some out."""
    for one in followed:
        printed = iter(same(one.printed))
        missing = [line for line in same(one.promised) if line not in printed]
        assert (one.command, missing) == (one.command, [])
        assert one.promised


def test_gains_and_losses_fit_a_terminal(followed: list[Followed]) -> None:
    """What a change prints is at most 80 columns wide, the scheduled change is seen ahead, and it ends in the end."""
    for one in followed:
        if one.command.startswith("subscription ") and one.ended == 0 and "list" not in one.command:
            assert max(map(len, one.printed.splitlines())) <= 80, one.command
    ahead = {one.command: one.printed for one in followed if one.command.startswith("entitlements")}
    assert ["sso" in printed for printed in ahead.values()] == [True, False]
    (listed,) = [one.printed for one in followed if one.command.startswith("subscription list")]
    assert listed.splitlines()[-1].split()[1] == "ended"
