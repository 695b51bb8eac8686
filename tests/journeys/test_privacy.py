"""The guide on personal values as its reader would follow it: every line after a `$` runs in one shell, on a server."""

from pathlib import Path

import pytest

from tests.cli.terminal import Shop
from tests.journeys.shell_page import Done, assert_as_shown, follow_in_shell
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "guides" / "privacy.md"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the guide is followed."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def followed(shop: Shop, desk: Path) -> list[Done]:
    """The whole page, run in one shell, with the server's first key in a file."""
    (desk / "admin.key").write_text(shop.keys["live"], "utf-8")
    return follow_in_shell(PAGE, shop, desk)


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Each command ends as the page says, and each line that the page shows below it is in what it printed."""
    assert len(followed) > 12
    assert_as_shown(followed)


def test_the_export_is_private_and_the_erased_is_gone(followed: list[Done], desk: Path, shop: Shop) -> None:
    """The exported file is readable by its user only; after erasing a new one holds neither name nor address."""
    assert followed
    assert (desk / "acme.jsonl").stat().st_mode & 0o077 == 0
    assert "Ann Example" in (desk / "acme.jsonl").read_text("utf-8")
    anew = desk / "anew.jsonl"
    told = shop.at_home("customer", "export", "acme", "-o", str(anew), "--json").document
    assert told["sections"]["user"] == 1
    text = anew.read_text("utf-8")
    assert not [word for word in ("Ann Example", "ann@acme", "Acme Industries", "it@acme") if word in text]
    assert [path.name for path in desk.iterdir() if path.name.endswith(".part")] == []


def test_nothing_is_erased_without_consent(shop: Shop, followed: list[Done]) -> None:
    """Where nobody can be asked nothing is erased without --yes; an unknown customer is told as such."""
    assert followed
    assert shop.at_home("customer", "create", "globex", "--name", "Globex").code == 0
    refused = shop.at_home("customer", "erase", "globex")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert "Globex" in shop.at_home("customer", "show", "globex").out
    assert shop.at_home("customer", "erase", "nobody", "--yes").code == 2
    missing = shop.at_home("customer", "export", "globex", "-o", "/nowhere/at/all.jsonl")
    assert (missing.code, "cannot write" in missing.err) == (2, True)
