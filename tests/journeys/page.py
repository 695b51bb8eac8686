"""Reads the commands out of a page of documentation, so that a test can run exactly what a person would type."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """One command of a page, and the exit code that the page says it has (0 where it says nothing)."""

    arguments: list[str]
    code: int


class Page(NamedTuple):
    """The files a page tells to write, the console steps in their order, and its Python blocks."""

    files: dict[str, str]
    steps: list[Step]
    python: list[str]


def read_page(path: Path) -> Page:
    """Read a page: ```` ```json NAME ```` blocks are files, ``$ licet …`` lines of ``console`` blocks are steps."""
    page = Page({}, [], [])
    for language, name, text in BLOCK.findall(path.read_text("utf-8")):
        if name:
            page.files[name] = text
        elif language == "python":
            page.python.append(text)
        elif language == "console":
            for line in text.splitlines():
                if line.startswith("$ licet "):
                    page.steps.append(Step(shlex.split(line.removeprefix("$ licet "), comments=True), 0))
                elif found := re.fullmatch(r"exit (\d+)", line):
                    page.steps[-1] = page.steps[-1]._replace(code=int(found[1]))
    return page
