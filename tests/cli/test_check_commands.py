"""`licet checks` on a real server: tables that add up, single checks on record, and what was mistyped."""

import json
import os
import shlex
import subprocess
from datetime import datetime, timedelta

import pytest

from licet.cli.check_count_text import explain_command, share, show_counts
from licet.cli.checks import context_of
from licet.cli.output import Output
from tests.cli.terminal import SCRIPT, Shop

CATALOG = """
version: 1
products: {studio: {name: Studio}}
features:
  a_feature_with_a_name_that_is_rather_long_for_a_table: {type: limit}
  export: {type: switch, record: each, when: 'context.attributes.format == "pdf"'}
  autopilot: {type: switch, mode: observe}
plans: {team: {product: studio, versions: {"2026-01": {includes: {export: true}}}}}
"""
ORDER = (
    '{"source": "crm", "external_id": "deal-1", "customer": {"id": "acme"}, "occurred_at": "2026-02-01T00:00:00Z",'
    ' "lines": [{"line": "1", "plan": "team"}]}'
)
LONG = "a_feature_with_a_name_that_is_rather_long_for_a_table"


@pytest.fixture(scope="module")
def asked(shop: Shop) -> Shop:
    """A server of which was asked: eight checks, three of them denied, two allowed by observe mode only."""
    path = shop.home / "catalog.yaml"
    path.write_text(CATALOG, "utf-8")
    assert shop.run("catalog", "apply", str(path), "--yes").code == 0
    assert shop.run("order", "send", "-", stdin=ORDER).code == 0
    questions: list[tuple[int, list[str]]] = [
        (0, ["acme", "export", "--user", "ann", "-c", "format=pdf", "-c", "file=ann's plan.pdf"]),
        (0, ["acme", "export", "--user", "ann", "-c", "format=pdf", "-c", "region=eu"]),
        (1, ["acme", "export", "--user", "bob", "-c", "format=xls"]),
        (1, ["acme", LONG, "--quantity", "2"]),
        (1, ["nobody", "export"]),
        (0, ["acme", "autopilot", "--user", "bob"]),
        (0, ["acme", "autopilot"]),
        (0, ["acme", "export", "-c", "format=pdf"]),
    ]
    for code, question in questions:
        assert shop.run("check", *question).code == code
    return shop


@pytest.mark.postgres
def test_a_table_adds_up(asked: Shop) -> None:
    """The features asked for most come first, the whole stands below, and JSON has the same numbers."""
    lines = asked.run("checks").out.splitlines()
    assert lines[0].split() == ["feature", "asked", "allowed", "denied", "would", "deny", "denied", "%"]
    assert [line.split() for line in lines[1:4]] == [
        ["export", "5", "3", "2", "0", "40.0%"],
        ["autopilot", "2", "0", "0", "2", "0.0%"],
        [LONG, "1", "0", "1", "0", "100.0%"],
    ]
    assert lines[5].endswith(" UTC: 8 checks, 3 denied (37.5%), 2 would be")
    document = asked.run("checks", "--by", "day", "--json").document
    assert [row["checks"] for row in document["items"]] == [8]
    assert document["total"]["checks"] == 8
    assert document["lost"] == {"checks": 0, "records": 0}


@pytest.mark.postgres
def test_what_is_asked_for_is_counted_alone(asked: Shop) -> None:
    """Each option narrows rows and whole alike; with one outcome there is one figure; users come with customers."""
    denied = asked.run("checks", "--denied", "--by", "user,reason").out.splitlines()
    assert [line.split() for line in denied[:4]] == [
        ["customer", "user", "reason", "denied"],
        ["acme", "—", "not_entitled", "1"],
        ["acme", "bob", "policy_denied", "1"],
        ["nobody", "—", "unknown_customer", "1"],
    ]
    assert denied[5].endswith(": 3 checks were denied")
    would = asked.run("checks", "--would-deny", "--user", "bob", "--by", "feature").out.splitlines()
    assert would[1].split() == ["autopilot", "1"]
    assert would[3].endswith(": 1 check was allowed, and would be denied")
    assert asked.run("checks", "--feature", "export", "--by", "total").out.count("\n") == 1
    assert asked.run("checks", "--customer", "acme", "--feature", "no_such").out.startswith("no checks since ")
    assert asked.run("checks", "--since", "PT2H", "--until", "PT1H").out.startswith("no checks since ")
    assert "these are the first 1; --limit shows more" in asked.run("checks", "--limit", "1").out


