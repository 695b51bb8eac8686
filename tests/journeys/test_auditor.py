"""The guide for an auditor: every command as the two sides would type it, how it ends and what it prints."""

import re
from typing import Final

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.journeys.test_missed_payments import Followed, promises
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE: Final = ROOT / "docs" / "guides" / "auditor.md"
VERIFIER: Final = re.compile(r"licet/test\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}")
VARIES: Final = (
    (VERIFIER, "VERIFIER"),
    (re.compile(r"\bkey:\w+"), "KEY"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "INSTANT"),
    # Reads of the log are on record some seconds later, so that later sizes are not always the same.
    (re.compile(r"\b\d+( entries| events)\b|\b(of|is of) \d+\b|\bfrom 6 to \d+\b|\bat size \d+"), "SIZE"),
    (re.compile(r"[ \t]+"), " "),
)


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Followed]:
    """Every command of the guide in order; the auditor's verifications run without home, server and database."""
    folder, steps = tmp_path_factory.mktemp("desk"), read_page(GUIDE).steps
    done: list[Followed] = []
    verifier = ""
    for step, promised in zip(steps, promises(GUIDE), strict=True):
        outside = "verify" in step.arguments and "-w" not in step.arguments
        home = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
        nowhere = {"LICET_HOME": str(folder / "nowhere"), "LICET_URL": "http://127.0.0.1:9"}
        arguments = [VERIFIER.sub(verifier, argument) for argument in step.arguments]
        ran = licet(*arguments, env=nowhere if outside else home, cwd=folder)
        found = VERIFIER.search(ran.out)
        verifier = verifier or (found[0] if found else "")
        done.append(Followed(" ".join(step.arguments), promised, step.code, ran.code, ran.out + ran.err))
    assert not (folder / "nowhere").exists()
    return done


def test_every_command_ends_as_the_guide_says(followed: list[Followed]) -> None:
    """Each command exits with the code that the page states, in the page's order."""
    assert len(followed) == 15
    assert [(one.command, one.printed) for one in followed if one.code != one.ended] == []


def test_every_command_prints_what_the_guide_shows(followed: list[Followed]) -> None:
    """The lines that the page shows are printed, in their order, whatever keys, minutes and sizes."""
    for one in followed:
        assert one.promised
        printed = iter(_steady(one.printed))
        missing = [line for line in _steady(one.promised) if line not in printed]
        assert (one.command, missing) == (one.command, [])


def _steady(text: str) -> list[str]:
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return [line.strip() for line in text.strip().splitlines()]
