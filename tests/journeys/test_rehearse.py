"""The guide about rehearsals as somebody would follow it, on a real server."""

import re

import pytest

from licet.services.check_counts import RECORDS_KEPT
from licet.services.rehearsals import PERIOD
from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE = ROOT / "docs" / "guides" / "rehearse.md"
Step = tuple[str, int, int, str]


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """Every step, run in order: command, the code the page says, the code it had, its output."""
    page = read_page(GUIDE)
    folder = tmp_path_factory.mktemp("shop")
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    done: list[Step] = []
    for step in page.steps:
        ran = licet(*step.arguments, env=env, cwd=folder)
        done.append((" ".join(step.arguments), step.code, ran.code, ran.out + ran.err))
    return done


def test_every_command_ends_as_the_page_says(followed: list[Step]) -> None:
    """Each command of the guide exits with the code that the page states, in the page's order."""
    assert len(followed) > 12
    assert [step for step in followed if step[1] != step[2]] == []


def test_the_page_shows_what_is_printed(followed: list[Step]) -> None:
    """What the page shows of each rehearsal is what was printed, but for dates and times."""
    blocks = re.findall(
        r"^\$ licet (catalog rehearse.*)\n((?:(?!\$ |```|exit ).*\n)*)", GUIDE.read_text("utf-8"), re.MULTILINE
    )
    printed = [(command, output) for command, _, _, output in followed if command.startswith("catalog rehearse")]
    assert [command for command, _ in blocks] == [command for command, _ in printed]
    for (command, shown), (_, output) in zip(blocks, printed, strict=True):
        assert _timeless(output) == _timeless(shown), command


def test_the_numbers_are_those_of_the_code() -> None:
    """The page names the period and the retention that are in force."""
    page = " ".join(GUIDE.read_text("utf-8").split())
    assert f"is kept, for {RECORDS_KEPT.days} days" in page
    assert f"By default the last {PERIOD.days} days" in page


def _timeless(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", "TIME", text)
    return re.sub(r"--basis \d+:\d+", "--basis BASIS", text)
