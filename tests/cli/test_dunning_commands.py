"""`licet dunning` on a real server: which subscription is meant, times as spans, money, and how it looks."""

import json
from io import StringIO

import pytest

from licet.cli.dunning_text import show_dunning
from licet.cli.failure import Failure
from licet.cli.money_text import money_of, money_words
from licet.cli.output import Output
from licet.cli.times import moment_of
from tests.cli.terminal import Shop

pytestmark = pytest.mark.postgres


def bought(shop: Shop, customer: str, *deals: str) -> list[str]:
    """Let a customer buy Team once per deal; returns the subscriptions."""
    made = []
    for deal in deals:
        order = {
            "source": "crm",
            "external_id": f"{customer}-{deal}",
            "customer": {"id": customer},
            "occurred_at": "2026-02-01T00:00:00Z",
            "lines": [{"price": "MER-TEAM", "quantity": 5}],
        }
        made.append(shop.run("order", "send", "-", "--json", stdin=json.dumps(order)).document["subscription"])
    return made


def test_the_subscription_is_found_or_asked_for(stocked: Shop) -> None:
    """The only one is meant; of several the one that has the invoice; else the choice is listed; none is told."""
    one, other = bought(stocked, "twice", "a", "b")
    asked = stocked.run("dunning", "failed", "twice", "in_1")
    assert asked.code == 2
    assert "has 2 subscriptions" in asked.err
    assert one in asked.err
    assert other in asked.err
    assert stocked.run("dunning", "failed", "twice", "in_1", "-s", other).code == 0
    paid = stocked.run("dunning", "paid", "twice", "in_1", "--json").document
    assert (paid["subscription"], paid["owed"]) == (other, [])
    late = ("twice", "in_2", "--at", "2026-03-01", "-s", one)
    assert stocked.run("dunning", "failed", *late, "--yes").code == 0
    assert "has ended at 2026-04-30T00:00:00Z" in stocked.run("dunning", "pause", "twice", "-s", one).err
    void = stocked.run("dunning", "voided", "twice", "in_2", "-s", one)
    assert "it stays ended" in void.out
    wrong = stocked.run("dunning", "pause", "twice", "-s", "sub_nothing")
    assert wrong.code == 2
    assert other in wrong.err
    assert stocked.run("customer", "create", "empty").code == 0
    none = stocked.run("dunning", "pause", "empty")
    assert none.code == 2
    assert "has no subscription" in none.err


def test_a_whole_story_in_json(stocked: Shop) -> None:
    """Each command prints one object; what it did is in the next `show`; a refusal is exit code 1."""
    bought(stocked, "story", "a")

    def told(*arguments: str) -> dict[str, object]:
        ran = stocked.run("dunning", *arguments, "--json")
        assert ran.code == 0, ran.out
        found: dict[str, object] = ran.document
        return found

    told("invoice", "story", "INV-1", "--due", "P30D", "--money", "4800 EUR")
    slipped = stocked.run("dunning", "failed", "story", "in_2", "--at", "2020-01-01")
    assert "is before subscription" in slipped.err
    hasty = stocked.run("dunning", "failed", "story", "in_2", "--at", "2026-03-01")
    assert hasty.code == 1
    assert "`end`" in hasty.err
    assert "--yes" in hasty.err
    assert stocked.run("dunning", "invoice", "story", "INV-2", "--due", "2026-03-01").code == 1
    told("failed", "story", "in_2")
    told("promise", "story", "--until", "P10D", "--note", "on Friday")
    told("pause", "story")
    told("ladder", "story", "invoice")
    (one,) = stocked.run("dunning", "show", "story", "--json").document["subscriptions"]
    assert [(row["invoice"], row["state"]) for row in one["invoices"]] == [("in_2", "owed"), ("INV-1", "due")]
    assert [row["kind"] for row in one["leniencies"]] == ["promise", "pause"]
    again = stocked.run("dunning", "promise", "story", "--until", "P5D")
    assert again.code == 1
    assert "withdraw it first" in again.err
    for arguments in (["withdraw", "story"], ["resume", "story"], ["ladder", "story", "--clear"]):
        told(*arguments)
    assert stocked.run("dunning", "withdraw", "story").code == 1
    assert stocked.run("dunning", "ladder", "story", "card", "--none").code == 2
    assert stocked.run("dunning", "paid", "story", "INV-1", "--money", "48,00 €").code == 2


