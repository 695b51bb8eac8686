"""What a change does to customers: what many share is compared once, and says of each what comparing it alone says."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from licet.core.combination import find_breaches
from licet.core.compiled import CompiledCatalog
from licet.core.derive import derive
from licet.core.gains import ChangeKind, compare_rights, right_of
from licet.core.impact import NOTHING, Comparison, judge_impact
from licet.core.reason import Reason
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from licet.core.timeline import LIVE
from tests.core.worlds import CATALOG, FEATURE_IDS, POLICIES, at, catalog_of, day, questions, terms, terms_of
from tests.dose import dose

MOMENTS = st.integers(0, 160).map(lambda quarter: at(quarter / 4))
COUNTED = ("projects", "spaces", "quota")

ASKING: dict[str, Any] = {
    "insiders": {"when": '!("tester" in user.roles)', "do": "suspend", "text": "Testers only."},
    "elsewhere": {"when": 'context.deployment != "desktop"', "do": "restrict", "features": ["sso"]},
    "no_betas": {"when": "has(context.attributes.beta) && context.attributes.beta == true", "do": "suspend"},
}
"""Policies that refuse by what is said with the question."""


def changed(names: frozenset[str]) -> CompiledCatalog:
    """The vendor's catalog, with every feature enforced and some things otherwise."""
    catalog = deepcopy(CATALOG)
    features, plans, addons = catalog["features"], catalog["plans"], catalog["addons"]
    for feature in features.values():
        feature.pop("mode", None)
    team = plans["team"]["versions"]["2026-01"]["includes"] = dict(plans["team"]["versions"]["2026-01"]["includes"])
    ways: dict[str, Any] = {
        "named": lambda: features["sso"].update(when='customer.id != "c1"'),
        "german": lambda: features["tier"].update(when='customer.country == "DE"'),
        "golden": lambda: features["calls"].update(when="customer.attributes.gold == true"),
        "european": lambda: features["export"].update(regions=["eu"]),
        "asked": lambda: features["jobs"].update(when='"tester" in user.roles'),
        "placed": lambda: features["promo"].update(when='context.region == "eu"'),
        "strict": lambda: features["spaces"].update(at_limit="block"),
        "lenient": lambda: features["projects"].update(at_limit="overage"),
        "fewer": lambda: team.update(projects=5, quota="1.20", tier="basic"),
        "more": lambda: team.update(projects=50, spaces=1),
        "gone": lambda: features.pop("lonely"),
        "new": lambda: features.update(fresh={"type": "switch"}),
        "given": lambda: (features.update(extra={"type": "switch"}), team.update(extra=True)),
        "choosy": lambda: addons["boost"].update(requires=["business"], maximum=1),
        "seats": lambda: team.update(editor=7),
        "awake": lambda: features["nightly"].update(window={"weekdays": ["mon"]}),
        "hard": lambda: catalog["ladders"].update(card=[{"after": "P0D", "do": "suspend"}]),
        "later": lambda: plans["team"]["versions"].update({"2027": {"includes": {"sso": True}}}),
        "apart": lambda: addons["seats"].update(excludes=["team"]),
        "observed": lambda: features["sync"].update(mode="observe"),
        "limits off": lambda: (features["projects"].update(mode="off"), features["jobs"].update(mode="observe")),
        "mondays": lambda: features["sso"].update(window={"weekdays": ["mon"]}),
        "until": lambda: features["tier"].update(window={"end": "2026-04-20T00:00:00Z"}),
        "admins": lambda: features["jobs"].update(when='"admin" in user.roles'),
        "quiet": lambda: features["sso"].update(when='"admin" in user.roles', mode="observe"),
        "loud": lambda: features["sso"].update(when='"admin" in user.roles'),
        "nobody": lambda: features["audit"].update(when='customer.country == "XX"'),
    }
    for name in sorted(names & ways.keys()):
        ways[name]()
    policies = POLICIES | ASKING
    catalog["policies"] = {name: policies[name] for name in sorted(names & policies.keys())}
    return catalog_of(catalog)


WAYS = ["named", "german", "golden", "european", "asked", "placed", "strict", "lenient", "fewer", "more", "gone", "new"]
WAYS += [
    "seats",
    "awake",
    "hard",
    "later",
    "given",
    "choosy",
    "apart",
    "embargo",
    "gold",
    "dunned",
    "from_japan",
    "no_testers",
    "hoard",
    "stranger",
]
HIDDEN = [*WAYS, *ASKING, "observed", "limits off", "mondays", "until", "admins", "nobody", "blind", "night", "boosted"]
"""Ways that take something which one look at one instant would not show, among the others."""


