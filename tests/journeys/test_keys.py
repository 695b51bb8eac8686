"""The guide of keys as a reader would follow it: every line after a `$` runs in one shell, at a real server."""

import re

import pytest

from licet.door import limits
from licet.services.keys import MAX_OVERLAP_DAYS
from licet.services.rows import Scope
from tests.cli.terminal import Shop
from tests.journeys.shell_page import Done, assert_as_shown, follow_in_shell
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "guides" / "keys.md"


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """The whole page, run in one shell in an empty folder."""
    return follow_in_shell(PAGE, shop, tmp_path_factory.mktemp("desk"))


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Each command succeeds, and each line that the page shows below it is in what it printed."""
    assert len(followed) > 15
    assert_as_shown(followed)


def test_no_command_prints_a_secret(followed: list[Done]) -> None:
    """With --out no secret is on the screen, in the list of keys or in the log."""
    assert [done for done in followed if re.search(r"lct_live_\w{16}_", done.said)] == []


def test_the_numbers_and_scopes_are_those_of_the_code() -> None:
    """The page names every scope, and the rates and the overlap that are in force."""
    page = PAGE.read_text("utf-8")
    assert [scope for scope in Scope.__args__ if f"`{scope}`" not in page] == []  # type: ignore[attr-defined]
    assert (
        f"more than {limits.RATE_PER_SECOND:,.0f} requests a second of one key ({limits.RATE_BURST:,} at once)" in page
    )
    wrong = (
        f"more than {limits.FAILED_PER_SECOND:.0f} wrong keys a second from one address ({limits.FAILED_BURST} at once)"
    )
    assert wrong in page
    assert f"`P{MAX_OVERLAP_DAYS}D`" in page
