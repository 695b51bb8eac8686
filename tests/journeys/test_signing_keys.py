"""The guide of signing keys as a reader would follow it: every line after a `$` runs in one shell, at a real server."""

import json
import stat
from pathlib import Path

import pytest

from licet.cli.signing_symptoms import SOON
from licet.seal.keyset import SealError, open_keyset
from licet.seal.paserk import public_of, write_public
from licet.seal.rootfile import read_root
from licet.services.signing import OVERLAP, VALID
from tests.cli.terminal import Shop
from tests.journeys.shell_page import Done, assert_as_shown, follow_in_shell
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "guides" / "signing-keys.md"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page is followed."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def followed(shop: Shop, desk: Path) -> list[Done]:
    """The whole page, run in one shell; before it the root is in the home, its user's alone."""
    path = shop.home / "roots" / "live.root"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    return follow_in_shell(PAGE, shop, desk)


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Each command ends as the page says, and each line that the page shows below it is in what it printed."""
    assert len(followed) == 12
    assert_as_shown(followed)


def test_the_root_went_to_the_stick_and_is_shown_nowhere(followed: list[Done], shop: Shop, desk: Path) -> None:
    """Nothing of it is left in the home, both roots are on the stick with mode 0600, and no command printed one."""
    assert sorted(path.name for path in (shop.home / "roots").iterdir()) == ["test.root"]
    kept = sorted((desk / "stick").iterdir())
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in kept] == [
        ("live.root", 0o600), ("new.root", 0o600),
    ]  # fmt: skip
    assert "k4.secret." not in "".join(done.said for done in followed)


def test_what_is_published_is_signed_by_the_newest_root(followed: list[Done], desk: Path) -> None:
    """The keyset that anybody may fetch opens with the root on the stick, and not with the one before it."""
    published = json.loads(followed[-1].said)
    roots = {name: write_public(public_of(read_root(desk / "stick" / name))) for name in ("live.root", "new.root")}
    keyset = open_keyset(published["keyset"], [roots["new.root"]], "live", newest=4)
    assert (keyset.version, len(keyset.keys)) == (4, 1)
    with pytest.raises(SealError, match="not a root that is pinned"):
        open_keyset(published["keyset"], [roots["live.root"]], "live")


def test_the_numbers_are_those_of_the_code() -> None:
    """How long a key counts, how long it overlaps, and when the doctor warns."""
    page = PAGE.read_text("utf-8")
    assert (VALID, OVERLAP, SOON.days) == ("P2Y", "P30D", 60)
    assert "| 2 years, unless you rotate it |" in page
    assert "Thirty days" in page
    assert "(60 days before)" in page
