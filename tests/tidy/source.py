"""What the tidy tests look at: the project's files and their syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "licet"


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that is tracked or could be (untracked and not ignored), as absolute paths."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return tuple(sorted(path for name in listed if (path := ROOT / name).is_file()))


def python_files(below: Path) -> list[Path]:
    """Return the project's Python files below a folder."""
    return [path for path in project_files() if path.suffix == ".py" and path.is_relative_to(below)]


def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def short(path: Path) -> str:
    """Return a path as a person writes it: from the project's root."""
    return str(path.relative_to(ROOT))
