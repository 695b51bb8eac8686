"""Policies held against their plain reading, around boundaries, and in every mode; what never leaves the server."""

import json
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from licet.core.audience import for_audience
from licet.core.catalog import Catalog, decode_catalog, encode_catalog
from licet.core.catalog_diff import diff_catalogs
from licet.core.catalog_release import check_release
from licet.core.compiled import CompiledCatalog, compile_catalog
from licet.core.derive import derive
from licet.core.gains import compare_rights
from licet.core.instant import FOREVER, to_instant
from licet.core.reason import Reason
from licet.core.snapshot import Truth
from licet.core.terms import Profile, Terms
from tests.core.eager import check_eager
from tests.core.test_check import told
from tests.core.worlds import (
    CATALOG,
    FEATURE_IDS,
    POLICIES,
    at,
    catalog_of,
    day,
    moments,
    policed,
    questions,
    terms,
    terms_of,
)
from tests.dose import dose

TRUTHS: dict[frozenset[str], Truth] = {}
"""One truth for each set of policies, so that rulings made for one customer serve the next with equal rights."""
SETS = st.one_of(
    st.sampled_from(sorted(POLICIES)).map(lambda name: frozenset({name})),
    st.sets(st.sampled_from(sorted(POLICIES)), min_size=2, max_size=4).map(frozenset),
    st.just(frozenset(POLICIES)),
)
SOME = st.sets(st.sampled_from(FEATURE_IDS), min_size=4, max_size=5)
COUNTRIES = st.sampled_from([None, "DE", "KP", "IR"])


@st.composite
def customers(draw: st.DrawFn) -> Terms:
    """A customer from some country."""
    some = draw(terms())
    return structs.replace(some, profile=structs.replace(some.profile, country=draw(COUNTRIES)))


@settings(max_examples=dose(50, full=2000), deadline=None)
@given(SETS, customers(), st.lists(moments(), min_size=1, max_size=2), questions(), SOME)
def test_lazy_equals_eager(
    names: frozenset[str], customer: Terms, whens: list[Any], question: dict[str, Any], features: set[str]
) -> None:
    """Under any policies every prepared decision says what the slow reading says, also past its boundaries."""
    truth = TRUTHS.setdefault(names, Truth(policed(names)))
    truth.put(customer)
    for feature in sorted(features):
        for when in whens:
            now = to_instant(when)
            decision = truth.check("acme", feature, now, **question)
            assert told(decision) == check_eager(truth.catalog, customer, feature, now, **question)
            assert decision.reason == decision.reasons[0]
            # Where anything of the customer changes, a policy may read it, also for another feature.
            until = derive(truth.catalog, customer, now).good_until
            for instant in (until - 1, until) if until < FOREVER else ():
                later = truth.check("acme", feature, instant, **question)
                assert told(later) == check_eager(truth.catalog, customer, feature, instant, **question)


TEAM = {"kind": "plan", "id": "team", "version": "2026-01"}
CUSTOMER = terms_of(
    {
        "customer": "acme",
        "profile": {"country": "KP"},
        "subscriptions": [{"id": "sub_1", "phases": [{"starts_at": day(1), "items": [TEAM]}]}],
    }
)


def ruled_by(**policies: dict[str, Any]) -> CompiledCatalog:
    """The vendor's catalog with these policies."""
    return catalog_of({**CATALOG, "policies": policies})


def suspending(when: str, **more: Any) -> dict[str, Any]:
    """A policy that suspends."""
    return {"when": when, "do": "suspend", **more}


@settings(max_examples=dose(40), deadline=None)
@given(SETS, customers(), moments(), questions())
def test_what_customers_may_have_decides_as_the_whole(
    names: frozenset[str], customer: Terms, when: Any, question: dict[str, Any]
) -> None:
    """Without policies that never leave the server, a catalog cut for customers gives every decision of the whole."""
    whole = policed(frozenset(name for name in names if not POLICIES[name].get("server_only")))
    cut = _compiled_cut(names)
    for feature in ("sso", "projects", "spaces", "tier", "export"):
        first, second = (
            Truth(one, [customer]).check("acme", feature, to_instant(when), **question) for one in (whole, cut)
        )
        assert told(first) == told(second)
        assert first.message == second.message


def _compiled_cut(names: frozenset[str]) -> CompiledCatalog:
    return compile_catalog(for_audience(policed(names).document, "customer"), 1, ZoneInfo, UTC)


def test_no_internal_word_leaves_with_a_catalog() -> None:
    """Cut for customers, a catalog holds no note, no test, no word for support and no policy that stays."""
    policies = {
        "seen": suspending("customer.country == 'KP'", text="Sorry.", note="internal 1", tests=[{"then": True}]),
        "kept": suspending("customer.id == 'internal 2'", server_only=True),
    }
    document = json.loads(json.dumps({**CATALOG, "policies": policies}))
    document["plans"]["team"]["support_text"] = document["addons"]["lab"]["support_text"] = "internal 3"
    document["plans"]["team"]["versions"]["2026-01"]["support_text"] = "internal 4"
    document["features"]["sso"]["support_text"] = document["policies"]["seen"]["support_text"] = "internal 5"
    catalog = msgspec.convert(document, Catalog)
    assert for_audience(catalog, "server") is catalog
    cut = encode_catalog(for_audience(catalog, "customer")).decode()
    assert "internal" not in cut
    assert '"then"' in encode_catalog(catalog).decode()
    assert '"tests"' not in cut
    assert '"policies":{"seen":{"do":"suspend","text":"Sorry.","when":' in cut
    assert decode_catalog(cut.encode()) == for_audience(for_audience(catalog, "customer"), "customer")


