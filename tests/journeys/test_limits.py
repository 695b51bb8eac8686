"""The guides on kinds of limits as their readers would follow them: each command, how it ends, and what it prints."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from string import Template

import pytest
import yaml

from tests.cli.terminal import SCRIPT, Shop, licet
from tests.journeys.page import BLOCK
from tests.journeys.shell_page import Done, assert_as_shown, steps
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

CATALOG = ROOT / "examples" / "limits" / "catalog.yaml"
GUIDES = sorted((ROOT / "docs" / "guides").glob("limit-*.md"))


class Reader:
    """Types the commands of a guide one after the other: what is for a shell alone goes to one."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self._env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}
        self._folder = folder
        self._names: dict[str, str] = {}

    def run(self, command: str, told: list[str]) -> Done:
        """Run one command; one such as ``id=$(…)`` keeps a name for the following ones."""
        kept = re.fullmatch(r"(\w+)=(\$\(.*\))", command)
        command = Template(command).safe_substitute(self._names)
        if kept is not None:
            ran = self._shell(f"echo {kept[2]}")
            self._names[kept[1]] = ran.said.strip()
            return Done(command, told, ran.said, ran.code)
        if command.startswith("licet ") and not set(command) & set("|$;<>"):
            done = licet(*shlex.split(command)[1:], env=self._env, cwd=self._folder)
            return Done(command, told, done.out + done.err, done.code)
        return self._shell(command)._replace(told=told)

    def _shell(self, command: str) -> Done:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
        env = {**clean, **self._env, "PATH": f"{SCRIPT.parent}:{clean['PATH']}"}
        ran = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, env=env, cwd=self._folder, timeout=60, check=False
        )
        return Done(command, [], ran.stdout + ran.stderr, ran.returncode)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_guide_does_what_it_says(guide: Path, shop: Shop, tmp_path: Path) -> None:
    """Every command of the guide ends as the page says and prints each line that the page shows."""
    shutil.copytree(ROOT / "examples" / "limits", tmp_path / "examples" / "limits")
    reader = Reader(shop, tmp_path)
    followed = [reader.run(command, told) for command, told in steps(guide)]
    assert len(followed) > 5
    assert_as_shown(followed)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_guide_shows_the_catalog_as_it_is(guide: Path) -> None:
    """What a guide shows of the catalog stands in the example exactly so."""
    whole = yaml.safe_load(CATALOG.read_bytes())
    (shown,) = [text for language, _, text in BLOCK.findall(guide.read_text("utf-8")) if language == "yaml"]
    for part, named in yaml.safe_load(shown.encode()).items():
        for name, said in named.items():
            assert whole[part][name] == said, (guide.name, part, name)


def test_each_plan_of_the_example_has_its_guide() -> None:
    """No plan of the example is without a guide that sells it."""
    sold = {word for guide in GUIDES for word in re.findall(r"subscription sell \w+ (\w+)", guide.read_text("utf-8"))}
    assert sold == set(yaml.safe_load(CATALOG.read_bytes())["plans"])
    assert len(GUIDES) == 8