@pytest.mark.postgres
def test_single_checks_are_shown_and_explained(asked: Shop) -> None:
    """The newest first, with what was asked and what was not kept; the command below explains the newest again."""
    lines = asked.run("checks", "--records").out.splitlines()
    assert [line.split(maxsplit=2)[2].split() for line in lines[1:6]] == [
        ["allowed", "entitled", "acme", "export", "—", "format=pdf"],
        ["denied", "unknown_customer", "nobody", "export", "—"],
        ["denied", "policy_denied", "acme", "export", "bob", "format=xls"],
        ["allowed", "entitled", "acme", "export", "ann", "region=eu,", "format=pdf"],
        ["allowed", "entitled", "acme", "export", "ann", "format=pdf,", "file=(not", "kept)"],
    ]
    assert lines[7] == "how the first was answered:"
    command = lines[8].partition("licet ")[2].split()
    assert "--at" in command
    assert "entitled" in asked.run(*command).out
    assert "plan.pdf" not in asked.run("checks", "--records", "--json").out
    nothing = asked.run("checks", "--records", "--user", "zoe").out
    assert nothing.startswith("no checks on record since ")
    assert "record: each" in nothing


@pytest.mark.postgres
def test_nothing_about_a_misspelt_feature_comes_with_a_note(asked: Shop) -> None:
    """Programs may ask about what the catalog lacks, so it is no error: a note beside the answer names the nearest one.
    A customer that was asked about, and features that nobody asked about, are answered without."""
    for more in ([], ["--records"]):
        ran = asked.run("checks", "--feature", "exprt", *more)
        assert (ran.code, ran.out.startswith("no checks ")) == (0, True)
        assert ran.err == "note: no feature of the name 'exprt' in the catalog; did you mean export?\n"
    assert json.loads(asked.run("checks", "--feature", "exprt", "--json").out)["items"] == []
    for known in (["--customer", "nobody", "--denied", "--user", "zoe"], ["--feature", LONG, "--user", "zoe"]):
        ran = asked.run("checks", *known)
        assert (ran.code, ran.err) == (0, "")


