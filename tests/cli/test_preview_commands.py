"""`licet catalog preview` and `apply` on live customers: who gains and loses, and refusals beyond a stated number."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CATALOG
from tests.cli.terminal import SCRIPT, Ran, Shop

pytestmark = pytest.mark.postgres

TAKEN = """\
policies:
  webhooks_are_business:
    when: '"team" in plans'
    do: restrict
    features: [webhooks]
    text: Webhooks come with Business.
"""
"""A policy by which everybody on Team loses a feature at once."""
GIVEN = '    when: \'context.deployment in ["on_prem", "air_gapped"]\'\n'
"""A condition of a feature that nobody here has: without it nobody has more, though the change is live."""
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the example catalog with one place changed."""

    def changed(old: str, new: str) -> Path:
        text = CATALOG.read_text()
        assert old in text
        file = tmp_path / "next.yaml"
        file.write_text(text.replace(old, new, 1))
        return file

    return changed


def released(shop: Shop) -> int:
    """Return the newest revision."""
    revision: int = shop.run("catalog", "status", str(CATALOG), "--json").document["revision"]
    return revision


def at_terminal(shop: Shop, *arguments: str, typed: str = "") -> Ran:
    """Run a command as a person at a terminal of 80 columns, who types this; the answer has no colors."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LICET_", "COLUMNS", "LINES"))}
    env = {**clean, "TERM": "xterm", "LICET_URL": shop.url, "LICET_KEY": shop.keys["test"]}
    os.write(ours, typed.encode())
    with subprocess.Popen(
        [str(SCRIPT), *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
    ) as child:
        os.close(theirs)
        shown = b""
        try:
            while read := os.read(ours, 65536):
                shown += read
        except OSError:
            pass  # a terminal that everybody has left answers with an error
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n")
    return Ran(child.returncode, text, "")


def test_a_preview_says_who_loses_what(stocked: Shop, write: Write) -> None:
    """Counts, the feature, the customers with what happens to each, and the command that would release exactly this."""
    file = str(write("policies:\n", TAKEN))
    ran = stocked.run("catalog", "preview", file, "--customers")
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert ran.err == ""
    assert "  1  lose" in lines
    assert lines[lines.index("feature   lose it") + 1].split() == ["Webhooks", "1"]
    assert lines.count("  − Webhooks: on → not under these conditions") == 2
    assert "acme" in lines
    assert lines[-2] == "release exactly this with:"
    assert f"catalog apply {file} --preview prv_" in lines[-1]
    assert lines[-1].endswith("--max-losing 1")


def test_a_preview_is_kept_and_shown_again(stocked: Shop, write: Write) -> None:
    """With --json differences and preview are one object; the saved one is the same, its customers by effect."""
    made = stocked.run("catalog", "preview", str(write("policies:\n", TAKEN)), "--json").document
    assert [change["effect"] for change in made["changes"]] == ["live"]
    view = made["preview"]
    assert (view["kind"], view["base"], view["summary"]["losing"]) == ("catalog", made["base"], 1)
    saved = ("catalog", "preview", "--saved", view["id"])
    assert stocked.run(*saved, "--json").document == {"preview": view}
    losing = stocked.run(*saved, "--effect", "losing", "--json").document["customers"]
    assert [one["customer"] for one in losing] == ["acme"]
    assert stocked.run(*saved, "--effect", "gaining", "--json").document["customers"] == []
    assert "there is no customer to list" in stocked.run(*saved, "--feature", "sso").out
    assert stocked.run("catalog", "preview", "--saved", "prv_" + "0" * 32).code == 2


def test_a_misspelt_feature_is_not_taken_for_an_untouched_one(stocked: Shop, write: Write) -> None:
    """A feature that the file lacks is refused before anybody is judged; with a saved preview, whose file may have had
    it, a note names the nearest one."""
    file = str(write("policies:\n", TAKEN))
    refused = stocked.run("catalog", "preview", file, "--feature", "webhoks")
    assert refused.code == 2
    assert f"{file} has no feature 'webhoks'" in refused.err
    assert "did you mean webhooks?" in refused.err
    view = stocked.run("catalog", "preview", file, "--feature", "webhooks", "--json").document
    assert [one["customer"] for one in view["customers"]] == ["acme"]
    saved = stocked.run("catalog", "preview", "--saved", view["preview"]["id"], "--feature", "webhoks")
    assert saved.code == 0
    assert saved.err == "note: no feature of the name 'webhoks' in the catalog; did you mean webhooks?\n"
    assert stocked.run("catalog", "preview", "--saved", view["preview"]["id"], "--feature", "sso").err == ""


def test_what_touches_nobody_needs_no_preview(stocked: Shop, write: Write) -> None:
    """A title, or a new version, moves no right of anybody: that is said, and no preview is made."""
    file = str(write("title: Projects", "title: Workspaces"))
    seen = stocked.run("catalog", "preview", file, "--json").document
    assert (len(seen["changes"]), seen["preview"]) == (1, None)
    told = stocked.run("catalog", "preview", file).out.splitlines()
    assert "no customer has more or less by this" in told
    assert told[-1].strip().startswith(f"licet catalog apply {file} --base")


@pytest.mark.parametrize("arguments", [[], ["next.yaml", "--saved", "prv_" + "0" * 32]])
def test_a_file_or_a_saved_one(stocked: Shop, arguments: list[str]) -> None:
    """Neither or both is a wrong use, and both ways are named."""
    ran = stocked.run("catalog", "preview", *arguments)
    assert ran.code == 2
    assert "--saved" in ran.err


def test_more_losers_than_agreed_are_refused(stocked: Shop, write: Write) -> None:
    """Without a word nobody may lose: nothing is released, and the advice releases by that very preview."""
    file = str(write("policies:\n", TAKEN))
    before = released(stocked)
    ran = stocked.run("catalog", "apply", file, "--yes")
    assert ran.code == 1
    assert "1 customer would lose something, and nobody may" in ran.err
    assert "− Webhooks: on" in ran.out
    refused: dict[str, Any] = stocked.run("catalog", "apply", file, "--yes", "--json").document["error"]
    assert (refused["code"], refused["losing"], refused["max_losing"]) == ("blast_radius", 1, 0)
    assert released(stocked) == before
    advised = ran.err.rpartition("licet ")[2].split()
    done = stocked.run(*advised, "--yes", "--note", "agreed with sales", "--json").document
    assert (done["revision"], done["applied"]) == (before + 1, True)
    assert done["preview"]["id"] == advised[advised.index("--preview") + 1]
    (event,) = stocked.run("log", "--type", "catalog.released", "--limit", "1", "--json").document["items"]
    assert done["preview"]["id"] in str(event["after"])
    assert stocked.run("check", "acme", "webhooks").code == 1
    stale = stocked.run("catalog", "apply", str(CATALOG), "--preview", done["preview"]["id"], "--yes")
    assert stale.code == 1
    assert (stale.out, "was made on revision" in stale.err) == ("", True)
    assert f"revision {before + 1} was released since, and this might take it back" in stale.err
    assert "licet catalog pull" in stale.err
    assert stale.err.endswith(f"licet catalog preview {CATALOG}\n")
    back = stocked.run("catalog", "apply", str(CATALOG), "--yes")
    assert (back.code, "+ Webhooks: not under these conditions → on" in back.out) == (0, True)


def test_a_preview_of_other_content_releases_nothing(stocked: Shop, write: Write) -> None:
    """A preview holds for exactly the file that it was made of; by another one nothing is even shown."""
    view = stocked.run("catalog", "preview", str(write(GIVEN, "")), "--json").document["preview"]
    assert view["summary"]["affected"] == 0
    other = str(write("policies:\n", TAKEN))
    ran = stocked.run("catalog", "apply", other, "--preview", view["id"], "--yes")
    assert ran.code == 1
    assert (ran.out, "is of another content" in ran.err) == ("", True)
    assert ran.err.endswith(f"next: look again: licet catalog preview {other}\n")
    assert stocked.run("check", "acme", "webhooks").code == 0


def test_consent_is_asked_after_the_preview(stocked: Shop, write: Write) -> None:
    """Where nobody can be asked and --yes is not given, the preview is shown, and nothing is released."""
    ran = stocked.run("catalog", "apply", str(write(GIVEN, "")))
    assert ran.code == 2
    assert "nobody gains or loses anything" in ran.out
    assert "--yes" in ran.err


def test_judging_at_another_instant_is_for_looking_only(stocked: Shop, write: Write) -> None:
    """As of a later instant the preview tells of then; no command to release by it is offered."""
    ran = stocked.run("catalog", "preview", str(write("policies:\n", TAKEN)), "--at", "2100-01-01")
    assert ran.code == 0
    assert "as of 2100-01-01" in ran.out
    assert "release exactly this" not in ran.out
    assert ran.out.splitlines()[-1].endswith("nothing can be released by it: preview without --at")


def test_at_a_terminal_everything_fits_and_consent_is_asked(stocked: Shop, write: Write) -> None:
    """At 80 columns no line is wider, nor a command to copy broken in a word; a no to the question releases nothing."""
    before = released(stocked)
    asked = at_terminal(stocked, "catalog", "apply", str(write(GIVEN, "")), typed="n\n")
    assert asked.code == 1
    assert f"release this on top of revision {before}? [y/N]" in asked.out
    assert asked.out.endswith("nothing was changed\n")
    refused = at_terminal(stocked, "catalog", "apply", str(write("policies:\n", TAKEN)), "-y")
    assert refused.code == 1
    told = refused.out.rpartition("error: ")[2].splitlines()
    assert told[1] == "  next: release it all the same with:"
    assert told[2].startswith("  licet catalog apply")
    assert told[2].endswith(" \\")
    assert told[-1].endswith(" --max-losing 1")
    path = re.compile(r"^\s+\S{60,}")
    shown = [*asked.out.splitlines(), *refused.out.splitlines()]
    assert [line for line in shown if len(line.rpartition("\r")[2]) > 80 and not path.match(line)] == []
    assert released(stocked) == before
