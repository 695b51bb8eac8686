"""What a preview prints: figures and words that fit a terminal of 80 columns, losses first, and how far the work is."""

import io
import re
import shlex
import time
from typing import Any

import pytest

from licet.cli.output import Output, plain
from licet.cli.preview_text import customer_lines, show_preview
from licet.cli.progress import Gauge, watched
from licet.cli.releasing import command_lines
from tests.cli.test_output import Terminal

SSO = {"feature": "sso", "title": "SAML single sign-on", "kind": "gain", "was": "not included", "becomes": "on"}
FEWER = {"feature": "projects", "title": "Projects", "kind": "less", "was": "20 projects", "becomes": "10 projects"}
LONG = {
    "feature": "api_calls",
    "title": "API calls",
    "kind": "changed",
    "was": "1,000,000 API calls per month, more is billed by use",
    "becomes": "2,000,000 API calls per month",
}
RULE = "API Boost is held without any of team, business, one of which it requires"
COUNTS = {"gain": 0, "loss": 0, "more": 0, "less": 0, "changed": 0, "exceeded": 0}


def group(number: int, customers: int, *changes: Any, examples: tuple[str, ...] = ("acme",), **more: Any) -> Any:
    """Return customers to whom the same happens."""
    kept = {"changes": list(changes), "exceeding": [], "breaking": [], "examples": list(examples)}
    return {"number": number, "customers": customers, **kept, **more}


def view(*groups: Any, total: int = 100_000, features: tuple[Any, ...] = (), **counts: int) -> dict[str, Any]:
    """Return a finished preview."""
    touched = sum(each["customers"] for each in groups)
    numbers = {"customers": total, "affected": touched, "gaining": 0, "losing": 0, "exceeding": 0, "breaking": 0}
    return {
        "id": "prv_" + "0" * 32,
        "kind": "catalog",
        "base": 3,
        "at": "2026-11-22T11:49:09.123456Z",
        "seq": 9,
        "done": total,
        "total": total,
        "summary": {**numbers, **counts, "features": list(features), "groups": list(groups)},
    }


def printed(shown: dict[str, Any], *, stream: io.StringIO | None = None) -> str:
    """Return what is printed of a preview."""
    stream = stream or io.StringIO()
    show_preview(shown, Output(stream=stream))
    return stream.getvalue()


def test_a_preview_is_counted_and_told_by_kind() -> None:
    """Numbers stand under each other, features in a table, groups of customers with what happens to them."""
    features = (
        {"feature": "sso", "title": "SAML single sign-on", **COUNTS, "gain": 60_000},
        {"feature": "projects", "title": "Projects", **COUNTS, "less": 11_881, "exceeded": 1},
    )
    few = group(2, 11_880, FEWER, examples=("globex", "hooli", "initech"))
    many = group(1, 60_000, SSO, examples=("acme", "umbrella", "wonka"))
    one = group(3, 1, FEWER, exceeding=["projects"], breaking=[RULE], examples=("soylent",))
    text = printed(view(many, few, one, features=features, gaining=60_000, losing=11_881, exceeding=1, breaking=1))
    assert text == (
        "On 100,000 customers with terms, as of 2026-11-22 11:49:09 UTC\n"
        "  28,119  keep exactly what they have\n"
        "  60,000  gain\n"
        "  11,881  lose\n"
        "       1    of them use more than would be allowed\n"
        "       1    of them would hold what may not be held together\n"
        "\n"
        "feature              get it    less  exceeded\n"
        "SAML single sign-on  60,000       ·         ·\n"
        "Projects                  ·  11,881         1\n"
        "\n"
        "11,880 customers  globex, hooli, initech …\n"
        "  − Projects: 20 projects → 10 projects\n"
        "\n"
        "1 customer  soylent\n"
        "  − Projects: 20 projects → 10 projects\n"
        "  ! Projects: more is used than would be allowed\n"
        f"  ! {RULE}\n"
        "\n"
        "60,000 customers  acme, umbrella, wonka …\n"
        "  + SAML single sign-on: on\n"
    )


def test_why_somebody_loses_is_told_where_no_right_is_less_now() -> None:
    """What is lost later stands with the word, a right that is worth less says so; both come before those who gain."""
    features = ({"feature": "sso", "title": "SAML single sign-on", **COUNTS, "later": 7},)
    later = {**SSO, "kind": "loss", "was": "on", "becomes": "not included"}
    hidden, narrowed = group(2, 7, later=[later]), group(3, 2, LONG, narrowed=["api_calls"])
    text = printed(view(group(1, 9, SSO), hidden, narrowed, features=features, losing=9))
    assert text.endswith(
        "feature              later\n"
        "SAML single sign-on      7\n"
        "\n"
        "7 customers  acme …\n"
        "  − later: SAML single sign-on: on → not included\n"
        "\n"
        "2 customers  acme …\n"
        "  ~ API calls: 1,000,000 API calls per month, more is billed by use → 2,000,000\n"
        "      API calls per month\n"
        "      worth less than before\n"
        "\n"
        "9 customers  acme …\n"
        "  + SAML single sign-on: on\n"
    )


