"""`licet catalog` against a real server: errors with a caret, previews, stale previews, in sync or not."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import CATALOG
from tests.cli.terminal import Ran, Shop, licet

pytestmark = pytest.mark.postgres


def text_of(path: Path, old: str, new: str) -> str:
    """Return the example catalog with one place changed."""
    text = path.read_text()
    assert old in text
    return text.replace(old, new, 1)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The example catalog with one title changed."""
    file = tmp_path / "catalog.yaml"
    file.write_text(text_of(CATALOG, "title: Projects", "title: Workspaces"))
    return file


def test_a_valid_catalog_is_told_in_one_line() -> None:
    """`validate` needs no server, counts what there is, and ends with 0."""
    ran = licet("catalog", "validate", str(CATALOG))
    assert ran.code == 0
    assert ran.out.startswith(f"{CATALOG} is a valid catalog: ")
    assert "4 plans" in ran.out


def test_a_wrong_catalog_shows_the_place(tmp_path: Path) -> None:
    """An unknown value is told with file, line, column, the source line, a caret under it; exit code 1."""
    file = tmp_path / "c.yaml"
    file.write_text(text_of(CATALOG, "mode: observe", "mode: observ"))
    ran = licet("catalog", "validate", str(file))
    number = file.read_text().splitlines().index("    mode: observ") + 1
    lines = ran.out.splitlines()
    assert ran.code == 1
    assert lines[0].startswith(f"{file}:{number}:11: ")
    assert lines[1].endswith("mode: observ")
    assert lines[2].index("^") == lines[1].index("observ", lines[1].index("mode:") + 5)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Two mistakes give two problems, in JSON too, with what was probably meant."""
    file = tmp_path / "c.yaml"
    file.write_text(
        text_of(CATALOG, "then: free\n", "then: fre\n").replace("scenario_planning: true", "scenario_planing: true", 1)
    )
    ran = licet("catalog", "validate", str(file), "--json")
    problems = ran.document["problems"]
    assert ran.code == 1
    assert {problem.get("suggestion") for problem in problems} >= {"free", "scenario_planning"}
    assert all(problem["line"] > 1 for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version: [",
        "\tversion: 1",
        "[]",
        "version: 1\nversion: 1",
        "&a 1",
        "nul: \x00",
        "v: 1\n---\nv: 2",
        "{" * 200,
    ],
)
def test_malformed_yaml_is_placed_never_a_traceback(text: str, tmp_path: Path) -> None:
    """Whatever stands in the file, the answer is a place and words; exit code 1."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    ran = licet("catalog", "validate", str(file))
    assert ran.code == 1
    assert ran.out.startswith(f"{file}:")
    assert "Traceback" not in ran.out + ran.err


def test_the_matrix_of_a_file(tmp_path: Path) -> None:
    """The matrix of a file is a table on the terminal and Markdown on demand, at any date."""
    table = licet("catalog", "matrix", str(CATALOG), "--at", "2026-03-01")
    assert table.code == 0
    assert "Team 2026-01" in table.out
    row = next(line for line in table.out.splitlines() if line.strip().startswith("Projects"))
    assert row.split() == ["Projects", "3", "20", "200", "Unlimited"]
    markdown = licet("catalog", "matrix", str(CATALOG), "--format", "md")
    assert markdown.out.startswith("# Feature matrix for customers")
    assert licet("catalog", "matrix", str(CATALOG), "--at", "never").code == 2


def test_preview_apply_and_status(shop: Shop, changed: Path, tmp_path: Path) -> None:
    """A file is previewed, applied by consent only, in sync afterwards; a changed one is not, and says what differs."""
    file = str(CATALOG)
    assert shop.run("catalog", "status", file).code == 2
    preview = shop.run("catalog", "preview", file, "--json").document
    assert preview["base"] == 0
    assert len(preview["changes"]) > 20
    asked = shop.run("catalog", "apply", file)
    assert asked.code == 2
    assert "--yes" in asked.err
    applied = shop.run("catalog", "apply", file, "--yes", "--json").document
    assert applied["revision"] == 1
    assert shop.run("catalog", "status", file).code == 0
    assert shop.run("catalog", "apply", file, "--yes").out == "nothing differs from revision 1\n"
    other = shop.run("catalog", "status", str(changed))
    assert other.code == 2
    assert "Workspaces" in other.out
    pulled = tmp_path / "pulled.yaml"
    assert shop.run("catalog", "pull", "-o", str(pulled)).code == 0
    assert shop.run("catalog", "status", str(pulled)).code == 0
    assert yaml.safe_load(shop.run("catalog", "pull").out)["version"] == 1


def test_a_stale_preview_is_refused(shop: Shop, changed: Path) -> None:
    """Applying on an older base than the newest revision is refused, and the advice is to look again."""
    ran = shop.run("catalog", "apply", str(changed), "--base", "0", "--yes")
    assert ran.code == 1
    assert "stale" in ran.err
    assert "licet catalog preview" in ran.err


def test_server_side_problems_are_shown_like_local_ones(shop: Shop, tmp_path: Path) -> None:
    """A wrong file sent to the server comes back with the same place, source line and caret; nothing is written."""
    file = tmp_path / "c.yaml"
    file.write_text(text_of(CATALOG, "mode: observe", "mode: observ"))
    for command in (["preview"], ["apply", "--yes"]):
        ran = shop.run("catalog", *command, str(file))
        assert ran.code == 1
        assert "mode: observ\n" in ran.out
        assert "^" in ran.out
    assert shop.run("catalog", "status", str(CATALOG)).code == 0


def test_a_bad_key_is_told(shop: Shop) -> None:
    """A key that is not valid here ends with 2 and says how to get one; so does a check-only key that would look."""
    bad = licet("catalog", "pull", env={"LICET_URL": shop.url, "LICET_KEY": "lct_test_aaaaaaaaaaaaaaaa_" + "b" * 32})
    assert bad.code == 2
    assert "LICET_KEY" in bad.err
    made: Ran = shop.at_home("keys", "create", "--name", "asks", "--scope", "check", "-w", "test", "--json")
    asks = licet("log", env={"LICET_URL": shop.url, "LICET_KEY": json.loads(made.out)["secret"]})
    assert asks.code == 2
    assert "admin" in asks.err
