"""The registry of findings is the page of findings and the kinds that the code makes, no more and no less."""

import ast
from collections.abc import Iterator

from licet.cli.app import build
from licet.core.finding import KINDS
from tests.core.findings_page import PAGE, page
from tests.tidy.source import SRC, python_files, tree_of

MAKERS = {"FindingDraft": "kind", "drafting.add": None, "self.drafting.add": None}
"""Calls that make a finding: the argument that names its kind, None for the first."""


def kinds_made(tree: ast.Module) -> Iterator[str]:
    """Yield the kinds that a module makes; ``?`` for one that cannot be read from the source."""
    constants = {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in MAKERS:
            continue
        word = MAKERS[ast.unparse(node.func)]
        said = node.args[0] if word is None else next((one.value for one in node.keywords if one.arg == word), None)
        if isinstance(said, ast.Constant):
            yield str(said.value)
        elif isinstance(said, ast.Name):
            yield str(constants.get(said.id, "?" if said.id != "kind" else ""))
        else:
            yield "?"


def test_the_registry_holds_what_the_code_makes() -> None:
    """Every kind made somewhere in the source is registered, and every registered one is made somewhere."""
    made = {kind for path in python_files(SRC) for kind in kinds_made(tree_of(path))} - {""}
    assert made == set(KINDS)


def test_an_unregistered_kind_would_be_noticed() -> None:
    """The search reads literals, constants of the module and the first argument of a drafting; a riddle is ``?``."""
    source = """
ODD: Final = "odd_kind"
FindingDraft(kind=ODD, severity="low")
FindingDraft(kind="other_kind", severity="low")
drafting.add("third_kind", words)
FindingDraft(kind=f"{x}", severity="low")
"""
    assert list(kinds_made(ast.parse(source))) == ["odd_kind", "other_kind", "third_kind", "?"]


def test_the_page_is_made_from_the_registry() -> None:
    """The page in the documentation is what the registry says now."""
    assert PAGE.read_text("utf-8") == page(), "python -m tests.core.findings_page writes it anew"


def test_every_repair_is_a_command_that_exists() -> None:
    """A repair begins with a command of this program, and every option in it is one of that command's."""
    from typer.main import get_command

    for name, kind in KINDS.items():
        if not kind.command:
            continue
        program, *words = kind.command.split()
        assert program == "licet", name
        at = get_command(build())
        while hasattr(at, "commands"):
            at = at.commands[words.pop(0)]
        options = {option for one in at.params for option in one.opts}
        assert {word for word in words if word.startswith("-")} <= options, name


def test_every_kind_explains_itself() -> None:
    """A kind says in whole sentences what it means, why it matters and what to do; more severe is due sooner."""
    for name, kind in KINDS.items():
        for words in (kind.what, kind.why, kind.steps):
            assert words[0].isupper(), name
            assert words.endswith("."), name
        assert not kind.title.endswith("."), name
        assert len(kind.title) <= 40, name
        assert 0 < kind.days.high < kind.days.medium < kind.days.low, name
