"""The guide about check telemetry as somebody would follow it, on a real server."""

import re

import pytest

from licet.api.counting import FLUSH_SECONDS
from licet.core.tally import MAX_KEYS
from licet.services.check_counts import COUNTS_KEPT, MAX_RECORDS, RECORDS_KEPT
from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE = ROOT / "docs" / "guides" / "check-telemetry.md"
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
    """What the page shows of the counts and records is what was printed, but for dates and times."""
    blocks = re.findall(r"^\$ licet (checks\b.*)\n((?:(?!\$ |```).*\n)*)", GUIDE.read_text("utf-8"), re.MULTILINE)
    printed = [(command, output) for command, _, _, output in followed if command.startswith("checks")]
    assert [command for command, _ in blocks] == [command for command, _ in printed]
    for (command, shown), (_, output) in zip(blocks, printed, strict=True):
        pattern = re.sub(
            r"\d{4}\\-\d\d\\-\d\d((\\ |T)\d\d:\d\d(:\d\d(\\\.\d{6}Z)?)?)?",
            lambda found: re.sub(r"\d", r"\\d", found[0]),
            re.escape(shown),
        )
        assert re.fullmatch(pattern, output), (command, output)


def test_the_numbers_are_those_of_the_code() -> None:
    """The page names the bounds, the rhythm and the retention that are in force."""
    page = " ".join(GUIDE.read_text("utf-8").split())
    assert FLUSH_SECONDS == 1.0
    assert f"up to {MAX_KEYS:,} combinations" in page
    for share, word in ((80, "users"), (90, "customers"), (95, "features")):
        assert re.search(rf"[Bb]eyond {MAX_KEYS * share // 100:,} (the|their) {word}", page), word
    assert f"Up to {MAX_RECORDS:,} checks on record" in page
    assert f"Counts are kept for {COUNTS_KEPT.days} days, single checks for {RECORDS_KEPT.days}" in page
