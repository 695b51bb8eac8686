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
from licet.core.gains import compare_rights, right_of
from licet.core.impact import NOTHING, Comparison, judge_impact
from licet.core.reason import Reason
from licet.core.snapshot import Truth
from licet.core.terms import Terms
from licet.core.timeline import LIVE
from tests.core.worlds import CATALOG, POLICIES, at, catalog_of, day, terms, terms_of
from tests.dose import dose

MOMENTS = st.integers(0, 160).map(lambda quarter: at(quarter / 4))
COUNTED = ("projects", "spaces", "quota")


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
    }
    for name in sorted(names & ways.keys()):
        ways[name]()
    catalog["policies"] = {name: POLICIES[name] for name in sorted(names & POLICIES.keys())}
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


@settings(max_examples=dose(30))
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


@settings(max_examples=dose(40))
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
