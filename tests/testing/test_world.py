"""An entitlement world: what is said becomes terms, time is the test's own, and answers are the product's."""

import inspect
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from licet import AsyncClient, Client, Closed, Decision, NotEntitled, NoTruth, Question
from licet.core.instant import to_instant
from licet.core.snapshot import Truth
from licet.sdk.consuming import Consuming
from licet.testing import NotInWorld, World, WorldError
from licet.testing.world_client import WorldAsyncClient, WorldClient
from tests.tidy.source import ROOT

MERIDIAN = ROOT / "examples" / "meridian" / "catalog.yaml"
SMALL: dict[str, Any] = {
    "version": 1,
    "products": {"m": {"name": "Meridian"}},
    "ladders": {"card": [{"after": "P0D", "do": "warn"}, {"after": "P14D", "do": "suspend"}]},
    "features": {
        "sso": {"type": "switch", "title": "Single sign-on", "when_unreachable": "allow"},
        "export": {"type": "switch"},
        "audit": {"type": "switch", "when_unreachable": "last_known"},
        "admin": {"type": "switch", "when": '"admin" in user.roles'},
        "eu": {"type": "switch", "regions": ["eu"]},
        "tier": {"type": "configuration", "values": ["basic", "fast"]},
        "projects": {"type": "limit"},
    },
    "plans": {
        "free": {"product": "m", "versions": {"2026-01": {"includes": {"projects": 1}}}},
        "team": {
            "product": "m",
            "versions": {
                "2026-01": {
                    "trial": "P14D",
                    "then": "free",
                    "ladder": "card",
                    "includes": {"export": True, "audit": True, "admin": True, "projects": 20},
                }
            },
        },
    },
    "addons": {"more": {"includes": {"sso": True}}},
}


THROUGH_WAYS = {name for name in dir(Consuming) if not name.startswith("_")}
"""Counting use: each asks what ``_ways`` returns."""
THROUGH_CHECK = {"check_many", "gate", "require"}
OF_THE_DRIVER = {"of", "before_fork", "after_fork_in_parent", "after_fork_in_child"}
"""How the client makes and guards its own thread; a program does not call them."""


def test_words_become_rights() -> None:
    """Allow, deny and limit decide without any catalog, and the newest word about a feature counts."""
    world = World()
    client = world.client()
    world.allow("acme", "sso")
    world.limit("acme", "projects", 5)
    assert client.check("acme", "sso").reason == "entitled"
    assert client.check("acme", "projects", used=4)
    assert client.check("acme", "projects", used=5).reason == "limit_reached"
    world.deny("acme", "sso")
    assert not client.check("acme", "sso")
    world.allow("acme", "sso")
    assert client.check("acme", "sso")
    world.limit("acme", "projects", 3)
    assert client.check("acme", "projects", used=2)
    assert not client.check("acme", "projects", used=3)


def test_a_word_counts_from_its_own_instant_on() -> None:
    """A later word ends the one before at that instant; what was true before it stays on record."""
    world = World()
    world.allow("acme", "sso")
    world.advance(days=1)
    world.deny("acme", "sso")
    sources = world.client().check("acme", "sso").sources
    assert [(one.until, one.permits) for one in sources] == [("2030-01-02T12:00:00Z", False)]


def test_plans_trials_and_time() -> None:
    """A trial of the plan's own length lasts to the instant, and falls to what the plan says."""
    world = World(SMALL)
    client = world.client()
    world.subscribe("acme", "team", trial=True)
    assert client.check("acme", "export").reason == "in_trial"
    world.advance(days=13, hours=23, minutes=59, seconds=59)
    assert client.check("acme", "export")
    world.advance(seconds=1)
    refused = client.check("acme", "export")
    assert not refused
    assert client.check("acme", "projects", used=0).limit is not None
    assert client.check("acme", "projects", used=1).reason == "limit_reached"
    assert world.now == datetime(2030, 1, 15, 12, tzinfo=UTC)


