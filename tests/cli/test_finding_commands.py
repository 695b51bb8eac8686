"""`licet findings` and `licet finding` on a real server: the list, one finding, and what people do with it."""

import json
from datetime import timedelta

import pytest

from licet.cli.finding_text import at_stake, by_due_date, finding_lines, is_overdue, total_line, whole_lines
from licet.cli.output import plain
from licet.core.finding import KINDS
from licet.core.instant import format_instant, parse_instant
from tests.cli.terminal import Shop

NOW = parse_instant("2026-03-10T10:00:00Z")
LONG_ID = "kunde_mit_einem_namen_der_laenger_ist_als_jede_zeile_eines_gewoehnlichen_fensters_mit_achtzig_zeichen"
ROW = {
    "id": "fnd_0198f3a2c4d57c3e9a51b2c3d4e5f60b",
    "kind": "unknown_price",
    "severity": "medium",
    "subject": "stripe:sub_1/price_team",
    "words": "price price_team means nothing here; add it to orders.stripe in the catalog",
    "evidence": {"price": "price_team", "line": None, "others": ["a", "b"]},
    "state": "open",
    "seen": 1234,
    "first_seen": "2026-03-01T09:00:00Z",
    "last_seen": "2026-03-02T09:00:00Z",
    "customer": "acme",
    "money": {"amount": 149000, "currency": "EUR"},
    "owner": "revenue operations",
    "due_at": "2026-03-04T09:00:00Z",
    "repair": "licet catalog apply catalog.yaml",
    "note": "",
    "settled_at": None,
}


@pytest.fixture(scope="module")
def odd(stocked: Shop) -> Shop:
    """The same server, where orders named prices that nobody mapped."""
    for deal, customer in (("deal-7", "odd"), ("deal-8", "odder"), ("deal-9", "oddest")):
        order = {
            "source": "crm",
            "external_id": deal,
            "customer": {"id": customer},
            "occurred_at": "2026-03-01T00:00:00Z",
            "lines": [{"price": "MER-ODD"}],
        }
        assert stocked.run("order", "send", "-", stdin=json.dumps(order)).code == 1
    return stocked


def finding_of(shop: Shop, customer: str) -> str:
    """The id of the one finding about a customer."""
    (row,) = shop.run("findings", "--customer", customer, "--all", "--json").document["items"]
    return str(row["id"])


@pytest.mark.postgres
def test_the_list_is_filtered(odd: Shop) -> None:
    """Open ones unless said; each option narrows, a total stands below, and nothing found is told in words."""
    listed = odd.run("findings")
    assert listed.code == 0
    assert "3 findings, 3 open" in listed.out
    assert "medium  price that nobody mapped  odd\n" in listed.out
    assert "repair  licet catalog apply catalog.yaml" in listed.out
    for narrowed, count in [
        (["--customer", "odd"], 1),
        (["--kind", "unknown_price", "--severity", "medium", "--owner", "revenue operations"], 3),
        (["--kind", "combination"], 0),
        (["--overdue"], 0),
        (["--state", "dismissed"], 0),
        (["--limit", "2"], 2),
    ]:
        assert len(odd.run("findings", *narrowed, "--json").document["items"]) == count, narrowed
    assert "no findings match" in odd.run("findings", "--overdue").out
    assert "--limit shows more" in odd.run("findings", "--limit", "2").out
    misspelled = odd.run("findings", "--kind", "unknown_prices")
    assert misspelled.code == 2
    assert "unknown_price" in misspelled.err


@pytest.mark.postgres
def test_one_finding_is_worked_through(odd: Shop) -> None:
    """It is shown with its meaning, assigned, dated, resolved and reopened; each says what is true then."""
    one = finding_of(odd, "odd")
    shown = odd.run("finding", "show", one)
    assert KINDS["unknown_price"].why.split()[0] in shown.out
    assert "price: MER-ODD" in shown.out
    assert "ann settles" in odd.run("finding", "assign", one, "ann", "--note", "knows the price list").out
    assert "due 2030-01-02" in odd.run("finding", "due", one, "2030-01-02").out
    assert "ann, due in" in odd.run("findings", "--owner", "ann").out
    assert odd.run("finding", "resolve", one, "--note", "mapped").code == 0
    assert odd.run("finding", "resolve", one).code == 1
    assert odd.run("findings", "--customer", "odd").out.startswith("no findings match")
    assert "note    mapped" in odd.run("findings", "--customer", "odd", "--all").out
    reopened = odd.run("finding", "reopen", one, "--json").document
    assert (reopened["state"], reopened["owner"]) == ("open", "ann")
    logged = odd.run("log", "--subject", f"finding/{one}")
    for word in ("finding.opened", "finding.changed", "finding.resolved", "finding.reopened", "knows the price list"):
        assert word in logged.out