def catalogs() -> SearchStrategy[CompiledCatalog]:
    """A catalog that differs in a few things."""
    return st.sets(st.sampled_from(WAYS), max_size=3).map(lambda names: changed(frozenset(names)))


@st.composite
def customers(draw: st.DrawFn) -> list[Terms]:
    """Several customers, some of whom hold the same and differ only in what conditions read of them."""
    found: list[Terms] = []
    for held in draw(st.lists(terms(), min_size=1, max_size=3)):
        for _ in range(draw(st.integers(1, 3))):
            profile = msgspec.structs.replace(
                held.profile,
                country=draw(st.sampled_from([None, "DE", "KP"])),
                region=draw(st.sampled_from([None, "eu", "jp"])),
                attributes=draw(st.sampled_from([{}, {"gold": True}, {"size": 3}])),
            )
            found.append(msgspec.structs.replace(held, customer=f"c{len(found)}", profile=profile))
    return found


@settings(max_examples=dose(15, full=600))
@given(catalogs(), catalogs(), customers(), MOMENTS, st.sampled_from([1, 2, 1000]))
def test_what_is_shared_says_what_comparing_alone_says(
    before: CompiledCatalog, after: CompiledCatalog, some: list[Terms], now: int, room: int
) -> None:
    """Judged one after the other with what was remembered of the others, each has the changes that it has alone."""
    comparison = Comparison(before, after, now, room=room)
    for one in some + some[::-1]:
        judged = comparison.judge(one)
        assert judged.impact.changes == compare_rights(before, one, after, one, now)
        assert judged == judge_impact(before, after, one, now)


ITEMS = [{"kind": "plan", "id": "team", "version": "2026-01"}, {"kind": "addon", "id": "seats", "version": "current"}]
TEAM: dict[str, Any] = {"id": "s", "phases": [{"starts_at": day(1), "items": ITEMS}]}
"""One subscription that has nearly everything."""
LATER = {"kind": "plan", "id": "team", "version": "2027"}
ALIKE = [
    {"customer": f"c{number}", "profile": profile, "subscriptions": [TEAM], **more}
    for number, (profile, more) in enumerate(
        [
            ({}, {}),
            ({}, {}),
            ({"country": "DE"}, {}),
            ({"country": "KP"}, {}),
            ({"region": "eu"}, {}),
            ({"region": "jp"}, {}),
            ({"attributes": {"gold": True}}, {}),
            ({"attributes": {"gold": False}}, {}),
            ({}, {"suspensions": [{"starts_at": day(1)}]}),
            ({}, {"subscriptions": [{**TEAM, "payments": [{"kind": "failed", "at": day(1), "invoice": "i"}]}]}),
            ({}, {"subscriptions": [{**TEAM, "phases": [{"starts_at": day(1), "items": [LATER]}]}]}),
        ]
    )
]
"""Customers who bought the same and differ in what conditions may read of them."""


@pytest.mark.parametrize(
    "way", [*WAYS, "named german", "fewer lenient", "fewer strict", "overflow>overflow more", "hoard>more"]
)
def test_those_who_hold_the_same_are_told_apart_by_what_conditions_read(way: str) -> None:
    """Whatever changes, of customers with the same purchases each has what it has alone, in every order."""
    first, _, second = way.rpartition(">")
    before, after = changed(frozenset(first.split())), changed(frozenset(second.split()))
    some = [terms_of(one) for one in ALIKE]
    override = {"id": "o", "feature": "projects", "amount": 10, "starts_at": day(1), "when": 'customer.id == "c2"'}
    some += [terms_of({**one, "overrides": [override]}) for one in ALIKE]
    comparison, back = Comparison(before, after, at(2)), Comparison(after, before, at(2))
    for one in some + some[::-1]:
        assert comparison.judge(one).impact.changes == compare_rights(before, one, after, one, at(2))
        assert back.judge(one).impact.changes == compare_rights(after, one, before, one, at(2))


