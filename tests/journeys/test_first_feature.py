"""The tutorial for FastAPI as a newcomer would follow it: an empty folder, a server, a program, curl."""

import socket

import pytest

from tests.cli.terminal import Shop
from tests.journeys.page import read_page
from tests.journeys.shell_page import Done, assert_as_shown, follow_in_shell
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "tutorial" / "first-feature-fastapi.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """The whole page, run in one shell from an empty folder, at this test's own server and on a free port."""
    folder = tmp_path_factory.mktemp("anywhere")
    (folder / "shop").mkdir()
    for name, text in read_page(PAGE).files.items():
        (folder / "shop" / name).write_text(text, "utf-8")
    told = PAGE.read_text("utf-8").replace("mkdir shop && ", "").replace("http://127.0.0.1:8080", shop.url)
    # The plugins of this test suite, which pytest would load by itself, are no part of the page and slow to load.
    told = told.replace("$ pytest ", "$ PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 pytest -p licet.testing.plugin ")
    page = folder / "page.md"
    page.write_text(told.replace("8000", str(free_port())), "utf-8")
    return follow_in_shell(page, shop, folder)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Refused with a way out, allowed a second after the order, tested without a server: as the page says."""
    assert len(followed) > 10
    assert_as_shown(followed)
