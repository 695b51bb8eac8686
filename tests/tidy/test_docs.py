"""Documentation is tested: links lead somewhere, and reasons, settings, commands and targets exist both ways."""

import json
import re
from pathlib import Path

from licet.core.reason import PERMITTING, Reason
from tests.tidy.source import ROOT, SRC, project_files, python_files, short

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Return every Markdown page of the project."""
    return [path for path in project_files() if path.suffix == ".md"]


def test_links_lead_somewhere() -> None:
    """Each relative link of each page names a file of the project."""
    dead = []
    for page in pages():
        for target in LINK.findall(page.read_text("utf-8")):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not (page.parent / target.split("#")[0]).exists():
                dead.append(f"{short(page)}: {target}")
    assert dead == []


def test_every_page_of_docs_can_be_reached() -> None:
    """Each page below docs/ is linked from docs/README.md, directly or through another page."""
    start = ROOT / "docs" / "README.md"
    seen, todo = {start}, [start]
    while todo:
        page = todo.pop()
        for target in LINK.findall(page.read_text("utf-8")):
            path = (page.parent / target.split("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file() and path not in seen:
                seen.add(path)
                todo.append(path)
    assert [short(page) for page in pages() if page.is_relative_to(ROOT / "docs") and page not in seen] == []


def test_reasons_are_documented_in_order() -> None:
    """The page of reasons lists exactly the reasons of the code, in their precedence."""
    page = (ROOT / "docs" / "reference" / "reasons.md").read_text("utf-8")
    listed = [name for name in re.findall(r"^\|[^|]*\| `([a-z_]+)` \|", page, re.MULTILINE) if name in set(Reason)]
    assert list(dict.fromkeys(listed)) == [reason.value for reason in Reason]


def test_vectors_name_only_known_reasons() -> None:
    """Every reason in the vectors exists, and both refusing and permitting ones occur."""
    found: set[str] = set()
    for path in (ROOT / "spec" / "vectors").glob("*.json"):
        for value in re.findall(r'"reason": ?"([a-z_]+)"', json.dumps(json.loads(path.read_text("utf-8")))):
            found.add(value)
    assert found <= set(Reason)
    assert found & PERMITTING
    assert found - PERMITTING


def test_settings_are_documented_both_ways() -> None:
    """Each variable that the settings read is on the reference page, and the page names no other."""
    code = set(re.findall(r"\bLICET_[A-Z_]+\b", (SRC / "settings.py").read_text("utf-8")))
    page = set(re.findall(r"\bLICET_[A-Z_]+\b", (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")))
    client = {"LICET_URL", "LICET_KEY", "LICET_ROOT"}
    assert code
    assert code - client == page - client


def test_only_settings_read_the_environment() -> None:
    """No other room reads environment variables, but a client its own: where the server is, the key, and the root."""
    allowed = {"src/licet/settings.py", "src/licet/cli/target.py", "src/licet/sdk/place.py"}
    found = [
        short(path)
        for path in python_files(SRC)
        if re.search(r"\bos\.(environ|getenv)\b|\bfrom os import[^\n]*\b(environ|getenv)\b", path.read_text("utf-8"))
    ]
    assert set(found) <= allowed


def test_make_targets_in_the_docs_exist() -> None:
    """Each `make target` a page tells to run is in the Makefile with a line of help."""
    targets = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name
        for page in pages()
        for name in re.findall(r"`make ([a-z0-9-]+)|^make ([a-z0-9-]+)", page.read_text("utf-8"), re.MULTILINE)
        for name in name
        if name
    }
    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_changelog_keeps_its_form() -> None:
    """The changelog opens with the unreleased part and uses the six known headings."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in text
    headings = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert headings <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
