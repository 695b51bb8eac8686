"""The house rules as programs: sizes, names, purity, docstrings. Exceptions are listed here, each with its reason."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.source import ROOT, SRC, functions_of, project_files, python_files, short, tree_of

FUNCTION_HARD, FUNCTION_P95 = 60, 45
MODULE_HARD, MODULE_P95, TEST_MODULE_HARD = 600, 400, 800
LONG_FUNCTIONS: dict[str, str] = {}
"""``path:function`` → why it may be longer than the hard limit."""
BANNED = re.compile(
    r"(^|_)(manager|helpers?|utils?|handlers?|processors?)(_|$)|(Manager|Helper|Util|Handler|Processor)"
    r"|^(common|misc|data|info)$|(Misc|Data|Info)$"
)
BANNED_ALLOWED = {"exception_handlers": "Litestar's own parameter"}
FLOATS_ALLOWED = {"src/licet/core/spelling.py": "the cut-off of the standard library's nearest-name search"}
CORE_FORBIDDEN = {
    "os", "time", "random", "secrets", "logging", "socket", "asyncio", "threading", "sqlite3", "json", "pathlib",
    "subprocess", "uuid", "urllib", "http",
}  # fmt: skip


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def percentile(values: list[int], share: float) -> int:
    """Return the value below which ``share`` of the sorted values lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def test_functions_are_short() -> None:
    """No function of the product is longer than the hard limit, and 95 % keep the soft one."""
    sizes = {
        f"{short(path)}:{node.name}": length_of(node)
        for path in python_files(SRC)
        for node in functions_of(tree_of(path))
    }
    assert {name: size for name, size in sizes.items() if size > FUNCTION_HARD and name not in LONG_FUNCTIONS} == {}
    assert percentile(list(sizes.values()), 0.95) <= FUNCTION_P95


@pytest.mark.parametrize(("below", "hard"), [(SRC, MODULE_HARD), (ROOT / "tests", TEST_MODULE_HARD)])
def test_modules_are_short(below: Path, hard: int) -> None:
    """No module is longer than its hard limit, and 95 % of the product's keep the soft one."""
    sizes = {short(path): len(path.read_text("utf-8").splitlines()) for path in python_files(below)}
    assert {name: size for name, size in sizes.items() if size > hard} == {}
    if below == SRC:
        assert percentile(list(sizes.values()), 0.95) <= MODULE_P95


def test_names_say_what_a_thing_is() -> None:
    """No module, class or function hides behind a word that says nothing."""
    found = []
    for path in python_files(SRC):
        if BANNED.search(path.stem):
            found.append(short(path))
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = node.name.strip("_")
                if BANNED.search(name) and name not in BANNED_ALLOWED:
                    found.append(f"{short(path)}:{node.lineno} {node.name}")
    assert found == []


def test_core_is_pure() -> None:
    """The core imports no clock, no chance and no door to the outside, and never asks for the present."""
    found = []
    for path in python_files(SRC / "core"):
        for node in ast.walk(tree_of(path)):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [f"{short(path)}: imports {name}" for name in names if name.split(".")[0] in CORE_FORBIDDEN]
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top not in {"licet", "msgspec"}:
                    found.append(f"{short(path)}: imports {name}")
                if top == "licet" and not name.startswith("licet.core"):
                    found.append(f"{short(path)}: imports {name}")
            if isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow"}:
                target = ast.unparse(node.value)
                if target.split(".")[-1] in {"datetime", "date"}:
                    found.append(f"{short(path)}:{node.lineno} asks the clock")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "print", "input", "exec", "eval"}:
                found.append(f"{short(path)}:{node.lineno} calls {ast.unparse(node.func)}")
            if isinstance(node, ast.Constant) and isinstance(node.value, float) and short(path) not in FLOATS_ALLOWED:
                found.append(f"{short(path)}:{node.lineno} has the float {node.value}")
    assert found == []


def test_no_global_clock_is_frozen_and_little_is_faked() -> None:
    """Fewer than three mentions of mock or monkeypatch per 1,000 lines of tests."""
    lines = mentions = 0
    for path in python_files(ROOT / "tests"):
        text = path.read_text("utf-8")
        lines += len(text.splitlines())
        if path != Path(__file__).resolve():
            mentions += len(re.findall(r"\b(?:mock|monkeypatch|MagicMock|freeze_time)\b", text))
    assert mentions * 1000 < 3 * lines


def test_every_test_says_what_it_proves() -> None:
    """Each test function has a sentence."""
    found = [
        f"{short(path)}:{node.name}"
        for path in python_files(ROOT / "tests")
        for node in functions_of(tree_of(path))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert found == []


@pytest.mark.parametrize("room", ["core", "sdk"])
def test_public_names_are_documented(room: str) -> None:
    """Every public name of the rooms that others build on has a docstring."""
    found = []
    for path in python_files(SRC / room):
        tree = tree_of(path)
        if not ast.get_docstring(tree):
            found.append(short(path))
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                if not ast.get_docstring(node):
                    found.append(f"{short(path)}:{node.name}")
                members = node.body if isinstance(node, ast.ClassDef) else []
                found += [
                    f"{short(path)}:{node.name}.{member.name}"
                    for member in members
                    if isinstance(member, ast.FunctionDef)
                    and not member.name.startswith("_")
                    and not ast.get_docstring(member)
                ]
    assert found == []


def test_import_licet_is_light() -> None:
    """A fresh interpreter that imports the package has loaded no server library."""
    probe = "import sys, licet; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"litestar", "asyncpg", "uvicorn", "cryptography", "typer", "rich", "structlog", "yaml", "jinja2", "httpx"}
    assert heavy & set(loaded) == set()
    assert "licet" in loaded


def test_the_tree_names_no_machine_and_no_registry() -> None:
    """No file of the project carries a path of somebody's machine, a package registry's host or a private key."""
    forbidden = re.compile(
        "|".join(["/wor" + "k/", "/far" + "m/", "pypi[.]" + "org", "pythonhosted[.]" + "org", "registry[.]npm" + "js",
                  "deb[.]debian[.]" + "org", "BEGIN (?:RSA |EC )?PRIVATE " + "KEY"])
    )  # fmt: skip
    found = []
    for path in project_files():
        if path.suffix in {".png", ".ico"}:
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{short(path)}:{number}")
    assert found == []


def test_requirements_carry_hashes_and_no_addresses() -> None:
    """Each pinned requirement has hashes, and no file names an index or an address to download from."""
    for name in ("server", "dev", "mutation"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        assert "--index-url" not in text
        assert "://" not in text
        blocks = re.split(r"\n(?=\S)", text.strip())
        assert len(blocks) > 10
        assert [block for block in blocks if "--hash=sha256:" not in block] == []
        assert [block for block in blocks if not re.match(r"[A-Za-z0-9._-]+==\S+", block)] == []


def test_every_dependency_has_a_reason() -> None:
    """Each direct dependency has one line of reason, and each reason names a dependency."""
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text("utf-8")
    reasons = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    direct = set()
    for name in ("server", "dev", "mutation"):
        for line in (ROOT / "requirements" / f"{name}.in").read_text("utf-8").splitlines():
            if line and not line.startswith("-"):
                direct.add(re.split(r"[\s=<>;\[]", line)[0].lower())
    assert direct == reasons


def test_every_room_has_a_page() -> None:
    """Each room of the product opens with a README that says what belongs there."""
    rooms = {path.parent for path in python_files(SRC) if path.name == "__init__.py" and path.parent.parent == SRC}
    assert len(rooms) > 10
    assert [short(room) for room in rooms if not (room / "README.md").is_file()] == []
