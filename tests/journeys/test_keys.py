"""The guide of keys as a reader would follow it: every line after a `$` runs in one shell, at a real server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from licet.door import limits
from licet.services.keys import MAX_OVERLAP_DAYS
from licet.services.rows import Scope
from tests.cli.terminal import Shop
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "guides" / "keys.md"


class Done(NamedTuple):
    """One command: what the page says it prints (lines in which ``…`` stands for anything), and what it did."""

    command: str
    told: list[str]
    said: str
    code: int


def steps() -> list[tuple[str, list[str]]]:
    """The page's commands, each with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """The whole page, run in one shell in an empty folder."""
    commands = steps()
    mark = "-- the next command --"
    lines = [f"{{ {command}\n}} 2>&1; code=$?; echo; echo '{mark}' $code" for command, _ in commands]
    desk = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "examples", desk / "examples")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    path = f"{Path(sys.executable).parent}:{clean['PATH']}"
    env = {**clean, "PATH": path, "LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn, "LICET_URL": shop.url}
    ran = subprocess.run(
        ["bash"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env=env,
        cwd=desk,
        timeout=120,
        check=True,
    )
    outputs = re.findall(rf"(.*?)\n{mark} (\d+)\n", ran.stdout, re.DOTALL)
    assert len(outputs) == len(commands)
    return [Done(*step, said, int(code)) for step, (said, code) in zip(commands, outputs, strict=True)]


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Each command succeeds, and each line that the page shows below it is in what it printed."""
    assert len(followed) > 15
    for done in followed:
        ends = [int(line.removeprefix("exit ")) for line in done.told if line.startswith("exit ")]
        assert done.code == (ends or [0])[0], done
        for line in (line for line in done.told if not line.startswith("exit ")):
            pattern = ".*".join(re.escape(part) for part in line.split("…"))
            assert re.search(pattern, done.said), (done, line)


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
