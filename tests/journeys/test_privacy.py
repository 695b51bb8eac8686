"""The guide on personal values as its reader would follow it: every line after a `$` runs in one shell, on a server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.terminal import Shop
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres
PAGE = ROOT / "docs" / "guides" / "privacy.md"
MARK = "-- the next command --"


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
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the guide is followed."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def followed(shop: Shop, desk: Path) -> list[Done]:
    """The whole page, run in one shell, with the server's first key in a file."""
    commands = steps()
    lines = [f"{{ {command}\n}} 2>&1; code=$?; echo; echo '{MARK}' $code" for command, _ in commands]
    shutil.copytree(ROOT / "examples", desk / "examples")
    (desk / "admin.key").write_text(shop.keys["live"], "utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    path = f"{Path(sys.executable).parent}:{clean['PATH']}"
    env = {**clean, "PATH": path, "LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn, "LICET_URL": shop.url}
    ran = subprocess.run(
        ["bash"], input="\n".join(lines), capture_output=True, text=True, env=env, cwd=desk, timeout=120, check=True
    )
    outputs = re.findall(rf"(.*?)\n{MARK} (\d+)\n", ran.stdout, re.DOTALL)
    assert len(outputs) == len(commands)
    return [Done(*step, said, int(code)) for step, (said, code) in zip(commands, outputs, strict=True)]


def test_every_command_works_and_prints_what_the_page_shows(followed: list[Done]) -> None:
    """Each command ends as the page says, and each line that the page shows below it is in what it printed."""
    assert len(followed) > 12
    for done in followed:
        ends = [int(line.removeprefix("exit ")) for line in done.told if line.startswith("exit ")]
        assert done.code == (ends or [0])[0], done
        for line in (line for line in done.told if not line.startswith("exit ")):
            pattern = ".*".join(r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))
            assert re.search(pattern, done.said), (done, line)


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