def test_subscriptions_change_and_end() -> None:
    """The same subscription again is a change, add-ons come on top, and a cancellation ends it when it says."""
    world = World(SMALL)
    client = world.client()
    world.subscribe("acme", "free")
    assert not client.check("acme", "export")
    world.advance(days=1)
    world.subscribe("acme", "team", addons=["more"])
    assert client.check("acme", "export")
    assert client.check("acme", "sso")
    world.cancel("acme", at=world.now + timedelta(days=10))
    world.advance(days=9)
    assert client.check("acme", "export")
    world.advance(days=1)
    assert client.check("acme", "export").reason == "ended"


def test_a_subscription_of_the_future_has_not_started() -> None:
    """What begins later is refused until then, and says so."""
    world = World(SMALL)
    world.subscribe("acme", "team", at="2030-01-03T00:00:00Z")
    assert world.client().check("acme", "export").reason == "not_started"
    world.at("2030-01-03T00:00:00Z")
    assert world.client().check("acme", "export").reason == "entitled"


def test_missed_payments_climb_the_ladder() -> None:
    """A failed payment keeps access through grace, suspends when the ladder says, and a payment brings it back."""
    world = World(SMALL)
    client = world.client()
    world.subscribe("acme", "team")
    world.payment("acme", "failed")
    assert client.check("acme", "export").reason == "in_grace"
    world.advance(days=14)
    assert client.check("acme", "export").reason == "suspended"
    world.payment("acme", "paid")
    assert client.check("acme", "export").reason == "entitled"


def test_orders_are_read_as_a_billing_system_sends_them() -> None:
    """A price means what the catalog says; the quantity is that of the mapping."""
    world = World(MERIDIAN)
    order = {
        "source": "crm",
        "external_id": "deal-1",
        "customer": {"id": "acme"},
        "occurred_at": "2029-12-01T09:00:00Z",
        "lines": [{"price": "MER-BUS", "quantity": 30}],
    }
    world.order(order)
    told = world.client().check("acme", "editor").limit
    assert told is not None
    assert told.amount == 30


def test_what_is_said_while_offline_waits() -> None:
    """A limit given meanwhile neither counts nor is measured by what the client still holds."""
    world = World()
    world.limit("acme", "projects", 5)
    world.offline()
    world.limit("acme", "projects", 2)
    assert world.client().check("acme", "projects", used=4)
    world.online()
    assert not world.client().check("acme", "projects", used=2)


def test_suspension_blocks_whatever_was_said() -> None:
    """Allow is an override as in production: a suspended customer gets nothing, until the suspension is over."""
    world = World(SMALL)
    world.allow("acme", "sso")
    world.suspend("acme", until=world.now + timedelta(days=2))
    assert world.client().check("acme", "sso").reason == "customer_suspended"
    world.advance(days=2)
    assert world.client().check("acme", "sso")


def test_people_and_places_are_read_by_conditions() -> None:
    """Roles of a user and the region of a customer decide, and a user who is not active has none."""
    world = World(SMALL)
    client = world.client()
    world.subscribe("acme", "team")
    world.user("acme", "ann", roles=["admin"])
    world.user("acme", "bob", roles=["admin"], active=False)
    answers = [client.check("acme", "admin", user=one).allowed for one in ("ann", "bob", "eve")]
    assert answers == [True, False, False]
    world.override("acme", "eu")
    assert client.check("acme", "eu").reason == "region_not_allowed"
    world.customer("acme", region="eu")
    assert client.check("acme", "eu")
    assert not client.check("acme", "eu", context={"region": "us"})


def test_values_and_overrides_in_full() -> None:
    """A configuration gets its value, and an override takes every field of the terms document."""
    world = World(SMALL)
    world.allow("acme", "tier", value="fast")
    assert world.client().check("acme", "tier").value == "fast"
    made = world.override("acme", "projects", amount=7, ends_at=world.now + timedelta(days=1), note="a favor")
    assert world.client().check("acme", "projects", used=6)
    assert world.client().check("acme", "projects", used=6).sources[0].id == made
    world.advance(days=1)
    assert not world.client().check("acme", "projects", used=6)


