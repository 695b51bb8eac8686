"""`licet catalog move` on a real server: what is meant, what is asked, what is refused, going on where it broke off."""

from typing import Any

import pytest

from licet.cli.move_text import aside_lines
from licet.cli.output import plain
from licet.cli.remote import Remote
from tests.cli.terminal import Shop

pytestmark = pytest.mark.postgres

OLD, NEW = "team@2026-01", "team@2026-07"


def begun(shop: Shop, **more: Any) -> str:
    """Begin a move by which nobody loses, and break off before anybody is moved; returns its id."""
    body = {"item": "team", "from_version": "2026-01", "to_version": "2026-07", **more}
    with Remote(shop.url, shop.keys["test"]) as remote:
        made: dict[str, Any] = remote.call("POST", "/v1/catalog/moves", body)
    return str(made["id"])


def test_what_cannot_be_meant_is_said(stocked: Shop) -> None:
    """Two items, one version, an unknown cohort, a moment that is none: a sentence each, and nothing is begun."""
    for arguments, code, words in (
        ((OLD, "business@2026-01"), 2, "do not name two versions of one plan or add-on"),
        ((OLD,), 2, "TO"),
        (("team", "2026-07"), 2, "write them as team@2026-01 team@2026-04"),
        ((OLD, NEW, "--cohort", "key_acounts", "--yes"), 1, "was key_accounts meant?"),
        ((OLD, NEW, "--at", "tomorrow"), 2, "2026-03-01"),
        ((OLD, NEW, "--at", "2026-01-01"), 1, "is past"),
        ((OLD, NEW, "--notice", "soon", "--yes"), 1, "P30D"),
        ((OLD, NEW, "--addon"), 1, "no addon 'team'"),
        (("show", "mov_1"), 2, "there is no move 'mov_1'"),
        (("resume", "mov_1"), 2, "licet catalog moves"),
    ):
        ran = stocked.run("catalog", "move", *arguments)
        assert (ran.code, words in ran.err) == (code, True), (arguments, ran)
    assert stocked.run("catalog", "moves").out == "nobody was ever moved from one version to another\n"


def test_nothing_is_done_unasked(stocked: Shop) -> None:
    """A dry run shows and writes nothing; without anybody to ask and without --yes nobody is moved."""
    dry = stocked.run("catalog", "move", OLD, NEW, "--dry-run", "--json")
    assert dry.code == 0
    assert dry.document["move"] is None
    assert dry.document["preview"]["summary"]["gaining"] == 1
    unasked = stocked.run("catalog", "move", OLD, NEW)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    back = stocked.run("catalog", "move", NEW, OLD, "--yes")
    assert (back.code, back.out.splitlines()[0]) == (1, f"nobody would be moved from {NEW} to {OLD}")
    assert stocked.run("catalog", "move", NEW, OLD, "--dry-run").code == 0
    assert stocked.run("catalog", "moves", "--json").document == {"items": []}


def test_a_move_goes_on_where_it_broke_off(stocked: Shop) -> None:
    """A move that is not done says how to go on; resumed it moves, again does nothing; reversed it goes back."""
    move = begun(stocked, customers=["acme"])
    shown = stocked.run("catalog", "move", "show", move)
    assert shown.out.splitlines()[0] == "team@2026-01 → 2026-07  moving"
    assert shown.out.splitlines()[-1].strip() == f"licet catalog move resume {move}"
    other = stocked.run("catalog", "move", OLD, NEW, "--yes")
    assert other.code == 1
    assert f"another move of team is not done yet: {move}" in other.err
    assert "1 customer would be moved" not in other.out
    resumed = stocked.run("catalog", "move", "resume", move)
    assert "moved       1 subscription" in resumed.out
    assert stocked.run("catalog", "move", "resume", move).out == resumed.out
    assert f"moved       {OLD} → 2026-07 from" in stocked.run("subscription", "show", "acme").out
    unasked = stocked.run("catalog", "move", "reverse", move, "--max-losing", "1")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    gone = stocked.run("catalog", "move", "reverse", move, "--yes", "--max-losing", "1", "--json").document["move"]
    assert (gone["state"], gone["reversed"]) == ("reversed", 1)
    assert stocked.run("catalog", "move", "reverse", move).code == 0
    listed = stocked.run("catalog", "moves", "--json").document["items"]
    assert [one["id"] for one in listed] == [move]


def test_the_long_form_is_the_same(stocked: Shop) -> None:
    """`move begin FROM TO` is what `move FROM TO` means, options before it or after; customers can be named."""
    for arguments in (("begin", OLD, NEW), ("--customer", "acme", OLD, NEW)):
        ran = stocked.run("catalog", "move", *arguments, "--dry-run", "--json")
        assert ran.document["preview"]["summary"]["customers"] == 1
    named = stocked.run("catalog", "move", OLD, NEW, "--customer", "nobody", "--dry-run")
    assert (named.code, "'nobody' is no customer" in named.err) == (1, True)
    helped = stocked.run("catalog", "move", "--help")
    assert helped.code == 0
    assert "resume" in helped.out


