"""The guide about findings as somebody would follow it, on a real server."""

import json
import re

import pytest

from tests.cli.terminal import Shop, licet
from tests.journeys.page import read_page
from tests.tidy.source import ROOT

pytestmark = pytest.mark.postgres

GUIDE = ROOT / "docs" / "guides" / "findings.md"
BUYERS = ["acme", "globex"]
"""Whose finding each of the page's example ids is, in the order of the page."""
Step = tuple[str, int, int, str]


@pytest.fixture(scope="module")
def followed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """Every step, run in order with the real ids: command, the code the page says, the code it had, its output."""
    page = read_page(GUIDE)
    shown = list(dict.fromkeys(re.findall("fnd_[0-9a-f]{32}", GUIDE.read_text("utf-8"))))
    owners = dict(zip(shown, BUYERS, strict=True))
    folder = tmp_path_factory.mktemp("shop")
    for name, text in page.files.items():
        (folder / name).write_text(text, "utf-8")
    env = {"LICET_HOME": str(shop.home), "LICET_DATABASE_URL": shop.dsn}

    def real(word: str) -> str:
        if word not in owners:
            return word
        found = licet("findings", "--all", "--customer", owners[word], "--json", env=env).document["items"]
        assert len(found) == 1
        return str(found[0]["id"])

    done: list[Step] = []
    for step in page.steps:
        arguments = [real(word) for word in step.arguments]
        ran = licet(*arguments, env=env, cwd=folder)
        done.append((" ".join(step.arguments), step.code, ran.code, ran.out + ran.err))
    return done


def test_every_command_ends_as_the_page_says(followed: list[Step]) -> None:
    """Each command of the guide exits with the code that the page states, in the page's order."""
    assert len(followed) > 15
    assert [step for step in followed if step[1] != step[2]] == []


def test_the_page_tells_the_truth(followed: list[Step]) -> None:
    """What the page shows of the list is what was printed, but for ids and dates; access follows the repair."""
    lists = [output for command, _, _, output in followed if command == "findings"]
    shown = GUIDE.read_text("utf-8").split("$ licet findings\n", 1)[1].split("$ licet", 1)[0]
    pattern = (
        re.escape(shown).replace("…", "[^\n]+?").replace("fnd_0198f3a2c4d57c3e9a51b2c3d4e5f60b", "fnd_[0-9a-f]{32}")
    )
    assert re.fullmatch(pattern, lists[0]), lists[0]
    assert lists[1] == "no findings: everything fits together\n"
    checks = [output for command, _, _, output in followed if command == "check acme sso"]
    assert ["allowed" in output for output in checks] == [False, True]


def test_what_was_settled_is_told(shop: Shop, followed: list[Step]) -> None:
    """Both are resolved in the end, the dismissed one was counted, and the log has every step of them."""
    assert followed
    rows = shop.run("findings", "--all", "--json", workspace="live").document["items"]
    assert sorted((row["customer"], row["kind"], row["state"], row["seen"]) for row in rows) == [
        ("acme", "unknown_price", "resolved", 1),
        ("globex", "no_trial", "resolved", 2),
    ]
    events = shop.run("log", "--limit", "500", "--json", workspace="live").document["items"]
    about = [event["type"] for event in events if event["type"].startswith("finding.")]
    assert sorted(about) == [
        "finding.changed",
        "finding.dismissed",
        "finding.opened",
        "finding.opened",
        "finding.reopened",
        "finding.resolved",
        "finding.resolved",
    ]
    assert "she keeps the price list" in json.dumps(events)