@settings(max_examples=dose(20))
@given(catalogs(), customers(), MOMENTS)
def test_the_same_catalog_does_nothing(catalog: CompiledCatalog, some: list[Terms], now: int) -> None:
    """A release that changes nothing touches nobody, whatever they use and whatever is broken already."""
    comparison = Comparison(catalog, catalog, now)
    assert {comparison.judge(one, dict.fromkeys(COUNTED, 10**6)).impact for one in some} == {NOTHING}


@settings(max_examples=dose(25, full=800))
@given(
    catalogs(),
    catalogs(),
    terms(),
    MOMENTS,
    st.fixed_dictionaries({name: st.sampled_from([0, 1, 2, 5, 6, 20, 21, 120, 150, 1000]) for name in COUNTED}),
)
@example(
    changed(frozenset()),
    changed(frozenset({"fewer", "strict"})),
    terms_of({"customer": "acme", "subscriptions": [TEAM]}),
    at(2),
    {"projects": 6, "spaces": 5, "quota": 221},
)
@example(
    changed(frozenset()),
    changed(frozenset({"fewer", "lenient"})),
    terms_of({"customer": "acme", "subscriptions": [TEAM]}),
    at(2),
    {"projects": 6, "spaces": 5, "quota": 120},
)
def test_exceeded_is_what_checks_refuse_for_its_number_alone(
    before: CompiledCatalog, after: CompiledCatalog, one: Terms, now: int, uses: dict[str, int]
) -> None:
    """Where nothing asked matters: use is refused for the limit alone, and was allowed, or of a higher limit."""
    impact = judge_impact(before, after, one, now, uses).impact
    sides = [(catalog, derive(catalog, one, now)) for catalog in (before, after)]
    for feature in COUNTED:
        rights = [right_of(catalog, one, held, feature) for catalog, held in sides]
        if any(right.depends for right in rights):
            continue
        used = f"{uses[feature] / 100:.2f}" if feature == "quota" else uses[feature]
        was, becomes = (
            Truth(catalog, [one]).check(one.customer, feature, now, quantity=0, used=used)
            for catalog in (before, after)
        )
        lowered = was.reasons == becomes.reasons and (rights[1].amount or 0) < (rights[0].amount or 0)
        exceeds = (was.allowed or lowered) and becomes.reasons == (Reason.LIMIT_REACHED,)
        assert (feature in impact.exceeding) == exceeds, (feature, was.reasons, becomes.reasons)


@settings(max_examples=dose(20))
@given(catalogs(), catalogs(), customers(), MOMENTS)
def test_breaking_is_what_was_not_broken(
    before: CompiledCatalog, after: CompiledCatalog, some: list[Terms], now: int
) -> None:
    """The rules that break are those that the later catalog finds broken and the earlier one did not."""
    comparison = Comparison(before, after, now)
    for one in some:
        found = []
        for catalog in (before, after):
            held = derive(catalog, one, now).held
            live = [item for part in held if part.segment.state.kind in LIVE for item in part.segment.state.items]
            found.append({(x.rule, x.item, x.others): x.words for x in find_breaches(catalog, live)})
        was, becomes = found
        assert set(comparison.judge(one).impact.breaking) == {becomes[key] for key in becomes.keys() - was.keys()}


@pytest.mark.parametrize(
    ("way", "narrowed"),
    [("asked", ["jobs"]), ("strict", ["spaces"]), ("fewer", ["tier"]), ("lenient", []), ("more", [])],
)
def test_what_is_worth_less_counts_as_a_loss(way: str, narrowed: list[str]) -> None:
    """A new condition on the user, a limit that blocks where it warned, a lesser value: losses; turned round, none."""
    plan = {"id": "s", "phases": [{"starts_at": day(1), "items": ITEMS[:1]}]}
    one = terms_of({"customer": "acme", "subscriptions": [plan]})
    before, after = changed(frozenset()), changed(frozenset({way}))
    there, back = (judge_impact(*sides, one, at(2)).impact for sides in ((before, after), (after, before)))
    assert [*there.narrowed] == narrowed
    assert there.changes
    assert not back.narrowed or way in ("lenient", "more")
    assert there.loses == bool(narrowed or any(change.kind == "less" for change in there.changes))


