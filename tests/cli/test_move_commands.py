"""`licet catalog move` on a real server: what is meant, what is asked, what is refused, going on where it broke off."""

from typing import Any

import pytest

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
    assert (back.code, back.out) == (1, f"nobody would be moved from {NEW} to {OLD}\n")
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
    assert "another move of team is not done yet" in other.err
    resumed = stocked.run("catalog", "move", "resume", move)
    assert "moved       1 subscription" in resumed.out
    assert stocked.run("catalog", "move", "resume", move).out == resumed.out
    assert f"moved       {OLD} → 2026-07 from" in stocked.run("subscription", "show", "acme").out
    unasked = stocked.run("catalog", "move", "reverse", move)
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    gone = stocked.run("catalog", "move", "reverse", move, "--yes", "--json").document["move"]
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
