"""The language-neutral cases of ``spec/vectors`` hold in core."""

from typing import Any

import msgspec
import pytest

from licet.core.compiled import CompiledCatalog
from licet.core.derive import derive
from licet.core.entitlement import merged_amount, merged_value
from licet.core.instant import BEGINNING, FOREVER, format_instant, parse_instant
from licet.core.ladder import dunning_of
from licet.core.question import Context, UserFacts
from licet.core.reason import Reason
from licet.core.snapshot import Truth
from licet.core.standing import standing_at
from licet.core.terms import Subscription, Terms
from licet.core.views import wire_amount
from tests.core.vectors import read_vectors

STANDING_CATALOG, STANDING = read_vectors("standing")
DERIVE_CATALOG, DERIVE = read_vectors("derive")
CHECK_CATALOG, CHECK = read_vectors("check")
POLICIES_CATALOG, POLICIES = read_vectors("policies")
OFFLINE_CATALOG, OFFLINE = read_vectors("offline")


@pytest.mark.parametrize("case", STANDING)
def test_standing(case: dict[str, Any]) -> None:
    """A subscription stands as the vector says, since and until when it says."""
    subscription = msgspec.convert(case["subscription"], Subscription)
    terms = msgspec.convert({"customer": "acme", **case.get("terms", {})}, Terms)
    dunning = dunning_of(terms, subscription.id)
    found = standing_at(subscription, STANDING_CATALOG, parse_instant(case["now"]), None, dunning)
    assert {
        "kind": found.kind,
        "since": None if found.since <= BEGINNING else format_instant(found.since),
        "until": None if found.until >= FOREVER else format_instant(found.until),
        "reason": found.reason,
        "restricted": list(found.restricted),
    } == case["expect"]


@pytest.mark.parametrize("case", DERIVE)
def test_derive(case: dict[str, Any]) -> None:
    """The entitlement to one feature is merged from the sources that the vector names."""
    expect = dict(case["expect"])
    feature = DERIVE_CATALOG.features[expect.pop("feature")]
    found = derive(DERIVE_CATALOG, msgspec.convert(case["terms"], Terms), parse_instant(case["now"]))
    entitlement = found.rights.get(feature.id)
    told: dict[str, Any] = {"good_until": None if found.good_until >= FOREVER else format_instant(found.good_until)}
    told["breaches"] = [f"{one.item} {one.rule}" for one in found.breaches]
    told["absent"] = entitlement is None
    if entitlement is not None:
        live = [source for source in entitlement.sources if not source.blocked]
        told["sources"] = [f"{source.id}@{source.version}" for source in entitlement.sources]
        told["value"] = merged_value(feature, live)
        if feature.counted:
            told["amount"] = wire_amount(merged_amount(feature, live), feature.scale)
    assert {name: told[name] for name in expect} == expect


@pytest.mark.parametrize("case", CHECK)
def test_check(case: dict[str, Any]) -> None:
    """The decision has what the vector says; its remedy consists of the kinds of change it names."""
    _decides(CHECK_CATALOG, case)


@pytest.mark.parametrize("case", POLICIES)
def test_policies(case: dict[str, Any]) -> None:
    """The decision under a catalog with policies has what the vector says."""
    _decides(POLICIES_CATALOG, case)


@pytest.mark.parametrize("case", OFFLINE)
def test_offline(case: dict[str, Any]) -> None:
    """What an evaluator answers from a truth that may have run out is what the vector says."""
    _decides(OFFLINE_CATALOG, case)


def _decides(catalog: CompiledCatalog, case: dict[str, Any]) -> None:
    """The decision of a case, as it is on the wire, has everything that the case expects."""
    question, expect = dict(case["question"]), dict(case["expect"])
    known = [] if case["terms"] is None else [msgspec.convert(case["terms"], Terms)]
    now = parse_instant(case["now"])
    usable = FOREVER if "usable_until" not in case else parse_instant(case["usable_until"])
    decision = Truth(catalog, known, usable_until=usable).check(
        "acme",
        question["feature"],
        now,
        user=msgspec.convert(question["user"], UserFacts) if "user" in question else None,
        context=msgspec.convert(question["context"], Context) if "context" in question else None,
        quantity=question.get("quantity", 1),
        used=question.get("used"),
    )
    view = msgspec.json.decode(msgspec.json.encode(decision.view(now)))
    if "remedy" in expect:
        kinds = expect.pop("remedy")
        steps = [step["kind"] for step in view["remedy"]["steps"]] if view["remedy"] else []
        assert sorted(steps) == sorted(kinds.split("+") if kinds else [])
    if expect.get("limit"):
        view["limit"] = {name: view["limit"][name] for name in expect["limit"]}
    assert {name: view[name] for name in expect} == expect


def test_every_reason_that_occurs_now_is_in_a_vector() -> None:
    """Each reason that core can give today appears in a case; the others belong to engines still to come."""
    later = {
        Reason.CLOCK_ROLLED_BACK,
        Reason.LICENSE_REVOKED,
        Reason.MAINTENANCE_ENDED,
        Reason.CHECK_IN_OVERDUE,
        Reason.FINGERPRINT_MISMATCH,
        Reason.MACHINE_NOT_ACTIVATED,
        Reason.MACHINE_LIMIT_REACHED,
        Reason.SEAT_REQUIRED,
        Reason.FLOATING_LEASE_REQUIRED,
        Reason.PLACE_LIMIT_REACHED,
        Reason.SPEND_LIMIT_REACHED,
    }
    met = {case.values[0]["expect"]["reason"] for case in CHECK + OFFLINE if "reason" in case.values[0]["expect"]}
    assert {Reason(name) for name in met} == set(Reason) - later