def test_what_is_exceeded_is_told_in_words() -> None:
    """How much is used and how much would be allowed, with the unit; it counts as a loss."""
    plan = {"id": "s", "phases": [{"starts_at": day(1), "items": ITEMS[:1]}]}
    one = terms_of({"customer": "acme", "subscriptions": [plan]})
    judged = judge_impact(
        changed(frozenset()), changed(frozenset({"fewer"})), one, at(2), {"projects": 12, "quota": 121}
    )
    assert [(x.feature, x.used, x.limit, x.words) for x in judged.exceeded] == [
        ("projects", 12, 5, "12 projects are used, 5 would be allowed"),
        ("quota", 121, 120, "1.21 are used, 1.2 would be allowed"),
    ]
    assert judged.impact.exceeding == ("projects", "quota")
    assert (judged.impact.loses, judged.impact.gains) == (True, False)
    assert [(x.feature, x.kind) for x in judged.impact.changes] == [
        ("tier", "changed"), ("projects", "less"), ("quota", "less"),
    ]  # fmt: skip


def at_home(some: Terms, question: dict[str, Any]) -> dict[str, Any]:
    """A question without another region than the customer's own: whoever asks from elsewhere is not counted."""
    said = question["context"]
    if said is None or some.profile.region is None:
        return question
    return {**question, "context": msgspec.structs.replace(said, region=None)}


@settings(max_examples=dose(25), deadline=None)
@given(
    st.sets(st.sampled_from(HIDDEN), max_size=2),
    st.sampled_from(HIDDEN),
    customers(),
    MOMENTS,
    st.tuples(st.integers(0, 80), questions()),
)
def test_whoever_is_refused_at_any_time_what_was_allowed_counts_as_losing(
    first: set[str],
    way: str,
    some: list[Terms],
    now: int,
    asked: tuple[int, dict[str, Any]],
) -> None:
    """No check of anybody, at any later instant, with any question, goes from allowed to refused unless it is told."""
    before, after = changed(frozenset(first)), changed(frozenset(first ^ {way}))
    comparison, sides = Comparison(before, after, now), (Truth(before, some), Truth(after, some))
    for one in some:
        loses = comparison.judge(one).impact.loses
        if loses:
            continue
        for question in ({"quantity": 0}, at_home(one, asked[1])):
            for after_days in (0, asked[0] / 4, 1.3, 5, 20):
                instant = now + at(after_days) - at(0)
                for feature in FEATURE_IDS:
                    was, becomes = (truth.check(one.customer, feature, instant, **question) for truth in sides)
                    assert not was.allowed or becomes.allowed, (feature, instant, question, becomes.reasons)


def one_of(**more: Any) -> Terms:
    """A customer with a team plan, and more."""
    held = {"id": "s", "phases": [{"starts_at": day(1), "items": ITEMS[:1]}], **more.pop("held", {})}
    return terms_of({"customer": "acme", "subscriptions": [held], **more})


def told(before: str, after: str, some: Terms, number: float = 2) -> dict[str, tuple[ChangeKind, str, str]]:
    """What is lost, at the instant or later, by feature: kind and words."""
    sides = changed(frozenset(before.split(","))), changed(frozenset(after.split(",")))
    impact = judge_impact(*sides, some, at(number)).impact
    found = {one.feature: (one.kind, one.was, one.becomes) for one in impact.later}
    assert impact.loses or not found
    return found | {one.feature: (one.kind, one.was, one.becomes) for one in impact.changes}


def test_what_is_enforced_from_now_on_is_lost_by_whoever_does_not_have_it() -> None:
    """A mode that begins to refuse takes what was allowed; the other way round it gives; a held switch is no change."""
    plan = one_of()
    assert told("observed", "", plan) == {"sync": ("loss", "allowed, not enforced", "not included")}
    assert told("", "observed", plan) == {"sync": ("gain", "not included", "allowed, not enforced")}
    assert told("limits off", "", plan) == {
        "projects": ("less", "allowed, not enforced", "20 projects"),
        "jobs": ("less", "allowed, not enforced", "5 per day"),
    }
    assert told("", "limits off", plan)["projects"] == ("more", "20 projects", "allowed, not enforced")
    held = one_of(overrides=[{"id": "o", "feature": "sync", "starts_at": day(1)}])
    assert told("observed", "", held)["sync"][0] == "changed"
    asks = judge_impact(changed(frozenset({"quiet"})), changed(frozenset({"loud"})), plan, at(2)).impact
    assert (asks.narrowed, asks.later, asks.loses) == (("sso",), (), True)
    assert judge_impact(
        changed(frozenset({"limits off"})), changed(frozenset()), plan, at(2), {"projects": 21}
    ).exceeded