def test_a_customer_is_suspended_and_resumed(stocked: Shop) -> None:
    """`customer suspend` refuses everything, `resume` gives it back; each a second time is refused with exit code 1."""
    bought(stocked, "halted", "a")
    assert stocked.run("customer", "suspend", "halted", "--note", "abuse").code == 0
    assert "suspended altogether" in stocked.run("dunning", "show", "halted").out
    assert "customer_suspended" in stocked.run("check", "halted", "projects").out
    assert stocked.run("customer", "suspend", "halted").code == 1
    assert stocked.run("customer", "resume", "halted").code == 0
    assert stocked.run("customer", "resume", "halted").code == 1
    assert stocked.run("check", "halted", "projects").code == 0
    unknown = stocked.run("customer", "join", "halted", "nobody")
    assert "no cohort" in unknown.err


def test_sums_of_money() -> None:
    """Written with the decimals of the currency, kept in its smallest unit, and shown again as they were written."""
    for text, amount in [("4800.00 EUR", 480000), ("4800.5 EUR", 480050), ("7 JPY", 7), ("1.234 KWD", 1234)]:
        money = money_of("--money", text)
        assert money is not None
        assert money["amount"] == amount
    assert money_words({"amount": 480000, "currency": "EUR"}) == "4,800.00 EUR"
    assert money_words({"amount": 5, "currency": "EUR"}) == "0.05 EUR"
    assert money_words({"amount": 5000, "currency": "JPY"}) == "5,000 JPY"
    assert money_words(None) == ""
    for text in ("4800", "EUR 48", "4,800 EUR", "1.5 JPY", "1.234 EUR", "-1 EUR"):
        with pytest.raises(Failure, match="--money"):
            money_of("--money", text)


def test_times_as_spans() -> None:
    """A duration is counted from the workspace's time; a date is midnight UTC; anything else is refused."""
    assert moment_of("P1M", "2026-01-31T09:00:00Z") == "2026-02-28T09:00:00Z"
    assert moment_of("2026-03-01", "2026-01-31T09:00:00Z") == "2026-03-01T00:00:00Z"
    for text in ("P", "PT", "soon"):
        with pytest.raises(Failure):
            moment_of(text, "2026-01-31T09:00:00Z")


def test_it_fits_a_terminal_of_80_columns() -> None:
    """Every line but those with an own long name has at most 80 columns; held back stages and cohorts are told."""
    stands = {
        "customer": "acme",
        "at": "2026-04-10T09:00:00Z",
        "ladders": [{"ladder": None, "starts_at": "2026-04-01T09:30:00Z", "ends_at": "2026-05-01T09:30:00Z"}],
        "cohorts": [{"cohort": "public_sector", "starts_at": "2026-04-01T09:30:00Z"}],
        "suspended": True,
        "subscriptions": [
            {
                "subscription": "sub_0198f3a2c4d27c3e9a51b2c3d4e5f608",
                "items": ["business@2026-01"],
                "standing": "restricted",
                "invoices": [
                    {
                        "invoice": "INV-2026-017",
                        "state": "owed",
                        "at": "2026-03-31T09:30:00Z",
                        "money": {"amount": 480000, "currency": "EUR"},
                    }
                ],
                "since": "2026-03-31T09:30:00Z",
                "ladder": "public",
                "origin": "cohort:public_sector",
                "stages": [
                    {"do": "warn", "features": [], "after": "P0D", "at": "2026-03-31T09:30:00Z", "reached": True},
                    {"do": "suspend", "features": [], "after": "P90D", "at": None, "reached": False},
                ],
                "leniencies": [{"kind": "pause", "note": ""}],
                "next": None,
            }
        ],
    }
    stream = StringIO()
    show_dunning(Output(stream=stream), stands)
    lines = stream.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any("held back" in line for line in lines)
    assert any("public, of the cohort public_sector" in line for line in lines)
    assert any("until resumed" in line for line in lines)
