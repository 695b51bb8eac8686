"""What customers and support of the example vendor read, whole sentences."""

from typing import Any

import pytest

from licet.core.case import Ask
from licet.core.change import World, make_change
from licet.core.explain import explain
from licet.core.question import Context, Question, UserFacts
from licet.core.remedywords import customer_words
from licet.core.words import window_words
from tests.core.usage.till import COMPILED, terms
from tests.core.vendor import MERIDIAN, NOW, ask, bought, override, plan, seats, steps

TEAM = bought(seats("team", 10, "2026-07"))
BUSINESS = bought(seats("business", 25))
FREE = bought(plan("free"))


def words(feature: str, *held: dict[str, Any], **more: Any) -> str:
    """What the customer reads as the remedy."""
    remedy = ask(feature, *held, **more).remedy(NOW)
    return "" if remedy is None else remedy.words


def test_an_addon_is_reached_through_the_plan_that_it_requires() -> None:
    """An add-on that another plan must carry is proposed with that plan, for less than an exception."""
    remedy = ask("salesforce_sync", TEAM).remedy(NOW)
    assert remedy is not None
    assert (remedy.cost, remedy.words) == (50, "Change from Team to Business. Add Salesforce sync.")
    dark = ask("offline_updates", TEAM, context=Context(deployment="air_gapped")).remedy(NOW)
    assert dark is not None
    assert (dark.cost, dark.words) == (50, "Change from Team to Enterprise. Add Dark site.")


def test_targets_are_written_as_everywhere_outside() -> None:
    """Quantities of a target are in major units, instants RFC 3339."""
    assert steps(ask("ai", BUSINESS, quantity=100, used=2450))[0][:2] == ("lower_quantity", {"quantity": "50"})
    night = ask("phone_support", BUSINESS, profile={"zone": "America/New_York"})
    assert steps(night)[0][:2] == ("wait", {"until": "2026-08-05T12:00:00Z"})
    assert night.message == "Telephone support: not available at this time."
    assert words("phone_support", BUSINESS, profile={"zone": "America/New_York"}) == "Wait until 2026-08-05 12:00 UTC."


def test_one_more_editor_is_bought_as_an_editor() -> None:
    """Where seats were bought one more is proposed; a plan is not multiplied for the sake of one seat."""
    assert words("editor", BUSINESS, used=25) == "Have 26 editors instead of 25."
    assert words("editor", bought(plan("business")), used=25) == "Change from Business to Enterprise."
    assert words("ai", BUSINESS, used=2500) == "Add AI Pack."


@pytest.mark.parametrize(
    ("feature", "held", "question", "said"),
    [
        ("editor", BUSINESS, {"quantity": 10, "used": 20}, "Editors: 20 of 25 editors used; 10 more do not fit."),
        ("editor", BUSINESS, {"used": 25}, "Editors: 25 of 25 editors used; 1 more does not fit."),
        ("api_calls", TEAM, {"used": 100000}, "API calls: 100,000 of 100,000 API calls used; 1 more does not fit."),
        ("api_calls", BUSINESS, {"used": 10}, "API calls: 1,000,000 API calls included."),
        ("data_sources", FREE, {"used": 0}, "Data sources: 1 data source included."),
        ("strong_encryption", BUSINESS, {}, "Not included: Customer-held encryption keys."),
        ("sso", BUSINESS, {}, "Included: SAML single sign-on."),
    ],
)
def test_messages(feature: str, held: dict[str, Any], question: dict[str, Any], said: str) -> None:
    """Sentences are correct for titles of any grammar; numbers are grouped, units agree, what is used is told."""
    assert ask(feature, held, **question).message == said


@pytest.mark.parametrize(
    ("when", "question", "said"),
    [
        ("context.attributes.n == 6", {}, "Webhooks: available where “n” is 6."),
        ('"planner" in user.roles', {"user": "ann"}, "Ask your administrator for a user with the role planner."),
        (
            '!("planner" in user.roles)',
            {"user": UserFacts(id="ann", roles=("planner",))},
            "Ask your administrator for a user without the role planner.",
        ),
    ],
)
def test_facts_in_words(when: str, question: dict[str, Any], said: str) -> None:
    """A remedy says facts as people do."""
    assert words("webhooks", FREE, overrides=[override("webhooks", when=when)], **question) == said