def test_an_offline_client_obeys_dates_and_then_each_features_own_rule() -> None:
    """Cut off, dates still count; past 30 days the features' own rules decide; back again, what was missed counts."""
    world = World(SMALL)
    client = world.client()
    world.subscribe("acme", "team")
    world.offline(days=29)
    world.deny("acme", "export")
    assert client.check("acme", "export").allowed
    assert client.check("acme", "export").stale
    assert client.freshness.state == "stale"
    world.advance(days=1)
    told = {feature: client.check("acme", feature).reason for feature in ("sso", "export", "audit")}
    assert told == {"sso": "not_enforced", "export": "snapshot_expired", "audit": "last_known"}
    assert (client.freshness.state, client.freshness.connected) == ("expired", False)
    world.online()
    assert client.check("acme", "export").reason == "denied_by_override"
    assert (client.freshness.state, client.freshness.age_seconds) == ("fresh", 0)


def test_an_empty_client_cannot_answer() -> None:
    """As after a first start without a server: every check raises NoTruth, until the server is there."""
    world = World()
    world.allow("acme", "sso")
    world.empty()
    with pytest.raises(NoTruth):
        world.client().check("acme", "sso")
    assert world.client().freshness.state == "empty"
    with pytest.raises(NoTruth):
        world.client().wait_ready(0)
    world.online()
    assert world.client().check("acme", "sso")


def test_answers_are_those_of_the_rules() -> None:
    """Over two months of a trial, a ladder and an override, each decision is that of the core on the same terms."""
    world = World(MERIDIAN, at="2026-11-01T09:30:00Z")
    world.subscribe("acme", "team", trial=True, after_trial="convert")
    world.override("acme", "sso", ends_at="2026-11-20T00:00:00Z")
    for day in range(60):
        if day == 20:
            world.payment("acme", "failed")
        for feature in ("sso", "projects", "api_calls", "ai", "support", "on_prem"):
            decision = world.client().check("acme", feature, used=2)
            case = decision.ruled.case
            assert case.terms is not None
            ruled = Truth(case.catalog, [case.terms]).check("acme", feature, to_instant(world.now), used=2)
            assert ruled.view(to_instant(world.now), decision.basis) == decision.view()
        world.advance(days=1)


