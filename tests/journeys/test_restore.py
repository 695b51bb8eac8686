"""The page about restores as its reader would follow it: every line after a `$` runs in one shell, at a real server."""

import pytest

from tests.cli.terminal import Shop
from tests.journeys.shell_page import Done, assert_as_shown, follow_in_shell
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "operating" / "restore.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """The whole page, run in one shell in an empty folder."""
    return follow_in_shell(PAGE, shop, tmp_path_factory.mktemp("desk"))


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Each command ends as the page says, and each line that it shows is in what was printed."""
    assert len(followed) == 6
    assert_as_shown(followed)
