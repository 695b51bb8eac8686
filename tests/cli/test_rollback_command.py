"""`licet catalog rollback` against a real server: what stays, whom it touches, forth again, refused beyond consent."""

import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import CATALOG
from tests.cli.terminal import Shop

pytestmark = pytest.mark.postgres
FROZEN = "policies:\n  frozen: {when: 'standing != \"none\"', do: restrict, features: [projects]}\n"
"""By this everybody who has anything loses something."""


def test_back_forth_and_only_by_consent(stocked: Shop, tmp_path: Path) -> None:
    """A release is taken back with what stays of it; forth again, more lose than was agreed to at first."""
    text = CATALOG.read_text()
    assert "policies:\n" in text
    file = tmp_path / "next.yaml"
    version = "      2026-11: {includes: {projects: 77, editor: 1, ai: 10}}\n"
    place = text.index("      2026-01:\n        trial: P14D")
    file.write_text((text[:place] + version + text[place:]).replace("policies:\n", FROZEN, 1))
    assert stocked.run("catalog", "apply", str(file), "--max-losing", "1", "--yes").code == 0

    asked = stocked.run("catalog", "rollback", "1")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert "team@2026-11, released since, stays for who has it; it is " in asked.out
    done = stocked.run("catalog", "rollback", "1", "--note", "too early", "--yes", "--json").document
    assert (done["applied"], done["revision"], done["to"], len(done["kept"])) == (True, 3, 1, 1)
    assert done["preview"]["summary"]["gaining"] == 1
    again = stocked.run("catalog", "rollback", "1", "--yes")
    assert again.out.endswith("nothing differs from revision 3\n")

    refused = stocked.run("catalog", "rollback", "2", "--yes")
    assert refused.code == 1
    (advice,) = [line.partition("licet ")[2] for line in refused.err.splitlines() if "--max-losing" in line]
    assert "--at" in advice
    agreed = stocked.run(*shlex.split(advice), "--yes")
    assert agreed.code == 0
    assert agreed.out.endswith("released revision 4: what is live is as in revision 2\n")
    assert stocked.run("catalog", "status", str(file)).code == 0


def test_the_catalog_can_be_written_instead(stocked: Shop, tmp_path: Path) -> None:
    """With a file to write to nothing is released, and the file is what would be; an unknown revision is told."""
    file = tmp_path / "back.yaml"
    wrote = stocked.run("catalog", "rollback", "1", "-o", str(file))
    assert wrote.code == 0
    assert f"licet catalog apply {file}" in wrote.out
    seen = stocked.run("catalog", "preview", str(file), "--json").document
    assert seen["problems"] == []
    missing = stocked.run("catalog", "rollback", "99")
    assert missing.code != 0
    assert "there is no catalog revision 99" in missing.err