@pytest.mark.postgres
def test_a_dismissal_says_why(odd: Shop) -> None:
    """Without a note nothing is dismissed; with one it leaves the list and keeps the note."""
    one = finding_of(odd, "odder")
    bare = odd.run("finding", "dismiss", one)
    assert (bare.code, "--note" in bare.err) == (2, True)
    assert odd.run("finding", "dismiss", one, "--note", " ").code == 1
    assert "agreed by phone" in odd.run("finding", "dismiss", one, "--note", "agreed by phone").out
    assert [row["note"] for row in odd.run("findings", "--state", "dismissed", "--json").document["items"]] == [
        "agreed by phone"
    ]


@pytest.mark.postgres
def test_what_is_not_there_and_what_is_no_time(odd: Shop) -> None:
    """An unknown id and a date that is none end with 2 and are named."""
    for arguments, word in [(["show", "fnd_0"], "fnd_0"), (["due", finding_of(odd, "oddest"), "friday"], "friday")]:
        ran = odd.run("finding", *arguments)
        assert (ran.code, word in ran.err) == (2, True), arguments


def test_an_overdue_one_is_told_as_such() -> None:
    """Owner and due date in business time; a settled one is never overdue; the earliest due stand on top."""
    later = ROW | {"due_at": "2026-03-20T09:00:00Z", "id": "fnd_1"}
    never = ROW | {"due_at": None, "id": "fnd_2"}
    done = ROW | {"state": "resolved", "settled_at": "2026-03-05T00:00:00Z", "note": "mapped"}
    assert [is_overdue(row, NOW) for row in (ROW, later, never, done)] == [True, False, False, False]
    assert sorted([done, never, later, ROW], key=by_due_date) == [ROW, later, never, done]
    texts = ["\n".join(plain(line) for line in finding_lines(row, NOW, None)) for row in (ROW, later, never, done)]
    assert "owner   revenue operations, overdue by 6 days, since 2026-03-04" in texts[0]
    assert "seen    first 2026-03-01 (9 days ago), 1,234 times, last 2026-03-02" in texts[0]
    assert "due in 10 days, 2026-03-20" in texts[1]
    assert "no due date" in texts[2]
    assert "state   resolved 2026-03-05, revenue operations" in texts[3]
    assert "repair" not in texts[3]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(days=3, seconds=-1), "3 days"),
        (timedelta(days=2, hours=13), "3 days"),
        (timedelta(days=1, hours=11), "35 hours"),
        (timedelta(hours=1, minutes=29), "89 min"),
        (timedelta(seconds=59), "1 min"),
    ],
)
def test_what_is_ahead_is_counted_as_people_count(ahead: timedelta, words: str) -> None:
    """A finding of a moment ago that is due within three days is due in 3 days, not in 2."""
    row = ROW | {"due_at": format_instant(NOW + ahead // timedelta(microseconds=1))}
    assert f"due in {words}, " in "\n".join(plain(line) for line in finding_lines(row, NOW, None))


def test_money_at_stake_is_summed_per_currency() -> None:
    """Only open findings count, each currency by itself and in its own decimals."""
    rows = [
        ROW,
        ROW | {"money": {"amount": 1, "currency": "EUR"}},
        ROW | {"money": {"amount": 500, "currency": "JPY"}},
        ROW | {"money": None},
        ROW | {"state": "dismissed"},
    ]
    assert at_stake(rows) == {"EUR": 149001, "JPY": 500}
    assert plain(total_line(rows, NOW)) == "5 findings, 4 open, 4 overdue; at stake: 1,490.01 EUR, 500 JPY"
    assert plain(total_line(rows[3:4], NOW)) == "1 finding, 1 open, 1 overdue"


def test_nothing_but_a_long_word_leaves_80_columns() -> None:
    """Every line of every kind fits 80 columns unless one single word or a command to copy is longer."""
    for name, kind in KINDS.items():
        for repair in (kind.steps, f"licet customer show {LONG_ID}"):
            row = ROW | {"kind": name, "repair": repair, "note": kind.why * 3, "words": kind.what * 3}
            for line in [*finding_lines(row, NOW, 80), *whole_lines(row, NOW, 80)]:
                assert len(plain(line)) <= 80 or LONG_ID in plain(line), plain(line)
    long = [plain(line) for line in finding_lines(ROW | {"words": f"item {LONG_ID} is odd"}, NOW, 80)]
    assert [line for line in long if len(line) > 80] == [f"  {LONG_ID}"]


def test_an_unknown_kind_is_shown_by_its_name() -> None:
    """A server newer than this command may know more kinds: they are listed and shown as they come."""
    row = ROW | {"kind": "kind_of_tomorrow", "customer": None, "money": None}
    assert plain(finding_lines(row, NOW, None)[0]) == "medium  kind_of_tomorrow"
    assert any("licet catalog apply" in plain(line) for line in whole_lines(row, NOW, None))