def test_the_severest_policy_says_its_words() -> None:
    """Of several that refuse, a suspension speaks before a restriction, then the lower rank, then the id."""
    restricting = {"when": "true", "do": "restrict", "features": ["sso"]}
    for expected, policies in (
        ("s", {"a": {**restricting, "text": "r", "rank": 0}, "b": suspending("true", text="s", rank=9)}),
        ("low", {"a": suspending("true", text="high", rank=9), "b": suspending("true", text="low", rank=8)}),
        ("first", {"b": suspending("true", text="second"), "a": suspending("true", text="first")}),
        ("held", {"a": suspending("customer.region == 'x'", text="open"), "b": {**restricting, "text": "held"}}),
    ):
        assert Truth(ruled_by(**policies), [CUSTOMER]).check("acme", "sso", at(2)).message == expected


def test_only_what_is_held_is_worth_a_remedy() -> None:
    """No remedy states other facts; where a policy reads what is held, buying or paying is one, and proven."""
    for when in ("customer.country == 'KP'", "context.region != 'eu'", "user.id != 'ann'"):
        refused = Truth(ruled_by(rule=suspending(when)), [CUSTOMER]).check("acme", "sso", at(2))
        assert refused.reason is Reason.POLICY_DENIED
        assert refused.remedy(at(2)) is None
    small = Truth(ruled_by(rule=suspending("'team' in plans && amounts.projects < 100")), [CUSTOMER])
    remedy = small.check("acme", "sso", at(2)).remedy(at(2))
    assert remedy is not None
    assert remedy.kind in {"change_plan", "raise_quantity"}


def test_a_release_of_a_policy_is_a_gain_or_a_loss() -> None:
    """Compared under two catalogs, a policy on the customer takes rights away; one on what is asked is told as that."""
    none = ruled_by()
    for when, kind, words in (
        ("customer.country == 'KP'", "loss", "not under these conditions"),
        ("customer.region == 'unknown'", "loss", "not under these conditions"),
        ("customer.country == 'DE'", None, ""),
        ("context.region == 'eu'", "changed", "on, depending on the region"),
        ("'tester' in user.roles", "changed", "on, depending on the roles of the user"),
    ):
        after = ruled_by(rule={"when": when, "do": "restrict", "features": ["sso", "watch"]})
        found = {one.feature: (one.kind, one.becomes) for one in compare_rights(none, CUSTOMER, after, CUSTOMER, at(2))}
        # The plan gives watch under a condition on the deployment, which can be met: observed or not, it is held.
        assert found.keys() == ({"sso", "watch"} if kind else set()), when
        assert kind is None or found["sso"] == (kind, words)
        back = compare_rights(after, CUSTOMER, none, CUSTOMER, at(2))
        assert {one.kind for one in back} == ({"gain" if kind == "loss" else kind} if kind else set())


def test_policies_may_come_and_go() -> None:
    """Nothing about a policy is bound by its release: each change is live, each removal allowed."""
    old = msgspec.convert({**CATALOG, "policies": {"rule": suspending("true", text="a", note="b")}}, Catalog)
    new = msgspec.convert(
        {**CATALOG, "policies": {"rule": {"when": "true", "do": "warn", "text": "c", "note": "d"}}}, Catalog
    )
    none = msgspec.convert(CATALOG, Catalog)
    assert check_release(old, new) == check_release(old, none) == []
    effects = {one.path: one.effect for one in diff_catalogs(old, new)}
    assert effects == {"policies.rule.do": "live", "policies.rule.text": "none", "policies.rule.note": "none"}
    for before, after in ((none, old), (old, none)):
        assert [(one.path, one.effect) for one in diff_catalogs(before, after)] == [("policies.rule", "live")]


def test_customers_share_a_ruling_only_where_policies_say_the_same() -> None:
    """Two customers with the same rights from two countries: one is refused, in either order of asking."""
    catalog = ruled_by(rule=suspending("customer.country == 'KP'"))
    german = structs.replace(CUSTOMER, customer="berlin", profile=Profile(country="DE"))
    for order in (("acme", "berlin"), ("berlin", "acme")):
        truth = Truth(catalog, [CUSTOMER, german])
        assert [bool(truth.check(name, "sso", at(2))) for name in order] == [name == "berlin" for name in order]
        assert truth.check("berlin", "sso", at(2)) is truth.check("berlin", "sso", at(3))


def test_the_window_of_one_feature_bounds_the_answer_about_another() -> None:
    """Where a policy reads a right with opening hours, what it refuses changes with them, and says until when."""
    truth = Truth(policed(frozenset({"night"})), [CUSTOMER])
    before, within = at(1.9), at(1.95)
    assert [bool(truth.check("acme", "sso", now)) for now in (before, within, before)] == [True, False, True]
    opens = truth.check("acme", "sso", before).valid_until
    assert before < opens <= within
    assert [bool(truth.check("acme", "sso", now)) for now in (opens - 1, opens)] == [True, False]
    assert truth.check("acme", "ai", before).valid_until == opens
