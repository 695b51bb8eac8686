"""Every SQL statement of the product works inside one workspace, is a constant, and takes its values as parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.source import SRC, python_files, short, tree_of

STATEMENT = re.compile(
    r"^\s*(?:WITH\s+(?:RECURSIVE\s+)?\w+\s+(?:\([\w, ]+\)\s+)?AS\s*\("
    r"|SELECT\b|INSERT\s+INTO\b|UPDATE\s+\w+|DELETE\s+FROM\b|TRUNCATE\b|MERGE\b|COPY\b)"
)
TABLE = re.compile(
    r"\b(?:FROM|JOIN|(?<!DO )UPDATE)\s+"
    r"(?!(?:LATERAL|unnest|given|tip|halving|seal|told|kept|SET)\b)([a-z_]+)\b(?!\s*\()"
    r"|\bINSERT\s+INTO\s+([a-z_]+)\b"
)
ACROSS = {
    "src/licet/store/migrate.py": "the schema's own history, before there are workspaces",
    "src/licet/store/setup.py": "roles of the server, before there are workspaces",
    "src/licet/store/roles.py": "roles of the server, before there are workspaces",
    "src/licet/store/bundled": "starting a server, before there is a database",
}
"""Rooms whose statements are about the server or the schema, never about what a workspace holds."""
ELSEWHERE = {
    "src/licet/cli/demo/tampering.py": "the demo plays the attacker, who does not go through the store",
    "src/licet/cli/bench/bare_writes.py": "a baseline is what PostgreSQL does without the store, in tables of its own",
    "src/licet/sdk/shelf.py": "the client's own buffer is SQLite on its disk, and holds nothing of a workspace",
    "src/licet/sdk/quota_journal.py": "the client's own journal is SQLite on its disk, nothing of a workspace",
}
LOOK_UPS = {
    "src/licet/store/workspaces.py": ("ALL",),
    "src/licet/store/keys.py": ("BY_ID",),
    "src/licet/store/usage/months.py": ("MAKE", "DROP", "MONTHS"),
}
"""The statements across workspaces: functions, which set the workspace themselves or look at no row."""
TABLES_ACROSS = {"all_workspaces", "key_by_id", "usage_months"}


class Sql:
    """One statement in the source: where, under which name, and its text with constants put in."""

    def __init__(self, path: Path, line: int, name: str | None, text: str) -> None:
        self.path, self.line, self.name, self.text = path, line, name, text

    def __repr__(self) -> str:
        return f"{short(self.path)}:{self.line} {self.text.strip()[:60]!r}"


def constants_of(tree: ast.Module) -> dict[str, str]:
    """The module's string constants, those made of earlier ones included."""
    found: dict[str, str] = {}
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and isinstance(node, ast.AnnAssign) and node.value is not None:
            text = text_of(node.value, found)
            if text is not None:
                found[target.id] = text
    return found


def text_of(node: ast.expr, constants: dict[str, str]) -> str | None:
    """The text of a string made of constants only; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [text_of(node.left, constants), text_of(node.right, constants)]
    elif isinstance(node, ast.JoinedStr):
        parts = [
            text_of(value.value if isinstance(value, ast.FormattedValue) else value, constants) for value in node.values
        ]
    else:
        return None
    return None if None in parts else "".join(part for part in parts if part is not None)


def rough_text(node: ast.expr) -> str:
    """A string's text with a mark for whatever is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def outermost_strings(tree: ast.AST) -> Iterator[ast.expr]:
    """Every string expression that is not part of another one, docstrings left out."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            if id(node) not in docs:
                yield node
        else:
            waiting += ast.iter_child_nodes(node)


def statements() -> list[Sql]:
    """Every statement in the store, with its constants put in; a statement that is not constant keeps its marks."""
    found = []
    for path in python_files(SRC / "store"):
        if any(short(path).startswith(prefix) for prefix in ACROSS):
            continue
        tree = tree_of(path)
        constants = constants_of(tree)
        names = {text: name for name, text in constants.items()}
        for node in outermost_strings(tree):
            if STATEMENT.match(rough_text(node)):
                text = text_of(node, constants) or rough_text(node)
                found.append(Sql(path, node.lineno, names.get(text), text))
    return found


def test_sql_stands_in_the_store_only() -> None:
    """No other room holds a statement."""
    found = [
        f"{short(path)}:{node.lineno}"
        for path in python_files(SRC)
        if not short(path).startswith("src/licet/store/") and short(path) not in ELSEWHERE
        for node in outermost_strings(tree_of(path))
        if STATEMENT.match(rough_text(node)) and TABLE.search(rough_text(node))
    ]
    assert found == []


def test_statements_are_constants() -> None:
    """Nothing but constants of the module is put into a statement: values are parameters."""
    found = statements()
    assert len(found) >= 60
    assert [sql for sql in found if "{}" in sql.text] == []


def test_every_statement_works_inside_one_workspace() -> None:
    """Each names workspace_id and gets it as its first parameter, for each table it reads; two look-ups are listed."""
    wrong = []
    for sql in statements():
        tables = {name for names in TABLE.findall(sql.text) for name in names if name} - TABLES_ACROSS
        if sql.name is not None and sql.name in LOOK_UPS.get(short(sql.path), ()):
            continue
        if not tables and ("advisory" in sql.text or "key_by_id" in sql.text):
            scoped = "$1" in sql.text
        else:
            scoped = "workspace_id" in sql.text and "$1" in sql.text and enough_conditions(sql.text)
        if not scoped:
            wrong.append(sql)
    assert wrong == []


def enough_conditions(text: str) -> bool:
    """Whether there is one condition (or inserted value) for the workspace for each table that is read or changed."""
    tables = len(TABLE.findall(text))
    conditions = len(re.findall(r"workspace_id\s*=\s*(?:\$1|\w+\.workspace_id)|USING\s*\(workspace_id\)", text))
    inserted = len(re.findall(r"INSERT INTO \w+(?: AS \w+)?\s*\(workspace_id\b", text))
    return conditions + inserted >= tables


@pytest.mark.parametrize(
    ("text", "scoped"),
    [
        ("SELECT 1 FROM customer WHERE workspace_id = $1", True),
        ("SELECT 1 FROM customer WHERE id = $1", False),
        ("SELECT 1 FROM customer c JOIN team t ON t.customer = c.id WHERE c.workspace_id = $1", False),
        ("INSERT INTO team (workspace_id, id) VALUES ($1, $2)", True),
        ("INSERT INTO team (id) VALUES ($2)", False),
        ("DELETE FROM team WHERE id = $2", False),
    ],
)
def test_the_rule_itself(text: str, scoped: bool) -> None:
    """The check above tells scoped statements from others: it can fail."""
    assert STATEMENT.match(text)
    assert enough_conditions(text) is scoped