@pytest.mark.parametrize("examples", [("acme",), ("a" * 128, "b" * 60, "c" * 60)])
def test_nothing_is_wider_than_a_terminal(examples: tuple[str, ...]) -> None:
    """Long ids go below their number, long changes are broken between words; only an id of its own is never broken."""
    groups = [group(n, 40, SSO, FEWER, LONG, examples=examples, breaking=[RULE + " " + RULE]) for n in range(3)]
    features = [{"feature": f"f{n}", "title": "Meridian Desktop", **COUNTS, "gain": 100_000} for n in range(30)]
    text = printed(view(*groups, features=tuple(features), losing=120), stream=Terminal())
    bare = Output(stream=io.StringIO())
    assert bare.width is None
    assert [line for line in text.splitlines() if len(_bare(line)) > 80 and "aaa" not in line] == []
    assert "and 10 more features" in text


def test_those_who_are_not_shown_are_counted() -> None:
    """Of very many kinds of change the first are told, losses before gains; the rest is a number of customers."""
    gaining = [group(n, 100 - n, SSO, examples=(f"gains-{n}",)) for n in range(20)]
    text = printed(view(*gaining, group(99, 1, FEWER, examples=("loses",)), losing=1, gaining=1810))
    blocks = text.split("\n\n")
    assert "loses" in blocks[1]
    assert "gains-0" in blocks[2]
    assert "and 1,131 customers to whom other things happen" in blocks[-1]


def test_nobody_touched_and_nobody_there_are_said_so() -> None:
    """A preview that finds nothing says that in one line; without customers too."""
    assert "  1,204  nobody gains or loses anything\n" in printed(view(total=1204))
    assert printed(view(total=0)) == "nobody has terms yet, so that nobody gains or loses anything\n"


def test_a_move_is_told_as_one() -> None:
    """The preview of a move counts those who would be moved, each judged when its own move begins."""
    moving = {**view(group(1, 2, SSO), total=2, gaining=2), "kind": "move"}
    assert printed(moving).startswith("On 2 customers, each at the instant of its move\n  2  gain\n  0  lose\n")
    assert "nobody would be moved" in printed({**view(total=0), "kind": "move"})


def test_a_preview_that_broke_off_is_told_as_such() -> None:
    """What a killed server left says how far it came and that nothing can be released by it."""
    text = printed({**view(), "summary": None, "done": 1200})
    assert "1,200 of 100,000" in text
    assert "preview again" in text


def test_one_customer_is_told_with_what_is_used() -> None:
    """A customer's line tells the use that was said beside the limit that would hold."""
    exceeded = {"feature": "projects", "title": "Projects", "used": 25, "limit": 10}
    words = "25 projects are used, 10 would be allowed"
    row = {"customer": "soylent", "changes": [FEWER], "exceeded": [{**exceeded, "words": words}], "breaking": []}
    assert [plain(line) for line in customer_lines(row, {}, None)] == [
        "soylent",
        "  − Projects: 20 projects → 10 projects",
        f"  ! {words}",
    ]


def test_progress_is_a_line_a_second_where_nobody_sees_a_bar() -> None:
    """Piped, quick work says nothing, slow work says once a second how far it is; the answer's lines come through."""
    stream = io.StringIO()
    lines: list[Any] = [{"progress": {"done": n, "of": 3000}} for n in (1000, 2000)]
    assert list(watched([*lines, {"preview": 1}], "judging customers", stream=stream)) == [{"preview": 1}]
    assert stream.getvalue() == ""
    for quiet in (False, True):
        gauge = Gauge("judging customers", quiet=quiet, stream=stream, every=0.02)
        time.sleep(0.03)
        gauge.at(1000, 3000)
        gauge.at(2000, 3000)
    assert stream.getvalue() == "judging customers: 1,000 of 3,000\n"


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    """On a terminal progress is a bar of its own, also with --json; it is gone when the work has ended."""
    stream = Terminal()
    gauge = Gauge("judging customers", quiet=True, stream=stream)
    gauge.at(1000, 3000)
    gauge.close()
    gauge.close()
    assert "judging customers" in stream.getvalue()
    assert "1,000 of 3,000" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")


def test_a_long_command_goes_on_below() -> None:
    """A command to copy is one line where it fits, and continued by a backslash where a terminal is too narrow."""
    words = ["catalog", "apply", "a plan.yaml", "--preview", "prv_" + "0" * 32, "--max-losing", "12000"]
    (whole,) = command_lines(words, None)
    shown = command_lines(words, 80)
    assert max(map(len, shown)) <= 80
    assert len(shown) == 2
    assert shlex.split("\n".join(shown).replace("\\\n", "")) == shlex.split(whole) == ["licet", *words]


def _bare(line: str) -> str:
    """Return a line without its colors."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
