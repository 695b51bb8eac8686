"""`licet subscription` on a real server: which one is meant, times as spans, and refusals that name options."""

import json
import shlex

import pytest

from licet.cli.failure import Failure
from licet.cli.remote import Remote
from licet.cli.subscription_words import in_options
from tests.cli.terminal import Shop

pytestmark = pytest.mark.postgres


def ordered(shop: Shop, customer: str, deal: str) -> str:
    """Let a foreign system sell Team to a customer; returns the subscription."""
    order = {
        "source": "crm",
        "external_id": deal,
        "customer": {"id": customer},
        "occurred_at": "2026-02-01T00:00:00Z",
        "lines": [{"price": "MER-TEAM", "quantity": 5}],
    }
    made: str = shop.run("order", "send", "-", "--json", stdin=json.dumps(order)).document["subscription"]
    return made


def test_the_only_subscription_is_meant_whoever_sold_it(stocked: Shop) -> None:
    """Shown without being named where there is one; one sold by hand besides is meant; two foreign ones are listed."""
    foreign = ordered(stocked, "lone", "lone-1")
    assert foreign in stocked.run("subscription", "show", "lone").out
    refused = stocked.run("subscription", "cancel", "lone")
    assert "comes from crm" in refused.err
    other = ordered(stocked, "lone", "lone-2")
    asked = stocked.run("subscription", "show", "lone")
    assert (asked.code, foreign in asked.err, other in asked.err) == (2, True, True)
    sold = stocked.run("subscription", "sell", "lone", "free", "--json").document["subscription"]
    assert sold in stocked.run("subscription", "show", "lone").out
    assert stocked.run("customer", "create", "bare").code == 0
    assert "licet subscription sell bare PLAN" in stocked.run("subscription", "show", "bare").err


def test_moments_may_be_spans_from_now(stocked: Shop) -> None:
    """A pause, a longer trial and an extension take durations as well as dates; none takes an end away."""
    assert stocked.run("customer", "create", "spans").code == 0
    assert stocked.run("subscription", "sell", "spans", "team", "--trial", "P14D", "--ends", "2090-01-01").code == 0
    assert stocked.run("subscription", "extend-trial", "spans", "--until", "P30D").code == 0
    paused = stocked.run("subscription", "pause", "spans", "--at", "P5D", "--until", "P9D", "--json")
    assert paused.code == 0, paused.err
    shown = stocked.run("subscription", "show", "spans", "--json").document
    assert shown["trial"]["end"][:10] > shown["pauses"][0]["ends_at"][:10] > shown["pauses"][0]["starts_at"][:10]
    assert stocked.run("subscription", "extend", "spans", "--until", "2091-01-01").code == 0
    assert stocked.run("subscription", "extend", "spans", "--until", "none").code == 0
    assert stocked.run("subscription", "show", "spans", "--json").document["ends_at"] is None
    assert "duration" in stocked.run("subscription", "pause", "spans", "--at", "P5X").err


def test_what_support_reads_can_be_typed(stocked: Shop) -> None:
    """The commands of a remedy about what was sold by hand are taken one after the other, and then it is allowed."""
    assert stocked.run("customer", "create", "by hand").code == 0
    assert stocked.run("subscription", "sell", "by hand", "team").code == 0
    question = ["by hand", "salesforce_sync"]
    kinds = []
    for before in ((), ("subscription", "pause", "by hand"), ("subscription", "cancel", "by hand")):
        assert not before or stocked.run(*before).code == 0
        remedy = stocked.run("check", *question, "--json").document["remedy"]
        for step in remedy["steps"]:
            kinds.append(step["kind"])
            ran = stocked.run(*shlex.split(step["support"])[1:])
            assert ran.code == 0, (step["support"], ran.err)
        assert stocked.run("check", *question).code == 0, remedy
    assert kinds == ["change_plan", "add_addon", "resume", "renew"]


def test_a_finding_is_due_after_a_span(stocked: Shop) -> None:
    """The due date of a finding is said as a duration from now, too."""
    order = {
        "source": "crm",
        "external_id": "due-1",
        "customer": {"id": "overdue"},
        "occurred_at": "2026-02-01T00:00:00Z",
        "lines": [{"price": "MER-NEVER"}],
    }
    stocked.run("order", "send", "-", stdin=json.dumps(order))
    (found,) = stocked.run("findings", "--customer", "overdue", "--json").document["items"]
    now = stocked.run("clock", "show", "--json").document["now"]
    due = stocked.run("finding", "due", found["id"], "P2D", "--json").document["due_at"]
    assert now[:10] < due[:10]


def test_a_dry_run_is_foreseen(stocked: Shop) -> None:
    """Nothing was created, so a foreseen sale answers 200; its outcome is no outcome of an order."""
    assert stocked.run("customer", "create", "dry").code == 0
    with Remote(stocked.url, stocked.keys["test"]) as remote:
        body = json.dumps({"items": [{"plan": "team"}], "dry_run": True}).encode()
        headers = {"Content-Type": "application/json"}
        path = "/v1/customers/dry/subscriptions"
        answer = remote.raw("POST", path, body=body, headers=headers)
        assert (answer.status, answer.json()["outcome"]) == (200, "foreseen")
        assert remote.raw("POST", path, body=body.replace(b"true", b"false"), headers=headers).status == 201
    told = stocked.run("subscription", "change", "dry", "--plan", "team", "--dry-run")
    assert told.out.startswith("unchanged")


def test_refusals_name_options(stocked: Shop) -> None:
    """What speaks against a command is said in what can be typed; without anything to sell nothing is asked."""
    assert stocked.run("customer", "create", "words").code == 0
    nothing = stocked.run("subscription", "sell", "words")
    assert (nothing.code, "nothing is named that is to be sold" in nothing.err) == (2, True)
    assert "--bundle" in nothing.err
    wrong = stocked.run("subscription", "sell", "words", "free", "--add", "api_boost")
    assert "--accept-breaches" in wrong.err
    assert "items[" not in wrong.err
    late = stocked.run("subscription", "sell", "words", "team", "--then", "fall")
    assert "--then: fall would follow a trial" in late.err
    assert stocked.run("subscription", "sell", "words", "team", "--add", "api_boost").code == 0
    twice = stocked.run("subscription", "change", "words", "--add", "api_boost")
    assert "--add: api_boost is held already" in twice.err
    assert "--count api_boost=N" in twice.err
    gone = stocked.run("subscription", "cancel", "words", "sub_gone")
    assert "licet subscription list words" in gone.err
    ladder = stocked.run("dunning", "ladder", "words")
    assert "licet catalog pull" in ladder.err


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("add[0].version: api_boost has no version '9'", "--add: api_boost has no version '9'"),
        ("quantities.api_bost: the subscription holds none", "--count api_bost: the subscription holds none"),
        ("items[0].plan: the catalog has no plan 'teem'", "the catalog has no plan 'teem'"),
        ("at: 2020-01-01T00:00:00Z is past", "--at: 2020-01-01T00:00:00Z is past"),
        ("customer acme has no subscription 'x'", "customer acme has no subscription 'x'"),
        ("zone: 'x' is not a time zone", "zone: 'x' is not a time zone"),
    ],
)
def test_a_place_in_a_request_becomes_an_option(said: str, read: str) -> None:
    """Fields that an option sends are named by it; what comes first, and what has no option, is said as it is."""
    assert in_options(Failure(said)).words == read
    problems = [{"path": "add[0]", "message": said}]
    assert in_options(Failure(said, details={"problems": problems})).details["problems"][0]["message"] == read
