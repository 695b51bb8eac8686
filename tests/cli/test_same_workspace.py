"""What a command advises to run means the workspace in which that command itself ran."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import licet
from licet.cli.main import run
from licet.cli.same_workspace import forget, here, remembered

SOURCES: Final = Path(licet.__file__).parent
REFERENCE: Final = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
SECTIONS: Final = {
    text.partition("\n")[0].strip(): "`--workspace`" in text for text in REFERENCE.read_text().split("\n## licet ")[1:]
}
"""Whether a command takes a workspace, by its words, as the reference page says."""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Leave no workspace behind."""
    yield
    forget()


def texts() -> Iterator[tuple[ast.AST, list[ast.AST], str]]:
    """Yield each text of the sources that is no docstring, what it stands in, and its words (values as ``x``)."""
    for file in SOURCES.rglob("*.py"):
        text = file.read_text()
        if "licet " in text:
            yield from _texts(ast.parse(text), [])


def _texts(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[ast.AST, list[ast.AST], str]]:
    if isinstance(node, ast.Constant | ast.JoinedStr):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        words = "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in parts)
        if not isinstance(around[-1], ast.Expr):
            yield node, around, words
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, [*around, node])


def advised(text: str) -> list[str]:
    """Return the commands that a text names and that take a workspace, by their words."""
    found = []
    for line in re.findall(r"(?<![\w/.-])licet ([a-z -]+)", text):
        words = line.split()
        longest = max((n for n in range(1, len(words) + 1) if " ".join(words[:n]) in SECTIONS), default=0)
        name = " ".join(words[:longest])
        if SECTIONS.get(name):
            found.append(name)
    return found


ADVICE: Final = sorted({words for _, _, words in texts() if advised(words)})
"""Every text of the sources in which a command that takes a workspace is named."""


def test_every_advice_of_the_sources_names_the_workspace() -> None:
    """Each command in them that takes a workspace gets the one of the present command, and nothing else changes."""
    assert len(ADVICE) > 40
    assert any("licet catalog apply catalog.yaml" in words for words in ADVICE)
    for text in ADVICE:
        remembered("staging")
        told = here(text)
        assert told.replace(" -w staging", "") == text
        assert len(re.findall(r"(?<!\S)-w ", told)) == len(advised(text)), told
        assert here(told) == told
        for usual in ("live", None):
            remembered(usual)
            assert here(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mend it: `licet catalog apply pro.yaml`, then again", "`licet catalog apply pro.yaml -w staging`, then"),
        ("with: licet catalog apply pro.yaml", "with: licet catalog apply -w staging pro.yaml"),
        ("licet catalog move team@1 team@2 \\\n   --at now", "licet catalog move -w staging team@1 team@2"),
        ("licet catalog pull -w other; licet log", "licet catalog pull -w other; licet log -w staging"),
        ("start it: licet up", "start it: licet up"),
        ("`licet catalog validate x.yaml` and licet demo", "`licet catalog validate x.yaml` and licet demo"),
        ("look into /srv/licet log", "look into /srv/licet log"),
        ("licet catalog apply a \\\n   -w test", "licet catalog apply a \\\n   -w test"),
        ("licet nothing of the kind", "licet nothing of the kind"),
    ],
)
def test_only_commands_that_take_a_workspace_get_it(text: str, told: str) -> None:
    """Within its quotes it stands last, else behind the command's words; what names one, or takes none, stays."""
    remembered("staging")
    assert told in here(text)


def test_what_is_printed_as_a_hint_goes_through_it() -> None:
    """In the command line's own sources a hint is a failure's advice, or is made to mean the workspace."""
    free: list[str] = []
    for node, around, words in texts():
        if not advised(words) or not _printed(around):
            continue
        free.append(f"{getattr(node, 'lineno', 0)}: {words}")
    assert free == []


def _printed(around: list[ast.AST]) -> bool:
    """Whether a text is handed to ``line`` or ``lines`` of an output, and not first to ``here``."""
    calls = [one.func for one in around if isinstance(one, ast.Call)]
    names = {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in calls}
    return bool(names & {"line", "lines", "append"}) and "here" not in names


def test_the_option_says_where_a_command_ran(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that fails in a workspace advises one that runs there; without the option none is named."""
    assert run(["subscription", "sell", "acme", "-w", "test"]) == 2
    assert "licet subscription sell -w test acme PLAN" in capsys.readouterr().err
    assert run(["subscription", "sell", "acme"]) == 2
    assert "licet subscription sell acme PLAN" in capsys.readouterr().err
