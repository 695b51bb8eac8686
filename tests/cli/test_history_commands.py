"""`licet history` and the two times of `explain` and `entitlements`, as somebody at a terminal sees them."""

import json

import pytest

from tests.cli.terminal import Shop

pytestmark = pytest.mark.postgres
TRIAL = {
    "source": "crm",
    "external_id": "deal-9",
    "customer": {"id": "globex"},
    "occurred_at": "2026-03-01T00:00:00Z",
    "trial_start": "2026-03-01T00:00:00Z",
    "trial_end": "2026-03-20T00:00:00Z",
    "trial_end_behavior": "end",
    "lines": [{"plan": "business"}],
}


def order(shop: Shop, **changed: object) -> None:
    """Send an order about globex."""
    assert shop.run("order", "send", "-", stdin=json.dumps(TRIAL | changed)).code == 0


def test_a_history_is_read_from_the_top(stocked: Shop) -> None:
    """Newest first: what was done, by whom, from when it counts, the note, and what was gained or lost; never wider
    than 80 columns; one feature alone where that is asked."""
    order(stocked, trial_end="2090-01-01T00:00:00Z")
    stocked.run("customer", "suspend", "globex", "--note", "three invoices bounced, and nobody answers the telephone")
    stocked.run("customer", "resume", "globex")
    ran = stocked.run("history", "globex")
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    blocks = ran.out.split("\n\n")
    assert [block.splitlines()[1].strip() for block in blocks] == [
        "customer resumed", "customer suspended", "the customer was created",
    ]  # fmt: skip
    assert "order deal-9 from crm: business" in blocks[2]
    assert "counts from  2026-03-01" in blocks[2]
    assert "“three invoices bounced" in blocks[1]
    assert "rights: suspended" in blocks[1]
    assert "by key:" not in ran.out
    one = stocked.run("history", "globex", "--feature", "sso")
    assert [line for line in one.out.splitlines() if line.startswith(("  +", "  −"))] == [
        "  + SAML single sign-on: suspended → on",
        "  − SAML single sign-on: on → suspended",
        "  + SAML single sign-on: on",
    ]
    first = stocked.run("history", "globex", "--limit", "1")
    assert first.out.rstrip().endswith("there is more before: --limit shows it")
    document = stocked.run("history", "globex", "--limit", "1", "--json").document
    assert (len(document["items"]), document["more"]) == (1, True)
    assert stocked.run("history", "globex", "--since", "2089-01-01").out == "nothing changed\n"
    assert len(stocked.run("history", "globex", "--since", "P1D", "--json").document["items"]) == 3
    assert stocked.run("history", "globex", "--until", "2026-03-02").out == "nothing changed\n"


@pytest.mark.parametrize("arguments", [["nobody"], ["globex", "--since", "soon"], ["globex", "--since", "PX"]])
def test_a_history_that_cannot_be_shown(stocked: Shop, arguments: list[str]) -> None:
    """An unknown customer and a time that is none end with 2 and say what is allowed."""
    ran = stocked.run("history", *arguments)
    assert ran.code == 2
    assert "error:" in ran.err


def test_misspelt_filters_are_told(stocked: Shop) -> None:
    """A history of a feature that is none, or of a period that is none, is refused; a type or subject that the log has
    nothing of is noted, with the nearest that it has."""
    for given, words in (
        (["--feature", "projcts"], "did you mean projects?"),
        (["--since", "2026-03-02", "--until", "2026-03-01"], "the period ends before it begins"),
    ):
        ran = stocked.run("history", "acme", *given)
        assert (ran.code, words in ran.err) == (2, True), ran
    typed = stocked.run("log", "--type", "catalog.relesed")
    assert (typed.code, typed.out) == (0, "no events match\n")
    assert typed.err == "note: the log has no event of the type 'catalog.relesed'; did you mean catalog.released?\n"
    about = stocked.run("log", "--subject", "customer/acmee", "--json")
    assert about.document == {"items": []}
    assert "no event about 'customer/acmee'; did you mean customer/acme?" in about.err
    assert stocked.run("log", "--type", "catalog.released", "--after", "100000").err == ""


def test_an_earlier_answer_is_asked_by_its_basis(stocked: Shop) -> None:
    """`entitlements` and `explain` take the basis of a decision, and answer as it did although more is known now."""
    customer = {"customer": {"id": "initech"}, "external_id": "deal-10", "trial_end": "2090-01-01T00:00:00Z"}
    order(stocked, **customer)
    basis = stocked.run("check", "initech", "sso", "--json").document["basis"]
    asked = stocked.run("clock", "show", "--json").document["now"]
    order(stocked, **customer, occurred_at="2026-03-02T00:00:00Z", lines=[])
    for given, allowed in ([], False), (["--at", asked, "--basis", basis], True):
        listed = stocked.run("entitlements", "initech", "--json", *given).document["entitlements"]
        told = stocked.run("explain", "initech", "sso", "--json", *given).document["decision"]
        assert any(one["allowed"] for one in listed if one["feature"] == "sso") is allowed
        assert told["allowed"] is allowed
    assert stocked.run("explain", "initech", "sso", "--at", asked, "--basis", "9:1").code == 2