def test_region_in_words() -> None:
    """The title stands apart from the sentence, so that any title fits."""
    assert words("eu_residency", BUSINESS) == "Data stays in the EU: available where the region is eu."


def test_support_reads_what_to_do() -> None:
    """Support's words name the order, what to write and the command; an exception without an amount reads whole."""
    (_, _, _, change), (_, _, _, add) = steps(ask("salesforce_sync", TEAM))
    assert change == (
        "in the order of sub_1, write the plan business (version 2026-01, quantity 10) in the place of team; "
        "then: licet order send ORDER.yaml"
    )
    assert add == (
        "to the order of sub_1, add the add-on salesforce_sync with quantity 1; then: licet order send ORDER.yaml"
    )
    exception = steps(ask("salesforce_sync"))[-1]
    assert exception[3] == (
        "give acme an override of salesforce_sync, dated and with a note: POST /v1/customers/acme/overrides"
    )


def by_hand(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A subscription that was sold by hand."""
    return bought(*items, source="manual", external_id="sale", **more)


def addon(name: str, quantity: int) -> dict[str, Any]:
    """An item that is an add-on."""
    return plan(name, "1", kind="addon", quantity=quantity)


OVER = {"ends_at": "2026-07-15T00:00:00Z"}
PAUSED = {"pauses": [{"starts_at": "2026-07-02T00:00:00Z"}]}
TRIED = {"trial_start": "2026-07-01T00:00:00Z", "trial_end": "2026-07-15T00:00:00Z"}
SUITE = {"bundle": "revenue_suite"}


@pytest.mark.parametrize(
    ("feature", "held", "used", "said"),
    [
        (
            "salesforce_sync",
            by_hand(plan("team")),
            None,
            ["change {} --plan business --version 2026-01", "change {} --add salesforce_sync=1"],
        ),
        ("editor", by_hand(seats("business", 25)), 25, ["change {} --count business=26"]),
        ("editor", by_hand(seats("business", 25) | SUITE), 25, ["change {} --count revenue_suite=26"]),
        ("editor", by_hand(plan("business")), 25, ["change {} --plan enterprise --version 2026-01"]),
        ("sso", by_hand(plan("business"), **PAUSED), None, ["resume {}"]),
        ("webhooks", by_hand(plan("team"), trial_end_behavior="pause", **TRIED), None, ["resume {}"]),
        (
            "webhooks",
            by_hand(plan("team"), trial_end_behavior="end", **TRIED),
            None,
            ["sell acme team --version 2026-01"],
        ),
        ("sso", by_hand(seats("business", 25), **OVER), None, ["sell acme business --quantity 25 --of editor"]),
        ("ai", by_hand(plan("business"), addon("ai_pack", 2), **OVER), None, ["sell acme business --add ai_pack=2"]),
        (
            "sso",
            by_hand(plan("business") | SUITE, addon("ai_pack", 1) | SUITE, **OVER),
            None,
            ["sell acme --bundle revenue_suite"],
        ),
        ("sso", by_hand(plan("gone"), id="sub_0", **OVER), None, ["sell acme business --version 2026-01"]),
    ],
)
def test_support_changes_a_sale_by_hand_with_a_command(
    feature: str, held: dict[str, Any], used: int | None, said: list[str]
) -> None:
    """Of a subscription that was sold by hand no order lies anywhere: support reads the command that changes it, and
    that sells anew what has ended."""
    commands = [f"licet subscription {one.format('acme sub_1')}" for one in said]
    assert [step[3] for step in steps(ask(feature, held, used=used))] == commands


def test_what_is_over_is_not_why_a_live_source_refuses() -> None:
    """With live sources that lack only the deployment, a subscription that ended gives no reason and no sentence."""
    live = [bought(plan("team"), id=f"sub_{number}") for number in (1, 2, 3)]
    over = bought(plan("team"), id="sub_0", ends_at="2026-07-15T00:00:00Z")
    decision = ask("desktop", over, *live)
    assert [str(one) for one in decision.reasons] == ["deployment_not_allowed"]
    assert decision.message == "Meridian Desktop: cannot be decided without the kind of installation."
    assert words("desktop", over, *live) == "Meridian Desktop: available where the kind of installation is desktop."
    assert sorted(one.reasons[0] for one in decision.sources) == ["deployment_not_allowed"] * 3 + ["ended"]
    assert ask("desktop", over).message == "Meridian Desktop: the subscription that included this has ended."


def test_an_override_without_an_amount_gives_the_default() -> None:
    """Of a counted feature an override without an amount gives the feature's default, and nothing where it has none."""
    given = ask("api_calls", overrides=[override("api_calls")], used=999)
    assert given.allowed
    assert not ask("api_calls", overrides=[override("api_calls")], used=1000).allowed
    nothing = ask("ai", overrides=[override("ai")])
    assert not nothing.allowed
    assert nothing.limit is not None
    assert nothing.limit.amount == "0"


def test_a_listing_asks_about_no_quantity() -> None:
    """Quantity 0 asks for the right alone: an amount below one is no limit reached, and none is exceeded."""
    assert [str(one) for one in ask("storage", FREE, quantity=0).reasons] == ["within_limit"]
    assert [str(one) for one in ask("storage", FREE).reasons] == ["soft_limit_exceeded"]


def test_a_fact_that_is_not_known_is_named() -> None:
    """A condition that first asks whether a fact is there names it; with the fact there, nothing is missing."""
    enterprise = bought(plan("enterprise"))
    unknown = ask("strong_encryption", enterprise)
    assert unknown.missing == ("customer.country",)
    assert unknown.message == "Customer-held encryption keys: cannot be decided without the country of this account."
    refused = ask("strong_encryption", enterprise, profile={"country": "KP"})
    assert refused.missing == ()
    assert refused.message == "Customer-held encryption keys: not available under these circumstances."
    assert ask("strong_encryption", enterprise, profile={"country": "DE"}).allowed


@pytest.mark.parametrize(
    ("effect", "when"),
    [("deny", 'context.attributes.tier == "gold"'), ("give", '!(context.attributes.tier == "gold")')],
)
def test_another_value_is_a_remedy(effect: str, when: str) -> None:
    """Where one value refuses, any other is the remedy, and it was tried with quite different ones."""
    held = TEAM if effect == "deny" else FREE
    gold = Context(attributes={"tier": "gold"})
    decision = ask("webhooks", held, overrides=[override("webhooks", effect=effect, when=when)], context=gold)
    assert not decision.allowed
    assert steps(decision)[0][1:3] == (
        {"context.attributes.tier": "other than gold"},
        "Webhooks: available where “tier” is other than gold.",
    )
    greater = override("webhooks", when='context.attributes.tier > "gold"')
    assert "other than" not in words("webhooks", FREE, overrides=[greater], context=gold)


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ("salesforce_synk", "for support: no feature 'salesforce_synk'; did you mean salesforce_sync?"),
        ("projects", "for support: Counted by the program; archiving frees a project at once."),
    ],
)
def test_an_explanation_has_the_words_for_support(feature: str, said: str) -> None:
    """The tree that every door shows ends with what support is told: close names, or the feature's own text."""
    told = explain(MERIDIAN, None, Question(customer="acme", feature=feature), NOW)
    assert (told.tree.children[-1].kind, told.tree.children[-1].text) == ("support", said)


def test_windows_are_told_with_their_length() -> None:
    """A window's kind is told with how long it is, in short words; what is no window has none."""
    told = [
        window_words("rolling", "PT24H"),
        window_words("session", "PT5H"),
        window_words("rolling", "P7D"),
        window_words("rolling", "PT1H30M"),
        window_words("rolling", None),
        window_words("month", None),
    ]
    assert told == ["rolling 24 h", "session 5 h", "rolling 7 days", "rolling 1 h 30 min", "rolling", ""]


@pytest.mark.parametrize(("held", "words"), [("team", "Subscribe to team once more."), ("other", "Subscribe to team.")])
def test_a_second_subscription_is_called_that(held: str, words: str) -> None:
    """Who bought a plan before is told to subscribe once more."""
    world = World(COMPILED, terms(held), "calls", Ask(None, None, 1, 0), NOW)
    step = make_change("start_subscription", plan="team", version="2026-01", quantity=1)
    assert customer_words(world, step) == words
