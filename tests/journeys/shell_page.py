"""Follows a page whose every line after a `$` is one for a shell, as its reader does: in one shell, in one folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.cli.terminal import Shop
from tests.tidy.source import ROOT

MARK = "-- the next command --"


class Done(NamedTuple):
    """One command: what the page says it prints (lines in which ``…`` stands for anything), and what it did."""

    command: str
    told: list[str]
    said: str
    code: int


def follow_in_shell(page: Path, shop: Shop, folder: Path) -> list[Done]:
    """Run all of a page's commands at a server, with the examples in the folder; returns what each of them did."""
    commands = steps(page)
    lines = [f"{{ {command}\n}} 2>&1; code=$?; echo; echo '{MARK}' $code" for command, _ in commands]
    shutil.copytree(ROOT / "examples", folder / "examples")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    path = f"{Path(sys.executable).parent}:{clean['PATH']}"
    env = {**clean, "PATH": path, "LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn, "LICET_URL": shop.url}
    ran = subprocess.run(
        ["bash"], input="\n".join(lines), capture_output=True, text=True, env=env, cwd=folder, timeout=120, check=True
    )
    outputs = re.findall(rf"(.*?)\n{MARK} (\d+)\n", ran.stdout, re.DOTALL)
    assert len(outputs) == len(commands)
    return [Done(*step, said, int(code)) for step, (said, code) in zip(commands, outputs, strict=True)]


def assert_as_shown(followed: list[Done]) -> None:
    """Assert that each command ended as its page says, and printed each line that the page shows below it."""
    for done in followed:
        ends = [int(line.removeprefix("exit ")) for line in done.told if line.startswith("exit ")]
        assert done.code == (ends or [0])[0], done
        for line in (line for line in done.told if not line.startswith("exit ")):
            pattern = ".*".join(r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))
            assert re.search(pattern, done.said), (done, line)


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Return a page's commands, each with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found