@pytest.mark.parametrize("policy", [*ASKING])
def test_a_policy_on_what_is_asked_counts_as_losing(policy: str) -> None:
    """Whoever does not say, or does say, certain facts loses by it; nobody gains or loses by the same policy again."""
    there, again = told("", policy, one_of()), told(policy, policy, one_of())
    assert "sso" in there
    assert not again
    assert not judge_impact(changed(frozenset({policy})), changed(frozenset()), one_of(), at(2)).impact.loses


@pytest.mark.parametrize(("way", "feature"), [("mondays", "sso"), ("until", "tier"), ("awake", "nightly")])
def test_a_narrower_window_counts_as_losing_while_it_is_open(way: str, feature: str) -> None:
    """On a Monday, within all windows, what will be shut is told; the same window is no loss, a wider one neither."""
    monday = 3.95
    found = told("", way, one_of(), monday)
    assert feature in found
    assert not told(way, way, one_of(), monday)
    assert not judge_impact(changed(frozenset({way})), changed(frozenset()), one_of(), at(monday)).impact.loses or (
        feature == "nightly"
    )


@pytest.mark.parametrize(
    "masked",
    [
        {"overrides": [{"id": "o", "feature": "audit", "effect": "deny", "starts_at": day(1), "ends_at": day(9)}]},
        {"overrides": [{"id": "o", "feature": "audit", "effect": "deny", "starts_at": day(1)}]},
        {"suspensions": [{"starts_at": day(1)}]},
        {"held": {"pauses": [{"starts_at": day(1)}]}},
        {"held": {"pauses": [{"starts_at": day(1), "ends_at": day(9)}]}},
        {"held": {"payments": [{"kind": "failed", "at": day(-9), "invoice": "i"}]}},
        {"held": {"trial_start": day(-9), "trial_end": day(1), "trial_end_behavior": "pause"}},
        {"held": {"phases": [{"starts_at": day(1), "items": []}, {"starts_at": day(9), "items": ITEMS[:1]}]}},
    ],
)
def test_what_hides_a_right_does_not_hide_its_loss(masked: dict[str, Any]) -> None:
    """A denial, a suspension, a pause, non-payment, a trial that ran out, a phase to come: the loss comes later."""
    sides = changed(frozenset()), changed(frozenset({"nobody"}))
    impact = judge_impact(*sides, one_of(profile={"region": "eu"}, **masked), at(2)).impact
    assert [one.feature for one in impact.changes] == []
    assert [(one.feature, one.kind, one.was) for one in impact.later] == [("audit", "loss", "on")]
    assert impact.loses
    assert not impact.gains


def test_a_trial_that_fell_hides_nothing() -> None:
    """What was tried comes back by a purchase only: nobody loses it later by a release before that."""
    fell = one_of(held={"trial_start": day(1), "trial_end": day(1.5), "trial_end_behavior": "fall"})
    runs = one_of(held={"trial_start": day(1), "trial_end": day(3), "trial_end_behavior": "fall"})
    sides = changed(frozenset()), changed(frozenset({"fewer"}))
    assert not judge_impact(*sides, fell, at(2)).impact.loses
    assert judge_impact(*sides, runs, at(2)).impact.loses


def test_an_override_hides_no_loss_of_what_it_covers() -> None:
    """More by an override for seven days: the plan's smaller amount comes after it, and is told as later."""
    gift = {"id": "o", "feature": "projects", "amount": 500, "starts_at": day(1), "ends_at": day(8)}
    sides = changed(frozenset()), changed(frozenset({"fewer"}))
    later = {one.feature: one for one in judge_impact(*sides, one_of(overrides=[gift]), at(2)).impact.later}
    assert (later["projects"].kind, later["projects"].was, later["projects"].becomes) == (
        "less",
        "20 projects",
        "5 projects",
    )


def test_what_ended_for_good_is_not_lost_later() -> None:
    """A subscription that is over brings nothing back, whatever was paused or unpaid in it."""
    over = one_of(held={"ends_at": day(1.5), "pauses": [{"starts_at": day(1)}]})
    assert not judge_impact(changed(frozenset()), changed(frozenset({"fewer"})), over, at(2)).impact.loses
