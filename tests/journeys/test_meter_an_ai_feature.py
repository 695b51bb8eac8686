"""The tutorial on metering an AI feature as a newcomer would follow it: an empty folder, a server, a program."""

import pytest

from tests.cli.terminal import Shop
from tests.journeys.page import read_page
from tests.journeys.shell_page import Done, assert_as_shown, follow_in_shell
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "tutorial" / "meter-an-ai-feature.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """The whole page, run in one shell from an empty folder, at this test's own server."""
    folder = tmp_path_factory.mktemp("anywhere")
    (folder / "desk").mkdir()
    for name, text in read_page(PAGE).files.items():
        (folder / "desk" / name).write_text(text, "utf-8")
    told = PAGE.read_text("utf-8").replace("mkdir desk && ", "").replace("http://127.0.0.1:8080", shop.url)
    page = folder / "page.md"
    page.write_text(told, "utf-8")
    return follow_in_shell(page, shop, folder)


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Answers until the credits are used up, a refusal with its reason, a top-up that counts at once: as told."""
    assert len(followed) > 15
    assert_as_shown(followed)
