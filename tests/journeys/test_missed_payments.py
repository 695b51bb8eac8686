"""The guide on missed payments as its reader would follow it: every command, its exit code, and what it prints."""

import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import BLOCK, read_page
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE: Final = ROOT / "docs" / "guides" / "missed-payments.md"
VARIES: Final = (
    (re.compile(r"\b(evt|sub|prm|pau)_[0-9a-f]{32}\b"), r"\1_ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(T[\d:.]+Z| \d\d:\d\d(:\d\d)? UTC)?(?![\d-])"), "TIME"),
    (re.compile(r"[ \t]+"), " "),
)
"""What is another in every run: ids, instants, and the width of columns that hold them."""


class Followed(NamedTuple):
    """One command of the guide: what the page says that it prints, how it ended and what it printed."""

    command: str
    promised: str
    code: int
    ended: int
    printed: str


def steady(text: str) -> str:
    """Return a text without what is another in every run."""
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def promises(path: Path) -> list[str]:
    """Return what the page says that each command prints, without the lines about exit codes."""
    found: list[list[str]] = []
    for language, _, text in BLOCK.findall(path.read_text("utf-8")):
        if language != "console":
            continue
        for line in text.splitlines():
            if line.startswith("$ licet "):
                found.append([])
            elif not re.fullmatch(r"exit \d+", line):
                found[-1].append(line)
    return ["\n".join(lines) for lines in found]


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every command of the guide, run in order."""
    page, folder = read_page(GUIDE), tmp_path_factory.mktemp("desk")
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    done = []
    for step, promised in zip(page.steps, promises(GUIDE), strict=True):
        ran = licet(*step.arguments, env=env, cwd=folder)
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, ran.out + ran.err))
    return done


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) > 30
    assert [one for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """Where the page shows what a command prints, it is what was printed, but for instants and ids."""
    shown = [one for one in followed if one.promised]
    assert len(shown) > 30
    assert [(one.command, one.printed) for one in shown if steady(one.promised) != steady(one.printed)] == []