@pytest.mark.postgres
def test_it_fits_a_window_of_eighty_columns(asked: Shop) -> None:
    """On a terminal no line is wider than the window, whatever the feature is called."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    env |= {"LICET_URL": asked.url, "LICET_KEY": asked.keys["test"], "TERM": "dumb"}
    for arguments in ("", "--by hour,feature", "--by customer,user", "--records"):
        command = f"stty cols 80; {SCRIPT} checks {arguments}"
        ran = subprocess.run(
            ["script", "-qec", command, "/dev/null"], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        assert "export" in ran.stdout or "acme" in ran.stdout
        assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--denied", "--would-deny"], "exclude each other"),
        (["--since", "P7"], "is not a duration"),
        (["--since", "yesterday"], "yesterday"),
        (["--by", "color"], "'color' is nothing to tell checks apart by"),
        (["--records", "--by", "user"], "--by user sums checks up, --records lists them one by one"),
        (["--until", "P90D"], "the period ends before it begins: --since is "),
        (["--customer", "acmee"], "did you mean acme?"),
        (["--records", "--customer", "acmee"], "there is no customer 'acmee'"),
    ],
)
def test_what_was_mistyped_is_named(asked: Shop, arguments: list[str], words: str) -> None:
    """A wrong option says what is wrong with it, and exits with 2."""
    ran = asked.run("checks", *arguments)
    assert ran.code == 2
    assert words in ran.err


@pytest.mark.postgres
def test_a_rehearsal_ends_with_one_only_for_a_difference(asked: Shop) -> None:
    """A period that ends before it begins, a broken file and a misspelt filter are no answers (exit code 2), each told
    as what it is; all the same is 0, a difference 1, and nothing asked again is not all the same."""
    same, broken, other = (asked.home / name for name in ("catalog.yaml", "broken.yaml", "other.yaml"))
    broken.write_text("version: 1\nfeatures: {export: {type: swich}}\n", "utf-8")
    other.write_text(CATALOG.replace(", when: 'context.attributes.format == \"pdf\"'", ""), "utf-8")
    expecting = ["--expect-same", "--customer", "acme", "--feature", "export"]
    for file, arguments, code, words in (
        (same, ["--since", "P1D", "--until", "P2D"], 2, "the period ends before it begins: --since is "),
        (broken, [], 2, "3 problems in"),
        (same, ["--feature", "exprt"], 2, "did you mean export?"),
        (same, ["--customer", "acmee"], 2, "did you mean acme?"),
        (same, expecting, 0, "nothing would have been answered otherwise"),
        (other, expecting, 1, "would be allowed, and were denied"),
        (same, ["--expect-same", "--feature", LONG], 2, "not known to be the same: nothing was asked again"),
    ):
        ran = asked.run("catalog", "rehearse", str(file), *arguments)
        assert (ran.code, words in ran.out + ran.err) == (code, True), (arguments, ran)
        assert ("problems in" in ran.out) is (file == broken)
    unknown = asked.run("catalog", "rehearse", str(same), "--expect-same", "--until", "P29D", "--json")
    assert (unknown.code, unknown.document["as_expected"]) == (2, False)
    assert asked.run("catalog", "rehearse", str(same), "--until", "P29D").code == 0


def test_shares_never_round_to_none_or_all() -> None:
    """A share says 0 % only for none and 100 % only for all."""
    assert [share(*each) for each in ((0, 0), (0, 5), (1, 3), (5, 5))] == ["—", "0.0%", "33.3%", "100.0%"]
    assert [share(1, 10_000), share(9_999, 10_000), share(1, 2_000)] == ["<0.1%", ">99.9%", "0.1%"]


def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Checks that could not be counted or recorded are told below whatever else there is to tell."""
    lost = {"checks": 1200, "records": 3}
    show_counts(Output(), {"from": "2026-03-01T09:00:00Z", "items": [], "total": None, "lost": lost}, "day", None, 50)
    assert capsys.readouterr().out.splitlines() == [
        "no checks since 2026-03-01 09:00 UTC match",
        "1,200 checks of the last 35 days could not be counted",
        "3 checks of the last 35 days could not be put on record",
    ]


def test_a_command_to_explain_can_be_pasted() -> None:
    """Whatever a question holds is quoted for a shell and read back as it was, at its own instant, by its own basis, in
    the workspace that was named."""
    question = {
        "customer": "a b",
        "feature": "x",
        "user": "o'neil",
        "used": 3,
        "context": {"region": "eu", "attributes": {"on": True, "tags": ["a", "b"], "code": "7", "region": "north"}},
    }
    words = explain_command({"question": question, "basis": "1:9"}, "2026-03-01T09:00:00Z", "test")
    assert " ".join(words) == (
        """licet explain 'a b' x --user 'o'"'"'neil' --used 3 -c region=eu -c on=true -c 'tags=["a", "b"]' """
        """-c 'code="7"' -c attributes.region=north --at 2026-03-01T09:00:00Z --basis 1:9 -w test"""
    )
    read = shlex.split(" ".join(words))
    assert context_of([read[place + 1] for place, word in enumerate(read) if word == "-c"]) == question["context"]


@pytest.mark.postgres
def test_an_answer_is_explained_years_later(asked: Shop) -> None:
    """The command that is printed below checks on record explains what was answered, also when the trial that allowed
    it has long been over."""
    now = datetime.fromisoformat(asked.run("clock", "show", "--json").document["now"])
    order = json.loads(ORDER) | {
        "external_id": "deal-2",
        "customer": {"id": "initech"},
        "occurred_at": now.isoformat(),
        "trial_start": now.isoformat(),
        "trial_end": (now + timedelta(days=14)).isoformat(),
        "trial_end_behavior": "end",
    }
    assert asked.run("order", "send", "-", stdin=json.dumps(order)).code == 0
    question = ["initech", "export", "-c", "format=pdf"]
    assert asked.run("check", *question).code == 0
    printed = asked.run("checks", "--records", "--customer", "initech").out.splitlines()[-1]
    assert asked.run("clock", "set", (now + timedelta(days=1826)).isoformat()).code == 0
    assert "refused (trial_expired)" in asked.run("explain", *question).out
    assert "allowed (in_trial)" in asked.run(*shlex.split(printed)[1:]).out