def test_strict_worlds_tell_of_misspellings() -> None:
    """Whoever asks about a customer or feature that nobody mentioned is told, with what was probably meant."""
    world = World(SMALL)
    world.subscribe("acme", "team")
    client = world.client()
    with pytest.raises(NotInWorld, match="no feature 'exprot' in this world; did you mean 'export'"):
        client.check("acme", "exprot")
    with pytest.raises(NotInWorld, match="no customer 'acne' in this world; did you mean 'acme'"):
        client.require("acne", "export")
    world.assert_not_checked()
    loose = World(SMALL, strict=False)
    assert loose.client().check("acne", "export").reason == "unknown_customer"
    loose.allow("acme", "sso")
    assert loose.client().check("acme", "exprot").reason == "unknown_feature"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (lambda world: world.subscribe("acme", "taem"), "no plan 'taem' in the catalog; did you mean 'team'"),
        (lambda world: world.subscribe("acme", "team", version="2026-02"), "no version '2026-02'"),
        (lambda world: world.subscribe("acme", "team", addons=["mor"]), "no add-on 'mor' in the catalog; did you"),
        (lambda world: world.allow("acme", "ss0"), "no feature 'ss0' in the catalog; did you mean 'sso'"),
        (lambda world: world.limit("acme", "sso", 3), "'sso' is a switch and has no limit"),
        (lambda world: world.order({"source": "crm"}), "the order does not fit"),
        (lambda world: world.advance(days=-1), "time does not go back from 2030-01-01T12:00:00Z"),
        (lambda world: world.at(datetime(2031, 1, 1)), "has no time zone"),  # noqa: DTZ001
        (lambda world: world.at("tomorrow"), "'tomorrow' is no instant"),
        (lambda world: world.cancel("acme"), "has no subscription 'main' to cancel"),
        (
            lambda world: world.override("acme", "sso", effect="perhaps"),
            "the override of 'sso' for 'acme' does not fit",
        ),
        (
            lambda world: world.user("acme", "ann", attributes={"height": 1.8}),
            "attributes of 'ann' that no condition can read",
        ),
        (lambda world: world.allow(5, "sso"), "the customer must be text, like str(account.pk); it is 5"),
        (lambda world: world.limit("acme", 5, 3), "the feature must be text; it is 5"),
        (lambda world: world.subscribe(5, "team"), "the customer must be text"),
        (lambda world: world.subscribe("acme", 5), "no plan 5 in the catalog; there are"),
        (lambda world: world.subscribe("acme", "team", subscription=5), "the subscription must be text"),
        (lambda world: world.user("acme", 5), "the user must be text, like str(request.user.pk); it is 5"),
        (lambda world: world.suspend(None), "the customer must be text"),
        (lambda world: world.payment("acme", "failed", invoice=5), "the invoice must be text"),
        (lambda world: world.customer(""), "the customer is empty"),
        (lambda world: World().subscribe("acme", "team"), "there is no plan 'team' without a catalog"),
        (lambda world: World({"version": 2}), "the catalog does not fit"),
        (lambda world: World({**SMALL, "plans": {"x": {"product": "y", "versions": {"1": {"includes": {}}}}}}), "y"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(said: Any, told: str) -> None:
    """A test that says something impossible about its world is told what, and nothing changes."""
    with pytest.raises(WorldError) as refused:
        said(World(SMALL))
    assert told in str(refused.value)


def test_questions_about_what_is_no_id() -> None:
    """A program under test that asks with a number is told so, as in production, and the world can still be told."""
    world = World(SMALL)
    world.customer("acme")
    with pytest.raises(ValueError, match="the customer must be text"):
        world.client().check(5, "sso")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the user must be text"):
        world.client().check("acme", "sso", user=5)  # type: ignore[arg-type]
    assert "nothing was checked" in world.told()


def test_a_limit_that_would_not_come_out_is_refused() -> None:
    """The catalog merges a limit with what a plan gives, in production too: the world does not pretend otherwise."""
    world = World(SMALL)
    world.subscribe("acme", "team")
    with pytest.raises(WorldError, match="'projects' of 'acme' would be 20, not 5"):
        world.limit("acme", "projects", 5)
    assert len(world.client().check("acme", "projects").sources) == 1
    world.limit("acme", "projects", 50)
    assert world.client().check("acme", "projects", used=49)


def test_the_team_is_asked_about() -> None:
    """A team that a check, a gate or a list of questions names is told in what was asked; what is no id is refused."""
    world = World()
    world.allow("acme", "sso")
    client = world.client()

    def who(customer: str, team: str) -> str:
        return f"{customer} {team}"

    assert client.gate("sso", customer="customer", team="team")(who)("acme", "red") == "acme red"
    client.check_many([Question(customer="acme", feature="sso", team="blue")])
    assert client.require("acme", "sso", team="green")
    assert [one.team for one in world.asked] == ["red", "blue", "green"]
    assert str(world.asked[0]) == "acme sso team=red → allowed (entitled)"
    world.assert_checked("acme", "sso", team="red", times=1)
    world.assert_not_checked("acme", "sso", team="black")
    with pytest.raises(AssertionError, match="acme sso team=black: expected to be checked at least once"):
        world.assert_checked("acme", "sso", team="black")
    with pytest.raises(ValueError, match="team"):
        client.check("acme", "sso", team="")


def test_assertions_tell_what_was_asked_instead() -> None:
    """A failed assertion names what was looked for, how often it came, and what came."""
    world = World()
    world.allow("acme", "sso")
    with pytest.raises(AssertionError, match="nothing was checked at all"):
        world.assert_checked("acme", "sso")
    world.client().check("acme", "sso", user="ann")
    world.client().check("acme", "sso")
    world.assert_checked("acme", "sso", times=2)
    world.assert_checked("acme", "sso", user="ann", allowed=True, times=1)
    world.assert_not_checked("acme", "export")
    with pytest.raises(AssertionError) as failed:
        world.assert_checked("acme", "sso", times=1)
    assert str(failed.value).splitlines() == [
        "acme sso: expected to be checked once, was checked twice",
        "checked were:",
        "  acme sso user=ann → allowed (entitled)",
        "  acme sso → allowed (entitled)",
    ]
    with pytest.raises(AssertionError, match="acme sso: expected not to be checked"):
        world.assert_not_checked("acme", "sso")


def test_the_surface_is_the_clients() -> None:
    """Every public name of the real clients is there with the same signature, and asks nobody but the world."""
    for real, ours in ((Client, WorldClient), (AsyncClient, WorldAsyncClient)):
        names = [name for name in dir(real) if not name.startswith("_")]
        assert inspect.getattr_static(ours, "_ways") is not inspect.getattr_static(real, "_ways")
        assert {"check", "require", "check_many", "gate", "freshness", "wait_ready", "close"} <= set(names)
        for name in names:
            theirs, mine = inspect.getattr_static(real, name), inspect.getattr_static(ours, name)
            assert type(mine) is type(theirs), name
            through = THROUGH_CHECK | THROUGH_WAYS | OF_THE_DRIVER
            assert mine is not theirs or name in through, f"{name} would reach for a server"
            if inspect.isfunction(theirs):
                assert inspect.signature(mine) == inspect.signature(theirs), name


def test_everything_a_client_asks_goes_through_the_world() -> None:
    """Require, batches, gates and the async client are answered and remembered like single checks."""
    world = World(SMALL)
    world.subscribe("acme", "team")
    client = world.client()
    assert isinstance(client.require("acme", "export"), Decision)
    with pytest.raises(NotEntitled):
        client.require("acme", "sso")
    answers = client.check_many([Question(customer="acme", feature=one) for one in ("export", "sso")])
    assert [one.allowed for one in answers] == [True, False]

    @client.gate("export", customer="who")
    def export(who: str) -> str:
        return who

    assert export("acme") == "acme"
    assert len(world.asked) == 5


def test_entitlements_are_listed() -> None:
    """Everything that any source speaks about stands there, of nobody else, and none of it was checked."""
    world = World(SMALL)
    world.subscribe("acme", "free")
    world.allow("acme", "sso")
    world.customer("tiny")
    told = world.client().entitlements("acme")
    assert {feature: decision.allowed for feature, decision in told.items()} == {"sso": True, "projects": True}
    assert world.client().entitlements("tiny") == {}
    with pytest.raises(NotInWorld):
        world.client().entitlements("acne")
    world.assert_not_checked()


async def test_the_async_client_is_a_client_too() -> None:
    """It starts at once, answers from the same world, and closes."""
    world = World()
    world.allow("acme", "sso")
    async with world.async_client() as client:
        await client.wait_ready()
        assert client.check("acme", "sso")
    with pytest.raises(Closed):
        client.check("acme", "sso")
    world.assert_checked("acme", "sso", times=1)


def test_a_closed_client_answers_no_more() -> None:
    """As in production; the world itself goes on."""
    world = World()
    world.allow("acme", "sso")
    with world.client() as client:
        assert client.check("acme", "sso")
    with pytest.raises(Closed):
        client.check("acme", "sso")
    assert world.client().check("acme", "sso")


def test_two_runs_give_the_same_bytes() -> None:
    """Ids, times and documents of decisions are the same in every run."""

    def run() -> list[bytes]:
        world = World(MERIDIAN)
        world.subscribe("acme", "team", trial=True)
        world.override("acme", "sso", note="a favor")
        world.advance(days=20)
        return [world.client().check("acme", one).document() for one in ("sso", "projects", "api_calls", "on_prem")]

    assert run() == run()


def test_a_catalog_may_be_a_file_of_json(tmp_path: Path) -> None:
    """JSON is read without the YAML reader, and wrong JSON is told with its file."""
    good, bad = tmp_path / "catalog.json", tmp_path / "bad.json"
    good.write_bytes(msgspec.json.encode(SMALL))
    bad.write_text('{"version": 1}', "utf-8")
    world = World(good)
    world.subscribe("acme", "team")
    assert world.client().check("acme", "export")
    with pytest.raises(WorldError, match=r"bad\.json"):
        World(bad)