def test_the_way_back_is_shown_and_weighed_first(stocked: Shop) -> None:
    """A dry run of it shows who loses what; without leave to let so many lose it is refused, with what to write."""
    move = begun(stocked, customers=["acme"])
    back = ("catalog", "move", "reverse", move)
    assert stocked.run("catalog", "move", "resume", move).code == 0
    dry = stocked.run(*back, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert dry.out.startswith(f"{OLD} → 2026-07 would be taken back for 1 customer\n")
    assert "− Projects: 30 projects → 20 projects" in dry.out
    seen = stocked.run(*back, "--dry-run", "--json").document["preview"]
    refused = stocked.at_home(*back, "--yes", "-w", "test")
    assert refused.code == 1
    assert "1 customer would lose something, and nobody may: nobody was moved back" in refused.err
    assert f"licet catalog move reverse {move} -w test --max-losing 1" in refused.err
    assert stocked.run("catalog", "move", "show", move, "--json").document["state"] == "moved"
    other = stocked.run("catalog", "move", NEW, "2026-01", "--dry-run", "--json").document["preview"]["id"]
    stale = stocked.run(*back, "--yes", "--preview", other, "--max-losing", "1")
    assert (stale.code, "is of another content" in stale.err) == (1, True)
    assert "meanwhile" not in stale.err
    done = stocked.run(*back, "--yes", "--preview", seen["id"], "--max-losing", "1", "--json").document["move"]
    assert (done["state"], done["reversed"]) == ("reversed", 1)


def test_who_is_passed_by_is_told_with_the_reason(stocked: Shop) -> None:
    """Who was announced already is told of with the other move's id, and who was named without having the version."""
    move = begun(stocked, customers=["acme"], notice="P30D")
    assert stocked.run("catalog", "move", "resume", move).code == 0
    named = ("catalog", "move", OLD, NEW, "--customer", "acme")
    again = stocked.run(*named, "--yes")
    assert again.code == 1
    assert "left out:\n  1 subscription: another move of the same version is announced already" in again.out
    assert "    acme  sub_" in again.out
    assert move in again.out
    assert max(map(len, again.out.splitlines())) <= 80
    dry = stocked.run(*named, "--dry-run")
    assert (dry.code, move in dry.out) == (0, True)
    gone = stocked.run("catalog", "move", NEW, OLD, "--customer", "acme", "--dry-run", "--json").document
    assert [(one["reason"], one["count"]) for one in gone["preview"]["summary"]["left_out"]] == [("not_held", 1)]
    assert stocked.run("catalog", "move", "reverse", move, "--yes", "--max-losing", "1").code == 0


def test_advice_names_the_workspace(stocked: Shop) -> None:
    """What is advised to run is for the workspace that was named, also where the service advises it."""
    move = begun(stocked, customers=["acme"])
    for arguments, words in (
        (("show", move), f"licet catalog move resume {move} -w test"),
        (("show", "mov_1"), "list them: licet catalog moves -w test"),
        (("reverse", "mov_1", "--yes"), "list them: licet catalog moves -w test"),
        ((OLD, NEW, "--yes"), f"`licet catalog move resume {move} -w test`, or take it back: `licet"),
        ((OLD, NEW, "--yes"), f"licet catalog move reverse {move} -w test"),
    ):
        ran = stocked.at_home("catalog", "move", *arguments, "-w", "test")
        assert words in ran.out + ran.err, (arguments, ran)
    shown = stocked.run("catalog", "move", "show", move).out
    assert "-w" not in shown
    assert stocked.run("catalog", "move", "reverse", move, "--yes").code == 0


def test_examples_are_few_and_the_rest_is_counted() -> None:
    """Of many left out for one reason the examples are shown, wrapped, and how many more there are."""
    example = {"customer": "acme", "subscription": "sub_1", "words": "w " * 60}
    lines = aside_lines([{"reason": "trial", "count": 12, "examples": [example]}], "left out:", None)
    told = [plain(line) for line in lines]
    assert told[:3] == ["left out:", "  12 subscriptions: its trial would be cut short", "    acme  sub_1"]
    assert told[-1] == "    and 11 more"
    assert max(map(len, told)) <= 80
    assert aside_lines([], "left out:", None) == []


def test_who_comes_later_is_asked_for_when_resumed(stocked: Shop) -> None:
    """Who joins the cohort of a move that has begun is judged: refused with who and what, and how to go on."""
    for arguments in (("customer", "create", "late"), ("subscription", "sell", "late", "team", "--version", "2026-07")):
        assert stocked.run(*arguments).code == 0
    move = begun(stocked, from_version="2026-07", to_version="2026-01", cohort="key_accounts")
    assert stocked.run("customer", "join", "late", "key_accounts").code == 0
    refused = stocked.run("catalog", "move", "resume", move)
    assert (refused.code, "(late): 1 have less of" in refused.err) == (1, True), refused.err
    assert f"licet catalog move resume {move} --max-losing 1" in " ".join(refused.err.split())
    done = stocked.run("catalog", "move", "resume", move, "--max-losing", "1")
    assert "losing      1 customer, at most 1 may" in done.out
    shown = stocked.run("catalog", "move", "show", move, "--json").document
    assert (shown["state"], shown["losing"], shown["max_losing"]) == ("moved", 1, 1)


def test_who_was_left_out_is_shown_to_administrators(stocked: Shop) -> None:
    """Without the scope a move is shown as it stands, and the names that it hides are spoken of."""
    made = stocked.run("customer", "create", "nothing_bought")
    assert made.code == 0
    move = begun(stocked, customers=["nothing_bought"])
    assert stocked.run("catalog", "move", "resume", move).code == 0
    assert "nothing_bought" in stocked.run("catalog", "move", "show", move).out
    with Remote(stocked.url, stocked.keys["test"]) as remote:
        key = remote.call("POST", "/v1/keys", {"name": "ci", "scopes": ["catalog:write"]})["secret"]
    plain = stocked._replace(keys={"test": key}).run("catalog", "move", "show", move)
    assert (plain.code, "nothing_bought" in plain.out) == (0, False)
    assert "who they are is not shown: this needs the scope admin" in " ".join(plain.out.split())
    assert (
        "customers_left_out"
        not in stocked._replace(keys={"test": key}).run("catalog", "move", "show", move, "--json").document
    )
