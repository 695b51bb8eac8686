"""The tutorial and the README as a newcomer would follow them, on a real server."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[str], int, int, str]]:
    """Every step of the tutorial, run in order: arguments, the code the page says, the code it had, its output."""
    page = read_page(ROOT / "docs" / "tutorial" / "first-decision.md")
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
    done = []
    for step in page.steps:
        ran = licet(*step.arguments, env=env, cwd=folder)
        done.append((step.arguments, step.code, ran.code, ran.out + ran.err))
    return done


def test_every_command_of_the_tutorial_ends_as_the_page_says(
    followed: list[tuple[list[str], int, int, str]],
) -> None:
    """Each command of the tutorial exits with the code that the page states, in the page's order."""
    assert len(followed) > 10
    assert [step for step in followed if step[1] != step[2]] == []


def test_the_tutorial_tells_the_truth(followed: list[tuple[list[str], int, int, str]]) -> None:
    """The second sending is a duplicate, the refusal names a way out, and the log verifies."""
    said = {" ".join(arguments): output for arguments, _, _, output in followed}
    sent = [output for arguments, _, _, output in followed if arguments[:2] == ["order", "send"]]
    assert "applied" in sent[0]
    assert "duplicate" in sent[1]
    assert "Enterprise" in said["check acme on_prem --context deployment=on_prem"]
    assert "order" in said["explain acme sso"]
    assert "no checkpoint" not in said["audit verify --checkpoint checkpoint.txt"]


def test_the_python_of_the_readme_runs(shop: Shop, followed: list[tuple[list[str], int, int, str]]) -> None:
    """The README's lines of Python ask the running server and print an answer with its reason; then they count."""
    code, counting = read_page(ROOT / "README.md").python
    assert len(code.strip().splitlines()) <= 12
    env = {**os.environ, "LICET_URL": shop.url, "LICET_KEY": shop.keys["live"], "HOME": str(shop.home)}
    closing = "\nassert licet.flush(10)\nlicet.close()\n"
    ran = subprocess.run(
        [sys.executable, "-c", code + counting + closing],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout.startswith("True entitled ")
